"""Light: what the hour and the weather do to what a state keeps.

A state keeps looks as they are at clear noon, and its view shows them in the light that is: so a wall that was first
seen at night is not dark by day, and fog hides what is far at once, before any model has drawn a frame of it. What is
drawn in another light is put back to noon's before it is kept (`unlit`), but for what cannot be: far off in
fog, under snow, in too little light, in a style that takes the colours away.

The light is told by a few numbers for each hour and weather, fitted to what the playground's painter does to places
out of doors and indoors (`benchmarks/light.py`): how much of each colour is left, how dense the air is and how bright.
It knows neither lamps nor shadows. Those are for a model to draw.

Shapes: T frames, H height, W width. Colours are linear light, red, green and blue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, rays
from perdure.data.painting.scenery import scenery
from perdure.data.painting.weather import whiteness
from perdure.memory.styles import styled
from perdure.memory.view import View
from perdure.world.setting import STYLES, Setting
from perdure.world.slots import State

F32 = NDArray[np.float32]
Rgb = tuple[float, float, float]

ABOVE = 0.7 * FAR  # what is farther is the sky
LYING = 1.08, 1.03, 0.96  # how bright snow is that lies, where the air is 1
THICK = 0.9  # of what lies under it, snow hides
FINE = 4.0  # bytes of noon that one byte of what is drawn may stand for, if noon is to be known of it
DARK = 80  # bytes; what is darker than this counts as if it were not
VEILED = 0.5  # share of a sky behind clouds from which what it was is not known


@dataclass(frozen=True)
class Hour:
    """Against noon: what is left of colours in the open and under a roof, and the sky's."""

    open: Rgb
    housed: Rgb
    air: Rgb
    sky: Rgb
    glow: Rgb  # what the sky has besides


@dataclass(frozen=True)
class Weather:
    """Against a clear sky, in the same way."""

    open: Rgb
    housed: Rgb
    air: float
    veil: float  # share of the sky that is as the air
    fog: float  # a metre


NOON = Hour((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.785, 0.806, 0.836), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
DAWN = Hour((0.562, 0.38, 0.395), (0.963, 0.902, 0.811), (0.741, 0.745, 0.77),
             (0.781, 0.952, 0.679), (0.244, 0.0, 0.154))  # fmt: skip
DUSK = Hour((0.533, 0.202, 0.135), (0.929, 0.804, 0.63), (0.532, 0.528, 0.548),
             (0.886, 0.658, 0.563), (0.187, 0.0, 0.0))  # fmt: skip
NIGHT = Hour((0.139, 0.095, 0.148), (0.883, 0.785, 0.601), (0.015, 0.015, 0.004),
             (0.014, 0.028, 0.12), (0.0, 0.0, 0.013))  # fmt: skip
DAY = ((0.0, NIGHT), (5.0, NIGHT), (6.5, DAWN), (9.0, NOON), (16.0, NOON), (18.5, DUSK), (20.25, NIGHT), (24.0, NIGHT))
"""From hour to hour; between two it is between their lights."""

CLEAR = Weather((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 1.0, 0.0, 0.0)
WEATHERS = {
    "rain": Weather((0.317, 0.263, 0.291), (0.937, 0.915, 0.862), 0.526, 0.813, 0.016),
    "storm": Weather((0.19, 0.136, 0.143), (0.914, 0.877, 0.779), 0.276, 0.913, 0.024),
    "snow": Weather((0.567, 0.417, 0.401), (0.963, 0.966, 0.964), 0.741, 0.759, 0.018),
    "fog": Weather((0.467, 0.421, 0.537), (0.957, 0.962, 0.981), 0.713, 0.879, 0.085),
}
STILL = 0.12  # of the fog out of doors that there is indoors

_BYTES = np.arange(256) / 255.0
_LINEAR = np.where(_BYTES <= 0.04045, _BYTES / 12.92, ((_BYTES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = np.linspace(0.0, 1.0, 4096)
_ENCODED = np.rint(255 * np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055))
_ENCODED = _ENCODED.astype(np.uint8)


def encoded(light: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Bytes of linear light."""
    return _ENCODED[(np.clip(light, 0.0, 1.0) * (len(_ENCODED) - 1) + 0.5).astype(np.int64)]


@dataclass(frozen=True, eq=False)
class Light:
    gain: F32  # (3,) what is left of colours
    air: F32  # (3,)
    sky: F32  # (3,) what is left of the sky's
    glow: F32  # (3,)
    veil: float
    fog: float  # a metre
    snow: float  # how much of it lies
    styles: tuple[tuple[str, float], ...]


def light(world: State) -> Light | None:
    """The light at a world's last frame; None where it is that of clear noon."""
    setting, tick = world.setting, world.physics.tick
    if not setting.features(tick).any():
        return None
    housed = world.physics.mechanism.compiled.housed
    gain, air, sky, glow = np.zeros((4, 3))
    veil = fog = 0.0
    for hour, weather, much in _lights(setting, tick):
        colours = np.multiply(hour.housed, weather.housed) if housed else np.multiply(hour.open, weather.open)
        gain, air = gain + much * colours, air + much * weather.air * np.array(hour.air)
        sky, glow = sky + much * np.array(hour.sky), glow + much * np.array(hour.glow)
        veil, fog = veil + much * weather.veil, fog + much * weather.fog * (STILL if housed else 1.0)
    snow = 0.0 if housed else whiteness(scenery(world))
    styles = tuple((str(name), much) for name, much in setting.held("style", tick) if name in STYLES[1:])
    gain, air, sky, glow = (x.astype(np.float32) for x in (gain, air, sky, glow))
    return Light(gain, air, sky, glow, veil, fog, snow, styles)


def _lights(setting: Setting, tick: float) -> Iterator[tuple[Hour, Weather, float]]:
    """What the light is made of, and how much of each."""
    for hour, much in setting.held("hour", tick):
        for (start, before), (end, after) in pairwise(DAY):
            share = (float(hour) % 24 - start) / (end - start)
            if 0.0 <= share < 1.0:
                for weather, many in setting.held("weather", tick):
                    told = WEATHERS.get(str(weather), CLEAR)
                    yield before, told, much * many * (1.0 - share)
                    yield after, told, much * many * share


def lit(view: View, light: Light, cameras: Array, intrinsics: Intrinsics) -> None:
    """Show a view, which is of clear noon, in this light; in place."""
    rays_HW3 = rays(intrinsics)
    for t, camera in enumerate(cameras):
        white = _white(view.depth[t], rays_HW3, camera, light) * ~view.mover[t]  # nobody stands still for so long
        _shine(view.rgb[t], view.depth[t], white, rays_HW3, light.gain, light.air, light.sky, light.glow, light.veil,
               light.fog, _LINEAR, _ENCODED)  # fmt: skip


def drawn(view: View, light: Light) -> None:
    """Show a view in the style of this light; in place."""
    for t in range(len(view.rgb) if light.styles else 0):
        depth = np.where(view.depth[t] > 0, view.depth[t], np.float32(FAR))
        styled(light.styles, view.rgb[t], depth, view.mover[t].astype(np.uint8))


def unlit(
    rgb_HW3: NDArray[np.uint8], depth_HW: F32, light: Light, camera: Array, intrinsics: Intrinsics
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A frame as it would be at clear noon, and where that can be said."""
    if light.styles:
        return rgb_HW3, np.zeros(depth_HW.shape, np.bool_)
    rgb, known, rays_HW3 = rgb_HW3.copy(), np.zeros(depth_HW.shape, np.bool_), rays(intrinsics)
    depth = depth_HW.astype(np.float32)
    bare = _white(depth, rays_HW3, camera, light) < 0.05
    _plain(rgb, known, depth, bare, rays_HW3, light.gain, light.air, light.sky, light.glow, light.veil, light.fog,
           _LINEAR, _ENCODED)  # fmt: skip
    return rgb, known


def _white(depth_HW: F32, rays_HW3: Array, camera: Array, light: Light) -> F32:
    """(H, W) how much of what is seen snow hides, evened out over a pixel's neighbours: depth has seams."""
    if not light.snow:
        return np.zeros(depth_HW.shape, np.float32)
    white = np.zeros(depth_HW.shape, np.float32)
    _lie(depth_HW, rays_HW3, camera[2, :3].copy(), white)
    padded = np.pad(white, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (light.snow * THICK / 9 * (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])).astype(np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def _lain(depth_HW, rays_HW3, up_3, i, j):
    """How far a surface faces the sky, as snow lies on it: from 0 to 1."""
    height, width = depth_HW.shape
    here = depth_HW[i, j]
    a, b = 0, 0  # the nearer neighbour each way: across an edge there is no surface
    best = 0.03 * here
    for k in (-1, 1):
        if 0 <= j + k < width and depth_HW[i, j + k] > 0.0 and abs(depth_HW[i, j + k] - here) < best:
            a, best = k, abs(depth_HW[i, j + k] - here)
    best = 0.25 * here  # ground rises quickly to the horizon
    for k in (-1, 1):
        if 0 <= i + k < height and depth_HW[i + k, j] > 0.0 and abs(depth_HW[i + k, j] - here) < best:
            b, best = k, abs(depth_HW[i + k, j] - here)
    if a == 0 or b == 0:
        return 0.0
    far, low = depth_HW[i, j + a], depth_HW[i + b, j]
    sx = (rays_HW3[i, j + a, 0] * far - rays_HW3[i, j, 0] * here) * a
    sy = (rays_HW3[i, j + a, 1] * far - rays_HW3[i, j, 1] * here) * a
    sz = (far - here) * a
    tx = (rays_HW3[i + b, j, 0] * low - rays_HW3[i, j, 0] * here) * b
    ty = (rays_HW3[i + b, j, 1] * low - rays_HW3[i, j, 1] * here) * b
    tz = (low - here) * b
    nx, ny, nz = sy * tz - sz * ty, sz * tx - sx * tz, sx * ty - sy * tx
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    if length <= 0.0:
        return 0.0
    toward = nx * rays_HW3[i, j, 0] + ny * rays_HW3[i, j, 1] + nz  # a surface that is seen faces the eye
    flat = (nx * up_3[0] + ny * up_3[1] + nz * up_3[2]) / (length if toward < 0.0 else -length)
    share = min(max((flat - 0.4) / 0.4, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)


@njit(nogil=True, cache=True, error_model="numpy")
def _lie(depth_HW, rays_HW3, up_3, white_HW):
    for i in range(depth_HW.shape[0]):
        for j in range(depth_HW.shape[1]):
            if 0.0 < depth_HW[i, j] < ABOVE:
                white_HW[i, j] = _lain(depth_HW, rays_HW3, up_3, i, j)


@njit(nogil=True, cache=True, error_model="numpy")
def _shine(rgb_HW3, depth_HW, white_HW, rays_HW3, gain, air, sky, glow, veil, fog, linear, encoded):
    height, width = depth_HW.shape
    top = encoded.shape[0] - 1
    for i in range(height):
        for j in range(width):
            z = depth_HW[i, j]
            if z <= 0.0:
                continue
            x, y = rays_HW3[i, j, 0], rays_HW3[i, j, 1]
            left = np.exp(-fog * z * np.sqrt(1.0 + x * x + y * y))
            for c in range(3):
                value = linear[rgb_HW3[i, j, c]]
                if z >= ABOVE:
                    value = (value * sky[c] + glow[c]) * (1.0 - veil) + air[c] * veil
                else:
                    value = value * gain[c] + white_HW[i, j] * (LYING[c] * air[c] - value * gain[c])
                    value = value * left + air[c] * (1.0 - left)
                rgb_HW3[i, j, c] = encoded[int(min(value, 1.0) * top + 0.5)]


@njit(nogil=True, cache=True, error_model="numpy")
def _plain(rgb_HW3, known_HW, depth_HW, bare_HW, rays_HW3, gain, air, sky, glow, veil, fog, linear, encoded):
    height, width = depth_HW.shape
    top = encoded.shape[0] - 1
    plain = np.zeros(3, np.uint8)
    for i in range(height):
        for j in range(width):
            z = depth_HW[i, j]
            if z <= 0.0 or not bare_HW[i, j] or (z >= ABOVE and veil >= VEILED):
                continue
            x, y = rays_HW3[i, j, 0], rays_HW3[i, j, 1]
            left = np.exp(-fog * z * np.sqrt(1.0 + x * x + y * y))
            sure = True
            for c in range(3):
                drawn = rgb_HW3[i, j, c]
                if z >= ABOVE:
                    share = sky[c] * (1.0 - veil)
                    rest = glow[c] * (1.0 - veil) + air[c] * veil
                else:
                    share, rest = gain[c] * left, air[c] * (1.0 - left)
                value = (linear[drawn] - rest) / max(share, 1e-6)
                step = linear[min(drawn + 1, 255)] - linear[max(drawn - 1, 0)]
                # What is brighter than it can be, a lamp or a spark, is not of this light at all.
                if (value + step / max(share, 1e-6) < 0.0) or (value - step / max(share, 1e-6) > 1.0):
                    sure = False
                    break
                plain[c] = encoded[int(min(max(value, 0.0), 1.0) * top + 0.5)]
                at = min(max(plain[c], DARK), 254)
                if step > FINE * share * (linear[at + 1] - linear[at - 1]):
                    sure = False
                    break
            if sure:
                known_HW[i, j] = True
                rgb_HW3[i, j] = plain
