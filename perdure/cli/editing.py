"""perdure edit: a world is changed by a few words.

What each of them takes is said in the help of `edit` itself.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated

import mujoco
import numpy as np
import typer

from perdure.camera import Array, yaw_pitch
from perdure.cli.history import show_differences
from perdure.cli.naming import Named, open_store
from perdure.cli.saying import AsJson, out
from perdure.world import edit as make
from perdure.world import roster
from perdure.world.anchor import Anchor
from perdure.world.body import Point, Pose
from perdure.world.edit import Edit
from perdure.world.identity import Entity
from perdure.world.rules import Corner, Rule
from perdure.world.state import World

AHEAD = 1.5
"""Metres before the player where what is added stands, unless it is said where."""

ROOM = 0.5
"""Metres that it must have to the player, and to what is behind it."""

VERBS = "FIELD=VALUE, rename, anchor, unanchor, add, move, remove, health, rule or lift"


@dataclass(frozen=True)
class Words:
    """An edit as it was typed: a verb, what it is about, and options."""

    said: tuple[str, ...]
    at: str | None = None
    yaw: float | None = None
    angle: float | None = None
    name: str | None = None
    text: str | None = None
    low: str | None = None
    high: str | None = None
    whom: tuple[int, ...] = ()
    hard: bool = False

    def __post_init__(self) -> None:
        for option, angle in (("yaw", self.yaw), ("angle", self.angle)):
            if angle is not None and not math.isfinite(angle):
                raise ValueError(f"expected degrees for --{option}, got {angle}")

    def only(self, *taken: str) -> None:
        """Refuse options that mean nothing here."""
        for field in fields(self):
            if field.name not in ("said", *taken) and getattr(self, field.name) not in (None, (), False):
                option = "for" if field.name == "whom" else field.name
                raise ValueError(f"--{option} means nothing to {self.said[0]!r}: see `perdure edit --help`")


def edit(
    world: Named,
    change: Annotated[list[str], typer.Argument(help=f"{VERBS}, and what that takes.")],
    at: Annotated[str | None, typer.Option(help="anchor, add, move: where, as x,y or x,y,z in metres.")] = None,
    yaw: Annotated[float | None, typer.Option(help="add, move: which way it faces, in degrees.")] = None,
    angle: Annotated[float | None, typer.Option(help="move: how far a door is open, in degrees.")] = None,
    name: Annotated[str | None, typer.Option(help="add: what to call it.")] = None,
    text: Annotated[str | None, typer.Option(help="anchor: what is to be known of the place.")] = None,
    low: Annotated[str | None, typer.Option(help="rule NAME bounds: the lowest corner, as x,y,z.")] = None,
    high: Annotated[str | None, typer.Option(help="rule NAME bounds: the highest corner.")] = None,
    whom: Annotated[list[int] | None, typer.Option("--for", help="rule: for this entity; for all unless said.")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="rule: what breaks it does not happen at all.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a world; `perdure undo` takes it back.

    weather=snow hour=19 caption="a market at dusk": what holds everywhere; also season, style.

    rename 1 Ada: someone, by number or by name.

    anchor door --text "where they came in": a place gets a name, where the eye is or --at x,y,z. unanchor door.

    add crate: or ball, plank, urn, statue, door; before you, or --at 2,1.

    move 3 --at 0,1: where it is to stand; of a door, --angle 45. remove 3.

    health 2 0.5: a creature is healed or hurt; at 0 it dies, and above it who was dead lives again.

    rule calm "speed < 2" --for 1; rule pace speed 1.5 (or penetration, energy);
    rule yard bounds --low -5,-5, --high 5,5,3 (a side left out is open). lift calm.
    """
    words = Words(tuple(change), at, yaw, angle, name, text, low, high, tuple(whom or ()), hard)
    _apply(world, lambda before: before.edit(parse(before, words)), as_json)


def say(
    world: Named,
    event: Annotated[str, typer.Argument(help='What is to happen, as "it starts to snow" or "the door opens".')],
    as_json: AsJson = False,
) -> None:
    """Let something happen in a world, in words; `perdure undo` takes it back.

    The hour (night falls), the weather (it starts to rain), the season (autumn comes), the look (pixel style),
    fireworks, birds, fish where there is water, a fire, a door, an urn that breaks, something new (a crate appears).
    """
    if not event.strip():
        raise ValueError('expected what is to happen, as in "it starts to snow", got nothing')
    _apply(world, lambda before: before.happens(event), as_json)


def _apply(world: str, change: Callable[[World], World], as_json: bool) -> None:
    """Change a stored world, and say what came of it."""
    with open_store(world) as store:
        before = store.world()
        after = change(before)
        event = after.history.events[-1]
        if event.kind == "reject" or after.state != before.state:
            store.commit(after)
    if event.kind == "reject":
        raise ValueError(f"{world} stays as it was: {event.verdict}, as event {event.seq} says")
    if not as_json:
        if after.state == before.state:
            return out.print("Nothing is changed: it was so already.")
        verdict = "" if event.verdict == "applied" else f", {event.verdict}"
        out.print(f"Event {event.seq}{verdict}. To take it back: perdure undo {world}", markup=False, soft_wrap=True)
    show_differences(before, after, as_json)


def parse(world: World, words: Words) -> Edit:
    """What was typed, as an edit of this world."""
    match words.said:
        case (first, *_) if "=" in first:
            words.only()
            return _environment(words.said)
        case ("rename", who, name):
            words.only()
            old = _entity(world, who)
            new = roster.renamed(old, name)
            return roster.edit(world.entities, tuple(new if it is old else it for it in world.entities))
        case ("anchor", name):
            words.only("at", "text")
            return make.anchor(_anchor(world, name, words))
        case ("unanchor", name):
            words.only()
            _known("anchor", name, [anchor.name for anchor in world.geometry.anchors])
            return make.unanchor(name)
        case ("add", kind):
            words.only("at", "yaw", "name")
            return _addition(world, kind, words)
        case ("move", who):
            words.only("at", "yaw", "angle")
            return _motion(world, _entity(world, who), words)
        case ("remove", who):
            words.only()
            return make.remove(_entity(world, who).id)
        case ("health", who, much):
            words.only()
            creature = _entity(world, who)
            if not re.fullmatch(r"\d+(\.\d*)?", much):
                raise ValueError(f"expected a health such as 0.5 for {creature.name}, got {much!r}")
            return make.condition(creature.id, float(much))
        case ("rule", name, *rest) if rest:
            words.only("low", "high", "whom", "hard")
            for number in words.whom:
                _entity(world, str(number))
            return make.rule(_rule(name, rest, words))
        case ("lift", name):
            words.only()
            _known("rule", name, [rule.name for rule in world.setting.rules])
            return make.lift(name)
        case _:
            raise ValueError(f"expected {VERBS}, got {' '.join(words.said)!r}: see `perdure edit --help`")


def _environment(pairs: tuple[str, ...]) -> Edit:
    given: dict[str, str | float] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"expected FIELD=VALUE as in weather=snow, got {pair!r}: quote what has spaces in it")
        try:
            given[field] = float(value) if field == "hour" else value
        except ValueError:
            raise ValueError(f"expected an hour of the day from 0 up to 24, got {value!r}") from None
    return make.environment(**given)


def _anchor(world: World, name: str, words: Words) -> Anchor:
    pose = np.array(world.motion.cameras[-1])
    if words.at is not None:
        x, y, z = _numbers(words.at, 3)
        pose[:3, 3] = x, y, z
    return Anchor(name, pose, words.text or "")


def _addition(world: World, kind: str, words: Words) -> Edit:
    from perdure.data.props import prop

    number = max(roster.next_id(world.entities), max(world.physics.entities) + 1)
    entity, body = prop(kind, number, _spot(world, words.at), number, math.radians(words.yaw or 0.0))
    return make.add(replace(entity, name=words.name) if words.name else entity, body)


def _motion(world: World, entity: Entity, words: Words) -> Edit:
    payload = world.physics.pose(entity.id)
    if payload is None:
        raise ValueError(f"{entity.name} ({entity.id}) has no body, so it stands nowhere: add a thing instead")
    old = Pose.from_bytes(payload)
    return make.move(entity.id, (_swung if len(old.place) == 1 else _stood)(old, entity, words))


def _swung(old: Pose, entity: Entity, words: Words) -> Pose:
    if words.angle is None or words.at or words.yaw is not None:
        raise ValueError(f"{entity.name} ({entity.id}) is a door: say how far it is open, with --angle alone")
    angle = math.radians(words.angle)
    return Pose((angle,), aim=angle)


def _stood(old: Pose, entity: Entity, words: Words) -> Pose:
    """The player: x, y, yaw, pitch. A creature: x, y, heading. Else x, y, z and a quaternion."""
    if words.angle is not None or (words.at is None and words.yaw is None):
        raise ValueError(f"say where {entity.name} ({entity.id}) is to be, with --at x,y or --yaw or both")
    place = list(old.place)
    if words.at is not None:
        new = _numbers(words.at, 2, 3)
        if len(new) == 3 and len(place) < 7:
            raise ValueError(f"{entity.name} ({entity.id}) stays on the ground: expected --at x,y, got {words.at!r}")
        place[: len(new)] = new
    if words.yaw is not None:
        yaw = math.radians(words.yaw)
        if len(place) == 7:
            place[3:] = math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)
        else:
            place[2] = yaw
    return Pose(tuple(place), gait=old.gait)


def _rule(name: str, rest: list[str], words: Words) -> Rule:
    common = {"hard": words.hard, "entities": words.whom}
    match rest:
        case ["bounds"]:
            low, high = (_corner(side) for side in (words.low, words.high))
            if not any(edge is not None for edge in (*low, *high)):
                raise ValueError("say how far it may go, as --low -5,-5, --high 5,5,3; a side left out is open")
            return Rule(name, "bounds", low=low, high=high, **common)
        case _ if words.low or words.high:
            raise ValueError("--low and --high are of a rule of bounds: rule NAME bounds --low x,y,z --high x,y,z")
        case ["speed" | "penetration" | "energy" as kind, limit]:
            return Rule(name, kind, limit=_numbers(limit, 1)[0], **common)
        case [says]:
            return Rule(name, "own", says=says, **common)
        case _:
            raise ValueError(f'expected a rule as "speed < 2" (in quotes), or as speed 2, got {" ".join(rest)!r}')


def _corner(text: str | None) -> Corner:
    if text is None:
        return None, None, None
    sides = [side.strip() for side in text.split(",")]
    sides += [""] * (3 - len(sides))
    try:
        x, y, z = (float(side) if side else None for side in sides)
    except ValueError:
        raise ValueError(f"expected a corner as x,y,z in metres, any of them left out, got {text!r}") from None
    return x, y, z


def _spot(world: World, at: str | None) -> Point:
    """Where something new is to stand: on whatever is there."""
    model, data = world.physics.posed()
    eye, player = world.motion.cameras[-1, :3, 3], world.physics.mechanism.compiled.player

    def free(start: Array, way: Array) -> float:
        """Metres until something is in the way."""
        far = mujoco.mj_ray(model, data, start, way, None, True, player, None)
        return math.inf if far < 0 else far

    if at is None:
        yaw, _ = yaw_pitch(world.motion.cameras[-1])
        way = np.array([math.cos(yaw), math.sin(yaw), 0.0])
        room = min(free(np.array([*eye[:2], height]), way) for height in (0.2, 0.8, eye[2])) - ROOM
        if room < ROOM:
            raise ValueError("there is no room before you: say where it is to stand, with --at x,y")
        x, y, _ = eye + min(AHEAD, room) * way
    else:
        numbers = _numbers(at, 2, 3)
        if len(numbers) == 3:
            return numbers[0], numbers[1], numbers[2]
        x, y = numbers
    fall = free(np.array([x, y, eye[2]]), np.array([0.0, 0.0, -1.0]))
    return float(x), float(y), 0.0 if math.isinf(fall) else float(eye[2] - fall)


def _entity(world: World, who: str) -> Entity:
    """Someone, by number or by name."""
    found = [roster.resolve(world.entities, int(who))] if who.isdecimal() else roster.query(world.entities, who)
    if len(found) == 1 and found[0] is not None:
        return found[0]
    there = ", ".join(f"{it.id} ({it.name})" for it in world.entities)
    several = len(found) > 1 and not who.isdecimal()
    raise ValueError(f"{'several are' if several else 'nobody is'} {who!r} in {world.name}: there are {there}")


def _known(what: str, name: str, there: list[str]) -> None:
    if name not in there:
        raise ValueError(f"no {what} {name!r}: there are {', '.join(there) or 'none'}")


def _numbers(text: str, *counts: int) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        expected = " or ".join(",".join("xyz"[:count]) for count in counts) if counts != (1,) else "a number"
        raise ValueError(f"expected {expected}, got {text!r}")
    return numbers
