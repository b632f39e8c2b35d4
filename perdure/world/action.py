"""What an actor does in one chunk of four frames.

Keys become motion by the fixed rates below, so the same action always leads the same way.
Mouse travel is already in radians: the client multiplies by its own sensitivity.
"""

import math
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

FRAMES_PER_SECOND = 24
FRAMES_PER_CHUNK = 4
WALK = 2.4  # metres a second
TURN = math.radians(90.0)  # radians a second, by keys
PITCH_LIMIT = math.radians(50.0)
TURN_LIMIT = math.radians(60.0)  # most that one chunk of mouse travel may turn or tilt


class Keys(IntFlag):
    FORWARD = 1
    BACK = 2
    LEFT = 4
    RIGHT = 8
    TURN_LEFT = 16
    TURN_RIGHT = 32
    LOOK_UP = 64
    LOOK_DOWN = 128


ACTION_FEATURES = 10
"""Length of `Action.features()`: one for each key, then turn and tilt."""


@dataclass(frozen=True)
class Action:
    keys: int = 0
    turn: float = 0.0  # radians over the whole chunk, positive to the left
    tilt: float = 0.0  # radians over the whole chunk, positive upward

    def __post_init__(self) -> None:
        if not 0 <= int(self.keys) < 256:
            raise ValueError(f"expected keys as a bit mask in 0..255, got {self.keys}")
        if not (math.isfinite(self.turn) and math.isfinite(self.tilt)):
            raise ValueError(f"expected finite turn and tilt, got {self.turn}, {self.tilt}")
        object.__setattr__(self, "keys", int(self.keys))
        object.__setattr__(self, "turn", float(max(-TURN_LIMIT, min(TURN_LIMIT, self.turn))))
        object.__setattr__(self, "tilt", float(max(-TURN_LIMIT, min(TURN_LIMIT, self.tilt))))

    def features(self) -> NDArray[np.float32]:
        """(10,) what the model sees of an action: multi-hot keys, then turn and tilt."""
        bits = [(self.keys >> i) & 1 for i in range(8)]
        return np.array([*bits, self.turn, self.tilt], np.float32)

    def reversed(self) -> "Action":
        """The action that leads back: steps, turns and tilts the other way."""
        k = self.keys
        swapped = ((k & 0b01010101) << 1) | ((k & 0b10101010) >> 1)
        return Action(swapped, -self.turn, -self.tilt)
