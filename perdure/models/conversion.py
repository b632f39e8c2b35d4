"""Weights from one form into another: pickles to safetensors, Wan's own folders to diffusers'.

This is the one way in for a pickle (`models/pickled.py`). What comes out is whole, or is not there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from perdure.models import pickled, weights
from perdure.models import tensors as files
from perdure.models.adapters.names import published
from perdure.models.config import Adapters
from perdure.models.headers import PICKLES, begins_as_pickle
from perdure.models.names import sizes, stranger, title, wans_names
from perdure.models.tensors import Tensors, open_tensors


def convert(source: Path, out: Path, part: str = "", dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Write `source` to `out`: a .safetensors file with the same tensors, or else a folder in diffusers' layout.

    `part` says which of several sets of weights in a pickle is meant, `dtype` what floats become. Returns what
    can be said of what was written.
    """
    with _plain(source, out, part) as (place, told):
        found = weights.experts(place)
        if out.suffix == ".safetensors":
            if len(found) > 1:
                raise ValueError(f"{source}: two experts do not go into one file: name a folder to write to")
            if (found[0] / weights.ADAPTERS).is_file():
                lie = f"its adapters lie beside it in {weights.ADAPTERS}, and do not go into one file"
                raise ValueError(f"{source}: {lie}: name a folder to write to")
            with open_tensors(found[0]) as held, files.beside(out) as partial:
                files.save({name: held.read(name, dtype=dtype) for name in held}, partial, held.metadata)
                return facts(held) | told
        for one in found:
            with open_tensors(one) as held:
                if not wans_names(held):
                    what = f"expected a transformer of Wan for a folder in diffusers' layout, got {stranger(held)}"
                    raise ValueError(f"{source}: {what}: to keep it as it is, name a file: {out}.safetensors")
        with files.beside(out) as partial:
            folders = [partial] if len(found) == 1 else [partial / name for name in weights.EXPERTS[0]]
            settings = source.parent / "config.json" if source.is_file() else None
            written = [_lay_out(one, folder, dtype, settings) for one, folder in zip(found, folders)]
        return written[0] | told | ({"experts": len(found)} if len(found) > 1 else {})


@contextmanager
def _plain(source: Path, out: Path, part: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """`source` where it is, or if it is a pickle, what was read of it, and what is told of that."""
    if source.is_dir():
        inside = [file for file in sorted(source.iterdir()) if file.suffix in PICKLES]
        if len(inside) == 1 and not list(source.glob("*.safetensors")):
            source = inside[0]
    if source.suffix not in PICKLES and not (source.is_file() and begins_as_pickle(source)):
        if part:
            raise ValueError(f"{source}: expected a pickle of several sets of weights with --part, got none")
        yield source, {}
        return
    if not source.is_file():
        raise ValueError(f"expected a file of weights at {source}, there is none")
    plain = out.with_name(out.name + ".unpickled")
    plain.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield plain, pickled.convert(source, plain, part)
    finally:
        files.remove(plain)


def _lay_out(source: Path, folder: Path, dtype: torch.dtype | None, settings: Path | None) -> dict[str, Any]:
    """One transformer into diffusers' layout, a shard at a time."""
    config = weights.read_config(source, settings)
    held, names = weights.opened(source)
    with held:
        kinds = {name: weights.becomes(name, held.dtypes[it], dtype) for name, it in names.items()}
        bytes = {name: files.size(held.shapes[it], kinds[name]) for name, it in names.items()}
        folder.mkdir(parents=True)
        weights.write_config(config, folder)
        base = {name: count for name, count in bytes.items() if not name.startswith(weights.PREFIX)}
        files.write(folder, weights.STEM, base, lambda name: held.read(names[name], dtype=kinds[name]))
        added = {name: held.read(names[name], dtype=dtype) for name in bytes if name not in base}  # as others have them
    if apart := weights.apart(source, names):
        with open_tensors(apart.path) as ours:
            added |= {name: ours.read(name, dtype=dtype) for name in ours}
    if added:
        files.save(added, folder / weights.ADAPTERS)
    return facts(held)


def facts(held: Tensors) -> dict[str, Any]:
    """What can be said of a checkpoint without reading it."""
    names = wans_names(held)
    shapes = {ours: held.shapes[theirs] for ours, theirs in names.items()}
    found, beside = sizes(shapes), held.path / weights.OURS
    on = weights.config_from_json(beside).adapters if beside.is_file() else published(names, shapes)
    added = {field: value for field, value in asdict(on).items() if value != getattr(Adapters(), field)}
    base = ((ours, theirs) for ours, theirs in names.items() if not ours.startswith(weights.PREFIX))
    whose = "diffusers" if all(ours in theirs for ours, theirs in base) else "Wan's own"
    numbers = {str(kind).removeprefix("torch."): 0 for kind in held.dtypes.values()}
    for name, kind in held.dtypes.items():
        numbers[str(kind).removeprefix("torch.")] += torch.Size(held.shapes[name]).numel()
    return {
        "what": title(found) if names else stranger(held),
        **({"names": whose, "sizes": found, "adapters": added} if names else {}),
        "tensors": len(held),
        "numbers": numbers,
        "bytes": held.bytes,
        "files": sorted({file.name for file in held.files.values()}),
    }


def examine(place: Path) -> dict[str, Any]:
    """Read all of a transformer and see that it is whole: every tensor there, in its shape, and finite."""
    config = weights.read_config(place)
    held, names = weights.opened(place)
    with held, torch.device("meta"):
        shapes = {name: tuple(it.shape) for name, it in weights.Transformer(config).state_dict().items()}
        absent = weights.absent(names)
        weights.check("Transformer", {name: it for name, it in shapes.items() if not absent(name)}, held, names)
        for theirs in names.values():
            held.read(theirs)
    if apart := weights.apart(place, names):
        with open_tensors(apart.path) as ours:
            absent = weights.absent(ours, apart.said)
            wanted = {n: it for n, it in shapes.items() if n.startswith(weights.PREFIX) and not absent(n)}
            weights.check("Added", wanted, ours, {name: name for name in ours})
            for name in ours:
                ours.read(name)
    return facts(held)
