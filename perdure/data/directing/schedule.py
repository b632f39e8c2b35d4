"""The schedule: what each clip of a data set shows, by its number.

Nothing is left to luck: kinds are dealt like cards, each once before any comes again, so that a few hundred clips hold
every scene, way, weather, event, creature and deed. Clip 17 of seed 3 is the same whoever makes it, and whatever else
is made.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import mujoco
import numpy as np

from perdure.data.casting import Part
from perdure.data.clip import LONGEST, SHORTEST, Job
from perdure.data.furnishing import WHAT
from perdure.data.scenes import KINDS, build, creatures
from perdure.data.trajectories import SCRIPTS
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND
from perdure.world.command import FORCED
from perdure.world.events import EVENTS
from perdure.world.happenings import pools
from perdure.world.setting import SEASONS, STYLES

T = TypeVar("T")

HELD_OUT = 1000
"""Scenes of lower seeds are kept for evaluation."""

VIEWS = ("first", "third", "first", "animal", "first", "vehicle", "third", "first", "vehicle", "animal")
"""Through whose eyes, or after whom."""

OPEN = ("court", "garden", "terraces", "island")
"""Scenes with room for a cart."""

RIDDEN = {"third": ("knight", "mage"), "animal": ("", "strider", "", "bird", "frog", "crab"), "vehicle": ("cart",)}
"""Whose body the player has; "": none that is seen."""

LENGTHS = ((60.0, 60.0), (60.0, 60.0), (60.0, 60.0), (5.0, 8.0), (8.0, 12.0), (12.0, 18.0), (16.0, 24.0),
           (20.0, 30.0), (28.0, 40.0), (36.0, 52.0))  # fmt: skip
"""Seconds from, to: three clips of ten are of a whole minute."""

DRAMAS = ("each", "fight", "each", "dance", "fight", "each", "crossing", "quiet")
"""What creatures are about: each its own business, blows, a dance together, ways that cross, or nothing asked."""

WATCHING = ("watch", "orbit a creature", "watch", "free", "watch", "stand")
"""Ways of those who see a fight or a dance, two times of three."""

CASTS = (2, 3, 2, 1, 3, 2)
PARTS = 3  # cards that a clip takes of the creatures, whether it needs them or not
LINES = 6  # the same of each creature's deeds
EVENTFUL = (1, 2, 0, 2, 1, 3)  # events in a clip, at most one for each eight seconds
DENSITIES = (0.3, 0.6, 0.45, 0.8, 0.2, 0.7, 0.5)
HOURS = (12.0, 10.0, 16.5, 12.0, 6.5, 14.0, 18.5, 22.5)
WEATHERS = ("clear", "clear", "clear", "rain", "clear", "snow", "clear", "fog", "clear", "storm")
STYLED = 12  # clips of which one is drawn in another style

FIELDS: Mapping[str, tuple[str, float | str]] = {
    "dawn": ("hour", 6.5), "dusk": ("hour", 18.5), "night": ("hour", 23.0), "day": ("hour", 12.0),
    **{name: ("weather", name) for name in ("clear", "rain", "snow", "fog", "storm")},
    **{name: ("season", name) for name in SEASONS if name},
    **{name: ("style", name) for name in STYLES if name}, "plain": ("style", ""),
}  # fmt: skip
"""Events that set the environment, and what to: they are to be seen only where it was otherwise."""

AFTER = {"fire_out": "fire", "door_closes": "door_opens", "clear": "rain", "plain": "pixel"}
"""What has to happen first."""

SKY = ("fireworks", "birds")
"""What needs the open sky."""

NEEDS = {"door": "doorway", "break": "urn"}
"""What ways need, of what a scene has."""


@dataclass(frozen=True)
class Direction:
    """What a clip is to show."""

    scene: str
    scene_seed: int
    seconds: float
    trajectory: str
    density: float | None  # of what is seen again, where that is asked for
    view: str
    hour: float
    weather: str
    season: str
    style: str
    drama: str
    cast: tuple[Part, ...]
    deeds: tuple[tuple[str, ...], ...]  # what each is to be asked for, as far as there is time
    events: tuple[tuple[float, str], ...]  # seconds, kind
    avatar: str = ""  # the kind of creature that the player is, where that is seen

    @property
    def chunks(self) -> int:
        return round(self.seconds * FRAMES_PER_SECOND / FRAMES_PER_CHUNK)


def direct(job: Job) -> Direction:
    """The direction of a clip: a function of its number, the seed of the data set, and what was asked for."""
    number, seed, asked = job.number, job.seed, job.options
    rng = np.random.default_rng([8, seed, number])
    kinds = _chosen(asked, "scene", tuple(KINDS))
    scene, turn = dealt(number, kinds, seed, "scene"), number // len(kinds)
    scene_seed = HELD_OUT + int(rng.integers(1 << 24))
    facts = _facts(scene)
    listed = (*(way for way in SCRIPTS if way != "fight"), "dense", "dense")
    if "trajectory" in asked:
        listed = _chosen(asked, "trajectory", (*SCRIPTS, "dense"))
    ways = [way for way in listed if NEEDS.get(way, "") in ("", *facts)] or list(listed)
    trajectory = dealt(turn, ways, seed, "way", scene)
    drama = dealt(number, _chosen(asked, "drama", DRAMAS), seed, "drama")
    if drama in ("fight", "dance") and number % 3 and "trajectory" not in asked:
        trajectory = dealt(number, WATCHING, seed, "watching")
    count = max(dealt(number, CASTS, seed, "cast"), 2 if drama in ("fight", "dance") or trajectory == "watch" else 1)
    players = _chosen(asked, "creatures", tuple(creatures.KINDS))
    cast: list[Part] = []
    lines: list[tuple[str, ...]] = []
    for n in range(count):
        slot = number * PARTS + n
        kind, looks = dealt(slot, players, seed, "creature"), slot // len(players)
        cast.append(Part(kind, _coat(kind, looks, {part.name for part in cast})))
        lines.append(_lines(kind, looks, drama, seed))
    hour, weather = dealt(number, HOURS, seed, "hour"), dealt(number, WEATHERS, seed, "weather")
    season = dealt(number, SEASONS, seed, "season")
    style = dealt(number // STYLED, STYLES[1:], seed, "style") if number % STYLED == 7 else ""
    events = _events(turn, scene, job.seconds, seed, rng)
    start: dict[str, float | str] = {"hour": hour, "weather": weather, "season": season, "style": style}
    for kind in reversed([kind for _, kind in events if kind in FIELDS]):
        name, value = FIELDS[kind]
        if start[name] == value:
            start[name] = {"hour": 9.0, "weather": "clear", "season": "", "style": ""}[name]
            if start[name] == value:  # it is to become what it mostly is
                start[name] = {"hour": 18.5, "weather": "fog", "season": "summer", "style": "pixel"}[name]
    choices = (("weather", WEATHERS), ("season", SEASONS), ("style", STYLES))
    start |= {name: dealt(number, _chosen(asked, name, known), seed, name) for name, known in choices if name in asked}
    start |= {"hour": float(asked["hour"])} if "hour" in asked else {}
    density = dealt(turn, DENSITIES, seed, "density", scene) if trajectory == "dense" else None
    if "density" in asked:
        trajectory, density = "dense", float(asked["density"])
    view = dealt(number, _chosen(asked, "view", VIEWS), seed, "view")
    if view == "vehicle" and "view" not in asked and (scene not in OPEN or {"trajectory", "density"} & asked.keys()):
        view = "third"
    if trajectory == "fight" and view in ("first", "vehicle") and "view" not in asked:
        view = "third"  # one needs a body to strike with
    if "carried" in asked:
        view = "first"  # its ways are those of an eye
    bodies = [body for body in RIDDEN.get(view, ("",)) if body or trajectory != "fight"] or [""]
    avatar = dealt(number // len(VIEWS), bodies, seed, "avatar", view)
    if drama == "fight" and avatar and number % 2 == 0 and not {"trajectory", "density", "carried"} & asked.keys():
        trajectory, density = "fight", None  # of those who could look on every other joins in
    if view == "vehicle":
        trajectory, density = "drive", None
    return Direction(
        scene, scene_seed, job.seconds, trajectory, density, view,
        float(start["hour"]), str(start["weather"]), str(start["season"]), str(start["style"]),
        drama, tuple(cast), tuple(lines), events, avatar,
    )  # fmt: skip


def length(number: int, seed: int) -> float:
    """Seconds of a clip, in whole chunks."""
    low, high = dealt(number, LENGTHS, seed, "length")
    share = np.random.default_rng([9, seed, number]).random()
    chunk = FRAMES_PER_CHUNK / FRAMES_PER_SECOND
    return min(LONGEST, max(SHORTEST, round((low + share * (high - low)) / chunk) * chunk))


def dealt(number: int, cards: Sequence[T], seed: int, *deck: str) -> T:
    """The card of this number, of a deck that is shuffled anew whenever all have been dealt."""
    round_, at = divmod(number, len(cards))
    label = [ord(letter) for letter in "/".join(deck)]
    return cards[int(np.random.default_rng([10, seed, round_, *label]).permutation(len(cards))[at])]


def _chosen(asked: Mapping[str, str | float | int | bool], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the known ones that were asked for, as "court,hall"; all, if none were."""
    if name not in asked:
        return known
    wanted = tuple(word.strip() for word in str(asked[name]).split(","))
    for word in wanted:
        if word not in known:
            raise ValueError(f"expected {name} out of {', '.join(known)}, got {word!r}")
    return wanted


@lru_cache(maxsize=64)
def _facts(kind: str) -> frozenset[str]:
    """What there is in scenes of a kind: a sky, water, doorways, urns. So it is in one of them, and so in all."""
    scene = build(kind, HELD_OUT)
    water = any(True for _ in pools(mujoco.MjModel.from_xml_string(scene.xml)))
    roof = any("ceiling" in name or "vault" in name for name in scene.surfaces)
    found = {"doorway": bool(scene.doorways), "water": water, "sky": not roof, "urn": "urn" in WHAT.get(kind, ())}
    return frozenset(name for name, there in found.items() if there)


def _coat(kind: str, looks: int, taken: set[str]) -> int:
    """A seed of its looks, so that no two in a clip have one name, if that can be helped."""
    for seed in range(looks, looks + 32):
        if creatures.name(kind, seed) not in taken:
            return seed
    return looks


def _lines(kind: str, looks: int, drama: str, seed: int) -> tuple[str, ...]:
    """The deeds that a creature is to be asked for, in turn; the next clip with one of its kind goes on from there."""
    names = [deed.name for deed in creatures.deeds(kind, 0) if deed.name not in FORCED]  # whatever its coat
    if drama == "quiet":
        return ()
    return tuple(dealt(looks * LINES + n, names, seed, "deed", kind) for n in range(LINES))


def _events(
    turn: int, scene: str, seconds: float, seed: int, rng: np.random.Generator
) -> tuple[tuple[float, str], ...]:
    """What happens, and when: each kind that can be in such a scene, in turn."""
    facts = _facts(scene)
    lacks = {"fish": "water", "door_opens": "doorway", "door_closes": "doorway", "break": "urn"}
    lacks |= dict.fromkeys(SKY, "sky")
    kinds = [kind for kind in EVENTS if lacks.get(kind, "") in (*facts, "")]
    most = max(EVENTFUL)
    count = min(dealt(turn, EVENTFUL, seed, "eventful", scene), int(seconds // 8))
    if not count:
        return ()
    chosen = list(dict.fromkeys(dealt(turn * most + n, kinds, seed, "event", scene) for n in range(count)))
    chosen = [kind for card in chosen for kind in ((AFTER[card], card) if card in AFTER else (card,))]
    chosen = [kind for n, kind in enumerate(chosen) if kind not in chosen[:n]]
    gap = seconds / (len(chosen) + 0.5)
    times = [gap * (n + 0.35 + 0.4 * float(rng.random())) for n in range(len(chosen))]
    return tuple((math.floor(6 * time) / 6, kind) for time, kind in zip(times, chosen))
