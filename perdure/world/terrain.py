"""Terrain: how high a walker stands, on stairs, ramps and terraces.

Heights are those of what stands still, found once for each place on a grid, floor above floor. A walker's height is
their mean about where it stands, weighted smoothly: so it follows from the place alone, and a walk back has the same
heights. The mean is as wide as two treads of 30 cm, and of such stairs it makes an even slope. Only over an edge too
high to step down does the walker fall, and its speed is then part of the state.

Shapes: N places, L floors above one another, the highest first.
"""

import math
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEP = 0.32  # metres: what is higher is no step but a wall
DROP = 0.65  # metres: what is lower is no step down but an edge
WIDTH = 0.3  # metres to either side that the mean takes in
CLIMB = 4.0  # metres a second at which a walker can rise or sink while it walks
GRAVITY, BRAKE, FASTEST = 9.81, 14.0, 4.5  # of a fall: how it gathers speed, and how the legs take it up in time
CELL = 0.05  # metres between the places of the grid, each in the middle of its cell: edges at round numbers miss them
TILE = 32  # places along a side of what is found at once
KEPT = 256  # stretches of ground of which it is kept where they are level

_REACH = math.ceil(WIDTH / CELL)
_SPREAD = np.arange(1 - _REACH, 1 + _REACH)


class Terrain:
    """What of a model can be stood on."""

    def __init__(self, model: mujoco.MjModel) -> None:
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        still = (model.body_weldid[model.geom_bodyid] == 0) & (model.body_mocapid[model.geom_bodyid] < 0)
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        geoms = np.flatnonzero(still & solid & np.isin(model.geom_type, _KINDS))
        self._kind = model.geom_type[geoms].copy()
        self._size = model.geom_size[geoms].copy()
        self._at = data.geom_xpos[geoms].copy()
        self._turned = data.geom_xmat[geoms].reshape(-1, 3, 3).copy()
        bound = model.geom_rbound[geoms]
        self._bound = np.where(bound > 0, bound, np.inf)  # MuJoCo gives 0 for planes
        self._geoms = self._kind, self._size, self._at, self._turned, self._bound
        self._levels: dict[tuple[float, ...], NDArray[np.bool_]] = {}
        self._tiles, self._wide = _known(b"".join(part.tobytes() for part in self._geoms))

    def height(self, x: float, y: float, z: float) -> float:
        """How high a walker stands there that comes from about the height `z`; `z` itself where there is nothing."""
        i, j = math.floor(x / CELL - 0.5), math.floor(y / CELL - 0.5)
        floors = self._window(i - _REACH + 1, j - _REACH + 1)
        along, across = _weights(np.array(((i,), (j,))) + _SPREAD, np.array(((x,), (y,))))
        weight: Array = along[:, None] * across
        near = np.where((floors <= z + STEP) & (weight > 0)[..., None], floors, -np.inf)
        near = near[..., 0] if near.shape[2] == 1 else np.maximum.reduce(near, 2)
        top = float(np.maximum.reduce(near, None))
        if top == -np.inf:
            return z
        weight = np.where(near < top - DROP, 0.0, weight)
        high = weight * np.where(weight > 0, near, 0.0)
        return float(np.add.reduce(high, None) / np.add.reduce(weight, None))

    def level(self, points: Array, z: float, within: float) -> NDArray[np.bool_]:
        """(N,) whether at each of these places (N, 2), which are near one another, a floor is about as high as `z`."""
        cells = np.floor(points / CELL).astype(np.int64)
        (a, b), (c, d) = (cells.min(0) // TILE).tolist(), (cells.max(0) // TILE).tolist()
        key = a, b, c, d, z, within
        if key not in self._levels:
            if len(self._levels) >= KEPT:
                self._levels.clear()
            floors = self._joined(a * TILE, b * TILE, (1 + max(c - a, d - b)) * TILE)
            self._levels[key] = np.logical_or.reduce(np.abs(floors - z) <= within, 2)
        return self._levels[key][cells[:, 0] - a * TILE, cells[:, 1] - b * TILE]

    def settle(self, x: float, y: float, z: float) -> float:
        """How high one stands there that is put down at about the height `z`: on the floor that is nearest to it."""
        floors = self._window(math.floor(x / CELL), math.floor(y / CELL), 1)[0, 0]
        there = floors[floors > -np.inf]
        return self.height(x, y, z if len(there) == 0 else float(there[np.argmin(np.abs(there - z))]))

    def follow(self, x: float, y: float, z: float, fall: float, dt: float) -> tuple[float, float]:
        """The height of a walker that was at `z`, and how fast it falls, `dt` seconds on."""
        goal = self.height(x, y, z)
        drop = z - goal
        if fall == 0.0 and abs(drop) <= CLIMB * dt:
            return goal, 0.0
        if drop <= 0.0:
            return min(goal, z + CLIMB * dt), 0.0
        fall = min(fall + GRAVITY * dt, math.sqrt(2 * BRAKE * drop), FASTEST)
        return (goal, 0.0) if drop < 1e-3 or fall * dt >= drop else (z - fall * dt, fall)

    def _window(self, i: int, j: int, side: int = 2 * _REACH) -> Array:
        """(side, side, L) the floors of the places from (i, j) on."""
        a, b = i // TILE, j // TILE
        if side > 2 * _REACH:
            return self._joined(i, j, side)
        if (a, b) not in self._wide:
            self._wide[a, b] = self._joined(a * TILE, b * TILE, TILE + 2 * _REACH - 1)
        return self._wide[a, b][i - a * TILE : i - a * TILE + side, j - b * TILE : j - b * TILE + side]

    def _joined(self, i: int, j: int, side: int) -> Array:
        """(side, side, L) the same out of the tiles."""
        across = [self._tile(a, b) for a in _tiles(i, side) for b in _tiles(j, side)]
        if len(across) == 1:
            return across[0][i % TILE : i % TILE + side, j % TILE : j % TILE + side]
        out = np.full((side, side, max(tile.shape[2] for tile in across)), -np.inf)
        for a in _tiles(i, side):
            for b in _tiles(j, side):
                tile = self._tile(a, b)
                i0, i1 = max(i, a * TILE), min(i + side, (a + 1) * TILE)
                j0, j1 = max(j, b * TILE), min(j + side, (b + 1) * TILE)
                there = tile[i0 - a * TILE : i1 - a * TILE, j0 - b * TILE : j1 - b * TILE]
                out[i0 - i : i1 - i, j0 - j : j1 - j, : there.shape[2]] = there
        return out

    def _tile(self, a: int, b: int) -> Array:
        """(TILE, TILE, L) floors, -inf where there are fewer."""
        if (a, b) not in self._tiles:
            self._tiles[a, b] = self._found(a, b)
        return self._tiles[a, b]

    def _found(self, a: int, b: int) -> Array:
        along = np.arange(0.5, TILE) * CELL
        x, y = np.meshgrid(a * TILE * CELL + along, b * TILE * CELL + along, indexing="ij")
        places: Array = np.stack((x.ravel(), y.ravel()), 1).astype(np.float64)
        middle, half = places.mean(0), 0.5 * (TILE - 1) * CELL
        off = np.hypot(*np.maximum(np.abs(self._at[:, :2] - middle) - half, 0.0).T)
        spans = [self._span(int(g), places) for g in np.flatnonzero(off <= self._bound)]
        if not spans:
            return np.full((TILE, TILE, 1), -np.inf)
        bottom, top = np.stack([span[0] for span in spans]), np.stack([span[1] for span in spans])
        floors = np.where(bottom <= top, top, -np.inf)
        for low, high in spans:  # what lies inside of something else is no floor
            floors[(low < top + 5e-3) & (top + 5e-3 < high) & (low <= high)] = -np.inf
        floors = -np.sort(-floors, 0)
        depth = max(1, int((floors > -np.inf).sum(0).max()))
        return np.ascontiguousarray(floors[:depth].T).reshape(TILE, TILE, depth)

    def _span(self, g: int, places: Array) -> tuple[Array, Array]:
        """(N,), (N,) where a plumb line through each place enters a geom and leaves it again; bottom > top: not."""
        turned, size, kind = self._turned[g], self._size[g], int(self._kind[g])
        out = (places - self._at[g, :2]) @ turned[:2]  # (N, 3) in the geom's own frame, at its own height
        up = turned[2]
        if kind == mujoco.mjtGeom.mjGEOM_PLANE:
            bottom, top = np.full(len(places), -np.inf), -out[:, 2] / up[2]
            outside = ((size[:2] > 0) & (np.abs(out + top[:, None] * up)[:, :2] > size[:2])).any(1)
            top[outside] = -np.inf
            bottom[outside] = np.inf
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            bottom, top = _both(*(_slab(out[:, k], float(up[k]), float(size[k])) for k in range(3)))
        elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            flat = np.array((1.0, 1.0, 0.0))
            bottom, top = _both(_ball(out * flat, up * flat, float(size[0])), _slab(out[:, 2], float(up[2]), size[1]))
        elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            flat, end = np.array((1.0, 1.0, 0.0)), np.array((0.0, 0.0, float(size[1])))
            pieces = (
                _both(_ball(out * flat, up * flat, float(size[0])), _slab(out[:, 2], float(up[2]), size[1])),
                _ball(out - end, up, float(size[0])),
                _ball(out + end, up, float(size[0])),
            )
            bottom, top = np.full(len(places), np.inf), np.full(len(places), -np.inf)
            for low, high in pieces:
                bottom = np.where(low <= high, np.minimum(bottom, low), bottom)
                top = np.where(low <= high, np.maximum(top, high), top)
        else:
            radii = size if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID else np.full(3, size[0])
            bottom, top = _ball(out / radii, up / radii, 1.0)
        return bottom + self._at[g, 2], top + self._at[g, 2]


@lru_cache(maxsize=4)
def _known(_geoms: bytes) -> tuple[dict[tuple[int, int], Array], dict[tuple[int, int], Array]]:
    """The tiles that were found among such geoms, and those with what lies beside them: the same for all models that
    differ in what moves alone."""
    return {}, {}


_KINDS = [
    int(kind)
    for kind in (
        mujoco.mjtGeom.mjGEOM_PLANE,
        mujoco.mjtGeom.mjGEOM_SPHERE,
        mujoco.mjtGeom.mjGEOM_CAPSULE,
        mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        mujoco.mjtGeom.mjGEOM_CYLINDER,
        mujoco.mjtGeom.mjGEOM_BOX,
    )
]


def _tiles(i: int, side: int) -> range:
    return range(i // TILE, (i + side - 1) // TILE + 1)


def _weights(cells: NDArray[np.int64], at: Array) -> Array:
    """A bell about a place, that ends at WIDTH."""
    off = np.abs((cells + 0.5) * CELL - at, dtype=np.float64)
    return 0.5 + 0.5 * np.cos(np.pi * np.minimum(off / WIDTH, 1.0))


def _slab(out: Array, up: float, half: float) -> tuple[Array, Array]:
    """Where out + t * up is within half of 0."""
    if abs(up) < 1e-9:
        inside = np.abs(out) <= half
        return np.where(inside, -np.inf, np.inf), np.where(inside, np.inf, -np.inf)
    a, b = (-half - out) / up, (half - out) / up
    return np.minimum(a, b), np.maximum(a, b)


def _ball(out: Array, up: Array, radius: float) -> tuple[Array, Array]:
    """Where |out + t * up| is within the radius."""
    a, b, c = float(up @ up), out @ up, (out * out).sum(1) - radius * radius
    if a < 1e-12:
        return np.where(c <= 0, -np.inf, np.inf), np.where(c <= 0, np.inf, -np.inf)
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    met = b * b >= a * c
    return np.where(met, (-b - root) / a, np.inf), np.where(met, (-b + root) / a, -np.inf)


def _both(*spans: tuple[Array, Array]) -> tuple[Array, Array]:
    """What is in all of them."""
    bottom, top = spans[0]
    for low, high in spans[1:]:
        bottom, top = np.maximum(bottom, low), np.minimum(top, high)
    return bottom, top
