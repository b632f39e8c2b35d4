"""Every test folder has a time budget, so that the suite stays one that people run.

A folder that spends more than its seconds fails the run, even when every test in it passed; so
does a folder that has no budget yet. The seconds are generous: they hold on two busy cores with
cold caches. Raise one only together with a reason.
"""

import os
from collections import defaultdict
from pathlib import Path

import pytest

# Before any test imports numpy, torch or numba: two threads is what the machines we promise have.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "2")

BUDGETS = {  # seconds of setup, call and teardown; "." is tests/ itself; 495 in all
    ".": 100,
    "agents": 15,
    "bench": 30,
    "data": 45,
    "evaluation": 30,
    "memory": 45,
    "models": 60,
    "runtime": 40,
    "server": 50,
    "training": 30,
    "world": 50,
}

spent: dict[str, float] = defaultdict(float)


def folder_of(node_id: str) -> str:
    """The folder below tests/ that a test lives in: `tests/world/test_store.py::test_x` is "world"."""
    parts = Path(node_id.split("::")[0]).parts
    return parts[1] if len(parts) > 2 else "."


def overruns(spent: dict[str, float], budgets: dict[str, int]) -> list[str]:
    """One line for each folder that broke the rule; empty when all is well."""
    lines: list[str] = []
    for folder, seconds in sorted(spent.items()):
        if folder not in budgets:
            lines.append(f"tests/{folder} has no time budget: give it one in tests/conftest.py")
        elif seconds > budgets[folder]:
            lines.append(f"tests/{folder} took {seconds:.1f} s, over its budget of {budgets[folder]} s")
    return lines


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    spent[folder_of(report.nodeid)] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and overruns(spent, BUDGETS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not spent:
        return
    terminalreporter.section("time spent, and allowed")
    for folder, seconds in sorted(spent.items()):
        terminalreporter.write_line(f"{folder:<12} {seconds:6.1f} s of {BUDGETS.get(folder, 0):3d}")
    for line in overruns(spent, BUDGETS):
        terminalreporter.write_line(line, red=True, bold=True)
