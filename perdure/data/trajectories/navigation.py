"""Ways through a place: free, in loops, there and back, from room to room; and the long tail: standing, turning."""

import math
from collections.abc import Iterator

import numpy as np

from perdure.data.ground import Point
from perdure.data.trajectories.walker import Gaze, Sight, Walker
from perdure.world.action import Action

QUARTER = 0.5 * math.pi


def free(walker: Walker) -> Iterator[Action]:
    """To places as they come, looking ahead, to the side, or about; now and then standing a while."""
    goal = far_spot(walker, 2.0)
    if goal is not None:
        yield from walker.go(goal, glancing(walker))
    what = walker.random.random()
    if what < 0.25:
        yield from walker.turn(walker.either() * float(walker.random.uniform(0.6, 2.6)))
    elif what < 0.4:
        yield from walker.nod(float(walker.random.uniform(-0.5, 0.4)))
    elif what < 0.55:
        there = walker.sight()
        if there is not None:
            yield from walker.face(there)
        yield from walker.stand(walker.chunks(0.5, 2.0))
    elif what < 0.65:
        yield from walker.retrace(walker.chunks(2.0, 5.0))


def loop(walker: Walker) -> Iterator[Action]:
    """Round and round by the same few places, each round as the one before it."""
    ring = _ring(walker)
    yield from walker.go(ring[0])
    for _ in range(int(walker.random.integers(2, 4))):
        for spot in [*ring[1:], ring[0]]:
            yield from walker.go(spot, near=0.45)


def rectangle(walker: Walker) -> Iterator[Action]:
    """Along the sides of a rectangle, with a quarter turn at each corner; then perhaps the other way round."""
    corners = _rectangle(walker)
    if corners is None:
        return (yield from loop(walker))
    yield from walker.go(corners[0])
    if walker.random.random() < 0.5:
        corners = [corners[0], *corners[:0:-1]]
    for _ in range(int(walker.random.integers(1, 3))):
        for corner in [*corners[1:], corners[0]]:
            yield from walker.face(walker.bearing(corner))
            yield from walker.follow([walker.here, corner])
            yield from walker.stand(int(walker.random.integers(0, 3)))


def there_and_back(walker: Walker) -> Iterator[Action]:
    """Out to a far place, and back: walking backwards, so that all is seen again, or turned about."""
    walker.walked.clear()
    start, goal = walker.here, far_spot(walker, 4.0)
    if goal is None:
        return (yield from free(walker))
    yield from walker.go(goal, glancing(walker))
    if walker.far(start) < 2.0:
        return  # somebody stood in the way: another goal
    yield from walker.stand(walker.chunks(0.3, 1.5))
    if walker.random.random() < 0.65:
        yield from walker.retrace(len(walker.walked))
    else:
        yield from walker.turn(walker.either() * math.pi)
        yield from walker.go(start)
        yield from walker.face(walker.bearing(goal))


def rooms(walker: Walker) -> Iterator[Action]:
    """From one named place to another, as far apart as may be, with a look about in each."""
    for spot in stations(walker, 5):
        yield from walker.go(spot, glancing(walker))
        yield from walker.turn(walker.either() * float(walker.random.uniform(1.5, 4.0)))


def waypoints(walker: Walker) -> Iterator[Action]:
    """By several places; from each a look back to where one came from."""
    for spot in stations(walker, 4, room=0.5):
        came = walker.here
        yield from walker.go(spot, glancing(walker))
        if walker.far(came) > 1.0:
            yield from walker.face(walker.bearing(came))
            yield from walker.stand(walker.chunks(0.5, 1.5))


def stand(walker: Walker) -> Iterator[Action]:
    """Standing still; after a while a look at someone or to the side, and standing again."""
    there = walker.sight()
    if there is not None and walker.walked and walker.random.random() < 2 * walker.interest:
        yield from walker.face(there)
    yield from walker.stand(walker.chunks(6.0, 15.0))
    yield from walker.turn(walker.either() * float(walker.random.uniform(0.3, 1.2)))


def turns(walker: Walker) -> Iterator[Action]:
    """Whole turns on the spot, one to three of them, one way and then the other; then the same elsewhere."""
    side = walker.either()
    for _ in range(int(walker.random.integers(1, 4))):
        yield from walker.turn(side * 2 * math.pi)
        if walker.random.random() < 0.3:
            side = -side
    yield from walker.stand(walker.chunks(0.3, 1.0))
    goal = far_spot(walker, 1.5)
    if goal is not None:
        yield from walker.go(goal)


def backward(walker: Walker) -> Iterator[Action]:
    """Walking with one's back to where one goes, or sideways."""
    goal = far_spot(walker, 2.0)
    if goal is None:
        return
    aside = float(walker.random.choice([math.pi, math.pi, QUARTER, -QUARTER]))
    way = walker.ground.way(walker.here, goal, walker.crowd())
    if len(way) < 2:
        return
    first = walker.bearing(way[1])
    yield from walker.face(first + aside)
    yield from walker.go(goal, lambda heading: heading + aside)
    yield from walker.stand(walker.chunks(0.2, 0.8))


# Where to


def glancing(walker: Walker) -> Gaze:
    """Looking ahead, at creatures, or somewhat to one side, changing now and then."""
    until, aside, curious = 0, 0.0, False

    def gaze(heading: float) -> Sight:
        nonlocal until, aside, curious
        if len(walker.poses) >= until:
            until = len(walker.poses) + walker.chunks(1.0, 3.0)
            curious = walker.random.random() < walker.interest
            calm = walker.random.random() < 0.6
            aside = 0.0 if calm else walker.either() * float(walker.random.uniform(0.4, 1.3))
        there = walker.sight() if curious else None
        return there if there is not None else heading + aside if aside else None

    return gaze


def far_spot(walker: Walker, least: float) -> Point | None:
    """A free spot with some room around it, at least so far off if there is one; None where there is nowhere to go."""
    ground = walker.ground
    room = ground.room[tuple(ground.cells.T)]
    off = np.hypot(*(ground.spots - walker.here).T)
    for far, wide in ((least, 0.4), (0.5 * least, 0.2), (0.6, 0.0)):
        fit = np.flatnonzero((off >= far) & (room >= wide))
        if len(fit):
            x, y = ground.spots[fit[int(walker.random.integers(len(fit)))]]
            return float(x), float(y)
    return None


def stations(walker: Walker, count: int, room: float = 0.3) -> list[Point]:
    """Places to go to one after the other: named ones of the scene, and spots far from each other."""
    named = [place[:2] for place in getattr(walker.scene, "places", {}).values()]
    spots = walker.ground.apart(2 * count, walker.random, room)
    if named:
        order = walker.random.permutation(len(named))[:count]
        spots = [walker.ground.nearest(named[int(n)]) for n in order] + spots[: max(0, count - len(order))]
        return [spots[int(n)] for n in walker.random.permutation(len(spots))]
    first = int(walker.random.integers(count))
    return spots[first : first + count]


def _ring(walker: Walker) -> list[Point]:
    """Spots around some middle, by their bearings: round what stands there, or round nothing."""
    islands = walker.ground.islands
    if islands and walker.random.random() < 0.7:
        x, y, radius = islands[int(walker.random.integers(len(islands)))]
    else:
        x, y = walker.ground.apart(1, walker.random, 0.8)[0]
        radius = 0.5
    spots, room = walker.ground.spots, walker.ground.room[tuple(walker.ground.cells.T)]
    off, at = np.hypot(*(spots - (x, y)).T), np.arctan2(spots[:, 1] - y, spots[:, 0] - x)
    count = int(walker.random.integers(4, 7))
    side, start = walker.either(), float(walker.random.uniform(-math.pi, math.pi))
    out: list[Point] = []
    for n in range(count):
        turned = np.abs(np.remainder(at - start - side * 2 * math.pi * n / count + math.pi, 2 * math.pi) - math.pi)
        fit = np.flatnonzero((turned < 0.35) & (off > radius + 0.4) & (off < radius + 3.0) & (room >= 0.3))
        if len(fit):
            a, b = spots[fit[int(walker.random.integers(len(fit)))]]
            out.append((float(a), float(b)))
    return out if len(out) >= 3 else walker.ground.apart(3, walker.random)


def _rectangle(walker: Walker) -> list[Point] | None:
    """The corners of the largest of some rectangles whose sides are free to walk."""
    spots = walker.ground.spots
    best: tuple[float, list[Point]] = 0.0, []
    for _ in range(80):
        x, y = spots[int(walker.random.integers(len(spots)))]
        a, b = walker.random.uniform(0.8, 4.0, 2)
        turned = 0.0 if walker.random.random() < 0.7 else float(walker.random.uniform(0, QUARTER))
        c, s = math.cos(turned), math.sin(turned)
        corners = [(float(x + p * a * c - q * b * s), float(y + p * a * s + q * b * c))
                   for p, q in ((1, 1), (-1, 1), (-1, -1), (1, -1))]  # fmt: skip
        sides = zip(corners, [*corners[1:], corners[0]])
        if a * b > best[0] and all(walker.ground.straight(p, q, 0.1) for p, q in sides):
            best = float(a * b), corners
    if not best[1]:
        return None
    first = min(range(4), key=lambda n: walker.far(best[1][n]))
    return best[1][first:] + best[1][:first]
