"""A bound is held or it is not, and what was not measured holds none."""

import pytest

from perdure.bench.bounds import HOLDS, Bound, broken, judged

BOUNDS: dict[str, Bound] = {"fps": ("at_least", 24), "mb": ("at_most", 1500), "same": ("exactly", True)}


def test_what_holds_passes() -> None:
    told = judged({"fps": 24.0, "mb": 1500, "same": True, "else": 0}, BOUNDS)
    assert told["passed"] and not broken(told)
    assert told["checks"]["fps"] == {"value": 24.0, "at_least": 24, "passed": True}


@pytest.mark.parametrize(
    ("name", "value"), [("fps", 23.99), ("fps", None), ("fps", float("nan")), ("mb", 1500.1), ("same", False)]
)
def test_one_that_does_not_is_told_by_its_name(name: str, value: float | None) -> None:
    told = judged({"fps": 30.0, "mb": 900, "same": True, name: value}, BOUNDS)
    assert not told["passed"] and [n for n, check in told["checks"].items() if not check["passed"]] == [name]
    (line,) = broken(told)
    assert line.startswith(f"{name} is ") and str(BOUNDS[name][1]) in line
    how = BOUNDS[name][0].replace("_", " ")
    assert how in line and BOUNDS[name][0] in HOLDS


def test_what_was_not_measured_is_told_too() -> None:
    told = judged({"fps": 30.0, "mb": 900}, BOUNDS)
    assert broken(told) == ["same is None: exactly True"]
