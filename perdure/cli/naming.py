"""How a world, a fork and a point in time are named: garden, garden/snow, garden/snow@120."""

from typing import Annotated

import typer

from perdure.world.store import Store, home

MAIN = "main"
"""The branch that a world's own name means."""

Named = Annotated[str, typer.Argument(help="A world, or a fork as world/fork: see `perdure ls`.")]


def open_store(named: str, write: bool = True) -> Store:
    world, _, branch = named.partition("/")
    return Store.open(home() / world, branch or MAIN, write)
