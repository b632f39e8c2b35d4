"""Recall: what is chosen is what the coming view needs, whatever its age, within a bounded budget."""

import itertools
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import Intrinsics, look
from perdure.memory.recall import Sights, choose_keyframes, choose_memories, coverage
from perdure.presets.nano import nano
from perdure.world.geometry import Geometry, Keyframe
from perdure.world.index import Index

LENS = Intrinsics.from_fov(64, 36, 75.0)
OPEN = np.zeros((18, 32), np.float32)  # nothing stands in the way
EYE = np.array([0.0, 0.0, 1.5])


def keyframe(yaw: float, step: int = 0, position: np.ndarray = EYE, depth: int = 3000) -> Keyframe:
    shape = LENS.height, LENS.width
    pose = look(position, yaw, 0.0)
    return Keyframe(
        step, pose, LENS, np.zeros((*shape, 3), np.uint8), np.full(shape, depth, np.uint16), np.ones(shape, np.bool_)
    )


def poses(yaws: list[float]) -> np.ndarray:
    return np.stack([look(EYE, yaw, 0.0) for yaw in yaws])


def test_the_keyframe_that_looks_that_way_is_chosen_and_the_one_behind_is_not() -> None:
    ahead, behind = keyframe(0.0), keyframe(np.pi)
    cameras = np.repeat(look(EYE, 0.1, 0.0)[None], 4, 0)
    assert choose_keyframes(Geometry((behind, ahead)), cameras, LENS, nano(), OPEN) == [ahead]


def test_many_copies_of_one_view_do_not_crowd_out_another() -> None:
    left, copies = keyframe(0.6), [keyframe(-0.2, step) for step in range(30)]
    cameras = np.repeat(look(EYE, 0.2, 0.0)[None], 4, 0)
    chosen = choose_keyframes(Geometry((*copies, left)), cameras, LENS, nano(), OPEN)
    assert left in chosen and len(chosen) <= 6


def test_what_stands_behind_a_wall_is_not_chosen() -> None:
    near, behind = keyframe(0.0, depth=2000), keyframe(0.0, depth=6000)
    cameras = np.repeat(look(EYE, 0.0, 0.0)[None], 4, 0)
    wall = np.full((18, 32), 1 / 2.1, np.float32)
    assert choose_keyframes(Geometry((behind, near)), cameras, LENS, nano(), wall) == [near]
    assert len(choose_keyframes(Geometry((behind, near)), cameras, LENS, nano(), OPEN)) == 2


def test_the_budgets_of_keyframes_and_points_hold() -> None:
    many = [keyframe(float(yaw), i) for i, yaw in enumerate(np.linspace(-0.5, 0.5, 40))]
    cameras = np.repeat(look(EYE, 0.0, 0.0)[None], 4, 0)
    size = LENS.width * LENS.height
    preset = replace(nano(), keyframes=3)
    assert len(choose_keyframes(Geometry(tuple(many)), cameras, LENS, preset, OPEN)) <= 3
    preset = replace(nano(), points=2 * size)
    assert sum(k.mask.sum() for k in choose_keyframes(Geometry(tuple(many)), cameras, LENS, preset, OPEN)) <= 2 * size


def scattered(count: int, spread: float, seed: int) -> list[Keyframe]:
    """Looks from here and there, at surfaces near and far, some of them slivers."""
    random = np.random.default_rng(seed)
    out = []
    for step in range(count):
        whole = keyframe(random.uniform(-3.1, 3.1), step, random.normal([0, 0, 1.5], [spread, spread, 0.3]))
        depth = np.full_like(whole.depth, random.choice([800, 3000, 9000, 60_000]))
        depth += random.integers(0, 2000, depth.shape, np.uint16) * np.uint16(depth[0, 0] < 60_000)
        mask = np.zeros_like(whole.mask)
        row, column = random.integers(0, 30), random.integers(0, 56)
        mask[row : row + random.integers(2, 40), column : column + random.integers(2, 60)] = True
        out.append(Keyframe(whole.step, whole.pose, whole.intrinsics, whole.rgb, depth, mask))
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 4.0, 15.0]), st.floats(-3.1, 3.1), st.sampled_from([0, 0.2, 1]))
def test_asking_those_in_sight_is_as_good_as_asking_all(seed: int, spread: float, yaw: float, walls: float) -> None:
    random = np.random.default_rng(seed)
    geometry = Geometry(tuple(scattered(25, spread, seed)))
    cameras = np.stack([look(EYE + 0.1 * t, yaw + 0.05 * t, 0.1) for t in range(4)])
    solid = np.where(random.random((18, 32)) < walls, random.uniform(0.1, 2, (18, 32)), 0).astype(np.float32)
    chosen = choose_keyframes(geometry, cameras, LENS, nano(), solid)
    with patch.object(Sights, "__call__", lambda self, places, radius: np.ones(len(places), np.bool_)):
        assert choose_keyframes(geometry, cameras, LENS, nano(), solid) == chosen


def test_what_was_seen_elsewhere_is_not_even_asked() -> None:
    """A long row of rooms, each looked at from within: what is asked does not grow with the row."""
    row = [keyframe(yaw, n, np.array([0, 20 * n, 1.5])) for n in range(40) for yaw in (0.0, 2.0, 4.0)]
    cameras = np.repeat(look(EYE, 0.1, 0.0)[None], 4, 0)
    asked = []
    for count in (30, 120):
        geometry = Geometry(tuple(row[:count]))
        sights = Sights((cameras[0],), LENS, np.full((9, 16), 0.2, np.float32))
        asked.append(geometry.seen.among(EYE, 120.0, sights))
        assert choose_keyframes(geometry, cameras, LENS, nano(), OPEN)[0] is row[0]
    assert asked[0] == asked[1] and 0 in asked[0] and len(asked[0]) < 6


def trail(past: np.ndarray) -> Index:
    index = Index(len(past) + 1)
    for number, pose in enumerate(past):
        index = index.add(number, pose)
    return index


def chosen_of_all(poses: np.ndarray, camera: np.ndarray, recent: int, recalled: int) -> list[int]:
    """The plain twin: every pose there is has its say."""
    old = max(0, len(poses) - recent)
    apart = np.linalg.norm(poses[:old, :3, 3] - camera[:3, 3], axis=-1)
    facing = (poses[:old, :3, 2] * camera[:3, 2]).sum(1)
    score = np.where(facing > 0.5, facing, 0.0) / (1 + (apart / 4.0) ** 2)
    chosen: list[int] = []
    for _ in range(recalled if old else 0):
        best = int(score.argmax())
        if score[best] < 0.2:
            break
        chosen.append(best)
        score[max(0, best - 2) : best + 3] = 0
    return [*sorted(chosen), *range(old, len(poses))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-3.1, 3.1), max_size=40), st.floats(-3.1, 3.1))
def test_memories_are_the_last_ones_and_older_ones_that_looked_that_way(yaws: list[float], now: float) -> None:
    past = poses(yaws) if yaws else np.zeros((0, 4, 4))
    camera = look(EYE, now, 0.0)
    n = len(yaws)
    chosen = choose_memories(trail(past), n, camera, recent=4, recalled=4)
    assert chosen == sorted(set(chosen)) and len(chosen) <= 8
    assert chosen[-min(4, n) :] == list(range(max(0, n - 4), n)) if n else chosen == []
    old = [i for i in chosen if i < n - 4]
    assert len(old) <= 4
    assert all(past[i][:3, 2] @ camera[:3, 2] > 0.5 for i in old)
    assert all(b - a > 2 for a, b in itertools.pairwise(old))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 80), st.sampled_from([1.0, 6.0, 12.0]))
def test_asking_those_nearby_is_as_good_as_asking_all(seed: int, count: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    spots, yaws = random.normal(0, spread, (count + 1, 3)), random.uniform(-3.1, 3.1, count + 1)
    past = np.array([look(spot, yaw, 0.4) for spot, yaw in zip(spots, yaws)])
    chosen = choose_memories(trail(past[:-1]), count, past[-1], 4, 4)
    assert chosen == chosen_of_all(past[:-1], past[-1], 4, 4)


def test_a_memory_of_long_ago_is_found_again() -> None:
    yaws = [0.0, *[2.0] * 500]
    index = Index(8)
    for number, pose in enumerate(poses(yaws)):
        index = index.add(number, pose)
    assert 0 in choose_memories(index, len(yaws), look(EYE, 0.05, 0.0), 4, 4)


def test_a_chunk_that_was_committed_recalls_what_it_recalled_then() -> None:
    """Standing still, each memory pushes another out: not from under the chunk that it is the memory of."""
    index = Index(2)
    for number in range(30):
        camera = look(EYE, 0.01 * number, 0.0)
        then = choose_memories(index, number, camera, 4, 4)
        index = index.add(number, camera)
        assert choose_memories(index, number, camera, 4, 4) == then


def test_coverage_is_the_mean_of_each_cell() -> None:
    confidence = np.zeros((4, 16, 24), np.uint8)
    confidence[:, :8, :8] = 255
    confidence[:2, 8:, 16:] = 255
    np.testing.assert_allclose(coverage(confidence)[0], [[1, 0, 0], [0, 0, 0.5]])
