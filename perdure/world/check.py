"""Whether a world is whole: every byte of every record, every link of every chain, every state from its parts.

Opening a world verifies what came since its last snapshot. This verifies all there is, from the first
event of each branch on, and says where it is not what it was.
"""

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from perdure.world.action import Action
from perdure.world.fold import Fold, grown, restored
from perdure.world.history import Event, Memory
from perdure.world.rows import Lineage, Row, Rows, chain, inflated, split, unpack_eye, unpack_motion
from perdure.world.segment import DamagedError, Place
from perdure.world.state import PIECES, state_root
from perdure.world.store import Store

Progress = Callable[[float, str], None]
"""Told how much is done, 0 to 1, and what is being done."""

RECORDS = 0.6  # of the time goes into records, the rest into commits
_CHUNK = 256
UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, AssertionError),
    *(OSError, sqlite3.DatabaseError, msgspec.MsgspecError, zlib.error, struct.error),
)
"""What reading raises where a row is not what it was: its columns may hold anything."""


def quiet(_: float, __: str) -> None: ...


@dataclass(frozen=True)
class Fault:
    where: str
    what: str


@dataclass(frozen=True)
class Standing:
    """A branch, and how far it is as it was."""

    branch: int  # its number in the tables
    last: int  # its last commit
    steps: int
    good: int  # the last commit that it can be trusted up to, or -1
    good_steps: int


@dataclass(frozen=True)
class Report:
    faults: tuple[Fault, ...] = ()
    branches: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    commits: int = 0
    events: int = 0
    records: int = 0
    size: int = 0  # bytes of records
    damaged: frozenset[bytes] = frozenset()  # digests of records that are not what they were, or not there
    snapshots: frozenset[tuple[int, int]] = frozenset()  # branch and number of those that are wrong

    @property
    def whole(self) -> bool:
        return not self.faults


def check(folder: Path, progress: Progress = quiet) -> Report:
    """Verify all of a world. What it finds is in the report; it raises only where there is no world at all."""
    if not (folder / "world.db").is_file():
        raise ValueError(f"no world at {folder}: see `perdure ls`")
    try:
        with Store.open(folder, write=False) as store:
            return examine(store.rows, progress)
    except UNREADABLE as error:
        return Report((Fault("its tables", str(error)),))


def examine(rows: Rows, progress: Progress = quiet) -> Report:
    walk, tries = _walked(rows, progress), 1
    while walk.moved() and tries < 4:
        walk, tries = _walked(rows, progress), tries + 1
    return walk.report()


def _walked(rows: Rows, progress: Progress) -> "_Walk":
    rows.ask("BEGIN")  # whoever plays it meanwhile: this sees one moment
    try:
        walk = _Walk(rows, progress)
        walk.guarded("its tables", walk.tables)
        walk.guarded("its records", walk.records)
        for name in walk.spans:
            walk.guarded(f"branch {name}", lambda name=name: walk.branch(name))
        walk.guarded("its tables", walk.rest)
        return walk
    finally:
        rows.ask("ROLLBACK")


@dataclass
class _Span:
    """A branch as its row has it."""

    id: int
    parent: int | None
    at: int | None
    last: int  # its own last commit; where it left its parent, if it has none


class _Walk:
    def __init__(self, rows: Rows, progress: Progress) -> None:
        self.rows, self.progress = rows, progress
        self.faults: list[Fault] = []
        self.damaged: dict[bytes, str] = {}  # records, and what is wrong with each
        self.places: dict[bytes, Place] = {}  # where those lay
        self.missing: set[bytes] = set()
        self.named: set[bytes] = set()  # those of them that a fault was told for
        self.snapshots: set[tuple[int, int]] = set()
        self.folds: dict[tuple[int, int], Fold] = {}  # at the commits that branches begin after
        self.good: dict[int, Fold] = {}  # of each branch, the last that is as it was
        self.standings: dict[str, Standing] = {}
        self.counts = {"commits": 0, "events": 0, "records": 0, "size": 0}
        self.spans = self._spans()
        self.total = max(1, self.rows.ask("SELECT count(*) FROM commits")[0][0])
        owners = (self._owner(span.parent, span.at) for span in self.spans.values())
        self.wanted = {owner for owner in owners if owner is not None}

    def _spans(self) -> dict[str, _Span]:
        query = (
            "SELECT name, id, parent, at, coalesce((SELECT max(number) FROM commits WHERE branch = id), at, -1) "
            "FROM branches ORDER BY id"
        )
        return {str(name): _Span(*rest) for name, *rest in self.rows.ask(query)}

    def _owner(self, branch: int | None, at: int | None) -> tuple[int, int] | None:
        """The branch whose own a commit is: one may have left its parent before that one's first."""
        by_id = {span.id: span for span in self.spans.values()}
        while branch is not None and at is not None:
            if branch not in by_id:
                return None
            span = by_id.pop(branch)  # one that comes from itself is not found again
            if span.parent is None or span.at is None or at > span.at:
                return branch, at
            branch = span.parent
        return None

    def guarded(self, where: str, look: Callable[[], None]) -> None:
        try:
            look()
        except UNREADABLE as error:
            self.faults.append(Fault(where, str(error)))

    def tables(self) -> None:
        self.progress(0.0, "checking the tables")
        for (line,) in self.rows.ask("PRAGMA integrity_check(20)"):
            if line != "ok":
                self.faults.append(Fault("its tables", str(line)))

    def records(self) -> None:
        (total,) = self.rows.ask("SELECT coalesce(sum(length), 0) FROM records")[0]
        query = (
            "SELECT digest, segment, offset, length FROM records WHERE (segment, offset) > (?, ?) "
            f"ORDER BY segment, offset LIMIT {_CHUNK}"
        )
        at = (-1, -1)
        while found := self.rows.ask(query, at):
            for digest, *numbers in found:
                place = Place(*numbers)
                try:
                    self.rows.segments.check(place, digest)
                except (DamagedError, OSError, ValueError) as error:
                    self.damaged[digest], self.places[digest] = str(error), place
                self.counts["records"] += 1
                self.counts["size"] += place.length
                at = place.segment, place.offset
            self.progress(RECORDS * self.counts["size"] / max(total, 1), "reading records")

    def moved(self) -> bool:
        """Whether damaged records lie elsewhere by now, or nowhere: who pruned the world took away what was read."""
        query = "SELECT segment, offset, length FROM records WHERE digest = ?"
        return any(self.rows.ask(query, (digest,)) != [place] for digest, place in self.places.items())

    def branch(self, name: str) -> None:
        span = self.spans[name]
        now, start, owner = Fold(), 0, self._owner(span.parent, span.at)
        broken = ""
        if span.parent is not None and span.at is not None:
            if owner is None or owner not in self.folds:
                whose = next((n for n, it in self.spans.items() if owner and it.id == owner[0]), str(span.parent))
                broken = f"it goes on from commit {span.at} of {whose}, which is not whole"
                now = self.good.get(owner[0] if owner else span.parent, Fold())
            else:
                now, start = self.folds[owner], span.at + 1
        lineage = _lineage(self.rows, name)
        while not broken and start <= span.last:
            for number in range(start, min(start + _CHUNK, span.last + 1)):
                try:
                    now = self._commit(name, span, lineage, self._row(span.id, number), now)
                except UNREADABLE as error:
                    broken = f"commit {number}: {error}"
                    break
                if (span.id, number) in self.wanted:
                    self.folds[span.id, number] = now
            start += _CHUNK
            self.progress(RECORDS + (1 - RECORDS) * self.counts["commits"] / self.total, f"following {name}")
        if not broken and lineage is not None:
            try:
                restored(self.rows, name, lineage, now, self.rows.row(lineage, now.number))
            except UNREADABLE as error:
                broken = str(error)
        if broken:
            self.faults.append(Fault(f"branch {name}", broken))
        self.good[span.id] = now
        self.standings[name] = Standing(span.id, span.last, self._steps(lineage, now), now.number, now.step)

    def _row(self, branch: int, number: int) -> Row:
        query = f"SELECT {', '.join(Row._fields)} FROM commits WHERE branch = ? AND number = ?"
        found = self.rows.ask(query, (branch, number))
        if not found:
            raise DamagedError("it is missing")
        return Row(*found[0])

    def _steps(self, lineage: Lineage | None, now: Fold) -> int:
        try:
            return now.step if lineage is None else self.rows.row(lineage, lineage.last).step
        except UNREADABLE:
            return now.step

    def _commit(self, name: str, span: _Span, lineage: Lineage | None, row: Row, now: Fold) -> Fold:
        """The fold once a commit has followed; raises where the branch cannot be trusted from it on."""
        if row.number != now.number + 1:
            raise DamagedError(f"it comes after commit {now.number}")
        lines, moving = row.lines, self._moment(row, lineage)
        pruned = moving is None
        after = grown(self.rows, now, row)
        if chain(now.head, lines) != row.head:
            raise DamagedError("its events do not lead to its head")
        events = [msgspec.json.decode(line, type=Event) for line in lines]
        if [event.seq for event in events] != list(range(now.events, after.events)):
            raise DamagedError("its events are not numbered in order")
        came = [digest for _, _, between in row.delta.values() for digest in split(between)]
        self._have(came, pruned)
        where = f"step {row.step} of {name}"
        parts = {part: after.parts.get(part, ()) for part in PIECES}
        if moving is not None and state_root(parts, moving) != row.state:
            raise DamagedError("its parts do not give its state")
        if row.latent is not None:
            self._memory(row, events, pruned, where)
        for event in events:
            for digest in event.records:
                self._tell(digest, f"event {event.seq} of {name}", "a value that it replaced or wrote")
        found = self.rows.ask("SELECT digest FROM snapshots WHERE branch = ? AND number = ?", (span.id, row.number))
        if found and (found[0][0] != hashlib.sha256(after.to_bytes()).digest() or found[0][0] in self.damaged):
            self.snapshots.add((span.id, row.number))
            self.named.add(found[0][0])
            self.faults.append(Fault(f"the snapshot at {where}", "it is not what its commits come to"))
        self.counts["commits"] += 1
        self.counts["events"] += len(events)
        return after

    def _have(self, digests: list[bytes], pruned: bool) -> None:
        """Raise unless pieces are there, or may have been pruned."""
        for digest in digests:
            if digest in self.damaged:
                self.named.add(digest)
                raise DamagedError(f"a piece of it is damaged: {self.damaged[digest]}")
            if not pruned and not self.rows.known(digest):
                raise DamagedError(f"it names a record {digest.hex()[:12]} that is not there")

    def _moment(self, row: Row, lineage: Lineage | None) -> bytes | None:
        """What moves; None where it was pruned."""
        if lineage is None:
            raise DamagedError("the branches that it comes from are not there")
        held = row.number if row.held is None else row.held
        if row.eye is not None and not np.isfinite(unpack_eye(row.eye)[1]).all():
            raise DamagedError("its memory was seen from nowhere")
        motion, moving = self.rows.one(
            "SELECT motion, moving FROM commits WHERE branch = ? AND number = ?", lineage, held
        )
        if motion is None and moving is None:
            return None
        if motion is None or moving is None:
            raise DamagedError("it does not say where all was")
        seen = unpack_motion(motion)
        if row.eye is not None and row.held is None:
            intrinsics, pose = unpack_eye(row.eye)
            if intrinsics != seen.intrinsics or pose.tobytes() != seen.cameras[-1].tobytes():
                raise DamagedError("its memory was not seen from where its camera was")
        return inflated(moving)

    def _memory(self, row: Row, events: list[Event], pruned: bool, where: str) -> None:
        assert row.latent is not None and row.action is not None
        said = [event.args for event in events if event.kind == "act" and "keys" in event.args]
        done = msgspec.json.encode(Action.from_bytes(row.action).said(), order="deterministic")
        if said and msgspec.json.encode(said[0], order="deterministic") != done:
            raise DamagedError("its memory is not of the action that its events tell of")
        if row.latent in self.damaged:
            return self._tell(row.latent, where, "its latent")
        if not self.rows.known(row.latent):
            if not pruned:
                self._tell(row.latent, where, "its latent")
            return
        memory = self.rows.memory(row)
        again = Memory.of(memory.step, memory.latent, memory.pose, memory.intrinsics, memory.action)
        if again.key != row.key:
            raise DamagedError("its memory does not give its key")

    def _tell(self, digest: bytes, where: str, what: str) -> None:
        """Note a record that is damaged, or not there, and without which the branch goes on all the same."""
        if digest in self.damaged:
            self.named.add(digest)
            self.faults.append(Fault(where, f"{what} is damaged: {self.damaged[digest]}"))
        elif not self.rows.known(digest):
            self.missing.add(digest)
            self.faults.append(Fault(where, f"{what} is not there"))

    def rest(self) -> None:
        """What no branch has led to."""
        for digest, what in self.damaged.items():
            if digest not in self.named:
                self.faults.append(Fault(f"record {digest.hex()[:12]}", what))
        for key, value in self.rows.ask("SELECT 'of ' || branch || ' from ' || number, value FROM fingerprints"):
            try:
                msgspec.json.decode(value, type=dict[str, str])
            except UNREADABLE as error:
                self.faults.append(Fault(f"the fingerprint {key}", str(error)))
        self.progress(1.0, "checked")

    def report(self) -> Report:
        return Report(
            tuple(self.faults), self.standings, **self.counts,
            damaged=frozenset(self.damaged) | self.missing, snapshots=frozenset(self.snapshots),
        )  # fmt: skip


def _lineage(rows: Rows, name: str) -> Lineage | None:
    try:
        return rows.lineage(name)
    except UNREADABLE:
        return None
