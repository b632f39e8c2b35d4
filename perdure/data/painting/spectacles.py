"""Spectacles: fireworks, birds, fish and fires, as shapes, sparks and lights that follow from the tick alone.

Shapes: G geoms, N sparks, L lamps.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perdure.data.painting.tracer import BOUND, CAPSULE, ELLIPSOID, ENTITY, GEOM_COLUMNS, KIND, POS, ROT, SIZE, SURFACE
from perdure.data.scenes.scene import Surface, plain, rgb
from perdure.kernels import kernel
from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.setting import Spectacle

Array = NDArray[np.float64]

VALUE = 254
"""What moves and is nobody, in the entity map."""

FADE = 2.0  # seconds in which a spectacle comes and goes

LOOKS: dict[str, Surface] = {
    "feather": plain("#3a3f4a"),
    "breast": plain("#e8e4da"),
    "beak": plain("#e0952c"),
    "scale": plain("#c7d3dc", gloss=0.7),
    "fin": plain("#d97a3a", gloss=0.4),
    "log": plain("#3a2a1e"),
    "coal": plain("#ff6a1e", glow=0.9),
}
"""Surfaces of their shapes; a painter puts them after its own."""

_ROWS = {name: row for row, name in enumerate(LOOKS)}


class Seen(NamedTuple):
    """What a spectacle looks like at a tick."""

    geoms: Array  # (G, GEOM_COLUMNS) as `tracer` numbers them, surfaces counted from the first of LOOKS
    sparks: Array  # (N, 9): place, radius in metres, sRGB of 0 to 255, share, and 1 for light or 0 for smoke
    lamps: Array  # (L, 7) as `shading` has them; the first of a spectacle at a place that never changes


def seen(spectacles: Iterable[Spectacle], tick: int) -> Seen:
    parts = [_KINDS[s.kind](s, (tick - s.start) / FRAMES_PER_SECOND) for s in spectacles if tick >= s.start]
    widths = GEOM_COLUMNS, 9, 7
    joined = (np.concatenate([np.zeros((0, width)), *(part[n] for part in parts)]) for n, width in enumerate(widths))
    return Seen(*joined)


def _there(spectacle: Spectacle, seconds: float) -> float:
    """How much of it is there yet, and still: 0 to 1."""
    return max(min(seconds / FADE, (spectacle.seconds - seconds) / FADE, 1.0), 0.0)


def _geom(kind: int, look: str, size: tuple[float, float, float], pos: Array, rot: Array) -> Array:
    row = np.zeros(GEOM_COLUMNS)
    row[KIND], row[SURFACE], row[ENTITY] = kind, _ROWS[look], VALUE
    row[SIZE : SIZE + 3], row[POS : POS + 3], row[ROT : ROT + 9] = size, pos, rot.ravel()
    row[BOUND] = max(size) + (size[0] if kind == CAPSULE else 0.0)
    return row


def _turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Yaw to the left, then pitch upward, then roll to the right."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    forward = np.array([cy * cp, sy * cp, sp])
    left = np.array([-sy, cy, 0.0])
    up = np.cross(forward, left)
    return np.stack([forward, cr * left + sr * up, cr * up - sr * left], 1)


def _birds(spectacle: Spectacle, t: float) -> Seen:
    """A flock that comes in over one side, wheels, and leaves over the other."""
    rng = np.random.default_rng([11, spectacle.seed])
    phase, rest = rng.uniform(0, 6.28), spectacle.seconds - t
    turn = 0.8 if rng.uniform() < 0.5 else -0.8  # radians a second

    def away(at: float) -> Array:
        """The way that they fly at a time, and so come from and go to: nobody turns on the spot."""
        angle = turn * at + phase
        return np.array([-math.sin(angle), math.cos(angle), 0.0]) * math.copysign(1.0, turn) + [0.0, 0.0, 0.45]

    def middle(at: float) -> Array:
        angle, left = turn * at + phase, spectacle.seconds - at
        wheel = [5.0 * math.cos(angle), 4.4 * math.sin(angle), 0.5 * math.sin(0.9 * at)]
        spot = np.array(spectacle.place) + wheel
        if at < 3.0:
            spot -= 5.0 * (3.0 - at) ** 2 * (away(3.0) * [1, 1, -1])
        if left < 3.0:
            spot += 5.0 * (3.0 - left) ** 2 * away(spectacle.seconds - 3.0)
        return spot

    rows: list[Array] = []
    for n in range(9):
        lag = 0.16 * ((n + 1) // 2)
        side = (0.62 if n % 2 else -0.62) * ((n + 1) // 2)
        wobble = rng.uniform(0, 6.28, 3)
        ahead, here = middle(t - lag + 0.05), middle(t - lag)
        speed = (ahead - here) / 0.05
        yaw = math.atan2(speed[1], speed[0])
        pitch = math.atan2(speed[2], math.hypot(speed[0], speed[1]) + 1e-6)
        later = middle(t - lag + 0.3) - middle(t - lag + 0.25)
        bank = 1.1 * math.remainder(math.atan2(later[1], later[0]) - yaw, 2 * math.pi)
        frame = _turned(yaw, 0.6 * pitch, -max(min(bank, 0.7), -0.7))
        at = here + frame[:, 1] * side + 0.16 * np.sin(1.3 * t + wobble)
        beat = math.sin(2 * math.pi * 3.1 * t + wobble[0])
        flap = 0.75 * beat + 0.15 if math.sin(0.8 * t + wobble[1]) > -0.5 else 0.22  # now and then they glide
        rows.append(_geom(ELLIPSOID, "feather", (0.19, 0.055, 0.05), at, frame))
        rows.append(_geom(ELLIPSOID, "breast", (0.12, 0.045, 0.045), at + frame @ [0.03, 0.0, -0.014], frame))
        rows.append(_geom(ELLIPSOID, "beak", (0.045, 0.014, 0.014), at + frame @ [0.21, 0.0, 0.0], frame))
        for sign in (1.0, -1.0):
            wing = frame @ _turned(-0.25 * sign, 0.0, sign * flap)
            hinge = at + frame @ [0.03, 0.03 * sign, 0.02]
            rows.append(_geom(ELLIPSOID, "feather", (0.065, 0.2, 0.012), hinge + wing @ [0.0, 0.18 * sign, 0.0], wing))
    return Seen(np.array(rows) if rest > 0 else np.zeros((0, GEOM_COLUMNS)), np.zeros((0, 9)), np.zeros((0, 7)))


def _fish(spectacle: Spectacle, t: float) -> Seen:
    """A few that leap, each in its turn, and what splashes."""
    rows: list[Array] = []
    sparks: list[list[float]] = []
    x, y, z = spectacle.place
    for n in range(4):
        period = 1.9 + 0.35 * n
        turn, at = divmod(t + 0.8 * n, period)
        rng = np.random.default_rng([12, spectacle.seed, n, int(turn)])
        yaw, high, far = rng.uniform(-math.pi, math.pi), rng.uniform(0.45, 0.8), rng.uniform(0.25, 0.4)
        centre = np.array([x, y, z]) + np.append(rng.uniform(-0.15, 0.15, 2), 0.0)
        way = np.array([math.cos(yaw), math.sin(yaw), 0.0])
        last = 2.0 * math.sqrt(2.0 * high / 9.81)
        if t - at < 0 or (math.isfinite(spectacle.seconds) and t - at + last > spectacle.seconds):
            continue
        share = at / last
        if share <= 1.0:
            body = centre + way * far * (2.0 * share - 1.0)
            body[2] += 4.0 * high * share * (1.0 - share) - 0.06
            climb = math.atan2(4.0 * high * (1.0 - 2.0 * share), 2.0 * far)
            frame = _turned(yaw, climb, 0.5 * math.sin(14.0 * t))
            tail = frame @ _turned(0.5 * math.sin(24.0 * t))
            rows.append(_geom(ELLIPSOID, "scale", (0.155, 0.034, 0.058), body, frame))
            rows.append(_geom(ELLIPSOID, "fin", (0.05, 0.012, 0.06), body + tail @ [-0.18, 0.0, 0.0], tail))
            rows.append(_geom(ELLIPSOID, "fin", (0.05, 0.01, 0.04), body + frame @ [-0.01, 0.0, 0.055], frame))
        for begin, sign in ((0.0, -1.0), (last, 1.0)):
            age = at - begin
            if not 0.0 <= age < 0.55:
                continue
            for _ in range(14):
                angle, out, up = rng.uniform(0, 6.28), rng.uniform(0.2, 0.7), rng.uniform(0.9, 2.2)
                drop = centre + way * far * sign + np.array([math.cos(angle), math.sin(angle), 0.0]) * out * age
                drop[2] += up * age - 4.9 * age * age
                if drop[2] > z:
                    sparks.append([*drop, 0.013, 225, 238, 246, 0.85 * (1.0 - age / 0.55), 0.0])
    return Seen(np.array(rows).reshape(-1, GEOM_COLUMNS), np.array(sparks).reshape(-1, 9), np.zeros((0, 7)))


def _fire(spectacle: Spectacle, t: float) -> Seen:
    """Logs, flames over them that light what is about, embers and smoke."""
    there = _there(spectacle, t)
    x, y, z = spectacle.place
    rows: list[Array] = []
    for n in range(4):
        angle = 0.4 + n * math.pi / 4 + 0.2 * math.sin(7.0 * n)
        frame = _turned(angle, 0.12 if n % 2 else -0.1)[:, [2, 1, 0]]  # a capsule lies along its z
        frame[:, 1] = -frame[:, 1]
        pos = np.array([x, y, z + 0.07 + 0.035 * n])
        rows.append(_geom(CAPSULE, "coal" if n == 2 and there > 0.3 else "log", (0.055, 0.27, 0.0), pos, frame))
    sparks: list[list[float]] = []
    flame = np.random.default_rng([13, spectacle.seed])
    for _ in range(22):  # smoke first: flames are before it
        life = 2.8
        offset, sway, side = flame.uniform(0, life), flame.uniform(0, 6.28), flame.uniform(-0.12, 0.12, 2)
        age = (t + offset) % life
        share = age / life
        drift = 0.22 * share * math.sin(1.7 * t * 0.4 + sway)
        place = [x + side[0] + drift + 0.5 * share * share, y + side[1] + drift, z + 0.75 + 1.9 * share]
        grey = 92 + 46 * share
        sparks.append([*place, 0.13 + 0.34 * share, grey, grey, grey, 0.13 * there * min(5 * share, 1 - share), 0.0])
    for n in range(84):  # the outer, red ones cover, the inner ones shine
        life = flame.uniform(0.5, 0.9)
        offset, angle, out = flame.uniform(0, life), flame.uniform(0, 6.28), abs(flame.normal(0, 0.12))
        tall, sway = flame.uniform(0.8, 1.3), flame.uniform(0, 6.28)
        share = (t + offset) % life / life
        pull = 1.0 - 0.8 * share
        lick = 0.07 * share * math.sin(9.0 * t + sway)
        px, py = x + out * pull * math.cos(angle) + lick, y + out * pull * math.sin(angle) + 0.7 * lick
        pz = z + 0.12 + 0.95 * tall * share * max(1.0 - 1.6 * out, 0.3) * there
        radius = (0.15 - 0.11 * share) * (0.4 + 0.6 * there)
        inner = n % 3 == 0
        green = (215 if inner else 165) * (1.0 - share) ** 0.9 + 40
        much = there * min(7 * share, 1.0) * (1.0 - share) ** 0.7
        blue = 90 * (1.0 - share) ** 2 if inner else 24
        sparks.append([px, py, pz, radius, 255, green, blue, (0.7 if inner else 0.55) * much, float(inner)])
    for _ in range(10):
        life = flame.uniform(1.2, 2.0)
        offset, sway, side = flame.uniform(0, life), flame.uniform(0, 6.28), flame.uniform(-0.2, 0.2, 2)
        share = (t + offset) % life / life
        wave = 0.14 * share * math.sin(6.0 * share + sway)
        place = [x + side[0] + wave, y + side[1] - wave, z + 0.3 + 1.7 * share]
        sparks.append([*place, 0.011, 255, 150, 50, there * (1.0 - share), 1.0])
    flicker = 0.82 + 0.1 * math.sin(11.0 * t) * math.sin(4.3 * t + 1.0) + 0.08 * math.sin(23.0 * t + 2.0)
    lamp = [x, y, z + 0.55, *(rgb("#ff9a45") * 4.2 * there * flicker), 8.0]
    return Seen(np.array(rows), np.array(sparks), np.array([lamp]))


_SHOTS = ("#ff5a4a", "#ffd75a", "#6ad0ff", "#8aff7a", "#ff8af0", "#fff2d0", "#b08aff")


def _fireworks(spectacle: Spectacle, t: float) -> Seen:
    """A rocket every second or so, each a trail and then a ball of sparks that falls and fades."""
    rest = np.array(spectacle.place)
    sparks: list[Array] = []
    light = np.zeros(3)
    rise, fade, every = 0.8, 2.0, 0.85
    for n in range(max(int((t - rise - fade) / every), 0), int(t / every) + 1):
        rng = np.random.default_rng([14, spectacle.seed, n])
        age = t - every * n - rng.uniform(0, 0.4)
        if age < 0 or age > rise + fade or every * n + rise > spectacle.seconds - 0.5:
            continue
        burst = rest + rng.uniform(-1, 1, 3) * [3.2, 3.2, 1.4]
        one, two = (255.0 * _srgb(_SHOTS[k]) for k in rng.permutation(len(_SHOTS))[:2])
        size, turns = rng.uniform(2.4, 3.6), rng.uniform(0, 6.28)
        if age < rise:
            tail = np.linspace(0.0, 0.16, 8)
            share = np.clip((age - tail) / rise, 0, 1)
            path = burst - np.array([0.0, 0.0, burst[2] - 1.0]) * (1.0 - (1.0 - (1.0 - share) ** 2))[:, None]
            path[:, 0] += 0.25 * np.sin(9.0 * share + turns) * (1.0 - share)
            faint = np.linspace(0.9, 0.1, 8)[:, None]
            sparks.append(
                np.hstack([path, np.full((8, 1), 0.06), np.tile([255.0, 214.0, 150.0], (8, 1)), faint, faint * 0 + 1])
            )
            continue
        age -= rise
        count = 90
        k = np.arange(count) + 0.5
        up = 1.0 - 2.0 * k / count
        spin = k * math.pi * (3.0 - math.sqrt(5.0)) + turns
        flat = np.sqrt(1.0 - up * up)
        ways = np.stack([np.cos(spin) * flat, np.sin(spin) * flat, up], 1) * rng.uniform(0.82, 1.0, (count, 1))
        left = max(1.0 - age / fade, 0.0)
        for back, faint in ((0.0, 1.0), (0.06, 0.6), (0.12, 0.3)):  # each spark and its trail
            past = max(age - back, 0.0)
            points = burst + ways * size * (1.0 - math.exp(-2.6 * past)) - [0.0, 0.0, 0.55 * past * past]
            mixed = one + (two - one) * min(past / 1.2, 1.0)
            gleam = 0.75 + 0.25 * np.sin(19.0 * t + 7.0 * k)
            share = faint * left**0.5 * (gleam if age > 0.9 else np.ones(count))
            rows = np.hstack([points, np.full((count, 1), 0.08), np.tile(mixed, (count, 1)), share[:, None]])
            sparks.append(np.hstack([rows, np.ones((count, 1))]))
        if age < 0.25:
            sparks.append(np.array([[*burst, 0.9 * (1.0 + age), 255, 250, 235, 0.8 * (1.0 - age / 0.25), 1.0]]))
        light += rgb_of(one) * 26.0 * math.exp(-3.2 * age)
    lamp = [*rest, *light, 34.0]
    joined = np.concatenate([np.zeros((0, 9)), *sparks])
    return Seen(np.zeros((0, GEOM_COLUMNS)), joined, np.array([lamp]))


def _srgb(colour: str) -> Array:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


def rgb_of(values: Array) -> Array:
    """(3,) linear light of sRGB in 0 to 255."""
    return (values / 255.0) ** 2.2


_KINDS: dict[str, Callable[[Spectacle, float], Seen]] = {
    "birds": _birds,
    "fish": _fish,
    "fire": _fire,
    "fireworks": _fireworks,
}


@kernel
def glow(sparks, pose, fx, fy, cx, cy, depth, colour):
    """Draw sparks, in their order, over what is farther: light is added, smoke and drops cover."""
    height, width = depth.shape
    for n in range(sparks.shape[0]):
        dx, dy, dz = sparks[n, 0] - pose[0, 3], sparks[n, 1] - pose[1, 3], sparks[n, 2] - pose[2, 3]
        far = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        if far < 0.2:
            continue
        x = (pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz) / far * fx + cx
        y = (pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz) / far * fy + cy
        radius = sparks[n, 3] * fx / far
        share = sparks[n, 7]
        if radius < 0.8:  # smaller than a pixel: as much light, on a pixel
            share *= max(radius / 0.8, 0.35)
            radius = 0.8
        if share <= 0.003 or x < -radius or y < -radius or x > width + radius or y > height + radius:
            continue
        light = sparks[n, 8] > 0.5
        for i in range(max(int(y - radius - 1.0), 0), min(int(y + radius + 1.0) + 1, height)):
            for j in range(max(int(x - radius - 1.0), 0), min(int(x + radius + 1.0) + 1, width)):
                if depth[i, j] < far:
                    continue
                ax, ay = (j + 0.5 - x) / (radius + 0.3), (i + 0.5 - y) / (radius + 0.3)
                off = ax * ax + ay * ay
                if off >= 1.0:
                    continue
                cover = share * (1.0 - off) * (1.0 - off) if radius > 1.5 else share * (1.0 - off)
                for k in range(3):
                    old, new = float(colour[i, j, k]), sparks[n, 4 + k]
                    if light:
                        new = old + (255.0 - old) * new / 255.0
                    colour[i, j, k] = int(old + (new - old) * cover + 0.5)
