"""The index of a trail: where things were seen from, found again by place, bounded however long the trail grows.

Space is cut into cells of two metres, and the ways one can look into 24. Of one cell and one way only
the last `bound` entries are kept; a place that is walked through every day for years is found as fast
as one that was walked through once. Cells lie in blocks of eight metres, and adding an entry copies
its block and the table of blocks: an `Index` is a value, and those that grew from one another share
the rest.

Shapes: N entries.
"""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

CELL = 2.0  # metres
BLOCK = 4  # cells along a block's side
WAYS = 24  # eight headings, three pitches
STEEP = 0.5  # the sine of the pitch from which one looks up, or down
ENTRY = np.dtype([("number", "<i8"), ("gone", "<i8"), ("spot", "<i8"), ("eye", "<f8", 3), ("gaze", "<f8", 3)])
"""`gone` is the number of the entry that took the place of this one, or `STAYS`; `spot` is the cell and the way."""
STAYS = np.iinfo(np.int64).max
_BOUND = struct.Struct("<q")

Rows = NDArray[np.void]  # (N,) of ENTRY
Corner = tuple[int, int, int]


class Index:
    """A pure fold of `add`: equal sequences of entries lead to equal bytes."""

    def __init__(self, bound: int = 8) -> None:
        if bound < 1:
            raise ValueError(f"expected a bound of at least 1 entry for each place and way, got {bound}")
        self.bound = bound
        self._blocks: Mapping[Corner, Rows] = {}  # rows ascend by number
        self._last = -1

    def add(self, number: int, pose: NDArray[np.float64]) -> "Index":
        """With `number` seen from a camera's `pose` (4, 4). Numbers ascend."""
        if number <= self._last:
            raise ValueError(f"expected a number above {self._last}, the last that was added, got {number}")
        new = np.zeros(1, ENTRY)
        new["number"], new["gone"] = number, STAYS
        new["eye"], new["gaze"] = pose[:3, 3], pose[:3, 2]
        corners, new["spot"] = _places(new)
        at = corner(corners[0])
        rows = self._blocks.get(at, new[:0])
        here = np.flatnonzero(rows["spot"] == new["spot"][0])
        rows = np.concatenate([rows, new])
        living = here[rows["gone"][here] == STAYS]
        if len(living) == self.bound:
            # What is pushed out is kept until the next is: so the index also knows what it held one entry ago.
            rows["gone"][living[0]] = number
            rows = np.delete(rows, here[: len(here) - len(living)])
        rows.setflags(write=False)
        grown = Index.__new__(Index)
        grown.bound, grown._last = self.bound, number
        grown._blocks = {**self._blocks, at: rows}
        return grown

    def near(
        self, pose: NDArray[np.float64], radius: float, before: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Entries within `radius` metres of a camera: numbers (N,), ascending, with eyes and gazes (N, 3).

        `before` asks for what was known before that number was added. It may be any number if nothing was
        ever pushed out; otherwise the last, or later: what was pushed out before is no longer known.
        """
        eye = pose[:3, 3]
        low, high = (np.floor((eye + side) / (CELL * BLOCK)).astype(int) for side in (-radius, radius))
        corners = (
            (x, y, z)
            for x in range(low[0], high[0] + 1)
            for y in range(low[1], high[1] + 1)
            for z in range(low[2], high[2] + 1)
        )
        found = [self._blocks[at] for at in corners if at in self._blocks]
        rows = np.concatenate([np.empty(0, ENTRY), *found])
        before = self._last + 1 if before is None else before
        known = (rows["number"] < before) & (rows["gone"] >= before)
        rows = rows[known & (((rows["eye"] - eye) ** 2).sum(1) <= radius**2)]
        rows = rows[np.argsort(rows["number"])]
        return rows["number"], rows["eye"], rows["gaze"]

    def __len__(self) -> int:
        """How many entries it holds."""
        return sum(int((rows["gone"] == STAYS).sum()) for rows in self._blocks.values())

    @property
    def numbers(self) -> list[int]:
        """Of all entries that may yet be found, also by a search that asks what was known one entry ago."""
        return sorted(number for rows in self._blocks.values() for number in rows["number"].tolist())

    def to_bytes(self) -> bytes:
        rows = np.concatenate([np.empty(0, ENTRY), *self._blocks.values()])
        return _BOUND.pack(self.bound) + rows[np.argsort(rows["number"])].tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview) -> "Index":
        if (len(payload) - _BOUND.size) % ENTRY.itemsize:
            raise ValueError(f"expected an index in whole entries of {ENTRY.itemsize} bytes, got {len(payload)} bytes")
        index = cls(*_BOUND.unpack_from(payload))
        rows = np.frombuffer(payload, ENTRY, offset=_BOUND.size)
        if not len(rows):
            return index
        corners, _ = _places(rows)
        order = np.lexsort((rows["number"], *corners.T))
        corners = corners[order]
        first = np.flatnonzero(np.r_[True, (corners[1:] != corners[:-1]).any(1)])
        blocks = np.split(rows[order], first[1:])
        index._blocks = {corner(at): block for at, block in zip(corners[first], blocks)}
        index._last = int(rows["number"].max())
        return index


def corner(at: NDArray[np.int64]) -> Corner:
    """The place of a block as a key."""
    x, y, z = at.tolist()
    return x, y, z


def facing(gazes_N3: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) which of the ways a direction is. No angle is computed: comparisons come out alike on every machine."""
    x, y, z = gazes_N3.T
    return (x < 0) + 2 * (y < 0) + 4 * (np.abs(y) > np.abs(x)) + 8 * (1 + (z > STEEP) - 1 * (z < -STEEP))


def _places(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The blocks (N, 3) that entries are in, and the spot (N,) of each in its block."""
    cells = np.floor(rows["eye"] / CELL).astype(np.int64)
    x, y, z = (cells % BLOCK).T
    return cells // BLOCK, ((x * BLOCK + y) * BLOCK + z) * WAYS + facing(rows["gaze"])
