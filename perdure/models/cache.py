"""The cache: keys and values of memories, by what the memory is.

It is disposable. Each entry depends on one remembered latent and its action, so a cache that was
lost, or belongs to another fork, is rebuilt to the same bytes in any order.

Shapes: L layers, N tokens, H heads, D head size, M memory slots.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.models.context import Remembered

F32 = NDArray[np.float32]


class Cache:
    def __init__(self, slots: int, entry_shape: tuple[int, ...], keep: int = 48) -> None:
        """`entry_shape` is (L, N, H, D); `keep` bounds how many memories are held beyond the slots in use."""
        self.keys = np.zeros((slots, *entry_shape), np.float32)
        self.values = np.zeros_like(self.keys)
        self.held: list[bytes | None] = [None] * slots  # what each slot of the buffers holds now
        self.entries: OrderedDict[bytes, tuple[F32, F32]] = OrderedDict()
        self.keep = max(keep, slots)

    def put(self, key: bytes, keys: F32, values: F32) -> None:
        self.entries[key] = keys, values
        self.entries.move_to_end(key)
        while len(self.entries) > self.keep:
            self.entries.popitem(last=False)

    def gather(
        self, memories: Sequence[Remembered], encode: Callable[[Remembered], tuple[F32, F32]]
    ) -> tuple[F32, F32, NDArray[Any]]:
        """(M, L, N, H, D) keys and values and an (M,) mask; what is missing is encoded now.

        The arrays are the cache's own buffers: they hold until the next call.
        """
        if len(memories) > len(self.held):
            raise ValueError(f"expected at most {len(self.held)} memories, got {len(memories)}")
        present = np.zeros(len(self.held), np.bool_)
        for slot, memory in enumerate(memories):
            present[slot] = True
            if memory.key not in self.entries:
                self.put(memory.key, *encode(memory))
            self.entries.move_to_end(memory.key)
            if self.held[slot] != memory.key:
                self.keys[slot], self.values[slot] = self.entries[memory.key]
                self.held[slot] = memory.key
        # An empty slot is masked, but masked infinities would still be NaN, so it keeps finite bytes:
        # zeros, since what an earlier chunk left there must not matter.
        for slot in range(len(memories), len(self.held)):
            if self.held[slot] is not None:
                self.keys[slot], self.values[slot], self.held[slot] = 0, 0, None
        return self.keys, self.values, present
