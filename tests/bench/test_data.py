"""What `perdure bench data` measures is what it says, and it would tell bytes that differ."""

from pathlib import Path
from typing import Any

import pytest

from perdure.bench import data
from perdure.data import pipeline
from tests.data import made_up

SOURCE = made_up.__name__


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.alone
def test_a_short_run_says_what_it_found(monkeypatch: pytest.MonkeyPatch):
    options = {"pause": 0.05, "pace": 0.01}
    monkeypatch.setattr(data, "MEASURED", {SOURCE: (20.0, options), "moon": (20.0, {})})
    monkeypatch.setattr(data, "FIGURES", {SOURCE: "fps", "moon": "moon_fps"})
    bounds = {"fps": ("at_least", 40), f"{SOURCE}_fps_with_setup": ("at_least", 40_000), "moon_fps": ("at_least", 1)}
    monkeypatch.setattr(data, "BOUNDS", bounds | {"deterministic": ("exactly", True), "resume": ("exactly", True)})
    found = data.run(clips=3, rounds=3)
    # A clip waits 0.05 s before it begins and 0.01 s for each second: the first is no part of the pace.
    assert found["fps"] == pytest.approx(made_up.FPS / 0.01, rel=0.5)
    assert found["fps"] == sorted(found[f"{SOURCE}_rounds"])[1] and found[f"{SOURCE}_spread"] >= 0
    assert 0.02 < found[f"{SOURCE}_setup_s"] < 0.3
    assert found[f"{SOURCE}_fps_with_setup_and_encoding"] < found[f"{SOURCE}_fps_with_setup"] < found["fps"]
    assert found["deterministic"] is True and found["resume"] is True
    assert found["moon_fps"] is None and "no source named 'moon'" in found["skipped"]["moon"]
    assert not found["passed"]
    assert {name: check["passed"] for name, check in found["checks"].items()} == {
        "fps": True,
        f"{SOURCE}_fps_with_setup": False,
        "moon_fps": False,
        "deterministic": True,
        "resume": True,
    }


def test_the_middle_round_counts():
    rounds = [{"fps": fps, "setup_s": setup} for fps, setup in ((90.0, 0.9), (30.0, 3.0), (80.0, 1.0))]
    told = data.summed_up("playground", rounds)
    assert told["playground_fps_per_core"] == 80.0 and told["playground_setup_s"] == 1.0
    assert told["playground_spread"] == 0.75 and told["playground_rounds"] == [90.0, 30.0, 80.0]


def test_a_source_that_breaks_is_told_in_its_own_words():
    with pytest.raises(ValueError, match="the sky fell"):
        data.Maker(SOURCE, 1, 5.0, 0, {"n0": "raises"})


def test_bytes_that_differ_are_told(monkeypatch: pytest.MonkeyPatch):
    true, runs = pipeline.make, []

    def careless(folder: Path, plan: Any, count: int) -> Any:
        runs.append(count)
        changed = [made_up.Job(job.source, job.number, job.seed + len(runs), 5.0) for job in plan]
        return true(folder, changed if len(runs) == 2 else plan, count)

    monkeypatch.setattr(data.pipeline, "make", careless)
    found = data.sameness(made_up.plan(3, 1))
    assert found["deterministic"] is False and found["resume"] is True
