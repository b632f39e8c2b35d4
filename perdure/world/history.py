"""H, the history: a hash-chained log of events, and the latents that were made.

A `History` is a value, yet appending to it is cheap and a fork costs nothing: values that grew from
one another share a tape that is only ever appended to, and each knows how much of it is its own.
Appending to a value whose tape has gone on without it copies the tape.

Shapes: N memories.
"""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.action import Action
from perdure.world.index import Index

LATENT = (16, 18, 32)
GENESIS = bytes(32)
"""The head of a history to which nothing has happened."""

Item = TypeVar("Item")
Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]


class Event(msgspec.Struct, frozen=True):
    """Something that happened, and what it did to the state."""

    seq: int
    time: float  # seconds of the world's own time: a wall clock would make every replay another history
    actor: str
    kind: str
    targets: tuple[int, ...] = ()  # entities
    args: Mapping[str, Value] = {}
    seed: int = 0  # what randomness the step drew from
    before: str = ""  # the state's hash
    after: str = ""
    verdict: str = "applied"

    def to_bytes(self) -> bytes:
        """Canonical: equal events have equal bytes."""
        return msgspec.json.encode(self, order="deterministic")

    def chained(self, head: bytes) -> bytes:
        """The head of the chain once this event has followed `head`."""
        return hashlib.sha256(head + self.to_bytes()).digest()


@dataclass(frozen=True, eq=False)
class Memory:
    """A latent that was made, and where it was seen from: a chunk as the model remembers it."""

    step: int
    latent: NDArray[np.float16]  # LATENT: the very bytes that later steps go on from
    pose: NDArray[np.float64]  # (4, 4) of the chunk's last camera
    intrinsics: Intrinsics
    action: Action
    key: bytes  # a digest of all that its keys and values depend on

    @classmethod
    def of(
        cls, step: int, latent: NDArray[np.float16], pose: NDArray[np.float64], intrinsics: Intrinsics, action: Action
    ) -> "Memory":
        digest = hashlib.sha256(latent.tobytes())
        digest.update(action.features().tobytes())
        digest.update(intrinsics.normalised().tobytes())
        return cls(step, latent, pose, intrinsics, action, digest.digest())


class Prefix(Sequence[Item], Generic[Item]):
    """The first `length` items of a list that may have grown since."""

    def __init__(self, items: list[Item], length: int) -> None:
        self._items, self._length = items, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._items[i] for i in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(f"expected an index into {self._length} items, got {index}")
        return self._items[index % self._length]


class _Tape:
    """What histories that grew from one another share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.memories: list[Memory] = []
        self.events: list[Event] = []

    def copy(self, memories: int, events: int) -> "_Tape":
        tape = _Tape()
        tape.memories, tape.events = self.memories[:memories], self.events[:events]
        return tape

    def extend(self, memories: Iterable[Memory], events: Iterable[Event]) -> None:
        self.memories.extend(memories)
        self.events.extend(events)


class History:
    """`memories`, one a step; `events`, in order; `trail`, where memories were made; `head`, the hash of it all."""

    def __init__(self) -> None:
        self._tape = _Tape()
        self._memories = self._events = 0
        self.head = GENESIS
        self.trail = Index()

    def append(self, memories: Sequence[Memory], events: Sequence[Event], head: bytes | None = None) -> "History":
        """A history to which these have been added; `head`, where it is known, spares hashing the events."""
        if head is None:
            head = self.head
            for event in events:
                head = event.chained(head)
        grown = History.__new__(History)
        tape = self._tape
        with tape.lock:
            if len(tape.memories) != self._memories or len(tape.events) != self._events:
                tape = tape.copy(self._memories, self._events)
            tape.extend(memories, events)
        grown._tape, grown.trail = tape, self.trail
        for number, memory in enumerate(memories, self._memories):
            grown.trail = grown.trail.add(number, memory.pose)
        grown._memories, grown._events = self._memories + len(memories), self._events + len(events)
        grown.head = head
        return grown

    def __len__(self) -> int:
        return self._memories

    @property
    def memories(self) -> Prefix[Memory]:
        return Prefix(self._tape.memories, self._memories)

    @property
    def events(self) -> Prefix[Event]:
        return Prefix(self._tape.events, self._events)
