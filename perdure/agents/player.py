"""Scripted players: they walk, look and come back, so that clips and tests are dense in revisits.

An agent is a callable `(world, frames) -> Action`, called once a chunk. These look only at where
they stand, so the same seed in the same world always walks the same way.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from perdure.world.action import WALK, Action, Keys
from perdure.world.state import World

SECONDS_PER_CHUNK = 4 / 24


class Explorer:
    """Wanders: strides, curves, looks about, stands still, and often retraces its steps."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.plan: deque[Action] = deque()
        self.walked: list[Action] = []
        self.last: NDArray[np.float64] | None = None
        self.asked = False  # whether the last action asked to move

    def __call__(self, world: World, frames: object = None) -> Action:
        here = world.motion.cameras[-1][:3, 3]
        moved = np.inf if self.last is None else float(np.linalg.norm(here - self.last))
        facing = bool(self.plan and self.plan[0].keys & Keys.FORWARD) and clearance(world) < 0.9
        if facing or (self.asked and moved < 0.5 * WALK * SECONDS_PER_CHUNK):
            # A wall: turn away from it rather than push on, for there is little to see or to learn there.
            self.plan = deque(
                [Action(Keys.BACK), *self._turn(float(self.random.choice([-1, 1]) * self.random.uniform(1.2, 2.6)))]
            )
            self.walked.clear()
        if not self.plan:
            self.plan.extend(self._next())
        action = self.plan.popleft()
        self.asked = bool(action.keys & (Keys.FORWARD | Keys.BACK | Keys.LEFT | Keys.RIGHT))
        self.last = here.copy()
        self.walked = [*self.walked[-40:], action]
        return action

    def _turn(self, angle: float) -> list[Action]:
        """A turn by the keys (15 degrees a chunk) or by a hand on the mouse."""
        if self.random.random() < 0.5:
            steps = max(1, round(abs(angle) / np.radians(15)))
            return [Action(Keys.TURN_LEFT if angle > 0 else Keys.TURN_RIGHT)] * steps
        steps = max(2, round(abs(angle) / self.random.uniform(0.12, 0.45)))
        ease = np.sin(np.pi * (np.arange(steps) + 0.5) / steps)
        return [Action(turn=float(t)) for t in angle * ease / ease.sum()]

    def _next(self) -> list[Action]:
        kind = self.random.choice(["walk", "curve", "turn", "glance", "strafe", "back", "retrace", "stand"], p=PLANS)
        length = int(self.random.integers(3, 12))
        if kind == "walk":
            return [Action(Keys.FORWARD, turn=float(self.random.normal(0, 0.01)))] * length
        if kind == "curve":
            return [Action(Keys.FORWARD, turn=float(self.random.uniform(-0.15, 0.15)))] * length
        if kind == "turn":
            return self._turn(float(self.random.choice([-1, 1]) * self.random.uniform(0.4, 3.1)))
        if kind == "glance":
            tilt = float(self.random.uniform(-0.5, 0.35))
            there = [Action(tilt=tilt / 4)] * 4
            return [*there, *[a.reversed() for a in reversed(there)]]
        if kind == "strafe":
            return [
                Action(
                    Keys.LEFT if self.random.random() < 0.5 else Keys.RIGHT,
                    turn=float(self.random.uniform(-0.08, 0.08)),
                )
            ] * length
        if kind == "back":
            return [Action(Keys.BACK)] * (length // 2 + 1)
        if kind == "retrace" and len(self.walked) > 8:
            back = [a.reversed() for a in reversed(self.walked[-int(self.random.integers(8, 33)) :])]
            self.walked.clear()
            return back
        return [Action()] * (length // 3 + 1)


PLANS = (0.27, 0.15, 0.17, 0.08, 0.1, 0.03, 0.15, 0.05)


def clearance(world: World) -> float:
    """Metres to what stands right ahead."""
    near = world.physics.proxy(world.motion, 16, 9)[0, 4:6, 6:10].max()
    return 1 / max(float(near), 1e-3)


class Stroller:
    """Strolls as one would for a film: ahead where it is open, turning early and gently, now and then looking about."""

    ROOM = 1.3  # metres that must be free ahead to go on

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.turning = 0.0  # radians a chunk
        self.taste = 0.0  # the side that it would rather turn to, redrawn now and then
        self.chunk = 0

    def __call__(self, world: World, frames: object = None) -> Action:
        columns, rows = 32, 18
        near = world.physics.proxy(world.motion, columns, rows)[0, rows // 2 - 1 : rows // 2 + 3].max(0)
        free = np.minimum(1 / np.maximum(near, 1e-3), 8.0)
        # As wide as a body: a gap counts as far as its sides reach.
        passable = np.array([free[max(0, i - 4) : i + 5].min() for i in range(columns)])
        lens = world.motion.intrinsics
        angle = np.arctan((lens.cx - (np.arange(columns) + 0.5) * lens.width / columns) / lens.fx)
        if self.chunk % 30 == 0:
            self.taste = float(self.random.normal(0, 0.5))
        wish = passable - 2.0 * np.abs(angle - self.taste)
        ahead = float(passable[12:20].min())
        aim = float(angle[wish.argmax()]) * 0.3
        if ahead < self.ROOM:
            aim = np.copysign(0.2, self.turning or self.taste or 1.0)
        self.turning += float(np.clip(aim - self.turning, -0.05, 0.05))
        self.chunk += 1
        return Action(Keys.FORWARD if ahead > self.ROOM else 0, turn=self.turning)


def there_and_back(seed: int, chunks: int) -> list[Action]:
    """A walk of `chunks` chunks whose second half undoes its first, so each frame has a mirror."""
    if chunks % 2:
        raise ValueError(f"expected an even number of chunks, to go and to come back, got {chunks}")
    random = np.random.default_rng(seed)
    out: list[Action] = []
    while len(out) < chunks // 2:
        turn = float(random.normal(0, 0.06))
        keys = Keys.FORWARD if random.random() < 0.75 else Keys(0)
        if not keys:
            turn = float(random.choice([-1, 1]) * random.uniform(0.1, 0.2))
        out += [Action(keys, turn=turn)] * int(random.integers(3, 9))
    out = out[: chunks // 2]
    return [*out, *[a.reversed() for a in reversed(out)]]
