"""Two-player games of the Atari 2600: where their memory keeps what matters, and what is said of a move.

Positions are the middles of sprites on the screen, pixels from the left and from the top, worked out from memory; the
offsets were measured on the screen. A command is what a player did with his stick in a chunk, which is several raw
inputs, told by where it took him: "retreats up", "jabs, advances left". Where he is thrown by a blow, or put by the
game, while his stick says otherwise, is no command.

Shapes: N frames, H W screen, M bytes of memory (128).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Array = NDArray[np.float64]
Stick = tuple[int, int, int]
"""Right, down, and whether the button is pressed; -1, 0 or 1."""


@dataclass(frozen=True)
class Move:
    """What one player did in a chunk, and what came of it."""

    sticks: Sequence[Stick]
    start: Array  # (2,) where he was before it
    end: Array  # (2,)
    other: Array  # (2,) where the other was before it
    playing: bool  # whether the ball, if there is one, was in play before it
    served: bool = False  # whether it came into play

    @property
    def held(self) -> Array:
        """(2,) raw frames that the stick was held right and down for, less those left and up."""
        return np.array([stick[:2] for stick in self.sticks], np.float64).sum(0)

    @property
    def gone(self) -> Array:
        return self.end - self.start

    @property
    def went(self) -> Array:
        """(2,) as far as it is his own doing: along each axis where he went as his stick was held."""
        return np.where(self.held * self.gone > 0, self.gone, 0.0)

    @property
    def fired(self) -> bool:
        return any(stick[2] for stick in self.sticks)


@dataclass(frozen=True)
class Game:
    name: str
    rom: str
    mode: int  # of the cartridge: the one for two players
    kinds: tuple[str, str]
    names: tuple[str, str]
    positions: Callable[[Bytes, Bytes], Array]  # memory (N, M), screens (N, H, W, 3) -> (N, 2 players, 2)
    scores: Callable[[Bytes], Array]  # (N, M) -> (N, 2)
    ball: Callable[[Bytes], Array] | None  # (N, M) -> (N, 2), not a number where there is none
    words: Callable[[Move], str]
    point: str  # what a point is: "hit" or "point"
    colours: tuple[tuple[int, int, int], ...] = ()  # of the players and the ball, where nothing else has them
    field: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right of where that is so

    def entities(self, screens: Bytes) -> Bytes | None:
        """(N, H, W) 1 + entity where its colour is, inside the field; None where colours do not tell."""
        if not self.colours:
            return None
        out = np.zeros(screens.shape[:3], np.uint8)
        _paint(screens, out, np.array(self.colours, np.uint8), *self.field)
        return out


@numba.njit(cache=True, nogil=True)
def _paint(screens, out, colours, top, bottom, left, right):  # type: ignore[no-untyped-def]
    for n in range(len(screens)):
        for row in range(top, bottom):
            for column in range(left, right):
                r, g, b = screens[n, row, column]
                for k in range(len(colours)):
                    if r == colours[k, 0] and g == colours[k, 1] and b == colours[k, 2]:
                        out[n, row, column] = 1 + k


def _decimal(byte: Bytes) -> Array:
    """Two digits in one byte, as the 2600 counts."""
    return ((byte >> 4) * 10 + (byte & 15)).astype(np.float64)


def _way(x: float, y: float) -> str:
    if abs(x) > abs(y):
        return "right" if x > 0 else "left"
    return "down" if y > 0 else "up"


def _boxing_positions(memory: Bytes, screens: Bytes) -> Array:
    m = memory.astype(np.float64)
    return np.stack([m[:, [32, 34]], m[:, [33, 35]]], 1) + np.array([12.0, 61.0])


def _boxing_scores(memory: Bytes) -> Array:
    knocked = memory[:, [18, 19]]
    return np.where(knocked == 0xC0, 100.0, _decimal(knocked))  # a knock-out shows as KO


def _boxing_words(move: Move) -> str:
    said = ["jabs"] if move.fired else []
    x, y = move.went
    if math.hypot(x, y) > 1.5:
        closer = math.dist(move.start, move.other) - math.dist(move.start + move.went, move.other)
        if abs(closer) < 0.35 * math.hypot(x, y):
            said.append(f"circles {_way(x, y)}")
        else:
            said.append(f"{'advances' if closer > 0 else 'retreats'} {_way(x, y)}")
    elif move.held.any() and not move.fired:
        said.append("pushes on")
    return ", ".join(said) or "stands"


def _pong_positions(memory: Bytes, screens: Bytes) -> Array:
    m = memory.astype(np.float64)
    right, left = (np.stack([np.full(len(m), x), m[:, at] - 7.0], -1) for x, at in ((142.0, 51), (18.0, 50)))
    return np.stack([right, left], 1)


def _pong_ball(memory: Bytes) -> Array:
    m = memory.astype(np.float64)
    return np.where(m[:, 54:55] > 0, np.stack([m[:, 49] - 47.0, m[:, 54] - 11.0], -1), np.nan)


def _pong_words(move: Move) -> str:
    down = move.gone[1] if -move.held[0] * move.gone[1] > 0 else 0.0  # his stick is turned on its side: left is down
    said = [] if abs(down) < 1.5 else [f"{'slides' if abs(down) < 16 else 'darts'} {_way(0, down)}"]
    if move.fired and (move.playing or move.served):
        said.insert(0, "spins the ball" if move.playing else "serves")
    return ", ".join(said) or "waits"


def _tennis_positions(memory: Bytes, screens: Bytes) -> Array:
    """Memory knows who is far and who is near; they change ends, and then the far one is blue."""
    m = memory.astype(np.float64)
    far, near = (np.stack([m[:, x] + 7.0, 176.0 - m[:, y]], -1) for x, y in ((26, 24), (27, 25)))
    out = np.stack([far, near], 1)
    for i, (x, y) in enumerate(far.astype(int)):
        around = screens[i, max(0, y - 10) : y + 10, max(0, x - 6) : x + 7].astype(int)
        if (around[..., 2] == 240).sum() > (around[..., 0] == 240).sum():
            out[i] = out[i, ::-1]
    return out


def _tennis_scores(memory: Bytes) -> Array:
    return memory[:, [69, 70]].astype(np.float64)


def _tennis_words(move: Move) -> str:
    x, y = move.went
    said = ["swings"] if move.fired else []
    if 1.5 < math.hypot(x, y) < 12:  # nobody runs faster: after a point they are put where they serve
        nearer = abs(move.start[1] + y - 106) - abs(move.start[1] - 106)  # to the net
        said.append(f"runs {_way(x, 0)}" if abs(x) >= abs(y) else "comes to the net" if nearer < 0 else "falls back")
    return ", ".join(said) or "waits"


GAMES = {
    game.name: game
    for game in (
        Game(
            "boxing", "boxing", 2, ("boxer", "boxer"), ("the white boxer", "the black boxer"), _boxing_positions,
            _boxing_scores, None, _boxing_words, "hit", ((214, 214, 214), (0, 0, 0)), (38, 176, 34, 126),
        ),
        Game(
            "pong", "pong", 4, ("paddle", "paddle"), ("the green paddle", "the orange paddle"), _pong_positions,
            lambda memory: memory[:, [14, 13]].astype(np.float64), _pong_ball, _pong_words, "point",
            ((92, 186, 92), (213, 130, 74), (236, 236, 236)), (34, 194, 0, 160),
        ),
        Game(
            "tennis", "tennis", 2, ("tennis player", "tennis player"), ("the pink player", "the blue player"),
            _tennis_positions, _tennis_scores, None, _tennis_words, "point",
        ),
    )
}  # fmt: skip
