"""Processes in which Doom runs, and their ends: with their game, with whoever plays it, or when they hang.

An engine does not mind SIGTERM, nor that the process is gone that plays it, and then leaves itself and its shared
memory behind for good. So a shell stands by, which waits for the end of this process, and then ends them.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from perdure.data.clip import Skipped

PATIENCE = 30.0  # seconds for what takes some hundredths, or half of one to begin
PORTS = 64  # that are tried
Kill = Callable[[], None]
T = TypeVar("T")


def engines() -> dict[int, list[str]]:
    """Processes of Doom that this one has started, and their files; none where there is no /proc."""
    out: dict[int, list[str]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            before, _, after = (entry / "stat").read_text().rpartition(")")
            if before.endswith("(vizdoom") and int(after.split()[1]) == os.getpid() and after.split()[0] != "Z":
                words = (entry / "cmdline").read_text().split("\0")
                name = words[words.index("+viz_instance_id") + 1]
                out[int(entry.name)] = [f"/dev/shm/ViZDoom{part}{name}" for part in ("SM", "MQCtr", "MQDoom")]
    return out


@contextmanager
def port() -> Iterator[int]:
    """A port for a game of several, which no other worker is given until the block ends.

    Engines talk by UDP and bind it themselves; what is held meanwhile is the port of that number of TCP.
    """
    for _ in range(PORTS):
        with socket.socket() as held, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            held.bind(("127.0.0.1", 0))
            number = int(held.getsockname()[1])
            try:
                tried.bind(("", number))
            except OSError:
                continue  # somebody else talks there
            tried.close()
            yield number
            return
    raise Skipped(f"of {PORTS} ports tried none was free for the engines to talk by")


@contextmanager
def begun(starts: Sequence[Callable[[], Any]], at_once: bool = False) -> Iterator[tuple[list[Any], Kill]]:
    """Games, and what kills their engines; they end when the block does. `at_once`: they wait for one another."""
    before = engines()
    games: list[Any] = []
    guard: subprocess.Popen[bytes] | None = None

    def kill() -> None:
        for pid in engines().keys() - before.keys():
            os.kill(pid, signal.SIGKILL)

    try:
        if at_once:
            games += together(starts, kill)
        else:
            for start in starts:
                games.append(start())
        guard = _guard({pid: files for pid, files in engines().items() if pid not in before})
        yield games, kill
    finally:
        if at_once:
            kill()  # one that is asked to close waits for the other
        for game in games:
            game.close()
        if guard is not None:
            guard.kill()
            guard.communicate()


def together(calls: Sequence[Callable[[], T]], kill: Kill, patience: float = PATIENCE) -> list[T]:
    """What calls give that wait for one another; if they take too long, `kill` has to end them."""
    line: list[Future[T]] = []
    with ThreadPoolExecutor(len(calls)) as pool:
        try:
            line = [pool.submit(call) for call in calls]
            done, pending = wait(line, patience, FIRST_EXCEPTION)
            for future in done:
                future.result()  # raises what it raised
            if pending:
                raise Skipped(f"the engines of {len(calls)} players waited for one another for {patience:g} s")
            return [future.result() for future in line]
        except BaseException:
            # An engine that is just being started is not there to be killed yet.
            while any(not future.done() for future in line):
                kill()
                wait(line, 0.1)
            raise


def _guard(ends: dict[int, list[str]]) -> subprocess.Popen[bytes] | None:
    """A shell that ends engines, and removes their files, when this process is gone: its end of a pipe closes then."""
    if not ends:
        return None
    files = " ".join(file for several in ends.values() for file in several)  # names without blanks
    script = f"cat >/dev/null; kill -9 {' '.join(map(str, ends))} 2>/dev/null; rm -f {files}"
    quiet = subprocess.DEVNULL
    return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
