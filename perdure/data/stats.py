"""What is in a data set, counted: sources, views, tags, who is in it, what everyone is told and does, what happens.

What its sources could show, and it does not hold, is counted as well: with 0.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.data.dataset import Damaged, Dataset
from perdure.data.profile import begun
from perdure.data.scenes import creatures
from perdure.data.shards import Sheet
from perdure.data.sources import source
from perdure.world import events as happening
from perdure.world.command import FORCED, understood

States = Mapping[int, Mapping[str, NDArray[Any]]]

MANY, LONG = 40, 24  # different values of a tag that are counted one by one; characters of one that names a kind


DEEDS = "deeds "
"""A tag of an entity's number after this lists the names that its state `deed` counts, with commas."""
HANDS = ("take", "place", "throw", "open", "close")
"""What hands do, where they find something."""


def stats(data: Dataset) -> dict[str, Any]:
    """What is in a data set. Clips that are damaged are left out, and named with what is wrong."""
    damaged = {shard.name: why for shard, why in data.broken.items()}

    def whole() -> Iterator[tuple[Sheet, States]]:
        for name in data.names:
            try:
                clip = data.sheet(name), data.arrays(name, only="deed")[1]
            except Damaged as error:
                damaged[name] = str(error)
                continue
            yield clip

    return counted(whole()) | {"damaged": damaged}


def counted(clips_of: Iterable[tuple[Sheet, States]]) -> dict[str, Any]:
    sources, views, cast, events = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    lengths, tags = Counter[str](), defaultdict[str, Counter[str]](Counter)
    commands, deeds = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
    known, told, vain = Counter[str](), defaultdict[str, Counter[str]](Counter), Counter[str]()
    clips, frames, seconds = 0, 0, 0.0
    for sheet, states in clips_of:
        clips, frames, seconds = clips + 1, frames + sheet.frames, seconds + sheet.seconds
        sources[sheet.source] += 1
        views[sheet.view or "unknown"] += 1
        lengths[_length(sheet.seconds)] += 1
        events.update(moment.kind for moment in sheet.events)
        vain.update(_vain(sheet))
        kinds = {actor.entity: actor.kind for actor in sheet.cast}
        cast.update(set(kinds.values()))
        for entity, said in sheet.commands.items():
            kind = kinds.get(entity, "nobody")
            commands[kind].update(filter(None, said))
            told[kind].update(deed for words in begun(said) for deed in _meant(kind, words))
        for name, value in sheet.tags.items():
            if name.startswith(DEEDS):
                entity = int(name.removeprefix(DEEDS))
                deeds[kinds.get(entity, "nobody")].update(_begun(value.split(","), states.get(entity, {})))
            else:
                tags[name][value] += 1
        there = {"actions": sheet.actions, "camera": sheet.intrinsics, "captions": sheet.captions}
        known.update(name for name, value in there.items() if value is not None)
    for could in map(_everything, sources):
        for group, counts in {"views": views, "cast": cast, "events": events}.items():
            counts.update(dict.fromkeys(could.get(group, ()), 0))
        for name in could.keys() - {"views", "cast", "events"}:
            tags[name].update(dict.fromkeys(could[name], 0))
        for kind in could.get("cast", ()):
            names = [deed.name for deed in creatures.deeds(kind, 0)]
            deeds[kind].update(dict.fromkeys(names, 0))
            told[kind].update(dict.fromkeys([name for name in names if name not in FORCED], 0))
    return {
        "clips": clips,
        "hours": round(seconds / 3600, 3),
        "frames": frames,
        "sources": _counted(sources),
        "views": _counted(views),
        "lengths": {length: lengths[length] for length in LENGTHS if lengths[length]},
        "known": _counted(known),
        "tags": {name: _summary(values) for name, values in sorted(tags.items()) if _says(values, clips)},
        "cast": _counted(cast),
        "commands": {kind: _counted(said) for kind, said in sorted(commands.items()) if said},
        "told": {kind: _counted(names) for kind, names in sorted(told.items()) if names},
        "deeds": {kind: _counted(done) for kind, done in sorted(deeds.items())},
        "events": _counted(events),
        "in vain": _counted(vain),
    }


def _everything(name: str) -> Mapping[str, Sequence[str]]:
    """All that a source could show, if it says: of views, cast, events, and of tags by their names."""
    try:
        return getattr(source(name), "everything", dict)()
    except (ValueError, ModuleNotFoundError):
        return {}


def _meant(kind: str, words: str) -> list[str]:
    """The deeds that a creature is told to do."""
    if kind not in creatures.KINDS:
        return []
    deeds = creatures.deeds(kind, 0)
    return [deeds[number].name for number in understood(deeds, words)]


def _vain(sheet: Sheet) -> Counter[str]:
    """What was asked for, and nothing came of it: events by kind, and hands that found nothing."""
    asked, came = Counter[str](), Counter[str]()
    for action in sheet.actions or ():
        asked["hands"] += bool(action.hand)
        for text in action.events:
            meant = happening.understood(text)
            asked[meant.kind if meant else "what nobody understands"] += 1
    came.update("hands" if moment.kind in HANDS and moment.entity == 0 else moment.kind for moment in sheet.events)
    return asked - came


def _begun(names: list[str], known: Mapping[str, NDArray[Any]]) -> Counter[str]:
    """How often each deed is begun; those that never are, with 0."""
    done = Counter(dict.fromkeys(names, 0))
    if "deed" in known:
        deed = known["deed"]
        for number in deed[np.flatnonzero(np.diff(deed, prepend=-1) != 0)]:
            if number >= 0:
                done[names[int(number)]] += 1
    return done


LENGTHS = ("5 to 10 s", "10 to 20 s", "20 to 40 s", "40 to 60 s", "60 s")


def _length(seconds: float) -> str:
    return next((name for name, end in zip(LENGTHS, (10, 20, 40, 59.8)) if seconds < end), LENGTHS[-1])


def _says(values: Counter[str], clips: int) -> bool:
    """Whether a tag divides clips into kinds, or measures them; one that names each by itself does neither."""
    names = len(values) > MANY or (len(values) == clips > 1 and max(map(len, values)) > LONG)
    return not names or _numbers(values) is not None


def _numbers(values: Iterable[str]) -> list[float] | None:
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def _summary(values: Counter[str]) -> Mapping[str, float]:
    """How often each value is there; of numbers that measure the least, the middle and the greatest."""
    numbers = _numbers(values.elements())
    if numbers and len(values) > 1 and (len(values) > MANY // 2 or not all(map(str.isdecimal, values))):
        return {"least": min(numbers), "median": median(numbers), "greatest": max(numbers)}
    return _counted(values)


def _counted(values: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first, equals by name."""
    return dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
