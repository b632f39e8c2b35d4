"""A picture with depth, cut into flat cells: the surface that the view draws.

Write q for 1 / depth. A plane in space is q = a + b u + c v in the picture: whatever is flat, however
steeply it is seen, is linear in q, and only a real edge is not. So neighbouring pixels belong to one
surface when a straight line in q leads from one to the other, and a square of pixels that fits one
plane is drawn as one cell of 8, 4, 2 or 1 pixels a side: a wall costs a handful of cells, an edge is
kept to the pixel. The sky is q = 0, the plane at infinity.

Colours live in tiles of 8 x 8 pixels with an apron of two, so that a picture with few valid pixels
costs little, and a cell finds every colour that it may need in its own tile.

Shapes: H height, W width, N cells, M tiles, E = 12 texels along a tile's side.
Tile coordinates: texel (i, j) of a tile has its centre at (i, j); the picture's pixel coordinate is
the tile's origin + coordinate + 0.5, the origin being texel (0, 0).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import FAR
from perdure.world.geometry import MILLIMETRES, Keyframe
from perdure.world.identity import Patch

TILE = 8
APRON = 2
EDGE = TILE + 2 * APRON
LANE = 21  # bits of a texel for each colour: room for a sum of weights that may be negative
EMPTY = -1.0  # q where the picture says nothing
NEAREST = 0.05  # metres; a depth below is no measurement
BEND = 0.02  # most that q may stray from a straight line, relative, within one surface
MEASURED = 3e-4  # roughness of q below which depth was measured, not guessed: its edges are not soft
REACH = 3  # pixels; a soft edge is no wider to either side
JUMP = 0.01  # a step in q this small is no edge
FLAT = 0.0015  # most that q may stray from the plane of its cell, relative
GRAZE = 0.12  # metres; a plane that passes the camera nearer than this is a smear between two surfaces
TRUST = (60, 160, 255)  # of a pixel at a depth edge, one away, and farther; of 255
RIM_TRUST = 225  # of a pixel at the border of what the picture says


class Cells(NamedTuple):
    """One picture's surface. `source` is all zeros here; `join` numbers several pictures."""

    rect_N3: NDArray[np.float64]  # left, top, side of the cell, in tile coordinates
    plane_N3: NDArray[np.float64]  # b, c, a: q = a + b u + c v, in tile coordinates
    rim_N: NDArray[np.bool_]  # touches an edge: look at each texel's own q before using it
    tile_N: NDArray[np.int32]
    origin_M2: NDArray[np.int32]  # column and row of a tile's texel (0, 0)
    source_M: NDArray[np.int32]
    texel_MEE: NDArray[np.int64]  # red, green, blue, each in a lane of its own, red the lowest
    trust_MEE: NDArray[np.uint8]
    q_MEE: NDArray[np.float32]


@njit(nogil=True, cache=True, error_model="numpy")
def _one_surface(before, q0, q1, after, bend, jump):
    """Whether neighbours q0 and q1 lie on one surface, `before` and `after` continuing the line."""
    if q0 < 0.0 or q1 < 0.0:
        return False
    most = max(q0, q1)
    if abs(q1 - q0) <= jump * most:
        return True
    if before >= 0.0 and abs(2.0 * q0 - before - q1) <= bend * most:
        return True
    return after >= 0.0 and abs(2.0 * q1 - after - q0) <= bend * most


@njit(nogil=True, cache=True, error_model="numpy")
def _links(q_HW, bend, jump, right_HW, down_HW):
    """Which pixels continue into their right and lower neighbour."""
    height, width = q_HW.shape
    for y in range(height):
        for x in range(width):
            q0 = q_HW[y, x]
            if q0 < 0.0:
                continue
            if x + 1 < width:
                before = q_HW[y, x - 1] if x > 0 else EMPTY
                after = q_HW[y, x + 2] if x + 2 < width else EMPTY
                right_HW[y, x] = _one_surface(before, q0, q_HW[y, x + 1], after, bend, jump)
            if y + 1 < height:
                before = q_HW[y - 1, x] if y > 0 else EMPTY
                after = q_HW[y + 2, x] if y + 2 < height else EMPTY
                down_HW[y, x] = _one_surface(before, q0, q_HW[y + 1, x], after, bend, jump)


@njit(nogil=True, cache=True, error_model="numpy")
def _colour_gap(rgb_HW3, y, x, j, i):
    gap = 0
    for c in range(3):
        gap += abs(int(rgb_HW3[y, x, c]) - int(rgb_HW3[j, i, c]))
    return gap


@njit(nogil=True, cache=True, error_model="numpy")
def _snap_ramps(rgb_HW3, q_HW, right_HW, down_HW, out_HW, soft_HW):
    """A guessed depth is soft where one thing ends before another: give each pixel that lies between two
    surfaces and on neither to the one whose colour it has, or drop it where there is none to give it to."""
    height, width = q_HW.shape
    for y in range(height):
        for x in range(width):
            q = q_HW[y, x]
            out_HW[y, x] = q
            if q < 0.0:
                continue
            for axis in range(2):
                dx, dy = (1, 0) if axis == 0 else (0, 1)
                links = right_HW if axis == 0 else down_HW
                if x < dx or y < dy or x + dx >= width or y + dy >= height:
                    continue
                before, after = q_HW[y - dy, x - dx], q_HW[y + dy, x + dx]
                if links[y, x] or links[y - dy, x - dx] or before < 0.0 or after < 0.0:
                    continue
                if (q - before) * (after - q) <= 0.0:
                    continue  # a thin thing, before or behind both
                best = 1 << 30
                out_HW[y, x] = EMPTY
                soft_HW[y, x] = True
                for sign in (-1, 1):
                    for step in range(1, REACH + 1):
                        j, i = y + sign * step * dy, x + sign * step * dx
                        jj, ii = (j - dy, i - dx) if sign < 0 else (j, i)
                        if ii < 0 or jj < 0 or i + dx >= width or j + dy >= height or q_HW[j, i] < 0.0:
                            break
                        if links[jj, ii]:  # goes on beyond: a surface
                            gap = _colour_gap(rgb_HW3, y, x, j, i)
                            if gap < best:
                                best = gap
                                out_HW[y, x] = q_HW[j, i]
                            break
                break


@njit(nogil=True, cache=True, error_model="numpy")
def _grade(q_HW, right_HW, down_HW, soft_HW, trust_HW):
    """How far each pixel is to be believed: less at a depth edge, a little less at the picture's border."""
    height, width = q_HW.shape
    near_HW = soft_HW.copy()
    for y in range(height):
        for x in range(width):
            if q_HW[y, x] < 0.0:
                continue
            near_HW[y, x] = (
                soft_HW[y, x]
                or (x > 0 and q_HW[y, x - 1] >= 0.0 and not right_HW[y, x - 1])
                or (x + 1 < width and q_HW[y, x + 1] >= 0.0 and not right_HW[y, x])
                or (y > 0 and q_HW[y - 1, x] >= 0.0 and not down_HW[y - 1, x])
                or (y + 1 < height and q_HW[y + 1, x] >= 0.0 and not down_HW[y, x])
            )
    for y in range(height):
        for x in range(width):
            if q_HW[y, x] < 0.0:
                continue
            border = x == 0 or y == 0 or x == width - 1 or y == height - 1
            beside = False
            for j in range(max(y - 1, 0), min(y + 2, height)):
                for i in range(max(x - 1, 0), min(x + 2, width)):
                    border = border or q_HW[j, i] < 0.0
                    beside = beside or near_HW[j, i]
            trust = TRUST[0] if near_HW[y, x] else TRUST[1] if beside else TRUST[2]
            trust_HW[y, x] = min(trust, RIM_TRUST) if border else trust


@njit(nogil=True, cache=True, error_model="numpy")
def _fit(q_HW, right_HW, down_HW, x0, y0, side, flat):
    """(fits, b, c, mean) of the plane through a square of pixels; q = mean + b du + c dv from its middle."""
    half = 0.5 * (side - 1)
    total, along, down = 0.0, 0.0, 0.0
    for y in range(y0, y0 + side):
        for x in range(x0, x0 + side):
            q = q_HW[y, x]
            if q < 0.0:
                return False, 0.0, 0.0, 0.0
            if x + 1 < x0 + side and not right_HW[y, x]:
                return False, 0.0, 0.0, 0.0
            if y + 1 < y0 + side and not down_HW[y, x]:
                return False, 0.0, 0.0, 0.0
            total += q
            along += q * (x - x0 - half)
            down += q * (y - y0 - half)
    mean = total / (side * side)
    spread = side * side * (side * side - 1) / 12.0
    b, c = along / spread, down / spread
    for y in range(y0, y0 + side):
        for x in range(x0, x0 + side):
            if abs(q_HW[y, x] - (mean + b * (x - x0 - half) + c * (y - y0 - half))) > flat * mean:
                return False, 0.0, 0.0, 0.0
    return True, b, c, mean


@njit(nogil=True, cache=True, error_model="numpy")
def _slope(before, q, after, linked_before, linked_after):
    """Change of q a pixel, from the neighbours on the same surface."""
    if linked_before and linked_after:
        return 0.5 * (after - before)
    if linked_after:
        return after - q
    return q - before if linked_before else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _at_rim(q_HW, x0, y0, side, b, c, mean, bend):
    """Whether any pixel of the square or around it is not on the square's plane."""
    height, width = q_HW.shape
    half = 0.5 * (side - 1)
    for y in range(y0 - 1, y0 + side + 1):
        for x in range(x0 - 1, x0 + side + 1):
            if x < 0 or y < 0 or x >= width or y >= height or q_HW[y, x] < 0.0:
                return True
            at = mean + b * (x - x0 - half) + c * (y - y0 - half)
            if abs(q_HW[y, x] - at) > bend * max(at, 0.0):
                return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _nearest(q_HW, y, x):
    """The pixel to take a colour from: itself, or one beside it when it says nothing (four texels are mixed)."""
    height, width = q_HW.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    if q_HW[y, x] >= 0.0:
        return y, x
    for j in range(max(y - 1, 0), min(y + 2, height)):
        for i in range(max(x - 1, 0), min(x + 2, width)):
            if q_HW[j, i] >= 0.0:
                return j, i
    return y, x


@njit(nogil=True, cache=True, error_model="numpy")
def _cut(rgb_HW3, q_HW, right_HW, down_HW, trust_HW, lens, bend, flat, rect_N3, plane_N3, rim_N, tile_N, origin_M2,
         texel_MEE, trusts_MEE, qs_MEE):  # fmt: skip
    """Fill the arrays of `Cells`; the numbers of cells and tiles."""
    height, width = q_HW.shape
    fx, fy, cx, cy = lens
    cells, tiles = 0, 0
    taken = np.zeros((TILE, TILE), np.bool_)
    for ty in range(0, height, TILE):
        for tx in range(0, width, TILE):
            first = cells
            taken[:] = False
            side = TILE
            while side >= 1:
                for y0 in range(ty, min(ty + TILE, height - side + 1), side):
                    for x0 in range(tx, min(tx + TILE, width - side + 1), side):
                        if taken[y0 - ty, x0 - tx] or q_HW[y0, x0] < 0.0:
                            continue
                        if side > 1:
                            fits, b, c, mean = _fit(q_HW, right_HW, down_HW, x0, y0, side, flat)
                            if not fits:
                                continue
                        else:
                            mean = float(q_HW[y0, x0])
                            before, after = x0 > 0 and right_HW[y0, x0 - 1], right_HW[y0, x0]
                            above, below = y0 > 0 and down_HW[y0 - 1, x0], down_HW[y0, x0]
                            b = _slope(q_HW[y0, x0 - 1] if before else 0.0, mean,
                                       q_HW[y0, x0 + 1] if after else 0.0, before, after)  # fmt: skip
                            c = _slope(q_HW[y0 - 1, x0] if above else 0.0, mean,
                                       q_HW[y0 + 1, x0] if below else 0.0, above, below)  # fmt: skip
                        taken[y0 - ty : y0 - ty + side, x0 - tx : x0 - tx + side] = True
                        middle_u, middle_v = x0 + 0.5 * side, y0 + 0.5 * side
                        normal_z = mean - b * (middle_u - cx) - c * (middle_v - cy)
                        if (b * fx) ** 2 + (c * fy) ** 2 + normal_z**2 > 1.0 / GRAZE**2:
                            continue
                        left, top = x0 - tx + APRON - 0.5, y0 - ty + APRON - 0.5
                        rect_N3[cells, 0] = left
                        rect_N3[cells, 1] = top
                        rect_N3[cells, 2] = side
                        plane_N3[cells, 0] = b
                        plane_N3[cells, 1] = c
                        plane_N3[cells, 2] = mean - b * (left + 0.5 * side) - c * (top + 0.5 * side)
                        rim_N[cells] = _at_rim(q_HW, x0, y0, side, b, c, mean, bend)
                        tile_N[cells] = tiles
                        cells += 1
                side //= 2
            if cells == first:
                continue
            origin_M2[tiles, 0], origin_M2[tiles, 1] = tx - APRON, ty - APRON
            for j in range(EDGE):
                for i in range(EDGE):
                    x, y = tx + i - APRON, ty + j - APRON
                    inside = 0 <= x < width and 0 <= y < height and q_HW[y, x] >= 0.0
                    qs_MEE[tiles, j, i] = q_HW[y, x] if inside else EMPTY
                    trusts_MEE[tiles, j, i] = trust_HW[y, x] if inside else 0
                    y, x = _nearest(q_HW, y, x)
                    red, green = np.int64(rgb_HW3[y, x, 0]), np.int64(rgb_HW3[y, x, 1])
                    texel_MEE[tiles, j, i] = red + (green << LANE) + (np.int64(rgb_HW3[y, x, 2]) << 2 * LANE)
            tiles += 1
    return cells, tiles


def _roughness(q_HW: NDArray[np.float32]) -> float:
    """Typical relative error of q from pixel to pixel: nothing for a measured depth, more for a guessed one."""
    left, middle, right = q_HW[:, :-2], q_HW[:, 1:-1], q_HW[:, 2:]
    valid = (left >= 0) & (middle > 0) & (right >= 0)
    if not valid.any():
        return 0.0
    bends = np.abs(left + right - 2 * middle)[valid] / middle[valid]
    # Of white noise with deviation s, |q - 2q' + q''| has its median at 0.6745 * sqrt(6) * s.
    return float(np.median(bends)) / 1.65


@lru_cache(maxsize=192)
def cut(picture: Keyframe | Patch) -> Cells:
    """The cells of a picture; kept, because a picture never changes."""
    height, width = picture.mask.shape
    if picture.rgb.shape != (height, width, 3) or picture.depth.shape != (height, width):
        raise ValueError(
            f"expected rgb {(height, width, 3)} and depth {(height, width)} to match the mask, "
            f"got {picture.rgb.shape} and {picture.depth.shape}"
        )
    lens = picture.intrinsics
    if (lens.height, lens.width) != (height, width):
        raise ValueError(
            f"expected intrinsics of the picture's size {width}x{height}, got {lens.width}x{lens.height}: "
            "use Intrinsics.scaled, or shift the principal point of a crop"
        )
    rgb = np.ascontiguousarray(picture.rgb).view()
    rgb.setflags(write=False)  # as a keyframe's is: to numba that is another type, and would be compiled again
    metres = picture.depth.astype(np.float32) / np.float32(MILLIMETRES)
    valid = picture.mask & (metres > NEAREST)
    q_HW = np.full((height, width), EMPTY, np.float32)
    q_HW[valid] = 1 / metres[valid]
    q_HW[valid & (metres >= 0.995 * FAR)] = 0.0
    rough = _roughness(q_HW)
    bend, jump, flat = BEND + 4 * rough, JUMP + 4 * rough, FLAT + 2.5 * rough

    right_HW, down_HW = np.zeros((height, width), np.bool_), np.zeros((height, width), np.bool_)
    _links(q_HW, bend, jump, right_HW, down_HW)
    clean_HW, soft_HW, trust_HW = q_HW.copy(), np.zeros((height, width), np.bool_), np.zeros((height, width), np.uint8)
    if rough > MEASURED:
        _snap_ramps(rgb, q_HW, right_HW, down_HW, clean_HW, soft_HW)
        right_HW[:], down_HW[:] = False, False
        _links(clean_HW, bend, jump, right_HW, down_HW)
    _grade(clean_HW, right_HW, down_HW, soft_HW, trust_HW)

    most_cells = int((clean_HW >= 0).sum())
    most_tiles = min(most_cells, -(-height // TILE) * -(-width // TILE))
    arrays = Cells(
        np.empty((most_cells, 3)),
        np.empty((most_cells, 3)),
        np.empty(most_cells, np.bool_),
        np.empty(most_cells, np.int32),
        np.empty((most_tiles, 2), np.int32),
        np.zeros(most_tiles, np.int32),
        np.empty((most_tiles, EDGE, EDGE), np.int64),
        np.empty((most_tiles, EDGE, EDGE), np.uint8),
        np.empty((most_tiles, EDGE, EDGE), np.float32),
    )
    cells, tiles = _cut(
        rgb, clean_HW, right_HW, down_HW, trust_HW, (lens.fx, lens.fy, lens.cx, lens.cy), bend, flat,
        arrays.rect_N3, arrays.plane_N3, arrays.rim_N, arrays.tile_N, arrays.origin_M2, arrays.texel_MEE,
        arrays.trust_MEE, arrays.q_MEE,
    )  # fmt: skip
    by_cell, by_tile = (array[:cells].copy() for array in arrays[:4]), (array[:tiles].copy() for array in arrays[4:])
    return Cells(*by_cell, *by_tile)  # pyright: ignore[reportArgumentType]


NOTHING = Cells(
    np.empty((0, 3)), np.empty((0, 3)), np.empty(0, np.bool_), np.empty(0, np.int32), np.empty((0, 2), np.int32),
    np.empty(0, np.int32), np.empty((0, EDGE, EDGE), np.int64), np.empty((0, EDGE, EDGE), np.uint8),
    np.empty((0, EDGE, EDGE), np.float32),
)  # fmt: skip


@lru_cache(maxsize=8)
def join(pictures: tuple[Keyframe | Patch, ...]) -> Cells:
    """The cells of several pictures as one, with `source` saying which picture a tile is of.

    The last few are kept: most chunks recall what the chunk before them did.
    """
    parts = [cut(picture) for picture in pictures] or [NOTHING]
    tiles = np.cumsum([0, *(len(cells.source_M) for cells in parts)])
    whole = Cells(*(np.concatenate(arrays) for arrays in zip(*parts)))
    return whole._replace(
        tile_N=np.concatenate([cells.tile_N + np.int32(first) for cells, first in zip(parts, tiles)]),
        source_M=np.repeat(np.arange(len(parts), dtype=np.int32), np.diff(tiles)),
    )
