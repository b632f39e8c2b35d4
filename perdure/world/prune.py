"""What a world lets go of, so that it can grow for years: what nothing that is to come depends on.

Of steps beyond a horizon, one cannot go back to them exactly any more, and so much goes: where all was, the
pieces that are of the state no longer, and latents that no branch can recall. What has happened stays: events
and the values that edits replaced, anchors, one look at everyone who ever was, and the end of every branch
with all that it may draw from. So the present of no branch changes by a bit.

What stays of a segment that holds much else is copied into a new one, which is durable before one transaction
says so; only then is the old one removed. A kill at any instant leaves a world that opens.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import cast

import msgspec

from perdure.world.check import Progress, quiet
from perdure.world.fold import fold, named
from perdure.world.folder import writing
from perdure.world.history import Note
from perdure.world.identity import Entity
from perdure.world.rows import Lineage, Row, Rows, split
from perdure.world.segment import Place, Segments, sync_folder
from perdure.world.state import FINDING_LAG
from perdure.world.store import Store

RECENT = 64  # steps before the horizon whose latents the first after it may remember, whatever the model
BEFORE = FINDING_LAG - 1  # steps before one that is gone back to, which it is opened with
FEWEST = 512  # steps that a quota leaves
SPARSE = 4096  # commits: of the snapshots beyond the horizon, one in so many stays
DEAD = 0.1  # a segment is written anew when more than this share of it can go
STEPS_AN_HOUR = 6 * 3600
_CHUNK = 256
_BATCH = 1 << 23


class Policy(msgspec.Struct, frozen=True):
    """What a world may keep; None: all."""

    keep_steps: int | None = None  # of each branch, how many of the last steps one can go back to exactly
    quota: int | None = None  # bytes on the disk

    def __post_init__(self) -> None:
        for name in ("keep_steps", "quota"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"expected {name} of at least 1, or none, got {value}")


@dataclass(frozen=True)
class Plan:
    """What pruning would free, and what one could no longer do."""

    keep_steps: int | None
    size: int  # bytes on the disk now
    quota: int | None
    frees: Mapping[str, int]  # bytes of latents, pieces, snapshots, unnamed records, and moments (where all was)
    horizons: Mapping[str, int]  # of each branch, the first step that one can go back to afterwards

    @property
    def freed(self) -> int:
        return sum(self.frees.values())

    @property
    def over(self) -> int:
        """Bytes above the quota, even then."""
        return max(0, self.size - self.freed - self.quota) if self.quota else 0


def policy(store: Store) -> Policy:
    found = store.rows.ask("SELECT value FROM meta WHERE key = 'policy'")
    return msgspec.json.decode(found[0][0], type=Policy) if found else Policy()


def set_policy(store: Store, policy: Policy) -> None:
    value = msgspec.json.encode(policy).decode()
    with store.alone() as change, change() as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('policy', ?)", (value,))


def excess(store: Store) -> int:
    """Bytes that a world has above its quota. It can be played all the same."""
    quota = policy(store).quota
    return max(0, store.summary().size - quota) if quota else 0


def growth(store: Store) -> float:
    """Bytes an hour of play, as its branch has grown lately."""
    rows, lineage = store.rows, store.rows.lineage(store.branch)
    first = max(0, lineage.last - 4096)
    took, known, began = 0, set[bytes](), rows.row(lineage, first).step
    for row in _rows(rows, lineage, first + 1, lineage.last):
        known.update(named(row))
        took += sum(len(value) for value in row if isinstance(value, bytes)) + 64
    for branch, last in lineage.spans:
        span = branch, first + 1, last
        took += rows.ask(
            "SELECT coalesce(sum(coalesce(length(motion), 0) + coalesce(length(moving), 0)), 0) FROM commits "
            "WHERE branch = ? AND number BETWEEN ? AND ?",
            span,
        )[0][0]
        query = "SELECT digest FROM snapshots WHERE branch = ? AND number BETWEEN ? AND ?"
        known.update(digest for (digest,) in rows.ask(query, span))
    old = {digest for row in _rows(rows, lineage, max(0, first - _CHUNK), first) for digest in named(row)}
    for digest in known - old:
        found = rows.ask("SELECT segment, offset, length FROM records WHERE digest = ?", (digest,))
        took += sum(Place(*place).end - Place(*place).offset + 96 for place in found)
    steps = rows.row(lineage, lineage.last).step - began
    return took / steps * STEPS_AN_HOUR if steps else 0.0


def plan(store: Store, progress: Progress = quiet, wanted: Policy | None = None) -> Plan:
    """What `prune` would do now, by the world's policy or by another. Nothing is changed."""
    return _choose(store, progress, wanted).plan


def prune(store: Store, progress: Progress = quiet) -> Plan:
    """Let go of what the policy does not keep; what was freed."""
    before = plan(store, lambda share, what: progress(share * 0.3, what))
    if not before.freed:
        with store.alone():
            _tidy(store)  # what a pruning that was cut short has left
        return before
    world = store.world()
    said = {"keep_steps": before.keep_steps, "quota": before.quota, "horizon": before.horizons[world.branch]}
    store.commit(world.log(Note("prune", "keeper", (), said), before=world.state))
    with store.alone() as change:
        mark = _choose(store, lambda share, what: progress(0.3 + share * 0.3, what))
        _sweep(store, mark, change, lambda share, what: progress(0.6 + share * 0.4, what))
    progress(1.0, "pruned")
    return mark.plan


# Marking


@dataclass
class _Mark:
    """What goes."""

    plan: Plan
    dead: dict[bytes, str] = field(default_factory=dict[bytes, str])  # records, and what each is
    segments: frozenset[int] = frozenset()  # that will be written anew
    moments: dict[int, list[tuple[int, int]]] = field(default_factory=dict[int, list[tuple[int, int]]])
    snapshots: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


@dataclass
class _Branch:
    name: str
    lineage: Lineage
    horizon: int  # the first commit that stays exact
    step: int  # that it made


def _choose(store: Store, progress: Progress, wanted: Policy | None = None) -> _Mark:
    """The mildest pruning that the policy asks for, or the harshest that there is."""
    wanted, size = wanted or policy(store), store.summary().size
    longest = max(store.branches().values(), default=0)
    keep = wanted.keep_steps
    mark = _mark(store.rows, keep, size, wanted.quota, progress)
    while mark.plan.over and (keep is None or keep > FEWEST):
        keep = max(FEWEST, (longest if keep is None else keep) // 2)
        mark = _mark(store.rows, keep, size, wanted.quota, progress)
        if keep <= FEWEST:
            break
    return mark


def _mark(rows: Rows, keep: int | None, size: int, quota: int | None, progress: Progress) -> _Mark:
    branches = [_horizon(rows, name, keep) for name in rows.branches()]
    live, kinds = set[bytes](), dict[bytes, str]()
    for i, branch in enumerate(branches):
        progress(0.4 * i / len(branches), f"following {branch.name}")
        live |= _living(rows, branch)
    progress(0.4, "following what has happened")
    live |= _always(rows, kinds, live)
    moments = _moments(rows, branches)
    live |= _beside(rows, moments)
    going, kept = _snapshots(rows, branches)
    live |= kept
    kinds |= dict.fromkeys((digest for digest, _, _ in going), "snapshots")
    dead, segments, frees = _dead(rows, live, kinds, lambda share, what: progress(0.6 + 0.4 * share, what))
    frees["moments"] = sum(
        rows.ask(
            "SELECT coalesce(sum(coalesce(length(motion), 0) + coalesce(length(moving), 0)), 0) FROM commits "
            "WHERE branch = ? AND number BETWEEN ? AND ?",
            (id, *span),
        )[0][0]
        for id, spans in moments.items()
        for span in spans
    )
    horizons = {branch.name: branch.step + BEFORE if branch.step else 0 for branch in branches}
    done = Plan(keep, size, quota, {kind: count for kind, count in frees.items() if count}, horizons)
    return _Mark(done, dead, segments, moments, [(branch, number) for _, branch, number in going])


def _horizon(rows: Rows, name: str, keep: int | None) -> _Branch:
    """Where the exact past of a branch begins: never after its last snapshot, which it is opened from."""
    lineage = rows.lineage(name)
    last = rows.row(lineage, lineage.last)
    step = 0
    if keep is not None and last.step > keep + BEFORE:
        snapshot = rows.snapshot(lineage)
        wanted = max(0, last.step - keep - BEFORE)
        number = min(rows.number_of_step(lineage, wanted), snapshot[0] if snapshot else 0)
        step = rows.row(lineage, number).step
    step = max(step, _left(rows, lineage))
    # The commit that made it: edits of that step come after.
    return _Branch(name, lineage, rows.number_of_step(lineage, step) if step else 0, step)


def _left(rows: Rows, lineage: Lineage) -> int:
    """The first step from which on all is exact as it is, whatever was pruned before."""
    first, step = 0, 0
    for branch, last in lineage.spans:
        query = "SELECT max(number) FROM commits WHERE branch = ? AND number BETWEEN ? AND ? "
        (gone,) = rows.ask(query + "AND held IS NULL AND motion IS NULL", (branch, first, last))[0]
        if gone is not None:
            step = rows.row(lineage, gone).step + 1
        first = last + 1
    return step


def _living(rows: Rows, branch: _Branch) -> set[bytes]:
    """Records that the branch's own end may need: its pieces since the horizon, and latents that it may recall."""
    then, _ = fold(rows, branch.lineage.until(branch.horizon))
    live = {digest for digests in then.parts.values() for digest in digests}
    recalled = then.trail.numbers
    first = max(0, branch.step - RECENT)
    start = rows.number_of_step(branch.lineage, first)
    for row in _rows(rows, branch.lineage, start, branch.lineage.last):
        if row.number > branch.horizon:
            live.update(digest for _, _, between in row.delta.values() for digest in split(between))
        if row.latent is not None:
            live.add(row.latent)
    for number in recalled:
        if number + 1 < first:
            row = rows.row(branch.lineage, rows.number_of_step(branch.lineage, number + 1))
            if row.latent is not None:
                live.add(row.latent)
    return live


def _always(rows: Rows, kinds: dict[bytes, str], live: set[bytes]) -> set[bytes]:
    """Records that stay however old: values of edits, anchors, and of everyone the last that was kept of him."""
    stay, people = set[bytes](), dict[tuple[int, int], bytes]()
    for name in rows.branches():
        lineage = rows.lineage(name)
        *above, (owner, _) = lineage.spans
        if owner != lineage.branch:
            continue  # it has no commits of its own
        first = above[-1][1] + 1 if above else 0
        for row in _rows(rows, lineage, first, lineage.last):
            for part, (_, _, between) in row.delta.items():
                for digest in split(between):
                    kinds[digest] = "pieces"
                    if part == "anchors":
                        stay.add(digest)
                    elif part == "entities" and digest not in live and rows.known(digest):
                        entity = cast(Entity, rows.piece(part, digest))
                        people[lineage.branch, entity.id] = digest
            named_here = named(row)
            values = named_here[sum(len(split(it[2])) for it in row.delta.values()) :]
            if row.latent is not None:
                kinds[row.latent] = "latents"
                values = values[:-1]
            stay.update(values)
    return stay | set(people.values())


def _snapshots(rows: Rows, branches: list[_Branch]) -> tuple[list[tuple[bytes, int, int]], set[bytes]]:
    """Those that go: digest, branch, number; and the digests of those that stay."""
    found = rows.ask("SELECT digest, branch, number FROM snapshots ORDER BY branch, number")
    needed = set[tuple[int, int]]()
    for branch in branches:
        for id, last in branch.lineage.spans:
            numbers = [number for _, owner, number in found if owner == id and number <= last]
            needed.update((id, number) for number in numbers if number >= branch.horizon)
            needed.update((id, number) for number in [n for n in numbers if n < branch.horizon][-1:])
    going = [
        (digest, id, number)
        for digest, id, number in found
        if (id, number) not in needed and number % SPARSE >= SPARSE // 16
    ]
    gone = {(id, number) for _, id, number in going}
    return going, {digest for digest, id, number in found if (id, number) not in gone}


def _moments(rows: Rows, branches: list[_Branch]) -> dict[int, list[tuple[int, int]]]:
    """Of each branch, the spans of its own commits that no branch can go back to any more."""
    out: dict[int, list[tuple[int, int]]] = {}
    for owner, first, last in rows.ask("SELECT branch, min(number), max(number) FROM commits GROUP BY branch"):
        exact: list[tuple[int, int]] = []
        for branch in branches:
            exact += [
                (branch.horizon, end) for id, end in branch.lineage.spans if id == owner and end >= branch.horizon
            ]
        at = first
        for begin, end in sorted(exact):
            if begin > at:
                out.setdefault(owner, []).append((at, begin - 1))
            at = max(at, end + 1)
        if at <= last:
            out.setdefault(owner, []).append((at, last))
    return out


def _beside(rows: Rows, moments: Mapping[int, list[tuple[int, int]]]) -> set[bytes]:
    """Pieces of edits that are older than their own branch's horizon, made at a moment that stays for another branch's
    sake: what has a moment is whole, and `check` holds it to that."""
    stay = set[bytes]()
    for name, id in rows.branches().items():
        lineage = rows.lineage(name)
        if lineage.spans[-1][0] != id:
            continue  # it has no commits of its own
        for first, last in moments.get(id, ()):
            for row in _rows(rows, lineage, first, last):
                if row.held is None or row.held >= first:
                    break  # from here on they are of moments that go
                gone = moments.get(lineage.owner(row.held), ())
                if not any(begin <= row.held <= end for begin, end in gone):
                    stay.update(digest for _, _, between in row.delta.values() for digest in split(between))
    return stay


def _dead(
    rows: Rows, live: set[bytes], kinds: Mapping[bytes, str], progress: Progress
) -> tuple[dict[bytes, str], frozenset[int], dict[str, int]]:
    """Records that go, the segments they lie in, and the bytes of each kind: where it is worth the copying."""
    sizes: dict[int, int] = {}
    dead: dict[int, list[tuple[bytes, int]]] = {}
    for digest, place in _records(rows, progress):
        size = place.end - place.offset
        sizes[place.segment] = sizes.get(place.segment, 0) + size
        if digest not in live:
            dead.setdefault(place.segment, []).append((digest, size))
    going: dict[bytes, str] = {}
    frees: dict[str, int] = {}
    worth = frozenset(s for s, items in dead.items() if sum(size for _, size in items) > DEAD * sizes[s])
    for segment in worth:
        for digest, size in dead[segment]:
            going[digest] = kinds.get(digest, "unnamed")
            frees[going[digest]] = frees.get(going[digest], 0) + size
    return going, worth, frees


def _records(rows: Rows, progress: Progress = quiet) -> Iterator[tuple[bytes, Place]]:
    (total,) = rows.ask("SELECT count(*) FROM records")[0]
    last, done = (-1, -1), 0
    query = (
        "SELECT digest, segment, offset, length FROM records WHERE (segment, offset) > (?, ?) "
        f"ORDER BY segment, offset LIMIT {_CHUNK}"
    )
    while found := rows.ask(query, last):
        for digest, *numbers in found:
            yield digest, Place(*numbers)
        last, done = (found[-1][1], found[-1][2]), done + len(found)
        progress(done / total, "looking through records")


def _rows(rows: Rows, lineage: Lineage, first: int, last: int) -> Iterator[Row]:
    for at in range(first, last + 1, _CHUNK):
        yield from rows.rows(lineage, at, min(at + _CHUNK - 1, last))


# Sweeping


def _sweep(
    store: Store, mark: _Mark, change: Callable[[], AbstractContextManager[Connection]], progress: Progress
) -> None:
    before = set(store.folder.glob("*.segment"))
    try:
        with writing(store.name):
            moved = _moved(store.rows, mark, lambda share, what: progress(0.7 * share, what))
    except BaseException:
        for path in set(store.folder.glob("*.segment")) - before:
            path.unlink()  # on a full disk too, all is as it was
        raise
    with change() as db:
        db.executemany("DELETE FROM records WHERE digest = ?", [(digest,) for digest in mark.dead])
        db.executemany("UPDATE records SET segment = ?, offset = ? WHERE digest = ?", moved)
        db.executemany("DELETE FROM snapshots WHERE branch = ? AND number = ?", mark.snapshots)
        for id, spans in mark.moments.items():
            for span in spans:
                query = "UPDATE commits SET motion = NULL, moving = NULL WHERE branch = ? AND number BETWEEN ? AND ?"
                db.execute(query, (id, *span))
    progress(0.8, "removing what went")
    _tidy(store)
    store.shrink()


def _moved(rows: Rows, mark: _Mark, progress: Progress) -> list[tuple[int, int, bytes]]:
    """Copy what stays of some segments into new ones: where each record is now."""
    staying = [(digest, place) for digest, place in _records(rows) if place.segment in mark.segments]
    staying = [(digest, place) for digest, place in staying if digest not in mark.dead]
    moved: list[tuple[int, int, bytes]] = []
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    writer = Segments(rows.folder)
    try:
        if staying:
            writer.open_to_write(rows.end().segment + 1, 0)
        for number, (digest, place) in enumerate(staying, 1):
            with rows.reading("what is to stay"):
                rows.segments.check(place, digest)  # what is damaged is not copied
            batch.append((digest, bytes(rows.segments.read(place, digest))))
            size += place.length
            if size >= _BATCH or number == len(staying):
                places = writer.append(batch)
                moved += [(new.segment, new.offset, old) for (old, _), new in zip(batch, places)]
                batch, size = [], 0
            progress(number / len(staying), "copying what stays")
    finally:
        writer.close()
    sync_folder(rows.folder)
    return moved


def _tidy(store: Store) -> None:
    """Remove segments of which nothing is named any more; the last is being written to."""
    held = {segment for (segment,) in store.rows.ask("SELECT DISTINCT segment FROM records")}
    last = store.rows.end().segment
    for path in store.folder.glob("*.segment"):
        if int(path.stem) < last and int(path.stem) not in held:
            path.unlink()
    sync_folder(store.folder)
