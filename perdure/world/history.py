"""H, the history: a hash-chained log of events, and the latents that were made.

A `History` is a value, yet appending to it is cheap and a fork costs nothing: values that grew from
one another share a tape that is only ever appended to, and each knows how much of it is its own.
Appending to a value whose tape has gone on without it copies the tape. What lies further back is not
in memory at all: a `Past`, which the store gives, reads it when it is asked for, so a world with
years behind it opens as fast as a new one.

Shapes: N memories.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, overload

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

    @property
    def records(self) -> tuple[bytes, ...]:
        """Digests of the values that it replaced and wrote, which are kept beside it so that it can be undone."""
        named = (self.args.get(side) for side in ("old", "new", "asked"))
        return tuple(bytes.fromhex(str(d)) for side in named if isinstance(side, tuple) for d in side if d is not None)


@dataclass(frozen=True)
class Note:
    """What is to be an event, before it has its place in the chain."""

    kind: str
    actor: str
    targets: tuple[int, ...] = ()
    args: Mapping[str, Value] = field(default_factory=dict[str, Value])
    seed: int = 0
    verdict: str = "applied"


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


class Past(Protocol):
    """The older part of a history, read when it is asked for."""

    def memory(self, step: int) -> Memory: ...

    def events(self, first: int, last: int) -> Sequence[Event]:
        """Those with `first <= seq < last`."""
        ...

    def record(self, digest: bytes) -> bytes:
        """A value that an edit replaced or wrote."""
        ...


class Span(Sequence[Item], Generic[Item]):
    """A sequence whose first `old` items are read when asked for, and whose rest is a part of a list.

    The list may have grown since; `length` says where this sequence ends.
    """

    def __init__(self, read: Callable[[int, int], Sequence[Item]], old: int, items: list[Item], length: int) -> None:
        self._read, self._old, self._items, self._length = read, old, items, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            start, stop, stride = index.indices(self._length)
            if stride != 1:
                raise IndexError(f"expected a slice without a stride, got {index}")
            read = list(self._read(start, min(stop, self._old))) if start < min(stop, self._old) else []
            return read + self._items[max(start - self._old, 0) : max(stop - self._old, 0)]
        if not -self._length <= index < self._length:
            raise IndexError(f"expected an index into {self._length} items, got {index}")
        index %= self._length
        return self._items[index - self._old] if index >= self._old else self._read(index, index + 1)[0]


class _Tape:
    """What histories that grew from one another share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.memories: list[Memory] = []
        self.events: list[Event] = []
        self.records: dict[bytes, bytes] = {}  # by digest, so those that another value wrote do no harm

    def copy(self, memories: int, events: int) -> "_Tape":
        tape = _Tape()
        tape.memories, tape.events = self.memories[:memories], self.events[:events]
        tape.records = dict(self.records)
        return tape

    def extend(self, memories: Iterable[Memory], events: Iterable[Event], records: Mapping[bytes, bytes]) -> None:
        self.memories.extend(memories)
        self.events.extend(events)
        self.records.update(records)


class History:
    """`memories`, one a step; `events`, in order; `head`, the hash of it all.

    `trail` finds memories by where they were made, by their index; it is bounded for each place and heading,
    so that recall costs the same after a year.
    """

    def __init__(self) -> None:
        self._past: Past | None = None
        self._tape = _Tape()
        self._old_memories = self._old_events = 0  # how many of them lie in the past
        self._memories = self._events = 0
        self.head = GENESIS
        self.trail = Index()

    @classmethod
    def resume(cls, past: Past, memories: int, events: int, head: bytes, trail: Index) -> "History":
        """A history all of which lies in the past."""
        history = cls()
        history._past, history.head = past, head
        history._old_memories = history._memories = memories
        history._old_events = history._events = events
        history.trail = trail
        return history

    def append(
        self,
        memories: Sequence[Memory],
        events: Sequence[Event],
        records: Mapping[bytes, bytes] | None = None,
        head: bytes | None = None,
    ) -> "History":
        """A history to which these have been added; `head`, where it is known, spares hashing the events."""
        if head is None:
            head = self.head
            for event in events:
                head = event.chained(head)
        grown = History.__new__(History)
        grown.trail = self.trail
        for number, memory in enumerate(memories, self._memories):
            grown.trail = grown.trail.add(number, memory.pose)
        tape = self._tape
        with tape.lock:
            own = self._memories - self._old_memories, self._events - self._old_events
            if (len(tape.memories), len(tape.events)) != own:
                tape = tape.copy(*own)
            tape.extend(memories, events, records or {})
        grown._tape, grown._past = tape, self._past
        grown._old_memories, grown._old_events = self._old_memories, self._old_events
        grown._memories, grown._events = self._memories + len(memories), self._events + len(events)
        grown.head = head
        return grown

    def resting_on(self, past: Past) -> "History":
        """The same history, all of it in the past: what a long session does, so that memory does not fill."""
        return History.resume(past, self._memories, self._events, self.head, self.trail)

    @property
    def held(self) -> int:
        """How many memories are held here, and not in the past."""
        return self._memories - self._old_memories

    def __len__(self) -> int:
        return self._memories

    @property
    def memories(self) -> Span[Memory]:
        return Span(self._remembered, self._old_memories, self._tape.memories, self._memories)

    @property
    def events(self) -> Span[Event]:
        return Span(self._told, self._old_events, self._tape.events, self._events)

    def record(self, digest: bytes) -> bytes:
        """A value that an edit replaced or wrote."""
        found = self._tape.records.get(digest)
        if found is not None:
            return found
        if self._past is None:
            raise ValueError(f"expected a value that an edit of this world names, got {digest.hex()[:12]}")
        return self._past.record(digest)

    def _remembered(self, first: int, last: int) -> list[Memory]:
        assert self._past is not None
        return [self._past.memory(index + 1) for index in range(first, last)]

    def _told(self, first: int, last: int) -> Sequence[Event]:
        assert self._past is not None
        return self._past.events(first, last)
