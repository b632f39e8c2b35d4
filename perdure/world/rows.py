"""What a world's tables hold, and how they are read. `store.py` writes them; any number of threads reads here.

A *commit* is a row: a step, or an edit between two steps. Commits are numbered from 0 along a branch,
through the branches that it came from: those of a fork begin after the number that it left its parent
at, and all before are its parent's. What is large or slow to change (a *piece*: a keyframe, an entity,
the mechanism) is a record in a segment, and a row only says how the lists of them changed.
"""

import contextlib
import hashlib
import shutil
import sqlite3
import tempfile
import threading
import weakref
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from perdure.camera import Array, Intrinsics
from perdure.world.action import Action
from perdure.world.history import LATENT, Event, Memory
from perdure.world.physics import Motion
from perdure.world.segment import DamagedError, Place, Segments
from perdure.world.state import PIECES, Piece

FORMAT = 2
Found = TypeVar("Found")
DIGEST = 32
LARGEST = 1 << 28  # bytes that a column of one commit may unpack to: a thousand bodies come to 2 MB
MOST = 1 << 20  # events of one commit: as a list, line ends alone would come to eight times their bytes

SCHEMA = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",  # JSON: format, name, seed, scene, once
    # `at` is the last commit that it has from its parent; both are null for the first.
    "branches": "CREATE TABLE branches (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, parent INTEGER, at INTEGER)",
    "records": """CREATE TABLE records (
        digest BLOB PRIMARY KEY, segment INTEGER, offset INTEGER, length INTEGER
    ) WITHOUT ROWID""",
    "places": "CREATE INDEX places ON records (segment, offset)",
    "commits": """CREATE TABLE commits (
        branch INTEGER NOT NULL, number INTEGER NOT NULL,
        step INTEGER NOT NULL,                    -- steps made so far
        first_event INTEGER NOT NULL,             -- the seq of its first event
        state BLOB NOT NULL, head BLOB NOT NULL,  -- the two hashes
        held INTEGER,                             -- the commit whose motion and moving still hold; null: its own
        action BLOB, latent BLOB, key BLOB,       -- of the memory that a step made: action, digest of the latent, key,
        eye BLOB,                                 -- intrinsics and pose; null where no step was made
        parts BLOB NOT NULL,                      -- msgpack: how the lists of pieces changed
        events BLOB NOT NULL,                     -- zlib: the very lines that the chain hashes
        motion BLOB, moving BLOB,                 -- zlib: where all was in each frame; the state that moves
        PRIMARY KEY (branch, number)
    )""",
    "snapshots": "CREATE TABLE snapshots (branch INTEGER, number INTEGER, digest BLOB, PRIMARY KEY (branch, number))",
    # JSON; in force from that commit on.
    "fingerprints": """CREATE TABLE fingerprints (
        branch INTEGER, number INTEGER, value TEXT, PRIMARY KEY (branch, number)
    )""",
}
INSERT_COMMIT = f"INSERT INTO commits VALUES ({', '.join('?' * 15)})"


class Row(NamedTuple):
    """A commit as stored, but for what is read only of one."""

    branch: int
    number: int
    step: int
    first_event: int
    state: bytes
    head: bytes
    held: int | None
    action: bytes | None
    latent: bytes | None
    key: bytes | None
    eye: bytes | None
    parts: bytes
    events: bytes

    @property
    def delta(self) -> "Delta":
        return msgspec.msgpack.decode(self.parts, type=Delta)

    @property
    def lines(self) -> list[bytes]:
        """Its events, each in the bytes that the chain hashes."""
        return unpacked(self.events)


class Commit(NamedTuple):
    """A commit as it was told."""

    number: int
    step: int
    state: str
    head: str
    events: tuple[Event, ...]


Delta = dict[str, tuple[int, int, bytes]]
"""Of each list of pieces that changed: how many it keeps at the front and at the back, and the digests between."""


def delta(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[int, int, bytes]:
    shorter = min(len(old), len(new))
    front = shorter if old[:shorter] == new[:shorter] else next(i for i in range(shorter) if old[i] != new[i])
    back = 0
    while back < shorter - front and old[-1 - back] == new[-1 - back]:
        back += 1
    return front, back, b"".join(new[front : len(new) - back])


def applied(old: tuple[bytes, ...], front: int, back: int, between: bytes) -> tuple[bytes, ...]:
    if front + back > len(old):
        raise DamagedError(f"it keeps {front + back} pieces of a list of {len(old)}")
    return old[:front] + split(between) + old[len(old) - back :]


def split(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[i : i + DIGEST] for i in range(0, len(joined), DIGEST))


def inflated(blob: bytes) -> bytes:
    """What is stored as zlib; a few megabytes from a stranger might unpack to more than there is memory for."""
    stream = zlib.decompressobj()
    out = stream.decompress(blob, LARGEST)
    if not stream.eof:
        raise DamagedError(f"it unpacks to more than {LARGEST:,} bytes" if stream.unconsumed_tail else "it is cut")
    return out


def packed(lines: Sequence[bytes]) -> bytes:
    """Events as stored: JSON never holds a bare line end, so they need nothing else between them."""
    return zlib.compress(b"\n".join(lines), 1)


def unpacked(blob: bytes) -> list[bytes]:
    return inflated(blob).split(b"\n", MOST)


_MOTION = tuple[bytes, Intrinsics, dict[int, bytes]]
_EYE = tuple[Intrinsics, bytes]


def pack_motion(motion: Motion) -> bytes:
    bodies = {entity: poses.tobytes() for entity, poses in motion.bodies.items()}
    return zlib.compress(msgspec.msgpack.encode((motion.cameras.tobytes(), motion.intrinsics, bodies)), 1)


def unpack_motion(blob: bytes) -> Motion:
    cameras, intrinsics, bodies = msgspec.msgpack.decode(inflated(blob), type=_MOTION)
    poses = {entity: np.frombuffer(body, np.float64).reshape(-1, 4, 4) for entity, body in bodies.items()}
    return Motion(np.frombuffer(cameras, np.float64).reshape(-1, 4, 4), intrinsics, poses)


def pack_eye(intrinsics: Intrinsics, pose: Array) -> bytes:
    return msgspec.msgpack.encode((intrinsics, pose.tobytes()))


def unpack_eye(blob: bytes) -> tuple[Intrinsics, Array]:
    intrinsics, pose = msgspec.msgpack.decode(blob, type=_EYE)
    return intrinsics, np.frombuffer(pose, np.float64).reshape(4, 4)


def chain(head: bytes, lines: Iterable[bytes]) -> bytes:
    """The head of the chain once these events have followed."""
    for line in lines:
        head = hashlib.sha256(head + line).digest()
    return head


@dataclass(frozen=True)
class Lineage:
    """The commits of a branch: whose they are, oldest first, each with the last number of it that counts."""

    branch: int
    spans: tuple[tuple[int, int], ...]

    @property
    def last(self) -> int:
        return self.spans[-1][1]

    def until(self, number: int) -> "Lineage":
        """The same as it stood when this commit was the last."""
        kept = [span for i, span in enumerate(self.spans) if i == 0 or self.spans[i - 1][1] < number]
        return Lineage(self.branch, (*kept[:-1], (kept[-1][0], number)))

    def grown(self, number: int) -> "Lineage":
        """With one more commit of its own."""
        others = self.spans[:-1] if self.spans[-1][0] == self.branch else self.spans
        return Lineage(self.branch, (*others, (self.branch, number)))

    def owner(self, number: int) -> int:
        """The branch whose own a commit is."""
        return next(branch for branch, last in self.spans if number <= last)


class Rows:
    """The read side of a world's folder. Safe to use from any thread; it opens again after it was closed."""

    def __init__(self, folder: Path, segments: Segments, db: sqlite3.Connection | None = None) -> None:
        self.folder, self.segments = folder, segments
        self.loose: dict[bytes, bytes] = {}  # records that are in no segment: of an older world, open for reading
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._own = db  # in memory
        self._pieces: weakref.WeakValueDictionary[bytes, Piece] = weakref.WeakValueDictionary()  # shared by worlds
        self._parting = weakref.finalize(self, lambda: None)

    def connection(self) -> sqlite3.Connection:
        with self._lock:
            if self._db is None:
                self._db = self._own or connect(self.folder)
                self._parting = weakref.finalize(self, self._db.close)
            return self._db

    def ask(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self.connection().execute(query, values).fetchall()

    def close(self) -> None:
        with self._lock:
            if self._own is None:
                self._parting()
                self._db = None

    @contextmanager
    def reading(self, what: str) -> Generator[None]:
        """Say which part of which world is damaged, where SQLite or a decoder only says that something is."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake of ours, and not a damaged world
        except (TypeError, KeyError) as error:  # columns of another kind
            raise ValueError(f"{self.folder.name} is damaged in {what}: {error!r}") from error
        except (DamagedError, sqlite3.DatabaseError, msgspec.DecodeError, zlib.error, OSError) as error:
            raise ValueError(f"{self.folder.name} is damaged in {what}: {error}") from error

    # Tables

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        return {key: msgspec.json.decode(value) for key, value in self.ask("SELECT key, value FROM meta")}

    @property
    def once(self) -> tuple[str, ...]:
        """Names that branches had in the world that they were taken from."""
        with self.reading("its names of old"):
            return msgspec.convert(self.meta.get("once", ()), tuple[str, ...])

    def branches(self) -> dict[str, int]:
        """Names and ids, the oldest first."""
        return {str(name): int(id) for id, name in self.ask("SELECT id, name FROM branches ORDER BY id")}

    def lineage(self, name: str) -> Lineage:
        known = self.branches()
        if name not in known:
            raise ValueError(f"no branch {name!r} in {self.folder.name}: it has {', '.join(known)}")
        left = {id: (parent, at) for id, parent, at in self.ask("SELECT id, parent, at FROM branches")}
        branch = known[name]
        parent, at = left[branch]
        own = self.ask("SELECT max(number) FROM commits WHERE branch = ?", (branch,))[0][0]
        spans: list[tuple[int, int]] = [] if own is None else [(branch, own)]
        seen = {branch}
        while parent is not None:
            if parent in seen:
                raise DamagedError(f"branch {name!r} comes from itself")
            seen.add(parent)
            spans.append((parent, at))
            parent, earlier = left[parent]
            at = at if earlier is None else min(at, earlier)
        # Of a branch that was left before its own first commit, nothing counts.
        firsts = [below[1] + 1 for below in spans[1:]] + [0]
        spans = [span for span, first in zip(spans, firsts) if span[1] >= first]
        if not spans:
            raise DamagedError(f"branch {name!r} has no commits")
        return Lineage(branch, tuple(reversed(spans)))

    def end(self) -> Place:
        """The last record that anything names."""
        last = "SELECT segment, offset, length FROM records ORDER BY segment DESC, offset DESC LIMIT 1"
        return Place(*self.ask(last)[0])

    def row(self, lineage: Lineage, number: int) -> Row:
        return self.rows(lineage, number, number)[0]

    def rows(self, lineage: Lineage, first: int, last: int) -> list[Row]:
        """Commits `first` to `last`, both included."""
        query = f"SELECT {', '.join(Row._fields)} FROM commits WHERE branch = ? AND number BETWEEN ? AND ?"
        query += " ORDER BY number"
        found: list[Row] = []
        for branch, end in lineage.spans:
            start = first + len(found)
            if start <= min(end, last):
                found += [Row(*row) for row in self.ask(query, (branch, start, min(end, last)))]
        if [row.number for row in found] != list(range(first, last + 1)):
            missing = min(set(range(first, last + 1)) - {row.number for row in found})
            raise DamagedError(f"commit {missing} is missing")
        return found

    def commits(self, lineage: Lineage, first: int) -> Iterator[Commit]:
        """From one to the last, a few at a time in memory."""
        for start in range(first, lineage.last + 1, 256):
            for row in self.rows(lineage, start, min(start + 255, lineage.last)):
                events = tuple(msgspec.json.decode(line, type=Event) for line in row.lines)
                yield Commit(row.number, row.step, row.state.hex(), row.head.hex(), events)

    def lines(self, lineage: Lineage, first: int, last: int, back: bool = False) -> Iterator[tuple[int, bytes]]:
        """Events with `first <= seq < last` as stored, a few commits at a time in memory; `back`: the newest first."""
        low, high = self.number_of_event(lineage, first), self.number_of_event(lineage, last - 1)
        starts = range(low, high + 1, 256)
        for start in reversed(starts) if back else starts:
            rows = self.rows(lineage, start, min(start + 255, high))
            for row in reversed(rows) if back else rows:
                lines = [(seq, line) for seq, line in enumerate(row.lines, row.first_event) if first <= seq < last]
                yield from reversed(lines) if back else lines

    def number_of_step(self, lineage: Lineage, step: int) -> int:
        """The commit that made a step: the first to have made so many."""
        return self._search(lineage, "step", step, bisect_left)

    def number_of_event(self, lineage: Lineage, seq: int) -> int:
        """The commit that holds an event."""
        return self._search(lineage, "first_event", seq, bisect_right) - 1

    def _search(self, lineage: Lineage, column: str, value: int, bisect: Any) -> int:
        """Both columns only ever grow along a branch, so no index has to be written with every commit."""

        def key(number: int) -> int:
            return self.one(f"SELECT {column} FROM commits WHERE branch = ? AND number = ?", lineage, number)[0]

        return int(bisect(range(lineage.last + 1), value, key=key))

    def one(self, query: str, lineage: Lineage, number: int) -> tuple[Any, ...]:
        """The columns of one commit that a query asks for, by branch and number."""
        found = self.ask(query, (lineage.owner(number), number))
        if not found:
            raise DamagedError(f"commit {number} is missing")
        return found[0]

    def moment(self, lineage: Lineage, row: Row) -> tuple[Motion, bytes]:
        """The motion that led to a commit, and the state that moves."""
        motion, moving = self.stored_moment(lineage, row.number if row.held is None else row.held)
        return unpack_motion(motion), inflated(moving)

    def stored_moment(self, lineage: Lineage, number: int) -> tuple[bytes, bytes]:
        """The two as stored in the commit whose own they are."""
        query = "SELECT motion, moving FROM commits WHERE branch = ? AND number = ?"
        motion, moving = self.one(query, lineage, number)
        if motion is None and moving is None:
            step = self.row(lineage, number).step
            pruned = f"step {step} of {self.folder.name} was pruned, and cannot be gone back to"
            raise ValueError(f"{pruned}: `perdure prune` says from which step on one can")
        if motion is None or moving is None:
            raise DamagedError(f"commit {number} does not say where all was")
        return motion, moving

    def snapshot(self, lineage: Lineage) -> tuple[int, bytes] | None:
        """The number and the digest of the last one."""
        for branch, last in reversed(lineage.spans):
            query = "SELECT number, digest FROM snapshots WHERE branch = ? AND number <= ? ORDER BY number DESC LIMIT 1"
            found = self.ask(query, (branch, last))
            if found:
                return found[0]
        return None

    def fingerprint(self, lineage: Lineage) -> dict[str, str]:
        """What the last frames of a branch depended on besides the world."""
        for branch, last in reversed(lineage.spans):
            query = "SELECT value FROM fingerprints WHERE branch = ? AND number <= ? ORDER BY number DESC LIMIT 1"
            found = self.ask(query, (branch, last))
            if found:
                return msgspec.json.decode(found[0][0], type=dict[str, str])
        return {}

    # Records

    def place(self, digest: bytes) -> Place:
        found = self.ask("SELECT segment, offset, length FROM records WHERE digest = ?", (digest,))
        if not found:
            raise DamagedError(f"it names a record {digest.hex()[:12]} that is not there")
        return Place(*found[0])

    def known(self, digest: bytes) -> bool:
        """Whether there is such a record."""
        return digest in self.loose or bool(self.ask("SELECT 1 FROM records WHERE digest = ?", (digest,)))

    def record(self, digest: bytes) -> bytes | memoryview:
        loose = self.loose.get(digest)
        return self._looked(self.segments.read, digest) if loose is None else loose

    def check(self, digest: bytes) -> None:
        """Raise `DamagedError` unless every byte of a record is as it was written."""
        if digest not in self.loose:
            self._looked(self.segments.check, digest)

    def _looked(self, look: Callable[[Place, bytes], Found], digest: bytes) -> Found:
        place = self.place(digest)
        try:
            return look(place, digest)
        except (DamagedError, OSError):
            again = self.place(digest)
            if again == place:
                raise
            return look(again, digest)  # it was moved meanwhile, by who pruned the world

    def piece(self, part: str, digest: bytes) -> Piece:
        piece = self._pieces.get(digest)
        if piece is None:
            piece = self._pieces[digest] = PIECES[part](self.record(digest), digest)
        return piece

    def share(self, pieces: Sequence[Piece]) -> None:
        """Worlds that are opened later have these very pieces."""
        self._pieces.update((piece.digest, piece) for piece in pieces)

    def memory(self, row: Row) -> Memory:
        assert row.action is not None and row.latent is not None and row.key is not None and row.eye is not None
        latent = np.frombuffer(self.record(row.latent), np.float16).reshape(LATENT)
        intrinsics, pose = unpack_eye(row.eye)
        return Memory(row.step, latent, pose, intrinsics, Action.from_bytes(row.action), row.key)


class Recollection:
    """The past of a branch up to a commit, read when it is asked for: `history.Past`."""

    def __init__(self, rows: Rows, lineage: Lineage) -> None:
        self._rows, self._lineage = rows, lineage
        self._events = lru_cache(64)(self._read_events)
        self.memory = lru_cache(256)(self._read_memory)

    def events(self, first: int, last: int) -> list[Event]:
        out: list[Event] = []
        with self._rows.reading(f"events {first} to {last - 1}"):
            number = self._rows.number_of_event(self._lineage, first)
            while first + len(out) < last and number <= self._lineage.last:
                events = self._events(number)
                out += [event for event in events if first + len(out) <= event.seq < last]
                number += 1
        return out

    def record(self, digest: bytes) -> bytes:
        with self._rows.reading(f"the value {digest.hex()[:12]}"):
            return bytes(self._rows.record(digest))

    def _read_memory(self, step: int) -> Memory:
        with self._rows.reading(f"step {step}"):
            row = self._rows.row(self._lineage, self._rows.number_of_step(self._lineage, step))
            if row.step != step:
                raise DamagedError("it is missing")
            if row.latent is None or not self._rows.known(row.latent):
                raise ValueError(f"the latent of step {step} is kept no more: it was pruned, or damaged and let go of")
            return self._rows.memory(row)

    def _read_events(self, number: int) -> tuple[Event, ...]:
        lines = self._rows.row(self._lineage, number).lines
        return tuple(msgspec.json.decode(line, type=Event) for line in lines)


def connect(folder: Path) -> sqlite3.Connection:
    """Open a world's tables for reading, also where nothing may be written beside them."""
    path = folder / "world.db"
    with contextlib.suppress(sqlite3.OperationalError):
        return _connect(path, "mode=rw")
    # SQLite would make files beside it, and may not. So nobody else writes here now, or those files would be there.
    if not (folder / "world.db-wal").is_file() or not (folder / "world.db-wal").stat().st_size:
        return _connect(path, "mode=ro&immutable=1")
    with tempfile.TemporaryDirectory(prefix="perdure-") as copy:  # a writer was killed: its last commits are in the log
        for name in ("world.db", "world.db-wal"):
            shutil.copyfile(folder / name, Path(copy, name))
        with contextlib.closing(_connect(Path(copy, "world.db"), "mode=rw")) as source:
            return in_memory(source)


def in_memory(source: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of tables that only this process has."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    source.backup(db)
    return db


def _connect(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("PRAGMA query_only = ON")
        db.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        db.close()
        raise
    return db
