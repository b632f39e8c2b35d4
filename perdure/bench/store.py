"""`perdure bench store`: what a store costs that has millions of events behind it.

A court is founded, played for a while without a model, and filled with the events of a crowd: sixteen
to a commit, in transactions of many commits, by the same code that writes a commit at a time. Then
steps and events are appended one by one, each beside a bare write and sync of as many bytes; the world
is forked, and gone back in, and opened by fresh processes as far from its last snapshot as one can be.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perdure.agents.player import Explorer
from perdure.data.founding import found_kind
from perdure.memory.commit import commit
from perdure.presets.nano import nano
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action, Keys
from perdure.world.history import LATENT, Event
from perdure.world.state import World
from perdure.world.store import Store
from perdure.world.tip import SNAPSHOT_COMMITS

CROWD = 16  # events of a commit
BATCH = 1024  # commits of a transaction
PLAYED = 600  # steps
APPENDS = 400
OPENINGS = 15
CHUNKS_AN_HOUR = 3600 * FRAMES_PER_SECOND // FRAMES_PER_CHUNK


def run(events: int = 10_000_000, chunks: int = 360, appends: int = APPENDS) -> dict[str, Any]:
    """Milliseconds to open, append, fork and go back in a world with so many events; bytes; growth.

    `chunks`: of a session of `nano`, whose growth is told for an hour.
    """
    if events < 1:
        raise ValueError(f"expected at least one event to keep, got {events}")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="perdure-store-") as folder:
        home = Path(folder)
        world = found_kind("court", 0, nano(), name="old")
        with Store.create(home, world) as store:
            for n in range(PLAYED):
                world = step(world, n, store)
        before = size_of(home / "old")
        with Store.open(home / "old") as store:
            started = time.perf_counter()
            world = fill(store, store.world(), events)
            filling = time.perf_counter() - started
        size = size_of(home / "old") - before
        with Store.open(home / "old") as store:
            figures = appending(store, store.world(), home, appends)
            figures |= going_back(store)
            told = len(store.world().history.events)
        figures |= opening(home / "old")
        growth = growing(home, chunks)
    return {
        "events": told,
        "events_a_commit": CROWD,
        **figures,
        "bytes_per_event": size / events,
        **growth,
        "fill_seconds": round(filling, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def size_of(folder: Path) -> int:
    """Bytes of a world that nobody has open: its log is then in its tables, and no room is left ahead."""
    return sum(path.stat().st_size for path in folder.iterdir())


def step(world: World, n: int, store: Store | None) -> World:
    """A step with a made-up latent in place of the model's."""
    action = Action(Keys.FORWARD | (Keys.TURN_LEFT if n % 3 else Keys.LOOK_UP if n % 2 else Keys.LOOK_DOWN))
    world = world.advance(action)
    return commit(world, action, np.random.default_rng(n).standard_normal(LATENT, np.float32), store)


def fill(store: Store, world: World, events: int) -> World:
    """So many events more, each chained to the one before."""
    for first in range(0, events, CROWD * BATCH):
        store.commit_all(crowd(world, min(CROWD * BATCH, events - first)))
        world = store.world()  # with all of it on the disk and not in memory
    return world


def crowd(world: World, events: int) -> Iterator[World]:
    """The world as many act in it, commit after commit."""
    state, time_, seq = world.state, world.physics.tick / FRAMES_PER_SECOND, len(world.history.events)
    for first in range(seq, seq + events, CROWD):
        acts = [
            Event(n, time_, f"agent-{n % 97}", "act", (n % 97,), {"keys": n % 256, "turn": n % 11 / 8}, 0, state, state)
            for n in range(first, min(first + CROWD, seq + events))
        ]
        world = replace(world, history=world.history.append([], acts))
        yield world


def appending(store: Store, world: World, home: Path, appends: int) -> dict[str, float]:
    """Steps, and events alone, each beside the bare writes and syncs of as many bytes.

    A step is two of them, one after the other: its latent must be on the disk before the row that names it.
    """
    log = home / "old" / "world.db-wal"
    with (home / "bare").open("wb", buffering=0) as bare:

        def synced(size: int) -> float:
            payload = os.urandom(size)
            start = time.perf_counter()
            bare.write(payload)
            os.fdatasync(bare.fileno())
            return 1e3 * (time.perf_counter() - start)

        def committed(now: World) -> float:
            assert now.state
            start = time.perf_counter()
            store.commit(now)
            return 1e3 * (time.perf_counter() - start)

        steps: list[float] = []
        told: list[float] = []
        both: list[float] = []
        once: list[float] = []
        rows: list[float] = []
        segment, row = 18_432 + 64, 5 * 4120  # a latent's record; five pages of the log
        for n in range(2 * appends):
            world = step(world, n, None)
            steps.append(committed(world))
            both.append(synced(segment) + synced(row))
            world = next(crowd(world, 1))
            told.append(committed(world))
            rows.append(synced(3 * 4120))
            once.append(synced(segment + row))
        assert log.exists()
    late = slice(appends, None)  # by then the log is as long as it gets, and is written over
    p99 = {name: float(np.quantile(it[late], 0.99)) for name, it in (("step", steps), ("both", both), ("once", once))}
    p99 |= {name: float(np.quantile(it[late], 0.99)) for name, it in (("told", told), ("rows", rows))}
    return {
        "append_p50_ms": float(np.median(steps[late])),
        "append_p99_ms": p99["step"],
        "fsync_p50_ms": float(np.median(both[late])),
        "fsync_p99_ms": p99["both"],
        "append_p99_over_fsync_p99": p99["step"] / p99["both"],
        "append_p99_over_one_fsync_p99": p99["step"] / p99["once"],
        "event_p50_ms": float(np.median(told[late])),
        "event_p99_ms": p99["told"],
        "event_p99_over_fsync_p99": p99["told"] / p99["rows"],
    }


def going_back(store: Store, times: int = 20) -> dict[str, float]:
    chance = np.random.default_rng(0)
    forks: list[float] = []
    gotos: list[float] = []
    last = store.branches()["main"]
    for n in range(times):
        at = int(chance.integers(0, last))
        start = time.perf_counter()
        store.fork("main", at, f"fork-{n}")
        forks.append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()
        world = store.goto(f"fork-{n}", int(chance.integers(0, at)) if at else None, event=None if at else 0)
        gotos.append(1e3 * (time.perf_counter() - start))
        assert world.branch == f"fork-{n}"
    return {"fork_ms": float(np.median(forks)), "fork_ms_worst": max(forks), "goto_ms": float(np.median(gotos))}


OPENER = """
import sys, time
from pathlib import Path
from perdure.world.store import Store
start = time.perf_counter()
with Store.open(Path(sys.argv[1])) as store:
    world = store.world()
    print(1e3 * (time.perf_counter() - start))
"""


def opening(folder: Path) -> dict[str, float]:
    """By processes that have done nothing else, with the page cache warm and as many commits to check as can be."""
    with Store.open(folder) as store:
        world = store.world()
        rows = store.rows
        while True:
            lineage = rows.lineage("main")
            found = rows.snapshot(lineage)
            since = lineage.last - (found[0] if found else -1)
            if since == SNAPSHOT_COMMITS - 1:
                break
            for _ in range((SNAPSHOT_COMMITS - 1 - since) % SNAPSHOT_COMMITS):
                world = step(world, world.step, store)
        size = len(rows.record(found[1])) if found else 0
        pieces = sum(len(part) for part in world.parts.values())
    here = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-c", OPENER, str(folder)]
    took: list[float] = []
    for _ in range(OPENINGS + 1):
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths}
        )
        took.append(float(done.stdout))
    return {
        "open_ms": float(np.median(took[1:])),
        "open_ms_p99": float(np.quantile(took[1:], 0.99)),
        "commits_checked": SNAPSHOT_COMMITS - 1,
        "pieces": pieces,
        "snapshot_bytes": size,
    }


def growing(home: Path, chunks: int) -> dict[str, Any]:
    """What an hour of `nano` adds to the disk: a session of the model and an explorer in a court, told for an hour.

    The second half of it alone: in the first minute much is seen that never was before.
    """
    if not chunks:
        return {}
    engine, agent = Engine(nano(), OpenVINO()), Explorer(0)
    Store.create(home, found_kind("court", 1, engine.preset, name="young")).close()
    sizes: list[int] = []
    keyframes: list[int] = []
    for half in (chunks // 2, chunks - chunks // 2):
        with Store.open(home / "young") as store:
            world, cache, _ = engine.open(store.world(), store)
            for _ in range(half):
                world, _ = engine.step(world, agent(world), cache, store)
            keyframes.append(len(world.geometry.keyframes))
        sizes.append(size_of(home / "young"))
    hour = CHUNKS_AN_HOUR / (chunks - chunks // 2)
    return {
        "mb_per_hour_nano": (sizes[1] - sizes[0]) * hour / 1e6,
        "nano_keyframes_per_hour": (keyframes[1] - keyframes[0]) * hour,
        "nano_chunks": chunks,
    }
