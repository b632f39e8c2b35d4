"""Worlds of the first format, brought into this one.

There a row was a step, its events a JSON array, and a state the root over keyframes, entities, and a pair of
the mechanism and what moves. What was hashed stays as it is, so the chain of events goes on unbroken; states
get the root of this format, and an event of the kind `migrate` joins the old to the new.
"""

import contextlib
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from perdure.world.action import Action
from perdure.world.history import GENESIS, Event, History, Value
from perdure.world.physics import Mechanism, Motion, Physics
from perdure.world.rows import (
    FORMAT,
    INSERT_COMMIT,
    SCHEMA,
    Rows,
    chain,
    delta,
    in_memory,
    inflated,
    pack_eye,
    pack_motion,
    packed,
    split,
)
from perdure.world.segment import DamagedError, Segments, sync_file, sync_folder
from perdure.world.setting import Setting
from perdure.world.state import PIECES, World, merkle

KEPT = "world.db.1"  # the old tables, until the new ones are on the disk
TAIL = 8  # steps at the end of each branch whose hashes are checked, as the first release did


def upgrade(db: sqlite3.Connection, rows: Rows, segments: Segments) -> None:
    """Bring a world that is open for writing into this format: in one transaction, so wholly or not at all."""
    kept = rows.folder / KEPT
    with closing(sqlite3.connect(kept.with_suffix(".making"))) as copy:
        db.backup(copy)
    sync_file(kept.with_suffix(".making"))
    os.replace(kept.with_suffix(".making"), kept)
    sync_folder(rows.folder)
    place = rows.end()
    segments.open_to_write(place.segment, place.end)
    with _transaction(db):
        new = _convert(db, rows, record=True)
        places = segments.append(list(new.items()))
        at = [(digest, p.segment, p.offset, p.length) for digest, p in zip(new, places)]
        db.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", at)
    tidy(rows.folder)


def tidy(folder: Path) -> None:
    """Drop the old tables, now that the new ones are on the disk."""
    if (folder / KEPT).exists():
        for left in (folder / KEPT, (folder / KEPT).with_suffix(".making")):
            left.unlink(missing_ok=True)
        sync_folder(folder)


def upgraded(rows: Rows, segments: Segments) -> Rows:
    """A world that is open for reading, with a copy of its tables in this format, in memory."""
    copy = in_memory(rows.connection())
    out = Rows(rows.folder, segments, copy)
    with _transaction(copy):
        out.loose |= _convert(copy, rows, record=False)
    return out


class _Step(NamedTuple):
    """A row of the first format."""

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
    moving: bytes


class _Event(msgspec.Struct, frozen=True):
    """An event as the first format wrote it: its bytes are what the chain hashed, whatever an event is today."""

    seq: int
    time: float
    actor: str
    kind: str
    targets: tuple[int, ...] = ()
    args: dict[str, Any] = {}
    seed: int = 0
    before: str = ""
    after: str = ""
    verdict: str = "applied"


@dataclass(frozen=True)
class _Stand:
    """Where a branch stands in the course of it: what its next row is told from."""

    step: int = -1
    head: bytes = GENESIS
    seq: int = 0
    time: float = 0.0
    old: str = ""  # the state, as the first format named it
    state: bytes = b""
    parts: dict[str, tuple[bytes, ...]] | None = None


def _convert(db: sqlite3.Connection, rows: Rows, record: bool) -> dict[bytes, bytes]:
    """Rewrite the tables; gives the records that are new. `record`: say so in the history of each branch."""
    _create(db)
    setting = Setting()
    branches = db.execute("SELECT id, parent, at FROM branches ORDER BY id").fetchall()
    above = {id: (parent, at) for id, parent, at in branches}
    stands: dict[tuple[int, int], _Stand] = {}
    wanted = {_owner(db, above, parent, at) for _, parent, at in branches if parent is not None}
    for id, parent, at in branches:
        stand = _Stand() if parent is None else stands[_owner(db, above, parent, at)]
        query = f"SELECT {', '.join(_Step._fields)} FROM steps WHERE branch = ? ORDER BY step"
        last = db.execute("SELECT max(step) FROM steps WHERE branch = ?", (id,)).fetchone()[0]
        for step in (_Step(*row) for row in db.execute(query, (id,))):
            with rows.reading(f"step {step.step}"):
                stand = _moved(db, rows, step, stand, setting, check=step.step > last - TAIL)
            if (id, stand.step) in wanted:
                stands[id, stand.step] = stand
        if record:
            _say(db, id, stand)
    db.execute("DROP TABLE steps")
    return {setting.digest: setting.to_bytes()}


def _create(db: sqlite3.Connection) -> None:
    for name in ("places", "commits", "snapshots", "fingerprints"):
        db.execute(SCHEMA[name])
    (made,) = db.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()
    db.execute("INSERT INTO fingerprints VALUES (0, 0, ?)", (made,))
    db.execute("DELETE FROM meta WHERE key = 'fingerprint'")
    db.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT),))


def _owner(
    db: sqlite3.Connection, above: dict[int, tuple[int | None, int | None]], branch: int, at: int
) -> tuple[int, int]:
    """The branch whose own a step is: of a fork that left before its parent's first, it is an ancestor's."""
    (parent, left), seen = above[branch], {branch}
    while parent is not None and left is not None and at <= left:
        if parent in seen:
            raise DamagedError("a branch comes from itself")
        branch = parent
        seen.add(branch)
        parent, left = above[branch]
    return branch, at


def _moved(db: sqlite3.Connection, rows: Rows, it: _Step, stand: _Stand, setting: Setting, check: bool) -> _Stand:
    """Write one step as a commit."""
    if it.step != stand.step + 1:
        raise DamagedError(f"step {stand.step + 1} is missing")
    events = msgspec.json.decode(it.events, type=list[_Event])
    lines = [msgspec.json.encode(event, order="deterministic") for event in events]
    if check and chain(stand.head, lines) != it.head:
        raise DamagedError("its events do not lead to its head")
    before = stand.parts or {}
    parts = {
        "keyframes": before.get("keyframes", ()) + split(it.keyframes),
        "entities": split(it.entities),
        "mechanism": (it.mechanism,),
        "setting": (setting.digest,),
    }
    payload, bodies = msgspec.msgpack.decode(inflated(it.moving), type=tuple[bytes, dict[int, bytes]])
    physics = merkle((it.mechanism, hashlib.sha256(payload).digest()))
    old = merkle((merkle(parts["keyframes"]), merkle(parts["entities"]), physics))
    if check and old != it.state:
        raise DamagedError("its parts do not give its state")
    pieces = {name: tuple(rows.piece(name, d) for d in parts.get(name, ())) for name in PIECES if name != "setting"}
    mechanism = cast(Mechanism, pieces["mechanism"][0])
    poses = {entity: np.frombuffer(body).reshape(-1, 4, 4) for entity, body in bodies.items()}
    motion = Motion(np.frombuffer(it.cameras).reshape(-1, 4, 4), mechanism.intrinsics, poses)
    moving = Physics.from_bytes(mechanism, payload).to_bytes()
    world = World.restore(
        "", "", it.step, 0, ("", 0), {**pieces, "setting": (setting,)}, moving, History(), motion
    )  # only for its state
    changes = {name: delta(before.get(name, ()), now) for name, now in parts.items() if now != before.get(name, ())}
    action = None if it.keys is None else Action(it.keys, it.turn, it.tilt)
    eye = None if action is None else pack_eye(mechanism.intrinsics, motion.cameras[-1])
    state = bytes.fromhex(world.state)
    row = (
        *(it.branch, it.step, it.step, stand.seq, state, it.head, None),
        *((None, None, None, None) if action is None else (action.to_bytes(), it.latent, it.key, eye)),
        *(msgspec.msgpack.encode(changes), packed(lines), pack_motion(motion), zlib.compress(moving, 1)),
    )
    db.execute(INSERT_COMMIT, row)
    return _Stand(it.step, it.head, stand.seq + len(events), events[-1].time, it.state.hex(), state, parts)


def _say(db: sqlite3.Connection, branch: int, stand: _Stand) -> None:
    """The event that joins the two formats, as a commit of its own."""
    args: dict[str, Value] = {"from": 1, "to": FORMAT}
    event = Event(stand.seq, stand.time, "engine", "migrate", (), args, 0, stand.old, stand.state.hex())
    lines = [event.to_bytes()]
    row = (
        *(branch, stand.step + 1, stand.step, stand.seq, stand.state, chain(stand.head, lines), stand.step),
        *(None, None, None, None, msgspec.msgpack.encode({}), packed(lines), None, None),
    )
    db.execute(INSERT_COMMIT, row)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("PRAGMA query_only = OFF")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
