"""Ground: where the player can stand, and ways from place to place that it can walk.

A map of cells, each tried with the player's own body, made a little stouter: so what is free here is free to physics,
overhangs and thin posts as they are. Cells are joined to the player's own by steps that a walk can take.

Shapes: I J cells along x and y, N points of a way.
"""

import copy
import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.mechanism import STATE
from perdure.world.physics import Physics

Array = NDArray[np.float64]
Point = tuple[float, float]
Cell = tuple[int, int]

CELL = 0.2  # metres
STEEP = 0.3  # metres up or down from one cell to the next, at most: what is more is an edge
LEVEL, ROUND = 0.1, 4  # metres up or down that are still level, and how many cells about a spot are to be so
STOUT = 0.1  # metres that the body is made wider by: a walk cuts corners
ROOMY = 0.8  # metres of free ground about a cell, beyond which more is no better
COMPASS = tuple((i, j, math.sqrt(i * i + j * j)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
"""Steps to the cells about a cell, and how long they are."""
NARROW = 2.0  # how much longer than it is a way through no room at all seems


@dataclass(frozen=True, eq=False)
class Ground:
    corner: Point  # the middle of the cell 0, 0
    free: NDArray[np.bool_]  # (I, J) where the player can stand, having walked there
    height: Array  # (I, J) metres, at which it then stands

    @classmethod
    def around(cls, physics: Physics, extent: tuple[float, float, float]) -> "Ground":
        """All that can be walked to from where the player stands, as things stand now; shut doors are shut."""
        body = _Body(physics)
        x, y = body.here
        low = math.floor((extent[0] + x) / CELL), math.floor((extent[1] + y) / CELL)
        size = tuple(1 + a + math.floor((e - at) / CELL) for a, e, at in zip(low, extent, (x, y)))
        corner = x - low[0] * CELL, y - low[1] * CELL
        free, height = np.zeros(size, np.bool_), np.zeros(size)
        tried, queue = free.copy(), deque([low])
        free[low] = tried[low] = True  # the player is there
        height[low] = body.standing
        while queue:
            i, j = queue.popleft()
            for near in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= near[0] < size[0] and 0 <= near[1] < size[1] and not tried[near]:
                    there = body.fits(corner[0] + near[0] * CELL, corner[1] + near[1] * CELL, float(height[i, j]))
                    tried[near] = there is not None or body.level  # over an edge: it may be reached another way
                    if there is not None:
                        free[near], height[near] = True, there
                        queue.append(near)
        return cls(corner, free, height)

    @cached_property
    def room(self) -> Array:
        """(I, J) metres to the nearest cell that is not free, up to ROOMY; 0 where there is none."""
        reach = math.ceil(ROOMY / CELL)
        padded = np.pad(self.free, reach)
        out = np.where(self.free, ROOMY, 0.0)
        shape = self.free.shape
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                far = CELL * math.hypot(i, j)
                if 0 < far < ROOMY:
                    blocked = ~padded[reach + i : reach + i + shape[0], reach + j : reach + j + shape[1]]
                    out = np.where(blocked, np.minimum(out, far), out)
        return np.where(self.free, out, 0.0)

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """(N, 2) those that are free."""
        return np.argwhere(self.free)

    @cached_property
    def spots(self) -> Array:
        """(N, 2) metres: the middles of the free cells."""
        return np.asarray(self.cells * CELL + self.corner, np.float64)

    @cached_property
    def islands(self) -> list[tuple[float, float, float]]:
        """What stands free in it, with free ground all about: the middle, and how far it reaches from there."""
        found: list[tuple[float, float, float]] = []
        left = np.pad(~self.free, 1, constant_values=True)
        for first in [(0, 0), *((int(i), int(j)) for i, j in np.argwhere(left))]:
            if not left[first]:
                continue
            cells, queue = [first], deque([first])
            left[first] = False
            while queue:
                i, j = queue.popleft()
                for near in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                    if 0 <= near[0] < left.shape[0] and 0 <= near[1] < left.shape[1] and left[near]:
                        left[near] = False
                        cells.append(near)
                        queue.append(near)
            if first == (0, 0) or len(cells) < 3:
                continue  # all that is outside, and gaps in the map
            points = (np.array(cells) - 1) * CELL + self.corner
            middle = 0.5 * (points.min(0) + points.max(0))
            reach = float(np.hypot(*(points - middle).T).max()) + 0.5 * CELL
            found.append((float(middle[0]), float(middle[1]), reach))
        return found

    @property
    def area(self) -> float:
        """Square metres."""
        return float(self.free.sum()) * CELL**2

    def cell(self, at: Point) -> Cell:
        return round((at[0] - self.corner[0]) / CELL), round((at[1] - self.corner[1]) / CELL)

    def middle(self, cell: Cell) -> Point:
        return self.corner[0] + cell[0] * CELL, self.corner[1] + cell[1] * CELL

    def holds(self, at: Point) -> bool:
        i, j = self.cell(at)
        return 0 <= i < self.free.shape[0] and 0 <= j < self.free.shape[1] and bool(self.free[i, j])

    def holds_all(self, points_N2: Array) -> NDArray[np.bool_]:
        """(N,) whether there is free ground at each."""
        at = np.rint((points_N2 - self.corner) / CELL).astype(int)
        inside = np.all((at >= 0) & (at < self.free.shape), -1)
        return inside & self.free[tuple(np.where(inside[:, None], at, 0).T)]

    def high(self, at: Point) -> float:
        """How high one stands at a free spot."""
        return float(self.height[self.cell(at)])

    def level(self, at: Point) -> bool:
        """Whether the free ground about a free spot is as high as it is there: no stairs, no ramp, no edge."""
        i, j = self.cell(at)
        here = slice(max(0, i - ROUND), i + ROUND + 1), slice(max(0, j - ROUND), j + ROUND + 1)
        return bool((np.abs(self.height[here] - self.height[i, j]) <= LEVEL)[self.free[here]].all())

    def nearest(self, at: Point) -> Point:
        """The free spot nearest to a point, which may be anywhere."""
        if self.holds(at):
            return at
        x, y = self.spots[int(np.argmin(((self.spots - at) ** 2).sum(1)))]
        return float(x), float(y)

    def straight(self, start: Point, end: Point, body: float = 0.0) -> bool:
        """Whether one can walk straight from one point to the other, with `body` metres more to either side."""
        length = math.dist(start, end)
        count = 2 + int(2 * length / CELL)
        along = np.linspace(0.0, 1.0, count)[:, None]
        points = np.array(start) + along * (np.array(end) - start)
        lines = points[None]
        if body > 0 and length > 0:
            side = body * np.array([start[1] - end[1], end[0] - start[0]]) / length
            lines = np.stack((points, points + side, points - side))
        at = np.rint((lines - self.corner) / CELL).astype(int)
        if (at < 0).any() or (at >= self.free.shape).any() or not self.free[at[..., 0], at[..., 1]].all():
            return False
        heights = self.height[at[..., 0], at[..., 1]]
        return bool((np.abs(heights[:, 1:] - heights[:, :-1]) <= STEEP).all())  # no edge on the way

    def way(self, start: Point, end: Point, avoid: Sequence[tuple[float, float, float]] = ()) -> list[Point]:
        """Points to walk to, one after the other, that lead from start to end; [] where no way does.

        It keeps to where there is room. `avoid` are circles (x, y, radius) that it goes round if it can.
        """
        first, last = self.cell(self.nearest(start)), self.cell(self.nearest(end))
        cost = 1.0 + NARROW * (1.0 - self.room / ROOMY)
        i, j = np.indices(self.free.shape)
        for x, y, radius in avoid:
            off = np.hypot(i * CELL + self.corner[0] - x, j * CELL + self.corner[1] - y)
            cost = np.where(off < radius, cost + 20.0, cost)
        dear: list[list[float]] = cost.tolist()
        came: dict[Cell, Cell] = {first: first}
        spent = {first: 0.0}
        queue = [(0.0, first)]
        while queue:
            _, here = heapq.heappop(queue)
            if here == last:
                break
            row, column = here
            so_far = spent[here]
            for leads, (di, dj, length) in zip(self._open[row][column], COMPASS):
                if not leads:
                    continue
                there = row + di, column + dj
                now = so_far + length * dear[there[0]][there[1]]
                if now < spent.get(there, math.inf):
                    spent[there], came[there] = now, here
                    heapq.heappush(queue, (now + math.dist(there, last), there))
        if last not in came:
            return []
        cells = [last]
        while cells[-1] != first:
            cells.append(came[cells[-1]])
        points = [self.middle(cell) for cell in reversed(cells)]
        points = [start if self.holds(start) else points[0], *points[1:-1], end if self.holds(end) else points[-1]]
        return self._tight(points, avoid)

    def apart(self, count: int, rng: np.random.Generator, room: float = 0.4) -> list[Point]:
        """Spots with room around them, each as far as can be from those before it; the first anywhere."""
        cells = self.cells[self.room[tuple(self.cells.T)] >= room]
        spots = (cells if len(cells) else self.cells) * CELL + self.corner
        chosen = [spots[int(rng.integers(len(spots)))]]
        far = ((spots - chosen[0]) ** 2).sum(1)
        while len(chosen) < min(count, len(spots)):
            chosen.append(spots[int(np.argmax(far))])
            far = np.minimum(far, ((spots - chosen[-1]) ** 2).sum(1))
        return [(float(x), float(y)) for x, y in chosen]

    @cached_property
    def _open(self) -> list[list[list[bool]]]:
        """(I, J, 8) whether a step leads from a cell that way: never between two that are blocked, nor round a
        corner."""
        (high, wide), free, height = self.free.shape, np.pad(self.free, 1), np.pad(self.height, 1)
        out = np.empty((high, wide, len(COMPASS)), np.bool_)
        for n, (di, dj, _) in enumerate(COMPASS):
            i, j = slice(1 + di, 1 + di + high), slice(1 + dj, 1 + dj + wide)
            level = np.abs(height[i, j] - self.height) <= STEEP * math.hypot(di, dj)
            out[..., n] = free[i, j] & level
            if di and dj:
                out[..., n] &= free[i, 1:-1] & free[1:-1, j]
        return out.tolist()

    def _tight(self, points: list[Point], avoid: Sequence[tuple[float, float, float]]) -> list[Point]:
        """The same way with the points left out that one can walk straight past."""
        out, at = [points[0]], 0
        while at < len(points) - 1:
            to = min(len(points) - 1, at + 25)
            while to > at + 1 and not (
                self.straight(points[at], points[to], 0.5 * CELL) and _clear(points[at], points[to], avoid)
            ):
                to -= 1
            out.append(points[to])
            at = to
        return out


def _clear(start: Point, end: Point, circles: Sequence[tuple[float, float, float]]) -> bool:
    """Whether a straight walk keeps out of all circles."""
    for x, y, radius in circles:
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = dx * dx + dy * dy
        share = 0.0 if length == 0 else min(1.0, max(0.0, ((x - start[0]) * dx + (y - start[1]) * dy) / length))
        if math.hypot(start[0] + share * dx - x, start[1] + share * dy - y) < radius:
            return False
    return True


class _Body:
    """The player's body, to be tried at any place."""

    def __init__(self, physics: Physics) -> None:
        compiled = physics.mechanism.compiled
        self._model = model = copy.copy(compiled.model)
        self._data = data = mujoco.MjData(model)
        mujoco.mj_setState(model, data, physics.state, STATE)
        self._slides, self._base = list(compiled.slides), model.body_pos[compiled.player].copy()
        self._rise, self._terrain = compiled.rise, physics.terrain
        for geom in np.flatnonzero(model.geom_bodyid == compiled.player):
            radius, half = model.geom_size[geom, :2]
            model.geom_size[geom, :2] = radius + STOUT, max(half - STOUT, 0.01)  # as low and as tall as it was
            model.geom_rbound[geom] += STOUT
            model.geom_aabb[geom, 3:5] += STOUT
        mine = model.geom_bodyid == compiled.player
        held = [] if physics.held < 0 else list(compiled.seats[physics.held].geoms)
        self._counts = ~np.isin(np.arange(model.ngeom), held)  # what is carried is in nobody's way
        self._mine = mine

    @property
    def level(self) -> bool:
        """Whether all the ground is at one height."""
        return self._terrain is None

    @property
    def here(self) -> Point:
        x, y = self._base[:2] + self._data.qpos[self._slides]
        return float(x), float(y)

    @property
    def standing(self) -> float:
        """How high it stands."""
        return float(self._base[2] + (0.0 if self._rise is None else self._data.qpos[self._rise[0]]))

    def fits(self, x: float, y: float, z: float) -> float | None:
        """How high it stands there, coming from next to it at height z; None where something is in the way."""
        model, data, height = self._model, self._data, z
        if self._terrain is not None and self._rise is not None:
            height = self._terrain.height(x, y, z)
            if not abs(height - z) <= STEEP:
                return None
            data.qpos[self._rise[0]] = height - self._base[2]
        data.qpos[self._slides] = (x, y) - self._base[:2]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        one, other = data.contact.geom.T
        touching = (data.contact.dist < 0) & (self._mine[one] | self._mine[other]) & self._counts[one]
        return None if (touching & self._counts[other]).any() else height
