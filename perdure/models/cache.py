"""Caches: keys and values of memories, by what the memory is.

A `Cache` is disposable. Each entry depends on one remembered latent and its action, so a cache that was
lost, or belongs to another fork, is rebuilt to the same bytes in any order. A `Rolling` cache is not: what
it holds was made in the light of what it has let go, so it has to be kept with the world.

Both allocate once. Their arrays are numpy's unless another `zeros` makes them (of torch, on a device).

Shapes: L layers, N tokens, H heads, D head size, M memory slots.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.models.context import Remembered

F32 = NDArray[np.float32]
Zeros = Callable[[tuple[int, ...]], Any]
numpy_zeros: Zeros = partial(np.zeros, dtype=np.float32)


class Cache:
    def __init__(self, slots: int, entry_shape: tuple[int, ...], keep: int = 48, zeros: Zeros = numpy_zeros) -> None:
        """`entry_shape` is (L, N, H, D); `keep` bounds how many memories are held beyond the slots in use."""
        self.keys, self.values = zeros((slots, *entry_shape)), zeros((slots, *entry_shape))
        self.present = zeros((slots,)) > 0
        self.held: list[bytes | None] = [None] * slots  # what each slot of the buffers holds now
        keep = max(keep, slots)
        self.kept_keys, self.kept_values = zeros((keep, *entry_shape)), zeros((keep, *entry_shape))
        self.rows: OrderedDict[bytes, int] = OrderedDict()  # where each memory is kept, least lately used first
        self.free = list(range(keep))

    def put(self, key: bytes, keys: Any, values: Any) -> None:
        if key not in self.rows:
            self.rows[key] = self.free.pop() if self.free else self.rows.popitem(last=False)[1]
        self.rows.move_to_end(key)
        row = self.rows[key]
        self.kept_keys[row], self.kept_values[row] = keys, values

    def gather(
        self, memories: Sequence[Remembered], encode: Callable[[Remembered], tuple[Any, Any]]
    ) -> tuple[Any, Any, Any]:
        """(M, L, N, H, D) keys and values and an (M,) mask; what is missing is encoded now.

        The arrays are the cache's own buffers: they hold until the next call.
        """
        if len(memories) > len(self.held):
            raise ValueError(f"expected at most {len(self.held)} memories, got {len(memories)}")
        for slot, memory in enumerate(memories):
            if memory.key not in self.rows:
                self.put(memory.key, *encode(memory))
            self.rows.move_to_end(memory.key)
            if self.held[slot] != memory.key:
                row = self.rows[memory.key]
                self.keys[slot], self.values[slot] = self.kept_keys[row], self.kept_values[row]
                self.present[slot], self.held[slot] = True, memory.key
        # An empty slot is masked, but masked infinities would still be NaN, so it keeps finite bytes:
        # zeros, since what an earlier chunk left there must not matter.
        for slot in range(len(memories), len(self.held)):
            if self.held[slot] is not None:
                self.keys[slot], self.values[slot] = 0, 0
                self.present[slot], self.held[slot] = False, None
        return self.keys, self.values, self.present


class Rolling:
    """The first `sink` latents' keys and values and the last `window` ones', as they were when they were made."""

    def __init__(
        self,
        sink: int,
        window: int,
        entry_shape: tuple[int, ...],
        zeros: Zeros = numpy_zeros,
        from_clip: Any = None,
    ) -> None:
        """`from_clip` (sink + window, 4, 4) is for cameras, which have a precision of their own."""
        if window < 1:
            raise ValueError(f"expected a window of 1 latent or more (a config's `recent`), got {window}")
        self.sink, self.window = sink, window
        self.keys, self.values = (zeros((sink + window, *entry_shape)) for _ in range(2))
        self.present, self.from_clip = zeros((sink + window,)) > 0, from_clip
        self.seen: bool | None = None  # whether what is held was seen by cameras; None: nothing is held
        self.numbers: list[int | None] = [None] * (sink + window)  # which latent each slot holds
        self.next = 0

    def put(self, keys: Any, values: Any, from_clip: Any = None) -> None:
        """The keys and values of the next latent, over those of the one that leaves the window."""
        slot, seen = self.slot(self.next), from_clip is not None
        if self.seen not in (None, seen):
            had = "cameras" if self.seen else "no cameras"
            raise ValueError(f"expected {had} with each latent, as with those before it, got the other")
        self.seen = seen
        if seen:
            self.from_clip[slot] = from_clip
        self.keys[slot], self.values[slot] = keys, values
        self.present[slot], self.numbers[slot] = True, self.next
        self.next += 1

    def clear(self) -> None:
        """As if nothing had come yet."""
        self.keys[:], self.values[:], self.present[:], self.next, self.seen = 0, 0, False, 0, None
        self.numbers = [None] * (self.sink + self.window)

    def slot(self, number: int) -> int:
        return number if number < self.sink else self.sink + (number - self.sink) % self.window

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs, copied: what comes later does not change it."""
        kept = {"keys": copied(self.keys), "values": copied(self.values), "next": self.next}
        return kept | ({"from_clip": copied(self.from_clip)} if self.seen else {})

    def restore(self, kept: dict[str, Any]) -> None:
        count, slots = int(kept["next"]), self.sink + self.window
        if tuple(kept["keys"].shape) != tuple(self.keys.shape):
            raise ValueError(f"expected keys of shape {tuple(self.keys.shape)}, got {tuple(kept['keys'].shape)}")
        seen = "from_clip" in kept
        if seen and self.from_clip is None:
            raise ValueError("expected a snapshot without cameras, since this stream has none, got one with them")
        if seen:
            self.from_clip[:] = kept["from_clip"]
        self.keys[:], self.values[:], self.next = kept["keys"], kept["values"], count
        self.seen = seen if count else None
        last = range(max(0, count - self.window), count)
        held = {self.slot(n): n for n in (*range(min(self.sink, count)), *last)}
        for slot in range(slots):
            self.numbers[slot], self.present[slot] = held.get(slot), slot in held


def copied(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else array.clone()
