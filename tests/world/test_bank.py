"""Banks stay small for ever, and what they keep does not depend on the way it came."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.world.bank import BOUND, FINEST, PER_BIN, Look, angles, apart, distance, kept

looks = st.builds(
    Look,
    by=st.just("plain"),
    code=st.lists(st.integers(0, 3), min_size=2, max_size=2).map(lambda v: np.array(v, "<f2").tobytes()),
    azimuth=st.integers(0, 359),
    elevation=st.integers(-90, 90),
    quality=st.integers(0, FINEST),
    step=st.integers(-1, 5),
    links=st.integers(0, 3),
)
many = st.lists(looks, max_size=40)


@given(many, st.randoms())
def test_what_is_kept_does_not_depend_on_the_order(seen: list[Look], random) -> None:
    bank = kept(seen)
    random.shuffle(seen)
    one_by_one = ()
    for look in seen:
        one_by_one = kept((*one_by_one, look))
    assert kept(seen) == one_by_one == bank == kept(bank)


@given(many, many, many)
def test_banks_join_in_any_order(a: list[Look], b: list[Look], c: list[Look]) -> None:
    left = kept(kept((*kept(a), *kept(b))) + kept(c))
    right = kept(kept(c) + kept((*kept(b), *kept(a))))
    assert left == right == kept([*a, *b, *c])


@given(many)
def test_a_bin_keeps_its_best(seen: list[Look]) -> None:
    bank = kept(seen)
    assert set(bank) <= set(seen)
    for number in {look.bin for look in seen}:
        mine = [look for look in bank if look.bin == number]
        left = [look for look in seen if look.bin == number and look not in bank]
        assert 1 <= len(mine) <= PER_BIN
        if left and len(mine) == PER_BIN and not any(look.links for look in seen):
            assert min(look.quality for look in mine) >= min(look.quality for look in left)


def test_a_bank_is_full_one_day() -> None:
    rng = np.random.default_rng(5)
    bank, sizes = kept([]), []
    for step in range(1500):
        look = Look.of("plain", rng.standard_normal(4), rng.standard_normal(3), rng.random(), step)
        bank = kept((*bank, look))
        sizes.append(len(bank))
    assert sizes[-1] == BOUND
    assert all(a <= b for a, b in pairwise(sizes))
    # And it comes to rest: a look that is no better than what is there changes nothing.
    best = kept(Look("plain", look.code, look.azimuth, look.elevation, FINEST, look.step) for look in bank)
    assert kept((*best, Look("plain", bytes(8), bank[0].azimuth, bank[0].elevation, FINEST, 9999))) == best


def test_those_vouched_for_stay() -> None:
    vouched = Look("plain", bytes(4), 10, 0, 1, 0)
    better = [Look("plain", bytes(4), 10, 0, FINEST, step, links=1) for step in range(1, 9)]
    assert vouched in kept([*better, vouched])


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3).filter(lambda v: math.hypot(*v) > 0.1))
def test_views_come_back_within_a_degree(view: list[float]) -> None:
    look = Look.of("plain", np.ones(3), view, 0.5, 3)
    assert float(np.dot(look.view, view)) / math.hypot(*view) > math.cos(math.radians(1.0))
    assert apart(look, look) < 1e-3


def test_views_are_counted_to_the_left_from_ahead() -> None:
    assert angles((1, 0, 0)) == (0, 0)
    assert angles((0, 2, 0)) == (90, 0)
    assert angles((0, -1, -1)) == (270, -45)
    around = [
        Look.of("plain", np.ones(3), (math.cos(a), math.sin(a), 0.1), 1, 0).bin for a in np.arange(8) * math.pi / 4
    ]
    assert around == [(1, side) for side in range(8)]
    assert Look.of("plain", np.ones(3), (1, -0.05, 0), 1, 0).bin == (1, 0)  # a bin on both sides of straight ahead


def test_only_looks_of_one_embedding_compare() -> None:
    one = Look.of("plain", np.array([1.0, 0.0]), (1, 0, 0), 1, 0)
    two = Look.of("plain", np.array([0.0, 1.0]), (1, 0, 0), 1, 0)
    assert distance(one, two) == pytest.approx(math.sqrt(2))
    assert distance(one, Look.of("learned", np.array([1.0, 0.0]), (1, 0, 0), 1, 0)) == math.inf
    assert distance(one, Look.of("plain", np.ones(3), (1, 0, 0), 1, 0)) == math.inf


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="finite"):
        Look.of("plain", np.array([1e9]), (1, 0, 0), 1, 0)
    with pytest.raises(ValueError, match="direction"):
        Look.of("plain", np.ones(3), (0, 0, 0), 1, 0)
    with pytest.raises(ValueError, match=r"0\.\.359"):
        Look("plain", bytes(2), 360, 0, 1, 0)
    with pytest.raises(ValueError, match="half floats"):
        Look("plain", b"abc", 0, 0, 1, 0)
