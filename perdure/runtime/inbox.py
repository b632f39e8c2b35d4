"""What players do between two steps, gathered into the action of the next."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perdure.world.action import TURN_LIMIT, Action, Hand

Heard = Callable[[str, float, int, float, float, int, str], None]
"""Told of a control: who sent it, when by the sender's clock, keys, turn, tilt, hand, and words."""

WORDS = 8  # sayings that wait in an inbox
LONGEST = 200  # characters of one
DEEDS = 64  # that wait in an inbox: far more than fingers ask for in the time that they take


@dataclass
class _Held:
    """What one sender holds down, and the newest of its timestamps."""

    keys: int = 0
    tapped: int = 0  # last non-empty state of each pair of opposite keys since the inbox was emptied
    time: float = -np.inf


class Inbox:
    """What the players did since the last step. The newest keys of a sender win; mouse travel adds up.

    A key pressed and let go between two steps still counts for one, unless its opposite came after it.
    Mouse travel beyond what one chunk may turn is kept for the next. What hands are to do is done in the order in
    which it was asked for, one deed a chunk, each once. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self.heard: Heard | None = None  # told of all that is put in; it must be quick
        self._lock = threading.Lock()
        self._hands: dict[str, _Held] = {}
        self._deeds: deque[Hand] = deque()
        self._words: deque[str] = deque()
        self._turn = self._tilt = 0.0

    def put(
        self,
        keys: int = 0,
        turn: float = 0.0,
        tilt: float = 0.0,
        time: float = 0.0,
        sender: str = "",
        hand: int = Hand.NONE,
    ) -> None:
        if keys not in range(256):
            raise ValueError(f"expected keys as a bit mask in 0..255, got {keys}")
        if not (np.isfinite(turn) and np.isfinite(tilt) and np.isfinite(time)):
            raise ValueError(f"expected finite turn, tilt and time, got {turn}, {tilt}, {time}")
        if hand not in tuple(Hand):
            raise ValueError(f"expected a hand out of {', '.join(map(str, map(int, Hand)))}, got {hand}")
        with self._lock:
            if self.heard is not None:
                self.heard(sender, time, int(keys), turn, tilt, int(hand), "")
            held = self._hands.setdefault(sender, _Held())
            self._turn += turn
            self._tilt += tilt
            if hand != Hand.NONE and len(self._deeds) < DEEDS:
                self._deeds.append(Hand(hand))
            if time < held.time:
                return  # overtaken on its way: newer keys of this sender are already here
            held.keys, held.time = keys, time
            for pair in (0b11, 0b1100, 0b110000, 0b11000000):
                if keys & pair:
                    held.tapped = held.tapped & ~pair | keys & pair

    def say(self, text: str, time: float = 0.0, sender: str = "") -> None:
        """Words of a player: what is to happen, or what someone is told by name. One saying a chunk, in their order."""
        text = text.strip()
        if not 0 < len(text) <= LONGEST:
            raise ValueError(f"expected words of at most {LONGEST} characters, got {len(text)}")
        with self._lock:
            if len(self._words) == WORDS:
                raise ValueError(f"expected at most {WORDS} sayings that wait for their chunk, got one more")
            if self.heard is not None:
                self.heard(sender, time, 0, 0.0, 0.0, 0, text)
            self._words.append(text)

    def leave(self, sender: str) -> None:
        """Let go of all that a sender holds."""
        with self._lock:
            self._hands.pop(sender, None)

    def rest(self) -> None:
        """Forget mouse travel, taps and deeds, but not what is held down, nor what was said."""
        with self._lock:
            self._turn = self._tilt = 0.0
            self._deeds.clear()
            for held in self._hands.values():
                held.tapped = 0

    def take(self) -> tuple[Action, dict[str, float]]:
        """The action of the next chunk, and the newest timestamp of each sender that it answers."""
        with self._lock:
            keys = 0
            for held in self._hands.values():
                for pair in (0b11, 0b1100, 0b110000, 0b11000000):
                    keys |= held.keys & pair or held.tapped & pair
                held.tapped = 0
            hand = self._deeds.popleft() if self._deeds else Hand.NONE
            events = (self._words.popleft(),) if self._words else ()
            turn = float(np.clip(self._turn, -TURN_LIMIT, TURN_LIMIT))
            tilt = float(np.clip(self._tilt, -TURN_LIMIT, TURN_LIMIT))
            self._turn -= turn
            self._tilt -= tilt
            echoes = {sender: held.time for sender, held in self._hands.items() if np.isfinite(held.time)}
        return Action(keys, turn, tilt, hand, events=events), echoes
