"""Scripted players of Atari games: they see positions, draw whims from a seed, and move a stick.

Asked once a chunk, each answers with a stick for every raw frame of it. Lengths are pixels of the screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.data.sources.atari_games import Stick

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What a player knows when he is asked."""

    own: Array  # (2,)
    other: Array  # (2,)
    memory: NDArray[np.uint8]  # (M,)
    ball: Array | None  # (2,), where there is one


@dataclass
class Fighter:
    """A boxer whose mood changes: he goes for the other, keeps away from him, or circles him."""

    rng: np.random.Generator
    moods: Sequence[str] = ("aggressive", "aggressive", "evasive", "circling", "idle")
    mood: str = "aggressive"
    spell: int = 0
    side: int = 1

    def __call__(self, sight: Sight, raw: int) -> list[Stick]:
        self.spell -= 1
        if self.spell < 0:
            self.mood, self.spell = str(self.rng.choice(list(self.moods))), int(self.rng.integers(4, 16))
            self.side = int(self.rng.choice([-1, 1]))
        x, y = sight.other - sight.own
        right, down = int(np.sign(x)) if abs(x) > 3 else 0, int(np.sign(y)) if abs(y) > 3 else 0
        jab = False
        if self.mood == "aggressive":
            # A fist goes out level with a shoulder: a blow lands from beside the other's head.
            down = down if abs(y) > 18 else -(down or self.side) if abs(y) < 8 else 0
            right = right if abs(x) > 28 else -right if abs(x) < 20 else 0
            jab = abs(x) < 36 and abs(y) < 24 and self.rng.random() < 0.7
        elif self.mood == "evasive":
            right, down = -right or self.side, -down or self.side
        elif self.mood == "circling":
            right, down = (0, self.side) if abs(x) > abs(y) else (self.side, 0)
            if self.rng.random() < 0.1:
                self.side = -self.side
            jab = abs(x) < 46 and self.rng.random() < 0.25
        else:
            right = down = 0
        # A jab is a press and its release.
        return [(right, down, int(jab and frame < raw // 2)) for frame in range(raw)]


@dataclass
class Paddle:
    """Goes where the ball is, more or less, by turns eager, lazy and dreamy; his stick is turned on its side."""

    rng: np.random.Generator
    error: float = 0.0
    lazy: float = 0.0
    spell: int = 0

    def __call__(self, sight: Sight, raw: int) -> list[Stick]:
        self.spell -= 1
        if self.spell < 0:
            self.spell = int(self.rng.integers(6, 24))
            self.error, self.lazy = float(self.rng.normal(0, 7)), float(self.rng.choice([0.0, 0.0, 0.3, 0.8]))
        if sight.ball is None or np.isnan(sight.ball).any():
            serve = int(self.rng.random() < 0.25)
            return [(0, 0, int(serve and frame < raw // 2)) for frame in range(raw)]
        away = float(sight.ball[1] - sight.own[1]) + self.error
        if abs(away) < 5 or self.rng.random() < self.lazy:
            return [(0, 0, 0)] * raw
        push = -1 if away > 0 else 1  # to the left is down
        held = min(raw, max(1, int(abs(away) / 4)))
        spin = int(self.rng.random() < 0.06)
        return [(push if frame < held else 0, 0, spin) for frame in range(raw)]


@dataclass
class Tennis:
    """Runs to under the ball and swings; now and then to the net or back."""

    rng: np.random.Generator
    spell: int = 0
    deep: int = 0
    error: float = 0.0

    def __call__(self, sight: Sight, raw: int) -> list[Stick]:
        self.spell -= 1
        if self.spell < 0:
            self.spell, self.deep = int(self.rng.integers(4, 14)), int(self.rng.choice([0, 0, 0, 1, -1]))
            self.error = float(self.rng.normal(0, 5))
        aside = float(sight.memory[16]) - 1.0 - float(sight.own[0]) + self.error
        right = 0 if abs(aside) < 3 else 1 if aside > 0 else -1
        if self.rng.random() < 0.1:
            right = int(self.rng.choice([-1, 0, 1]))
        swing = int(self.rng.random() < (0.7 if abs(aside) < 10 else 0.08))
        return [(right, self.deep, int(swing and frame % 4 < 2)) for frame in range(raw)]


PLAYERS = {"boxing": Fighter, "pong": Paddle, "tennis": Tennis}
