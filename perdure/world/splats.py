"""Splats: the soft part of the geometry, Gaussians in space that each have a number for good.

They lie in pages of 256 numbers; a page is a piece of the state. Writing a few splats makes their
pages anew and shares the rest. Rows that are read or written travel packed: as bytes that also name
the splats that are not there, so that writing back what was read undoes any change exactly, the
state's hash and all.

Shapes: N splats, K harmonics above degree 0: 0, 3, 8 or 15.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

PAGE = 256  # numbers in a page
HARMONICS = (0, 3, 8, 15)  # of degree 0 to 3, not counting the first
NOBODY = -1  # the entity of a splat that stands still
_HEADER = struct.Struct("<qqq")  # harmonics, rows, numbers of what is not there

Rows = NDArray[np.void]  # (N,) of `row_type`
Numbers = NDArray[np.int64]  # (N,)


@lru_cache
def row_type(harmonics: int) -> np.dtype[np.void]:
    """A splat as it is stored. Where it belongs to an entity, it lies in the frame of the entity's body."""
    return np.dtype(
        [
            ("id", "<i8"),
            ("event", "<i8"),  # the last that touched it; -1 for none
            ("mean", "<f4", 3),  # metres
            ("rotation", "<f4", 4),  # w, x, y, z
            ("scale", "<f4", 3),  # logarithm of the deviation in metres along each axis
            ("opacity", "<f4"),  # before the sigmoid
            ("colour", "<f4", 3),  # coefficient of degree 0: 0.5 + 0.2821 times it is what a screen shows, 0..1
            ("entity", "<i4"),  # whose it is, or NOBODY
            ("part", "u1", 4),  # parts of the entity that it may belong to,
            ("share", "u1", 4),  # and how much to each, of 255
            ("harmonics", "<f4", (harmonics, 3)),  # of degree 1 and up, in the usual order
        ]
    )


def blank(count: int, first: int = 0, harmonics: int = 0) -> Rows:
    """Rows to be filled in, numbered from `first`."""
    if harmonics not in HARMONICS:
        raise ValueError(f"expected {', '.join(map(str, HARMONICS))} harmonics, got {harmonics}")
    rows = np.zeros(count, row_type(harmonics))
    rows["id"] = np.arange(first, first + count)
    rows["event"], rows["entity"], rows["rotation"][:, 0] = -1, NOBODY, 1.0
    return rows


def pack(rows: Rows, gone: Sequence[int] | Numbers = ()) -> bytes:
    """Rows to write, and the numbers of splats to take away, as one value."""
    rows, missing = rows[np.argsort(rows["id"], kind="stable")], np.unique(np.asarray(gone, np.int64))
    return _HEADER.pack(_harmonics(rows), len(rows), len(missing)) + rows.tobytes() + missing.tobytes()


def unpack(value: bytes | memoryview) -> tuple[Rows, Numbers]:
    """The rows of a packed value, and the numbers of what is to be gone."""
    harmonics, count, missing = _header(value)
    kind = row_type(harmonics)
    rows = np.frombuffer(value, kind, count, _HEADER.size)
    gone = np.frombuffer(value, np.int64, missing, _HEADER.size + count * kind.itemsize)
    ids = np.concatenate([rows["id"], gone])
    if len(np.unique(ids)) < len(ids) or (ids < 0).any():
        raise ValueError("expected each splat once and with a number from 0, got a number twice, or below 0")
    for name in ("mean", "rotation", "scale", "opacity", "colour", "harmonics"):
        if not np.isfinite(rows[name]).all():
            raise ValueError(f"expected a finite {name} of each splat, got NaN or infinity")
    if not (np.abs(rows["rotation"]).max(1, initial=0) > 0).all():
        raise ValueError("expected a rotation of each splat, got a quaternion of zeros")
    if (rows["entity"] < NOBODY).any():
        raise ValueError(f"expected an entity from 0, or {NOBODY} for none, got {rows['entity'].min()}")
    return rows, gone


@dataclass(frozen=True, eq=False)
class SplatPage:
    """A piece: splats whose numbers have the same quotient by `PAGE`, ascending."""

    rows: Rows

    @property
    def number(self) -> int:
        return int(self.rows["id"][0]) // PAGE

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        return _HEADER.pack(_harmonics(self.rows), len(self.rows), 0) + self.rows.tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes) -> "SplatPage":
        """A page that looks into `payload` without copying it."""
        harmonics, count, _ = _header(payload)
        page = cls(np.frombuffer(payload, row_type(harmonics), count, _HEADER.size))
        page.__dict__["digest"] = digest  # where cached_property looks first
        return page


@dataclass(frozen=True, eq=False)
class Splats:
    """All splats of a world. Their degree is that of the first that were written."""

    pages: tuple[SplatPage, ...] = ()  # by number; none is empty

    def __len__(self) -> int:
        return sum(len(page.rows) for page in self.pages)

    @property
    def harmonics(self) -> int:
        return _harmonics(self.pages[0].rows) if self.pages else 0

    @property
    def free(self) -> int:
        """A number that no splat has, nor any above it."""
        return int(self.pages[-1].rows["id"][-1]) + 1 if self.pages else 0

    @cached_property
    def rows(self) -> Rows:
        """All of them, by number."""
        rows = np.concatenate([np.empty(0, row_type(self.harmonics)), *(page.rows for page in self.pages)])
        rows.setflags(write=False)
        return rows

    def read(self, value: bytes) -> bytes:
        """Packed: what there is now of the splats that a packed value names."""
        rows, gone = unpack(value)
        ids = np.sort(np.concatenate([rows["id"], gone]))
        pages = self._by_number()
        found = [np.empty(0, row_type(self.harmonics))]
        for number in np.unique(ids // PAGE).tolist():
            if number in pages:
                held = pages[number].rows
                found.append(held[np.isin(held["id"], ids)])
        present = np.concatenate(found)
        return pack(present, np.setdiff1d(ids, present["id"]))

    def write(self, value: bytes) -> "Splats":
        """With packed rows written, and those taken away that it names as gone."""
        rows, gone = unpack(value)
        if not self.pages:
            kind = rows.dtype
        elif _harmonics(rows) <= self.harmonics or not len(rows):
            kind = row_type(self.harmonics)
        else:
            raise ValueError(f"expected splats of at most {self.harmonics} harmonics here, got {_harmonics(rows)}")
        rows = _widened(rows, kind)
        pages = self._by_number()
        ids = np.concatenate([rows["id"], gone])
        quotient = rows["id"] // PAGE
        for number in np.unique(ids // PAGE).tolist():
            held = pages[number].rows if number in pages else np.empty(0, kind)
            held = np.concatenate([held[~np.isin(held["id"], ids)], rows[quotient == number]])
            if len(held):
                held = held[np.argsort(held["id"])]
                held.setflags(write=False)
                pages[number] = SplatPage(held)
            else:
                pages.pop(number, None)
        return Splats(tuple(pages[number] for number in sorted(pages)))

    def _by_number(self) -> dict[int, SplatPage]:
        return {page.number: page for page in self.pages}


def _harmonics(rows: Rows) -> int:
    return rows["harmonics"].shape[1]


def _header(value: bytes | memoryview) -> tuple[int, int, int]:
    """Harmonics, rows and numbers, if the value has just the length that they say."""
    if len(value) < _HEADER.size:
        raise ValueError(f"expected packed splats, got {len(value)} bytes")
    harmonics, count, missing = _HEADER.unpack_from(value)
    if harmonics not in HARMONICS or count < 0 or missing < 0:
        raise ValueError("expected packed splats, got bytes that do not begin as they do")
    length = _HEADER.size + count * row_type(harmonics).itemsize + 8 * missing
    if len(value) != length:
        raise ValueError(f"expected packed splats of {length} bytes, got {len(value)}")
    return harmonics, count, missing


def _widened(rows: Rows, kind: np.dtype[np.void]) -> Rows:
    """The same splats with room for more harmonics."""
    if rows.dtype == kind:
        return rows
    wide = np.zeros(len(rows), kind)
    wide["harmonics"][:, : _harmonics(rows)] = rows["harmonics"]
    for name in set(kind.names or ()) - {"harmonics"}:
        wide[name] = rows[name]
    return wide
