"""What is measured is run by its name, with the options that it takes."""

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from perdure.bench.bounds import judged
from perdure.cli.measuring import BENCHES, EVALUATIONS, bench, evaluate
from tests.cli.desk import Said, refused, run, said


@pytest.mark.parametrize("name", BENCHES)
def test_each_benchmark_takes_the_options_that_are_passed_to_it(name: str) -> None:
    says, *taken = BENCHES[name]
    options = inspect.signature(bench).parameters
    assert says.format(**{option: options[option].default for option in options})
    assert set(taken) <= set(options)
    assert set(taken) <= set(inspect.signature(import_module(f"perdure.bench.{name}").run).parameters)


@pytest.mark.parametrize("name", EVALUATIONS)
def test_each_evaluation_takes_the_options_that_are_passed_to_it(name: str) -> None:
    says, module, function, *taken = EVALUATIONS[name]
    options = inspect.signature(evaluate).parameters
    assert says.format(**{option: options[option].default for option in options})
    measure = getattr(import_module(f"perdure.evaluation.{module}"), function)
    assert set(taken) <= set(inspect.signature(measure).parameters)
    assert set(taken) - {"sheets"} <= set(options)


def test_a_benchmark_is_run_and_shown(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict] = []
    stand_in = SimpleNamespace(run=lambda **options: given.append(options) or {"kept": 3, "ms": {"p50": 1.5}})
    monkeypatch.setitem(sys.modules, "perdure.bench.durability", stand_in)
    assert json.loads(said(capsys, "bench", "durability", "--kills", "4", "--json"))["ms"] == {"p50": 1.5}
    assert given == [{"kills": 4, "power_cuts": 100}]
    assert "ms p50" in said(capsys, "bench", "durability")


@pytest.mark.parametrize("passed", [True, False])
def test_figures_that_do_not_pass_are_shown_and_make_the_exit_code(
    passed: bool, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "perdure.bench.model", SimpleNamespace(run=lambda only: {"passed": passed}))
    assert json.loads(said(capsys, "bench", "model", "--json", code=int(not passed))) == {"passed": passed}
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "perdure.bench.model")
    assert "pip install 'perdure[wan]'" in refused(capsys, "bench", "model")


def test_a_bound_that_is_not_held_is_told_by_its_name(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = judged({"fps": 20.5, "mb": 900}, {"fps": ("at_least", 24), "mb": ("at_most", 1500)})
    monkeypatch.setitem(sys.modules, "perdure.bench.nano", SimpleNamespace(run=lambda chunks: figures))
    capsys.readouterr()
    assert run("bench", "nano", "--json") == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == figures and told.err.splitlines()[-1:] == ["not held: fps is 20.5: at least 24"]


def test_what_is_not_there_is_told_in_one_line(capsys: Said) -> None:
    assert "there are live" in refused(capsys, "bench", "nothing")
    assert "there are return, movers, film" in refused(capsys, "eval", "nothing")


def test_a_missing_extra_is_told(yard: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "perdure.evaluation.film", raising=False)
    assert "pip install 'perdure[eval]'" in refused(capsys, "render", "yard", "--from", "1")
