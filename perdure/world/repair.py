"""Mending a damaged world: each branch is cut back to the last commit up to which all is as it was.

What goes is said first, and done only when that is agreed to. The tables are written anew from the rows that
stay, verified as `check` does, and put in the place of the old ones in one step; the world as it was found is
kept beside, in cut-1, cut-2, ... A world that is whole is left alone.

A latent that is damaged is let go by itself, unless the last steps remember it: the rest of a branch does not
depend on its bytes.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perdure.world.check import UNREADABLE, Progress, Report, Standing, examine, quiet
from perdure.world.folder import lock, unlock
from perdure.world.rows import SCHEMA, Row, Rows
from perdure.world.segment import Segments, sync_file, sync_folder
from perdure.world.store import Store

RECENT = 64  # steps whose latents the next ones may remember, whatever the model
_ATTEMPTS = 4
_COPIED = 1000  # rows at once
_LATENT, _EYE = Row._fields.index("latent"), Row._fields.index("eye")


@dataclass(frozen=True)
class Cut:
    """A branch that loses its end."""

    branch: str
    step: int  # that it will end with
    steps: int  # that it loses
    commits: int


@dataclass(frozen=True)
class Remedy:
    faults: int = 0  # none: the world is whole, and nothing is to be done
    cuts: tuple[Cut, ...] = ()
    latents: int = 0  # memories that will not be recalled any more
    records: int = 0  # others that go: what an old edit replaced, say, so that it cannot be undone
    snapshots: int = 0  # that will be made anew
    kept: Path | None = None  # where the world as it was found will be
    done: bool = False


def repair(folder: Path, agree: Callable[[Remedy], bool], progress: Progress = quiet) -> Remedy:
    """Mend a world if need be, once `agree` has agreed to what that costs."""
    if not (folder / "world.db").is_file():
        raise ValueError(f"no world at {folder}: see `perdure ls`")
    held, making = lock(folder), folder / ".mending"
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        with Store.open(folder, write=False) as store:
            report = examine(store.rows, lambda share, what: progress(share * 0.4, what))
            if report.whole:
                return Remedy()
            if store.rows.loose:
                raise ValueError("it is in an older format, which is not mended here: import an export of it")
            tables, remedy = _mended(store.rows, report, making, lambda share, what: progress(0.4 + share * 0.5, what))
            number = next(n for n in range(1, 10_000) if not (folder / f"cut-{n}").exists())
            remedy = replace(remedy, kept=folder / f"cut-{number}")
        if agree(remedy):
            progress(0.9, "putting it in place")
            _swap(folder, tables, making / "kept", folder / f"cut-{number}", bool(report.damaged))
            remedy = replace(remedy, done=True)
        return remedy
    except UNREADABLE as error:
        raise ValueError(f"{folder.name} cannot be repaired, and is as it was: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
        unlock(held)


def _mended(rows: Rows, report: Report, making: Path, progress: Progress) -> tuple[Path, Remedy]:
    """Tables that are whole, from what stays of others; and what went.

    Where SQLite's own trees are broken, some of what is lost shows only once the rows stand in new ones: so they
    are looked at again, and cut further, until nothing is amiss.
    """
    source, found, latents, damaged = rows, report, set[bytes](), report.damaged
    segments = Segments(rows.folder)
    with ExitStack() as opened:
        opened.callback(segments.close)
        for attempt in range(_ATTEMPTS):
            plan = _Plan(source, found)
            latents |= plan.latents
            path = making / f"{attempt}.db"
            db = opened.enter_context(closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)))
            _copy(source, plan, db)
            source = Rows(rows.folder, segments, db)
            found = examine(source, progress if not attempt else quiet)
            damaged |= found.damaged
            if found.whole:
                sync_file(path)
                return path, _costs(report, found, len(latents), len(damaged - latents))
    first = found.faults[0]
    raise ValueError(f"{first.what}, in {first.where}, which cutting does not mend")


def _costs(before: Report, after: Report, latents: int, others: int) -> Remedy:
    cuts: list[Cut] = []
    for name, was in before.branches.items():
        now = after.branches[name]
        if now.last < was.last:
            cuts.append(Cut(name, now.steps, was.steps - now.steps, was.last - now.last))
    return Remedy(len(before.faults), tuple(cuts), latents, others, len(before.snapshots))


class _Plan:
    """What stays of a branch, by its number: commits up to `good`, but for some latents."""

    def __init__(self, rows: Rows, report: Report) -> None:
        self.report = report
        self.good = {it.branch: self._good(rows, name, it) for name, it in report.branches.items()}
        if not self.good or min(self.good.values()) < 0:
            raise ValueError("nothing whole is left to cut it back to; import an export of it, if there is one")
        self.forgotten: set[tuple[int, int]] = set()  # branch and number of commits whose latent goes
        self.latents: set[bytes] = set()
        for digest in report.damaged:
            for branch, number in rows.ask("SELECT branch, number FROM commits WHERE latent = ?", (digest,)):
                if number <= self.good.get(branch, -1):
                    self.forgotten.add((branch, number))
                    self.latents.add(digest)

    def _good(self, rows: Rows, name: str, it: Standing) -> int:
        """The last commit that a branch keeps: none after a latent that is damaged and was made lately."""
        if it.good < 0 or not it.good_steps:
            return it.good
        lineage = rows.lineage(name).until(it.good)
        first = rows.number_of_step(lineage, max(1, it.good_steps - RECENT))
        for row in rows.rows(lineage, first, it.good):
            if row.latent is not None and row.latent in self.report.damaged:
                return row.number - 1
        return it.good


def _copy(rows: Rows, plan: _Plan, db: sqlite3.Connection) -> None:
    """The rows that stay, into tables that are new."""
    db.execute("PRAGMA journal_mode = OFF")  # nobody has them yet
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    for name in SCHEMA.keys() - {"places"}:
        db.execute(SCHEMA[name])
    _insert(db, "meta", rows.ask("SELECT * FROM meta"))
    for id, name, parent, at in rows.ask("SELECT id, name, parent, at FROM branches"):
        _insert(db, "branches", [(id, name, parent, None if at is None else min(at, plan.good[id]))])
    for id, good in plan.good.items():
        for first in range(0, good + 1, _COPIED):
            span = id, first, min(first + _COPIED - 1, good)
            for row in rows.ask("SELECT * FROM commits WHERE branch = ? AND number BETWEEN ? AND ?", span):
                if (id, row[1]) in plan.forgotten:
                    row = [None if column in (_LATENT, _EYE) else value for column, value in enumerate(row)]
                _insert(db, "commits", [row])
        if not plan.forgotten:  # or their trails would lead to what is gone: the next commit makes one
            for row in rows.ask("SELECT * FROM snapshots WHERE branch = ? AND number <= ?", (id, good)):
                if (row[0], row[1]) not in plan.report.snapshots:
                    _insert(db, "snapshots", [row])
        _insert(db, "fingerprints", rows.ask("SELECT * FROM fingerprints WHERE branch = ? AND number <= ?", (id, good)))
    last = (-1, -1)
    query = (
        "SELECT digest, segment, offset, length FROM records WHERE (segment, offset) > (?, ?) "
        f"ORDER BY segment, offset LIMIT {_COPIED}"
    )
    while found := rows.ask(query, last):
        _insert(db, "records", [row for row in found if row[0] not in plan.report.damaged])
        last = found[-1][1], found[-1][2]
    db.execute(SCHEMA["places"])
    db.execute("COMMIT")


def _insert(db: sqlite3.Connection, table: str, rows: list[Any]) -> None:
    if rows:
        db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _swap(folder: Path, tables: Path, keeping: Path, kept: Path, cut: bool) -> None:
    """Put mended tables in place, once the world as it was found is kept.

    Segments are shared with it, unless one is damaged: then its end may be written over.
    """
    keeping.mkdir()
    for path in sorted(folder.iterdir()):
        if path.suffix == ".segment" and not cut:
            os.link(path, keeping / path.name)
        elif path.suffix == ".segment" or path.name in ("world.db", "world.db-wal"):
            shutil.copyfile(path, keeping / path.name)
            sync_file(keeping / path.name)
    sync_folder(keeping)
    keeping.rename(kept)
    sync_folder(folder)
    # What is in the log goes into the old tables, for it must not meet the new ones.
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(folder / "world.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("world.db-wal", "world.db-shm"):
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
    try:
        os.replace(tables, folder / "world.db")
    except BaseException:
        shutil.rmtree(kept, ignore_errors=True)
        raise
    sync_folder(folder)
