"""What commands say: figures for a program or for a person, what takes its time while it does, and mistakes."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@contextmanager
def stage(says: str) -> Iterator[None]:
    """Say what takes its time, while it does."""
    with err.status(Text(f"{says} …")):  # not read as markup: it may name what users named
        yield


@contextmanager
def progress(says: str) -> Iterator[Callable[[float, str], None]]:
    """Say how far something is: what is given is to be called with the share that is done, and what is being done."""
    columns = (
        TextColumn(says),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)


def show(facts: Mapping[str, Any], as_json: bool) -> None:
    """Figures for a program, or one a line for a person."""
    if as_json:
        return print_json(facts)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in flat(facts):
        table.add_row(Text(name), Text(f"{value:.2f}" if isinstance(value, float) else str(value)))
    out.print(table)


def flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested facts as single ones, each named by the way to it."""
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name} ")
        elif isinstance(value, list | tuple):
            yield above + name, ", ".join(map(str, value))
        else:
            yield above + name, value


def print_json(value: Any) -> None:
    """On the plain stdout, so that no terminal's width breaks a line."""
    print(json.dumps(value, indent=2))


def clock(steps: int) -> str:
    seconds = steps * FRAMES_PER_CHUNK // FRAMES_PER_SECOND
    return f"{seconds // 60}:{seconds % 60:02d}"


def megabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def fail(says: str) -> NoReturn:
    err.print(f"perdure: {says}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)
