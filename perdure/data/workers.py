"""Worker processes, one job at a time each. One that dies costs the job that it was at, and another takes its place.

Workers are started anew (spawned), think in one thread, ignore Ctrl-C, which is their parent's to answer, and end
when their parent is gone, however it went. What they print goes to a file.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from perdure.data.clip import Job
from perdure.data.work import PARTS, THREADS, Broken, Lost, Record, called, read_record, work

LOG = f"{PARTS}/workers.log"


@dataclass
class Worker:
    process: SpawnProcess
    line: Connection
    ready: bool = False  # it has started, so what ends it now is the job's doing
    job: Job | None = None
    since: float = 0.0
    gone: bool = False

    def give(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        with suppress(OSError):  # it may be gone, and will be found to be
            self.line.send(job)


def run(jobs: Sequence[Job], folder: Path, count: int, patience: float = 0.0) -> Iterator[Record]:
    """Do all jobs in `count` processes; gives records as they come.

    A job that takes longer than `patience` seconds (0: no matter how long) is given up, with its process.
    """
    if count < 1:
        raise ValueError(f"expected one worker or more, got {count}")
    if not patience >= 0:
        raise ValueError(f"expected patience in seconds, or 0 for no end of it, got {patience:g}")
    waiting, workers = deque(jobs), list[Worker]()
    try:
        while waiting or any(worker.job for worker in workers):
            busy = sum(worker.job is not None for worker in workers)
            while len(workers) < min(count, busy + len(waiting)):
                workers.append(_start(folder))
            for worker in workers:
                if worker.ready and worker.job is None and waiting:
                    worker.give(waiting.popleft())
            ends = [end for worker in workers for end in (worker.line, worker.process.sentinel)]
            stirred = wait(ends, 1.0 if patience else None)
            for worker in [w for w in workers if w.line in stirred or w.process.sentinel in stirred]:
                record = _heard(worker)
                if record is not None:
                    yield record
                elif worker.gone:
                    workers.remove(worker)
                    if not worker.ready:
                        raise Broken(f"a worker {_ended(worker.process)} before it began: see {folder / LOG}")
                    if worker.job is not None:
                        yield _died(worker.job, folder, f"the process that made it {_ended(worker.process)}")
            for worker in [w for w in workers if patience and w.job and time.monotonic() - w.since > patience]:
                workers.remove(worker)
                _kill(worker)
                assert worker.job is not None
                yield _died(worker.job, folder, f"took longer than {patience:g} s")
    finally:
        for worker in workers:
            _kill(worker)


def _heard(worker: Worker) -> Record | None:
    """The record that a worker sends, if it does; notes that it is ready, or gone."""
    try:
        if not worker.line.poll():
            worker.gone = not worker.process.is_alive()
            return None
        said = worker.line.recv()
    except (EOFError, OSError):
        worker.gone = True
        return None
    if said == "ready":
        worker.ready = True
        return None
    worker.job = None
    if isinstance(said, str):
        raise Broken(said)
    return said


def _died(job: Job, folder: Path, why: str) -> Record:
    """The record of a job whose worker is gone: its own, if it had come to write one."""
    lost = Lost(job.number, called(job), why, again=True)
    return read_record(folder, job.number) or Record(job.number, skipped=(lost,))


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


def _start(folder: Path) -> Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, folder), daemon=True)
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


def _serve(line: Connection, folder: Path) -> None:
    """The life of a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(sys.stderr)
    line.send("ready")
    while True:
        try:
            job = line.recv()
        except EOFError:
            return
        try:
            said: Record | str = work(job, folder)
        except Broken as broken:
            said = str(broken)
        line.send(said)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
