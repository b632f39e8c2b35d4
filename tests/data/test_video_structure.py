"""Camera poses of films: COLMAP's on a walk through the playground against where the camera was, and what is not
believed: leaps, turns that no camera makes, weak links, and turns on the spot that lose the scale."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import Array, Intrinsics, invert, look, rotation
from perdure.data.video.structure import Collapsed, Solution, Structure, believed, longest, picks, structure, tied
from perdure.evaluation.structure import errors, filmed, similarity
from perdure.world.action import WALK

LENS = Intrinsics.from_fov(512, 288, 75.0)
POINTS = np.random.default_rng(0).uniform((-4, -6, -1), (24, 6, 3), (4000, 3))


def walk(count: int = 60, turning: slice = slice(0, 0)) -> Array:
    """A way straight on at 2.4 m/s, with a quarter turn on the spot in between."""
    still = np.zeros(count, np.bool_)
    still[turning] = True
    x = np.cumsum(np.where(still, 0.0, 0.3))
    yaw = np.cumsum(np.where(still, np.radians(9), 0.0)) + 0.1 * np.sin(np.arange(count) / 5)
    return look(np.stack([x, 0.3 * np.sin(x), np.full(count, 1.5)], -1), yaw, 0.0)


def solved(poses: Array, **changes: Any) -> Solution:
    """What a solver that errs nowhere would say of a walk, 8 frames a second."""
    local = np.einsum("kji,knj->kni", poses[:, :3, :3], POINTS - poses[:, None, :3, 3])
    flat = local[..., :2] / np.maximum(local[..., 2:], 0.1) * LENS.fx
    seen = (local[..., 2] > 0.5) & (np.abs(flat) < (256, 144)).all(-1) & (local[..., 2] < 10)
    tracks = [(POINTS[n], np.flatnonzero(seen[:, n]).tolist()) for n in np.flatnonzero(seen.any(0))]
    it = Solution(
        np.arange(len(poses)) * 3, poses, LENS, POINTS[seen.any(0)], np.zeros((int(seen.any(0).sum()), 3), np.uint8),
        (seen[1:] & seen[:-1]).sum(1), tied(poses[:, :3, 3], tracks), len(poses), 0.4, float(seen.sum(1).mean()),
    )  # fmt: skip
    return replace(it, **changes)


@lru_cache
def sound() -> Solution:
    return solved(walk())


def test_poses_of_a_walk_are_found():
    """The one test that runs COLMAP: some 20 frames of 512 by 288."""
    clip = filmed("court", 3, 2.5)
    assert clip.poses is not None and clip.intrinsics is not None
    chosen = picks(clip.rgb)
    assert 10 <= len(chosen) <= 22
    it = structure([clip.rgb[i] for i in chosen], chosen, (256, 144))
    found = errors(it.poses, clip.poses[it.start : it.stop])
    assert found["translation_share_of_way"] < 0.01 and found["rotation_degrees"] < 1.0, found
    assert it.intrinsics.fx == pytest.approx(0.5 * clip.intrinsics.fx, rel=0.02)
    assert it.tags()["scale"] == "arbitrary"
    # It is upright, begins at the origin facing yaw 0, and walks at walking speed.
    assert np.abs(it.poses[:, 2, 0]).max() < 0.03 and np.allclose(it.poses[0, :3, 3], 0, atol=1e-9)
    speed = np.linalg.norm(np.diff(it.poses[:, :3, 3], axis=0), axis=1) * 24
    assert np.median(speed) == pytest.approx(WALK, rel=0.05)


def test_a_sound_solution_is_believed_whole():
    poses = walk()
    it = believed(sound(), (256, 144))
    assert isinstance(it, Structure) and (it.start, it.stop) == (0, 178) and len(it.poses) == 178
    assert errors(it.poses[::3], poses)["translation_share_of_way"] < 1e-6


def test_whatever_the_solvers_axes_and_units_the_way_is_the_same():
    poses, axes = walk(), np.eye(4)
    axes[:3, :3] = rotation(np.array([0.3, 0.5, -0.7, 0.2]) / np.linalg.norm([0.3, 0.5, -0.7, 0.2]))
    axes[:3, 3] = 5, -3, 2
    other = axes @ poses
    other[:, :3, 3] *= 0.07
    it = solved(poses)
    moved = replace(it, poses=other, points=0.07 * (it.points @ axes[:3, :3].T + axes[:3, 3]))
    plain, turned = (believed(each, (256, 144)).poses for each in (it, moved))
    assert np.abs(plain - turned).max() < 0.02


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda s: replace(s, asked=200), "60 of 200 frames"),
        (lambda s: replace(s, error=3.0), "3.0 pixels off"),
        (lambda s: replace(s, seen=5.0), "5 points"),
        (lambda s: replace(s, intrinsics=replace(LENS, fx=5000.0, fy=5000.0)), "field of view of 6 degrees"),
        (lambda s: replace(s, links=np.where(np.arange(59) % 6, s.links, 3)), "jump"),
    ],
)
def test_a_solution_that_collapsed_is_told_apart(spoil, why: str):
    with pytest.raises(Collapsed, match=why):
        believed(spoil(sound()), (256, 144))


def test_a_camera_that_only_turns_has_no_places():
    poses = look(np.zeros((60, 3)), 0.05 * np.arange(60, dtype=np.float64), 0.0)
    poses[:, :3, 3] += np.random.default_rng(1).normal(0, 1e-4, (60, 3))
    with pytest.raises(Collapsed, match=r"turns but does not move|jump"):
        believed(solved(poses), (256, 144))


def flipped(poses: Array, at: int) -> Array:
    """As solvers flip: all from `at` on is turned about."""
    out, half = poses.copy(), np.diag([-1.0, -1.0, 1.0, 1.0])
    out[at:] = poses[at] @ half @ invert(poses[at]) @ poses[at:]
    return out


@settings(max_examples=10, deadline=None)
@given(st.integers(12, 28), st.booleans())
def test_a_leap_or_a_flip_ends_the_run(at: int, leap: bool):
    poses = walk()
    if leap:
        poses[at:, :3, 3] += (0.0, 9.0, 0.0)
    else:
        poses = flipped(poses, at)
    assert longest(replace(sound(), poses=poses)) == (at, 60)


def test_a_turn_on_the_spot_loses_the_scale():
    """What comes after at another scale is no part of the same run, though frame for frame it looks sound."""
    poses = walk(80, slice(40, 56))
    assert (solved(poses).ties[43:52] == 0).all() and (solved(poses).ties[3:36] > 100).all()
    shrunk = poses.copy()
    shrunk[56:, :3, 3] = poses[55, :3, 3] + 0.1 * (poses[56:, :3, 3] - poses[55, :3, 3])
    first, last = longest(replace(solved(poses), poses=shrunk))
    assert first == 0 and 40 <= last <= 56


def test_points_that_are_lost_and_found_again_tie_nothing_between():
    eyes = np.stack([np.arange(12.0), np.zeros(12), np.zeros(12)], 1)
    point = np.array([5.0, 4.0, 0.0])
    assert tied(eyes, [(point, [0, 1, 2, 3])]).tolist() == [0, 1, 0, *[0] * 8]
    assert tied(eyes, [(point, [0, 1, 10, 11])]).tolist() == [0] * 11


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 50))
def test_the_similarity_that_was_applied_is_found(seed: int, scale: float):
    random = np.random.default_rng(seed)
    points, quaternion = random.normal(0, 2, (20, 3)), random.normal(0, 1, 4)
    turn, shift = rotation(quaternion / np.linalg.norm(quaternion)), random.normal(0, 5, 3)
    found = similarity(points, scale * points @ turn.T + shift)
    assert found[0] == pytest.approx(scale) and np.allclose(found[1], turn) and np.allclose(found[2], shift)


def test_interpolated_poses_pass_through_those_that_were_found():
    poses = walk()
    it = believed(solved(poses), (256, 144))
    relative = invert(it.poses[0]) @ it.poses[::3]
    true = invert(poses[0]) @ poses
    assert np.abs(relative[:, :3, :3] - true[:, :3, :3]).max() < 1e-9
