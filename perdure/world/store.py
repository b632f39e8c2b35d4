"""The store: one folder a world, from which it is found exactly as it was left.

    home/NAME/world.db           SQLite: branches, one row a step, and where each record lies
             /000000.segment     latents, keyframes, entities, mechanisms: see segment.py
             /lock               held by the one process that writes

A step is one transaction, made durable before `commit` returns. A fork is a row that names its parent
and the step that it left it at: the steps of a branch are its own and, before them, its parent's.
"""

import fcntl
import hashlib
import os
import re
import shutil
import sqlite3
import sys
import threading
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec
import numpy as np

from perdure.world.action import Action
from perdure.world.geometry import Geometry, Keyframe
from perdure.world.history import GENESIS, LATENT, Event, History, Memory
from perdure.world.identity import Entity
from perdure.world.physics import Mechanism, Motion, Physics
from perdure.world.segment import DamagedError, Place, Segments, make_folder, sync_folder
from perdure.world.state import World

FORMAT = 1
TAIL = 8  # steps at the end whose bytes are checked when a world is opened
_DIGEST = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE branches (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, parent INTEGER, at INTEGER);
CREATE TABLE records (digest BLOB PRIMARY KEY, segment INTEGER, offset INTEGER, length INTEGER) WITHOUT ROWID;
CREATE TABLE steps (
    branch INTEGER NOT NULL, step INTEGER NOT NULL,
    state BLOB NOT NULL, head BLOB NOT NULL,   -- the two hashes
    keys INTEGER, turn REAL, tilt REAL,        -- the action; null at step 0
    latent BLOB, key BLOB,                     -- digest of the memory's latent, and its key; null at step 0
    keyframes BLOB NOT NULL,                   -- digests of those that came in with this step
    entities BLOB NOT NULL,                    -- digests of all there are
    mechanism BLOB NOT NULL,                   -- digest
    cameras BLOB NOT NULL,                     -- (T, 4, 4) float64
    events BLOB NOT NULL,                      -- JSON
    moving BLOB NOT NULL,                      -- zlib: physics, and the poses of bodies
    PRIMARY KEY (branch, step)
);
"""


def home() -> Path:
    """Where worlds are kept: $PERDURE_HOME, or ~/.perdure/worlds."""
    named = os.environ.get("PERDURE_HOME")
    return Path(named) if named else Path.home() / ".perdure" / "worlds"


@dataclass(frozen=True)
class Summary:
    """A world in a listing."""

    name: str
    folder: Path
    scene: tuple[str, int]
    branches: Mapping[str, int]  # name -> steps made
    size: int  # bytes on the disk


def list_worlds(folder: Path) -> list[Summary]:
    """The worlds kept in a home folder, by name."""
    found = sorted(path.parent for path in folder.glob("*/world.db")) if folder.is_dir() else []
    out: list[Summary] = []
    for path in found:
        if path.name.startswith("."):
            continue  # being made
        with Store.open(path, write=False) as store:
            out.append(store.summary())
    return out


@dataclass
class _Tip:
    """Where a branch stands: what the next step must follow."""

    branch: int
    step: int
    head: bytes
    events: int
    keyframes: tuple[bytes, ...]  # digests of all that the geometry has


@dataclass(frozen=True)
class _Row:
    """A step as stored."""

    branch: int
    step: int
    state: bytes
    head: bytes
    keys: int | None
    turn: float
    tilt: float
    latent: bytes
    key: bytes
    keyframes: bytes
    entities: bytes
    mechanism: bytes
    cameras: bytes
    events: bytes


class Store:
    """An open world folder. `commit` and `fork` need it open for writing; any number may read beside."""

    def __init__(self, folder: Path, branch: str, lock: int | None) -> None:
        """For `create` and `open` only."""
        self.folder, self.branch = folder, branch
        self._lock = lock
        self._mutex = threading.RLock()
        self._segments = Segments(folder)
        self._tips: dict[str, _Tip] = {}
        self._mechanisms: dict[bytes, Mechanism] = {}
        self._keyframes: WeakValueDictionary[bytes, Keyframe] = WeakValueDictionary()  # worlds share what they have
        self._db = sqlite3.connect(folder / "world.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA busy_timeout = 5000")
        if lock is None:
            self._db.execute("PRAGMA query_only = ON")
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")

    @classmethod
    def create(cls, folder: Path, world: World, fingerprint: Mapping[str, str] | None = None) -> "Store":
        """Keep a new world in `folder / world.name` and open it for writing.

        `fingerprint` names what its frames depend on besides itself: weights, versions, instruction set, precision.
        """
        _check_name("world", world.name)
        if world.step or world.branch != "main":
            raise ValueError(f"expected a world as it begins, got step {world.step} of {world.branch!r}")
        kept = folder / world.name
        if kept.exists():
            raise ValueError(f"a world named {world.name!r} exists already in {folder}: open it, or take another name")
        making = folder / f".{world.name}.{os.getpid()}"  # moved into place whole, or not at all
        shutil.rmtree(making, ignore_errors=True)
        make_folder(folder)
        making.mkdir()
        meta = {
            "format": FORMAT,
            "name": world.name,
            "seed": world.seed,
            "scene": world.scene,
            "fingerprint": dict(fingerprint or {}),
        }
        try:
            with cls(making, "main", _lock(making)) as store:
                store._db.executescript(_SCHEMA)
                rows = [(key, msgspec.json.encode(value).decode()) for key, value in meta.items()]
                store._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
                store._db.execute("INSERT INTO branches VALUES (0, 'main', NULL, NULL)")
                store._segments.open_to_write(0, 0)
                store._write(world, _Tip(0, -1, GENESIS, 0, ()), list(world.history.events))
            making.rename(kept)
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        return cls.open(kept)

    @classmethod
    def open(cls, folder: Path, branch: str = "main", write: bool = True) -> "Store":
        """Open a world's folder. `branch` is the one that is meant where none is named."""
        folder = Path(folder)
        if not (folder / "world.db").is_file():
            raise ValueError(f"no world at {folder}: make one with `perdure new {folder.name}`, or see `perdure ls`")
        lock = _lock(folder) if write else None
        store = cls(folder, branch, lock)
        try:
            with store._reading("its tables"):
                store._open()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        with self._mutex:
            self._db.close()
            self._segments.close()
            if self._lock is not None:
                os.close(self._lock)  # and with it the lock
                self._lock = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the world's frames depended on where it was made."""
        return msgspec.json.decode(self._meta("fingerprint"), type=dict[str, str])

    def branches(self) -> dict[str, int]:
        """Each branch and the last step that it has."""
        with self._mutex, self._reading("its branches"):
            names = [str(row[0]) for row in self._db.execute("SELECT name FROM branches ORDER BY id")]
            return {name: self._last(name) for name in names}

    def summary(self) -> Summary:
        size = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        scene = msgspec.json.decode(self._meta("scene"), type=tuple[str, int])
        return Summary(msgspec.json.decode(self._meta("name"), type=str), self.folder, scene, self.branches(), size)

    def world(self, branch: str | None = None) -> World:
        """The world as last committed on a branch."""
        branch = branch or self.branch
        with self._mutex, self._reading("its branches"):
            last = self._last(branch)
        return self.world_at(last, branch)

    def world_at(self, step: int, branch: str | None = None) -> World:
        """The world exactly as it was committed at a step: what it knew then, and nothing later."""
        branch = branch or self.branch
        with self._mutex, self._reading(f"step {step} of branch {branch!r}"):
            last = self._last(branch)
            if not 0 <= step <= last:
                raise ValueError(f"expected a step in 0..{last} of branch {branch!r} of {self.folder.name}, got {step}")
            rows = self._rows(branch, step)
            world = self._assemble(branch, rows)
            self._check_tail(world, rows)
            if self._lock is not None and step == last:
                self._tip(branch, rows)  # now, while the rows are at hand, and not in the first commit
            return world

    def commit(self, world: World) -> None:
        """Make the world's last step durable: it is on the disk when this returns."""
        with self._mutex:
            if self._lock is None:
                raise ValueError(f"{self.folder.name} is open for reading: open it with write=True to commit to it")
            tip = self._tip(world.branch)
            if world.step != tip.step + 1:
                raise ValueError(f"expected step {tip.step + 1} of branch {world.branch!r}, got step {world.step}")
            events, head = world.history.events[tip.events :], tip.head
            for event in events:
                head = event.chained(head)
            same = head == world.history.head and world.geometry.pages[: len(tip.keyframes)] == tip.keyframes
            if not same or not events or not world.history.memories:
                raise ValueError(f"expected a world that follows step {tip.step} of {world.branch!r}, got another past")
            self._write(world, tip, events)

    def fork(self, source: str, at: int, name: str) -> World:
        """A branch that leaves `source` after step `at`. Nothing is copied."""
        _check_name("branch", name)
        with self._mutex:
            if self._lock is None:
                raise ValueError(f"{self.folder.name} is open for reading: open it with write=True to fork it")
            if name in self.branches():
                raise ValueError(f"a branch {name!r} of {self.folder.name} exists already: take another name")
            world = self.world_at(at, source)
            (parent,) = self._db.execute("SELECT id FROM branches WHERE name = ?", (source,)).fetchone()
            self._db.execute("INSERT INTO branches (name, parent, at) VALUES (?, ?, ?)", (name, parent, at))
            return world.fork(name)

    def _open(self) -> None:
        found = msgspec.json.decode(self._meta("format"), type=int)
        if found != FORMAT:
            raise ValueError(f"expected a world in format {FORMAT} at {self.folder}, got {found}: use its release")
        self._last(self.branch)  # that there is such a branch
        if self._lock is not None:
            last = "SELECT segment, offset, length FROM records ORDER BY segment DESC, offset DESC LIMIT 1"
            place = Place(*self._db.execute(last).fetchone())
            self._segments.open_to_write(place.segment, place.end)

    def _write(self, world: World, tip: _Tip, events: list[Event]) -> None:
        mechanism = world.physics.mechanism
        keyframes = world.geometry.keyframes[len(tip.keyframes) :]
        records = {keyframe.digest: keyframe.to_bytes for keyframe in keyframes}
        records |= {entity.digest: entity.to_bytes for entity in world.entities}
        records |= {mechanism.digest: mechanism.to_bytes}
        keys, turn, tilt, latent, key = None, 0.0, 0.0, b"", b""
        if world.step:
            memory = world.history.memories[-1]
            keys, turn, tilt, key = memory.action.keys, memory.action.turn, memory.action.tilt, memory.key
            latent = hashlib.sha256(memory.latent.tobytes()).digest()
            records[latent] = memory.latent.tobytes
        new = [(digest, payload()) for digest, payload in records.items() if self._place(digest) is None]
        places = self._segments.append(new)
        bodies = {entity: poses.tobytes() for entity, poses in world.motion.bodies.items()}
        moving = zlib.compress(msgspec.msgpack.encode((world.physics.to_bytes(), bodies)), 1)
        row = (
            tip.branch,
            world.step,
            bytes.fromhex(world.state),
            world.history.head,
            keys,
            turn,
            tilt,
            latent,
            key,
            b"".join(keyframe.digest for keyframe in keyframes),
            b"".join(entity.digest for entity in world.entities),
            mechanism.digest,
            world.motion.cameras.tobytes(),
            msgspec.json.encode(events),
            moving,
        )
        with self._transaction():
            at = [(digest, p.segment, p.offset, p.length) for (digest, _), p in zip(new, places)]
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", at)
            self._db.execute(f"INSERT INTO steps VALUES ({', '.join('?' * len(row))})", row)
        self._keyframes.update((keyframe.digest, keyframe) for keyframe in keyframes)
        tip.step, tip.head = world.step, world.history.head
        tip.events, tip.keyframes = tip.events + len(events), world.geometry.pages

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _reading(self, what: str) -> Generator[None]:
        """Say which part of which world is damaged, where SQLite or a decoder only says that something is."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a store that was closed is not a damaged one
        except (DamagedError, sqlite3.DatabaseError, msgspec.DecodeError, zlib.error, OSError) as error:
            raise ValueError(f"{self.folder.name} is damaged in {what}: {error}") from error

    def _meta(self, key: str) -> str:
        return self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _last(self, branch: str) -> int:
        found = self._db.execute("SELECT id, at FROM branches WHERE name = ?", (branch,)).fetchone()
        if found is None:
            known = ", ".join(str(row[0]) for row in self._db.execute("SELECT name FROM branches ORDER BY id"))
            raise ValueError(f"no branch {branch!r} in {self.folder.name}: it has {known}")
        (last,) = self._db.execute("SELECT max(step) FROM steps WHERE branch = ?", (found[0],)).fetchone()
        return int(found[1] if last is None else last)

    def _rows(self, branch: str, step: int) -> list[_Row]:
        """The steps of a branch up to one of them, oldest first, through the branches that it came from."""
        number, at = self._db.execute("SELECT id, ? FROM branches WHERE name = ?", (step, branch)).fetchone()
        spans: list[tuple[int, int]] = []  # a branch, and its last step that counts
        while number is not None:
            spans.append((number, at))
            number, left = self._db.execute("SELECT parent, at FROM branches WHERE id = ?", (number,)).fetchone()
            at = at if left is None else min(at, left)
        query = f"SELECT {', '.join(_Row.__annotations__)} FROM steps WHERE branch = ? AND step <= ? ORDER BY step"
        rows = [_Row(*row) for span in reversed(spans) for row in self._db.execute(query, span)]
        for i, row in enumerate(rows):
            if row.step != i:
                raise ValueError(f"{self.folder.name} is damaged: step {i} of branch {branch!r} is missing")
        return rows

    def _assemble(self, branch: str, rows: list[_Row]) -> World:
        memories: list[Memory] = []
        events: list[Event] = []
        keyframes: list[Keyframe] = []
        decoder = msgspec.json.Decoder(list[Event])
        for row in rows:
            with self._reading(f"step {row.step} of branch {branch!r}"):
                events += decoder.decode(row.events)
                keyframes += map(self._keyframe, _digests(row.keyframes))
                if row.keys is not None:
                    latent = np.frombuffer(self._record(row.latent), np.float16).reshape(LATENT)
                    pose = np.frombuffer(row.cameras, np.float64).reshape(-1, 4, 4)[-1]
                    action = Action(row.keys, row.turn, row.tilt)
                    intrinsics = self._mechanism(row.mechanism).intrinsics
                    memories.append(Memory(row.step, latent, pose, intrinsics, action, row.key))
        last = rows[-1]
        mechanism = self._mechanism(last.mechanism)
        query = "SELECT moving FROM steps WHERE branch = ? AND step = ?"
        (moving,) = self._db.execute(query, (last.branch, last.step)).fetchone()
        physics, bodies = msgspec.msgpack.decode(zlib.decompress(moving), type=tuple[bytes, dict[int, bytes]])
        cameras = np.frombuffer(last.cameras, np.float64).reshape(-1, 4, 4)
        poses = {entity: np.frombuffer(body, np.float64).reshape(-1, 4, 4) for entity, body in bodies.items()}
        return World(
            name=msgspec.json.decode(self._meta("name"), type=str),
            branch=branch,
            step=last.step,
            seed=msgspec.json.decode(self._meta("seed"), type=int),
            scene=msgspec.json.decode(self._meta("scene"), type=tuple[str, int]),
            physics=Physics.from_bytes(mechanism, physics),
            geometry=Geometry(tuple(keyframes)),
            entities=tuple(Entity.from_bytes(bytes(self._record(d)), d) for d in _digests(last.entities)),
            history=History().append(memories, events, head=last.head),
            motion=Motion(cameras, mechanism.intrinsics, poses),
            fresh=len(last.keyframes) // _DIGEST if last.step else 0,
            before=events[-1].before,
        )

    def _check_tail(self, world: World, rows: list[_Row]) -> None:
        """Raise `ValueError` unless the last steps are, byte for byte, what their hashes say."""
        tail = rows[-TAIL:]
        head = rows[-TAIL - 1].head if len(rows) > TAIL else GENESIS
        for row in tail:
            where = f"step {row.step} of branch {world.branch!r}"
            for event in msgspec.json.decode(row.events, type=list[Event]):
                head = event.chained(head)
            if head != row.head:
                raise ValueError(f"{self.folder.name} is damaged in {where}: its events do not lead to its head")
            digests = (*_digests(row.keyframes), *_digests(row.entities), row.mechanism, *_digests(row.latent))
            with self._reading(where):
                for digest in digests:
                    self._segments.check(self._named(digest), digest)
        if bytes.fromhex(world.state) != rows[-1].state:
            raise ValueError(f"{self.folder.name} is damaged in step {world.step}: its parts do not give its state")

    def _tip(self, branch: str, rows: list[_Row] | None = None) -> _Tip:
        """Where the branch stands; `rows`, where they have been read already, are all its steps."""
        if branch not in self._tips:
            rows = rows or self._rows(branch, self._last(branch))
            keyframes = tuple(digest for row in rows for digest in _digests(row.keyframes))
            seq = msgspec.json.decode(rows[-1].events, type=list[Event])[-1].seq
            (number,) = self._db.execute("SELECT id FROM branches WHERE name = ?", (branch,)).fetchone()
            self._tips[branch] = _Tip(number, rows[-1].step, rows[-1].head, seq + 1, keyframes)
        return self._tips[branch]

    def _place(self, digest: bytes) -> Place | None:
        found = self._db.execute("SELECT segment, offset, length FROM records WHERE digest = ?", (digest,)).fetchone()
        return Place(*found) if found else None

    def _named(self, digest: bytes) -> Place:
        place = self._place(digest)
        if place is None:
            raise DamagedError(f"it names a record {digest.hex()[:12]} that is not there")
        return place

    def _record(self, digest: bytes) -> memoryview:
        return self._segments.read(self._named(digest), digest)

    def _keyframe(self, digest: bytes) -> Keyframe:
        keyframe = self._keyframes.get(digest)
        if keyframe is None:
            keyframe = self._keyframes[digest] = Keyframe.from_bytes(self._record(digest), digest)
        return keyframe

    def _mechanism(self, digest: bytes) -> Mechanism:
        if digest not in self._mechanisms:
            self._mechanisms[digest] = Mechanism.from_bytes(self._record(digest), digest)
        return self._mechanisms[digest]


def _digests(joined: bytes) -> list[bytes]:
    return [joined[i : i + _DIGEST] for i in range(0, len(joined), _DIGEST)]


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected letters, digits, '-', '_' or '.' as the name of a {what}, got {name!r}")


def _lock(folder: Path) -> int:
    """The open lock file, locked by this process, or a `ValueError` that names the one that has it."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 500).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise ValueError(f"{folder.name} is open for writing in {holder}: close it there, or open it to read") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} ({' '.join(sys.argv)[:300]})\n".encode(), 0)
    return handle
