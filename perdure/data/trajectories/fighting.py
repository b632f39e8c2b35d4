"""Fighting: up to a creature, turned to it, a stroke of one's own body, then a step back or a guard; till one falls.

Who it hits, and what comes of that, is read from the state; whoever has no body to strike with goes about freely.
"""

import math
from collections.abc import Generator, Iterator

from perdure.data.directing.roles import AIM, MINE, phrased
from perdure.data.trajectories.navigation import free
from perdure.data.trajectories.walker import Walker
from perdure.world.action import Action, Word
from perdure.world.deed import Condition
from perdure.world.mover import Mover

STROKES = (5, 10)  # in one fight
WAY = 60  # chunks to come within reach
LONGEST = 24  # chunks of a stroke
GUARDS = 0.4  # how often one guards, who can, and does not step back


def fight(walker: Walker) -> Iterator[Action]:
    """One fight, with whoever is nearest and lives."""
    movers = {mover.entity: mover for mover in walker.world.physics.mechanism.creatures}
    me, living = movers.get(0), [entity for entity in walker.creatures if _alive(walker, entity)]
    able = [n for n, deed in enumerate(me.deeds) if deed.strokes and not deed.loops] if me else []
    if me is None or not able or not living:
        return (yield from free(walker))
    foe = min(living, key=lambda entity: walker.far(walker.where(entity)))
    guards = [n for n, deed in enumerate(me.deeds) if deed.guard]
    for _ in range(int(walker.random.integers(*STROKES))):
        number = able[int(walker.random.integers(len(able)))]
        stroke = me.deeds[number].strokes[0]
        near = yield from _close(walker, foe, MINE * stroke.reach + movers[foe].girth, min(AIM, stroke.arc))
        if not near:
            return
        yield from _do(walker, me, number, LONGEST)
        if guards and walker.random.random() < GUARDS:
            yield from _do(walker, me, guards[0], walker.chunks(0.6, 1.4))
            yield from _do(walker, me, next(n for n, deed in enumerate(me.deeds) if deed.name == "idle"), 1)
        else:
            yield from _back(walker, foe)
    yield from walker.stand(walker.chunks(0.5, 1.5))


def _state(walker: Walker, entity: int) -> Condition | None:
    return walker.world.physics.condition(entity)


def _alive(walker: Walker, entity: int) -> bool:
    return (state := _state(walker, entity)) is not None and state.alive


def _close(walker: Walker, foe: int, reach: float, arc: float) -> Generator[Action, None, bool]:
    """Up to it, and turned to it; gives whether it is to be struck from there, by one who can."""
    for _ in range(WAY):
        if not (_alive(walker, foe) and _alive(walker, 0)):
            return False
        at, aside = walker.where(foe), math.remainder(walker.bearing(walker.where(foe)) - walker.yaw, 2 * math.pi)
        mine = _state(walker, 0)
        if walker.far(at) <= reach and abs(aside) < arc and mine is not None and not mine.staggered:
            return True
        heading = None
        if walker.far(at) > reach:
            way = walker.ground.way(walker.here, at[:2])
            heading = walker.bearing(way[1] if len(way) > 2 else at)
        yield walker.toward(heading, at[:2])
    return False


def _do(walker: Walker, me: Mover, number: int, most: int) -> Iterator[Action]:
    """Tell one's own body to do something, and stand until it is done."""
    walker.walked.clear()  # deeds are not undone by walking back
    yield Action(words=(Word(0, phrased(me.deeds, number, me.kind, walker.random)),))
    for _ in range(most):
        if not (state := _state(walker, 0)) or not state.commanded:
            return
        yield Action()


def _back(walker: Walker, foe: int) -> Iterator[Action]:
    """A step or two back, with an eye on it."""
    for _ in range(walker.chunks(0.3, 0.8)):
        at = walker.where(foe)
        away = walker.bearing(at) + math.pi
        there = walker.here[0] + 0.6 * math.cos(away), walker.here[1] + 0.6 * math.sin(away)
        blocked = not walker.ground.straight(walker.here, there) or walker.meets(away)
        yield walker.toward(None if blocked else away, at[:2])
