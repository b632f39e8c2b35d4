"""The walker: an agent that follows a script, made of legs that it walks with care.

A script is a generator of actions that may look at where the walker stands; when it ends it begins again. The legs
are what scripts are made of: they look before each step, wait for creatures, and never push against a wall for long.

    agent = Walker(scene, seed, script)
    action = agent(world, frames)

Feet and eyes are led apart: of the eight ways that keys can go, that one is taken which leaves the eyes nearest to
where they are to look, and the mouse turns so that the feet go just where the way leads.

Angles are radians, positions metres.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perdure.camera import look
from perdure.data.ground import Ground, Point
from perdure.data.scenes.scene import Scene
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action, Hand, Keys
from perdure.world.body import Pose
from perdure.world.state import World

Array = NDArray[np.float64]
Script = Callable[["Walker"], Iterator[Action]]
Sight = Sequence[float] | float | None
"""Where to look: a point (x, y, perhaps z), a bearing, or None for where the feet go."""
Gaze = Callable[[float], Sight]
"""Where to look while one walks along a heading."""

CHUNK = FRAMES_PER_CHUNK / FRAMES_PER_SECOND  # seconds
AHEAD = 0.7  # metres along its way that a walker aims at
THERE = 0.3  # metres from a goal at which one is there
ASKEW = 0.5  # radians that the feet may go off their way
EASE = 0.1  # radians a chunk by which turning gets faster or slower, in a chunk
BERTH = 1.0  # metres that are kept from the middle of a creature
WAIT = 5  # chunks to wait for one that stands in the way
SEEN = 6.0  # metres within which a creature is worth a look
OPEN = 1.3  # metres of free ground ahead, with less than which there is little to look at
MOVES = Keys.FORWARD | Keys.BACK | Keys.LEFT | Keys.RIGHT

WAYS = (
    Keys.FORWARD, Keys.FORWARD | Keys.LEFT, Keys.LEFT, Keys.BACK | Keys.LEFT,
    Keys.BACK, Keys.BACK | Keys.RIGHT, Keys.RIGHT, Keys.FORWARD | Keys.RIGHT,
)  # fmt: skip
"""Keys by the way that they go: eighths of a turn, to the left."""


class Walker:
    def __init__(self, scene: Scene, seed: int, script: Script) -> None:
        self.scene = scene
        self.random = np.random.default_rng([7, seed])
        self.walked: list[Action] = []  # what can be undone by walking it backwards
        self.poses: list[Array] = []  # of the eye, a chunk each
        self.haste = float(self.random.uniform(0.16, 0.34))  # radians a chunk that it turns at most
        self.level = float(self.random.uniform(-0.12, 0.02))  # pitch at which it looks ahead
        self.interest = 0.4  # how often it would rather look at creatures than anywhere else
        self.asked = self.stopped = 0  # chunks in which it meant to move, and in which it hardly did
        self.blocked = False  # whether the last step was one of those
        self._script = script
        self._steps: Iterator[Action] | None = None
        self._turning = 0.0
        self._last = Action()

    def __call__(self, world: World, frames: object = None) -> Action:
        self.world = world
        x, y, self.yaw, self.pitch = Pose.from_bytes(world.physics.pose(0) or b"").place
        before, self.here = getattr(self, "here", None), (x, y)
        self.blocked = False
        if before is not None and self._last.keys & MOVES:
            self.asked += 1
            self.blocked = math.dist(before, self.here) < 0.3 * self.step_length
            self.stopped += self.blocked
        self.poses.append(look(np.array([x, y, self.eye]), self.yaw, self.pitch))
        if self._steps is None:
            self.survey()
            self._steps = self._forever()
        self._last = next(self._steps)
        self.walked.append(self._last)
        return self._last

    def _forever(self) -> Iterator[Action]:
        while True:
            idle = True
            for action in self._script(self):
                idle = False
                yield action
            for action in self.look_out():
                idle = False
                yield action
            if idle:
                yield Action()  # there was nothing to be done

    # What it knows

    @property
    def eye(self) -> float:
        """Its height in the world; of one who is followed by a camera, that of its own eye."""
        physics = self.world.physics
        if physics.mechanism.mount is None:
            return float(self.world.motion.cameras[-1, 2, 3])
        return physics.standing + physics.mechanism.compiled.eye

    @property
    def step_length(self) -> float:
        return self.world.physics.mechanism.rates.walk * CHUNK

    def survey(self) -> None:
        """Look anew where one can walk."""
        self.ground = Ground.around(self.world.physics, self.scene.extent)

    def where(self, entity: int) -> tuple[float, float, float]:
        x, y, z = self.world.motion.bodies[entity][-1, :3, 3]
        return float(x), float(y), float(z)

    @property
    def creatures(self) -> list[int]:
        return [mover.entity for mover in self.world.physics.mechanism.creatures if mover.entity]

    @property
    def things(self) -> list[int]:
        """What can be taken up."""
        return [seat.entity for seat in self.world.physics.mechanism.compiled.things if seat.kind == "free"]

    @property
    def doors(self) -> list[int]:
        return [seat.entity for seat in self.world.physics.mechanism.compiled.things if seat.aim >= 0]

    def sight(self) -> tuple[float, float, float] | None:
        """What there is to look at: the creature that is nearest, or the middle of two; None if none is in view."""
        seen = sorted((self.far(self.where(entity)), *self.where(entity)) for entity in self.creatures)
        seen = [at for far, *at in seen if far < SEEN and self._free(self.bearing(at)) > min(far, SEEN) - 1.0]
        if not seen:
            return None
        x, y, z = np.mean(seen[:2], axis=0)
        return float(x), float(y), min(float(z), self.eye)

    def crowd(self) -> list[tuple[float, float, float]]:
        """Circles that creatures stand in."""
        return [(*self.where(entity)[:2], BERTH) for entity in self.creatures]

    def bearing(self, to: Sequence[float]) -> float:
        return math.atan2(to[1] - self.here[1], to[0] - self.here[0])

    def far(self, to: Sequence[float]) -> float:
        return math.dist(self.here, to[:2])

    def chunks(self, low: float, high: float) -> int:
        """How many there are in about so many seconds."""
        return max(1, round(float(self.random.uniform(low, high)) / CHUNK))

    def either(self) -> float:
        return float(self.random.choice([-1, 1]))

    # Legs

    def stand(self, chunks: int) -> Iterator[Action]:
        self._turning = 0.0
        for _ in range(chunks):
            yield Action()

    def turn(self, angle: float) -> Iterator[Action]:
        """Turn on the spot, by the keys (15 degrees a chunk) or by a hand on the mouse."""
        key = self.world.physics.mechanism.rates.turn * CHUNK
        if self.random.random() < 0.4:
            yield from [Action(Keys.TURN_LEFT if angle > 0 else Keys.TURN_RIGHT)] * max(1, round(abs(angle) / key))
            return
        steps = max(2, math.ceil(1.6 * abs(angle) / (self.haste + 0.05)))
        ease = np.sin(np.pi * (np.arange(steps) + 0.5) / steps) ** 0.7
        yield from (Action(turn=float(t)) for t in angle * ease / ease.sum())

    def nod(self, tilt: float) -> Iterator[Action]:
        """Look up or down, and back."""
        steps = max(2, math.ceil(abs(tilt) / 0.12))
        there = [Action(tilt=tilt / steps)] * steps
        yield from there
        yield from self.stand(int(self.random.integers(1, 5)))
        yield from (action.reversed() for action in reversed(there))

    def face(self, at: Sequence[float] | float, chunks: int = 30) -> Iterator[Action]:
        """Turn until one looks there: a bearing, or a point."""
        for _ in range(chunks):
            bearing, pitch = self._sight(at)
            if abs(math.remainder(bearing - self.yaw, 2 * math.pi)) < 0.03 and abs(pitch - self.pitch) < 0.03:
                return
            yield self.toward(None, at)

    def look_out(self) -> Iterator[Action]:
        """Turn away from a wall that one faces close up, to where one sees farthest."""
        if self._free(self.yaw) >= OPEN:
            return
        ways = self.yaw + np.linspace(-math.pi, math.pi, 16, endpoint=False)
        free = [self._free(float(way)) + float(self.random.uniform(0.0, 1.0)) for way in ways]
        yield from self.turn(math.remainder(float(ways[int(np.argmax(free))]) - self.yaw, 2 * math.pi))

    def go(self, goal: Point, gaze: Gaze | None = None, near: float = THERE) -> Iterator[Action]:
        """Walk to a place, round what stands and who walks there."""
        for _ in range(2):  # ways that are tried
            way = self.ground.way(self.here, goal, self.crowd())
            if len(way) < 2 or self.far(way[-1]) < near:
                return
            yield from self.follow(way, gaze, near)
            if not self.blocked and not self.meets(self.bearing(goal)):
                return

    def follow(self, way: Sequence[Point], gaze: Gaze | None = None, near: float = THERE) -> Iterator[Action]:
        """Walk along these points; it ends where the way does, or where it is blocked."""
        track, at, waited = drawn(way), 0, 0
        while self.far(track[-1]) > near or at < len(track) - 12:
            at += int(np.argmin(np.hypot(*(track[at : at + 12] - self.here).T)))
            if at >= len(track) - 2 and self.far(track[-1]) < self.step_length:
                return  # as near as steps come
            to = min(len(track) - 1, at + round(AHEAD / SPACING))
            while to > at + 2 and not self.ground.straight(self.here, _point(track[to])):
                to -= 1
            heading = self.bearing(track[to])
            if self.meets(heading):
                waited += 1
                if waited > WAIT:
                    return
                yield self.toward(None, self._nearest())
                continue
            yield self.toward(heading, None if gaze is None else gaze(heading))
            if self.blocked:
                self._blame(heading)
                return

    def retrace(self, chunks: int) -> Iterator[Action]:
        """Undo the last chunks: every view is seen again, the last first."""
        back = [action.reversed() for action in reversed(self.walked[-chunks:])]
        del self.walked[-len(back) :]
        self._turning = 0.0
        for count, action in enumerate(back):
            waited = 0
            while action.keys & MOVES and self.meets(self.yaw + _heading(action)) and waited < 3 * WAIT:
                waited += 1
                yield Action()
                self.walked.pop()
            if waited == 3 * WAIT or (self.blocked and count):
                self.walked.clear()
                return
            yield action
            self.walked.pop()  # what was undone is not to be undone again

    def use(self, hand: Hand) -> Iterator[Action]:
        self.walked.clear()  # deeds are not undone by walking back
        yield Action(hand=hand)

    # A step

    def toward(self, heading: float | None, at: Sight = None) -> Action:
        """One step along a heading, or none, looking at a point, along a bearing, or where the feet go."""
        sight, pitch = (heading, self.level) if at is None else self._sight(at)
        way = 0
        if heading is not None and at is not None and sight is not None:
            way = round(math.remainder(heading - sight, 2 * math.pi) / (math.pi / 4)) % 8
        if heading is not None:
            sight = heading - way * math.pi / 4
        turn = self._eased(0.0 if sight is None else math.remainder(sight - self.yaw, 2 * math.pi))
        keys = Keys(0)
        if heading is not None:
            middle = self.yaw + 0.5 * turn
            if at is not None:  # while the eyes come round, the feet go as near as they can
                way = round(math.remainder(heading - middle, 2 * math.pi) / (math.pi / 4)) % 8
            if abs(math.remainder(heading - middle - way * math.pi / 4, 2 * math.pi)) < ASKEW:
                keys = WAYS[way]
        tilt = max(-0.12, min(0.12, 0.5 * (pitch - self.pitch)))
        return Action(keys, turn, tilt if abs(tilt) > 1e-3 else 0.0)

    def _eased(self, wanted: float) -> float:
        """Mouse travel of this chunk, so that turning begins and ends softly."""
        aim = max(-self.haste, min(self.haste, 0.55 * wanted))
        self._turning += max(-EASE, min(EASE, aim - self._turning))
        if abs(wanted) < 0.02 and abs(self._turning) < 0.03:
            self._turning = wanted
        return self._turning

    def _sight(self, at: Sequence[float] | float) -> tuple[float, float]:
        """The bearing and the pitch at which one looks there."""
        if isinstance(at, float | int):
            return float(at), self.level
        if len(at) < 3:
            return self.bearing(at), self.level
        limit = self.world.physics.mechanism.rates.pitch_limit
        return self.bearing(at), max(-limit, min(limit, math.atan2(at[2] - self.eye, max(self.far(at), 0.3))))

    def meets(self, heading: float) -> bool:
        """Whether a step along a heading comes too near to a creature."""
        there = self.here[0] + 0.5 * math.cos(heading), self.here[1] + 0.5 * math.sin(heading)
        return any(math.dist(there, (x, y)) < min(BERTH, self.far((x, y))) for x, y, _ in self.crowd())

    def _free(self, way: float) -> float:
        """How far one could walk along a bearing, up to SEEN."""
        along = np.arange(0.2, SEEN, 0.2)[:, None] * np.array([math.cos(way), math.sin(way)]) + self.here
        blocked = ~self.ground.holds_all(along)
        return 0.2 * (int(np.argmax(blocked)) if blocked.any() else len(along))

    def _nearest(self) -> tuple[float, float, float]:
        """Where the nearest creature is."""
        x, y, z = min((self.where(entity) for entity in self.creatures), key=self.far)
        return x, y, min(z, self.eye)

    def _blame(self, heading: float) -> None:
        """What stopped it is taken for blocked from now on, whatever it is."""
        x, y = self.here[0] + 0.3 * math.cos(heading), self.here[1] + 0.3 * math.sin(heading)
        free = self.ground.free.copy()
        i, j = self.ground.cell((x, y))
        free[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2] = False
        i, j = self.ground.cell(self.here)
        free[i, j] = True
        self.ground = replace(self.ground, free=free)


SPACING = 0.1  # metres between the points of a way that is walked


def drawn(way: Sequence[Point]) -> Array:
    """(N, 2) points along a way, evenly spaced, with its corners cut a little so that a walk can take them."""
    points = np.array(way, np.float64)
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0.0, along[-1], 2 + int(along[-1] / SPACING))
    return np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], -1)


def _point(row: Array) -> Point:
    return float(row[0]), float(row[1])


def _heading(action: Action) -> float:
    """The way that its keys go, off the way one faces."""
    forward, left, _, _ = action.axes
    return math.atan2(left, forward)
