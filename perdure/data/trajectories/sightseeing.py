"""Looking at things: round a landmark or a creature, and close up."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from perdure.data.ground import Point
from perdure.data.trajectories.navigation import far_spot, glancing
from perdure.data.trajectories.walker import Walker
from perdure.world.action import Action

Middle = Callable[[], tuple[float, float, float]]


def orbit(walker: Walker) -> Iterator[Action]:
    """Round a landmark, sideways, with the eyes on it; to and fro where the way round is not free."""
    x, y, z, radius = landmark(walker)
    yield from _round(walker, lambda: (x, y, z), radius)


def orbit_creature(walker: Walker) -> Iterator[Action]:
    """Round a creature, wherever it goes."""
    creatures = walker.creatures
    if not creatures:
        return (yield from orbit(walker))
    entity = creatures[int(walker.random.integers(len(creatures)))]

    def middle() -> tuple[float, float, float]:
        x, y, z = walker.where(entity)
        return x, y, min(z, walker.eye) * 0.8

    side, radius = walker.either(), float(walker.random.uniform(1.8, 2.8))
    for _ in range(walker.chunks(8.0, 16.0)):
        x, y, _ = middle()
        if walker.far((x, y)) > radius + 1.5:
            way = walker.ground.way(walker.here, (x, y))
            heading = walker.bearing(way[min(1, len(way) - 1)]) if len(way) > 1 else None
        else:
            heading = _around(walker, (x, y), radius, side)
            if heading is None:
                side = -side
        yield walker.toward(heading, middle())


def close_look(walker: Walker) -> Iterator[Action]:
    """Up to a landmark, a look over it from top to bottom, a step to the side, another look."""
    x, y, z, radius = landmark(walker)
    spots = walker.ground.spots
    off = np.hypot(*(spots - (x, y)).T)
    near = spots[np.argsort(off, kind="stable")[: max(4, len(off) // 40)]]
    for _ in range(3):
        spot = near[int(walker.random.integers(len(near)))]
        yield from walker.go((float(spot[0]), float(spot[1])), glancing(walker))
        for height in (z, z + 0.6, max(0.1, z - 0.6)):
            yield from walker.face((x, y, height))
            yield from walker.stand(int(walker.random.integers(1, 5)))
    goal = far_spot(walker, 2.5)
    if goal is not None:
        yield from walker.go(goal, lambda _: (x, y, z))


def landmark(walker: Walker) -> tuple[float, float, float, float]:
    """One of the scene's places, or of what stands free in it: x, y, the height to look at, and how wide it is."""
    named = list(getattr(walker.scene, "places", {}).values())
    if named and walker.random.random() < 0.75:
        x, y, z, radius = named[int(walker.random.integers(len(named)))]
        return x, y, z + min(1.1, 1.2 * radius), max(radius, 0.4)  # the larger it is, the higher its middle
    islands = walker.ground.islands
    if islands:
        x, y, radius = islands[int(walker.random.integers(len(islands)))]
        return x, y, float(walker.random.uniform(0.6, 1.4)), radius
    goal = far_spot(walker, 2.0) or walker.here
    return *goal, 1.0, 0.5


def _round(walker: Walker, middle: Middle, wide: float) -> Iterator[Action]:
    """To the best circle about a middle, and along as much of it as is free, once or twice."""
    x, y, _ = middle()
    angles = np.linspace(-math.pi, math.pi, 72, endpoint=False)
    rings: list[tuple[float, float, int, int]] = []
    for radius in wide + np.arange(0.3, 2.8, 0.3):
        free = walker.ground.holds_all(np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], -1))
        start, length = _longest(free)
        if length:
            rings.append((length / 72 - 0.06 * abs(radius - wide - 1.2), float(radius), start, length))
    if not rings:
        return
    _, radius, start, length = max(rings)
    whole = length == 72
    ends = [angles[start % 72], angles[(start + length - 1) % 72]]
    spots: list[Point] = [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in ends]
    first = 0 if whole or walker.far(spots[0]) < walker.far(spots[1]) else 1
    yield from walker.go(spots[first], near=0.4)
    side = walker.either() if whole else (1.0 if first == 0 else -1.0)
    turns = int(walker.random.integers(1, 3)) if whole else int(walker.random.integers(2, 5))
    steps = math.ceil(turns * (length / 72) * 2 * math.pi * radius / walker.step_length) + 6
    stuck = 0
    for _ in range(steps):
        heading = _around(walker, (x, y), radius, side)
        stuck = stuck + 1 if heading is None else 0
        if stuck > 5:
            return
        if heading is None:
            side = -side
            yield walker.toward(None, middle())
            continue
        yield walker.toward(heading, middle())
        if walker.blocked:
            side = -side


def _around(walker: Walker, middle: Point, radius: float, side: float) -> float | None:
    """The heading that leads round a middle at a distance; None where the way is blocked."""
    x, y = walker.here[0] - middle[0], walker.here[1] - middle[1]
    off, at = math.hypot(x, y), math.atan2(y, x)
    correction = max(-0.7, min(0.7, 1.2 * (off - radius)))
    for off_tangent in (correction, 0.0, -0.6):
        heading = at + side * (0.5 * math.pi + off_tangent)
        ahead = walker.here[0] + 0.55 * math.cos(heading), walker.here[1] + 0.55 * math.sin(heading)
        if walker.ground.straight(walker.here, ahead) and not walker.meets(heading):
            return heading
    return None


def _longest(free: np.ndarray) -> tuple[int, int]:
    """The longest run of what is free, round the end: where it begins, and how long it is."""
    if free.all():
        return 0, len(free)
    best, count = (0, 0), 0
    for n, one in enumerate(np.concatenate([free, free])):
        count = count + 1 if one else 0
        if count > best[1]:
            best = n - count + 1, count
    return best
