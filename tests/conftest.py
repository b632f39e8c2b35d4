"""Every test folder has a time budget, so that the suite stays one that people run.

A folder that spends more than its seconds fails the run, even when every test in it passed; so
does a folder that has no budget yet. What counts is processor time, of the tests and of the
processes that they start and wait for: on a busy machine the clock says little. Raise a budget only
together with a reason.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Before any test imports numpy, torch or numba: two threads is what the machines we promise have.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "2")
# A thread that waits sleeps: on a busy machine spinning costs forty times the processor time of the work itself.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BUDGETS = {  # processor seconds, with cold caches; "." is tests/ itself
    ".": 125,  # examples, one of which makes a data set
    "agents": 15,
    "cli": 70,
    "bench": 90,
    "data": 230,  # nine kinds of scene, ten of creature, five sources: engines, films and games are really run
    "evaluation": 40,
    "memory": 60,
    "models": 75,
    "runtime": 63,
    "server": 40,
    "training": 40,
    "world": 115,  # cuts of the power in the middle of a prune; flipped bits in whole worlds
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    began, clock = processor_seconds(), time.perf_counter()
    result = yield
    it = spent[folder_of(item.nodeid)]
    it.processor += processor_seconds() - began
    it.clock += time.perf_counter() - clock
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and overruns(spent, BUDGETS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
