"""perdure weights show | check | convert: models of Wan's, the user's own, as files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perdure.cli.saying import AsJson, megabytes, out, print_json, show, stage

app = typer.Typer(help="Look at weights of models, and make safetensors of them.", no_args_is_help=True)

KINDS = ("float32", "bfloat16", "float16")
Place = Annotated[Path, typer.Argument(help="A folder of diffusers or of Wan's own, or a .safetensors file.")]


@app.command("show")
def show_(path: Place, as_json: AsJson = False) -> None:
    """Say what weights are: of which model, how large, in which files. They are not read."""
    from perdure.models import conversion, weights
    from perdure.models.tensors import open_tensors

    found = weights.experts(path)
    told: dict[str, Any] = {}
    for place in found:
        with open_tensors(place) as held:
            facts = conversion.facts(held)
        told |= facts if len(found) == 1 else {place.name: facts}
    show(told, as_json)


@app.command()
def check(path: Place, as_json: AsJson = False) -> None:
    """Read all of a Wan transformer, and see that it is whole: every tensor there, in its shape, and finite."""
    from perdure.models import conversion, weights

    told: dict[str, Any] = {}
    for place in weights.experts(path):
        with stage(f"reading {place}"):
            told[str(place)] = conversion.examine(place)
    if as_json:
        return print_json(told)
    for place, it in told.items():
        out.print(f"{place} is whole: {it['what']}, {megabytes(it['bytes'])}", markup=False, soft_wrap=True)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A pickle (.pth, .pt, .bin, .ckpt), or other weights.")],
    into: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder in diffusers' layout, or a .safetensors.")],
    part: Annotated[str, typer.Option(help="Which of several sets of weights in a pickle: generator_ema.")] = "",
    kind: Annotated[str, typer.Option("--dtype", help=f"What floats become: {', '.join(KINDS)}.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make safetensors of weights: of a pickle, or of Wan's own layout.

    A pickle is read in a process of its own, and nothing in it is run. A transformer of Wan becomes a folder that
    diffusers reads; to keep what a file holds as it is (a TAEHV, a VAE), name an OUT that ends with .safetensors.
    """
    import torch

    from perdure.models import conversion

    if kind and kind not in KINDS:
        raise ValueError(f"expected a --dtype out of {', '.join(KINDS)}, got {kind!r}")
    with stage(f"converting {source}"):
        told = conversion.convert(source, into, part, getattr(torch, kind) if kind else None)
    if as_json:
        return print_json(told)
    left = f"; {told['left']} things that are no tensors were left out" if told.get("left") else ""
    out.print(f"{into}: {told['what']}, {told['tensors']} tensors{left}", markup=False, soft_wrap=True)
