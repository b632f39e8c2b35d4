"""Weather in the air, and the style of a picture: what is done to a picture after it was painted.

Drops and flakes are points of the world, wrapped into a box about the eye, each a function of its number and the
time: so they stand still where the eye moves, and the same tick always shows the same ones. None falls under a roof.

Shapes: H height, W width, X Y columns of the roofs.
"""

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.data.painting.baking import COLUMN, Light
from perdure.data.painting.scenery import Scenery
from perdure.data.painting.tables import EXPOSURE
from perdure.kernels import hashed, kernel

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
