"""Scenery: what hour, weather and season do to the light and the looks of a scene.

    picture = painter.paint(data, pose, intrinsics, scenery(world))

What sets in does so over `SOFT` seconds, as a function of the state and the tick alone. Light is baked anew for each
quarter of an hour and each weather that is asked for, and kept; between two of them what was baked is mixed, and the
sun of the one goes out before that of the other comes up, so that no shadow jumps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perdure.data.painting.baking import Light
from perdure.data.painting.tables import (
    CLOUDLIGHT,
    CLOUDS,
    COLOUR,
    EXPOSURE,
    FOG,
    GLOW,
    HORIZON,
    SCENE_VALUES,
    SKY_SEED,
    STARS,
    SUN,
    SUNLIGHT,
    ZENITH,
)
from perdure.data.scenes.scene import Sky, Surface, rgb
from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.setting import SOFT, Environment, Onset, Setting, Spectacle
from perdure.world.slots import State

NOON = 12.0
Key = tuple[float, str]
"""What light is baked for: an hour, in quarters, and a weather."""

DEFAULT: Key = NOON, "clear"


@dataclass(frozen=True)
class Scenery:
    environment: Environment = Environment()
    onsets: tuple[tuple[str, Onset], ...] = ()
    spectacles: tuple[Spectacle, ...] = ()
    tick: int = 0

    def at(self, tick: int) -> "Scenery":
        return replace(self, tick=tick)

    @property
    def seconds(self) -> float:
        return self.tick / FRAMES_PER_SECOND

    def held(self, field: str, seconds: float = SOFT) -> list[tuple[str | float, float]]:
        """What a field of the environment holds, and how much."""
        return Setting(self.environment, onsets=self.onsets).held(field, self.tick, seconds)

    def amount(self, field: str, *values: str, seconds: float = SOFT) -> float:
        """How much of these there is."""
        return sum(weight for value, weight in self.held(field, seconds) if value in values)

    def keys(self) -> dict[Key, float]:
        """The lights to be mixed, and how much of each."""
        out: dict[Key, float] = {}
        for hour, much in self.held("hour"):
            for weather, many in self.held("weather"):
                quarter = round(4 * float(hour)) / 4 % 24
                if DAY[0] <= quarter <= DAY[1]:
                    quarter = NOON
                key = quarter, str(weather) if weather in OVERCAST else "clear"
                out[key] = out.get(key, 0.0) + much * many
        return out

    @property
    def dark(self) -> float:
        """0 by day, 1 at night: how much lamps are lit."""
        return sum(weight * sky_at(Sky(), key).dark for key, weight in self.keys().items())


def scenery(world: State, tick: int | None = None) -> Scenery:
    """What is to be seen in a world, now or at another tick."""
    setting = world.setting
    now = world.physics.tick if tick is None else tick
    shown = tuple(s for s in setting.spectacles if s.start <= now and not s.over(now))
    return Scenery(setting.environment, setting.onsets, shown, now)


# The sky at an hour


@dataclass(frozen=True)
class Phase:
    """How the sky is at a time of day, against what the scene says of its noon."""

    zenith: str
    horizon: str
    own: float  # share of the scene's own colours
    sun_colour: str
    sun: float  # strength, against its own
    turn: float  # of the sun about the zenith, radians from its own
    pitch: float
    fill: float
    exposure: float
    dark: float
    stars: float
    cloud: tuple[float, float, float]


NIGHT = Phase("#0b1430", "#26355e", 0.0, "#a9bff0", 0.10, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0, (0.05, 0.06, 0.10))
DAWN = Phase("#6f8fc8", "#ffc9a0", 0.2, "#ffb184", 0.85, -1.3, 0.22, 0.85, 1.0, 0.35, 0.06, (0.95, 0.72, 0.66))
DUSK = Phase("#4d5f9e", "#ff9a5c", 0.1, "#ff8a4a", 0.80, 1.3, 0.17, 0.75, 1.0, 0.65, 0.12, (0.85, 0.52, 0.46))
_DAYS = (
    (0.0, NIGHT),
    (5.0, NIGHT),
    (6.5, DAWN),
    (9.0, None),
    (16.0, None),
    (18.5, DUSK),
    (20.25, NIGHT),
    (24.0, NIGHT),
)
DAY = 9.0, 16.0


@dataclass(frozen=True)
class Overcast:
    """What weather does to the sky."""

    clouds: float  # at least so many
    grey: float  # share of the sky's colour
    light: float  # of that grey, against the sky's own
    sun: float  # what is left of it
    fog: float  # a metre, more


OVERCAST = {
    "clear": Overcast(0.0, 0.0, 1.0, 1.0, 0.0),
    "rain": Overcast(0.9, 0.9, 0.62, 0.10, 0.016),
    "storm": Overcast(1.0, 0.95, 0.34, 0.03, 0.024),
    "snow": Overcast(0.6, 0.9, 0.95, 0.22, 0.018),
    "fog": Overcast(0.0, 0.97, 0.9, 0.12, 0.085),
}


@dataclass(frozen=True)
class Air:
    """The sky at an hour and in a weather, in linear light."""

    values: NDArray[np.float64]  # (SCENE_VALUES,) complete but for what baking adds
    fill: float
    ground: NDArray[np.float64]
    dark: float


def sky_at(sky: Sky, key: Key, indoor: bool = False) -> Air:
    """The scene's sky, at an hour and in a weather. At noon of a clear day, its very own."""
    hour, weather = key
    values = np.zeros(SCENE_VALUES)
    values[FOG], values[EXPOSURE], values[CLOUDS], values[SKY_SEED] = sky.fog, sky.exposure, sky.clouds, sky.seed
    values[CLOUDLIGHT : CLOUDLIGHT + 3] = 1.0
    values[SUN : SUN + 3] = sky.sun()
    values[SUNLIGHT : SUNLIGHT + 3] = rgb(sky.sun_colour) * sky.sun_strength
    values[ZENITH : ZENITH + 3], values[HORIZON : HORIZON + 3] = rgb(sky.zenith), rgb(sky.horizon)
    if key == DEFAULT:
        return Air(values, sky.fill, rgb(sky.ground), 0.0)
    fill, ground, dark = sky.fill, rgb(sky.ground), 0.0
    for (start, before), (end, after) in pairwise(_DAYS):
        if start <= hour <= end:
            share = (hour - start) / (end - start)
            sides = [(before, 1.0 - share), (after, share)]
            break
    else:
        raise ValueError(f"expected an hour of the day from 0 up to 24, got {hour}")
    parts = [(_phase(sky, values, phase), weight) for phase, weight in sides]
    main = max(parts, key=lambda part: part[1])
    mixed = np.sum([weight * part.values for part, weight in parts], axis=0)
    night = [phase is NIGHT for phase, _ in sides]
    mixed[SUN : SUN + 3] = main[0].values[SUN : SUN + 3]
    if night[0] != night[1]:  # the sun and the moon are not one: the one goes out, then the other comes
        mixed[SUNLIGHT : SUNLIGHT + 3] = main[0].values[SUNLIGHT : SUNLIGHT + 3] * (2.0 * main[1] - 1.0)
    elif main[1] < 1.0:  # the same sun goes on its way
        way = np.sum([weight * part.values[SUN : SUN + 3] for part, weight in parts], axis=0)
        mixed[SUN : SUN + 3] = way / np.linalg.norm(way)
    fill = sum(weight * part.fill for part, weight in parts)
    ground = np.sum([weight * part.ground for part, weight in parts], axis=0)
    dark = sum(weight * part.dark for part, weight in parts)

    over = OVERCAST[weather]
    light = 0.5 * (mixed[ZENITH : ZENITH + 3] + mixed[HORIZON : HORIZON + 3]) @ [0.25, 0.6, 0.15]
    grey = over.light * light * np.array([0.94, 0.99, 1.06])
    for place, much in ((ZENITH, 0.85), (HORIZON, 1.0)):
        mixed[place : place + 3] += over.grey * (much * grey - mixed[place : place + 3])
    if weather != "clear":
        mixed[CLOUDLIGHT : CLOUDLIGHT + 3] *= 0.75 * over.light
    mixed[SUNLIGHT : SUNLIGHT + 3] *= over.sun
    mixed[STARS] *= 1.0 - over.grey
    mixed[CLOUDS] = max(mixed[CLOUDS], over.clouds) if weather != "fog" else 0.0
    mixed[FOG] += over.fog * (0.12 if indoor else 1.0)
    dark = max(dark, 0.3 * over.grey if weather in ("storm", "fog") else 0.0)
    return Air(mixed, float(fill), ground, float(dark))


def _phase(sky: Sky, own: NDArray[np.float64], phase: Phase | None) -> Air:
    if phase is None:
        return Air(own, sky.fill, rgb(sky.ground), 0.0)
    values = own.copy()
    for place, colour in ((ZENITH, phase.zenith), (HORIZON, phase.horizon)):
        values[place : place + 3] = phase.own * own[place : place + 3] + (1.0 - phase.own) * rgb(colour)
    values[SUN : SUN + 3] = replace(sky, sun_yaw=sky.sun_yaw + phase.turn, sun_pitch=phase.pitch).sun()
    values[SUNLIGHT : SUNLIGHT + 3] = rgb(phase.sun_colour) * phase.sun * sky.sun_strength
    values[EXPOSURE] *= phase.exposure
    values[STARS] = phase.stars
    values[CLOUDLIGHT : CLOUDLIGHT + 3] = phase.cloud
    tint = values[HORIZON : HORIZON + 3] / np.maximum(own[HORIZON : HORIZON + 3], 1e-3)
    return Air(values, sky.fill * phase.fill, rgb(sky.ground) * np.minimum(tint, 1.0), phase.dark)


# How surfaces look

_FOLIAGE = {  # by season: what the first and the second colour of leaves and of grass are drawn to, and how much
    "spring": (("#7fc24a", "#d9e88a", 0.55), ("#7fbf3f", "#a8d858", 0.5)),
    "summer": (("#3f7f2c", "#7fa63a", 0.45), ("#7f9a38", "#b3ab4e", 0.4)),
    "autumn": (("#b5521f", "#e2a02c", 0.9), ("#a08a3a", "#c7a24a", 0.75)),
    "winter": (("#6f6a58", "#8f8a78", 0.7), ("#8f8a62", "#a8a07c", 0.7)),
}


def surface_table(looks: Sequence[Surface], base: NDArray[np.float64], dark: float, seasons: Iterable) -> NDArray:
    """(S, 14) how surfaces are in the dark and in a season, from how they are by day and in none."""
    table = base.copy()
    for season, weight in seasons:
        if season not in _FOLIAGE:
            continue
        for row, look in enumerate(looks):
            if look.texture not in ("leaf", "grass", "moss"):
                continue
            first, second, much = _FOLIAGE[season][0 if look.texture == "leaf" else 1]
            at = COLOUR + (3 if look.texture == "moss" else 0)  # of moss, the stone below stays
            table[row, at : at + 3] += weight * much * (rgb(first) - base[row, at : at + 3])
            if look.texture != "moss":
                table[row, COLOUR + 3 : COLOUR + 6] += (
                    weight * much * (rgb(second) - base[row, COLOUR + 3 : COLOUR + 6])
                )
            if look.texture == "leaf":
                table[row, COLOUR + 6 : COLOUR + 9] += (
                    weight * much * 0.6 * (0.45 * rgb(first) - base[row, COLOUR + 6 : COLOUR + 9])
                )
    if dark > 0:
        for row, look in enumerate(looks):
            if look.lit:
                lit = rgb(look.lit)
                for k in range(3):
                    at = COLOUR + 3 * k
                    table[row, at : at + 3] += dark * (lit - table[row, at : at + 3])
                table[row, GLOW] += dark * (1.3 - table[row, GLOW])
            elif look.texture == "window":
                # What glows by day lets the daylight in; what does not is lit from within when it is dark.
                table[row, GLOW] += dark * ((0.05 if look.glow else 0.8) - table[row, GLOW])
    return table


def mixed(lights: Sequence[tuple[Light, Key, float]]) -> Light:
    """Between lights, by their weights. Lamps that some do not have are out there."""
    most = max(lights, key=lambda it: it[0].volume.shape[3])[0]
    channels = most.volume.shape[3]
    hours: dict[float, float] = {}
    for _, (hour, _), weight in lights:
        hours[hour] = hours.get(hour, 0.0) + weight
    main = max(hours, key=lambda hour: hours[hour])
    first = max((it for it in lights if it[1][0] == main), key=lambda it: it[2])[0]
    scene = first.scene.copy()
    volume = np.zeros_like(most.volume)
    lamps = most.lamps.copy()
    lamps[:, 3:6] = 0.0
    for place in (slice(ZENITH, ZENITH + 6), slice(FOG, CLOUDS + 1), slice(CLOUDLIGHT, STARS + 1)):
        scene[place] = np.sum([weight * light.scene[place] for light, _, weight in lights], axis=0)
    # Only the sun of the main hour shines, with its shadows; it is out when another takes over.
    shining = [(light, weight) for light, (hour, _), weight in lights if hour == main]
    fade = max(2.0 * hours[main] - 1.0, 0.0) / hours[main] if len(hours) > 1 else 1.0
    suns = [fade * weight * light.scene[SUNLIGHT : SUNLIGHT + 3] for light, weight in shining]
    scene[SUNLIGHT : SUNLIGHT + 3] = np.sum(suns, axis=0)
    for light, _, weight in lights:
        count = light.volume.shape[3]
        volume[..., :count] += np.float32(weight) * light.volume
        if count < channels:
            volume[..., count:] += np.float32(weight) * most.volume[..., count:]
        lamps[: len(light.lamps), 3:6] += weight * light.lamps[:, 3:6]
    return Light(scene, lamps, volume, first.shadow, first.spans, first.encode)
