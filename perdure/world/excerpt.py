"""Some branches of a world, as a world of their own: what is exported where not all is meant for others.

What they come from comes along, up to where they left it, under the names that it has; the rest is not in it,
neither rows nor records. Where `main` is not among them, the first that was asked for becomes it.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from perdure.world.check import Progress, quiet
from perdure.world.fold import named
from perdure.world.rows import FORMAT, Row, Rows
from perdure.world.segment import Segments
from perdure.world.store import MAIN

_CHUNK = 256
_BATCH = 1 << 23


def excerpt(folder: Path, segments: Segments, branches: Sequence[str], progress: Progress = quiet) -> None:
    """Leave of the copied tables in a folder only some branches, and write the records that those name beside them."""
    with closing(sqlite3.connect(folder / "world.db", isolation_level=None, check_same_thread=False)) as db:
        rows = Rows(folder, segments, db)
        if rows.meta.get("format") != FORMAT:
            raise ValueError("expected a world in this format to take branches from: play it once, then export them")
        _cut(db, rows, branches)
        live = _named(rows)
        writer = Segments(folder)
        try:
            writer.open_to_write(0, 0)
            db.execute("BEGIN")
            db.execute("CREATE TEMP TABLE live (digest BLOB PRIMARY KEY) WITHOUT ROWID")
            db.executemany("INSERT INTO live VALUES (?)", [(digest,) for digest in live])
            db.execute("DELETE FROM records WHERE digest NOT IN (SELECT digest FROM live)")
            _write(db, rows, writer, progress)
            db.execute("COMMIT")
        finally:
            writer.close()
        db.execute("VACUUM")


def _cut(db: sqlite3.Connection, rows: Rows, branches: Sequence[str]) -> None:
    known = rows.branches()
    reach: dict[int, int] = {}  # of each branch that comes along, its last commit that does
    for name in branches:
        lineage = rows.lineage(name)  # says which there are, where there is no such branch
        reach.setdefault(lineage.branch, -1)
        for id, last in lineage.spans:
            reach[id] = max(reach.get(id, -1), last)
        parents = rows.ask("SELECT parent FROM branches WHERE id = ?", (lineage.branch,))
        while parents and parents[0][0] is not None:  # also those that it has no commit of
            reach.setdefault(parents[0][0], -1)
            parents = rows.ask("SELECT parent FROM branches WHERE id = ?", parents[0])
    db.execute("BEGIN")
    for id in known.values():
        if id not in reach:
            db.execute("DELETE FROM branches WHERE id = ?", (id,))
        last = reach.get(id, -1)
        for table in ("commits", "snapshots", "fingerprints"):
            db.execute(f"DELETE FROM {table} WHERE branch = ? AND number > ?", (id, last))
    if known.get(MAIN) not in reach:
        db.execute("UPDATE branches SET name = ? WHERE name = ?", (MAIN, branches[0]))
        once = msgspec.json.encode([*rows.once, branches[0]]).decode()  # its noise was of that name
        db.execute("INSERT OR REPLACE INTO meta VALUES ('once', ?)", (once,))
    db.execute("COMMIT")


def _named(rows: Rows) -> set[bytes]:
    """All records that the commits and snapshots name."""
    live = {digest for (digest,) in rows.ask("SELECT digest FROM snapshots")}
    columns, last = ", ".join(Row._fields), (-1, -1)
    query = f"SELECT {columns} FROM commits WHERE (branch, number) > (?, ?) ORDER BY branch, number LIMIT {_CHUNK}"
    while found := [Row(*row) for row in rows.ask(query, last)]:
        live.update(digest for row in found for digest in named(row))
        last = found[-1].branch, found[-1].number
    return live


def _write(db: sqlite3.Connection, rows: Rows, writer: Segments, progress: Progress) -> None:
    left = rows.ask("SELECT digest, length FROM records ORDER BY segment, offset")
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for number, (digest, length) in enumerate(left, 1):
        batch.append((digest, bytes(rows.record(digest))))
        size += length
        if size >= _BATCH or number == len(left):
            places = writer.append(batch)
            moved = [(new.segment, new.offset, digest) for (digest, _), new in zip(batch, places)]
            db.executemany("UPDATE records SET segment = ?, offset = ? WHERE digest = ?", moved)
            batch, size = [], 0
        progress(number / len(left), "taking what the branches name")
