"""The director: an agent that walks one trajectory and lets things happen on the way."""

import numpy as np

from perdure.camera import Array
from perdure.data.creature import creature
from perdure.data.directing.roles import Role, phrased
from perdure.data.directing.schedule import Direction, dealt
from perdure.data.ground import Point
from perdure.data.scenes import creatures
from perdure.data.scenes.scene import Scene
from perdure.data.trajectories import Walker
from perdure.world import edit
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action, Word
from perdure.world.command import FORCED
from perdure.world.edit import Edit
from perdure.world.events import EVENTS
from perdure.world.state import World

LATER = 9  # chunks until what could not happen is tried again
TRIES = 5
OWN = (15, 50)  # chunks between two deeds of the player's own body


class Director:
    """`Director(...)(world, frames) -> Action`: the walker's steps, everyone's commands, and what happens."""

    def __init__(self, scene: Scene, direction: Direction, walker: Walker, seed: int) -> None:
        self.direction, self.walker, self.random = direction, walker, np.random.default_rng([11, seed])
        self.fights = direction.trajectory == "fight"  # the walker then says what the player's own body does
        self.chunk = 0
        self.roles = [
            Role(mover, scene.names[mover.entity], lines, direction.drama,
                 [m.entity for m in scene.movers if m.entity != mover.entity] + [0] * self.fights,
                 np.random.default_rng([12, seed, n]))
            for n, (mover, lines) in enumerate(zip(scene.movers, direction.deeds))
        ]  # fmt: skip
        self.due = [(round(at * FRAMES_PER_SECOND / FRAMES_PER_CHUNK), kind, TRIES) for at, kind in direction.events]
        self.asked: tuple[str, str, int] | None = None  # kind, words and tries left of what was asked for last
        self.seed = seed
        self.random_own = np.random.default_rng([15, seed])
        self.next = int(self.random_own.integers(*OWN))  # chunk in which the player's own body does something

    def __call__(self, world: World, frames: object = None) -> Action:
        self._see(world)
        if not self.fights and (doing := world.physics.condition(0)) is not None and doing.commanded:
            step = Action()  # it stands still while its own body does something
        else:
            step = self.walker(world, frames)
        words = tuple(word for role in self.roles if (word := role(world, self.chunk)) is not None)
        events, edits = self._events(world)
        words = (*words, *step.words, *self._own(world))
        self.chunk += 1
        return Action(step.keys, step.turn, step.tilt, step.hand, words, events, edits, step.path)

    def _own(self, world: World) -> tuple[Word, ...]:
        """What the player's own body is to do, every few seconds, if it has one; never what only makes sense afoot."""
        me = [mover for mover in world.physics.mechanism.creatures if mover.entity == 0]
        if not me or self.chunk < self.next or self.direction.view == "vehicle" or self.fights:
            return ()
        deeds = me[0].deeds
        able = [n for n, deed in enumerate(deeds) if not deed.loops and not deed.holds and deed.name not in FORCED]
        self.next = self.chunk + int(self.random_own.integers(*OWN))
        deed = able[int(self.random_own.integers(len(able)))]
        return (Word(0, phrased(deeds, deed, me[0].kind, self.random_own)),)

    def _see(self, world: World) -> None:
        """What was asked for and could not be is asked for again, a little later, in other words."""
        if self.asked is None:
            return
        kind, words, tries = self.asked
        self.asked = None
        for event in list(world.history.events[-6:]):
            if event.kind == "reject" and event.args.get("said") == words and tries > 1:
                self.due.append((self.chunk + LATER, kind, tries - 1))
                return

    def _events(self, world: World) -> tuple[tuple[str, ...], tuple[Edit, ...]]:
        """One at a time, so that each has its own words."""
        ready = [item for item in self.due if item[0] <= self.chunk]
        if not ready:
            return (), ()
        item = ready[0]
        self.due.remove(item)
        kind, tries = item[1], item[2]
        words = str(self.random.choice(np.array(EVENTS[kind].phrases)))
        edits: tuple[Edit, ...] = ()
        if kind == "creature":
            newcomer = self._newcomer(world)
            if newcomer is None:
                self.due.append((self.chunk + LATER, kind, tries - 1))
                return (), ()
            words, edits = newcomer
        self.asked = kind, words, tries
        return (words,), edits

    def _newcomer(self, world: World) -> tuple[str, tuple[Edit, ...]] | None:
        """Someone new, on free ground in view, and how that is told; None where there is no room."""
        spots = ahead(self.walker.ground.spots, self.walker.here, self.walker.yaw, 2.2, 6.0, 0.4)
        ground = self.walker.ground
        fit = [p for p in spots if ground.straight(self.walker.here, p) and ground.level(p)]
        there = [self.walker.where(entity) for entity in self.walker.creatures]
        fit = [p for p in fit if all(np.hypot(p[0] - x, p[1] - y) > 1.2 for x, y, _ in there)]
        if not fit:
            return None
        home = fit[int(self.random.integers(len(fit)))]
        kind = dealt(self.seed % 1009, tuple(creatures.KINDS), 0, "newcomer")
        looks = int(self.random.integers(64))
        number = 1 + max([*(entity.id for entity in world.entities), *world.physics.entities])
        entity, body = creature(kind, number, home, looks, ground=round(ground.high(home), 3))
        mover, name = body.mover, entity.name
        assert mover is not None
        self.roles.append(
            Role(mover, name, ("wave", "walk", "leap"), "each", (), np.random.default_rng([13, self.seed]))
        )
        words = str(self.random.choice(np.array(EVENTS["creature"].phrases)))
        return words, (edit.add(entity, body),)


def ahead(spots: Array, eye: Point, yaw: float, near: float, far: float, wide: float) -> list[Point]:
    """Those of the spots (N, 2) that lie so far before an eye, and no more than so many radians to either side."""
    off = np.hypot(*(spots - eye).T)
    aside = np.remainder(np.arctan2(spots[:, 1] - eye[1], spots[:, 0] - eye[0]) - yaw + np.pi, 2 * np.pi) - np.pi
    return [(float(x), float(y)) for x, y in spots[(off > near) & (off < far) & (np.abs(aside) < wide)]]
