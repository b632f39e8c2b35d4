"""However long a session is, nothing stands where the model has never seen anything stand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.models.positions import reframed, windowed

SINK, WINDOW, CAP, COMING = 3, 8, 20, 4


def test_five_thousand_latents_stay_in_range() -> None:
    random = np.random.default_rng(0)
    for first in range(0, 5_000, COMING):
        numbers = [*range(min(SINK, first)), *range(max(SINK, first - WINDOW), first)]
        then, now = windowed(numbers, first, COMING, SINK, CAP)
        stand = np.concatenate([then, now])
        assert stand.min() >= 0 and stand.max() <= CAP and len(set(stand)) == len(stand)
        assert now.tolist() == list(range(int(now[0]), int(now[0]) + COMING))
        # What is in the window stands exactly as far back as it is old.
        assert all(now[0] - t == first - n for n, t in zip(numbers, then) if n >= SINK)

        recalled = np.sort(random.choice(first, min(first, 16), replace=False)) if first else []
        then, now = reframed(len(recalled), COMING)
        stand = np.concatenate([then, now])
        assert stand.tolist() == list(range(len(stand))) and len(stand) <= 16 + COMING


@given(st.integers(CAP, 4_900), st.integers(CAP, 4_900))
def test_past_the_cap_all_chunks_are_alike(one: int, other: int) -> None:
    stands = [windowed([*range(SINK), *range(n - WINDOW, n)], n, COMING, SINK, CAP) for n in (one, other)]
    for a, b in zip(*stands):
        assert np.array_equal(a, b)


def test_a_cap_that_is_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="a cap of at least 14"):
        windowed([0, 1, 2, *range(92, 100)], 100, 4, sink=3, cap=13)
    assert windowed([0, 1, 2, *range(92, 100)], 100, 4, sink=3, cap=14)[0].tolist() == [*range(11)]
