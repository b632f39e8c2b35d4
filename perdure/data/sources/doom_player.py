"""Scripted players of Doom: explorers of several tempers, and one who fights.

A player is asked once a chunk and answers with a `Press`, which is held for the chunk. He knows the level, where he
is, and what he sees; he draws his whims from a seed.

Shapes: L lines. Lengths are Doom's units, angles radians, counter-clockwise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
from numpy.typing import NDArray

from perdure.data.sources.doom_level import DOORS, Level
from perdure.world.action import Action, Hand, Keys, Word

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP, HEAD = 24.0, 56.0  # the highest step that is climbed, and the lowest lintel that is passed
REACH = 64.0  # of the hand
SWING = math.radians(24.0)  # most that a script turns in a chunk: past that, eyes lose what they see
CELL = 128.0  # side of the squares in which an explorer counts his visits
LIMIT = 640.0  # how far he looks


@dataclass(frozen=True)
class Press:
    """What is held for a chunk."""

    keys: int = 0
    turn: float = 0.0  # radians over the chunk, to the left
    use: bool = False
    attack: bool = False
    why: str = ""  # what he is about, where that says more than his keys

    def action(self) -> Action:
        words = (Word(0, "shoot"),) if self.attack else ()
        return Action(self.keys, self.turn, hand=Hand.USE if self.use else Hand.NONE, words=words)

    def words(self) -> str:
        """The same as a command."""
        forward, left, key, _ = Action(self.keys).axes
        said = []
        if forward or left:
            way = {1: ["forward"], -1: ["back"], 0: []}[forward] + {1: ["left"], -1: ["right"], 0: []}[left]
            said.append(f"{'walk' if forward else 'step'} {' and '.join(way)}")
        turn = key + (math.copysign(1, self.turn) if abs(self.turn) > math.radians(2) else 0)
        if turn:
            said.append("turn left" if turn > 0 else "turn right")
        if self.use:
            said.append("open the door")
        if self.attack:
            said.append("shoot")
        return ", ".join(said) + (f", {self.why}" if said and self.why else "") if said else "stand still"


@dataclass(frozen=True)
class Seen:
    """Somebody in the picture."""

    number: int
    x: float
    y: float
    broad: int  # pixels


@dataclass(frozen=True)
class Sense:
    """What a player knows when he is asked."""

    x: float
    y: float
    yaw: float
    floors: Array
    ceilings: Array
    kills: int = 0
    seen: Sequence[Seen] = ()
    other: tuple[float, float] | None = None  # where the other player is


Player = Callable[[Sense], Press]


@numba.njit(cache=True, nogil=True)
def _clear(lines, sides, blocks, floors, ceilings, x, y, angle, limit):  # type: ignore[no-untyped-def]
    """How far one can walk that way, and the line that then stops one (-1: none within the limit)."""
    dx, dy = math.cos(angle), math.sin(angle)
    best, stop = limit, -1
    for i in range(len(lines)):
        ex, ey = lines[i, 2] - lines[i, 0], lines[i, 3] - lines[i, 1]
        across = dx * ey - dy * ex
        if across == 0.0:
            continue
        px, py = lines[i, 0] - x, lines[i, 1] - y
        t = (px * ey - py * ex) / across
        if t < 0.0 or t >= best:
            continue
        u = (px * dy - py * dx) / across
        if u < 0.0 or u > 1.0:
            continue
        here, there = sides[i, 0], sides[i, 1]
        if across > 0.0:
            here, there = there, here
        if here >= 0 and there >= 0 and not blocks[i]:
            sill = max(floors[here], floors[there])
            if sill - floors[here] <= STEP and min(ceilings[here], ceilings[there]) - sill >= HEAD:
                continue
        best, stop = t, i
    return best, stop


@dataclass
class Walker:
    """What all players can do: see how far the way is free, turn, open doors, notice that they are stuck."""

    level: Level
    rng: np.random.Generator
    heading: float | None = None
    visits: dict[tuple[int, int], int] = field(default_factory=dict)
    before: tuple[float, float] | None = None
    stuck: int = 0
    waiting: int = 0  # chunks to stand before a door that opens

    def free(self, sense: Sense, angle: float, broad: bool = False) -> tuple[float, int]:
        """`_clear`, for a body as broad as his if `broad`."""
        level, found = self.level, (LIMIT, -1)
        for aside in (-15.0, 0.0, 15.0) if broad else (0.0,):
            x, y = sense.x - aside * math.sin(angle), sense.y + aside * math.cos(angle)
            way = _clear(level.lines, level.sides, level.blocks, sense.floors, sense.ceilings, x, y, angle, LIMIT)
            found = min(found, way)
        return found

    def towards(self, sense: Sense, angle: float, keys: int = Keys.FORWARD, why: str = "") -> Press:
        """Turn to an angle, and go on as soon as it is nearly ahead."""
        wanted = math.remainder(angle - sense.yaw, 2 * math.pi)
        turn = max(-SWING, min(SWING, wanted))
        return Press(keys if abs(wanted) < math.radians(50) else 0, turn, why=why)

    def notice(self, sense: Sense) -> None:
        """Count where he was, and for how long he has not got on."""
        cell = math.floor(sense.x / CELL), math.floor(sense.y / CELL)
        self.visits[cell] = self.visits.get(cell, 0) + 1
        gone = math.dist(self.before, (sense.x, sense.y)) if self.before else math.inf
        self.stuck = self.stuck + 1 if gone < 4.0 else 0
        self.before = sense.x, sense.y

    def door(self, sense: Sense) -> Press | None:
        """Lay a hand on the door that stops him."""
        way, line = self.free(sense, sense.yaw)
        if self.waiting:
            self.waiting -= 1
            return Press(why="wait for the door") if way < REACH else None
        if line >= 0 and way < REACH - 8 and int(self.level.special[line]) in DOORS:
            self.waiting = 6
            return Press(use=True)
        return None

    def choose(self, sense: Sense, known: float) -> float:
        """A way that is open; `known` > 0 draws him to where he was, < 0 to where he was not."""
        angles = sense.yaw + np.linspace(-math.pi, math.pi, 16, endpoint=False) + self.rng.uniform(-0.15, 0.15)
        best, way = -math.inf, sense.yaw
        for angle in angles:
            far, line = self.free(sense, float(angle))
            if line >= 0 and int(self.level.special[line]) in DOORS and far < 400:
                far += 300.0  # behind a door there is more
            step = min(far, 256.0)
            cell = tuple(
                math.floor(c / CELL) for c in (sense.x + step * math.cos(angle), sense.y + step * math.sin(angle))
            )
            score = far * self.rng.uniform(0.6, 1.0) + known * min(6, self.visits.get(cell, 0))  # type: ignore[arg-type]
            score -= 60.0 * abs(math.remainder(float(angle) - sense.yaw, 2 * math.pi))
            if score > best:
                best, way = score, float(angle)
        return way


@dataclass
class Explorer(Walker):
    """Goes where the way is open and new, through doors, and looks about himself now and then."""

    known: float = -90.0
    turning: float = 0.0  # what is left of a look around

    def __call__(self, sense: Sense) -> Press:
        self.notice(sense)
        if door := self.door(sense):
            return door
        if self.turning:
            turn = math.copysign(min(abs(self.turning), SWING), self.turning)
            self.turning -= turn
            return Press(turn=turn, why="look around")
        if self.stuck >= 2:
            self.stuck, self.heading = 0, sense.yaw + float(self.rng.uniform(1.2, 5.0))
            return Press(int(self.rng.choice([Keys.BACK, Keys.LEFT, Keys.RIGHT])))
        if self.rng.random() < 0.008:
            self.turning = float(self.rng.choice([-2, 2])) * math.pi
        ahead, line = self.free(sense, self.heading if self.heading is not None else sense.yaw, broad=True)
        through = line >= 0 and int(self.level.special[line]) in DOORS
        if self.heading is None or (ahead < 96 and not through) or self.rng.random() < 0.03:
            self.heading = self.choose(sense, self.known)
        return self.towards(sense, self.heading)


@dataclass
class Follower(Walker):
    """Keeps a wall at his left hand."""

    def __call__(self, sense: Sense) -> Press:
        self.notice(sense)
        if door := self.door(sense):
            return door
        if self.stuck >= 2:
            self.stuck = 0
            return Press(Keys.BACK, -SWING)
        ahead, _ = self.free(sense, sense.yaw, broad=True)
        left, _ = self.free(sense, sense.yaw + math.pi / 2)
        near, _ = self.free(sense, sense.yaw + math.pi / 4)
        if ahead < 72:
            return Press(turn=-SWING)
        error = min(left, near * math.sqrt(0.5)) - 72.0
        turn = max(-SWING, min(0.8 * SWING, 0.004 * error))
        return Press(Keys.FORWARD, turn)


@dataclass
class Returner(Explorer):
    """Goes out for a while, then the same way back, and out again."""

    spell: int = 60  # chunks
    way: list[tuple[float, float]] = field(default_factory=list)
    back: bool = False

    def __call__(self, sense: Sense) -> Press:
        if not self.back:
            if not self.way or math.dist(self.way[-1], (sense.x, sense.y)) > 24:
                self.way.append((sense.x, sense.y))
            self.spell -= 1
            self.back = self.spell <= 0
            return super().__call__(sense)
        self.notice(sense)
        while self.way and (math.dist(self.way[-1], (sense.x, sense.y)) < 56 or self.stuck >= 4):
            self.way.pop()
            self.stuck = 0
        if not self.way:
            self.back, self.spell, self.heading = False, int(self.rng.integers(40, 90)), None
            return Press()
        if door := self.door(sense):
            return door
        x, y = self.way[-1]
        return self.towards(sense, math.atan2(y - sense.y, x - sense.x), why="go back the same way")


@dataclass
class Fighter(Explorer):
    """Explores until he sees a foe; then turns to him, steps aside and shoots, until he takes him for dead."""

    aside: int = int(Keys.LEFT)
    spell: int = 0
    kills: int = 0
    aim: int = -1  # whom he last shot at
    shots: int = 0  # chunks
    done: set[int] = field(default_factory=set)

    def __call__(self, sense: Sense) -> Press:
        if sense.kills > self.kills or self.shots > 36:  # who lies dead looks to him as who stands
            self.done.add(self.aim)
            self.kills, self.shots = sense.kills, 0
        foes = [s for s in sense.seen if s.broad > 3 and s.number not in self.done]
        if not foes:
            return super().__call__(sense)
        self.notice(sense)
        foe = min(foes, key=lambda s: math.dist((s.x, s.y), (sense.x, sense.y)))
        self.shots = self.shots + 1 if foe.number == self.aim else 0
        self.aim = foe.number
        far, angle = math.dist((foe.x, foe.y), (sense.x, sense.y)), math.atan2(foe.y - sense.y, foe.x - sense.x)
        wanted = math.remainder(angle - sense.yaw, 2 * math.pi)
        self.spell -= 1
        if self.spell <= 0:
            self.spell = int(self.rng.integers(3, 12))
            self.aside = int(self.rng.choice([0, Keys.LEFT, Keys.RIGHT]))
        keys = self.aside | (Keys.FORWARD if far > 420 else Keys.BACK if far < 110 else 0)
        # Aim is off by the width of a foe at most; what misses, misses.
        return Press(int(keys), max(-SWING, min(SWING, wanted)), attack=abs(wanted) < math.atan2(24.0, far) + 0.03)


@dataclass
class Rival(Fighter):
    """Fights the other player: goes to where he is, and then does as a fighter does."""

    def __call__(self, sense: Sense) -> Press:
        self.done.clear()  # the other does not lie dead: the clip would be over
        near = math.inf if sense.other is None else math.dist(sense.other, (sense.x, sense.y))
        if not sense.seen and sense.other and self.stuck < 2 and near < 1500:
            angle = math.atan2(sense.other[1] - sense.y, sense.other[0] - sense.x)
            if near < 100 or self.free(sense, angle, broad=True)[0] > min(near, LIMIT) - 40:
                self.notice(sense)
                return self.towards(sense, angle, why="to the other")
        return super().__call__(sense)


TEMPERS = {"explorer": Explorer, "follower": Follower, "returner": Returner, "fighter": Fighter}
TOGETHER = {**TEMPERS, "rival": Rival}
