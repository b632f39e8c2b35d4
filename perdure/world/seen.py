"""What was seen from where: which keyframes show a place, found by place, bounded for each.

Surface is sorted by the cell of two metres that it lies in, by the way it was looked at (24 of them), and
by the distance (four). Of each such spot at most `bound` keyframes are listed, and one that shows only
spots that are full need not be kept: they are covered as well as they are going to be. So what a view
costs depends on what there is in sight, and not on how much was ever seen. The bound is wide because most
keyframes are slivers of news: at 8, the covered share of a walk in a hall fell from 0.83 to 0.73.

Cells lie in blocks of eight metres, as in `index.py`; adding copies the blocks that it touches.

Shapes: N points, M places.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.world.index import BLOCK, CELL, WAYS, Corner, corner, facing

ROOM = CELL * BLOCK
DISTANCES = (2.0, 4.0, 8.0)  # metres: a surface seen from nearer is seen better, and is a spot of its own
SPOTS = WAYS * (len(DISTANCES) + 1)  # in a cell
Floats = NDArray[np.floating]
Marks = NDArray[np.int32]  # (N, 2) a spot, and the number of a keyframe that shows it
Visible = Callable[[Floats, float], NDArray[np.bool_]]
"""Which of places (M, 3) may be in sight, each a ball of this radius."""


class Seen:
    """A value; a pure fold of `add`."""

    def __init__(self, bound: int = 32) -> None:
        if bound < 1:
            raise ValueError(f"expected a bound of at least 1 keyframe for each spot, got {bound}")
        self.bound = bound
        self._blocks: Mapping[Corner, Marks] = {}
        self._full: Mapping[Corner, NDArray[np.int32]] = {}  # the spots of a block that are full

    def add(self, number: int, points_N3: Floats, eye: Floats) -> "Seen":
        """With a keyframe that showed these points from `eye` (3,)."""
        grown = Seen(self.bound)
        blocks, full = dict(self._blocks), dict(self._full)
        corners, spots = _spots(points_N3, eye)
        keys = np.unique(np.concatenate([corners, spots[:, None]], 1), axis=0)
        ends = np.flatnonzero((keys[1:, :3] != keys[:-1, :3]).any(1)) + 1
        for rows in np.split(keys, ends) if len(keys) else ():
            key, here = corner(rows[0, :3]), rows[:, 3]
            held = blocks.get(key, np.empty((0, 2), np.int32))
            count = (held[:, 0] == here[:, None]).sum(1)
            new = here[count < self.bound]
            blocks[key] = np.concatenate([held, np.stack([new, np.full_like(new, number)], 1).astype(np.int32)])
            if (count == self.bound - 1).any():
                filled = here[count == self.bound - 1].astype(np.int32)
                full[key] = np.concatenate([full.get(key, filled[:0]), filled])
        grown._blocks, grown._full = blocks, full
        return grown

    @classmethod
    def of(cls, looks: Sequence[tuple[Floats, Floats]], bound: int = 32) -> "Seen":
        """What adding each of these would come to, points (N, 3) and eye (3,), numbered from 0; all at once."""
        seen = cls(bound)
        looked = [(n, points, eye) for n, (points, eye) in enumerate(looks) if len(points)]
        if not looked:
            return seen
        numbers = np.concatenate([np.full(len(points), n) for n, points, _ in looked])
        eyes = np.concatenate([np.broadcast_to(eye, points.shape) for _, points, eye in looked])
        corners, spots = _spots(np.concatenate([points for _, points, _ in looked]), eyes)
        keys = np.unique(np.concatenate([corners, spots[:, None], numbers[:, None]], 1), axis=0)
        fresh = np.r_[True, (keys[1:, :4] != keys[:-1, :4]).any(1)]
        rank = np.arange(len(keys)) - np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))
        keys, rank = keys[rank < bound], rank[rank < bound]
        blocks, full = dict[Corner, Marks](), dict[Corner, NDArray[np.int32]]()
        ends = np.flatnonzero((keys[1:, :3] != keys[:-1, :3]).any(1)) + 1
        for rows, ranks in zip(np.split(keys, ends), np.split(rank, ends)):
            key = corner(rows[0, :3])
            blocks[key] = rows[:, 3:].astype(np.int32)
            if (ranks == bound - 1).any():
                full[key] = rows[ranks == bound - 1, 3].astype(np.int32)
        seen._blocks, seen._full = blocks, full
        return seen

    def full(self, points_N3: Floats, eye: Floats) -> NDArray[np.bool_]:
        """Which points, looked at from `eye`, lie in spots that take no more keyframes."""
        out = np.zeros(len(points_N3), np.bool_)
        if self._full:
            corners, spots = _spots(points_N3, eye)
            for key, filled in self._full.items():
                here = (corners == key).all(1)
                out[here] = np.isin(spots[here], filled)
        return out

    def among(self, eye: Floats, reach: float, visible: Visible) -> list[int]:
        """Numbers, ascending, of keyframes that show a cell that may be in sight, in a block within `reach` metres.

        The cost is that of the blocks within reach, or of all, if those are fewer.
        """
        low, high = (np.floor((eye + side) / ROOM).astype(np.int64) for side in (-reach, reach))
        if np.prod(high - low + 1) < len(self._blocks):
            corners = np.argwhere(np.ones((high - low + 1).tolist(), np.bool_)) + low
        else:
            corners = np.array(list(self._blocks), np.int64).reshape(-1, 3)
            corners = corners[((corners >= low) & (corners <= high)).all(1)]
        corners = corners[visible((corners + 0.5) * ROOM, ROOM * np.sqrt(0.75))]
        found = [(at, self._blocks[key]) for at in corners if (key := corner(at)) in self._blocks]
        if not found:
            return []
        marks = np.concatenate([held for _, held in found])
        block = np.repeat(np.arange(len(found)), [len(held) for _, held in found])
        cells, which = np.unique(block * BLOCK**3 + marks[:, 0] // SPOTS, return_inverse=True)
        inside = np.stack(np.unravel_index(cells % BLOCK**3, (BLOCK,) * 3), -1)
        origin = np.array([at for at, _ in found])[cells // BLOCK**3]
        sight = visible(origin * ROOM + (inside + 0.5) * CELL, CELL * np.sqrt(0.75))
        return np.unique(marks[sight[which], 1]).tolist()


def _spots(points_N3: Floats, eye: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The blocks (N, 3) that points are in, and the spot (N,) of each in its block."""
    points = points_N3.astype(np.float64)
    cells = np.floor(points / CELL).astype(np.int64)
    sight = points - eye
    distance = np.sqrt((sight**2).sum(1))
    way = facing(sight / np.maximum(distance, 1e-9)[:, None])
    far = (distance[:, None] >= np.array(DISTANCES)).sum(1)
    x, y, z = (cells % BLOCK).T
    spot = ((x * BLOCK + y) * BLOCK + z) * SPOTS + way * (len(DISTANCES) + 1) + far
    return cells // BLOCK, spot
