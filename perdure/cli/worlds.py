"""perdure new | ls | info | play: which worlds there are, and being in one."""

import socket
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from perdure.cli.naming import MAIN, Named, open_store
from perdure.cli.saying import AsJson, clock, err, megabytes, out, print_json, show, stage
from perdure.cli.telling import rule_text
from perdure.world.folder import check_name, holder
from perdure.world.prune import excess, growth, policy
from perdure.world.store import Store, home, list_worlds

if TYPE_CHECKING:
    from perdure.runtime.engine import Engine

SCENES = "court, hall, rooms, garden, terraces, maze, corridors, table or island."
FIRST = "court"
"""What `play` opens where nothing is asked for."""


def new(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    scene: Annotated[str, typer.Option(help=SCENES)] = FIRST,
    seed: Annotated[int, typer.Option(help="Another seed, another place.")] = 0,
    spots: Annotated[int, typer.Option(help="Places it is surveyed from; with 1 the model imagines most of it.")] = 10,
    view: Annotated[str, typer.Option(help="first, third, animal or vehicle.")] = "first",
    avatar: Annotated[str, typer.Option(help="Who you are, where that is seen: knight, mage, strider, bird...")] = "",
) -> None:
    """Make a world."""
    check_name("world", name)
    if spots < 1:
        raise ValueError(f"expected at least 1 place to survey a world from, got {spots}")
    if (home() / name).exists():
        raise ValueError(f"a world named {name!r} exists already in {home()}: play it, or take another name")
    make_world(load_engine(), name, scene, seed, spots, view, avatar)
    out.print(f"{name} is in {home() / name}. Next: perdure play {name}", markup=False)


def list_(as_json: AsJson = False) -> None:
    """List the worlds and their forks."""
    worlds = list_worlds(home())
    if as_json:
        print_json([asdict(it) | {"folder": str(it.folder)} for it in worlds])
    elif not worlds:
        out.print(f"No worlds in {home()} yet. Make one: perdure new NAME", markup=False)
    else:
        table = Table("world", "scene", box=None, pad_edge=False, header_style="dim")
        for column in ("steps", "walked", "on disk"):
            table.add_column(column, justify="right")
        for it in worlds:
            if it.damage:
                table.add_row(Text(it.name), "damaged", "", "", megabytes(it.size))
            for branch, steps in sorted(it.branches.items(), key=lambda item: item[0] != MAIN):
                own = (it.name, f"{it.scene[0]} {it.scene[1]}", megabytes(it.size))
                name, scene, size = own if branch == MAIN else (f"{it.name}/{branch}", "", "")
                table.add_row(Text(name), scene, str(steps), clock(steps), size)
        out.print(table)
        for it in worlds:
            if it.damage:
                err.print(it.damage, style="red", markup=False, soft_wrap=True)


def info(world: Named, as_json: AsJson = False) -> None:
    """Say what a world is, who is in it, how far it went, what it takes, and what its frames depend on."""
    with open_store(world, write=False) as store:
        now, kept, keeps = store.world(), store.summary(), policy(store)
        with stage("measuring how it grows"):
            grows = growth(store)
        facts: dict[str, Any] = {
            "world": world,
            "scene": {"kind": now.scene[0], "seed": now.scene[1]},
            "steps": now.step,
            "walked": clock(now.step),
            "events": len(now.history.events),
            "keyframes": len(now.geometry.keyframes),
            "splats": len(now.geometry.splats),
            "entities": [{"id": it.id, "kind": it.kind, "name": it.name} for it in now.entities],
            "anchors": [{"name": it.name, "text": it.text} for it in now.geometry.anchors],
            "environment": asdict(now.setting.environment),
            "rules": {rule.name: rule_text(rule) for rule in now.setting.rules},
            "state": now.state,
            "head": now.head,
            "branches": dict(kept.branches),
            "bytes": kept.size,
            "bytes an hour": round(grows),
            "keeps": {"steps": keeps.keep_steps, "quota": keeps.quota, "over quota": excess(store)},
            "format": store.rows.meta["format"],
            "folder": str(kept.folder),
            "open in": holder(kept.folder),
            "made with": store.fingerprint,
            "now played with": differing(store.fingerprint),
        }
    if as_json:
        return print_json(facts)
    facts["entities"] = [f"{it['id']} {it['name']}" for it in facts["entities"]]
    facts["anchors"] = [it["name"] for it in facts["anchors"]]
    facts["environment"] = {name: str(value) for name, value in facts["environment"].items() if value != ""}
    facts["bytes"], facts["bytes an hour"] = (
        megabytes(kept.size),
        f"{megabytes(grows)}, as it grew lately" if now.step else "",
    )
    over = facts["keeps"]["over quota"]
    beyond = f", which it is {megabytes(over)} over: see `perdure prune`" if over else ""
    facts["keeps"] = {
        "steps": f"the last {keeps.keep_steps}, exactly" if keeps.keep_steps else "all",
        "quota": f"{megabytes(keeps.quota)}{beyond}" if keeps.quota else "none",
    }
    show({name: value for name, value in facts.items() if value not in ("", [], {})}, False)
    if facts["now played with"]:
        out.print("It may be played all the same: its frames will differ a little, and its log will say since when.")


def differing(made_with: Mapping[str, str]) -> dict[str, str]:
    """What is another here now than what a world was last played with."""
    from perdure.runtime.engine import drawn_by

    try:
        now = drawn_by()
    except ValueError:
        return {}  # there are no models here to play it with
    return {key: now.get(key, "") for key in sorted({*made_with, *now}) if made_with.get(key) != now.get(key)}


def play(
    world: Annotated[str | None, typer.Argument(help=f"A world; {FIRST} unless said, made if need be.")] = None,
    port: Annotated[int, typer.Option(help="Where the page is served.")] = 8700,
    host: Annotated[str, typer.Option(help="Whom to serve: 0.0.0.0 is everyone who can reach you.")] = "127.0.0.1",
    record: Annotated[Path | None, typer.Option(help="Keep what is shown, and every control, in this folder.")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Walk in a world, in the browser."""
    port = free_port(host, port)
    if record is not None:
        refuse_unwritable(record)
    if world:
        with open_store(world, write=False) as store:  # a mistyped name is told before anything is loaded
            other = differing(store.fingerprint)
        if other:
            says = f"{world} was last played with other {', '.join(other)}: from here on its frames differ a little"
            out.print(f"{says}, and its log says so.", soft_wrap=True)
    engine = load_engine()
    with stage("waking the server"):
        from perdure.server.app import create_app, serve
        from perdure.server.shelf import Shelf
        from perdure.server.watch import open_browser
    if not world and not (home() / FIRST).exists():
        make_world(engine, FIRST, FIRST, 0)

    shelf = Shelf(home(), lambda: engine, lambda *wanted: make_world(engine, *wanted), engine.backend.fingerprint())
    keep = None
    if record is not None:
        from perdure.server.tape import Tape

        keep = partial(Tape, folder=record)
    local = ["127.0.0.1", "localhost"]
    application = create_app(shelf, hosts=local if host in local else None, record=keep)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/?world={world or FIRST}"
    out.print(f"[bold]{world or FIRST}[/bold] is at {url}   Ctrl-C ends; the world is kept.")
    if not no_open:
        open_browser(url)
    serve(application, host, port)


def load_engine() -> "Engine":
    with stage("loading the models"):
        from perdure.runtime.engine import load

        return load()


def make_world(
    engine: "Engine", name: str, scene: str, seed: int, spots: int = 10, view: str = "first", avatar: str = ""
) -> None:
    """Found a world and keep it, with what its frames depend on."""
    with stage(f"founding {name}: {scene}, seed {seed}"):
        from perdure.data.founding import found_kind

        world = found_kind(scene, seed, engine.preset, name, spots, view, avatar)
        Store.create(home(), world, engine.backend.fingerprint()).close()


def free_port(host: str, port: int) -> int:
    """The port, if it is free; with 0 any that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            came = f"cannot serve on {host}:{port} ({getattr(error, 'strerror', error)})"
            raise ValueError(f"{came}: say another --port or --host") from None
        return int(probe.getsockname()[1])


def refuse_unwritable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot record in {folder} ({error.strerror}): say another folder with --record") from None
