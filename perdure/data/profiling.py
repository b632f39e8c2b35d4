"""Profiles and captions of a data set that is made already: measured, written again, and summed up.

A clip that is damaged costs itself alone: it is named, and what is left goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.data.captions import caption, shown
from perdure.data.card import captioned
from perdure.data.dataset import Dataset
from perdure.data.pipeline import CARD, REPORT
from perdure.data.processes import Gone, each
from perdure.data.profile import DAMAGED, PROFILE, Row, profile, read, write
from perdure.data.shards import Place, Sheet, clip_of, relabel, taken
from perdure.data.work import PARTS, Shard, note, replacing
from perdure.world.folder import lock, unlock

MOST = 12  # different words of a column that are counted one by one
MAPS = ("depth.mkv", "entity.mkv")
"""What captions are written without."""

Told = Callable[[int, int], None]
Tell = Callable[[NDArray[np.uint8]], str]


def measured(data: Dataset, again: bool = False, count: int = 0, told: Told = lambda done, of: None) -> list[Row]:
    """The profiles of all clips of a data set; those that are not there yet are made, and all with `again`.

    In `count` processes; 0: in this one. The row of a damaged clip has its name, and in the column `damaged` why.
    """
    out: list[Row] = []
    for folder in dict.fromkeys(shard.parent for shard in data.shards):
        found = {name: data.files(name) for name in data.names if data.files(name)["json"][0].parent == folder}
        path = folder / PROFILE
        known = {row["name"]: row for row in read(path)} if path.exists() and not again else {}
        missing = [(name, found[name]) for name in found if known.get(name, {DAMAGED: ""}).get(DAMAGED) is not None]
        if missing or list(known) != list(found):
            for n, (at, row) in enumerate(_done(_measured, missing, count), 1):
                name = missing[at][0]
                known[name] = {"name": name, DAMAGED: str(row)} if isinstance(row, Gone) else row
                told(n, len(missing))
            rows = [known[name] for name in found]
            if not any(shard.parent == folder for shard in data.broken):  # else it would forget what is to come back
                write(path, rows)
                rows = read(path)
        else:
            rows = [*known.values()]
        out += rows
    return out


def _measured(item: tuple[str, Mapping[str, Place]]) -> Row:
    name, found = item
    try:
        return profile(clip_of({kind: taken(place) for kind, place in found.items()}))
    except Exception as error:  # whatever reads it says so in its own way
        return {"name": name, DAMAGED: f"{type(error).__name__}: {error}"}


def _done(do: Callable[[Any], Any], items: Sequence[Any], count: int) -> Iterator[tuple[int, Any]]:
    """What comes of each item, with its place: in so many processes, or in this one."""
    return each(do, items, min(count, len(items))) if count and items else enumerate(map(do, items))


@dataclass
class Recaptioned:
    """What came of writing captions anew."""

    clips: list[str] = field(default_factory=list)  # that have new ones
    left: int = 0  # clips of which nothing can be told
    dropped: int = 0  # pictures of which a model told with words that are held back
    damaged: dict[str, str] = field(default_factory=dict)  # clips, or shards whose process died, and why


def recaptioned(
    data: Dataset,
    seed: int = 0,
    tell: Tell | None = None,
    by: str = "",
    count: int = 0,
    told: Told = lambda done, of: None,
) -> Recaptioned:
    """Write captions anew, of films by what `tell` says of a picture (`by` is its name).

    In `count` processes, unless a model tells; 0: in this one. Report, card and profiles say what there is now.
    """
    whole = Recaptioned()
    with _locked(data):
        do = partial(_shard, names=frozenset(data.names), seed=seed, tell=tell)
        for n, (at, one) in enumerate(_done(do, data.shards, 0 if tell else count)):
            if isinstance(one, Gone):
                whole.damaged[data.shards[at].name] = str(one)
            else:
                whole.clips += one.clips
                whole.left += one.left
                whole.dropped += one.dropped
                whole.damaged |= one.damaged
            told(n + 1, len(data.shards))
        for folder in dict.fromkeys(shard.parent for shard in data.shards):
            _note(folder, {name for name in whole.clips if data.files(name)["json"][0].parent == folder}, seed, by)
    return whole


def _shard(path: Path, names: Set[str], seed: int, tell: Tell | None) -> Recaptioned:
    out = Recaptioned()

    def change(name: str, files: Mapping[str, Place]) -> Sheet | None:
        if name not in names:
            return None
        try:
            clip = clip_of({kind: taken(place) for kind, place in files.items() if kind not in MAPS})
        except Exception as error:
            out.damaged[name] = f"{type(error).__name__}: {error}"
            return None
        captions = caption(clip, seed)
        if captions is None and tell is not None:
            captions, some = shown(clip, tell)
            out.dropped += some
        if captions is None or not captions.narrative:
            out.left += 1
            return None
        out.clips.append(name)
        return msgspec.structs.replace(Sheet.from_json(taken(files["json"])), captions=captions)

    def last(beside: Path) -> None:
        if (path.parent / PARTS).is_dir():
            note(path.parent, msgspec.structs.replace(Shard.of(beside), name=path.name))

    try:
        relabel(path, change, last)
    except ValueError as error:  # it is damaged, and stays as it is
        return Recaptioned(damaged={path.name: str(error)})
    return out


@contextmanager
def _locked(data: Dataset) -> Iterator[None]:
    """The lock that `make` takes, of each folder with shards."""
    handles = list[int]()
    try:
        for folder in dict.fromkeys(shard.parent for shard in data.shards):
            handles.append(lock(folder))
        yield
    finally:
        for handle in handles:
            unlock(handle)


def _note(folder: Path, clips: set[str], seed: int, by: str) -> None:
    """Profiles, report and card of a folder say whose captions are new."""
    if (path := folder / PROFILE).exists():
        write(path, [row | ({"captions": True} if row["name"] in clips else {}) for row in read(path)])
    if not clips:
        return  # who wrote what there is stays said
    said = {"seed": seed, "model": by, "clips": len(clips)}
    if (path := folder / REPORT).exists():
        report = msgspec.json.decode(path.read_bytes())
        report["shards"] = [msgspec.to_builtins(Shard.of(folder / it["name"])) for it in report["shards"]]
        report["captions"] = said
        with replacing(path) as beside:
            beside.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if (path := folder / CARD).exists():
        with replacing(path) as beside:
            beside.write_text(captioned(path.read_text("utf-8"), said), "utf-8")


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Each column in short: least, median and greatest of numbers, how often of words."""
    out: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        known = [value for value in values if value is not None]
        if not known or name in ("name", "hashes", "licence", DAMAGED):
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
