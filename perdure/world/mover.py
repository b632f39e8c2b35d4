"""Creatures: what they are to physics, and how they wander.

A creature is kinematic: nothing pushes it. It walks to waypoints about its home, goes round what
stands in its way, and now and then stops to look about. Every choice is a hash of (world seed,
entity, tick), so the same world always wanders the same way and no generator has to be kept.

Angles are radians, headings grow to the left. Quaternions are w, x, y, z.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float]

REACH = 1.6  # metres: how far ahead a creature feels for obstacles
CLEARANCE = 0.6  # metres kept between its root and whatever is ahead
TURNING = 1.8  # radians a second at most
HASTE = 1.5  # metres a second each second, to speed up or slow down
FEELER = 0.6  # radians to each side, where it feels besides straight ahead
PERSON = 0.4  # metres: what is not a wall but moves is avoided as a disc of this radius


@dataclass(frozen=True)
class Part:
    """A mocap body that swings on its creature: `swing * sin(2 pi strides + phase)` radians about `axis`."""

    body: str
    pivot: tuple[float, float, float]  # where it hangs, in the root body's frame
    axis: tuple[float, float, float]  # in the root body's frame
    swing: float  # radians
    phase: float = 0.0


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

    def __post_init__(self) -> None:
        if not (self.speed > 0 and self.stride > 0 and self.radius > 0):
            raise ValueError(
                f"expected a positive speed, stride and radius for the creature {self.body!r}, "
                f"got {self.speed}, {self.stride}, {self.radius}"
            )


@dataclass(frozen=True)
class Gait:
    """Where a creature is in its wandering: all that has to be kept of it between ticks."""

    x: float
    y: float
    heading: float
    strides: float  # cycles walked since the world began
    pace: float  # metres a second, now
    goal: Point
    patience: float  # seconds left before it gives the goal up
    rest: float  # seconds left to stand still
    side: int  # +1 or -1 while it goes round something by its left or right, else 0


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
    return Gait(*mover.home, heading, 0.0, 0.0, mover.home, 0.0, 0.0, 0)


def wander(
    mover: Mover,
    gait: Gait,
    clear: Callable[[float], float],
    others: Sequence[Point],
    seed: int,
    tick: int,
    dt: float,
) -> Gait:
    """The gait one tick later. `clear(heading)` is how far the creature could go that way, up to `REACH`."""
    goal, patience, rest = gait.goal, gait.patience - dt, max(0.0, gait.rest - dt)
    if patience <= 0 or math.dist(goal, (gait.x, gait.y)) < 0.4:
        angle, far, stop = (chance(seed, mover.entity, tick, draw) for draw in range(3))
        out = mover.radius * math.sqrt(far)
        turned = 2 * math.pi * angle
        goal = (mover.home[0] + out * math.cos(turned), mover.home[1] + out * math.sin(turned))
        rest = 1.0 + 8.0 * stop if stop < 0.35 else 0.0
        patience = rest + 2.0 + 1.5 * math.dist(goal, (gait.x, gait.y)) / mover.speed

    ahead, left, right = (
        min(clear(heading), _free_of(others, gait, heading))
        for heading in (gait.heading, gait.heading + FEELER, gait.heading - FEELER)
    )
    side = _side(gait.side, ahead, left, right)
    wish = math.atan2(goal[1] - gait.y, goal[0] - gait.x)
    if rest > 0:
        wish = gait.heading
    elif side:  # going round, until the way ahead is free again
        wish = gait.heading + 1.5 * side
    elif min(left, right) < CLEARANCE:  # brushing past: lean away
        wish = gait.heading + (0.6 if left > right else -0.6)
    turn = math.remainder(wish - gait.heading, 2 * math.pi)
    heading = gait.heading + max(-TURNING, min(TURNING, 3.0 * turn)) * dt

    room = max(0.0, ahead - CLEARANCE)
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
        side,
    )


def _free_of(others: Sequence[Point], gait: Gait, heading: float) -> float:
    """How far the way is free of the player and the other creatures, seen as discs."""
    free = REACH
    for x, y in others:
        dx, dy = x - gait.x, y - gait.y
        along = dx * math.cos(heading) + dy * math.sin(heading)
        across = abs(dy * math.cos(heading) - dx * math.sin(heading))
        if along > 0 and across < PERSON + 0.3:
            free = min(free, max(0.0, along - PERSON))
    return free


def _side(side: int, ahead: float, left: float, right: float) -> int:
    """Which way round: chosen once for each obstacle, or a corner would turn it to and fro for ever."""
    if ahead > 0.8 * REACH:
        return 0
    if side == 0 and ahead < 1.2:
        return 1 if left >= right else -1
    return side


def root_pose(mover: Mover, gait: Gait) -> Array:
    """(4, 4) body to world of the creature's root."""
    cos, sin = math.cos(gait.heading), math.sin(gait.heading)
    height = mover.hover + mover.bob * math.sin(4 * math.pi * gait.strides)  # two steps to a stride
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
