"""The two workers of `make test`: what one must not do meanwhile, what both have spent, who is given what."""

import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest
from tests.conftest import LONGEST, SHARING, Spent, Turns, overruns, unit_of

TESTS = Path(__file__).parent


def test_nobody_tests_beside_who_is_alone_and_who_is_to_be_alone_gets_in(tmp_path: Path) -> None:
    mine, others, over, began, within = Turns(tmp_path), Turns(tmp_path), threading.Event(), threading.Event(), []

    def test_on_and_on() -> None:
        while not over.is_set():
            with others.turn(alone=False):
                within.append("in")
                began.set()
                over.wait(0.001)
                within.append("out")

    other = threading.Thread(target=test_on_and_on, daemon=True)
    other.start()
    assert began.wait(10)
    for _ in range(20):
        with mine.turn(alone=True):
            before = len(within)
            over.wait(0.005)
            assert len(within) == before and within[-1] == "out"
    with mine.turn(alone=False):  # two who are not alone do not wait for each other
        before = len(within)
        while len(within) < before + 8:
            over.wait(0.001)
    over.set()
    other.join(10)
    assert not other.is_alive()


def test_what_all_workers_spent_is_held_against_the_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: dict[str, Spent] = defaultdict(Spent)
    monkeypatch.setattr(conftest, "spent", spent)
    for processor in (7.0, 4.0):
        output = {"spent": {"world": {"processor": processor, "clock": 9.0}}}
        conftest.pytest_testnodedown(SimpleNamespace(workeroutput=output))
    conftest.pytest_testnodedown(SimpleNamespace())  # it crashed
    assert spent == {"world": Spent(11.0, 18.0)}
    assert overruns(spent, {"world": 11}) == []
    assert overruns(spent, {"world": 10}) == ["tests/world took 11.0 s, over its budget of 10 s"]
    assert "has no time budget" in overruns(spent, {})[0]


def test_files_that_are_named_exist_and_those_that_share_go_together() -> None:
    for file in (*LONGEST, *SHARING, *SHARING.values()):
        assert (TESTS / file).is_file(), f"expected a file of tests, got {file}: see LONGEST and SHARING in conftest.py"
    assert unit_of("tests/data/test_scenery.py::test_x[a::b]") == unit_of("tests/data/test_painter.py::test_y")
    assert unit_of("tests/test_env.py::test_x") == "test_env.py"
