"""Processes that work: a function and what it is to be done to go in, what comes of each comes out.

One that dies costs what it was at, and another takes its place. They are started anew (spawned), think in one thread,
ignore Ctrl-C, which is their parent's to answer, and end when their parent is gone, however it went.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "PYTHONHASHSEED": "0",
}
"""The environment of whoever works: one thread each, and sets in one order."""


class Broken(ValueError):
    """What would befall the next one as well, so that all has to stop: a full disk, a package that is missing."""


class Gone(str):
    """In place of what should have come: why the process that was at it is no more."""


@dataclass
class Worker:
    process: SpawnProcess
    line: Connection
    ready: bool = False  # it has started, so what ends it now is the doing of what it was given
    at: int | None = None
    since: float = 0.0
    gone: bool = False

    def give(self, at: int, item: Any) -> None:
        self.at, self.since = at, time.monotonic()
        with suppress(OSError):  # it may be gone, and will be found to be
            self.line.send(item)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    do: Callable[[T], R], items: Sequence[T], count: int, patience: float = 0.0, log: Path | None = None
) -> Iterator[tuple[int, R | Gone]]:
    """What comes of each item in `count` processes, with its place among them, as it comes.

    What takes longer than `patience` seconds (0: no matter how long) is given up, with its process. What they print
    goes to `log`. `do` goes to the processes by its name, as `pickle` has it; it may raise `Broken` and nothing else.
    """
    if count < 1:
        raise ValueError(f"expected one worker or more, got {count}")
    if not patience >= 0:
        raise ValueError(f"expected patience in seconds, or 0 for no end of it, got {patience:g}")
    waiting, workers = deque(range(len(items))), list[Worker]()
    try:
        while waiting or any(worker.at is not None for worker in workers):
            busy = sum(worker.at is not None for worker in workers)
            while len(workers) < min(count, busy + len(waiting)):
                workers.append(_start(do, log))
            for worker in workers:
                if worker.ready and worker.at is None and waiting:
                    at = waiting.popleft()
                    worker.give(at, items[at])
            ends = [end for worker in workers for end in (worker.line, worker.process.sentinel)]
            stirred = wait(ends, 1.0 if patience else None)
            for worker in [w for w in workers if w.line in stirred or w.process.sentinel in stirred]:
                at = worker.at
                for said in _heard(worker):
                    assert at is not None
                    yield at, said
                if worker.gone:
                    workers.remove(worker)
                    if not worker.ready:
                        see = f": see {log}" if log else ""
                        raise Broken(f"a worker {_ended(worker.process)} before it began{see}")
                    if worker.at is not None:
                        yield worker.at, Gone(f"the process that made it {_ended(worker.process)}")
            for worker in [w for w in workers if patience and w.at is not None]:
                if time.monotonic() - worker.since > patience:
                    workers.remove(worker)
                    _kill(worker)
                    assert worker.at is not None
                    yield worker.at, Gone(f"took longer than {patience:g} s")
    finally:
        for worker in workers:
            _kill(worker)


def _heard(worker: Worker) -> list[Any]:
    """What a worker says came of its item, if it does; notes that it is ready, or gone."""
    try:
        if not worker.line.poll():
            worker.gone = not worker.process.is_alive()
            return []
        kind, said = worker.line.recv()
    except (EOFError, OSError):
        worker.gone = True
        return []
    if kind == "ready":
        worker.ready = True
        return []
    worker.at = None
    if kind == "broken":
        raise Broken(said)
    return [said]


def _ended(process: SpawnProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (" (was there enough memory?)" if name == "SIGKILL" else "")
    return f"ended with exit code {code}"


def _kill(worker: Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.line.close()


def _start(do: Callable[[Any], Any], log: Path | None) -> Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, do, log), daemon=True)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits it: Ctrl-C is not for it
    try:
        with _environment(THREADS):
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    there.close()
    return Worker(process, here)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(line: Connection, do: Callable[[Any], Any], log: Path | None) -> None:
    """The life of a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if log is not None:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(written, 1)
        os.dup2(written, 2)
        faulthandler.enable(sys.stderr)
    line.send(("ready", None))
    while True:
        try:
            item = line.recv()
        except EOFError:
            return
        try:
            said = "done", do(item)
        except Broken as broken:
            said = "broken", str(broken)
        line.send(said)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
