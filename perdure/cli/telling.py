"""What happened, in words: an event of a history as one line."""

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from perdure.world.action import Keys
from perdure.world.anchor import Anchor
from perdure.world.body import Pose
from perdure.world.deed import Vitals
from perdure.world.history import Event, Value
from perdure.world.identity import Entity
from perdure.world.rules import Rule
from perdure.world.setting import Onset, Spectacle

LONGEST = 60  # characters of a value

Record = Callable[[bytes], bytes]
"""Gives a value that an edit replaced or wrote, by its digest."""


def told(event: Event, record: Record) -> str:
    """What an event was, without who did it and when."""
    args = event.args
    match event.kind:
        case "create":
            return f"a {args.get('kind')}, seed {args.get('seed')}"
        case "act":
            return _act(args)
        case "ingest":
            return f"a look of step {args.get('step')} is kept"
        case "tick":
            return f"step {args.get('step')}"
        case "model":
            sides = zip(_texts(args.get("changed")), _texts(args.get("was")), _texts(args.get("now")))
            return ", ".join(f"{what}: {was or 'none'} -> {now or 'none'}" for what, was, now in sides)
        case "revert" if "left" in args:
            return f"back to step {args.get('to')}; what came after is kept as {args['left']}"
    undone = f"event {args['undoes']} is undone; " if "undoes" in args else ""
    said = f'"{args["said"]}": ' if "said" in args else ""
    if "slots" in args:
        return undone + said + "; ".join(_changes(args, record))
    return undone + ", ".join(f"{name} {_short(str(value))}" for name, value in args.items())


def clock(seconds: float) -> str:
    """The world's own time."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _act(args: Mapping[str, Value]) -> str:
    if "keys" not in args:  # what came of a deed
        return ", ".join(f"{name} {value}" for name, value in args.items())
    keys = Keys(int(str(args["keys"])))
    said = [str(key.name).lower().replace("_", " ") for key in Keys if key in keys]
    for name, way in (("turn", ("left", "right")), ("tilt", ("up", "down"))):
        angle = float(str(args.get(name, 0.0)))
        if angle:
            said.append(f"{abs(angle) * 57.29578:.0f}° {way[angle < 0]}")
    said += [f"hand: {args['hand']}"] if "hand" in args else []
    said += [f"to {whom}: {text}" for whom, text in zip(_texts(args.get("whom")), _texts(args.get("words")))]
    said += _texts(args.get("events"))
    said += ["the eye flies"] if "path" in args else []
    return ", ".join(said) or "stands"


def _changes(args: Mapping[str, Value], record: Record) -> list[str]:
    slots, old, new = (_items(args.get(name)) for name in ("slots", "old", "new"))
    if not new:
        return [f"{slot} stays" for slot in slots]  # it was refused
    out: list[str] = []
    for slot, was, now in zip(map(str, slots), old, new):
        if slot.startswith("body/") and f"entity/{slot[5:]}" in slots:
            continue  # an entity that comes or goes, goes with its body
        sides = [None if value is None else _value(slot, str(value), record) for value in (was, now)]
        if sides[0] is None:
            out.append(f"{slot} = {sides[1]}")
        elif sides[1] is None:
            out.append(f"{slot} is gone (was {sides[0]})")
        else:
            out.append(f"{slot}: {sides[0]} -> {sides[1]}" if sides[0] != sides[1] else f"{slot} is another")
    return out


def _value(slot: str, digest: str, record: Record) -> str:
    try:
        return _short(_decoded(slot.split("/"), record(bytes.fromhex(digest))))
    except ValueError:  # of its kind it cannot be read, or it was let go
        return digest[:8]


def _decoded(slot: list[str], value: bytes) -> str:
    match slot:
        case ["environment", _]:
            return str(msgspec.json.decode(value)) or "nothing"
        case ["onset", _]:
            onset = Onset.from_bytes(value)
            return f"{onset.was or 'nothing'} until tick {onset.tick}"
        case ["spectacle", _]:
            spectacle = Spectacle.from_bytes(value)
            return f"{spectacle.kind} at {place(spectacle.place)}"
        case ["rule", _]:
            return rule_text(msgspec.msgpack.decode(value, type=Rule))
        case ["anchor", _]:
            anchor = Anchor.from_bytes(value)
            return f"{place(anchor.pose[:3, 3])} {anchor.text}".strip()
        case ["entity", _]:
            entity = Entity.from_bytes(value)
            return f"{entity.name} ({entity.kind})"
        case ["entity", _, "name" | "kind" | "body"]:
            return value.decode()
        case ["entity", _, _]:
            return str(", ".join(map(str, msgspec.msgpack.decode(value))))
        case ["condition", _]:
            return f"health {Vitals.from_bytes(value).health:.3g}"
        case ["pose", _]:
            return _pose(Pose.from_bytes(value))
        case _:
            return f"{len(value)} bytes"


def _pose(pose: Pose) -> str:
    match pose.place:
        case (angle,):
            return f"{math.degrees(angle):.0f}°"
        case (x, y, z, _, _, _, _):
            return f"at {place((x, y, z))}"
        case (x, y, *_):
            return f"at {place((x, y))}"
        case _:
            return "nowhere"


def rule_text(rule: Rule) -> str:
    """A rule as `perdure edit WORLD rule NAME ...` takes it."""
    match rule.kind:
        case "own":
            says = f'"{rule.says}"'
        case "bounds":
            says = "bounds " + " ".join(
                ",".join("" if v is None else f"{v:g}" for v in side) for side in (rule.low, rule.high)
            )
        case _:
            says = f"{rule.kind} {rule.limit:g}"
    return " ".join([says, *(f"--for {entity}" for entity in rule.entities), *(["--hard"] if rule.hard else [])])


def place(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _items(value: Value | None) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _texts(value: Value | None) -> list[str]:
    return [str(item) for item in _items(value)]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
