"""A Doom level as its file has it: walls between sectors, each with a floor and a ceiling.

ViZDoom's own depth buffer is eight bits, on one scale for floors, another for walls and a third for
sprites, none in metres. The level is known exactly, so its depth is cast here instead.

Shapes: L lines, K sectors, H W picture. Lengths inside a level are Doom's units; `UNIT` makes metres of them.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Intrinsics

UNIT = 1 / 32
"""Metres. Doom's player is 56 units high: 1.75 m."""
SKY = 255
MOST = 512  # lines that one ray may cross
DOORS = {1, 26, 27, 28, 31, 32, 33, 34, 117, 118}
"""Specials of lines that open the sector behind them when a hand is laid on them."""
THINGS = {8, 17, 82, 83, *range(2001, 2050)} - {2028, 2035}
"""Types of things to take. People can stand where they lie."""

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Level:
    lines: Array  # (L, 4) x, y of both ends
    sides: Ints  # (L, 2) sector to the right of the line and to its left; -1 where there is none
    special: Ints  # (L,) what the line does
    blocks: NDArray[np.bool_]  # (L,) though it has two sides, nobody steps across
    floors: Array  # (K,)
    ceilings: Array  # (K,)
    sky: NDArray[np.bool_]  # (K,) no ceiling but the sky
    first: Ints  # (K + 1,) where in `around` a sector's lines begin
    around: Ints  # lines, by sector
    places: Array  # (P, 2) where things to take lie

    def __post_init__(self) -> None:
        if self.sides.max(initial=-1) >= len(self.floors):
            raise ValueError(f"expected lines between {len(self.floors)} sectors, got sector {self.sides.max()}")

    def sector(self, x: float, y: float) -> int:
        """The sector that a point is in; -1 outside."""
        return int(_sector(self.lines, self.sides, x, y))


@lru_cache(maxsize=8)
def read_level(wad: Path, name: str) -> Level:
    """A level of a WAD file, which is a list of named lumps; a level's lumps follow its name."""
    payload = wad.read_bytes()
    kind, count, start = struct.unpack_from("<4sii", payload)
    if kind not in (b"IWAD", b"PWAD"):
        raise ValueError(f"expected a WAD file, got {wad.name}, which begins with {kind!r}")
    directory = [struct.unpack_from("<ii8s", payload, start + 16 * i) for i in range(count)]
    names = [entry[2].rstrip(b"\0").decode("ascii", "replace") for entry in directory]
    if name not in names:
        known = [n for n, after in pairwise(names) if after == "THINGS"]
        raise ValueError(f"expected a level of {wad.name}, one of {known[0]} to {known[-1]}, got {name!r}")
    at = names.index(name)

    def lump(called: str, layout: str) -> NDArray[np.void]:
        place, size, _ = directory[names.index(called, at)]
        return np.frombuffer(payload, np.dtype(layout), size // np.dtype(layout).itemsize, place)

    things = lump("THINGS", "<i2,<i2,<u2,<u2,<u2")
    lying = things[np.isin(things["f3"], list(THINGS))]
    vertices = lump("VERTEXES", "<i2,<i2")
    lines = lump("LINEDEFS", "<u2,<u2,<u2,<u2,<u2,<u2,<u2")
    sectors = lump("SECTORS", "<i2,<i2,S8,S8,<i2,<i2,<i2")
    owner = lump("SIDEDEFS", "<i2,<i2,S8,S8,S8,<u2")["f5"].astype(np.int64)
    points = np.stack([vertices["f0"], vertices["f1"]], -1).astype(np.float64)
    number = np.stack([lines["f5"], lines["f6"]], -1).astype(np.int64)
    sides = np.where(number == 0xFFFF, -1, owner[np.minimum(number, len(owner) - 1)])
    bordering = [np.flatnonzero((sides == k).any(1) & (sides[:, 0] != sides[:, 1])) for k in range(len(sectors))]
    return Level(
        np.concatenate([points[lines["f0"]], points[lines["f1"]]], 1),
        sides,
        lines["f3"].astype(np.int64),
        (lines["f2"] & 1).astype(bool),
        sectors["f0"].astype(np.float64),
        sectors["f1"].astype(np.float64),
        sectors["f3"] == b"F_SKY1",
        np.cumsum([0, *map(len, bordering)]),
        np.concatenate(bordering),
        np.stack([lying["f0"], lying["f1"]], -1).astype(np.float64),
    )


@numba.njit(cache=True, nogil=True)
def stand(depth, entity, labels, shown, whom, far):  # type: ignore[no-untyped-def]
    """Put sprites into a picture: for each label whether it is one, whose, and how many metres away."""
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if shown[label]:
                entity[row, column] = whom[label]
                depth[row, column] = far[label]


def cast(
    level: Level, floors: Array, ceilings: Array, eye: tuple[float, float, float], yaw: float, lens: Intrinsics
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(H, W) metres along z and (H, W) 0, or 255 where the sky is, of what a level eye sees."""
    depth = np.empty((lens.height, lens.width), np.float32)
    sky = np.empty((lens.height, lens.width), np.uint8)
    x, y, z = eye
    # A few micrometres aside: who stands on the grid that levels are drawn on looks exactly at corners.
    x, y = x + 0.000137, y + 0.000071
    camera = np.array([x, y, z, np.cos(yaw), np.sin(yaw), lens.fx, lens.fy, lens.cx, lens.cy])
    here = level.sector(x, y)
    _cast(level.lines, level.sides, level.first, level.around, floors, ceilings, level.sky, camera, here, depth, sky)
    return depth, sky


@numba.njit(cache=True, nogil=True)
def _sector(lines: Array, sides: Ints, x: float, y: float) -> int:
    """The near side of the nearest line to the right, along a ray that no line is parallel to."""
    best, found = np.inf, -1
    dx, dy = 1.0, 0.000731
    for i in range(len(lines)):
        if sides[i, 0] == sides[i, 1]:
            continue
        ex, ey = lines[i, 2] - lines[i, 0], lines[i, 3] - lines[i, 1]
        across = dx * ey - dy * ex
        if across == 0.0:
            continue
        px, py = lines[i, 0] - x, lines[i, 1] - y
        t, u = (px * ey - py * ex) / across, (px * dy - py * dx) / across
        if 0.0 <= u <= 1.0 and 0.0 < t < best:
            best = t
            # Who goes with the line's left on the far side comes from its right.
            found = sides[i, 0] if across < 0.0 else sides[i, 1]
    return found


@numba.njit(cache=True, nogil=True)
def _cast(lines, sides, first, around, floors, ceilings, open_air, camera, here, depth, sky):  # type: ignore[no-untyped-def]
    """Each column is one ray over the ground, from sector to sector; what it passes hides rows from above and below."""
    height, width = depth.shape
    x, y, eye, cos, sin, fx, fy, cx, cy = camera
    farthest = FAR / UNIT
    slopes = (cy - np.arange(height) - 0.5) / fy
    # Metres along z for each unit that a floor lies below the eye; rows along the horizon meet none.
    reach = np.where(slopes == 0.0, 0.0, UNIT / np.where(slopes == 0.0, 1.0, slopes))
    depth[:] = FAR
    sky[:] = SKY
    for column in range(width):
        aside = (column + 0.5 - cx) / fx
        dx, dy = cos + aside * sin, sin - aside * cos  # so long that t is depth along z
        top, bottom, at, sector, last = 0, height, 0.0, here, -1
        for _ in range(MOST):
            if sector < 0 or top >= bottom or at >= farthest:
                break
            best, crossed = np.inf, -1
            for k in range(first[sector], first[sector + 1]):
                i = around[k]
                if i == last:
                    continue
                ex, ey = lines[i, 2] - lines[i, 0], lines[i, 3] - lines[i, 1]
                across = dx * ey - dy * ex
                # Only out of the sector: whoever comes from a line's right crosses it with `across` below 0.
                if across == 0.0 or sides[i, 0 if across < 0.0 else 1] != sector:
                    continue
                px, py = lines[i, 0] - x, lines[i, 1] - y
                u = (px * dy - py * dx) / across
                if u < -1e-9 or u > 1.0 + 1e-9:
                    continue
                t = (px * ey - py * ex) / across
                if at - 1e-6 <= t < best:
                    best, crossed = t, i
            if crossed < 0:
                break
            floor, ceiling = floors[sector] - eye, ceilings[sector] - eye
            # The ceiling, from the top row down, for as long as it is met before the line is.
            while top < bottom and slopes[top] * best >= ceiling:
                if not open_air[sector] and slopes[top] > 0.0:
                    depth[top, column] = min(FAR, ceiling * reach[top])
                    sky[top, column] = 0
                top += 1
            while top < bottom and slopes[bottom - 1] * best <= floor:
                if slopes[bottom - 1] < 0.0:
                    depth[bottom - 1, column] = min(FAR, floor * reach[bottom - 1])
                    sky[bottom - 1, column] = 0
                bottom -= 1
            behind = sides[crossed, 0] if sides[crossed, 0] != sector else sides[crossed, 1]
            wall = min(FAR, UNIT * best)
            if behind < 0:
                for row in range(top, bottom):
                    depth[row, column] = wall
                    sky[row, column] = 0
                break
            lintel, sill = ceilings[behind] - eye, floors[behind] - eye
            while top < bottom and slopes[top] * best >= lintel:
                if not (open_air[sector] and open_air[behind]):
                    depth[top, column] = wall
                    sky[top, column] = 0
                top += 1
            while top < bottom and slopes[bottom - 1] * best <= sill:
                depth[bottom - 1, column] = wall
                sky[bottom - 1, column] = 0
                bottom -= 1
            at, sector, last = best, behind, crossed
