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
    monkeypatch.setattr(data, "MEASURED", {SOURCE: {"pause": 0.05, "pace": 0.01}, "moon": {}})
    monkeypatch.setattr(data, "FIGURES", {SOURCE: "fps", "moon": "moon_fps"})
    found = data.run(clips=3, seconds=20.0)
    # A clip waits 0.05 s before it begins and 0.01 s for each second: the first is no part of the pace.
    assert found["fps"] == pytest.approx(made_up.FPS / 0.01, rel=0.5)
    assert 0.02 < found[f"{SOURCE}_setup_s"] < 0.3
    assert found[f"{SOURCE}_fps_with_setup"] < found["fps"]
    assert found["deterministic"] is True and found["resume"] is True
    assert found["moon_fps"] is None and "no source named 'moon'" in found["skipped"]["moon"]


def test_bytes_that_differ_are_told(monkeypatch: pytest.MonkeyPatch):
    true, runs = pipeline.make, []

    def careless(folder: Path, plan: Any, count: int) -> Any:
        runs.append(count)
        changed = [made_up.Job(job.source, job.number, job.seed + len(runs), 5.0) for job in plan]
        return true(folder, changed if len(runs) == 2 else plan, count)

    monkeypatch.setattr(data.pipeline, "make", careless)
    found = data.sameness(made_up.plan(3, 1))
    assert found["deterministic"] is False and found["resume"] is True
