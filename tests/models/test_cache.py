"""The cache can always be lost: rebuilt in any order it is the same bytes."""

import numpy as np
import pytest

from perdure.models.cache import Cache, Rolling
from perdure.models.context import Remembered

SHAPE = (2, 3, 1, 4)


def memory(i: int) -> Remembered:
    return Remembered(bytes([i]), np.full((1, 2, 2), i, np.float16), np.zeros(10, np.float32))


def encode(m: Remembered) -> tuple[np.ndarray, np.ndarray]:
    value = np.full(SHAPE, float(m.latent[0, 0, 0]), np.float32)
    return value, -value


def test_a_long_lived_cache_equals_a_fresh_one() -> None:
    random = np.random.default_rng(0)
    old = Cache(3, SHAPE, keep=5)
    for _ in range(200):
        chosen = [memory(int(i)) for i in random.choice(20, random.integers(0, 4), replace=False)]
        lived = [x.copy() for x in old.gather(chosen, encode)]
        fresh = Cache(3, SHAPE, keep=5).gather(chosen, encode)
        for a, b in zip(lived, fresh, strict=True):
            assert np.array_equal(a, b)
        assert len(old.rows) <= 5


def test_what_is_held_is_not_encoded_again() -> None:
    calls: list[bytes] = []

    def counted(m: Remembered) -> tuple[np.ndarray, np.ndarray]:
        calls.append(m.key)
        return encode(m)

    cache = Cache(2, SHAPE)
    for _ in range(3):
        cache.gather([memory(1), memory(2)], counted)
    assert calls == [b"\x01", b"\x02"]


def test_too_many_memories_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        Cache(1, SHAPE).gather([memory(1), memory(2)], encode)


def test_a_snapshot_stays_as_it_was_taken() -> None:
    def entry(n: int) -> np.ndarray:
        return np.full(SHAPE, n, np.float32)

    rolling = Rolling(1, 2, SHAPE)
    for n in range(5):
        rolling.put(entry(n), -entry(n))
    kept = rolling.snapshot()
    for n in range(5, 7):
        rolling.put(entry(n), -entry(n))
    again = Rolling(1, 2, SHAPE)
    again.restore(kept)
    assert sorted(again.numbers, key=str) == [0, 3, 4] and sorted(again.keys[:, 0, 0, 0, 0]) == [0, 3, 4]
    assert sorted(rolling.numbers, key=str) == [0, 5, 6]
    with pytest.raises(ValueError, match="a window of 1 latent or more"):
        Rolling(1, 0, SHAPE)
    with pytest.raises(ValueError, match="expected no cameras with each latent"):
        rolling.put(entry(7), -entry(7), np.eye(4))
    with pytest.raises(ValueError, match="a snapshot without cameras"):
        again.restore(kept | {"from_clip": np.zeros((3, 4, 4))})
