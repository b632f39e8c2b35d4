"""Segments: append-only files of records, for what is too large for a row and never changes.

A record is a header (magic, length of the payload, SHA-256 of it), then the payload, then padding to
64 bytes, so that arrays can be mapped from the file as they lie. A row in the store names a record
by its place only after the record is on the disk; what no row names, after a crash, is cut off.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<8sQ32s16x")
MAGIC = b"PERDURE1"
ROLL = 1 << 28  # a segment that has grown past this many bytes is left, and another begun
AHEAD = 1 << 23  # zeros written in advance: a sync need not note new length or blocks, and takes 0.5 to 0.7 of the time
_ZEROS = bytes(1 << 20)


class DamagedError(ValueError):
    """A record is not where, or not what, it was said to be."""


@dataclass(frozen=True)
class Place:
    segment: int
    offset: int  # of the header
    length: int  # of the payload

    @property
    def start(self) -> int:
        return self.offset + HEADER.size

    @property
    def end(self) -> int:
        """Where the next record may begin."""
        return self.start + self.length + -self.length % HEADER.size


class Segments:
    """The segment files of one folder. One writer; readers need no lock, for what is named never changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[int, mmap.mmap] = {}
        self._segment, self._end, self._room, self._file = 0, 0, 0, -1

    def open_to_write(self, segment: int, end: int) -> None:
        """Go on after the last record that a row names, and drop whatever lies beyond."""
        for path in self.folder.glob("*.segment"):
            if int(path.stem) > segment:
                path.unlink()
        self._begin(segment, end)

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        """Write (digest, payload) pairs; they are on the disk when this returns."""
        if not records:
            return []
        if self._end >= ROLL:
            self._begin(self._segment + 1, 0)
        places: list[Place] = []
        chunk = bytearray()
        for digest, payload in records:
            place = Place(self._segment, self._end + len(chunk), len(payload))
            chunk += HEADER.pack(MAGIC, len(payload), digest)
            chunk += payload
            chunk += bytes(place.end - place.start - place.length)
            places.append(place)
        if self._end + len(chunk) > self._room:
            self._make_room(len(chunk))
        self._put(chunk, self._end)  # one that fails half way leaves `_end` where it was, and is written over
        os.fdatasync(self._file)
        self._end += len(chunk)
        return places

    def read(self, place: Place, digest: bytes) -> memoryview:
        """The payload, mapped and not copied. That it is the one named is checked, its every byte is not."""
        mapped = self._maps.get(place.segment)
        if mapped is None or len(mapped) < place.start + place.length:
            with self._path(place.segment).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < place.start + place.length:
                    raise DamagedError(f"{file.name} ends within the record at byte {place.offset}")
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[place.segment] = mapped  # arrays still hold the shorter map that was here
        if HEADER.unpack_from(mapped, place.offset) != (MAGIC, place.length, digest):
            raise DamagedError(f"{self._path(place.segment)} has another record at byte {place.offset}, or none")
        return memoryview(mapped)[place.start : place.start + place.length]

    def check(self, place: Place, digest: bytes) -> None:
        """Raise `DamagedError` unless every byte of the record is as it was written."""
        if hashlib.sha256(self.read(place, digest)).digest() != digest:
            raise DamagedError(f"{self._path(place.segment)} has a changed record at byte {place.offset}")

    def close(self) -> None:
        self._leave()
        self._maps.clear()  # not closed: arrays may still look into them

    def _make_room(self, size: int) -> None:
        begin, end = max(self._room, self._end), self._end + size + AHEAD
        os.posix_fallocate(self._file, begin, end - begin)  # a disk that is full says so before anything is written
        for at in range(begin, end, len(_ZEROS)):
            self._put(_ZEROS[: end - at], at)
        os.fsync(self._file)
        self._room = end

    def _put(self, data: bytes | bytearray, at: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written

    def _begin(self, segment: int, end: int) -> None:
        self._leave()
        self._file = os.open(self._path(segment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._file, end)
        os.fsync(self._file)
        sync_folder(self.folder)
        self._segment, self._end, self._room = segment, end, end

    def _leave(self) -> None:
        """Give back the room that was not used, and close."""
        if self._file >= 0:
            os.ftruncate(self._file, self._end)
            os.close(self._file)
            self._file = -1

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}.segment"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as `fsync` of a file does its bytes."""
    sync_file(folder, os.O_DIRECTORY)


def sync_file(path: Path, flags: int = 0) -> None:
    """Make the bytes of a file durable that somebody else has written."""
    handle = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that none of them is gone when the power is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
