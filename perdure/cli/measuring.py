"""perdure bench | eval: how fast, how safe, and how good it is."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from perdure.bench.bounds import broken
from perdure.cli.saying import AsJson, err, out, show, stage

# A benchmark is a module of perdure/bench with a `run`: what is said meanwhile, and which options it takes.
BENCHES: Mapping[str, tuple[str, ...]] = {
    "live": ("playing for {seconds:.0f} s in a real browser", "seconds", "world"),
    "promise": ("playing, killing and opening again, {cases} times", "cases"),
    "view": ("rendering views",),
    "durability": ("killing {kills} processes, and cutting the power {power_cuts} times", "kills", "power_cuts"),
    "store": ("filling a store with {events:,} events", "events"),
    "splat": ("drawing splats",),
    "state": ("hashing a world",),
    "physics": ("moving a court full of things",),
    "data": ("making clips with each source",),
    "model": ("comparing the model with Wan as diffusers has it, and with itself", "only"),
    "nano": ("walking {chunks:,} chunks with the small model", "chunks"),
}

# An evaluation is a function of a module of perdure/evaluation: what is said, where it is, and which options it takes.
EVALUATIONS: Mapping[str, tuple[str, ...]] = {
    "return": ("walking {scenes} scenes there and back", "persistence", "return_trip", "scenes", "frames", "sheets"),
    "movers": (
        *("looking away from {cases} creatures, and at them again", "movers", "reappear"),
        *("cases", "away", "jobs", "folder"),
    ),
    "film": ("strolling through each kind of scene", "film", "film", "folder"),
    "redrawn": ("drawing clips of each kind of scene again", "redrawn", "redraw", "folder"),
    "structure": ("finding where the camera of a film was", "structure", "structures"),
    "rerender": ("filming walks again along new ways", "rerender", "rerendered", "folder"),
    "recogniser": ("learning who does what in boxing, and saying it of others", "recogniser", "recognise", "folder"),
}


def bench(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(BENCHES)}.")],
    seconds: Annotated[float, typer.Option(help="live: how long to hold the keys.")] = 60.0,
    world: Annotated[str | None, typer.Option(help="live: which world; one of its own unless said.")] = None,
    cases: Annotated[int, typer.Option(help="promise: how many times to kill it.")] = 60,
    kills: Annotated[int, typer.Option(help="durability: how many processes to kill.")] = 300,
    power_cuts: Annotated[int, typer.Option(help="durability: how many times to cut the power.")] = 100,
    events: Annotated[int, typer.Option(help="store: how many events it has behind it.")] = 10_000_000,
    only: Annotated[str, typer.Option(help="model: only what has this in its name.")] = "",
    chunks: Annotated[int, typer.Option(help="nano: how far to walk while memory is watched.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Measure it. Where a bound is not held, the last lines say which, and the exit code is 1.

    live: the whole loop, in a real browser. promise: what kills leave of playing. durability: what kills and power
    cuts lose. store: a store with millions of events. view: the state view. splat: splats. state: hashing.
    physics: things. data: clips to learn from. model: what the model is equal to. nano: the small model's step, and
    what it holds. It is for two cores: one steps the world, its graphs with it, and is what is measured; the other is
    left to who hands out frames, packs and shows them.
    """
    options = dict(locals())
    if name not in BENCHES:
        raise ValueError(f"no benchmark named {name!r}: there are {', '.join(BENCHES)}")
    says, *taken = BENCHES[name]
    with stage(says.format(**options)):
        figures = import_module(f"perdure.bench.{name}").run(**{option: options[option] for option in taken})
    show(figures, as_json)
    if figures.get("passed") is False:
        for line in broken(figures):
            err.print(f"not held: {line}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)


def evaluate(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(EVALUATIONS)}.")],
    scenes: Annotated[int, typer.Option(help="return: how many held-out scenes.")] = 20,
    frames: Annotated[int, typer.Option(help="return: how long a walk, there and back.")] = 256,
    cases: Annotated[int, typer.Option(help="movers: how many creatures to look for again.")] = 50,
    away: Annotated[int, typer.Option(help="movers: for how many frames they are out of view.")] = 1000,
    jobs: Annotated[int, typer.Option(help="movers: how many processes to play them in.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Where pictures and films go.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good it is, against a truth that is known.

    return: there and back. movers: who was out of view. structure: camera poses that COLMAP finds in films of the
    playground. rerender: clips seen again along new ways, against the engine's pictures. recogniser:
    commands read off frames, against those that were given. film: strolls to look at. redrawn: clips with
    creatures and events, and what the model makes of them.
    """
    options = dict(locals()) | {"sheets": folder}
    if name not in EVALUATIONS:
        raise ValueError(f"no evaluation named {name!r}: there are {', '.join(EVALUATIONS)}")
    says, module, function, *taken = EVALUATIONS[name]
    with stage(says.format(**options)):
        measure = getattr(import_module(f"perdure.evaluation.{module}"), function)
        figures = measure(**{option: options[option] for option in taken if options[option] is not None})
    if name == "return" and not as_json:
        from perdure.evaluation import report

        report.print_return(figures, out)
    else:
        show(figures, as_json)
