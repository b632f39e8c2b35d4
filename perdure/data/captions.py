"""Captions in three layers, out of what a clip's source knows of its state.

    caption(clip) -> Captions(narrative, scene, dense), or None where too little is known to tell anything

The narrative tells all of it in order; the scene tells of the place alone, nothing that moves or is done; the dense
passages say what happens from when to when. What is said follows from the state, and how from the clip's name and a
seed: the same clip has the same words wherever it is captioned. Of films a port to a model of pictures tells.
"""

import colorsys
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import angles
from perdure.data import phrases
from perdure.data.clip import Actor, Captions, Clip, Passage
from perdure.data.phrases import listed, said, sentence, third
from perdure.data.profile import deeds, runs
from perdure.data.scenes import KINDS, build, creatures
from perdure.data.scenes.scene import Scene
from perdure.world.action import FRAMES_PER_CHUNK

PROBE = Path(__file__).with_name("probe.txt")
"""Words that are never used: see there."""

UNTOLD = ("", "idle")
"""Deeds that are nothing to speak of."""
BARE = ("go", "open", "push")
"""Words for deeds that say nothing alone."""
SHORT = 0.4  # seconds below which what somebody does is not told
LEG = 0.7  # the same of the camera's way
MANY = 12  # passages that a narrative tells
CROWD = 6  # that a narrative introduces
ALIKE = 3  # moments of one kind that it tells
PLAYER = "the player"
INDOORS = ("hall", "rooms", "corridors", "table")

MOTION = frozenset(
    re.findall(
        "[a-z]+",
        "walk run move go come turn swing leap jump fall rise open close shut start begin stop strike hit throw take "
        "carry lift fly swim circle follow enter leave chase fight dance wave drop roll spin slide climb pass arrive "
        "appear grow change become happen step break shatter burst flare drift blow",
    )
)
"""Verbs that have no place in the caption of a scene."""
_NOUNS = frozenset({"steps", "step", "open", "passes", "falls", "fall", "turnings", "broken", "roll"})  # "open sky"


def caption(clip: Clip, seed: int = 0) -> Captions | None:
    """The captions of a clip whose state is known."""
    kind = clip.tags.get("scene", "")
    if kind not in phrases.KINDS or not (clip.cast or clip.poses is not None):
        return None
    digest = hashlib.sha256(f"{seed}/{clip.name}/{clip.seed}".encode()).digest()
    rng = np.random.default_rng(list(digest[:16]))
    place = _place(clip, kind, rng)
    eye = str(rng.choice(np.array(phrases.EYES.get(clip.view, phrases.EYES[""]))))
    dense = tuple(_dense(clip, eye, rng))
    return Captions(_narrative(clip, place, dense, eye, rng), _scene(place, rng), dense)


def timed(captions: Captions, fps: float) -> list[dict[str, Any]]:
    """The dense passages as plain data, in seconds."""
    return [
        {"start": round(p.start / fps, 3), "end": round(p.end / fps, 3), "event": p.event, "caption": p.caption}
        for p in captions.dense
    ]


def probe() -> tuple[str, ...]:
    """The words that are held back."""
    lines = PROBE.read_text("utf-8").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())


@lru_cache(maxsize=1)
def _held_back() -> Mapping[str, str]:
    return {form: word for word in probe() for form in forms(word)}


def held_back(text: str) -> list[str]:
    """The words in a text, in whatever form, that are held back."""
    known = _held_back()
    return [known[word] for word in re.findall(r"[a-z]+", text.lower()) if word in known]


def shown(clip: Clip, tell: Callable[[NDArray[np.uint8]], str], every: float = 5.0) -> tuple[Captions, int]:
    """The captions of a clip of which only pictures are known: what a model says of one in `every` seconds.

    It tells pictures, so the scene has only what it says without a verb of motion. What it says with a word that is
    held back is dropped; of how many pictures, comes beside.
    """
    n, length = len(clip.rgb), max(1, round(every * clip.fps))
    spans = [(a, min(a + length, n)) for a in range(0, n, length)]
    every_told = [tell(clip.rgb[(a + b) // 2]) for a, b in spans]
    told = ["" if held_back(text) else text for text in every_told]
    dense = tuple(Passage(a, b, "picture", text) for (a, b), text in zip(spans, told) if text)
    distinct = list(dict.fromkeys(text for text in told if text))
    still = [text for text in distinct if not moves(text)]
    captions = Captions(" ".join(map(sentence, distinct)), sentence(still[0]) if still else "", dense)
    return captions, sum(mine != theirs for mine, theirs in zip(told, every_told))


def moves(text: str) -> list[str]:
    """The words of motion in a text, whatever their form."""
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _NOUNS and _stems(word) & MOTION]


def forms(word: str) -> set[str]:
    """The forms of an English word, and a few that only look like ones."""
    bare = word.removesuffix("e")
    bases = {word, bare, word + word[-1], word[:-1] + "i" if word.endswith("y") else word}
    return {word} | {
        base + ending for base in bases for ending in ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "y")
    }


def _stems(word: str) -> set[str]:
    """What a word may be a form of."""
    out = {word}
    for ending in ("s", "es", "ed", "d", "ing"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            out |= {stem, stem + "e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem}
    return out


# The place


@dataclass(frozen=True)
class _Place:
    what: str  # "a walled court of stone"
    when: str  # "at dusk, under a rainy sky"
    words: tuple[str, ...]  # "paths of grey gravel cross at a pond"
    things: tuple[str, ...]  # "a floor of grey tiles", "the blue well"


def _place(clip: Clip, kind: str, rng: np.random.Generator) -> _Place:
    built = _built(clip)
    words: list[str] = []
    things: list[str] = []
    if built is not None:
        marks = [name for name in built.places if not re.search(r"corner|side\b|middle|room$", name)]
        marks = [name for name in marks if f"{name} " not in " ".join(built.words)]
        words = [built.words[i] for i in sorted(rng.permutation(len(built.words))[:2])]
        things = [] if words else _materials(built)
        things = [things[i] for i in sorted(rng.permutation(len(things))[:3])]
        things += [marks[i] for i in rng.permutation(len(marks))[:3]]
    elif kind == "doom":
        level = float(clip.rgb[:: max(1, len(clip.rgb) // 16)].mean())
        light = "dim" if level < 45 else "bright" if level > 95 else "even"
        things = [f"{light} light", f"the walls of {clip.tags['map']}" if "map" in clip.tags else "painted walls"]
    elif kind in ("boxing", "pong", "tennis"):
        things = ["the score at the top", *phrases.SCREENS[kind]]
    return _Place(said(phrases.KINDS[kind], rng), _when(clip, kind, rng), tuple(words), tuple(things))


def _built(clip: Clip) -> Scene | None:
    """The scene that a clip of the playground was made in."""
    data: Mapping[str, Any] = clip.recipe.data if clip.recipe is not None else {}
    if data.get("scene") in KINDS and "scene_seed" in data:
        return _scene_of(str(data["scene"]), int(data["scene_seed"]))
    return None


@lru_cache(maxsize=4)
def _scene_of(kind: str, seed: int) -> Scene:
    return build(kind, seed)


_LOOKS = {
    "ashlar": "dressed stone", "checker": "checkered tiles", "tile": "tiles", "plank": "planks", "grass": "grass",
    "hexagon": "hexagonal tiles", "chevron": "chevrons", "stripe": "stripes", "panel": "panels",
    "leaf": "leaves", "plain": "paint",
}  # fmt: skip
_PARTS = {
    "lawn": "a lawn", "hedge": "clipped hedges", "water": "water", "banner": "banners", "awning": "striped awnings",
    "barrel": "barrels", "crate": "crates", "tapestry": "tapestries", "carpet": "a carpet", "pillar": "pillars",
    "books": "shelves of books", "rug": "rugs", "art": "pictures on the walls", "bronze": "bronze",
    "flower": "flowers", "vase": "a vase", "glass": "coloured windows", "marble": "marble",
}  # fmt: skip


def _materials(scene: Scene) -> list[str]:
    """What a scene without words of its own is made of."""
    used = [name for name in scene.surfaces if f'material="{name}"' in scene.xml]
    out: list[str] = []
    for part, words in (("wall", "walls of {}"), ("floor", "a floor of {}")):
        looks = [scene.surfaces[name] for name in used if re.fullmatch(rf"{part}\d*", name)]
        kinds = dict.fromkeys(f"{colour(look.colours[0])} {_LOOKS.get(look.texture, look.texture)}" for look in looks)
        if len(kinds) == 1:
            out.append(words.format(next(iter(kinds))))
        elif kinds:
            out.append(f"{part}s of {listed(list(kinds)[:3])}")
    found = dict.fromkeys(
        words for name in used for part, words in _PARTS.items() if re.match(rf"{part}[\d_-]*$|{part}\d", name)
    )
    return [*out, *found]


def colour(code: str) -> str:
    """A name for "#rrggbb"."""
    r, g, b = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, colourful = colorsys.rgb_to_hls(r, g, b)
    if light > 0.93 or (light > 0.8 and colourful < 0.35):
        return "white"
    if light < 0.12:
        return "black"
    if colourful < 0.14:
        return "grey"
    if 0.02 < hue < 0.13 and light < 0.5:
        return "brown"
    if 0.04 < hue < 0.18 and (light > 0.6 and colourful < 0.75):
        return "cream"
    names = ((0.03, "red"), (0.10, "orange"), (0.18, "yellow"), (0.42, "green"), (0.52, "turquoise"), (0.68, "blue"),
             (0.80, "violet"), (0.94, "pink"), (1.01, "red"))  # fmt: skip
    return next(name for end, name in names if hue < end)


def _when(clip: Clip, kind: str, rng: np.random.Generator) -> str:
    """Hour, weather, season and style as the clip begins."""
    begins: Mapping[str, Any] = clip.recipe.data.get("environment", {}) if clip.recipe is not None else {}
    known = {name: str(begins.get(name, clip.tags.get(name, ""))) for name in ("hour", "weather", "season", "style")}
    hour = float(known["hour"]) if known["hour"] else math.nan
    ends = ((4.5, "night"), (8.0, "dawn"), (11.5, "morning"), (13.5, "noon"), (17.5, "afternoon"), (20.5, "dusk"))
    part = "" if math.isnan(hour) else next((name for end, name in ends if hour < end), "night")
    said_ = [str(rng.choice(np.array(phrases.TIMES[part])))]
    if kind not in INDOORS and known["weather"] in phrases.WEATHERS:
        said_.append(str(rng.choice(np.array(phrases.WEATHERS[known["weather"]]))))
    for table, name in ((phrases.SEASONS, "season"), (phrases.STYLES, "style")):
        if known[name] in table and (name == "style" or kind not in INDOORS):
            said_.append(str(rng.choice(np.array(table[known[name]]))))
    return ", ".join(said_)


def _scene(place: _Place, rng: np.random.Generator) -> str:
    slots = {"place": place.what, "Place": _up(place.what), "time": place.when, "Time": _up(place.when)}
    lines = [sentence(said(phrases.SCENE, rng, **slots))]
    if place.words:
        lines.append(sentence("; ".join(place.words)))
    if place.things:
        things = listed(list(place.things))
        lines.append(sentence(said(phrases.DETAILS, rng, things=things, Things=_up(things))))
    return " ".join(lines)


# What happens, from when to when


def _dense(clip: Clip, eye: str, rng: np.random.Generator) -> list[Passage]:
    names = {actor.entity: actor for actor in clip.cast}
    out = [*_moments(clip, rng)]
    for entity, actor in names.items():
        if actor.role == "creature" or f"deeds {entity}" in clip.tags:
            out += _deeds(clip, entity, actor, rng)
        elif actor.role == "player" and entity in clip.commands:
            out += _played(clip, entity, actor, rng)
    walked = sum(map(bool, clip.commands.get(0, ())))  # chunks in which words tell the camera's way already
    if clip.poses is not None and 2 * walked * FRAMES_PER_CHUNK < len(clip.rgb):
        out += _legs(clip, eye, rng)
    return sorted(out, key=lambda p: (p.start, p.end, p.event, p.caption))


def _moments(clip: Clip, rng: np.random.Generator) -> list[Passage]:
    out: list[Passage] = []
    for moment in clip.events:
        table, slots = phrases.EVENTS.get(moment.kind), dict[str, str]()
        if table is None:
            hands = phrases.HANDS if moment.kind in ("open", "close") else ()
            plain = _plain(moment.words)
            for pattern, entry in (*hands, *phrases.MOMENTS):
                if found := re.fullmatch(pattern, plain):
                    table, slots = phrases.MET[entry], found.groupdict()
                    break
        words = moment.words if table is None else said(table, rng, **slots)
        out.append(Passage(moment.start, moment.end, moment.kind, sentence(words)))
    return out


def _plain(words: str) -> str:
    """What you did, told of a player."""
    told = f"{PLAYER} {third(words[4:])}" if words.startswith("you ") else words
    return re.sub(r"\byou\b", PLAYER, told)


def _called(actor: Actor) -> str:
    return PLAYER if actor.name == "you" else actor.name


def _deeds(clip: Clip, entity: int, actor: Actor, rng: np.random.Generator) -> list[Passage]:
    """What a creature did: what it was told to, and what befell it."""
    told = np.asarray(clip.states[entity].get("commanded", ())) if entity in clip.states else np.empty(0)
    out: list[Passage] = []
    for name, start, end in deeds(clip, entity):
        forced = name in phrases.BEFALLS
        if name in UNTOLD or (not forced and (end - start < SHORT * clip.fps or not (told[start:end] > 0).any())):
            continue
        if forced:
            words = said(phrases.BEFALLS[name], rng, who=_called(actor))
        else:
            verb = str(rng.choice(np.array(_verbs(actor.kind, name))))
            words = said(phrases.DEED, rng, who=_called(actor), do=verb, does=third(verb))
        out.append(Passage(start, end, f"{actor.kind}: {name}", sentence(words)))
    return out


@lru_cache(maxsize=256)
def _verbs(kind: str, deed: str) -> tuple[str, ...]:
    """The words for a deed; none that lack an end, such as "land on"."""
    kinds = [kind] if kind in creatures.KINDS else list(creatures.KINDS)  # a player is of any kind
    known = next((it.words for one in kinds for it in creatures.deeds(one, 0) if it.name == deed), ())
    return tuple(words for words in known if not words.endswith((" on", " into")) and words not in BARE) or (deed,)


def _played(clip: Clip, entity: int, actor: Actor, rng: np.random.Generator) -> list[Passage]:
    """What a player did, as his commands say."""
    out: list[Passage] = []
    commands = np.array(clip.commands[entity])
    for words, first, last in runs(commands):
        start, end = first * FRAMES_PER_CHUNK, last * FRAMES_PER_CHUNK
        if not words or end - start < (SHORT if "," in words or "jab" in words else LEG) * clip.fps:
            continue
        clauses = words.split(", ")
        if clip.source == "doom":
            clauses = [third(clause) for clause in clauses]
        does = listed(clauses)
        out.append(
            Passage(
                start, end, f"{actor.kind}: {words}", sentence(said(phrases.PLAYED, rng, who=_called(actor), does=does))
            )
        )
    return out


def _legs(clip: Clip, eye: str, rng: np.random.Generator) -> list[Passage]:
    """The camera's way, in stretches."""
    assert clip.poses is not None
    return [
        Passage(start, end, f"camera: {leg}", sentence(_went(said(phrases.CAMERA[leg], rng, eye=eye), eye)))
        for leg, start, end in legs(clip.poses, clip.fps)
    ]


def _went(words: str, eye: str) -> str:
    """The same of an eye that has no feet."""
    return re.sub(r"\bwalks\b", "goes", words) if eye in phrases.CARRIED else words


def legs(poses_N44: NDArray[np.float64], fps: float) -> list[tuple[str, int, int]]:
    """Stretches of a camera's way of `LEG` seconds and more: what it does, and from which frame up to which."""
    window = max(1, round(fps / 4))
    n = len(poses_N44)
    later = np.minimum(np.arange(n) + window, n - 1)
    sooner = np.maximum(np.arange(n) - window, 0)
    seconds = np.maximum(later - sooner, 1) / fps
    yaw = np.unwrap(angles(poses_N44)[0])
    gone = (poses_N44[later, :2, 3] - poses_N44[sooner, :2, 3]) / seconds[:, None]
    turning = (yaw[later] - yaw[sooner]) / seconds
    ahead = gone[:, 0] * np.cos(yaw) + gone[:, 1] * np.sin(yaw)
    aside = gone[:, 1] * np.cos(yaw) - gone[:, 0] * np.sin(yaw)
    going, bending, turns = np.hypot(ahead, aside) > 0.35, np.abs(turning) > 0.45, np.abs(turning) > 0.25
    names = np.full(n, "stand", dtype="<U10")
    names[~going & turns] = np.where(turning > 0, "turn left", "turn right")[~going & turns]
    across = np.abs(aside) > np.abs(ahead)
    names[going & across] = np.where(aside > 0, "left", "right")[going & across]
    names[going & ~across] = np.where(ahead > 0, "forward", "back")[going & ~across]
    bends = going & ~across & (ahead > 0) & bending
    names[bends] = np.where(turning > 0, "bend left", "bend right")[bends]
    return [leg for leg in runs(names) if leg[2] - leg[1] >= LEG * fps]


# All of it


def _narrative(clip: Clip, place: _Place, dense: Sequence[Passage], eye: str, rng: np.random.Generator) -> str:
    slots = {"place": place.what, "time": place.when, "Time": _up(place.when)}
    lines = [sentence(said(phrases.OPENS, rng, **slots))]
    way = phrases.WAYS.get(clip.tags.get("trajectory", ""))
    if way is not None and clip.poses is not None:
        lines.append(sentence(_went(said(way, rng, eye=eye), eye)))
    cast = _cast(clip)
    if cast:
        table = phrases.CAST_ONE if len(cast) == 1 and not cast[0][:1].isdigit() else phrases.CAST_MANY
        lines.append(sentence(said(table, rng, cast=listed(cast), Cast=_up(listed(cast)))))
    lines += [_linked(passage.caption, rng) for passage in _worth(dense)]
    lines.append(sentence(said(phrases.ENDS, rng, seconds=f"{clip.seconds:.0f}")))
    return " ".join(lines)


def _cast(clip: Clip) -> list[str]:
    """Who is there, as a story introduces them; where they have no looks of their own, how many of a kind."""
    players = clip.poses is None
    there = [actor for actor in clip.cast if actor.role == "creature" or (players and actor.role == "player")]
    try:
        out = [creatures.described(actor.name) for actor in there]
    except ValueError:
        if players:
            out = [actor.name for actor in there]
        else:
            kinds = Counter(actor.kind for actor in there)
            out = [f"{n} {kind}s" if n > 1 else _one(kind) for kind, n in kinds.items()]
    return out if len(out) <= CROWD else [*out[:CROWD], f"{len(out) - CROWD} more"]


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _worth(dense: Sequence[Passage]) -> list[Passage]:
    """What a story tells: all that happened, and each deed of each once, as far as there is room; in order."""
    first = dict[str, Passage]()
    for passage in dense:
        if passage.event.endswith((": hit", ": die")):
            continue  # the blow itself is told
        first.setdefault(passage.event if ": " in passage.event else passage.caption, passage)
    seen = Counter[str]()
    some: list[Passage] = []
    for passage in first.values():
        seen[passage.event] += 1
        if seen[passage.event] <= ALIKE:
            some.append(passage)
    ranked = sorted(some, key=lambda p: (p.event.startswith("camera"), ": " in p.event, p.start))
    return sorted(ranked[:MANY], key=lambda p: (p.start, p.end, p.event))


_LINKED = re.compile(
    r"^(here|at this|after|it is|there it is|this time|in the end|at last|finally|and so|with|suddenly)\b|"
    r"\b(now|then|next|again|promptly|duly|at this point|once more|suddenly)\b",
    re.IGNORECASE,
)
"""What has its place in time already."""


def _linked(text: str, rng: np.random.Generator) -> str:
    bare = text.rstrip(".")
    if _LINKED.search(bare):
        return sentence(bare)
    low = bare[:1].lower() + bare[1:]
    return sentence(str(rng.choice(np.array(phrases.LINKS))).format(it=low, It=bare))


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]
