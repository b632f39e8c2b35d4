"""Fits the light in which a state shows what it keeps to what the playground's painter makes of the same places.

    python benchmarks/light.py        # three minutes, on one core

Views of every kind of scene are painted at clear noon and in other hours and weathers. Prints the table that
`perdure/memory/light.py` holds, and how far off noon's picture and the lit one are from what was painted, in bytes.

Shapes: N pixels; colours are linear light, red, green and blue.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from perdure.camera import look, rays
from perdure.data.founding import found
from perdure.data.painting.painter import SKY
from perdure.data.painting.scenery import Scenery
from perdure.data.scenes import KINDS, build
from perdure.memory import light
from perdure.presets.nano import nano
from perdure.world.setting import Environment

Array = NDArray[np.float64]

SEEDS = 1001, 1002  # of scenes that models learn from, never of those that they are measured in
TURNS = 4
EVERY = 3  # pixels, each way
FEW, MOST = 400, 3000  # pixels of a light: with fewer it is left out, and more say no more
LIGHTS = [
    *(Environment(hour=hour) for hour in (5.5, 6.5, 7.75, 17.25, 18.5, 19.5, 22.0)),
    *(Environment(hour=hour, weather=weather) for hour in (12.0, 6.5, 18.5, 22.0) for weather in light.WEATHERS),
]
HOURS = {"NIGHT": light.NIGHT, "DAWN": light.DAWN, "DUSK": light.DUSK, "NOON": light.NOON}


class Group(NamedTuple):
    """Pixels of one light: surfaces in the open or under roofs, or the sky."""

    there: Environment
    housed: bool
    sky: bool
    noon: Array  # (N, 3)
    painted: Array  # (N, 3) bytes
    left: Array  # (N, 1) of what lies behind the fog


def linear(rgb: NDArray[np.uint8]) -> Array:
    return light._LINEAR[rgb].astype(np.float64)  # pyright: ignore[reportPrivateUsage]


def encoded(x: Array) -> Array:
    x = np.clip(x, 1e-9, 1.0)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def hours_of(hour: float) -> dict[str, float]:
    names = {id(held): name for name, held in HOURS.items()}
    for (start, before), (end, after) in zip(light.DAY, light.DAY[1:]):
        if start <= hour < end:
            share = (hour - start) / (end - start)
            mixed = {names[id(before)]: 1.0 - share}
            mixed[names[id(after)]] = mixed.get(names[id(after)], 0.0) + share
            return mixed
    raise ValueError(f"expected an hour from 0 up to 24, got {hour}")


def weather_of(there: Environment) -> light.Weather:
    return light.WEATHERS.get(there.weather, light.CLEAR)


def painted() -> list[Group]:
    parts: dict[tuple[Environment, bool, bool], list[tuple[Array, Array, Array]]] = {}
    for kind in KINDS:
        for seed in SEEDS:
            world, painter = found(build(kind, seed), nano(), seed=seed)
            lens, data = world.motion.intrinsics, world.physics.posed()[1]
            housed, eye = world.physics.mechanism.compiled.housed, world.motion.cameras[-1, :3, 3]
            ways = rays(lens)
            for turn in range(TURNS):
                pose = look(eye, turn * np.pi / 2 + 0.3, -0.05)
                noon = painter.paint(data, pose, lens)
                pick = np.zeros(noon.depth.shape, np.bool_)
                pick[::EVERY, ::EVERY] = True
                bare = pick & (noon.entity != SKY)
                lain = np.zeros(noon.depth.shape)
                for i, j in np.argwhere(bare):
                    lain[i, j] = light._lain(noon.depth, ways, pose[2, :3].copy(), i, j)  # pyright: ignore[reportPrivateUsage]
                for there in LIGHTS:
                    rgb = painter.paint(data, pose, lens, Scenery(there, tick=1000)).rgb
                    fog = weather_of(there).fog * (light.STILL if housed else 1.0)
                    left = np.exp(-fog * noon.depth * np.linalg.norm(ways, axis=-1))
                    for sky in (False, True):
                        some = pick & (noon.entity == SKY) if sky else bare & ((there.weather != "snow") | (lain == 0))
                        part = linear(noon.rgb[some]), rgb[some].astype(np.float64), left[some][:, None]
                        parts.setdefault((there, housed, sky), []).append(part)
        print(f"painted {kind}", flush=True)
    groups, random = [], np.random.default_rng(0)
    for key, these in parts.items():
        together = [np.concatenate(each) for each in zip(*these)]
        count = len(together[0])
        if count >= FEW:
            some = random.choice(count, min(count, MOST), replace=False)
            groups.append(Group(*key, *(each[some] for each in together)))
    return groups


def layout() -> tuple[dict[tuple[str, str], slice], Array]:
    """Where each number of the table is among all that are fitted, and those to begin with."""
    places: dict[tuple[str, str], slice] = {}
    start: list[float] = []
    rows = [(name, part, getattr(held, part)) for name, held in HOURS.items() if name != "NOON"
            for part in ("open", "housed", "air", "sky", "glow")]  # fmt: skip
    rows.append(("NOON", "air", light.NOON.air))
    rows += [(name, part, getattr(held, part)) for name, held in light.WEATHERS.items()
             for part in ("open", "housed", "air", "veil")]  # fmt: skip
    for name, part, held in rows:
        numbers = np.clip(np.atleast_1d(held), 1e-3, 1.5)
        places[name, part] = slice(len(start), len(start) + len(numbers))
        start.extend(numbers)
    return places, np.array(start)


def shown(group: Group, of: Callable[[str, str], Array]) -> Array:
    """(N, 3) bytes of a group's pixels in a light, whose numbers `of` gives by hour or weather and by part."""

    def hour(part: str) -> Array:
        return np.sum([much * of(name, part) for name, much in hours_of(group.there.hour).items()], axis=0)

    air = hour("air") * of(group.there.weather, "air")
    if group.sky:
        veil = of(group.there.weather, "veil")
        return encoded((hour("sky") * group.noon + hour("glow")) * (1.0 - veil) + air * veil)
    part = "housed" if group.housed else "open"
    return encoded(group.noon * hour(part) * of(group.there.weather, part) * group.left + air * (1.0 - group.left))


def main() -> None:
    groups, (places, start) = painted(), layout()

    def numbers(x: Array) -> Callable[[str, str], Array]:
        def of(name: str, part: str) -> Array:
            if (name, part) in places:
                return x[places[name, part]]
            return np.atleast_1d(getattr(HOURS.get(name, light.CLEAR), part))

        return of

    def off(x: Array) -> Array:
        return np.concatenate([(shown(group, numbers(x)) - group.painted).ravel() for group in groups])

    x = least_squares(off, start, loss="soft_l1", f_scale=15, bounds=(0, 1.6), max_nfev=60).x
    for (name, part), place in places.items():
        print(f"{name:6} {part:7}", *(f"{number:.3f}" for number in x[place]))
    for group in groups:
        made = encoded(group.noon), shown(group, numbers(x))
        before, after = (float(np.sqrt(np.mean((each - group.painted) ** 2))) for each in made)
        what = "sky" if group.sky else "indoors" if group.housed else "open"
        print(f"{group.there.hour:5} h {group.there.weather:6} {what:8} noon's {before:6.1f}   lit {after:6.1f}")


if __name__ == "__main__":
    main()
