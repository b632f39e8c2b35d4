"""What was seen from where, against plain sets."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.index import CELL, STEEP
from perdure.world.seen import DISTANCES, Seen

LOOKS = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 12)), max_size=25)


def look(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and the eye that saw them: few places and eyes, so that spots fill."""
    random = np.random.default_rng(seed)
    return random.choice([-9.0, -0.5, 0.7, 2.1], (count, 3)), random.choice([0.0, 1.0], 3)


def spot(point: np.ndarray, eye: np.ndarray) -> tuple:
    distance = np.linalg.norm(point - eye)
    x, y, z = (point - eye) / distance
    heading = bool(x < 0), bool(y < 0), bool(abs(y) > abs(x)), int(np.digitize(z, [-STEEP, STEEP]))
    return (*np.floor(point / CELL).tolist(), *heading, int(np.digitize(distance, DISTANCES)))


def everywhere(places: np.ndarray, _: float) -> np.ndarray:
    return np.ones(len(places), np.bool_)


@settings(max_examples=60, deadline=None)
@given(LOOKS, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_each_spot_takes_the_first_and_is_full_after(looks: list, bound: int, probe: int) -> None:
    seen, plain = Seen(bound), defaultdict[tuple, list[int]](list)
    for number, (seed, count) in enumerate(looks):
        points, eye = look(seed, count)
        before = [plain[spot(point, eye)][:] for point in points]
        np.testing.assert_array_equal(seen.full(points, eye), [len(held) >= bound for held in before])
        seen = seen.add(number, points, eye)
        for place in {spot(point, eye) for point in points}:
            if len(plain[place]) < bound:
                plain[place].append(number)
    assert seen.among(np.zeros(3), 50.0, everywhere) == sorted({n for held in plain.values() for n in held})
    wanted = look(probe, 1)[0][0]

    def only(places: np.ndarray, radius: float) -> np.ndarray:
        return np.abs(places - wanted).max(1, initial=0) <= radius / np.sqrt(3) + 1e-9

    there = {n for place, held in plain.items() if place[:3] == (*np.floor(wanted / CELL),) for n in held}
    found = seen.among(wanted, 1.0, only)
    assert there <= set(found)
    near = {
        n for place, held in plain.items() if np.abs(np.array(place[:3]) * CELL + 1 - wanted).max() < 2 for n in held
    }
    assert set(found) <= near


@settings(max_examples=60, deadline=None)
@given(LOOKS, st.integers(1, 3), st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_all_at_once_is_one_by_one(looks: list, bound: int, probes: list[int]) -> None:
    shown = [look(seed, count) for seed, count in looks]
    one, all_ = Seen(bound), Seen.of(shown, bound)
    for number, (points, eye) in enumerate(shown):
        one = one.add(number, points, eye)
    assert one.among(np.zeros(3), 50.0, everywhere) == all_.among(np.zeros(3), 50.0, everywhere)
    for number, probe in enumerate(probes, len(shown)):
        points, eye = look(probe, 12)
        np.testing.assert_array_equal(one.full(points, eye), all_.full(points, eye))
        one, all_ = one.add(number, points, eye), all_.add(number, points, eye)
        assert one.among(eye, 1.0, everywhere) == all_.among(eye, 1.0, everywhere)


def test_a_world_that_is_large_is_asked_by_place_and_a_small_one_as_a_whole() -> None:
    seen = Seen()
    for number in range(300):
        seen = seen.add(number, np.array([[9.0 * number, 0, 0]]), np.array([9.0 * number, 1, 0]))
    assert seen.among(np.array([900.0, 0, 0]), 20.0, everywhere) == [98, 99, 100, 101, 102, 103]
    assert seen.among(np.array([900.0, 0, 0]), 4000.0, everywhere) == [*range(300)]


def test_it_never_changes_and_shares_what_was_not_touched() -> None:
    eye = np.zeros(3)
    base = Seen(2).add(0, np.array([[1.0, 0, 0], [50.0, 0, 0]]), eye)
    one = base.add(1, np.array([[1.0, 0, 0]]), eye)
    assert base.among(eye, 99.0, everywhere) == [0]
    assert one._blocks[(6, 0, 0)] is base._blocks[(6, 0, 0)]  # pyright: ignore[reportPrivateUsage]
    assert one.full(np.array([[1.0, 0, 0], [50.0, 0, 0]]), eye).tolist() == [True, False]
    assert Seen().add(0, np.empty((0, 3)), eye).among(eye, 9.0, everywhere) == []
    with pytest.raises(ValueError, match="at least 1"):
        Seen(0)
