"""What is in a data set, counted: by source, view and tag, who is in it, what everyone is told to do, what happens."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from perdure.data.shards import Sheet

MANY, LONG = 40, 24  # different values of a tag that are counted one by one; characters of one that names a kind


def stats(sheets: Iterable[Sheet]) -> dict[str, Any]:
    sources, views, cast, events = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    lengths, tags = Counter[str](), defaultdict[str, Counter[str]](Counter)
    commands = defaultdict[str, Counter[str]](Counter)
    known = Counter[str]()
    clips, frames, seconds = 0, 0, 0.0
    for sheet in sheets:
        clips, frames, seconds = clips + 1, frames + sheet.frames, seconds + sheet.seconds
        sources[sheet.source] += 1
        views[sheet.view or "unknown"] += 1
        lengths[_length(sheet.seconds)] += 1
        events.update(moment.kind for moment in sheet.events)
        kinds = {actor.entity: actor.kind for actor in sheet.cast}
        cast.update(set(kinds.values()))
        for entity, said in sheet.commands.items():
            commands[kinds.get(entity, "nobody")].update(filter(None, said))
        for name, value in sheet.tags.items():
            tags[name][value] += 1
        there = {"actions": sheet.actions, "camera": sheet.intrinsics, "captions": sheet.captions}
        known.update(name for name, value in there.items() if value is not None)
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
        "events": _counted(events),
    }


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


def _counted(values: Counter[str]) -> dict[str, int]:
    """The most frequent first, equals by name."""
    return dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
