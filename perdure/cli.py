"""The command line: perdure new | ls | play | info | fork | bench | eval.

A user's mistake is a `ValueError` wherever it is found; here it becomes one line that says what to
do, and exit code 2. A command imports what it runs when it is asked to, so that `ls` is quick.
A world is named by its name, a fork of it by `world/fork`.
"""

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from perdure import __version__
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND
from perdure.world.store import Store, home, list_worlds

if TYPE_CHECKING:
    from perdure.runtime.engine import Engine

FIRST = "court"  # what `play` opens where nothing is asked for
MAIN = "main"  # the branch that a world's own name means

app = typer.Typer(
    help="Worlds that last: open one, act in it, leave it, and find it as it was left.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Named = Annotated[str, typer.Argument(help="A world, or a fork as world/fork: see `perdure ls`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]


@app.callback(invoke_without_command=True)
def version(asked: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False) -> None:
    if asked:
        out.print(f"perdure {__version__}")
        raise typer.Exit


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    scene: Annotated[str, typer.Option(help="court, hall or rooms.")] = FIRST,
    seed: Annotated[int, typer.Option(help="Another seed, another place.")] = 0,
    spots: Annotated[int, typer.Option(help="Places it is surveyed from; with 1 the model imagines most of it.")] = 10,
) -> None:
    """Make a world."""
    if (home() / name).exists():
        raise ValueError(f"a world named {name!r} exists already in {home()}: play it, or take another name")
    make_world(load_engine(), name, scene, seed, spots)
    out.print(f"{name} is in {home() / name}. Next: perdure play {name}")


@app.command("ls")
def list_(as_json: AsJson = False) -> None:
    """List the worlds and their forks."""
    worlds = list_worlds(home())
    if as_json:
        print_json([asdict(it) | {"folder": str(it.folder)} for it in worlds])
    elif not worlds:
        out.print(f"No worlds in {home()} yet. Make one: perdure new NAME")
    else:
        table = Table("world", "scene", box=None, pad_edge=False, header_style="dim")
        for column in ("steps", "walked", "on disk"):
            table.add_column(column, justify="right")
        for it in worlds:
            if it.damage:
                table.add_row(it.name, "damaged", "", "", f"{it.size / 1e6:.1f} MB")
            for branch, steps in it.branches.items():
                own = (it.name, f"{it.scene[0]} {it.scene[1]}", f"{it.size / 1e6:.1f} MB")
                name, scene, size = own if branch == MAIN else (f"{it.name}/{branch}", "", "")
                table.add_row(name, scene, str(steps), clock(steps), size)
        out.print(table)
        for it in worlds:
            if it.damage:
                err.print(it.damage, style="red", markup=False, soft_wrap=True)


@app.command()
def play(
    world: Annotated[str | None, typer.Argument(help=f"A world; {FIRST} unless said, made if need be.")] = None,
    port: Annotated[int, typer.Option(help="Where the page is served.")] = 8700,
    host: Annotated[str, typer.Option(help="Whom to serve: 0.0.0.0 is everyone who can reach you.")] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Walk in a world, in the browser."""
    refuse_taken_port(host, port)
    if world:
        with open_store(world, write=False):
            pass  # a mistyped name is told before anything is loaded
    engine = load_engine()
    with stage("waking the server"):
        from perdure.server.app import create_app, serve
        from perdure.server.shelf import Shelf
        from perdure.server.watch import open_browser
    if not world and not (home() / FIRST).exists():
        make_world(engine, FIRST, FIRST, 0)

    shelf = Shelf(home(), lambda: engine, lambda *wanted: make_world(engine, *wanted))
    local = ["127.0.0.1", "localhost"]
    application = create_app(shelf, hosts=local if host in local else None)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/?world={world or FIRST}"
    out.print(f"[bold]{world or FIRST}[/bold] is at {url}   Ctrl-C ends; the world is kept.")
    if not no_open:
        open_browser(url)
    serve(application, host, port)


@app.command()
def info(world: Named, as_json: AsJson = False) -> None:
    """Say what a world is, how far it went, and what its frames depend on."""
    with open_store(world, write=False) as store:
        now, kept = store.world(), store.summary()
        facts: dict[str, Any] = {
            "world": world,
            "scene": {"kind": now.scene[0], "seed": now.scene[1]},
            "steps": now.step,
            "walked": clock(now.step),
            "keyframes": len(now.geometry.keyframes),
            "entities": [entity.name for entity in now.entities],
            "events": len(now.history.events),
            "state": now.state,
            "head": now.head,
            "branches": dict(kept.branches),
            "bytes": kept.size,
            "folder": str(kept.folder),
            "made with": store.fingerprint,
        }
    show(facts, as_json)


@app.command()
def fork(
    world: Named,
    name: Annotated[str, typer.Argument(help="What to call the fork.")],
    at: Annotated[int | None, typer.Option(help="The step to leave it at; its last unless said.")] = None,
) -> None:
    """Give a world another future. Its past is shared, not copied."""
    with open_store(world) as store:
        left = store.fork(store.branch, at, name)
    out.print(f"{name} leaves {world} at step {left.step}. Next: perdure play {left.name}/{name}")


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="live, promise, view, durability, store, splat, state or physics.")],
    seconds: Annotated[float, typer.Option(help="live: how long to hold the keys.")] = 60.0,
    world: Annotated[str | None, typer.Option(help="live: which world; one of its own unless said.")] = None,
    cases: Annotated[int, typer.Option(help="promise: how many times to kill it.")] = 60,
    kills: Annotated[int, typer.Option(help="durability: how many processes to kill.")] = 300,
    power_cuts: Annotated[int, typer.Option(help="durability: how many times to cut the power.")] = 100,
    events: Annotated[int, typer.Option(help="store: how many events it has behind it.")] = 10_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure: the whole loop in a real browser (live), what kills leave (promise), the state view (view),
    what is lost by kills and power cuts (durability), a store with millions of events (store), splats (splat),
    hashing (state), things (physics)."""
    match name:
        case "live":
            with stage(f"playing for {seconds:.0f} s in a real browser"):
                from perdure.bench import live

                figures = live.run(seconds, world)
        case "promise":
            with stage(f"playing, killing and opening again, {cases} times"):
                from perdure.bench import promise

                figures = promise.run(cases)
        case "view":
            with stage("rendering views"):
                from perdure.bench import view

                figures = view.run()
        case "durability":
            with stage(f"killing {kills} processes, and cutting the power {power_cuts} times"):
                from perdure.bench import durability

                figures = durability.run(kills, power_cuts)
        case "store":
            with stage(f"filling a store with {events:,} events"):
                from perdure.bench import store

                figures = store.run(events)
        case "splat":
            with stage("drawing splats"):
                from perdure.bench import splat

                figures = splat.run()
        case "state":
            with stage("hashing a world"):
                from perdure.bench import state

                figures = state.run()
        case "physics":
            with stage("moving a court full of things"):
                from perdure.bench import physics

                figures = physics.run()
        case _:
            known = "live, promise, view, durability, store, splat, state and physics"
            raise ValueError(f"no benchmark named {name!r}: there are {known}")
    show(figures, as_json)


@app.command("eval")
def evaluate(
    name: Annotated[
        str, typer.Argument(help="return: there and back. movers: who was out of view. film: strolls to look at.")
    ],
    scenes: Annotated[int, typer.Option(help="return: how many held-out scenes.")] = 20,
    frames: Annotated[int, typer.Option(help="return: how long a walk, there and back.")] = 256,
    cases: Annotated[int, typer.Option(help="movers: how many creatures to look for again.")] = 50,
    away: Annotated[int, typer.Option(help="movers: for how many frames they are out of view.")] = 1000,
    jobs: Annotated[int, typer.Option(help="movers: how many processes to play them in.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Where pictures and films go.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good it is, against a truth that is known."""
    match name:
        case "return":
            with stage(f"walking {scenes} scenes there and back"):
                from perdure.evaluation import persistence, report

                figures = persistence.return_trip(scenes, frames, sheets=folder)
            if as_json:
                print_json(figures)
            else:
                report.print_return(figures, out)
        case "movers":
            with stage(f"looking away from {cases} creatures, and at them again"):
                from perdure.evaluation import movers

                figures = movers.reappear(cases, away, jobs, folder=folder)
            show(figures, as_json)
        case "film":
            with stage("strolling through each kind of scene"):
                from perdure.evaluation import film

                made = film.film(folder or Path("films"))
            show(made, as_json)
        case _:
            raise ValueError(f"no evaluation named {name!r}: there are return, movers and film")


def load_engine() -> "Engine":
    with stage("loading the models"):
        from perdure.runtime.engine import load

        return load()


def make_world(engine: "Engine", name: str, scene: str, seed: int, spots: int = 10) -> None:
    """Found a world and keep it, with what its frames depend on."""
    if spots < 1:
        raise ValueError(f"expected at least 1 place to survey a world from, got {spots}")
    with stage(f"founding {name}: {scene}, seed {seed}"):
        from perdure.data.founding import found_kind

        world = found_kind(scene, seed, engine.preset, name, spots)
        Store.create(home(), world, engine.backend.fingerprint()).close()


def open_store(named: str, write: bool = True) -> Store:
    world, _, branch = named.partition("/")
    return Store.open(home() / world, branch or MAIN, write)


@contextmanager
def stage(says: str) -> Iterator[None]:
    """Say what takes its time, while it does."""
    with err.status(f"{says} …"):
        yield


def show(facts: Mapping[str, Any], as_json: bool) -> None:
    """Figures for a program, or one a line for a person."""
    if as_json:
        return print_json(facts)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in flat(facts):
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
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


def refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            came = f"cannot serve on {host}:{port} ({error.strerror})"
            raise ValueError(f"{came}: say another --port or --host") from None


def main(arguments: list[str] | None = None) -> None:
    try:
        app(arguments)
    except ValueError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] == "perdure":
            raise
        fail(f"this needs {error.name}, which playing does not: pip install 'perdure[eval,train]'")


def fail(says: str) -> NoReturn:
    err.print(f"perdure: {says}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
