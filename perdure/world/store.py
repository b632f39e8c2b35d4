"""The store: one folder a world, from which it is found exactly as it was left.

    home/NAME/world.db           SQLite: branches, one row a commit, and where each record lies (see rows.py)
             /000000.segment     latents, keyframes, entities, mechanisms, snapshots (see segment.py)
             /lock               held by the one process that writes

A step, or an edit between two steps, is one transaction, made durable before `commit` returns. A fork is
a row that names its parent and the commit that it left it at, and so is what `goto` leaves: nothing is
copied. Every so many commits a snapshot says what they come to, so that opening reads only those since.
"""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from perdure.world.fold import Fold, fold, restored
from perdure.world.folder import check_name, files, home, lock, refuse_network, unlock, writing
from perdure.world.history import Note, Past
from perdure.world.migrate import tidy, upgrade, upgraded
from perdure.world.rows import FORMAT, SCHEMA, Commit, Lineage, Recollection, Rows
from perdure.world.segment import Segments, make_folder, sync_folder
from perdure.world.state import FINDING_LAG, World
from perdure.world.tip import Tip, write

__all__ = ["Store", "Summary", "home", "list_worlds"]

MAIN = "main"


@dataclass(frozen=True)
class Summary:
    """A world in a listing."""

    name: str
    folder: Path
    scene: tuple[str, int]
    branches: Mapping[str, int]  # name -> steps made
    size: int  # bytes on the disk
    damage: str = ""  # why it cannot be opened, if it cannot


def list_worlds(folder: Path) -> list[Summary]:
    """The worlds kept in a home folder, by name; those that are damaged too."""
    found = sorted(path.parent for path in folder.glob("*/world.db")) if folder.is_dir() else []
    out: list[Summary] = []
    for path in found:
        if path.name.startswith("."):
            continue  # being made
        try:
            with Store.open(path, write=False) as store:
                out.append(store.summary())
        except ValueError as error:
            out.append(Summary(path.name, path, ("", 0), {}, _size(path), str(error)))
    return out


class Store:
    """An open world folder. `commit`, `fork` and `goto` need it open for writing; any number may read beside."""

    def __init__(self, folder: Path, branch: str, held: int | None) -> None:
        """For `create` and `open` only."""
        self.folder, self.branch, self.name = folder, branch, folder.name
        self._lock = held
        self._mutex = threading.RLock()
        self._segments = Segments(folder)
        self._tips: dict[str, Tip] = {}
        self._given: Mapping[str, str] | None = None  # the fingerprint of whoever opened it
        self.rows = Rows(folder, self._segments)
        self._db: sqlite3.Connection | None = None
        if held is None:
            return
        try:
            with self.rows.reading("its tables"), writing(self.name):
                self._db = sqlite3.connect(folder / "world.db", isolation_level=None, check_same_thread=False)
                self._db.execute("PRAGMA busy_timeout = 5000")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: Path, world: World, fingerprint: Mapping[str, str] | None = None) -> "Store":
        """Keep a new world in `folder / world.name` and open it for writing.

        `fingerprint` names what its frames depend on besides itself: weights, versions, instruction set, precision.
        """
        check_name("world", world.name)
        if world.step or world.branch != MAIN:
            raise ValueError(f"expected a world as it begins, got step {world.step} of {world.branch!r}")
        kept = folder / world.name
        if kept.exists():
            raise ValueError(f"a world named {world.name!r} exists already in {folder}: open it, or take another name")
        making = folder / f".{world.name}.{os.getpid()}"  # moved into place whole, or not at all
        shutil.rmtree(making, ignore_errors=True)
        meta = {"format": FORMAT, "name": world.name, "seed": world.seed, "scene": world.scene}
        try:
            with writing(world.name):
                make_folder(folder)
                making.mkdir()
                refuse_network(making)
            with cls(making, MAIN, lock(making)) as store:
                store.name = world.name
                with writing(world.name), store._transaction() as db:
                    for statement in SCHEMA.values():
                        db.execute(statement)
                    rows = [(key, msgspec.json.encode(value).decode()) for key, value in meta.items()]
                    db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
                    db.execute("INSERT INTO branches VALUES (0, ?, NULL, NULL)", (MAIN,))
                    value = msgspec.json.encode(dict(fingerprint or {})).decode()
                    db.execute("INSERT INTO fingerprints VALUES (0, 0, ?)", (value,))
                store._segments.open_to_write(0, 0)
                store._tips[MAIN] = Tip(Lineage(0, ((0, -1),)), Fold(), (b"", b""), -1)
                store.commit(world)
            making.rename(kept)
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        return cls.open(kept)

    @classmethod
    def open(
        cls,
        folder: Path,
        branch: str = MAIN,
        write: bool = True,
        fingerprint: Mapping[str, str] | None = None,
        own: bool = False,
    ) -> "Store":
        """Open a world's folder. `branch` is the one that is meant where none is named.

        `own` says that nobody else has it, as a copy that was just made, so that it may lie on a disk of any kind.
        `fingerprint` is what its frames will depend on from now on; where that is not what they depended on, `changed`
        says so, and the next commit records it.
        """
        folder = Path(folder)
        if not (folder / "world.db").is_file():
            raise ValueError(f"no world at {folder}: make one with `perdure new {folder.name}`, or see `perdure ls`")
        if not own:
            refuse_network(folder)
        store = cls(folder, branch, lock(folder) if write else None)
        try:
            with store.rows.reading("its tables"):
                store._open()
            store._given = fingerprint
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        with self._mutex:
            self.rows.close()
            if self._db is not None:
                self._db.close()  # the last of its connections: it tidies up
            self._segments.close()
            if self._lock is not None:
                unlock(self._lock)
                self._lock = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the last frames of its branch depended on, besides the world."""
        with self.rows.reading("its fingerprint"):
            return self.rows.fingerprint(self.rows.lineage(self.branch))

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """What of the fingerprint is not as it was when the branch was last played: the old and the new."""
        return self._changed(self.branch)

    def branches(self) -> dict[str, int]:
        """Each branch and the last step that it has."""
        with self.rows.reading("its branches"):
            return {name: self._steps(self.rows.lineage(name)) for name in self.rows.branches()}

    def summary(self) -> Summary:
        scene: tuple[str, int] = tuple(self.rows.meta["scene"])
        return Summary(self.folder.name, self.folder, scene, self.branches(), _size(self.folder))

    def world(self, branch: str | None = None) -> World:
        """The world as last committed on a branch."""
        branch = branch or self.branch
        with self._mutex:
            if self._lock is None:
                with self.rows.reading(f"branch {branch!r}"):
                    lineage = self.rows.lineage(branch)
                    return restored(self.rows, branch, lineage, *fold(self.rows, lineage, check=True))
            tip = self._tip(branch)
            with self.rows.reading(f"branch {branch!r}"):
                row = self.rows.row(tip.lineage, tip.fold.number)
                return self._handed(restored(self.rows, branch, tip.lineage, tip.fold, row))

    def world_at(self, step: int, branch: str | None = None) -> World:
        """The world exactly as a step made it: what it knew then, and nothing later."""
        branch = branch or self.branch
        with self.rows.reading(f"branch {branch!r}"):
            lineage = self.rows.lineage(branch)
            return self._at(branch, lineage.until(self._number(branch, lineage, step)))

    def world_at_event(self, seq: int, branch: str | None = None) -> World:
        """The world just after the commit that holds an event."""
        branch = branch or self.branch
        with self.rows.reading(f"branch {branch!r}"):
            lineage = self.rows.lineage(branch)
            return self._at(branch, lineage.until(self._number(branch, lineage, event=seq)))

    def past(self, branch: str | None = None) -> Past:
        """All that has happened on a branch so far, to be read when it is asked for."""
        with self.rows.reading("its branches"):
            return Recollection(self.rows, self.rows.lineage(branch or self.branch))

    def commits(self, branch: str | None = None, step: int = 0) -> Iterator[Commit]:
        """What was committed on a branch after the commit that made a step, in order."""
        branch = branch or self.branch
        with self.rows.reading(f"branch {branch!r}"):
            lineage = self.rows.lineage(branch)
            yield from self.rows.commits(lineage, self._number(branch, lineage, step) + 1)

    def lines(
        self, first: int = 0, last: int | None = None, branch: str | None = None, back: bool = False
    ) -> Iterator[tuple[int, bytes]]:
        """The events of a branch with `first <= seq < last`, as stored; with `back` the newest first."""
        branch = branch or self.branch
        with self.rows.reading(f"the events of branch {branch!r}"):
            lineage = self.rows.lineage(branch)
            row = self.rows.row(lineage, lineage.last)
            end = row.first_event + len(row.lines)
            last = end if last is None else min(last, end)
            if first < last:
                yield from self.rows.lines(lineage, first, last, back)

    def commit(self, world: World) -> None:
        """Make the world's last step, or its last edits, durable: they are on the disk when this returns."""
        self.commit_all([world])

    def commit_all(self, worlds: Iterable[World]) -> None:
        """Commit worlds, each of which follows the one before: one transaction, so all of them or none."""
        with self._mutex:
            db = self._writable("commit to")
            tips, written = dict(self._tips), list[World]()
            try:
                with writing(self.name), self._transaction():
                    for world in worlds:
                        self._write(db, world)
                        written.append(world)
            except BaseException:
                self._tips = tips
                raise
            for world in written:
                for keyframe in world.geometry.keyframes[len(world.geometry.keyframes) - world.fresh :]:
                    keyframe.rest_on(self.rows.record(keyframe.digest))

    def fork(self, source: str, at: int | None, name: str, *, event: int | None = None) -> World:
        """A branch that leaves `source` just after step `at`, or after an event; as it now is unless said.

        Nothing is copied.
        """
        check_name("branch", name)
        with self._mutex:
            self._writable("fork")
            if name in self.rows.branches():
                raise ValueError(f"a branch {name!r} of {self.folder.name} exists already: take another name")
            with self.rows.reading(f"branch {source!r}"):
                lineage = self.rows.lineage(source)
                there = lineage.until(self._number(source, lineage, at, event))
                world = self._from(source, there)
            with writing(self.name), self._transaction() as db:
                self._add_branch(db, name, there)
            return self._handed(world.fork(name))

    def fork_of(self, world: World, name: str) -> World:
        """A branch that leaves just where this world is, though its own may have gone on."""
        events = world.history.events
        told = events[-1].kind == "model"  # by `_handed`, and in the store with the next commit only
        return self.fork(world.branch, None, name, event=len(events) - 1 - told)

    def goto(self, branch: str, step: int | None = None, *, event: int | None = None) -> World:
        """Go back: the branch goes on from a step, or from just after an event.

        What it leaves is kept, as a branch called BRANCH@STEP. Nothing is copied.
        """
        with self._mutex:
            self._writable("go back in")
            with self.rows.reading(f"branch {branch!r}"):
                lineage = self.rows.lineage(branch)
                there = lineage.until(self._number(branch, lineage, step, event))
                if there.last == lineage.last:
                    raise ValueError(f"expected somewhere to go back to, got where {branch!r} of {self.folder.name} is")
                world, known, end = self._from(branch, there), self.rows.branches(), self._steps(lineage)
            left = f"{branch}@{end}"
            left = next(n for n in (left, *(f"{left}-{i}" for i in range(2, len(known) + 3))) if n not in known)
            world = world.log(Note("revert", "player", (), {"to": world.step, "left": left}), before=world.state)
            tips = dict(self._tips)
            try:
                with writing(self.name), self._transaction() as db:
                    db.execute("UPDATE branches SET name = ? WHERE id = ?", (left, lineage.branch))
                    number = self._add_branch(db, branch, there)
                    self._tips.pop(left, None)
                    self._tips[branch] = self._stood(Lineage(number, there.spans))
                    self._write(db, world)
            except BaseException:
                self._tips = tips
                raise
            return self.world(branch)

    @contextmanager
    def alone(self) -> Generator[Callable[[], AbstractContextManager[sqlite3.Connection]]]:
        """For who rearranges what is stored: meanwhile nothing is committed. Gives how to change the tables.

        Each change is one transaction; afterwards records are written after the last that the tables name.
        """

        @contextmanager
        def change() -> Generator[sqlite3.Connection]:
            with writing(self.name), self._transaction() as db:
                yield db
            place = self.rows.end()
            self._segments.open_to_write(place.segment, place.end)

        with self._mutex:
            self._writable("rearrange")
            yield change

    def shrink(self) -> None:
        """Give back what the tables do not need, where that is much."""
        with self._mutex:
            db = self._writable("shrink")
            (free,), (pages,) = (db.execute(f"PRAGMA {n}").fetchone() for n in ("freelist_count", "page_count"))
            if free > pages // 5:
                with writing(self.name):
                    db.execute("VACUUM")
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # Reading

    def _open(self) -> None:
        found = self.rows.meta.get("format", 0)
        if found > FORMAT:
            made = f"expected a world in format {FORMAT} at {self.folder}, or older; got {found}"
            raise ValueError(f"{made}, of a newer Perdure, which alone can open it: pip install --upgrade perdure")
        if found < FORMAT and self._db is None:
            self.rows = upgraded(self.rows, self._segments)
        elif found < FORMAT and self._db is not None:
            with writing(self.name):
                upgrade(self._db, self.rows, self._segments)
            self.rows = Rows(self.folder, self._segments)
        if self._lock is not None:
            tidy(self.folder)
        self.rows.lineage(self.branch)  # that there is such a branch
        if self._lock is not None:
            place = self.rows.end()
            self._segments.open_to_write(place.segment, place.end)

    def _at(self, branch: str, lineage: Lineage) -> World:
        return restored(self.rows, branch, lineage, *fold(self.rows, lineage))

    def _from(self, branch: str, lineage: Lineage) -> World:
        """A world that is to be gone on from: the steps before it, which it is opened with, can be read too."""
        world = self._at(branch, lineage)
        for step in range(max(0, world.step - FINDING_LAG + 1), world.step):
            self.rows.moment(lineage, self.rows.row(lineage, self.rows.number_of_step(lineage, step)))
        return world

    def _number(self, branch: str, lineage: Lineage, step: int | None = None, event: int | None = None) -> int:
        """The commit that made a step, or holds an event; the last unless said."""
        if step is not None:
            last = self._steps(lineage)
            if not 0 <= step <= last:
                raise ValueError(f"expected a step in 0..{last} of branch {branch!r} of {self.folder.name}, got {step}")
            return self.rows.number_of_step(lineage, step)
        if event is not None:
            row = self.rows.row(lineage, lineage.last)
            last = row.first_event + len(row.lines) - 1
            if not 0 <= event <= last:
                where = f"branch {branch!r} of {self.folder.name}"
                raise ValueError(f"expected an event in 0..{last} of {where}, got {event}")
            return self.rows.number_of_event(lineage, event)
        return lineage.last

    def _steps(self, lineage: Lineage) -> int:
        query = "SELECT step FROM commits WHERE branch = ? AND number = ?"
        return int(self.rows.one(query, lineage, lineage.last)[0])

    def _changed(self, branch: str) -> dict[str, tuple[str, str]]:
        if self._given is None:
            return {}
        with self.rows.reading("its fingerprint"):
            old, new = self.rows.fingerprint(self.rows.lineage(branch)), self._given
        keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        return {key: (old.get(key, ""), new.get(key, "")) for key in keys}

    def _handed(self, world: World) -> World:
        """The world, told of another model if it is to be drawn by one; its next commit says so too."""
        changed = self._changed(world.branch)
        if not changed:
            return world
        was, now = zip(*changed.values())
        note = Note("model", "engine", (), {"changed": tuple(changed), "was": was, "now": now})
        return world.log(note, before=world.state)

    # Writing

    def _writable(self, what: str) -> sqlite3.Connection:
        if self._lock is None or self._db is None:
            raise ValueError(f"{self.folder.name} is open for reading: open it with write=True to {what} it")
        return self._db

    def _tip(self, branch: str) -> Tip:
        if branch not in self._tips:
            with self.rows.reading(f"branch {branch!r}"):
                self._tips[branch] = self._stood(self.rows.lineage(branch), check=True)
        return self._tips[branch]

    def _stood(self, lineage: Lineage, check: bool = False) -> Tip:
        """A tip, as read from the disk."""
        now, row = fold(self.rows, lineage, check)
        held = row.number if row.held is None else row.held
        return Tip(lineage, now, self.rows.stored_moment(lineage, held), held)

    def _write(self, db: sqlite3.Connection, world: World) -> None:
        tip = self._tip(world.branch)
        self._tips[world.branch] = write(db, self._segments, self.rows, tip, world, self._given)

    @staticmethod
    def _add_branch(db: sqlite3.Connection, name: str, there: Lineage) -> int:
        """A branch that begins where another stood; the commit that it left may be one of that one's ancestors."""
        parent, at = there.spans[-1]
        added = db.execute("INSERT INTO branches (name, parent, at) VALUES (?, ?, ?)", (name, parent, at))
        assert added.lastrowid is not None
        return added.lastrowid

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        db = self._writable("write to")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        try:
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a disk that is full ends some transactions by itself, and not others
                db.execute("ROLLBACK")
            raise


def _size(folder: Path) -> int:
    return sum(it.st_size for it in files(folder))
