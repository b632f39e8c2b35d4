"""Roles: what each creature is asked for in words, chunk by chunk, in answer to how it is doing.

A deed that runs once is asked for until it is done, one that loops or holds for a while; then there is a pause, in
which the creature does as it likes. Who staggers is not spoken to, nor the dead.
"""

import math
from collections.abc import Sequence

import numpy as np

from perdure.world.action import Word
from perdure.world.command import understood
from perdure.world.deed import Condition, Deed
from perdure.world.mover import Mover
from perdure.world.state import World

LONGEST = 36  # chunks that anything is asked for
MINE = 0.85  # of a stroke's reach from which a fighter strikes
AIM = 0.5  # radians off its foe from which it turns first

FORMS = (
    "{v}", "{v}", "{v}", "please {v}", "{v} now", "now {v}", "{v}, please", "{v}!", "could you {v}", "will you {v}",
    "{n}, {v}", "{n}: {v}", "{N} {s}", "{N} {s} now", "I want {n} to {v}", "have {n} {v}", "let {n} {v}",
    "make {n} {v}", "you there, {v}", "try to {v}", "it is time to {v}", "{v} for us", "and now {v}", "quickly, {v}",
    "{v} where you are", "show us how you {v}", "{N} is to {v}", "we would like {n} to {v}", "{v}, {n}", "next {v}",
)  # fmt: skip
"""How a deed is asked for: {v} the words for it, {s} the same of someone else, {n} and {N} who is asked."""


class Role:
    """One creature's part in a clip."""

    def __init__(
        self, mover: Mover, name: str, lines: Sequence[str], drama: str, foes: Sequence[int], rng: np.random.Generator
    ) -> None:
        self.mover, self.name, self.drama, self.foes, self.random = mover, name, drama, foes, rng
        self.numbers = {deed.name: n for n, deed in enumerate(mover.deeds)}
        self.lines = [line for line in lines if line in self.numbers]
        self.said = 0  # lines
        self.text = ""
        self.deed: Deed | None = None
        self.since = self.until = 0  # chunks
        self.wait = int(rng.integers(0, 8)) if drama != "dance" else 3

    def __call__(self, world: World, chunk: int) -> Word | None:
        """What it is asked for in this chunk."""
        doing = world.physics.condition(self.mover.entity)
        if doing is None or not self.mover.deeds or self.drama == "quiet":
            return None
        if not doing.alive or doing.staggered:
            self.text, self.wait = "", max(self.wait, chunk + 1)
            return None
        if self.text and not self._goes_on(doing, chunk):
            self.text, self.wait = "", chunk + self._pause()
        if not self.text and chunk >= self.wait:
            self._ask(world, chunk)
        return Word(self.mover.entity, self.text) if self.text else None

    def _goes_on(self, doing: Condition, chunk: int) -> bool:
        assert self.deed is not None
        if self.deed.loops or self.deed.holds:
            return chunk < self.until
        return doing.commanded and doing.clock < 1.0 and chunk < self.since + LONGEST

    def _pause(self) -> int:
        if self.drama == "fight" and self.said >= len(self.lines) // 3:
            return int(self.random.integers(0, 4))
        return int(self.random.choice([0, 2, 5, 9, 16]))

    def _ask(self, world: World, chunk: int) -> None:
        name = self._next(world)
        if name in ("throw", "carry", "drop") and self._empty(world) and self.deed and self.deed.name != "grab":
            name, self.said = "grab", self.said - 1  # that comes after
        if name is None:
            self.wait = chunk + 6
            return
        self.deed, self.since = self.mover.deeds[self.numbers[name]], chunk
        self.text = phrased(self.mover.deeds, self.numbers[name], self.name, self.random)
        self.until = chunk + int(self.random.integers(6, 20))
        if self.drama == "fight" and self.deed.loops:
            self.until = chunk + 3
        elif self.deed.holds and self.drama == "fight":
            self.until = chunk + int(self.random.integers(4, 8))

    def _next(self, world: World) -> str | None:
        """The deed that comes now."""
        if self.drama == "dance" and self.said % 3 != 2:
            self.said += 1
            return next((name for name in ("dance", "wave") if name in self.numbers), None)
        if self.drama == "crossing" and self.said % 3 != 2:
            self.said += 1
            return str(self.random.choice([name for name in ("walk", "run") if name in self.numbers] or ["idle"]))
        if self.drama == "fight":
            foe = self._foe(world)
            if foe is not None:
                self.said += 1
                return self._against(world, foe)
        if not self.lines:
            return None
        self.said += 1
        return self.lines[(self.said - 1) % len(self.lines)]

    def _empty(self, world: World) -> bool:
        """Whether it could take something up, and holds nothing."""
        doing = world.physics.condition(self.mover.entity)
        return "grab" in self.numbers and doing is not None and doing.held < 0

    def _foe(self, world: World) -> int | None:
        """The nearest of its foes that lives."""
        living = [foe for foe in self.foes if (c := world.physics.condition(foe)) is not None and c.alive]
        return min(living, key=lambda foe: self._off(world, foe)[0], default=None)

    def _off(self, world: World, foe: int) -> tuple[float, float]:
        """How far off a foe is, and radians to the left of where this creature faces."""
        mine, theirs = (world.motion.bodies[entity][-1] for entity in (self.mover.entity, foe))
        x, y = theirs[0, 3] - mine[0, 3], theirs[1, 3] - mine[1, 3]
        heading = math.atan2(mine[1, 0], mine[0, 0])
        return math.hypot(x, y), math.remainder(math.atan2(y, x) - heading, 2 * math.pi)

    def _against(self, world: World, foe: int) -> str:
        """Turn to it, go up to it, strike it; sometimes a guard."""
        far, aside = self._off(world, foe)
        strokes = [deed for deed in self.mover.deeds if deed.strokes]
        reach = max((stroke.reach for deed in strokes for stroke in deed.strokes), default=0.0)
        other = next((m for m in world.physics.mechanism.creatures if m.entity == foe), self.mover)
        gap = far - other.girth
        if abs(aside) > AIM and "turn left" in self.numbers:
            return "turn left" if aside > 0 else "turn right"
        if gap > MINE * reach and "walk" in self.numbers:
            return "run" if gap > 3.0 and "run" in self.numbers else "walk"
        guards = [deed.name for deed in self.mover.deeds if deed.guard]
        if guards and self.random.random() < 0.2:
            return str(self.random.choice(guards))
        near = [deed.name for deed in strokes if any(gap < stroke.reach for stroke in deed.strokes)]
        return str(self.random.choice(near)) if near else "walk" if "walk" in self.numbers else "idle"


def phrased(deeds: Sequence[Deed], number: int, name: str, rng: np.random.Generator) -> str:
    """A deed in words, in one of many ways that are understood; the plainest, if some name stands in the way."""
    words = deeds[number].words or (deeds[number].name,)
    for _ in range(4):
        verb = str(rng.choice(np.array(words)))
        form = FORMS[int(rng.integers(len(FORMS)))]
        said = form.format(v=verb, s=third(verb), n=name, N=name[:1].upper() + name[1:])
        if understood(deeds, said) == (number,):
            return said
    return words[0]


def third(words: str) -> str:
    """As it is said of someone else: "slams the ground"."""
    verb, _, rest = words.partition(" ")
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        verb = f"{verb[:-1]}ies"
    elif verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        verb += "es"
    else:
        verb += "s"
    return f"{verb} {rest}".strip()


__all__ = ["Role", "phrased", "third"]
