"""The tip of a branch: where it stands, and how a commit is written that moves it on."""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from perdure.world.fold import Fold
from perdure.world.physics import Motion, Physics
from perdure.world.rows import INSERT_COMMIT, Lineage, Rows, chain, delta, pack_eye, pack_motion, packed
from perdure.world.segment import Segments
from perdure.world.state import Piece, World

SNAPSHOT_COMMITS = 256  # a snapshot is made when so many commits, or so many events, have come since the last
SNAPSHOT_EVENTS = 4096


@dataclass(frozen=True)
class Tip:
    """What the next commit of a branch must follow, and what it need not write again."""

    lineage: Lineage
    fold: Fold
    moment: tuple[bytes, bytes]  # the motion and what moves, as stored in the commit `held`
    held: int
    pieces: Mapping[str, tuple[Piece, ...]] = field(default_factory=dict[str, tuple[Piece, ...]])  # as last committed
    last: tuple[Motion | None, Physics | None] = (None, None)  # those that `moment` is of


def write(
    db: sqlite3.Connection,
    segments: Segments,
    rows: Rows,
    tip: Tip,
    world: World,
    fingerprint: Mapping[str, str] | None,
) -> Tip:
    """Write what the world has that its branch has not: records to the disk first, then the row that names them.

    Gives where the branch stands then, once the transaction that this is part of has come to its end.
    """
    before, number, branch = tip.fold, tip.fold.number + 1, tip.lineage.branch
    lines, new = _following(world, before)
    records, parts, changes = dict[bytes, bytes](), dict(before.parts), dict[str, tuple[int, int, bytes]]()

    def keep(digest: bytes, payload: Callable[[], bytes]) -> bytes:
        """Each record once, whoever names it."""
        if digest not in records and not db.execute(_KNOWN, (digest,)).fetchone():
            records[digest] = payload()
        return digest

    for name, pieces in world.parts.items():
        known = tip.pieces.get(name)
        if pieces is known:
            continue
        known = known or ()  # not before: an empty list may be news where nothing has been committed yet
        same = len(known) if pieces[: len(known)] == known else 0  # most lists only ever grow
        digests = parts.get(name, ())[:same] + tuple(piece.digest for piece in pieces[same:])
        if digests == parts.get(name, ()):
            continue
        changes[name] = front, back, _ = delta(parts.get(name, ()), digests)
        parts[name], fresh = digests, pieces[front : len(pieces) - back]
        for piece in fresh:
            keep(piece.digest, piece.to_bytes)
        rows.share(fresh)
    for event in world.history.events[before.events :]:
        for digest in event.records:
            keep(digest, partial(world.history.record, digest))
    made: tuple[bytes | None, ...] = (None, None, None, None)
    if new:
        memory = world.history.memories[-1]
        latent = memory.latent.tobytes()
        digest = keep(hashlib.sha256(latent).digest(), lambda: latent)
        made = memory.action.to_bytes(), digest, memory.key, pack_eye(memory.intrinsics, memory.pose)
    still = world.motion is tip.last[0] and world.physics is tip.last[1]
    moment = tip.moment if still else (pack_motion(world.motion), zlib.compress(world.moving, 1))
    held = tip.held if moment == tip.moment else number

    now = Fold(
        number=number,
        step=world.step,
        events=before.events + len(lines),
        head=world.history.head,
        parts=parts,
        trail=world.history.trail if new else before.trail,
        snapshot=before.snapshot,
        since=before.since + len(lines),
    )
    if number - now.snapshot >= SNAPSHOT_COMMITS or now.since >= SNAPSHOT_EVENTS:
        payload = now.to_bytes()
        snapshot = keep(hashlib.sha256(payload).digest(), lambda: payload)
        db.execute("INSERT INTO snapshots VALUES (?, ?, ?)", (branch, number, snapshot))
        now = replace(now, snapshot=number, since=0)
    places = segments.append(list(records.items()))
    at = [(digest, p.segment, p.offset, p.length) for digest, p in zip(records, places)]
    db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", at)
    row = (
        *(branch, number, world.step, before.events, bytes.fromhex(world.state), world.history.head),
        *(None if held == number else held, *made, msgspec.msgpack.encode(changes), packed(lines)),
        *(moment if held == number else (None, None)),
    )
    db.execute(INSERT_COMMIT, row)
    if fingerprint is not None and any(b'"kind":"model"' in line for line in lines):
        value = msgspec.json.encode(dict(fingerprint)).decode()
        db.execute("INSERT INTO fingerprints VALUES (?, ?, ?)", (branch, number, value))
    last = world.motion, world.physics
    return Tip(tip.lineage.grown(number), now, moment, held, dict(world.parts), last)


_KNOWN = "SELECT 1 FROM records WHERE digest = ?"


def _following(world: World, tip: Fold) -> tuple[list[bytes], bool]:
    """The events that a world has more than its branch, as stored, and whether it has made a memory too."""
    events, memories = world.history.events[tip.events :], len(world.history) - max(0, tip.step)
    made = world.step - tip.step
    if made not in (0, 1) or (made == 0 and not events):
        expected = f"step {tip.step + 1} of branch {world.branch!r}, or edits of step {tip.step}"
        raise ValueError(f"expected {expected}, got step {world.step}")
    lines = [event.to_bytes() for event in events]
    new = bool(made and world.step)  # a world begins with a commit that made no memory
    if not events or memories != new or chain(tip.head, lines) != world.history.head:
        raise ValueError(f"expected a world that follows step {tip.step} of {world.branch!r}, got another past")
    return lines, new
