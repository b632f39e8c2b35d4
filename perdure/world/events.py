"""World events: what is asked for in words, as an edit of the state.

    edit = happening("It starts to snow.", world)

`EVENTS` has for each kind how people say it: captions take their words from there, and so does whoever directs a
world. What is said otherwise is understood by a pattern over its bare words. An event is an edit like any other:
logged, undone and replayed by the same few lines, a function of the words and the state.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world import body as bodies
from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.body import Body, Point, Pose
from perdure.world.edit import Change, Edit, add
from perdure.world.identity import Entity
from perdure.world.mechanism import PLAYER, Seat
from perdure.world.setting import SPECTACLES, Onset, Spectacle
from perdure.world.slots import State

FADE = 2.0  # seconds in which a fire that dies down does so
SHOAL = 0.7  # metres: half as wide has water to be for fish to leap from it
HIGH = 30.0  # metres above which nothing shelters


@dataclass(frozen=True)
class Event:
    """A kind of event: how it is said, and what it does to a world."""

    kind: str
    phrases: tuple[str, ...]
    pattern: str  # over bare words: lower case, no articles, no marks
    make: Callable[[State, str], Edit]  # given the bare words too

    def matches(self, bare: str) -> bool:
        return re.search(rf"\b(?:{self.pattern})", bare) is not None


def understood(text: str) -> Event | None:
    """The event that these words mean: as listed, else the first whose pattern they fit."""
    words = bare(text)
    if words in _LISTED:
        return EVENTS[_LISTED[words]]
    return next((event for event in EVENTS.values() if event.matches(words)), None)


def happening(text: str, world: State) -> Edit:
    """What these words change in a world. Raises `ValueError` for what is not understood, or cannot be here."""
    event = understood(text)
    if event is None:
        known = "; ".join(event.phrases[0] for event in EVENTS.values())
        raise ValueError(f"expected something that can happen, got {text!r}. Understood is: {known}")
    return event.make(world, bare(text))


def bare(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower().replace("'s ", " "))
    return " ".join(word for word in words if word not in ("a", "an", "the"))


# What events do


def _sets(**fields: str | float) -> Callable[[State, str], Edit]:
    """The environment becomes this, softly."""

    def make(world: State, bare: str) -> Edit:
        changes: list[Change] = []
        for name, value in fields.items():
            was = getattr(world.setting.environment, name)
            changes.append(Change(f"environment/{name}", msgspec.json.encode(value)))
            if was != value:
                changes.append(Change(f"onset/{name}", Onset(world.physics.tick, was).to_bytes()))
        return Edit(tuple(changes), "event")

    return make


def _shows(kind: str, seconds: float, ahead: float, up: float) -> Callable[[State, str], Edit]:
    """Something to be seen, before the player; under the open sky, if it is `up` in the air."""

    def make(world: State, bare: str) -> Edit:
        eye, yaw, free = _eye(world)
        sky = free(eye, np.array([0.0, 0.0, 1.0])) > HIGH
        if up and not sky:
            raise ValueError(f"{kind} need the open sky, and here is a roof")
        far = ahead
        if not up:
            level = np.array([eye[0], eye[1], eye[2] - 1.0])
            room = min(free(start, _way(yaw)) for start in (eye, level))
            far = max(min(ahead, room - 0.8), 0.0)
            if far < 1.0:
                raise ValueError(f"there is no room before the player for a {kind}")
        x, y = float(eye[0] + far * math.cos(yaw)), float(eye[1] + far * math.sin(yaw))
        drop = free(np.array([x, y, eye[2]]), np.array([0.0, 0.0, -1.0])) if not up else 0.0
        z = float(eye[2] + up - (drop if math.isfinite(drop) else eye[2]))
        return _spectacle(world, kind, (x, y, z), seconds)

    return make


def pools(model: mujoco.MjModel) -> Iterator[tuple[int, float, float]]:
    """Where fish can be: geoms of water that are no mere basins, their half width, and half their height."""
    for geom in range(model.ngeom):
        material = int(model.geom_matid[geom])
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material) if material >= 0 else None
        if name is None or not any(word in name for word in ("water", "pond", "pool")):
            continue
        kind, size = int(model.geom_type[geom]), model.geom_size[geom]
        if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            wide, half = float(size[0]), float(size[1])
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            wide, half = float(min(size[0], size[1])), float(size[2])
        else:
            continue
        if wide > SHOAL:
            yield geom, wide, half


def _fish(world: State, bare: str) -> Edit:
    """Fish leap where there is water: that nearest to the player."""
    model, data = world.physics.posed()
    eye = _eye(world)[0]
    best: tuple[float, Point] | None = None
    for geom, wide, half in pools(model):
        x, y, z = (float(value) for value in data.geom_xpos[geom])
        far = math.hypot(x - eye[0], y - eye[1])
        if best is None or far < best[0]:
            # On the near side, for there may be something in the middle of it.
            near = min(0.62 * wide, 0.7 * far) / max(far, 1e-6)
            best = far, (x + near * (float(eye[0]) - x), y + near * (float(eye[1]) - y), z + half)
    if best is None:
        raise ValueError("fish need water, and here is none")
    return _spectacle(world, "fish", best[1], 20.0)


def _dies_down(world: State, bare: str) -> Edit:
    tick = world.physics.tick
    burning = [s for s in world.setting.spectacles if s.kind == "fire" and not s.over(tick)]
    if not burning:
        raise ValueError("there is no fire that could go out")
    changes: list[Change] = []
    for fire in burning:
        seconds = (tick - fire.start) / FRAMES_PER_SECOND + FADE
        ended = Spectacle(fire.name, fire.kind, fire.place, fire.start, min(seconds, fire.seconds), fire.seed)
        changes.append(Change(f"spectacle/{fire.name}", ended.to_bytes()))
    return Edit(tuple(changes), "event")


def _door(opens: bool) -> Callable[[State, str], Edit]:
    """The nearest door that is not so already swings, by its own motor."""

    def make(world: State, bare: str) -> Edit:
        compiled = world.physics.mechanism.compiled
        model, data = world.physics.posed()
        eye = _eye(world)[0]
        doors: list[tuple[float, Seat]] = []
        for seat in compiled.things:
            if seat.aim >= 0 and (data.ctrl[seat.aim] != 0) != opens:
                doors.append((float(np.linalg.norm(data.xpos[seat.body] - eye)), seat))
        if not doors:
            raise ValueError(f"there is no door that could {'open' if opens else 'close'}")
        seat = min(doors, key=lambda door: (door[0], door[1].entity))[1]
        aim = 0.0
        if opens:  # away from the player, as a hand would
            joint = int(model.actuator_trnid[seat.aim, 0])
            low, high = (float(edge) for edge in model.jnt_range[joint])
            frame = data.xmat[int(model.body_parentid[seat.body])].reshape(3, 3)
            aim = high if float((frame.T @ (eye - data.xanchor[joint]))[1]) < 0 else low
            aim = aim or low + high
        payload = world.physics.pose(seat.entity)
        assert payload is not None
        pose = Pose.from_bytes(payload)
        moved = Pose(pose.place, pose.motion, pose.warm, aim)
        return Edit((Change(f"pose/{seat.entity}", moved.to_bytes()),), "event")

    return make


THINGS: Mapping[str, Callable[[int, Point, str, float], Body]] = {
    "crate": lambda entity, at, material, yaw: bodies.crate(entity, at, (0.46, 0.46, 0.46), 6.2, material, yaw),
    "ball": lambda entity, at, material, yaw: bodies.ball(entity, at, 0.15, 0.51, material),
    "plank": lambda entity, at, material, yaw: bodies.plank(entity, at, 1.6, 4.8, material, yaw),
    "urn": lambda entity, at, material, yaw: bodies.urn(entity, at, 0.5, 0.16, 6.0, material, yaw),
    "statue": lambda entity, at, material, yaw: bodies.statue(entity, at, (0.5, 0.5, 1.2), material, yaw),
}
"""What can appear by words alone. Its material names its kind and a seed, so that a painter knows its looks."""

_CALLED = {"box": "crate", "vase": "urn", "pot": "urn", "board": "plank", "sculpture": "statue"}


def _appears(world: State, bare: str) -> Edit:
    called = [_CALLED.get(word, word) for word in bare.split()]
    kind = next((word for word in called if word in THINGS), "crate")
    eye, yaw, free = _eye(world)
    for turn in (0.0, 0.5, -0.5, 1.0, -1.0):
        way = _way(yaw + turn)
        room = min(free(np.array([eye[0], eye[1], height]), way) for height in (eye[2] - 1.35, eye[2] - 0.75, eye[2]))
        far = min(2.2, room - 0.7)
        if far >= 0.9:
            break
    else:
        raise ValueError(f"there is no room before the player for a {kind}")
    x, y = float(eye[0] + far * way[0]), float(eye[1] + far * way[1])
    drop = free(np.array([x, y, eye[2]]), np.array([0.0, 0.0, -1.0]))
    z = float(eye[2] - drop) if math.isfinite(drop) else 0.0
    number = 1 + max([*(entity.id for entity in world.entities), *world.physics.entities], default=0)
    body = THINGS[kind](number, (x, y, z), f"{kind}:{number}", yaw + 0.4)
    edit = add(Entity(number, kind, kind, body.name, ()), body)
    return Edit(edit.changes, "event")


def _arrives(world: State, bare: str) -> Edit:
    raise ValueError("a creature has to be brought along: send the edit that adds it in the same action")


def _spectacle(world: State, kind: str, place: Point, seconds: float) -> Edit:
    """Under the first name that no other of its kind has while it lasts."""
    tick, number = world.physics.tick, 1
    while True:
        name = kind if number == 1 else f"{kind} {number}"
        other = world.setting.spectacle(name)
        if other is None or other.over(tick):
            break
        number += 1
    seed = (world.physics.mechanism.seed * 7919 + tick * 31 + 97 * SPECTACLES.index(kind) + number) % (1 << 31)
    spectacle = Spectacle(name, kind, place, tick, seconds, seed)
    return Edit((Change(f"spectacle/{name}", spectacle.to_bytes()),), "event")


def _way(yaw: float) -> NDArray[np.float64]:
    return np.array([math.cos(yaw), math.sin(yaw), 0.0])


def _eye(
    world: State,
) -> tuple[NDArray[np.float64], float, Callable[[NDArray[np.float64], NDArray[np.float64]], float]]:
    """The player's eye, its yaw, and how far it is free along a ray, whatever the player itself is."""
    _, data = world.physics.posed()
    sight = world.physics.mechanism.compiled.sight
    groups = np.ones(mujoco.mjNGROUP, np.uint8)
    groups[PLAYER] = 0

    def free(start: NDArray[np.float64], way: NDArray[np.float64]) -> float:
        far = float(mujoco.mj_ray(sight, data, start, way, groups, True, -1, None))
        return math.inf if far < 0 else far

    return world.physics.still().cameras[-1, :3, 3].copy(), world.physics.yaw, free


_END = "stop|end|over|lift|cease|lets? up|away|thin|melt|pass|done|gone|no more|thaw|burn off|break up"
_OUT = (
    "die|dying|(goes|go|going|burns?|is|are|put|blown) (out|down)|extinguish|douse|smother|gutter|fade|end|stop|subside"
)
_NOUNS = "crate|box|ball|plank|board|urn|vase|pot|statue|sculpture|object|thing"
_COMES = "appear|arrive|shows? up|comes? into|turns? up|materiali|pops? up|is put|put down|set down|dropped|suddenly"

_LIST = (
    Event(
        "fire_out",
        (
            "the fire dies down", "the fire goes out", "the flames die away", "the fire burns out",
            "the fire is put out", "the blaze dies down", "the flames go out", "the fire fades to nothing",
            "someone puts out the fire", "nothing is left of the fire", "the fire ends", "the last flames die",
        ),
        rf"(fire|flames?|blaze|bonfire)\b(?!work).*\b({_OUT})|(put|puts|putting) out .*(fire|flames)|"
        rf"(extinguish|douse)\w* .*(fire|flames|blaze)|(last|nothing).* (fire|flames)",
        _dies_down,
    ),
    Event(
        "door_closes",
        (
            "the door closes", "a door closes", "the door swings shut", "the door falls shut", "the door is closed",
            "someone closes the door", "the door shuts", "close the door", "the nearest door closes",
            "the door goes shut",
        ),
        r"doors?\b.*\b(clos|shut)|(clos|shut)\w* .*\bdoor",
        _door(False),
    ),
    Event(
        "door_opens",
        (
            "the door opens", "a door opens", "the door swings open", "a door is opened", "someone opens the door",
            "the door is flung open", "open the door", "the nearest door opens", "the door opens wide",
            "a door swings back",
        ),
        r"doors?\b.*\b(open|swings back)|open\w* .*\bdoor",
        _door(True),
    ),
    Event(
        "clear",
        (
            "the weather clears", "the sky clears", "it clears up", "the rain stops", "it stops raining",
            "the snow stops", "it stops snowing", "the fog lifts", "the storm passes", "the clouds break up",
            "the sun comes out", "the air is clear again", "the mist is gone", "fair weather returns",
        ),
        rf"(rain|snow|fog|mist|storm|cloud|shower|hail|haze|thunder|blizzard|flurr|flake|drizzl)\w*\b.*\b({_END})|"
        rf"({_END})\w* .*(rain|snow|fog|mist|storm|shower)|clear(s|ing)?\b|fair weather|blue sk|cloudless|"
        r"sun (comes|breaks|is|shines) (out|through|again)|weather (brightens|improves)",
        _sets(weather="clear"),
    ),
    Event(
        "storm",
        (
            "a storm breaks", "a storm comes up", "a thunderstorm begins", "a storm sets in", "thunder and rain come",
            "lightning flashes in the rain", "a storm rolls in", "it begins to storm", "a storm is upon us",
            "stormy weather sets in",
        ),
        r"\w*storm|thunder|lightning|tempest",
        _sets(weather="storm"),
    ),
    Event(
        "snow",
        (
            "it starts to snow", "it begins to snow", "snow starts to fall", "snow begins to fall", "it is snowing",
            "snow falls", "snow sets in", "snowflakes drift down", "the snow comes", "let it snow", "it snows",
            "flakes of snow come down", "a snowfall begins",
        ),
        r"snow|flakes|flurr|blizzard",
        _sets(weather="snow"),
    ),
    Event(
        "rain",
        (
            "it starts to rain", "it begins to rain", "rain starts to fall", "rain begins to fall", "it is raining",
            "rain falls", "rain sets in", "the rain comes", "it rains", "raindrops start to fall", "a shower begins",
            "let it rain", "the skies open and rain comes down",
        ),
        r"rain|drizzl|shower|downpour|pour(s|ing)?\b",
        _sets(weather="rain"),
    ),
    Event(
        "fog",
        (
            "fog rolls in", "fog comes up", "it gets foggy", "mist rises", "a fog settles", "the air fills with fog",
            "fog sets in", "fog drifts in", "everything sinks into fog", "a thick mist comes up", "it grows misty",
        ),
        r"fog|mist|haze\b|hazy|murk",
        _sets(weather="fog"),
    ),
    Event(
        "dawn",
        (
            "dawn breaks", "the sun rises", "the day dawns", "the sun comes up", "it is dawn", "morning comes",
            "a new day begins", "sunrise comes", "the first light comes", "day breaks", "early morning comes",
        ),
        r"dawn|sunrise|day ?breaks?|new day|sun (rises|comes up|is rising)|first light|morning",
        _sets(hour=6.5),
    ),
    Event(
        "dusk",
        (
            "dusk falls", "the sun sets", "evening comes", "the sun goes down", "it is dusk", "evening falls",
            "the day ends", "sunset comes", "the light turns golden", "the sun sinks low", "twilight comes",
        ),
        r"dusk|sunset|twilight|sun (sets|goes down|sinks|is setting)|evening|light turns gold|day (ends|is over)",
        _sets(hour=18.5),
    ),
    Event(
        "night",
        (
            "night falls", "it gets dark", "night comes", "it is night", "darkness falls", "it turns to night",
            "the stars come out", "the moon comes out", "it becomes night", "midnight comes", "it grows dark",
        ),
        r"(mid)?night|dark(ness)?\b|stars|moon",
        _sets(hour=23.0),
    ),
    Event(
        "day",
        (
            "it is day", "day comes", "it turns to day", "noon comes", "it is noon", "broad daylight comes",
            "it becomes day", "the middle of the day comes", "the sun stands high", "daylight returns",
            "it is midday",
        ),
        r"(mid|noon|broad )?day(light|time)?\b(?! begins| breaks)|noon|sun (stands|is) high",
        _sets(hour=12.0),
    ),
    Event(
        "spring",
        (
            "spring comes", "it is spring", "spring arrives", "it turns to spring", "spring begins",
            "everything turns spring green", "the season turns to spring", "spring is here", "fresh leaves come out",
        ),
        r"spring(time)?\b(?! from)|fresh leaves|leaves (bud|sprout)",
        _sets(season="spring"),
    ),
    Event(
        "summer",
        (
            "summer comes", "it is summer", "summer arrives", "it turns to summer", "summer begins",
            "the season turns to summer", "summer is here", "high summer comes",
        ),
        r"summer",
        _sets(season="summer"),
    ),
    Event(
        "autumn",
        (
            "autumn comes", "it is autumn", "autumn arrives", "it turns to autumn", "autumn begins",
            "the leaves turn red and gold", "the season turns to autumn", "autumn is here", "fall arrives",
            "the leaves change colour",
        ),
        r"autumn|fall (arrives|comes|is here)|leaves (turn|change|redden|yellow)",
        _sets(season="autumn"),
    ),
    Event(
        "winter",
        (
            "winter comes", "it is winter", "winter arrives", "it turns to winter", "winter begins",
            "the season turns to winter", "winter is here", "winter sets in", "everything is white with winter",
        ),
        r"winter",
        _sets(season="winter"),
    ),
    Event(
        "pixel",
        (
            "everything turns to pixels", "the world turns pixelated", "the picture becomes pixel art",
            "it looks like pixel art", "pixel style", "the world is drawn in big pixels", "it turns blocky",
            "everything looks like an old game", "the style changes to pixel art",
        ),
        r"pixel|8 bit|blocky|retro|old game",
        _sets(style="pixel"),
    ),
    Event(
        "sketch",
        (
            "everything turns into a pencil sketch", "the world becomes a drawing", "sketch style",
            "it looks drawn in pencil", "the style changes to a sketch", "the picture becomes a pencil drawing",
            "everything is sketched", "the world looks like a sketch",
        ),
        r"sketch|pencil|drawing|drawn",
        _sets(style="sketch"),
    ),
    Event(
        "sepia",
        (
            "everything turns to sepia", "it looks like an old photograph", "sepia style",
            "the colours fade to sepia", "the picture becomes an old photograph", "the style changes to sepia",
            "the world turns brown like an old photograph",
        ),
        r"sepia|old photo|faded photo",
        _sets(style="sepia"),
    ),
    Event(
        "plain",
        (
            "the look goes back to normal", "plain style", "everything looks normal again", "the style is plain again",
            "the world looks as it did before", "the picture becomes ordinary again", "normal style",
            "the usual look returns",
        ),
        r"(plain|normal|ordinary|usual|natural|realistic)\b.*\b(style|look|again)?|looks? as it did|style (off|back)",
        _sets(style=""),
    ),
    Event(
        "fireworks",
        (
            "fireworks go up", "fireworks begin", "fireworks light up the sky", "there are fireworks",
            "rockets burst overhead", "fireworks burst in the sky", "a firework show starts", "fireworks start",
            "fireworks are set off", "coloured rockets go up",
        ),
        r"fire ?works?|rockets?\b",
        _shows("fireworks", 14.0, 15.0, 5.5),
    ),
    Event(
        "birds",
        (
            "birds fly over", "a flock of birds flies over", "birds pass overhead", "a flock of birds comes by",
            "birds cross the sky", "a flock passes", "birds circle overhead", "birds come flying",
            "a flock of birds wheels above", "some birds fly past",
        ),
        r"birds?\b|flock|swallows|gulls|crows",
        _shows("birds", 18.0, 9.0, 2.2),
    ),
    Event(
        "fish",
        (
            "fish leap from the water", "fish jump out of the water", "a fish leaps", "fish leap",
            "fish come to the surface and jump", "fish jump", "the fish are jumping", "a few fish leap up",
            "fish spring from the water",
        ),
        r"fish",
        _fish,
    ),
    Event(
        "fire",
        (
            "a fire breaks out", "a fire starts", "something catches fire", "a fire is lit", "flames shoot up",
            "there is a fire", "a fire flares up", "a fire begins to burn", "a bonfire is lit", "flames rise",
        ),
        r"(bon|camp)?fire\b|flames?\b|blaze|burn",
        _shows("fire", math.inf, 3.6, 0.0),
    ),
    Event(
        "object",
        (
            "a crate appears", "a ball appears", "an urn appears", "a statue appears", "a plank appears",
            "a new object appears", "a crate turns up", "a ball is put down", "an urn is set down",
            "there is suddenly a crate", "a statue arrives", "a crate pops up",
        ),
        rf"({_NOUNS})\b.*\b({_COMES})|({_COMES})\w*\b.*\b({_NOUNS})\b",
        _appears,
    ),
    Event(
        "creature",
        (
            "a creature walks in", "a new creature arrives", "a creature appears", "a newcomer walks in",
            "a creature comes in", "another creature shows up", "a creature joins", "a beast comes in",
        ),
        rf"\w+\b.*\b(walks? in|comes? in|wanders? in|joins|{_COMES})",
        _arrives,
    ),
)  # fmt: skip

EVENTS: Mapping[str, Event] = {event.kind: event for event in _LIST}
"""By kind; where words fit several, the first of these is meant."""

_LISTED = {bare(phrase): event.kind for event in _LIST for phrase in event.phrases}
