"""Doing things: to take up, carry, put down, throw and break; to open doors; to follow a creature, or watch several."""

import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from perdure.data.ground import Point
from perdure.data.trajectories.navigation import far_spot, free
from perdure.data.trajectories.sightseeing import orbit_creature
from perdure.data.trajectories.walker import Walker
from perdure.world.action import Action, Hand

ARM = 1.25  # metres from a thing at which one stands to take it
TOGETHER = 5.0  # metres within which two are watched together


def carry(walker: Walker) -> Iterator[Action]:
    """Take something up, carry it elsewhere, put it down, step back and look at it."""
    taken = yield from _take(walker)
    if taken is None:
        return (yield from free(walker))
    goal = far_spot(walker, 2.5)
    if goal is not None:
        yield from walker.go(goal)
    yield from walker.use(Hand.PLACE)
    yield from walker.stand(walker.chunks(0.3, 0.8))
    yield from _look_at(walker, taken)


def throw(walker: Walker) -> Iterator[Action]:
    """Take something up, turn to where there is room, and throw it; see where it goes."""
    taken = yield from _take(walker)
    if taken is None:
        return (yield from free(walker))
    goal = far_spot(walker, 2.0)
    if goal is not None:
        yield from walker.face((*goal, walker.eye + 0.2))
    yield from walker.use(Hand.THROW)
    for _ in range(walker.chunks(1.0, 2.0)):
        yield walker.toward(None, walker.where(taken))
    yield from _look_at(walker, taken)


def smash(walker: Walker) -> Iterator[Action]:
    """Take up something brittle, throw it so that it breaks, and look at the pieces; else throw what there is."""
    brittle = [seat.entity for seat in walker.world.physics.mechanism.compiled.brittle]
    taken = yield from _take(walker, brittle)
    if taken is None:
        return (yield from throw(walker))
    goal = far_spot(walker, 1.5)
    if goal is not None:
        yield from walker.face((*goal, walker.eye - 0.3))
    yield from walker.use(Hand.THROW)
    for _ in range(walker.chunks(1.0, 1.8)):
        yield walker.toward(None, walker.where(taken))
    walker.survey()
    near = walker.ground.nearest(walker.where(taken)[:2])
    yield from walker.go(near, lambda _: walker.where(taken), near=1.1)
    yield from _look_at(walker, taken)


def door(walker: Walker) -> Iterator[Action]:
    """Open a door, go through, and close it behind one."""
    doors = walker.doors
    if not doors:
        return (yield from free(walker))
    entity = min(doors, key=lambda n: walker.far(walker.where(n)))
    x, y, z = walker.where(entity)
    leaf = walker.world.motion.bodies[entity][-1]
    across = math.atan2(leaf[1, 1], leaf[0, 1])
    near = _before(walker, (x, y), (across, across + math.pi))
    if near is None:
        return (yield from free(walker))
    yield from walker.go(near)
    yield from walker.face((x, y, z))
    yield from walker.use(Hand.USE)
    yield from walker.stand(walker.chunks(1.3, 2.2))
    walker.survey()
    beyond = _before(walker, (x, y), (math.atan2(y - near[1], x - near[0]),))
    if beyond is not None:
        yield from walker.go(beyond)
        yield from walker.turn(walker.either() * math.pi)
        yield from walker.face(walker.where(entity))
        if walker.far(walker.where(entity)) < 2.2 and walker.random.random() < 0.6:
            yield from walker.use(Hand.USE)
            yield from walker.stand(walker.chunks(1.3, 2.2))
            walker.survey()
    for _ in range(2):
        yield from free(walker)


def follow(walker: Walker) -> Iterator[Action]:
    """Up to a creature and after it, at a few steps' distance."""
    creatures = walker.creatures
    if not creatures:
        return (yield from free(walker))
    entity = creatures[int(walker.random.integers(len(creatures)))]
    gap, idle = float(walker.random.uniform(1.7, 2.6)), 0
    for _ in range(walker.chunks(10.0, 25.0)):
        if idle > 20:  # it goes nowhere: once round it, then
            return (yield from orbit_creature(walker))
        x, y, z = walker.where(entity)
        heading = None
        if walker.far((x, y)) > gap:
            way = walker.ground.way(walker.here, (x, y))
            if len(way) > 1:
                heading = walker.bearing(way[1])
        if heading is not None and walker.meets(heading):
            heading = None
        idle = 0 if heading is not None else idle + 1
        yield walker.toward(heading, (x, y, 0.7 * z + 0.2))


def watch(walker: Walker) -> Iterator[Action]:
    """Creatures that are busy with each other, from a few steps off, with all of them in view."""
    creatures = walker.creatures
    if len(creatures) < 2:
        return (yield from orbit_creature(walker))
    pair = _nearest_pair(walker)
    if math.dist(walker.where(pair[0])[:2], walker.where(pair[1])[:2]) > TOGETHER:
        return (yield from orbit_creature(walker))
    yield from walker.go(_seat(walker, pair), lambda _: _between(walker, pair))
    side, step = walker.either(), 0
    for step in range(walker.chunks(8.0, 16.0)):
        x, y, z = _between(walker, pair)
        spread = math.dist(walker.where(pair[0])[:2], walker.where(pair[1])[:2])
        wanted = min(5.0, 2.2 + 0.9 * spread)
        off, at = walker.far((x, y)), walker.bearing((x, y))
        heading = None
        if off > wanted + 0.8:
            heading = at
        elif off < wanted - 0.8:
            heading = at + math.pi
        elif step % 24 < 9:  # a little round them, then still
            heading = at + side * 0.5 * math.pi
        if heading is not None:
            ahead = walker.here[0] + 0.6 * math.cos(heading), walker.here[1] + 0.6 * math.sin(heading)
            if not walker.ground.straight(walker.here, ahead) or walker.meets(heading):
                heading, side = None, -side
        yield walker.toward(heading, (x, y, z))


def _take(walker: Walker, those: Sequence[int] | None = None) -> Generator[Action, None, int | None]:
    """Go to the nearest thing, of those if so said, and take it up; gives which, or None."""
    held = walker.world.physics.held
    if held >= 0 and (those is None or held in those):
        return held
    if held >= 0:
        yield from walker.use(Hand.PLACE)
    for entity in sorted(walker.things if those is None else those, key=lambda n: walker.far(walker.where(n)))[:3]:
        x, y, z = walker.where(entity)
        spots = walker.ground.spots
        off = np.hypot(*(spots - (x, y)).T)
        fit = np.flatnonzero((off > 0.8) & (off < ARM))
        if not len(fit):
            continue
        best = spots[fit[int(np.argmin(np.hypot(*(spots[fit] - walker.here).T)))]]
        yield from walker.go((float(best[0]), float(best[1])), near=0.2)
        yield from walker.face(walker.where(entity))
        yield from walker.use(Hand.USE)
        yield from walker.stand(3)
        if walker.world.physics.held == entity:
            walker.survey()
            for _ in range(4):
                yield walker.toward(None, walker.yaw)
            return entity
    return None


def _before(walker: Walker, at: Point, ways: Sequence[float]) -> Point | None:
    """The nearest free spot a step or two before a door, along one of these ways from it; None where there is none."""
    spots = walker.ground.spots
    off, way = np.hypot(*(spots - at).T), np.arctan2(spots[:, 1] - at[1], spots[:, 0] - at[0])
    aside = np.min([np.abs(np.remainder(way - w + math.pi, 2 * math.pi) - math.pi) for w in ways], axis=0)
    fit = spots[(off > 0.9) & (off < 1.8) & (aside < 0.6)]
    if not len(fit):
        return None
    x, y = fit[int(np.argmin(np.hypot(*(fit - walker.here).T)))]
    return float(x), float(y)


def _look_at(walker: Walker, entity: int) -> Iterator[Action]:
    """A look at where a thing has come to lie, from a step away."""
    walker.survey()
    for _ in range(walker.chunks(0.8, 1.6)):
        yield walker.toward(None, walker.where(entity))


def _nearest_pair(walker: Walker) -> tuple[int, int]:
    creatures = walker.creatures
    pairs = [(a, b) for i, a in enumerate(creatures) for b in creatures[i + 1 :]]
    return min(pairs, key=lambda pair: math.dist(walker.where(pair[0])[:2], walker.where(pair[1])[:2]))


def _between(walker: Walker, pair: tuple[int, int]) -> tuple[float, float, float]:
    a, b = (walker.where(entity) for entity in pair)
    return 0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.8


def _seat(walker: Walker, pair: tuple[int, int]) -> Point:
    """A free spot from which both are well seen: off the line between them, three or four metres away."""
    (ax, ay, _), (bx, by, _) = (walker.where(entity) for entity in pair)
    x, y, _ = _between(walker, pair)
    across = math.atan2(by - ay, bx - ax) + 0.5 * math.pi
    spots = walker.ground.spots
    dx, dy = spots[:, 0] - x, spots[:, 1] - y
    aside = np.abs(np.cos(np.arctan2(dy, dx) - across))
    far = np.hypot(dx, dy)
    cost = np.abs(far - 3.4) + 1.5 * (1 - aside) + 0.15 * np.hypot(*(spots - walker.here).T)
    best = spots[np.argsort(cost, kind="stable")[:60]]
    middle = walker.ground.nearest((x, y))
    seat = next((spot for spot in best if walker.ground.straight((float(spot[0]), float(spot[1])), middle)), best[0])
    return float(seat[0]), float(seat[1])
