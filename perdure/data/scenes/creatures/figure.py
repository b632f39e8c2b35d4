"""Figures: a creature's body as it is built, parts that hang on parts, each of a few simple shapes.

At rest every part's frame is aligned with the root's: +x forward, +y left, +z up. A part turns about its pivot,
which lies in its parent's frame. Lengths are given for a creature of scale 1 and multiplied by the figure's own.
Angles are radians. Shapes of arrays: T times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perdure.data.scenes.blocks import Point, geom, limb, turned
from perdure.data.scenes.scene import MOVING, Surface, plain
from perdure.world.deed import Deed, knots

Array = NDArray[np.float64]

PARKED = -6.0
"""Metres: how high beads stand that do not show."""


@dataclass(frozen=True)
class Shape:
    """One geom; a capsule by its ends, all else by place, half sizes and quaternion."""

    kind: str
    surface: str
    pos: Point
    size: tuple[float, ...]
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    end: Point | None = None  # of a capsule that begins at `pos`

    def mjcf(self, prefix: str) -> str:
        if self.end is not None:
            return limb(prefix + self.surface, self.pos, self.end, self.size[0])
        return geom(self.kind, prefix + self.surface, self.pos, self.size, self.quat, MOVING)

    def low(self, at: Array, turn: Array) -> Array:
        """(T,) its lowest height where its part is `at` (T, 3), turned so (T, 3, 3)."""
        if self.end is not None:
            ends = [at[:, 2] + turn[:, 2] @ np.array(end) for end in (self.pos, self.end)]
            return np.minimum(*ends) - self.size[0]
        own = turn[:, 2] @ matrix(self.quat)  # the world's z in the shape's frame
        x, y, z = np.abs(own).T
        a, b, c = (*self.size, 0.0, 0.0)[:3]
        if self.kind == "sphere":
            extent = np.full(len(at), a)
        elif self.kind == "ellipsoid":
            extent = np.sqrt((a * x) ** 2 + (b * y) ** 2 + (c * z) ** 2)
        elif self.kind == "cylinder":
            extent = a * np.hypot(x, y) + b * z
        else:
            extent = a * x + b * y + c * z
        return at[:, 2] + turn[:, 2] @ np.array(self.pos) - extent


@dataclass
class Joint:
    parent: str
    pivot: Point
    shapes: list[Shape] = field(default_factory=list)
    axis: Point = (0.0, 1.0, 0.0)  # how it swings in a creature that has no deeds
    swing: float = 0.0
    phase: float = 0.0


class Figure:
    def __init__(self, kind: str, coat: str, scale: float, hover: float) -> None:
        self.kind = kind
        self.coat = coat  # the word that tells it from others of its kind
        self.scale = scale
        self.hover = scale * hover  # of the root above the ground
        self.surfaces: dict[str, Surface] = {}
        self.joints: dict[str, Joint] = {"": Joint("", (0.0, 0.0, 0.0))}
        self.beads: list[Shape] = []
        self.held: set[str] = set()  # parts that it does not stand on: what is in its hands

    def paint(self, label: str, surface: Surface | str, gloss: float = 0.0, glow: float = 0.0) -> str:
        self.surfaces[label] = plain(surface, gloss, glow, anchored=True) if isinstance(surface, str) else surface
        return label

    def part(
        self,
        label: str,
        pivot: Sequence[float],
        parent: str = "",
        axis: Point = (0.0, 1.0, 0.0),
        swing: float = 0.0,
        phase: float = 0.0,
    ) -> str:
        """A part more, hung on one that there is."""
        if parent not in self.joints:
            raise ValueError(f"expected {label!r} to hang on one of {sorted(self.joints)}, got {parent!r}")
        self.joints[label] = Joint(parent, self._scaled(pivot), [], axis, swing, phase)
        return label

    def ball(self, part: str, surface: str, pos: Sequence[float], radius: float) -> None:
        self._add(part, Shape("sphere", surface, self._scaled(pos), (radius * self.scale,)))

    def egg(self, part: str, surface: str, pos: Sequence[float], size: Sequence[float], tilt: float = 0.0) -> None:
        self._add(part, Shape("ellipsoid", surface, self._scaled(pos), self._scaled(size), turned(0.0, tilt)))

    def box(
        self, part: str, surface: str, pos: Sequence[float], size: Sequence[float], tilt: float = 0.0, yaw: float = 0.0
    ) -> None:
        self._add(part, Shape("box", surface, self._scaled(pos), self._scaled(size), turned(yaw, tilt)))

    def rod(self, part: str, surface: str, pos: Sequence[float], radius: float, half: float, along: str = "z") -> None:
        """A cylinder along one of the axes."""
        quat = {"z": turned(0.0), "x": turned(0.0, 0.5 * np.pi), "y": (0.5**0.5, -(0.5**0.5), 0.0, 0.0)}[along]
        size = radius * self.scale, half * self.scale
        self._add(part, Shape("cylinder", surface, self._scaled(pos), size, quat))

    def limb(self, part: str, surface: str, start: Sequence[float], end: Sequence[float], radius: float) -> None:
        """A capsule."""
        at, to = self._scaled(start), self._scaled(end)
        self._add(part, Shape("capsule", surface, at, (radius * self.scale,), end=to))

    def trail(self, surface: str, radius: float, count: int = 6) -> None:
        """Beads that can show where a part was, the larger the later."""
        for n in range(count):
            size = radius * self.scale * (1.0 - 0.6 * n / count)
            self.beads.append(Shape("sphere", surface, (0.0, 0.0, 0.0), (size,)))

    @property
    def count(self) -> int:
        """Geoms that show, beads left out."""
        return sum(len(joint.shapes) for joint in self.joints.values())

    def bodies(self, name: str, prefix: str, home: tuple[float, float], ground: float = 0.0) -> list[str]:
        """MJCF of a root body and one for each part and bead, as they stand at home, facing +x."""
        out = []
        for label, joint in self.joints.items():
            pos = np.array([*home, ground + self.hover]) + self.pivot(label)
            out.append(_body(f"{name}/{label or 'body'}", pos, [shape.mjcf(prefix) for shape in joint.shapes]))
        for n, bead in enumerate(self.beads):
            out.append(_body(f"{name}/bead{n}", np.array([*home, PARKED]), [bead.mjcf(prefix)]))
        return out

    def pivot(self, label: str) -> Array:
        """Of a part at rest, in the root's frame."""
        joint = self.joints[label]
        return np.array(joint.pivot) + (self.pivot(joint.parent) if label else 0.0)

    def _scaled(self, point: Sequence[float]) -> Point:
        x, y, z = (float(value * self.scale) for value in point)
        return x, y, z

    def _add(self, part: str, shape: Shape) -> None:
        if shape.surface not in self.surfaces:
            raise ValueError(f"expected one of the surfaces {sorted(self.surfaces)}, got {shape.surface!r}")
        self.joints[part].shapes.append(shape)

    def posed(self, deed: Deed, shares: Array) -> dict[str, tuple[Array, Array]]:
        """Where each part is, (T, 3) and (T, 3, 3), at shares of a deed, about a root that began at the ground's
        origin."""
        moved = sampled(deed.root, shares, deed.loops) if deed.root else np.zeros((len(shares), 6))
        yaw, pitch, roll = moved[:, 3:].T
        at = moved[:, :3] + np.array([0.0, 0.0, self.hover])
        turn = about(np.stack([0 * yaw, 0 * yaw, yaw], 1)) @ about(np.stack([0 * yaw, -pitch, 0 * yaw], 1))
        out = {"": (at, turn @ about(np.stack([roll, 0 * yaw, 0 * yaw], 1)))}
        for label, joint in self.joints.items():
            if not label:
                continue
            at, turn = out[joint.parent]
            pivot = np.tile(np.array(joint.pivot), (len(shares), 1))
            if label in deed.shifts:
                pivot += sampled(deed.shifts[label], shares, deed.loops)
            at = at + np.einsum("tij,tj->ti", turn, pivot)
            if label in deed.parts:
                turn = turn @ about(sampled(deed.parts[label], shares, deed.loops))
            out[label] = at, turn
        return out

    def lowest(self, posed: dict[str, tuple[Array, Array]], held: bool = True) -> Array:
        """(T,) height of the lowest point of all shapes, with or without what is held."""
        parts = [(label, joint) for label, joint in self.joints.items() if held or label not in self.held]
        lows = [shape.low(*posed[label]) for label, joint in parts for shape in joint.shapes]
        return np.min(lows, axis=0)


def sampled(curve: tuple[tuple[float, ...], ...], shares: Array, loops: bool) -> Array:
    """(T, values): what `deed.at` gives, at many shares."""
    times, values, slopes = (np.array(part) for part in knots(curve, loops))
    if len(times) == 1:
        return np.tile(values[0], (len(shares), 1))
    x = np.clip(shares, times[0], times[-1])
    i = np.clip(np.searchsorted(times, x, "right") - 1, 0, len(times) - 2)
    h = times[i + 1] - times[i]
    s = (x - times[i]) / h
    a, c, d = (1 + 2 * s) * (1 - s) ** 2, s * (1 - s) ** 2 * h, s * s * (s - 1) * h
    a, c, d, b = a[:, None], c[:, None], d[:, None], (s * s * (3 - 2 * s))[:, None]
    return a * values[i] + b * values[i + 1] + c * slopes[i] + d * slopes[i + 1]


def about(vectors: Array) -> Array:
    """(T, 3, 3) of rotation vectors (T, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[:, 0], 1e-12)).T
    o = np.zeros_like(x)
    k = np.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def matrix(quat: tuple[float, float, float, float]) -> Array:
    """(3, 3) of a quaternion w, x, y, z."""
    w, v = quat[0], np.array(quat[1:])
    length = float(np.linalg.norm(v))
    return about((2 * np.arctan2(length, w) * v / max(length, 1e-12))[None])[0]


def _body(name: str, pos: Array, geoms: list[str]) -> str:
    x, y, z = pos
    return f'<body name="{name}" mocap="true" pos="{x:.5g} {y:.5g} {z:.5g}">{"".join(geoms)}</body>'
