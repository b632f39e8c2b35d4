"""The camera that follows a body, for third person: where it is, a pure function of where the body went.

It hangs on a boom behind a pivot above the body. Pivot and heading trail the body as critically damped
springs do, solved exactly, so the camera starts and stops softly and never swings past; the boom
shortens at once where something stands in the way, and grows back slowly. From the body's middle to the
pivot and from there to the camera the way is clear, so the camera is never inside of what the body is not.

A body's pose is 4x4, body to world: x forward, y left, z up. Headings grow to the left, angles are radians.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import look

Array = NDArray[np.float64]
Free = Callable[[Array, Array], float]
"""How far it is free from a point (3,) along a direction (3,) of length 1, in metres; inf where nothing stands.
The body itself, and what it carries, stands in nobody's way."""

MARGIN = 0.15  # metres kept from whatever is met: more than the near plane of any camera of ours
PITCH = math.radians(70.0)  # most that the boom is raised or lowered


@dataclass(frozen=True)
class Mount:
    """How a kind of body is followed; metres and seconds."""

    middle: float  # of the body, above its origin: a point inside it
    height: float  # of the pivot above the origin
    distance: float  # of the camera behind the pivot
    rise: float  # of the camera above the pivot
    ahead: float  # in front of the pivot: where it looks
    lead: float  # seconds of the body's motion that it looks ahead further
    lag: float  # by which the pivot trails the body
    turn_lag: float  # by which the heading does
    grow: float = 0.5  # in which the boom grows back
    rolls: bool = False  # on wheels: it turns only as it goes, and never sideways

    def __post_init__(self) -> None:
        for name in ("distance", "ahead", "lag", "turn_lag", "grow"):
            if not getattr(self, name) > 0:
                raise ValueError(f"expected a positive {name} of a mount, got {getattr(self, name)}")


ON_FOOT = Mount(middle=0.9, height=1.5, distance=2.4, rise=0.3, ahead=4.0, lead=0.2, lag=0.1, turn_lag=0.2)
QUADRUPED = Mount(middle=0.0, height=0.5, distance=2.0, rise=0.5, ahead=3.0, lead=0.3, lag=0.15, turn_lag=0.3)
CART = Mount(middle=0.6, height=1.3, distance=5.0, rise=1.2, ahead=9.0, lead=0.5, lag=0.25, turn_lag=0.5, rolls=True)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Chase:
    """Where the camera is in its following: all that has to be kept of it between frames."""

    pivot: Triple
    velocity: Triple
    heading: float
    turning: float  # radians a second
    boom: float  # how much of it is out, 0 to 1


def follow(
    mount: Mount, body: Array, free: Free, chase: Chase | None, seconds: float, pitch: float = 0.0
) -> tuple[Chase, Array]:
    """The camera (4, 4) `seconds` after the last, and what to give back for the next; `chase` is None at first.

    `pitch` is how far up the one who plays looks: the camera sinks as it rises.
    """
    origin, up = body[:3, 3], np.array([0.0, 0.0, 1.0])
    heading = math.atan2(body[1, 0], body[0, 0])
    middle = origin + mount.middle * up
    head = _clear(middle, origin + mount.height * up, free)
    if chase is None:
        place: Triple = (float(head[0]), float(head[1]), float(head[2]))
        chase, fresh = Chase(place, (0.0, 0.0, 0.0), heading, 0.0, 1.0), True
    else:
        fresh = False
    moved = [_trail(p, v, float(h), mount.lag, seconds) for p, v, h in zip(chase.pivot, chase.velocity, head)]
    near = chase.heading + math.remainder(heading - chase.heading, 2 * math.pi)
    turned, turning = _trail(chase.heading, chase.turning, near, mount.turn_lag, seconds)
    velocity = np.array([v for _, v in moved])
    pivot = _clear(head, np.array([p for p, _ in moved]), free)

    pitch = max(-PITCH, min(PITCH, pitch))
    ahead = np.array([math.cos(turned) * math.cos(pitch), math.sin(turned) * math.cos(pitch), math.sin(pitch)])
    boom = mount.rise * up - mount.distance * ahead
    room = _room(pivot, boom, free)
    grown = 1.0 if fresh else 1.0 + (chase.boom - 1.0) * math.exp(-seconds / mount.grow)
    out = min(grown, room)
    eye = pivot + out * boom
    lead = mount.lead * velocity
    lead *= min(1.0, 0.5 * mount.ahead / max(1e-9, float(np.linalg.norm(lead))))
    gaze = pivot + mount.ahead * ahead + lead - eye
    camera = look(eye, math.atan2(gaze[1], gaze[0]), math.atan2(gaze[2], math.hypot(gaze[0], gaze[1])))
    (x, vx), (y, vy), (z, vz) = moved
    return Chase((x, y, z), (vx, vy, vz), math.remainder(turned, 2 * math.pi), turning, out), camera


def _trail(at: float, speed: float, goal: float, lag: float, seconds: float) -> tuple[float, float]:
    """A critically damped spring's place and speed after a while; behind what moves evenly it stays by `lag`."""
    rate = 2.0 / lag
    fade, off = math.exp(-rate * seconds), at - goal
    pull = speed + rate * off
    return goal + (off + pull * seconds) * fade, (speed - rate * pull * seconds) * fade


def _clear(start: Array, end: Array, free: Free) -> Array:
    """The end, or where one comes to on the way there without meeting anything."""
    way = end - start
    length = float(np.linalg.norm(way))
    if length < 1e-9:
        return start
    return start + way * min(1.0, max(0.0, free(start, way / length) - MARGIN) / length)


def _room(pivot: Array, boom: Array, free: Free) -> float:
    """How much of the boom fits, 0 to 1: the least along it and along four ways that end a margin beside it."""
    ahead = boom / np.linalg.norm(boom)
    side = np.cross(ahead, (0.0, 0.0, 1.0))
    side /= np.linalg.norm(side)
    above = np.cross(side, ahead)
    least = 1.0
    for aside in (0.0 * side, side, -side, above, -above):
        way = boom + MARGIN * aside
        length = float(np.linalg.norm(way))
        least = min(least, max(0.0, free(pivot, way / length) - MARGIN) / length)
    return least
