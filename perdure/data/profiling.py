"""Profiles and captions of a data set that is made already: measured, written again, and summed up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.data.captions import caption, shown
from perdure.data.dataset import Dataset
from perdure.data.profile import PROFILE, Row, profile, read, write
from perdure.data.shards import Place, Sheet, clip_of, relabel, taken

MOST = 12  # different words of a column that are counted one by one


def measured(data: Dataset, again: bool = False) -> list[Row]:
    """The profiles of all clips of a data set; those that are not there yet are made, and all with `again`."""
    out: list[Row] = []
    for folder in dict.fromkeys(shard.parent for shard in data.shards):
        names = [name for name in data.names if data.files(name)["json"][0].parent == folder]
        path = folder / PROFILE
        rows = read(path) if path.exists() and not again else []
        if [row["name"] for row in rows] != names:
            rows = [profile(data[name]) for name in names]
            write(path, rows)
            rows = read(path)
        out += rows
    return out


def recaptioned(
    data: Dataset, seed: int = 0, tell: Callable[[NDArray[np.uint8]], str] | None = None
) -> tuple[int, int]:
    """Write captions anew, of films by what `tell` says of a picture; gives how many clips have new ones, and of how
    many nothing can be told."""
    done = left = 0

    def change(sheet: Sheet, files: Mapping[str, Place]) -> Sheet:
        nonlocal done, left
        clip = clip_of({kind: taken(place) for kind, place in files.items()})
        captions = caption(clip, seed)
        if captions is None and tell is not None:
            captions = shown(clip, tell)
        if captions is None:
            left += 1
            return sheet
        done += 1
        return msgspec.structs.replace(sheet, captions=captions)

    for shard in data.shards:
        relabel(shard, change)
    _note_captions(data)
    return done, left


def _note_captions(data: Dataset) -> None:
    """Profiles say whether there are captions."""
    fresh = Dataset(data.folder)
    for folder in dict.fromkeys(shard.parent for shard in data.shards):
        path = folder / PROFILE
        if path.exists():
            rows = [row | {"captions": fresh.sheet(str(row["name"])).captions is not None} for row in read(path)]
            write(path, rows)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Each column in short: least, median and greatest of numbers, how often of words."""
    out: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        known = [value for value in values if value is not None]
        if not known or name in ("name", "hashes", "licence"):
            continue
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            numbers = [float(value) for value in known]  # type: ignore[arg-type]
            out[name] = {
                "least": min(numbers), "median": median(numbers), "greatest": max(numbers),
                "unknown": len(rows) - len(known),
            }  # fmt: skip
            continue
        words = Counter(str(word) for value in known for word in (value if isinstance(value, list) else [value]))
        if words and len(words) <= max(MOST, len(rows) // 2):
            first = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:MOST]
            out[name] = {"values": dict(first), "unknown": len(rows) - len(known)}
    return out
