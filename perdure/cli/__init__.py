"""The command line: `perdure COMMAND`.

A user's mistake is a `ValueError` wherever it is found; here it becomes one line that says what to
do, and exit code 2. A command imports what it runs when it is asked to, so that `ls` is quick.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from perdure import __version__
from perdure.cli.measuring import bench, evaluate
from perdure.cli.saying import fail, out
from perdure.cli.worlds import fork, info, list_, new, play

COMMANDS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "Worlds": {"new": new, "ls": list_, "info": info, "play": play, "fork": fork},
    "Measuring": {"bench": bench, "eval": evaluate},
}

app = typer.Typer(
    help="Worlds that last: open one, act in it, leave it, and find it as it was left.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)


@app.callback(invoke_without_command=True)
def version(asked: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False) -> None:
    if asked:
        out.print(f"perdure {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    try:
        app(arguments)
    except ValueError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] == "perdure":
            raise
        fail(f"this needs {error.name}, which playing does not: pip install 'perdure[eval,train]'")
