"""`perdure bench durability`: what was acknowledged is there, whatever happened to the process or to the power.

Kills: a process writes to a world and says each thing before it does it and again when it has been
acknowledged; it is killed (SIGKILL) at an instant drawn at random, and what it left is judged.

Power cuts: such a process is watched (watch.py), and from what it wrote and synced are drawn the disks
that a cut at some moment may leave (disk.py); each is judged, and some are gone on from. The same cuts
are then drawn as if certain syncs had never been made: those must lose something, or the bench proves
nothing.

A world is judged by opening it: every commit that was acknowledged is there with its hashes, there is
nothing that was never begun, and where nothing else is to happen to it, all of it is checked (world/check.py)
and it is gone on with.
"""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import msgspec

from perdure.bench.bounds import Bound, judged
from perdure.bench.disk import Disk, Op
from perdure.bench.writer import HOME, KEEP, NAME, Life, Word, until_killed, watched
from perdure.world.check import check
from perdure.world.store import Store

BOUNDS: Mapping[str, Bound] = {"lost": ("exactly", 0), "damaged": ("exactly", 0)}
KILLS_A_WORLD = 20
WORDS = 60  # a process is killed after so many words at most
INSTANT = 0.012  # seconds after a word, at most: longer than a commit takes
CUTS_A_LIFE = 10
LIVES_A_WORLD = 4  # each goes on from a disk that a cut left to the one before
ACTS = 60

WITHOUT: dict[str, Callable[[Op], bool]] = {  # which syncs, if they had not been made
    "all": lambda op: op.kind in ("sync", "names"),
    "segments": lambda op: op.kind == "sync" and op.path.endswith(".segment"),
    "database": lambda op: op.kind == "sync" and not op.path.endswith(".segment"),
    "names": lambda op: op.kind == "names",
}


@dataclass
class Ledger:
    """What was acknowledged, and the one thing that was begun and may be there or not."""

    commits: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict[str, dict[int, tuple[str, str]]])
    begun: Word | None = None
    acknowledged: int = 0
    failed: str = ""
    pruned: bool = False  # or it was begun: old commits may have been let go of

    def hear(self, word: Word) -> None:
        if word.what.startswith("failed"):
            self.failed = word.what
            return
        self.begun = None if word.done else word
        self.pruned |= word.what == "prune"
        if word.done and word.branch:
            self.take(word)
            self.acknowledged += 1

    def take(self, word: Word) -> None:
        """What a word says is there, from now on."""
        if word.left:
            self.commits[word.left] = self.commits.pop(word.branch)
        self.commits.setdefault(word.branch, {})[word.events] = word.state, word.head

    def settle(self, store: Store) -> None:
        """Take what was begun, if it is there: it was durable before that was said."""
        word, self.begun = self.begun, None  # it is there or not, once and for all
        if word is None or not word.branch:
            return
        there = store.branches()
        if (word.left or word.branch) not in there:
            return
        world = store.world(word.branch)
        if (len(world.history.events), world.state) == (word.events, word.state) and word.head in ("", world.head):
            self.take(msgspec.structs.replace(word, head=world.head))

    def copy(self) -> "Ledger":
        return Ledger(
            {name: dict(commits) for name, commits in self.commits.items()},
            self.begun,
            self.acknowledged,
            pruned=self.pruned,
        )


@dataclass
class Verdict:
    """On one world, or on many together."""

    checked: int = 0  # acknowledged commits and forks that were looked for, each in every world that had it
    lost: int = 0  # of them, those that cannot be had
    damaged: int = 0  # worlds in which something is not as it was, or was never begun, or that do not open
    faults: list[str] = field(default_factory=list[str])

    def add(self, other: "Verdict", where: str = "") -> None:
        self.checked, self.lost = self.checked + other.checked, self.lost + other.lost
        self.damaged += other.damaged
        self.faults += [where + fault for fault in other.faults]

    def lose(self, count: int, fault: str) -> None:
        self.lost += count
        self.faults.append(fault)

    def damage(self, fault: str) -> None:
        self.damaged = 1
        self.faults.append(fault)


def run(kills: int = 300, power_cuts: int = 100, seed: int = 0) -> dict[str, Any]:
    """Kill and cut; what was acknowledged, and how much of it was lost or damaged."""
    if kills < 0 or power_cuts < 0 or not kills + power_cuts:
        raise ValueError(f"expected kills or power cuts to make, got {kills} and {power_cuts}")
    began, chance = perf_counter(), random.Random(seed)
    verdict, without = Verdict(), {name: Verdict() for name in WITHOUT}
    acknowledged, killed, cut = 0, Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="perdure-durability-") as folder:
        for number, count in enumerate(shares(kills, KILLS_A_WORLD)):
            home = Path(folder, f"killed-{number}")
            acknowledged += kill(home, count, chance, verdict, killed)
            shutil.rmtree(home)
            print(f"{sum(killed.values())} kills: lost {verdict.lost}, damaged {verdict.damaged}", file=sys.stderr)
        for number, count in enumerate(shares(power_cuts, CUTS_A_LIFE * LIVES_A_WORLD)):
            home = Path(folder, f"cut-{number}")
            acknowledged += cut_power(home, count, chance, verdict, without, cut)
            shutil.rmtree(home)
            print(f"{sum(cut.values())} power cuts: lost {verdict.lost}, damaged {verdict.damaged}", file=sys.stderr)
    harm = {"lost": verdict.lost, "damaged": verdict.damaged}
    return {
        **judged(harm, BOUNDS),
        "acknowledged": acknowledged,
        "checked": verdict.checked,
        **harm,
        "kills": sum(killed.values()),
        "power_cuts": sum(cut.values()),
        "lost_without_sync": without["all"].lost,
        "damaged_without_sync": without["all"].damaged,
        "without_syncs_of": {
            name: {"lost": it.lost, "damaged": it.damaged} for name, it in without.items() if name != "all"
        },
        "killed_in": dict(sorted(killed.items())),
        "cut_in": dict(sorted(cut.items())),
        "seconds": round(perf_counter() - began, 1),
        "faults": verdict.faults[:20],
    }


def shares(total: int, each: int) -> list[int]:
    return [min(each, total - at) for at in range(0, total, each)]


def kill(home: Path, count: int, chance: random.Random, verdict: Verdict, killed: Counter[str]) -> int:
    """Kill so many processes that write to one world, and judge what each left. How much they acknowledged."""
    ledger, processes = Ledger(), context()
    home.mkdir()
    for i in range(count):
        before = {name: max(steps) for name, steps in ledger.commits.items()}
        reader, writer = processes.Pipe(duplex=False)
        child = processes.Process(target=until_killed, args=(home, chance.getrandbits(32), writer))
        words = chance.randint(0, WORDS if i % 4 else 3)  # some while they open it
        child.start()
        writer.close()
        for _ in range(words):
            if not hear(reader, ledger):
                break
        sleep(chance.uniform(0, INSTANT))
        child.kill()
        while hear(reader, ledger):
            pass
        child.join()
        reader.close()
        killed[ledger.begun.what if ledger.begun else "between"] += 1
        found = judge(home, ledger, before if i < count - 1 else None)
        verdict.add(found, f"kill {i + 1}: ")
        if found.faults:
            break
    return ledger.acknowledged


def hear(line: Connection, ledger: Ledger) -> bool:
    try:
        ledger.hear(msgspec.msgpack.decode(line.recv_bytes(), type=Word))
    except (EOFError, OSError):
        return False
    return True


def cut_power(
    home: Path, count: int, chance: random.Random, verdict: Verdict, without: dict[str, Verdict], cut: Counter[str]
) -> int:
    """Watch a world being written in several lives, and judge the disks that so many cuts may leave."""
    ledger, acknowledged = Ledger(), 0
    home.mkdir()
    disk = home / "disk"
    disk.mkdir()
    for share in shares(count, CUTS_A_LIFE):
        start = home / "start"
        shutil.copytree(disk, start)
        ops = lived(disk, chance.getrandbits(32), home / "log")
        check_log(start, ops, disk)
        ends = [i + 1 for i, op in enumerate(ops) if op.kind == "say"]
        # Half of them anywhere, half just after a word: there the least may be missing.
        moments = sorted(chance.choice(ends) if i % 2 else chance.randrange(len(ops)) + 1 for i in range(share))
        seeds = [chance.getrandbits(32) for _ in moments]
        last = chance.randrange(share)
        ledgers = [heard(ledger.copy(), ops[:moment]) for moment in moments]
        for i, left in enumerate(disks(start, ops, moments, seeds, home / "left")):
            if i == last:
                shutil.rmtree(disk)
                shutil.copytree(left, disk)
            begun = ledgers[i].begun
            cut[begun.what if begun else "between"] += 1
            verdict.add(judge(left, ledgers[i]), f"cut after {moments[i]} of {len(ops)}: ")
        for name, skipped in WITHOUT.items():
            kept = [msgspec.structs.replace(op, kind="say") if skipped(op) else op for op in ops]
            for i, left in enumerate(disks(start, kept, moments, seeds, home / "left")):
                without[name].add(judge(left, heard(ledger.copy(), ops[: moments[i]])))
        acknowledged += ledgers[-1].acknowledged - ledger.acknowledged
        ledger = ledgers[last]
        shutil.rmtree(start)
        if verdict.faults:
            break
    return acknowledged


def lived(disk: Path, seed: int, log: Path) -> list[Op]:
    """What a watched process wrote there."""
    child = context().Process(target=watched, args=(disk, seed, ACTS, log))
    child.start()
    child.join()
    if child.exitcode or not log.exists():
        raise RuntimeError(f"expected a watched process to end with 0, it ended with {child.exitcode}")
    ops = msgspec.msgpack.decode(log.read_bytes(), type=list[Op])
    log.unlink()
    return ops


def check_log(start: Path, ops: list[Op], disk: Path) -> None:
    """Nothing was written that was not seen, or the disks that are drawn are none."""
    seen = Disk(start)
    for op in ops:
        seen.do(op)
    there = {str(path.relative_to(disk)): path for path in disk.rglob("*") if path.is_file()}
    there = {name: path for name, path in there.items() if not name.endswith("-shm")}  # remade by whoever opens
    whole = seen.whole()
    wrong = sorted(there.keys() ^ whole.keys()) + [
        n for n in there.keys() & whole.keys() if there[n].read_bytes() != whole[n]
    ]
    if wrong:
        raise RuntimeError(f"expected to see all that is written, but this was not seen: {', '.join(wrong)}")


def disks(start: Path, ops: list[Op], moments: list[int], seeds: list[int], folder: Path) -> Iterator[Path]:
    """For each moment, ascending, a disk that a cut may leave then. Each is gone when the next is asked for."""
    disk, done = Disk(start), 0
    for moment, seed in zip(moments, seeds, strict=True):
        for op in ops[done:moment]:
            disk.do(op)
        done = moment
        disk.left(folder, random.Random(seed))
        yield folder
        shutil.rmtree(folder)


def heard(ledger: Ledger, ops: list[Op]) -> Ledger:
    ledger.begun = None
    for op in ops:
        if op.kind == "say":
            ledger.hear(msgspec.msgpack.decode(op.data, type=Word))
    return ledger


def judge(home: Path, ledger: Ledger, since: dict[str, int] | None = None) -> Verdict:
    """Hold a world to the ledger, which then has what else was found.

    Of each branch, what is later than `since`; or all, and then it is gone on with, so it is not to be used again.
    """
    verdict, folder = Verdict(), home / HOME / NAME
    every = sum(map(len, ledger.commits.values()))
    if ledger.failed:
        verdict.damage(ledger.failed)
    if not folder.exists():
        verdict.checked += every
        if every:
            verdict.lose(every, f"the world is not there, with {every} commits")
        return verdict
    try:
        with Store.open(folder, write=False) as store:
            look(store, ledger, since or {}, verdict)
        if since is None:
            for fault in check(folder).faults:
                verdict.damage(f"{fault.where}: {fault.what}")
            Life(home, 0, lambda _: None).live(1).close()
    except Exception as error:  # whatever it is: it is not what was acknowledged
        verdict.damage(f"{type(error).__name__}: {error}")
    return verdict


def look(store: Store, ledger: Ledger, since: dict[str, int], verdict: Verdict) -> None:
    ledger.settle(store)
    there = {branch: store.world(branch) for branch in store.branches()}
    for branch in there.keys() - ledger.commits.keys():
        verdict.damage(f"branch {branch} was never begun")
    for branch, commits in ledger.commits.items():
        sought = [events for events in commits if events >= since.get(branch, 0)]
        verdict.checked += len(sought)
        last = len(there[branch].history.events) if branch in there else 0
        if max(commits) > last:
            missing = sum(events > last for events in commits)
            verdict.lose(missing, f"branch {branch} ends after {last} events and not {max(commits)}")
        elif max(commits) < last:
            verdict.damage(f"what came after event {max(commits)} of {branch} was never begun")
        for events in sought:
            if events > last:
                continue
            try:
                found = read(store, branch, events, ledger.pruned)
            except ValueError as error:
                verdict.lose(1, str(error))
                verdict.damaged = 1
                continue
            if found != commits[events]:
                verdict.damage(f"{branch} is not what it was after {events} events")


def read(store: Store, branch: str, events: int, pruned: bool) -> tuple[str, str]:
    """The hashes of a commit: of the world as it was then; where that was pruned, as the log has them."""
    lineage = store.rows.lineage(branch)
    row = store.rows.row(lineage, store.rows.number_of_event(lineage, events - 1))
    old = row.step < store.rows.row(lineage, lineage.last).step - KEEP
    try:
        world = store.world_at_event(events - 1, branch)
    except ValueError as error:
        if pruned and old and "was pruned" in str(error):
            return row.state.hex(), row.head.hex()
        raise
    return world.state, world.head


def context() -> ForkServerContext:
    """Where processes come from: they share what was imported, and begin within milliseconds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads is not one to fork
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["__main__", "perdure.bench.writer"])
    return processes
