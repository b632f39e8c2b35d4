"""Motion: deeds as an animator would write them, in key poses, made into curves that physics plays.

A pose names parts and how they are turned, in degrees: (x, y, z) as a rotation vector. A part that a pose does not
name is at rest in it. So on what hangs down, y < 0 swings it forward and y > 0 back; x > 0 lifts what is on the left
out to the side; on what reaches ahead, y > 0 lowers it; z > 0 turns it left.

Nobody sinks into the ground or hovers over it by mistake: what a path says of height is how far the lowest point of
the creature is above the ground, and the height of the root comes from that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from perdure.data.scenes.creatures.figure import Figure, sampled
from perdure.world.deed import Curve, Deed, Stroke

Turn = tuple[float, float, float]
Pose = Mapping[str, Turn]
Keys = Sequence[tuple[float, Pose]]
Loose = Mapping[str, Sequence[Sequence[float]]]

FINE = 14.0  # keys a second of how high the root is, at least
SUNK = 0.025  # metres: where the creature would sink deeper than this between two keys, there is one more


def act(
    figure: Figure,
    name: str,
    words: str,
    seconds: float,
    keys: Keys = (),
    path: Sequence[Sequence[float]] = (),
    also: Loose | None = None,
    shifts: Loose | None = None,
    strokes: Sequence[Stroke] = (),
    afloat: bool = False,
    loops: bool = False,
    pace: float = 0.0,
    turn: float = 0.0,
    holds: bool = False,
    guard: bool = False,
    trail: str = "",
    when: float = 0.5,
) -> Deed:
    """A deed of this figure. `words` are separated by commas; `path` has (share, forward, left, clear of the ground,
    yaw, pitch, roll), lengths in metres for scale 1, angles in degrees; `also` has curves of single parts in degrees,
    `shifts` in metres. What is afloat keeps its hover, and its path says how far off that it is."""
    s = figure.scale
    parts: dict[str, Curve] = {}
    for label in sorted({label for _, pose in keys for label in pose}):
        parts[label] = tuple((t, *_radians(pose.get(label, (0.0, 0.0, 0.0)))) for t, pose in keys)
    for label, curve in (also or {}).items():
        parts[label] = tuple((key[0], *_radians(key[1:])) for key in curve)
    moved = {
        label: tuple((key[0], *(round(s * v, 4) for v in key[1:])) for key in curve)
        for label, curve in (shifts or {}).items()
    }
    rough = tuple((key[0], *(s * v for v in key[1:4]), *map(math.radians, key[4:])) for key in path)
    deed = Deed(
        name, tuple(words.split(", ")), seconds, loops, parts, moved, (), s * pace, turn, holds, guard,
        tuple(replace(k, reach=s * k.reach, low=s * k.low, high=s * k.high) for k in strokes), trail, when,
    )  # fmt: skip
    return replace(deed, root=_rounded(rough) if afloat else _grounded(figure, deed, rough))


def resized(deed: Deed, by: float) -> Deed:
    """The same deed of a creature that is so many times as large."""
    lengths = {
        label: _rounded(tuple((t, *(by * v for v in at)) for t, *at in curve)) for label, curve in deed.shifts.items()
    }
    root = _rounded(tuple((t, by * x, by * y, by * z, *turned) for t, x, y, z, *turned in deed.root))
    strokes = tuple(replace(k, reach=by * k.reach, low=by * k.low, high=by * k.high) for k in deed.strokes)
    return replace(deed, shifts=lengths, root=root, strokes=strokes, pace=by * deed.pace)


def _grounded(figure: Figure, deed: Deed, path: Curve) -> Curve:
    """The root's curve, with heights by which the figure's lowest point is as high as the path says."""
    count = max(5, round(FINE * deed.seconds) + 1)
    between = np.linspace(0, 1, 4 * count + 1)
    times = np.array(sorted({round(t, 4) for t in (*np.linspace(0, 1, count), *(key[0] for key in path))}))
    curve: Curve = ()
    for _ in range(3):
        moved = _along(path, times, deed.loops)
        clear = moved[:, 2].copy()
        moved[:, 2] = 0.0
        moved[:, 2] = clear - figure.lowest(figure.posed(_still(deed, times, _keyed(times, moved)), times), held=False)
        curve = _rounded(_keyed(times, moved)) if np.abs(moved).max() > 1e-3 else ()
        low = figure.lowest(figure.posed(replace(deed, root=curve), between), held=False)
        sunk = between[low < _along(path, between, deed.loops)[:, 2] - SUNK]
        if not len(sunk):
            break
        times = np.unique(np.round(np.concatenate([times, sunk]), 4))
    return curve


def _along(path: Curve, times: np.ndarray, loops: bool) -> np.ndarray:
    return sampled(path, times, loops) if path else np.zeros((len(times), 6))


def _keyed(times: np.ndarray, values: np.ndarray) -> Curve:
    return tuple(zip(times.tolist(), *values.T.tolist()))


def _still(deed: Deed, times: np.ndarray, root: Curve) -> Deed:
    """The deed with keys at these times, where it has just the values that it has anyhow."""
    parts, shifts = (
        {label: _keyed(times, sampled(curve, times, deed.loops)) for label, curve in curves.items()}
        for curves in (deed.parts, deed.shifts)
    )
    return replace(deed, parts=parts, shifts=shifts, root=root, loops=False, pace=0.0, turn=0.0)


def _rounded(curve: Curve) -> Curve:
    return tuple((round(key[0], 4), *(round(v, 4) + 0.0 for v in key[1:])) for key in curve)


def _radians(turn: Sequence[float]) -> Turn:
    x, y, z = (round(math.radians(v), 4) for v in turn)
    return x, y, z


# Poses


def both(part: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> dict[str, Turn]:
    """A part on the left turned like this, and the one on the right as in a mirror."""
    return {f"{part}_l": (x, y, z), f"{part}_r": (-x, y, -z)}


def swapped(pose: Pose) -> dict[str, Turn]:
    """A pose as in a mirror."""
    return {_other(label): (-x, y, -z) for label, (x, y, z) in pose.items()}


def mirrored(keys: Keys) -> list[tuple[float, Pose]]:
    return [(t, swapped(pose)) for t, pose in keys]


def _other(label: str) -> str:
    return label[:-1] + {"l": "r", "r": "l"}[label[-1]] if label[-2:] in ("_l", "_r") else label


def wave(part: str, axis: int, size: float, turns: float = 1.0, phase: float = 0.0, rest: float = 0.0) -> Loose:
    """A part that swings to and fro about one axis, `turns` times; `phase` in cycles, degrees."""
    count = max(2, round(8 * turns))
    out = []
    for n in range(count + 1):
        value = [0.0, 0.0, 0.0]
        value[axis] = rest + size * math.sin(2 * math.pi * (turns * n / count - phase))
        out.append((n / count, *value))
    return {part: out}


def leg(
    hip: str, knee: str, upper: float, lower: float, height: float, stride: float, lift: float, phase: float,
    duty: float = 0.6, bend: int = 1, middle: float = 0.0, count: int = 12,
) -> Loose:  # fmt: skip
    """Hip and knee of a leg that walks: its foot stays where it is on the ground for a share `duty` of the cycle, while
    the body goes on by `stride`. `height` is the hip's above the foot, `bend` 1 for a knee that points ahead."""
    out: dict[str, list[tuple[float, ...]]] = {hip: [], knee: []}
    for n in range(count + 1):
        x, z = _foot((n / count + phase) % 1.0, stride, lift, duty)
        x, z = x + middle, z - height
        d = min(math.hypot(x, z), 0.999 * (upper + lower))
        a = math.acos((upper**2 + d * d - lower**2) / (2 * upper * d))
        b = math.acos((lower**2 + d * d - upper**2) / (2 * lower * d))
        toward = math.atan2(-x, -z)
        out[hip].append((n / count, 0.0, math.degrees(toward - bend * a), 0.0))
        out[knee].append((n / count, 0.0, math.degrees(bend * (a + b)), 0.0))
    return out


def stilt(
    hip: str, length: float, height: float, stride: float, lift: float, phase: float, duty: float = 0.6,
    count: int = 12, sideways: bool = False,
) -> tuple[Loose, Loose]:  # fmt: skip
    """Of a leg without a knee: how its hip turns, and how it is drawn up into the body."""
    turns, shifts = [], []
    for n in range(count + 1):
        x, z = _foot((n / count + phase) % 1.0, stride, lift, duty)
        z -= height
        d, toward = math.hypot(x, z), math.atan2(-x, -z)
        pull = (d - length) / d
        turns.append((n / count, math.degrees(-toward), 0.0, 0.0) if sideways else
                     (n / count, 0.0, math.degrees(toward), 0.0))  # fmt: skip
        shifts.append((n / count, 0.0, pull * x, pull * z) if sideways else (n / count, pull * x, 0.0, pull * z))
    return {hip: turns}, {hip: shifts}


def _foot(phase: float, stride: float, lift: float, duty: float) -> tuple[float, float]:
    """How far ahead of the hip a foot is, and how high."""
    reach = 0.5 * stride * duty
    if phase < duty:
        return reach * (1 - 2 * phase / duty), 0.0
    q = (phase - duty) / (1 - duty)
    return -reach * math.cos(math.pi * q), lift * math.sin(math.pi * q)
