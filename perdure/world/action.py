"""What an actor does in one chunk of four frames.

Keys become motion by fixed rates, so the same action always leads the same way. Mouse travel is
already in radians: the client multiplies by its own sensitivity. A camera that is given (flown, not
walked) is a path: a pose for each frame.

Shapes: T frames of a chunk. Poses are 4x4 float64, camera to world.
"""

import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.camera import check_pose
from perdure.world.edit import Edit

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


class Hand(IntEnum):
    NONE = 0
    USE = 1  # take up what is looked at, or open or close the door that is
    PLACE = 2
    THROW = 3


@dataclass(frozen=True)
class Rates:
    """How keys and mouse become motion, in units a second: frame rates do not come into it."""

    walk: float = WALK  # metres a second
    turn: float = TURN  # radians a second, by keys
    pitch_limit: float = PITCH_LIMIT  # radians, up and down
    swing: float = TURN_LIMIT * FRAMES_PER_SECOND / FRAMES_PER_CHUNK  # most that a mouse turns or tilts in a second

    def __post_init__(self) -> None:
        for name in ("walk", "turn", "swing"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"expected a positive rate {name!r}, got {getattr(self, name)}")
        if not 0 < self.pitch_limit < math.pi / 2:
            raise ValueError(f"expected a pitch limit between 0 and pi/2 radians, got {self.pitch_limit}")

    def swung(self, travel: float) -> float:
        """How far mouse travel turns in a chunk."""
        limit = self.swing * FRAMES_PER_CHUNK / FRAMES_PER_SECOND
        return max(-limit, min(limit, travel))

    def level(self, pitch: float) -> float:
        """A pitch, within how far one can look up and down."""
        return max(-self.pitch_limit, min(self.pitch_limit, pitch))


STANDARD = Rates()
"""Of worlds that do not say otherwise; they do not write it down, so it must stay what it is."""


@dataclass(frozen=True)
class Word:
    """Words for one entity: what it is to do now."""

    entity: int
    text: str

    def __post_init__(self) -> None:
        if not self.entity >= 0 or self.entity % 1 or not self.text.strip():
            raise ValueError(f"expected words for an entity, got {self.text!r} for entity {self.entity}")


@dataclass(frozen=True)
class Path:
    """Where the eye is in each frame of a chunk: float64 (T, 3, 4), the last row of a pose left out."""

    payload: bytes

    def __post_init__(self) -> None:
        if len(self.payload) != FRAMES_PER_CHUNK * 12 * 8:
            raise ValueError(f"expected a path of {FRAMES_PER_CHUNK} poses, got {len(self.payload)} bytes")
        for pose in self.poses:
            check_pose(pose)

    @classmethod
    def of(cls, poses: NDArray[np.float64]) -> "Path":
        if poses.shape != (FRAMES_PER_CHUNK, 4, 4):
            raise ValueError(f"expected a path of shape {(FRAMES_PER_CHUNK, 4, 4)}, got {poses.shape}")
        for pose in poses:
            check_pose(pose)  # with the last row, which is left out of what is kept
        return cls(np.ascontiguousarray(poses[:, :3], "<f8").tobytes())

    @property
    def poses(self) -> NDArray[np.float64]:
        """(T, 4, 4) camera to world."""
        out = np.zeros((FRAMES_PER_CHUNK, 4, 4))
        out[:, :3] = np.frombuffer(self.payload, "<f8").reshape(-1, 3, 4)
        out[:, 3, 3] = 1.0
        return out

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()


ACTION_FEATURES = 10
"""Length of `Action.features()`: one for each key, then turn and tilt."""

MOTIONS = 81
"""How many `Action.motion()` there are."""

_NINE = {(0, 0): 0, (1, 0): 1, (-1, 0): 2, (0, 1): 3, (0, -1): 4, (1, 1): 5, (1, -1): 6, (-1, 1): 7, (-1, -1): 8}
_STILL = math.radians(0.05)  # a turn that is less is none


@dataclass(frozen=True)
class Action:
    keys: int = 0
    turn: float = 0.0  # radians over the whole chunk, positive to the left
    tilt: float = 0.0  # radians over the whole chunk, positive upward
    hand: Hand = Hand.NONE
    words: tuple[Word, ...] = ()
    events: tuple[str, ...] = ()  # what is to happen: "it starts to snow"
    edits: tuple[Edit, ...] = ()
    path: Path | None = None  # of the eye, where the camera is given; keys, turn and tilt then only describe it

    def __post_init__(self) -> None:
        if self.keys not in range(256):
            raise ValueError(f"expected keys as a bit mask in 0..255, got {self.keys!r}")
        if not (_finite(self.turn) and _finite(self.tilt)):
            raise ValueError(f"expected finite turn and tilt, got {self.turn!r}, {self.tilt!r}")
        if self.hand not in tuple(Hand):
            raise ValueError(f"expected a hand in 0..{len(Hand) - 1}, got {self.hand!r}")
        if not isinstance(self.path, Path | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"expected a path made by Path.of(poses), got {type(self.path).__name__}")
        for event in self.events:
            if not event.strip():
                raise ValueError(f"expected an event in words, got {event!r}")
        object.__setattr__(self, "keys", int(self.keys))
        object.__setattr__(self, "turn", _bounded(self.turn))
        object.__setattr__(self, "tilt", _bounded(self.tilt))
        object.__setattr__(self, "hand", Hand(self.hand))

    @property
    def axes(self) -> tuple[int, int, int, int]:
        """What the keys come to: forward, left, turning left and looking up, each -1, 0 or 1; opposites cancel."""
        k = self.keys
        forward, left, turn, up = (((k >> i) & 1) - ((k >> i + 1) & 1) for i in (0, 2, 4, 6))
        return forward, left, turn, up

    def features(self) -> NDArray[np.float32]:
        """(10,) what the model sees of an action: multi-hot keys, then turn and tilt."""
        bits = [(self.keys >> i) & 1 for i in range(8)]
        return np.array([*bits, self.turn, self.tilt], np.float32)

    def motion(self, rates: Rates = STANDARD) -> int:
        """0..80, HY-WorldPlay's number of the motion: 9 times which way it steps, plus which way it turns.

        Of steps, 0 is none, then come ahead, back, right, left, ahead to the right and to the left, back to the
        right and to the left; of turns, none, right, left, up, down, right and up, right and down, left and up,
        left and down.
        """
        forward, left, turns, ups = self.axes
        key = rates.turn * FRAMES_PER_CHUNK / FRAMES_PER_SECOND
        turn, tilt = turns * key + rates.swung(self.turn), ups * key + rates.swung(self.tilt)
        right, up = (int(angle > _STILL) - int(angle < -_STILL) for angle in (-turn, tilt))
        return 9 * _NINE[forward, -left] + _NINE[right, up]

    def reversed(self) -> "Action":
        """The motion that leads back: steps, turns and tilts the other way, a path from its end.

        Deeds are left out: what a hand, a word or an edit did is undone by an edit, not by walking back.
        """
        k = self.keys
        swapped = ((k & 0b01010101) << 1) | ((k & 0b10101010) >> 1)
        path = None if self.path is None else Path.of(self.path.poses[::-1])
        return Action(swapped, -self.turn, -self.tilt, path=path)

    def said(self) -> dict[str, int | float | str | tuple[int, ...] | tuple[str, ...]]:
        """What the log says of it: keys and mouse always, the rest where there is any. Edits log themselves."""
        out: dict[str, int | float | str | tuple[int, ...] | tuple[str, ...]]
        out = {"keys": self.keys, "turn": self.turn, "tilt": self.tilt}
        if self.hand:
            out["hand"] = self.hand.name.lower()
        if self.words:
            out["whom"] = tuple(word.entity for word in self.words)
            out["words"] = tuple(word.text for word in self.words)
        if self.events:
            out["events"] = self.events
        if self.path:
            out["path"] = self.path.digest.hex()
        return out

    def to_bytes(self) -> bytes:
        """Canonical: equal actions have equal bytes."""
        path = None if self.path is None else self.path.payload
        fields = [self.keys, self.turn, self.tilt, int(self.hand), self.words, self.events, self.edits, path]
        while len(fields) > 3 and not fields[-1]:
            fields.pop()
        return msgspec.msgpack.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Action":
        try:
            said = msgspec.msgpack.decode(payload, type=_Said)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected an action in bytes, got {len(payload)} bytes that are none: {error}") from None
        path = None if said.path is None else Path(said.path)
        return cls(said.keys, said.turn, said.tilt, said.hand, said.words, said.events, said.edits, path)


class _Said(msgspec.Struct, array_like=True):
    """An action as it is written down; fields at the end may be missing."""

    keys: int
    turn: float
    tilt: float
    hand: Hand = Hand.NONE
    words: tuple[Word, ...] = ()
    events: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    path: bytes | None = None


def _finite(angle: float) -> bool:
    try:
        return math.isfinite(angle)
    except TypeError:
        return False


def _bounded(angle: float) -> float:
    return float(max(-TURN_LIMIT, min(TURN_LIMIT, angle))) + 0.0  # no negative zero: equal actions, equal bytes
