"""From rows to a world: the last snapshot, and the commits since, folded over it.

What is folded is small: lists of digests, the trail, counts. Pieces are looked into where they lie, and
the past is left where it is, so a world with years behind it opens as fast as a new one.
"""

from dataclasses import dataclass, field, replace

import msgspec

from perdure.world.history import GENESIS, Event, History
from perdure.world.index import Index
from perdure.world.rows import Lineage, Recollection, Row, Rows, applied, chain, split, unpack_eye
from perdure.world.segment import DamagedError
from perdure.world.state import PIECES, World


@dataclass(frozen=True)
class Fold:
    """A branch at a commit, as far as the commits to come need to know it."""

    number: int = -1
    step: int = -1
    events: int = 0  # the seq of the next
    head: bytes = GENESIS
    parts: dict[str, tuple[bytes, ...]] = field(default_factory=dict[str, tuple[bytes, ...]])
    trail: Index = field(default_factory=Index)
    snapshot: int = -1  # the commit whose snapshot it was folded from
    since: int = 0  # events since

    def to_bytes(self) -> bytes:
        """As a snapshot; what the row of its commit says is not said again."""
        parts = {name: b"".join(digests) for name, digests in self.parts.items()}
        return msgspec.msgpack.encode((self.events, parts, self.trail.to_bytes()), order="deterministic")

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, row: Row) -> "Fold":
        events, parts, trail = msgspec.msgpack.decode(payload, type=tuple[int, dict[str, bytes], bytes])
        digests = {name: split(joined) for name, joined in parts.items()}
        return cls(row.number, row.step, events, row.head, digests, Index.from_bytes(trail), row.number)


def fold(rows: Rows, lineage: Lineage, check: bool = False, snapshots: bool = True) -> tuple[Fold, Row]:
    """The branch as it stands, and its last commit.

    `check`: raise `DamagedError` unless the commits since the last snapshot, and the records that came in with them,
    are byte for byte what their hashes say. Without `snapshots` that is every commit there is.
    """
    now, found = Fold(), rows.snapshot(lineage) if snapshots else None
    last: Row | None = None
    if found is not None:
        number, digest = found
        with rows.reading(f"the snapshot of commit {number}"):
            rows.check(digest)
            last = rows.row(lineage, number)
            now = Fold.from_bytes(rows.record(digest), last)
    for first in range(now.number + 1, lineage.last + 1, CHUNK):
        for row in rows.rows(lineage, first, min(first + CHUNK - 1, lineage.last)):
            with rows.reading(f"commit {row.number}, step {row.step}"):
                now = grown(rows, now, row, check)
            last = row
    assert last is not None
    return now, last


CHUNK = 256  # rows in memory at once


def grown(rows: Rows, now: Fold, row: Row, check: bool = False) -> Fold:
    """The branch once a commit has followed."""
    lines, parts, trail = row.lines, now.parts, now.trail
    if row.first_event != now.events or row.step - now.step not in (0, 1):
        raise DamagedError("it does not follow the one before it")
    changed = row.delta
    if changed:
        parts = parts | {name: applied(parts.get(name, ()), *change) for name, change in changed.items()}
    if row.eye is not None:
        trail = trail.add(row.step - 1, unpack_eye(row.eye)[1])
    if check:
        if chain(now.head, lines) != row.head:
            raise DamagedError("its events do not lead to its head")
        for digest in named(row):
            rows.check(digest)
    events = now.events + len(lines)
    return replace(
        now,
        number=row.number,
        step=row.step,
        events=events,
        head=row.head,
        parts=parts,
        trail=trail,
        since=now.since + len(lines),
    )


def named(row: Row) -> list[bytes]:
    """The digests of all records that came in with a commit, or were there already."""
    digests = [digest for _, _, between in row.delta.values() for digest in split(between)]
    edits = (line for line in row.lines if b'"old":' in line or b'"new":' in line)
    digests += [digest for line in edits for digest in msgspec.json.decode(line, type=Event).records]
    return digests if row.latent is None else [*digests, row.latent]


def restored(rows: Rows, branch: str, lineage: Lineage, now: Fold, row: Row) -> World:
    """The world at a commit; that its parts give the state that the commit named is checked."""
    with rows.reading(f"commit {row.number}, step {row.step} of branch {branch!r}"):
        motion, moving = rows.moment(lineage, row)
        parts = {name: tuple(rows.piece(name, d) for d in now.parts.get(name, ())) for name in PIECES}
        made = row if row.latent is not None or not row.step else None
        made = made or rows.row(lineage, rows.number_of_step(lineage, row.step))
        found = World.restore(
            name=rows.folder.name,
            branch=branch,
            step=row.step,
            seed=rows.meta["seed"],
            scene=tuple(rows.meta["scene"]),
            parts=parts,
            moving=moving,
            history=History.resume(Recollection(rows, lineage), row.step, now.events, row.head, now.trail),
            motion=motion,
            fresh=len(split(row.delta.get("keyframes", (0, 0, b""))[2])) if row.step and row.latent is not None else 0,
            before=msgspec.json.decode(made.lines[-1], type=Event).before,
        )
        if bytes.fromhex(found.state) != row.state:
            raise DamagedError("its parts do not give its state")
    return found
