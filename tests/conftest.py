"""The suite stays one that people run: two files are tested at a time, and every folder has a time budget.

`make test` starts two workers (pytest-xdist), each with one thread. A worker is given whole files, since what a file
prepares is prepared once, and the longest first. What measures a pace is marked `alone` and waits until the other
worker has ended its test; that one waits in turn. A plain `pytest` does one test after the other, in one process.

A folder that spends more than its seconds fails the run, even when every test in it passed; so
does a folder that has no budget yet. What counts is processor time, of the tests and of the
processes that they start and wait for, in all workers: on a busy machine the clock says little. Raise a budget only
together with a reason.
"""

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

WORKER = "PYTEST_XDIST_WORKER" in os.environ
# Before any test imports numpy, torch or numba: two threads is what the machines we promise have.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    if WORKER:
        os.environ[variable] = "1"
    else:
        os.environ.setdefault(variable, "2")
# A thread that waits sleeps: on a busy machine spinning costs forty times the processor time of the work itself.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BUDGETS = {  # processor seconds, with cold caches; "." is tests/ itself
    ".": 125,  # examples, one of which makes a data set
    "agents": 15,
    "cli": 70,
    "bench": 185,  # the model against diffusers, right and made wrong; a step of the small one, in its own processes
    "data": 250,  # nine kinds of scene, ten of creature, five sources: engines, films and games are really run
    "evaluation": 20,
    "memory": 30,  # light, weather and styles are compiled
    "models": 125,
    "runtime": 63,
    "server": 40,
    "training": 32,  # lessons are walked for real
    "world": 115,  # cuts of the power in the middle of a prune; flipped bits in whole worlds
}

LONGEST = (  # of the files; the first compiles the painter's kernels while the second needs none
    "data/test_painter.py", "models/test_export.py", "bench/test_promise.py", "test_examples.py",
    "runtime/test_engine.py", "data/test_scenes.py", "data/test_clip.py", "data/test_props.py", "test_env.py",
    "data/test_video_source.py", "world/test_programs.py", "world/test_prune.py", "data/test_truth.py",
    "bench/test_store.py", "training/test_methods.py", "data/test_doom.py", "data/test_pipeline.py",
    "server/test_page.py", "cli/test_worlds.py", "cli/test_data.py", "bench/test_physics.py", "data/test_directing.py",
    "memory/test_gaussians.py",
)  # fmt: skip
SHARING = {  # files that share what one of them has built go to one worker, under the name of the first
    "data/test_scenery.py": "data/test_painter.py",
    "memory/test_air.py": "data/test_painter.py",
    "data/test_video_filters.py": "data/test_video_source.py",
    "data/test_video_rerender.py": "data/test_video_source.py",
    "data/test_video_shots.py": "data/test_video_source.py",
}


@dataclass
class Spent:
    processor: float = 0.0  # seconds
    clock: float = 0.0  # seconds


spent: dict[str, Spent] = defaultdict(Spent)


def folder_of(node_id: str) -> str:
    """The folder below tests/ that a test lives in: `tests/world/test_store.py::test_x` is "world"."""
    parts = Path(node_id.split("::")[0]).parts
    return parts[1] if len(parts) > 2 else "."


def processor_seconds() -> float:
    """Of this process and of all that it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def overruns(spent: dict[str, Spent], budgets: dict[str, int]) -> list[str]:
    """One line for each folder that broke the rule; empty when all is well."""
    lines: list[str] = []
    for folder, it in sorted(spent.items()):
        if folder not in budgets:
            lines.append(f"tests/{folder} has no time budget: give it one in tests/conftest.py")
        elif it.processor > budgets[folder]:
            lines.append(f"tests/{folder} took {it.processor:.1f} s, over its budget of {budgets[folder]} s")
    return lines


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with turns.turn(item.get_closest_marker("alone") is not None):
        began, clock = processor_seconds(), time.perf_counter()
        result = yield
        it = spent[folder_of(item.nodeid)]
        it.processor += processor_seconds() - began
        it.clock += time.perf_counter() - clock
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if WORKER:
        output: dict[str, Any] = getattr(session.config, "workeroutput")  # noqa: B009
        output["spent"] = {folder: asdict(it) for folder, it in spent.items()}
    elif exitstatus == 0 and overruns(spent, BUDGETS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: what it spent counts with what the others did. One that crashed fails the run anyway."""
    for folder, it in getattr(node, "workeroutput", {}).get("spent", {}).items():
        spent[folder].processor += it["processor"]
        spent[folder].clock += it["clock"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not spent:
        return
    terminalreporter.section("processor time spent, and allowed")
    for folder, it in sorted(spent.items()):
        allowed = BUDGETS.get(folder, 0)
        terminalreporter.write_line(
            f"{folder:<12} {it.processor:6.1f} s of {allowed:3d}   ({it.clock:.1f} by the clock)"
        )
    for line in overruns(spent, BUDGETS):
        terminalreporter.write_line(line, red=True, bold=True)


# Side by side


def unit_of(node_id: str) -> str:
    """The file, relative to tests/, whose worker a test goes to."""
    file = node_id.split("::")[0].removeprefix("tests/")
    return SHARING.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files in the order of the workers' items, and those that share in one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return Units(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a worker, the longest files come first. Last come those with tests that wait for each other: by then all are
    short, and so is the wait.
    """
    if not WORKER:
        return
    waiting = {unit_of(item.nodeid) for item in items if item.get_closest_marker("alone")}
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda it: (unit_of(it.nodeid) in waiting, places.get(unit_of(it.nodeid), len(places))))


class Turns:
    """Locks that workers on one checkout share. Without a folder to keep them in there is nobody to wait for."""

    def __init__(self, folder: Path | None = None) -> None:
        def open_in(name: str) -> int:
            return -1 if folder is None else os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)

        self._door, self._room, self._kernels = open_in("door"), open_in("room"), open_in("kernels")

    @contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        """A test that is alone keeps the door until the room is empty; without a door others would always be in it."""
        if self._door < 0:
            yield
            return
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    @contextmanager
    def compiling(self, kernel: str) -> Iterator[None]:
        """A byte of the file for each kernel. Those that it calls are locked and compiled within: none in a circle."""
        byte = crc32(kernel.encode())
        fcntl.lockf(self._kernels, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self._kernels, fcntl.LOCK_UN, 1, byte)


turns = Turns()


def pytest_configure(config: pytest.Config) -> None:
    global turns
    cache = getattr(config, "cache", None)
    if WORKER and cache is not None:
        turns = Turns(cache.mkdir("turns"))
        compile_once()


def compile_once() -> None:
    """Of two workers that need a kernel, one compiles it and the other loads it; numba lets both compile, and two that
    keep variants of one kernel at the same time may give them the same file.
    """
    from numba.core.caching import NullCache
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    plain = Dispatcher.compile

    def compile(self: Any, sig: Any) -> Any:
        if isinstance(self._cache, NullCache):
            return plain(self, sig)
        # Numba's own lock first, as its threads take it: within a process one thread at a time holds the other.
        with global_compiler_lock, turns.compiling(f"{self.py_func.__module__}.{self.py_func.__qualname__}"):
            return plain(self, sig)

    Dispatcher.compile = compile
