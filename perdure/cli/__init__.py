"""The command line: `perdure COMMAND`.

A user's mistake is a `ValueError` wherever it is found; here it becomes one line that says what to
do, and exit code 2. A command imports what it runs when it is asked to, so that `ls` is quick.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn

import typer

from perdure import __version__
from perdure.cli import data, weights
from perdure.cli.editing import edit, say
from perdure.cli.history import diff, fork, goto, log, replay, undo
from perdure.cli.keeping import check, export, import_, prune, repair
from perdure.cli.looking import render
from perdure.cli.measuring import bench, evaluate
from perdure.cli.painting import paint
from perdure.cli.saying import fail, out
from perdure.cli.worlds import info, list_, new, play

COMMANDS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "Worlds": {"new": new, "ls": list_, "info": info, "play": play, "render": render, "edit": edit, "say": say},
    "Histories": {"log": log, "goto": goto, "fork": fork, "undo": undo, "diff": diff, "replay": replay},
    "Keeping": {"export": export, "import": import_, "check": check, "repair": repair, "prune": prune},
    "Measuring": {"bench": bench, "eval": evaluate},
    "Films": {"paint": paint},
}

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": ("torch", "safetensors"),
    "data": ("pyarrow",),
    "worlds": ("ale_py", "multi_agent_ale_py", "pettingzoo", "vizdoom"),
    "video": ("pycolmap", "transformers"),
    "cluster": ("ray",),
    "wan": ("accelerate", "diffusers", "ftfy", "tokenizers"),
}
"""Which extra installs what only some commands import; the rest is in `eval`, and what data needs of it in `data`."""

UsageError: Any = typer.BadParameter.__mro__[1]
"""What a mistyped command raises: click's own, or that of the copy of it which newer typers bring."""

app = typer.Typer(
    help="Worlds that last: open one, act in it, leave it, and find it as it was left.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(data.app, name="data", rich_help_panel="Learning")
app.add_typer(weights.app, name="weights", rich_help_panel="Learning")


@app.callback(invoke_without_command=True)
def version(asked: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False) -> None:
    if asked:
        out.print(f"perdure {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> NoReturn:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        sys.exit(app(arguments or ["--help"], prog_name="perdure", standalone_mode=False))
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        if error.filename is None:
            fail(str(error))
        fail(f"{error.filename}: {error.strerror}: see to its permissions, or name another place")
    except UsageError as error:
        said, where = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "perdure"
        fail(f"{said}: see `{where} --help`")
    except typer.Abort:
        fail("nothing is done: say --yes to agree beforehand")
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] in {"perdure", *sys.stdlib_module_names}:
            raise
        package = error.name.split(".")[0]
        other = "data" if arguments[:1] == ["data"] else "eval"
        extra = next((extra for extra, packages in EXTRAS.items() if package in packages), other)
        whole = arguments[:1] == ["paint"] or arguments[:2] == ["bench", "model"]
        extra = "wan" if whole else extra  # which has all of it
        fail(f"this needs {package}, which playing does not: pip install 'perdure[{extra}]'")
