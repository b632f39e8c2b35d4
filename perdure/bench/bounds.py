"""What a benchmark's figures are held to: it says of each bound whether it holds, and its exit code of all of them."""

import operator
from collections.abc import Mapping
from typing import Any

Bound = tuple[str, float | bool]
"""How, one of `HOLDS`, and what."""

HOLDS = {"at_least": operator.ge, "at_most": operator.le, "exactly": operator.eq}


def judged(figures: Mapping[str, Any], bounds: Mapping[str, Bound]) -> dict[str, Any]:
    """`passed`, and for each bound its figure, what is asked, and whether it is so. What was not measured is not."""
    checks: dict[str, dict[str, Any]] = {}
    for name, (how, bound) in bounds.items():
        value = figures.get(name)
        checks[name] = {"value": value, how: bound, "passed": value is not None and bool(HOLDS[how](value, bound))}
    return {"passed": all(check["passed"] for check in checks.values()), "checks": checks}


def broken(figures: Mapping[str, Any]) -> list[str]:
    """A line for each check that did not pass."""
    said: list[str] = []
    for name, check in figures.get("checks", {}).items():
        if not check["passed"]:
            told = (f"{what.replace('_', ' ')} {check[what]}" for what in ("bound", *HOLDS, "error") if what in check)
            value = check["value"]
            said.append(f"{name} is {f'{value:.4g}' if isinstance(value, float) else value}: {', '.join(told)}")
    return said
