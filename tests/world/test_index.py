"""The index of a trail, against a plain list that keeps everything."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import look
from perdure.world.index import BLOCK, CELL, STEEP, Index

PLACES = st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-3, 3))
LOOKS = st.tuples(PLACES, st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
CROWDED = st.tuples(
    st.tuples(st.sampled_from([-7.0, 0.5, 1.5]), st.just(0.5), st.just(1.5)), st.sampled_from([0.1, 2.0])
)


def pose(seen: tuple[tuple[float, float, float], float, float]) -> np.ndarray:
    position, yaw, pitch = seen
    return look(np.array(position), yaw, pitch)


def folded(poses: list[np.ndarray], bound: int = 8) -> Index:
    index = Index(bound)
    for number, one in enumerate(poses):
        index = index.add(number, one)
    return index


def plain(poses: list[np.ndarray], bound: int, before: int) -> list[int]:
    """What is to be known before a number came: of each cell and way, the last `bound`."""
    kept: dict[tuple, list[int]] = defaultdict(list)
    for number, one in enumerate(poses[:before]):
        x, y, z = one[:3, 2]
        heading = bool(x < 0), bool(y < 0), bool(abs(y) > abs(x)), int(np.digitize(z, [-STEEP, STEEP]))
        kept[(*np.floor(one[:3, 3] / CELL).tolist(), heading)].append(number)
    return sorted(itertools.chain.from_iterable(numbers[-bound:] for numbers in kept.values()))


@settings(max_examples=80, deadline=None)
@given(st.lists(LOOKS, max_size=60), LOOKS, st.floats(0.1, 30))
def test_near_is_what_a_look_at_every_entry_would_find(looks: list, here: tuple, radius: float) -> None:
    poses = [pose(one) for one in looks]
    numbers, eyes, gazes = folded(poses, bound=60).near(pose(here), radius)
    eye = pose(here)[:3, 3]
    assert numbers.tolist() == [n for n, p in enumerate(poses) if ((p[:3, 3] - eye) ** 2).sum() <= radius**2]
    for number, at, gaze in zip(numbers, eyes, gazes):
        np.testing.assert_array_equal(at, poses[number][:3, 3])
        np.testing.assert_array_equal(gaze, poses[number][:3, 2])


@settings(max_examples=80, deadline=None)
@given(st.lists(CROWDED, max_size=60), st.integers(1, 4))
def test_the_oldest_of_a_place_and_way_leaves_and_one_entry_ago_is_still_known(looks: list, bound: int) -> None:
    poses = [pose((*one, 0.0)) for one in looks]
    index, count = Index(bound), len(poses)
    for number, one in enumerate(poses):
        index = index.add(number, one)
        for before in (number, number + 1):
            found = index.near(np.eye(4), 50.0, before)[0].tolist()
            assert found == plain(poses, bound, before)
    assert len(index) == len(plain(poses, bound, count))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(LOOKS, CROWDED.map(lambda one: (*one, 0.0))), max_size=60), st.integers(0, 60))
def test_bytes_come_back_as_an_index_that_grows_alike(looks: list, cut: int) -> None:
    poses = [pose(one) for one in looks]
    cut = min(cut, len(poses))
    whole, again = folded(poses, 2), Index.from_bytes(folded(poses[:cut], 2).to_bytes())
    for number, one in enumerate(poses[cut:], cut):
        again = again.add(number, one)
    assert again.to_bytes() == whole.to_bytes()
    assert len(again) == len(whole)


def test_an_index_never_changes_and_shares_what_was_not_touched() -> None:
    far = look(np.array([100.0, 0, 0]), 0, 0)
    base = folded([np.eye(4), far], bound=1)
    before = base.to_bytes()
    one, two = base.add(2, np.eye(4)), base.add(2, far)
    assert base.to_bytes() == before
    assert one.to_bytes() != two.to_bytes()
    corner = (int(100 // (CELL * BLOCK)), 0, 0)
    assert one._blocks[corner] is base._blocks[corner]  # pyright: ignore[reportPrivateUsage]


def test_a_place_that_is_walked_for_ever_costs_no_more() -> None:
    index = Index(8)
    sizes = []
    for number in range(4000):
        turn = 0.01 * number
        index = index.add(number, look(np.array([3 * np.cos(turn), 3 * np.sin(turn), 1.5]), 2 * turn, 0.0))
        sizes.append(len(index.to_bytes()))
    assert sizes[-1] < 1.05 * sizes[2000]
    assert len(index.near(np.eye(4), 8.0)[0]) == len(index)


def test_numbers_ascend_and_damaged_bytes_are_refused() -> None:
    index = Index().add(3, np.eye(4))
    with pytest.raises(ValueError, match="above 3"):
        index.add(3, np.eye(4))
    with pytest.raises(ValueError, match="whole entries"):
        Index.from_bytes(index.to_bytes()[:-1])
    with pytest.raises(ValueError, match="at least 1"):
        Index(0)
