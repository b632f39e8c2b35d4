"""How a world, a fork and a point in time are named.

garden              a world, as it is now
garden/snow         a fork of it
garden@120          as step 120 made it
garden/snow@e57     just after event 57 of the fork
"""

from pathlib import Path
from typing import Annotated

import typer

from perdure.world.folder import check_name
from perdure.world.state import World
from perdure.world.store import Store, home

MAIN = "main"
"""The branch that a world's own name means."""

Named = Annotated[str, typer.Argument(help="A world, or a fork as world/fork: see `perdure ls`.")]
Pointed = Annotated[
    str, typer.Argument(help="A world or a fork; garden@120 as step 120 made it, garden@e57 just after event 57.")
]


def folder_of(world: str) -> Path:
    """Where a world is kept, whole or damaged; a fork is kept with its world."""
    if "/" in world or "@" in world:
        raise ValueError(
            f"expected a world, with all its forks, got {world!r}: say {world.split('/')[0].split('@')[0]}"
        )
    check_name("world", world)
    return home() / world


def open_store(named: str, write: bool = True) -> Store:
    world, _, branch = named.partition("/")
    if "@" in world:
        raise ValueError(f"expected a world or a fork of one, got {named!r}, which is a point in time")
    check_name("world", world)
    return Store.open(home() / world, branch or MAIN, write)


def open_point(named: str, step: int | None = None, event: int | None = None) -> tuple[Store, World]:
    """The store, open for reading, and the world at a point in time, which may be said apart from the name."""
    world, slash, branch = named.partition("/")
    at, point = "", ""
    if not slash:
        world, at, point = named.partition("@")
    elif "@" in branch and branch not in _branches(world):  # what was left by going back has an @ in its own name
        branch, at, point = branch.rpartition("@")
    if at:
        if step is not None or event is not None:
            raise ValueError(f"expected one point in time, got {named!r} and another")
        step, event = _point(named, point)
    if step is not None and event is not None:
        raise ValueError(f"expected a step or an event, got both: step {step} and event {event}")
    store = open_store(f"{world}/{branch}", write=False)
    try:
        if event is not None:
            return store, store.world_at_event(event)
        return store, store.world() if step is None else store.world_at(step)
    except BaseException:
        store.close()
        raise


def _branches(world: str) -> dict[str, int]:
    with open_store(world, write=False) as store:
        return store.branches()


def _point(named: str, point: str) -> tuple[int | None, int | None]:
    digits = point.removeprefix("e")
    if not digits.isdecimal():
        raise ValueError(f"expected a point in time as garden@120 (a step) or garden@e57 (an event), got {named!r}")
    return (None, int(digits)) if point.startswith("e") else (int(digits), None)
