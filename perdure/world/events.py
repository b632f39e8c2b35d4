"""World events: what is asked for in words, as an edit of the state.

    edit = happening("It starts to snow.", world)

`EVENTS` has for each kind how people say it: captions take their words from there, and so does whoever directs a
world. What is said otherwise is understood by a pattern over its bare words. An event is an edit like any other:
logged, undone and replayed by the same few lines, a function of the words and the state.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perdure.world.edit import Edit
from perdure.world.happenings import appears, arrives, breaks, dies_down, door, fish, sets, shows
from perdure.world.slots import State


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


_END = "stop|end|over|lift|cease|lets? up|away|thin|melt|pass|done|gone|no more|thaw|burn off|break up"
_OUT = (
    "die|dying|(goes|go|going|burns?|is|are|put|blown) (out|down)|extinguish|douse|smother|gutter|fade|end|stop|subside"
)
_NOUNS = "crate|box|ball|plank|board|urn|vase|pot|statue|sculpture|object|thing"
_BRITTLE, _BREAKS = "urns?|vases?|pots?|jars?|pottery", "break|broke|shatter|smash|burst|crack|pieces"
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
        dies_down,
    ),
    Event(
        "door_closes",
        (
            "the door closes", "a door closes", "the door swings shut", "the door falls shut", "the door is closed",
            "someone closes the door", "the door shuts", "close the door", "the nearest door closes",
            "the door goes shut",
        ),
        r"doors?\b.*\b(clos|shut)|(clos|shut)\w* .*\bdoor",
        door(False),
    ),
    Event(
        "door_opens",
        (
            "the door opens", "a door opens", "the door swings open", "a door is opened", "someone opens the door",
            "the door is flung open", "open the door", "the nearest door opens", "the door opens wide",
            "a door swings back",
        ),
        r"doors?\b.*\b(open|swings back)|open\w* .*\bdoor",
        door(True),
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
        sets(weather="clear"),
    ),
    Event(
        "storm",
        (
            "a storm breaks", "a storm comes up", "a thunderstorm begins", "a storm sets in", "thunder and rain come",
            "lightning flashes in the rain", "a storm rolls in", "it begins to storm", "a storm is upon us",
            "stormy weather sets in",
        ),
        r"\w*storm|thunder|lightning|tempest",
        sets(weather="storm"),
    ),
    Event(
        "snow",
        (
            "it starts to snow", "it begins to snow", "snow starts to fall", "snow begins to fall", "it is snowing",
            "snow falls", "snow sets in", "snowflakes drift down", "the snow comes", "let it snow", "it snows",
            "flakes of snow come down", "a snowfall begins",
        ),
        r"snow|flakes|flurr|blizzard",
        sets(weather="snow"),
    ),
    Event(
        "rain",
        (
            "it starts to rain", "it begins to rain", "rain starts to fall", "rain begins to fall", "it is raining",
            "rain falls", "rain sets in", "the rain comes", "it rains", "raindrops start to fall", "a shower begins",
            "let it rain", "the skies open and rain comes down",
        ),
        r"rain|drizzl|shower|downpour|pour(s|ing)?\b",
        sets(weather="rain"),
    ),
    Event(
        "fog",
        (
            "fog rolls in", "fog comes up", "it gets foggy", "mist rises", "a fog settles", "the air fills with fog",
            "fog sets in", "fog drifts in", "everything sinks into fog", "a thick mist comes up", "it grows misty",
        ),
        r"fog|mist|haze\b|hazy|murk",
        sets(weather="fog"),
    ),
    Event(
        "dawn",
        (
            "dawn breaks", "the sun rises", "the day dawns", "the sun comes up", "it is dawn", "morning comes",
            "a new day begins", "sunrise comes", "the first light comes", "day breaks", "early morning comes",
        ),
        r"dawn|sunrise|day ?breaks?|new day|sun (rises|comes up|is rising)|first light|morning",
        sets(hour=6.5),
    ),
    Event(
        "dusk",
        (
            "dusk falls", "the sun sets", "evening comes", "the sun goes down", "it is dusk", "evening falls",
            "the day ends", "sunset comes", "the light turns golden", "the sun sinks low", "twilight comes",
        ),
        r"dusk|sunset|twilight|sun (sets|goes down|sinks|is setting)|evening|light turns gold|day (ends|is over)",
        sets(hour=18.5),
    ),
    Event(
        "night",
        (
            "night falls", "it gets dark", "night comes", "it is night", "darkness falls", "it turns to night",
            "the stars come out", "the moon comes out", "it becomes night", "midnight comes", "it grows dark",
        ),
        r"(mid)?night|dark(ness)?\b|stars|moon",
        sets(hour=23.0),
    ),
    Event(
        "day",
        (
            "it is day", "day comes", "it turns to day", "noon comes", "it is noon", "broad daylight comes",
            "it becomes day", "the middle of the day comes", "the sun stands high", "daylight returns",
            "it is midday",
        ),
        r"(mid|noon|broad )?day(light|time)?\b(?! begins| breaks)|noon|sun (stands|is) high",
        sets(hour=12.0),
    ),
    Event(
        "spring",
        (
            "spring comes", "it is spring", "spring arrives", "it turns to spring", "spring begins",
            "everything turns spring green", "the season turns to spring", "spring is here", "fresh leaves come out",
        ),
        r"spring(time)?\b(?! from)|fresh leaves|leaves (bud|sprout)",
        sets(season="spring"),
    ),
    Event(
        "summer",
        (
            "summer comes", "it is summer", "summer arrives", "it turns to summer", "summer begins",
            "the season turns to summer", "summer is here", "high summer comes",
        ),
        r"summer",
        sets(season="summer"),
    ),
    Event(
        "autumn",
        (
            "autumn comes", "it is autumn", "autumn arrives", "it turns to autumn", "autumn begins",
            "the leaves turn red and gold", "the season turns to autumn", "autumn is here", "fall arrives",
            "the leaves change colour",
        ),
        r"autumn|fall (arrives|comes|is here)|leaves (turn|change|redden|yellow)",
        sets(season="autumn"),
    ),
    Event(
        "winter",
        (
            "winter comes", "it is winter", "winter arrives", "it turns to winter", "winter begins",
            "the season turns to winter", "winter is here", "winter sets in", "everything is white with winter",
        ),
        r"winter",
        sets(season="winter"),
    ),
    Event(
        "pixel",
        (
            "everything turns to pixels", "the world turns pixelated", "the picture becomes pixel art",
            "it looks like pixel art", "pixel style", "the world is drawn in big pixels", "it turns blocky",
            "everything looks like an old game", "the style changes to pixel art",
        ),
        r"pixel|8 bit|blocky|retro|old game",
        sets(style="pixel"),
    ),
    Event(
        "sketch",
        (
            "everything turns into a pencil sketch", "the world becomes a drawing", "sketch style",
            "it looks drawn in pencil", "the style changes to a sketch", "the picture becomes a pencil drawing",
            "everything is sketched", "the world looks like a sketch",
        ),
        r"sketch|pencil|drawing|drawn",
        sets(style="sketch"),
    ),
    Event(
        "sepia",
        (
            "everything turns to sepia", "it looks like an old photograph", "sepia style",
            "the colours fade to sepia", "the picture becomes an old photograph", "the style changes to sepia",
            "the world turns brown like an old photograph",
        ),
        r"sepia|old photo|faded photo",
        sets(style="sepia"),
    ),
    Event(
        "plain",
        (
            "the look goes back to normal", "plain style", "everything looks normal again", "the style is plain again",
            "the world looks as it did before", "the picture becomes ordinary again", "normal style",
            "the usual look returns",
        ),
        r"(plain|normal|ordinary|usual|natural|realistic)\b.*\b(style|look|again)?|looks? as it did|style (off|back)",
        sets(style=""),
    ),
    Event(
        "fireworks",
        (
            "fireworks go up", "fireworks begin", "fireworks light up the sky", "there are fireworks",
            "rockets burst overhead", "fireworks burst in the sky", "a firework show starts", "fireworks start",
            "fireworks are set off", "coloured rockets go up",
        ),
        r"fire ?works?|rockets?\b",
        shows("fireworks", 14.0, 15.0, 5.5),
    ),
    Event(
        "birds",
        (
            "birds fly over", "a flock of birds flies over", "birds pass overhead", "a flock of birds comes by",
            "birds cross the sky", "a flock passes", "birds circle overhead", "birds come flying",
            "a flock of birds wheels above", "some birds fly past",
        ),
        r"birds?\b|flock|swallows|gulls|crows",
        shows("birds", 18.0, 9.0, 2.2),
    ),
    Event(
        "fish",
        (
            "fish leap from the water", "fish jump out of the water", "a fish leaps", "fish leap",
            "fish come to the surface and jump", "fish jump", "the fish are jumping", "a few fish leap up",
            "fish spring from the water",
        ),
        r"fish",
        fish,
    ),
    Event(
        "fire",
        (
            "a fire breaks out", "a fire starts", "something catches fire", "a fire is lit", "flames shoot up",
            "there is a fire", "a fire flares up", "a fire begins to burn", "a bonfire is lit", "flames rise",
        ),
        r"(bon|camp)?fire\b|flames?\b|blaze|burn",
        shows("fire", math.inf, 3.6, 0.0),
    ),
    Event(
        "break",
        (
            "the urn breaks", "an urn breaks", "the urn shatters", "the urn goes to pieces", "the vase breaks",
            "the pot shatters", "the urn bursts", "the nearest urn breaks", "something breaks the urn",
            "the urn cracks",
        ),
        rf"({_BRITTLE})\b.*\b({_BREAKS})|({_BREAKS})\w* .*\b({_BRITTLE})\b",
        breaks,
    ),
    Event(
        "object",
        (
            "a crate appears", "a ball appears", "an urn appears", "a statue appears", "a plank appears",
            "a new object appears", "a crate turns up", "a ball is put down", "an urn is set down",
            "there is suddenly a crate", "a statue arrives", "a crate pops up",
        ),
        rf"({_NOUNS})\b.*\b({_COMES})|({_COMES})\w*\b.*\b({_NOUNS})\b",
        appears,
    ),
    Event(
        "creature",
        (
            "a creature walks in", "a new creature arrives", "a creature appears", "a newcomer walks in",
            "a creature comes in", "another creature shows up", "a creature joins", "a beast comes in",
        ),
        rf"\w+\b.*\b(walks? in|comes? in|wanders? in|joins|{_COMES})",
        arrives,
    ),
)  # fmt: skip

EVENTS: Mapping[str, Event] = {event.kind: event for event in _LIST}
"""By kind; where words fit several, the first of these is meant."""

_LISTED = {bare(phrase): event.kind for event in _LIST for phrase in event.phrases}
