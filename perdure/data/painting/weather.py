"""Weather in the air, and the style of a picture: what is done to a picture after it was painted.

Drops and flakes are points of the world, wrapped into a box about the eye, each a function of its number and the
time: so they stand still where the eye moves, and the same tick always shows the same ones. None falls under a roof.

Shapes: H height, W width, X Y columns of the roofs.
"""

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.data.painting.baking import COLUMN, Light
from perdure.data.painting.grain import hashed
from perdure.data.painting.kernels import kernel, kernel_that_allocates
from perdure.data.painting.scenery import Scenery
from perdure.data.painting.tables import EXPOSURE

SETTLED = 6.0
"""Seconds until snow lies, and until the ground is wet."""

DROPS, FLAKES = 1300, 2600
BOX = 14.0  # metres across in which they are
RAIN_SPEED, SNOW_SPEED = 8.5, 1.1  # metres a second


def wetness(scenery: Scenery) -> float:
    return scenery.amount("weather", "rain", "storm", seconds=SETTLED)


def whiteness(scenery: Scenery) -> float:
    """How much snow lies: all of it where it falls, some in any winter."""
    falls = scenery.amount("weather", "snow", seconds=SETTLED)
    return max(falls, 0.55 * scenery.amount("season", "winter", seconds=SETTLED))


def with_flash(light: Light, scenery: Scenery) -> Light:
    """Lit by lightning, now and then in a storm: two flickers, a third of a second in all."""
    storm = scenery.amount("weather", "storm")
    if storm == 0.0:
        return light
    beat, at = divmod(scenery.tick, 48)
    first = int(hashed(beat, 3, 91) * 40)
    strength = {0: 1.0, 1: 0.5, 3: 0.8, 4: 0.4, 5: 0.2}.get(at - first, 0.0)
    if hashed(beat, 1, 90) > 0.6 or strength == 0.0:
        return light
    scene = light.scene.copy()
    scene[EXPOSURE] *= 1.0 + 1.8 * storm * strength
    return light._replace(scene=scene)


def fall(
    scenery: Scenery,
    roofs: tuple[NDArray[np.float32], NDArray[np.float64], bool],
    pose: NDArray[np.float64],
    intrinsics: Intrinsics,
    depth: NDArray[np.float32],
    colour: NDArray[np.uint8],
) -> None:
    """Rain and snow on their way down, drawn into the picture."""
    rain, storm, snow = (scenery.amount("weather", weather) for weather in ("rain", "storm", "snow"))
    if rain == storm == snow == 0.0:
        return
    roof, corner, indoor = roofs
    if indoor and _within(roof, corner, pose):
        return
    lens = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    light = float(np.percentile(colour[::4, ::4].max(-1), 90)) / 255.0
    if rain + storm > 0.0:
        count = int(DROPS * (min(rain, 1.0) + 1.7 * storm))
        shine = 0.35 + 0.55 * light
        _rain(count, scenery.seconds, 1.2 + 2.2 * storm, roof, corner, COLUMN, pose, *lens, depth, colour, shine)
    if snow > 0.0:
        white = 0.22 + 0.78 * light
        _snow(int(FLAKES * snow), scenery.seconds, roof, corner, COLUMN, pose, *lens, depth, colour, white)


def _within(roof: NDArray[np.float32], corner: NDArray[np.float64], pose: NDArray[np.float64]) -> bool:
    i, j = ((pose[:2, 3] - corner) / COLUMN).astype(int)
    return 0 <= i < roof.shape[0] and 0 <= j < roof.shape[1]


@kernel
def _open(roof, corner, cell, x, y, z):
    i, j = int(np.floor((x - corner[0]) / cell + 0.5)), int(np.floor((y - corner[1]) / cell + 0.5))
    return not (0 <= i < roof.shape[0] and 0 <= j < roof.shape[1]) or z > roof[i, j]


@kernel
def _dab(colour, depth, x, y, z, radius, share, r, g, b):
    """A soft disc over what is farther."""
    height, width = depth.shape
    reach = radius + 0.7
    for i in range(max(int(y - reach), 0), min(int(y + reach) + 1, height)):
        for j in range(max(int(x - reach), 0), min(int(x + reach) + 1, width)):
            if depth[i, j] < z:
                continue
            dx, dy = j + 0.5 - x, i + 0.5 - y
            cover = min(max(radius + 0.5 - np.sqrt(dx * dx + dy * dy), 0.0), 1.0) * share
            if cover > 0.0:
                colour[i, j, 0] = int(colour[i, j, 0] + (r - colour[i, j, 0]) * cover + 0.5)
                colour[i, j, 1] = int(colour[i, j, 1] + (g - colour[i, j, 1]) * cover + 0.5)
                colour[i, j, 2] = int(colour[i, j, 2] + (b - colour[i, j, 2]) * cover + 0.5)


@kernel
def _wrapped(at, eye):
    """The copy of a coordinate that is nearest to the eye's."""
    return at + BOX * np.floor((eye - at) / BOX + 0.5)


@kernel
def _snow(count, seconds, roof, corner, cell, pose, fx, fy, cx, cy, depth, colour, white):
    for n in range(count):
        speed = SNOW_SPEED * (0.7 + 0.6 * hashed(n, 4, 51))
        sway = 6.2832 * hashed(n, 5, 51)
        x = BOX * hashed(n, 1, 51) + 0.35 * np.sin(0.9 * seconds + sway) + 0.25 * seconds
        y = BOX * hashed(n, 2, 51) + 0.35 * np.cos(0.7 * seconds + sway)
        z = BOX * hashed(n, 3, 51) - speed * seconds
        x, y, z = _wrapped(x, pose[0, 3]), _wrapped(y, pose[1, 3]), _wrapped(z, pose[2, 3])
        dx, dy, dz = x - pose[0, 3], y - pose[1, 3], z - pose[2, 3]
        far = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        if far < 0.5:
            continue
        u = (pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz) / far * fx + cx
        v = (pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz) / far * fy + cy
        if u < -6.0 or v < -6.0 or u > depth.shape[1] + 6.0 or v > depth.shape[0] + 6.0:
            continue
        if not _open(roof, corner, cell, x, y, z):
            continue
        size = (0.012 + 0.012 * hashed(n, 6, 51)) * fx / far
        share = min(size / 0.55, 1.0) * 0.9 * min(2.0 * (far - 0.5), 1.0)
        tint = 255.0 * white
        _dab(colour, depth, u, v, far, max(size, 0.55), share, tint * 0.97, tint * 0.985, min(tint * 1.02, 255.0))


@kernel
def _rain(count, seconds, wind, roof, corner, cell, pose, fx, fy, cx, cy, depth, colour, shine):
    height, width = depth.shape
    for n in range(count):
        speed = RAIN_SPEED * (0.85 + 0.3 * hashed(n, 4, 61))
        x = BOX * hashed(n, 1, 61) + wind * seconds
        y = BOX * hashed(n, 2, 61) + 0.3 * wind * seconds
        z = BOX * hashed(n, 3, 61) - speed * seconds
        x, y, z = _wrapped(x, pose[0, 3]), _wrapped(y, pose[1, 3]), _wrapped(z, pose[2, 3])
        if not _open(roof, corner, cell, x, y, z):
            continue
        # A streak is where the drop was in the last fortieth of a second.
        time = 0.026
        ends = 0
        u0, v0, far = 0.0, 0.0, 0.0
        u1, v1 = 0.0, 0.0
        for end in range(2):
            back = time * end
            dx, dy, dz = x - wind * back - pose[0, 3], y - 0.3 * wind * back - pose[1, 3], z + speed * back - pose[2, 3]
            w = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
            if w < 0.6:
                continue
            u = (pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz) / w * fx + cx
            v = (pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz) / w * fy + cy
            ends += 1
            if end == 0:
                u0, v0, far = u, v, w
            else:
                u1, v1 = u, v
        if ends < 2:
            continue
        # Along the longer axis, a pixel at a time, as wide as the drop is near.
        long = max(abs(u1 - u0), abs(v1 - v0))
        steps = int(long) + 1
        if max(u0, u1) < 0.0 or max(v0, v1) < 0.0 or min(u0, u1) > width or min(v0, v1) > height or steps > 200:
            continue
        share = min(0.0045 * fx / far, 0.85) * min(1.5 * (far - 0.6), 1.0) * 0.8
        tint = 255.0 * shine
        for s in range(steps):
            at = (s + 0.5) / steps
            px, py = u0 + (u1 - u0) * at, v0 + (v1 - v0) * at
            i = int(np.floor(py))
            left = px - 0.5
            j = int(np.floor(left))
            part = left - j
            for side in range(2):
                c = j + side
                if i < 0 or i >= height or c < 0 or c >= width or depth[i, c] < far:
                    continue
                cover = share * (part if side else 1.0 - part) * (1.0 - 0.6 * at)
                colour[i, c, 0] = int(colour[i, c, 0] + (0.93 * tint - colour[i, c, 0]) * cover + 0.5)
                colour[i, c, 1] = int(colour[i, c, 1] + (0.97 * tint - colour[i, c, 1]) * cover + 0.5)
                colour[i, c, 2] = int(colour[i, c, 2] + (min(1.03 * tint, 255.0) - colour[i, c, 2]) * cover + 0.5)


# Styles


def style(scenery: Scenery, colour: NDArray[np.uint8], depth: NDArray[np.float32], entity: NDArray[np.uint8]) -> None:
    """The picture in the style of the environment, in place; depth and entities stay as they are."""
    for name, weight in scenery.held("style"):
        if name == "pixel":
            _pixels(colour, max(colour.shape[0] // 48, 2), weight)
        elif name == "sepia":
            _browned(colour, weight)
        elif name == "sketch":
            colour[:] = _sketched(colour, depth, entity, weight)


@kernel
def _browned(colour, weight):
    """An old print: browns, darker toward the corners."""
    height, width = colour.shape[:2]
    for i in range(height):
        y = 2.0 * i / max(height - 1, 1) - 1.0
        for j in range(width):
            x = 2.0 * j / max(width - 1, 1) - 1.0
            grey = 0.3 * colour[i, j, 0] + 0.59 * colour[i, j, 1] + 0.11 * colour[i, j, 2]
            grey = (grey * 0.92 + 14.0) * (1.0 - 0.16 * (x * x + y * y))
            for k in range(3):
                tint, lift = (1.08, 12.0) if k == 0 else ((0.92, 6.0) if k == 1 else (0.70, 0.0))
                brown = min(grey * tint + lift, 255.0)
                colour[i, j, k] = int(np.rint(colour[i, j, k] + (brown - colour[i, j, k]) * weight))


@kernel_that_allocates
def _pixels(colour, size, weight):
    """Blocks of a few colours, between which a pattern of four by four decides."""
    height, width = colour.shape[:2]
    bayer = np.array([0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5])
    for i in range(0, height, size):
        for j in range(0, width, size):
            end_i, end_j = min(i + size, height), min(j + size, width)
            nudge = (bayer[(i // size) % 4 * 4 + (j // size) % 4] + 0.5) / 16.0 - 0.5
            for k in range(3):
                total = 0.0
                for y in range(i, end_i):
                    for x in range(j, end_j):
                        total += colour[y, x, k]
                mean = total / ((end_i - i) * (end_j - j))
                level = min(max(np.floor(mean / 255.0 * 7.0 + 0.5 + 0.2 * nudge), 0.0), 7.0) / 7.0 * 255.0
                for y in range(i, end_i):
                    for x in range(j, end_j):
                        colour[y, x, k] = int(colour[y, x, k] + (level - colour[y, x, k]) * weight + 0.5)


@kernel_that_allocates
def _sketched(colour, depth, entity, weight):
    """Pencil on paper: outlines where depth or entities change, and hatching where it is dark."""
    height, width = depth.shape
    out = colour.copy()
    grey, close = np.empty((height, width)), np.empty((height, width))
    for i in range(height):
        for j in range(width):
            close[i, j] = 1.0 / depth[i, j]
            grey[i, j] = (0.3 * colour[i, j, 0] + 0.59 * colour[i, j, 1] + 0.11 * colour[i, j, 2]) / 255.0
    for i in range(height):
        up, low = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            here = close[i, j]
            bend = abs(close[up, j] + close[low, j] - 2.0 * here)
            bend += abs(close[i, left] + close[i, right] - 2.0 * here)
            line = min(max(bend / here * 9.0 - 0.25, 0.0), 1.0)
            if entity[i, right] != entity[i, j] or entity[low, j] != entity[i, j]:
                line = 1.0
            change = abs(grey[i, right] - grey[i, left]) + abs(grey[low, j] - grey[up, j])
            line = max(line, min(max(3.2 * change - 0.35, 0.0), 0.85))
            ink = 0.0
            wobble = 1.5 * hashed(i // 3, j // 3, 81)
            for layer in range(3):
                dark = min(max((0.62 - 0.19 * layer - grey[i, j]) * 5.0, 0.0), 1.0)
                if dark * 0.55 <= ink:
                    continue
                phase = (i + j if layer == 0 else (i - j if layer == 1 else 2.0 * i)) + wobble
                stroke = 0.5 + 0.5 * np.cos(6.2832 * phase / 5.0)
                ink = max(ink, dark * stroke * 0.55)
            paper = 244.0 - 9.0 * hashed(i, j, 82)
            tone = paper * (1.0 - max(0.82 * line, ink)) * (0.82 + 0.18 * min(1.4 * grey[i, j], 1.0))
            for k in range(3):
                value = tone * (1.0 if k == 0 else (0.985 if k == 1 else 0.95)) + 22.0 * max(line, ink)
                out[i, j, k] = int(colour[i, j, k] + (min(value, 255.0) - colour[i, j, k]) * weight + 0.5)
    return out
