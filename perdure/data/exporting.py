"""Data sets in other forms: LeRobot's, shards of what is chosen, or plain films with their words beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.data import lerobot, shards
from perdure.data.captions import timed
from perdure.data.dataset import Dataset
from perdure.data.pipeline import shard_of

PER_SHARD = 64  # clips


def webdataset(data: Dataset, folder: Path) -> list[Path]:
    """The clips of a data set, to the byte, in shards of their own."""
    out: list[Path] = []
    for number in range(-(-len(data) // PER_SHARD)):
        path = shard_of(folder, number)
        with path.open("wb") as file:
            for name in data.names[number * PER_SHARD : (number + 1) * PER_SHARD]:
                shards.append(file, name, {kind: shards.taken(place) for kind, place in data.files(name).items()})
            shards.close(file)
        out.append(path)
    return out


def films(data: Dataset, folder: Path) -> list[Path]:
    """NAME.mp4, and in NAME.json what is said of it: captions and moments in seconds."""
    out: list[Path] = []
    for name in data.names:
        path, sheet = folder / f"{name}.mp4", data.sheet(name)
        path.write_bytes(shards.taken(data.files(name)["mp4"]))
        told = sheet.captions
        words: dict[str, Any] = {
            "name": name, "source": sheet.source, "licence": sheet.licence, "fps": sheet.fps, "seconds": sheet.seconds,
            "narrative": told.narrative if told else None, "scene": told.scene if told else None,
            "dense": timed(told, sheet.fps) if told else None,
            "events": [
                {"start": round(m.start / sheet.fps, 3), "end": round(m.end / sheet.fps, 3), "kind": m.kind,
                 "words": m.words} for m in sheet.events
            ],
            "tags": sheet.tags,
        }  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n", "utf-8")
        out.append(path)
    return out


FORMATS: dict[str, Callable[[Dataset, Path], list[Path]]] = {
    "lerobot": lerobot.export,
    "webdataset": webdataset,
    "mp4": films,
}


def export(data: Dataset, folder: Path, form: str) -> list[Path]:
    """Write a data set in another form into a new folder; gives what was written there."""
    if form not in FORMATS:
        raise ValueError(f"expected a format out of {', '.join(FORMATS)}, got {form!r}")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"expected {folder} to be new or empty: a data set is exported whole")
    folder.mkdir(parents=True, exist_ok=True)
    return FORMATS[form](data, folder)
