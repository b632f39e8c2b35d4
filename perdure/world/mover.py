"""Creatures: what they are to physics, and how they wander.

A creature is kinematic: nothing pushes it. It walks to waypoints about its home, goes round what
stands in its way, and now and then stops to look about. Every choice is a hash of (world seed,
entity, tick), so the same world always wanders the same way and no generator has to be kept.

Angles are radians, headings grow to the left. Quaternions are w, x, y, z.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.world.deed import Act, Deed, said

Array = NDArray[np.float64]
Point = tuple[float, float]

RAYS = 16  # evenly around it, the first straight ahead: how a creature feels what is about it
REACH = 1.6  # metres: how far it feels
CLEARANCE = 0.6  # metres kept between its root and whatever is ahead
LEDGE = 0.3  # metres up or down from the floor of its home, at most: what is more is an edge, and as good as a wall
HALF_WIDTH = 0.45  # metres: what is nearer than this to its path stands in its way
TURNING = 1.8  # radians a second at most
HASTE = 1.5  # metres a second each second, to speed up or slow down
PERSON = 0.4  # metres: the player and other creatures are avoided as discs of this radius

BEARINGS = 2 * np.pi / RAYS * np.arange(RAYS)
_APART = BEARINGS[:, None] - BEARINGS[None, :]
# Of what a ray meets at distance 1: how far along each way it lies, and how far to the side.
_ALONG, _ACROSS = np.cos(_APART), np.abs(np.sin(_APART))


@dataclass(frozen=True)
class Part:
    """A mocap body that swings on its creature: `swing * sin(2 pi strides + phase)` radians about `axis`."""

    body: str
    pivot: tuple[float, float, float]  # where it hangs, in the root body's frame
    axis: tuple[float, float, float]  # in the root body's frame
    swing: float  # radians
    phase: float = 0.0
    parent: str = ""  # the label of the part that it hangs on, whose frame its pivot and axis are then in; "": the root
    label: str = ""  # what deeds call it

    def __post_init__(self) -> None:
        if self.parent and not self.label:
            raise ValueError(f"expected a label for the part {self.body!r}, which hangs on {self.parent!r}")


@dataclass(frozen=True)
class Mover:
    """A creature: a mocap root body that wanders about its home, and the parts that hang on it."""

    entity: int
    body: str  # the root; +x is its forward, z up
    parts: tuple[Part, ...] = ()
    speed: float = 0.6  # metres a second
    stride: float = 0.8  # metres to a full cycle of the parts
    hover: float = 0.5  # height of the root's origin above the ground, metres
    bob: float = 0.0  # how far the root rises and falls within a stride, metres
    home: Point = (0.0, 0.0)
    radius: float = 3.0  # how far from home it wanders, metres
    kind: str = ""  # "golem": what its deeds are known by
    deeds: tuple[Deed, ...] = ()  # what it can be asked to do; it wanders by its "walk" and "idle", if it has them
    health: float = 1.0  # to begin with
    girth: float = PERSON  # as a disc, for strokes and for what it runs into
    height: float = 1.6  # metres from the ground to its top, for strokes
    grip: str = ""  # the label of the part that holds what it carries; "": before its root
    beads: tuple[str, ...] = ()  # mocap bodies that show the trail of a deed, under the ground while none has one
    ground: float = 0.0  # height of the floor at its home, metres; it stays on that level

    def __post_init__(self) -> None:
        labels = [part.label for part in self.parts if part.label]
        if len(set(labels)) != len(labels):
            raise ValueError(f"expected parts of different labels for the creature {self.body!r}, got {labels}")
        for i, part in enumerate(self.parts):
            if part.parent and part.parent not in [other.label for other in self.parts[:i]]:
                raise ValueError(
                    f"expected the parent {part.parent!r} before its part {part.label!r} in the creature {self.body!r}"
                )
        names = [deed.name for deed in self.deeds]
        if len(set(names)) != len(names):
            raise ValueError(f"expected deeds of different names for the creature {self.body!r}, got {names}")
        for deed in self.deeds:
            moved = {*deed.parts, *deed.shifts, *((deed.trail,) if deed.trail else ())}
            if strange := moved - set(labels):
                raise ValueError(
                    f"the deed {deed.name!r} of the creature {self.body!r} moves {', '.join(sorted(strange))}: "
                    f"its parts are {', '.join(labels) or 'without labels'}"
                )
        if self.grip and self.grip not in labels:
            raise ValueError(f"expected the grip of the creature {self.body!r} among {labels}, got {self.grip!r}")
        if not math.isfinite(self.ground):
            raise ValueError(f"expected a height of the ground for the creature {self.body!r}, got {self.ground}")
        if not (self.speed > 0 and self.stride > 0 and self.radius > 0):
            raise ValueError(
                f"expected a positive speed, stride and radius for the creature {self.body!r}, "
                f"got {self.speed}, {self.stride}, {self.radius}"
            )

    @property
    def bodies(self) -> tuple[str, ...]:
        """All mocap bodies of its own, the root first."""
        return (self.body, *(part.body for part in self.parts), *self.beads)

    def said(self) -> dict[str, Any]:
        """As it is written down: a creature without deeds as in the first format."""
        out = said(self, "entity", "body", "parts", "speed", "stride", "hover", "bob", "home", "radius")
        out["parts"] = [said(part, "body", "pivot", "axis", "swing", "phase") for part in self.parts]
        if self.deeds:
            out["deeds"] = [
                {**said(deed), **({"strokes": [said(stroke) for stroke in deed.strokes]} if deed.strokes else {})}
                for deed in self.deeds
            ]
        return out


class Gait(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a creature is in its wandering: all that has to be kept of it between ticks."""

    x: float
    y: float
    heading: float
    strides: float  # cycles walked since the world began
    pace: float  # metres a second, now
    goal: Point
    patience: float  # seconds left before it gives the goal up
    rest: float  # seconds left to stand still
    act: Act | None = None  # of one that has deeds


def chance(seed: int, entity: int, tick: int, draw: int) -> float:
    """A number in [0, 1), a pure function of its arguments (the finaliser of SplitMix64, chained)."""
    word = 0
    for part in (seed, entity, tick, draw):
        word = (word + (part & 0xFFFFFFFFFFFFFFFF) + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        word ^= word >> 31
    return (word >> 11) / float(1 << 53)


def settle(mover: Mover, seed: int) -> Gait:
    """A creature as the world begins: at home, about to choose where to go."""
    heading = 2 * math.pi * chance(seed, mover.entity, -1, 0) - math.pi
    return fit(mover, Gait(*mover.home, heading, 0.0, 0.0, mover.home, 0.0, 0.0))


def fit(mover: Mover, gait: Gait) -> Gait:
    """A gait that this creature can go on with: at rest in its deeds where it was in those of another."""
    act = gait.act
    if act is None and not mover.deeds:
        return gait
    used = () if act is None else (act.deed, act.was, *act.order)
    if act is not None and mover.deeds and all(-1 <= number < len(mover.deeds) for number in used):
        return gait
    return msgspec.structs.replace(gait, act=Act(health=mover.health) if mover.deeds else None)


def wander(mover: Mover, gait: Gait, felt: Array, others: Sequence[Point], seed: int, tick: int, dt: float) -> Gait:
    """The gait one tick later. `felt` (RAYS,) is how far off the next wall is, at BEARINGS from the heading."""
    goal, patience, rest = gait.goal, gait.patience - dt, max(0.0, gait.rest - dt)
    if patience <= 0 or math.dist(goal, (gait.x, gait.y)) < 0.4:
        angle, far, stop = (chance(seed, mover.entity, tick, draw) for draw in range(3))
        out = mover.radius * math.sqrt(far)
        turned = 2 * math.pi * angle
        goal = (mover.home[0] + out * math.cos(turned), mover.home[1] + out * math.sin(turned))
        rest = 1.0 + 8.0 * stop if stop < 0.35 else 0.0
        patience = rest + 2.0 + 1.5 * math.dist(goal, (gait.x, gait.y)) / mover.speed

    felt = np.minimum(felt, felt_of(others, gait))
    # How far each way is free, for one as wide as it is: the nearest of all that stands beside that way.
    free = np.where((_ALONG > 0) & (_ACROSS * felt < HALF_WIDTH), _ALONG * felt, REACH).min(1)
    wish = way(math.atan2(goal[1] - gait.y, goal[0] - gait.x) - gait.heading, free)
    turn = 0.0 if rest > 0 else wish
    heading = gait.heading + max(-TURNING, min(TURNING, 3.0 * turn)) * dt

    room = max(0.0, float(free[0]) - CLEARANCE)
    pace = 0.0 if rest > 0 else mover.speed * min(1.0, 2.0 * room) * max(0.15, math.cos(turn))
    pace = gait.pace + max(-HASTE * dt, min(HASTE * dt, pace - gait.pace))
    pace = min(pace, room / dt)  # whatever the momentum, never into what is there
    return Gait(
        gait.x + pace * dt * math.cos(heading),
        gait.y + pace * dt * math.sin(heading),
        math.remainder(heading, 2 * math.pi),
        gait.strides + pace * dt / mover.stride,
        pace,
        goal,
        patience,
        rest,
        gait.act,
    )


def way(bearing: float, free: Array) -> float:
    """Of the ways that are free, the one nearest the goal, with some liking for straight on; radians off the heading.

    The liking for straight on is what keeps it from turning to and fro before an obstacle.
    """
    bearing = math.remainder(bearing, 2 * math.pi)
    off_goal = np.abs(np.remainder(BEARINGS - bearing + np.pi, 2 * np.pi) - np.pi)
    off_heading = np.minimum(BEARINGS, 2 * np.pi - BEARINGS)
    blocked = np.maximum(0.0, 1.2 - free)
    best = int(np.argmin(off_goal + 0.4 * off_heading + 8.0 * blocked))
    if best == int(np.argmin(off_goal)):
        return bearing
    return math.remainder(float(BEARINGS[best]), 2 * math.pi)


def felt_of(others: Sequence[Point], gait: Gait) -> Array:
    """(RAYS,) how far off the nearest of the others is along each ray, up to REACH."""
    felt = np.full(RAYS, REACH)
    for x, y in others:
        dx, dy = x - gait.x, y - gait.y
        bearing = math.atan2(dy, dx) - gait.heading - BEARINGS
        along, across = math.hypot(dx, dy) * np.cos(bearing), math.hypot(dx, dy) * np.sin(bearing)
        met = along - np.sqrt(np.maximum(0.0, PERSON**2 - across**2))
        felt = np.where((along > 0) & (np.abs(across) < PERSON), np.minimum(felt, np.maximum(met, 0.0)), felt)
    return felt


def root_pose(mover: Mover, gait: Gait) -> Array:
    """(4, 4) body to world of the creature's root."""
    cos, sin = math.cos(gait.heading), math.sin(gait.heading)
    height = mover.ground + mover.hover + mover.bob * math.sin(4 * math.pi * gait.strides)  # two steps to a stride
    return np.array([[cos, -sin, 0, gait.x], [sin, cos, 0, gait.y], [0, 0, 1, height], [0, 0, 0, 1]])


def part_pose(mover: Mover, gait: Gait, part: Part, root: Array) -> tuple[Array, Array]:
    """Position (3,) and quaternion (4,) in the world. The swing dies away as the creature comes to a stand."""
    vigour = min(1.0, gait.pace / mover.speed)
    half = 0.5 * vigour * part.swing * math.sin(2 * math.pi * gait.strides + part.phase)
    length = math.sqrt(sum(a * a for a in part.axis)) or 1.0
    w, (x, y, z) = math.cos(half), (math.sin(half) * a / length for a in part.axis)
    cos, sin = math.cos(0.5 * gait.heading), math.sin(0.5 * gait.heading)
    turned = np.array([cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w])
    return root[:3, :3] @ np.array(part.pivot) + root[:3, 3], turned
