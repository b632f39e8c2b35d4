import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import (
    Intrinsics,
    angles,
    apart,
    check_pose,
    compose,
    interpolate,
    invert,
    look,
    overlap,
    project,
    quaternion,
    rays,
    relative,
    rotation,
    slerp,
    unproject,
    yaw_pitch,
)

LENS = Intrinsics.from_fov(32, 18, 75.0)
EXACT = {"rtol": 0, "atol": 1e-12}

seeds = st.integers(0, 2**32 - 1)


def quaternions(seed: int, count: int = 8) -> np.ndarray:
    """Of every kind: any rotation, tiny ones, half turns about an axis, and the identity."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((count, 4))
    out[0] = (1, 0, 0, 0)
    out[1] = (1, *1e-9 * rng.standard_normal(3))
    out[2:5] = np.eye(4)[1:]
    out[5] = (1e-9, *rng.standard_normal(3))
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    return np.where(out[:, :1] < 0, -out, out)


def poses(seed: int, count: int = 8) -> np.ndarray:
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, :3] = rotation(quaternions(seed, count))
    out[:, :3, 3] = np.random.default_rng(seed + 1).uniform(-20, 20, (count, 3))
    return out


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
def test_a_camera_that_looks_somewhere_says_where(x: float, y: float, yaw: float, pitch: float):
    pose = look(np.array([x, y, 1.5]), yaw, pitch)
    check_pose(pose)
    assert yaw_pitch(pose) == pytest.approx((yaw, pitch), abs=1e-9)
    ahead = (np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch))
    np.testing.assert_allclose(pose[:3, 2], ahead, **EXACT)
    assert pose[2, 0] == 0, "an upright camera does not roll"
    assert pose[2, 1] <= 0, "its y is down"


@settings(deadline=None)
@given(seeds)
def test_a_batch_is_its_members_to_the_bit(seed: int):
    rng = np.random.default_rng(seed)
    spots, yaws, pitches = rng.uniform(-9, 9, (5, 3)), rng.uniform(-4, 4, 5), rng.uniform(-1.5, 1.5, 5)
    many = look(spots, yaws, pitches)
    depths, points = rng.uniform(0.1, 20, (5, 18, 32)), rng.uniform(-9, 9, (5, 40, 3))
    pixels, along = project(points, LENS, many)
    world = unproject(depths, LENS, many)
    for i, pose in enumerate(many):
        assert pose.tobytes() == look(spots[i], float(yaws[i]), float(pitches[i])).tobytes()
        assert invert(many)[i].tobytes() == invert(pose).tobytes()
        assert tuple(a[i] for a in angles(many)) == yaw_pitch(pose)
        assert world[i].tobytes() == unproject(depths[i], LENS, pose).tobytes()
        alone = project(points[i], LENS, pose)
        assert (pixels[i].tobytes(), along[i].tobytes()) == (alone[0].tobytes(), alone[1].tobytes())


@given(seeds)
def test_there_and_back_is_nowhere(seed: int):
    many = poses(seed)
    np.testing.assert_allclose(compose(many, invert(many)), np.tile(np.eye(4), (8, 1, 1)), rtol=0, atol=1e-13)
    other = poses(seed + 2)
    np.testing.assert_allclose(compose(other, relative(many, other)), many, rtol=0, atol=1e-12)


@given(seeds)
def test_a_rotation_and_its_quaternion_are_the_same(seed: int):
    given_ = quaternions(seed)
    again = quaternion(rotation(given_))
    assert (again[:, 0] >= 0).all()
    # A half turn has two quaternions; either is right.
    np.testing.assert_allclose(again * np.sign((again * given_).sum(-1, keepdims=True)), given_, rtol=0, atol=1e-12)
    vectors = np.random.default_rng(seed).standard_normal((8, 3))
    w, v = given_[:, :1], given_[:, 1:]
    turned = vectors + 2 * np.cross(v, np.cross(v, vectors) + w * vectors)
    np.testing.assert_allclose((rotation(given_) @ vectors[..., None])[..., 0], turned, **EXACT)


@given(seeds, st.floats(0, 1))
def test_slerp_goes_the_shorter_way_evenly(seed: int, share: float):
    one, other = quaternions(seed), np.random.default_rng(seed).permutation(quaternions(seed + 1))
    middle = slerp(one, other, share)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 1, **EXACT)

    def frames(q: np.ndarray) -> np.ndarray:
        out = np.tile(np.eye(4), (8, 1, 1))
        out[:, :3, :3] = rotation(q)
        return out

    whole = apart(frames(one), frames(other))[1]
    assert (whole <= np.pi + 1e-9).all()
    np.testing.assert_allclose(apart(frames(one), frames(middle))[1], share * whole, rtol=0, atol=1e-7)
    np.testing.assert_allclose(apart(frames(middle), frames(other))[1], (1 - share) * whole, rtol=0, atol=1e-7)


def test_a_turn_is_measured_whatever_its_size():
    start = look(np.zeros(3), 0.0, 0.0)
    for angle in (0.0, 1e-9, 1e-3, 1.0, 3.0, np.pi):
        moved, turned = apart(start, look(np.array([3.0, 4.0, 0.0]), angle, 0.0))
        assert (moved, turned) == pytest.approx((5.0, angle), abs=1e-15, rel=1e-12)


def test_between_two_poses_a_camera_goes_straight_and_turns_evenly_and_waits_at_the_ends():
    two = np.stack([look(np.array([0.0, 0, 1]), 3.0, 0.1), look(np.array([2.0, 0, 1]), -3.0, 0.1)])
    times = np.array([1.0, 2.0])
    found = interpolate(two, times, np.array([0.0, 1.0, 1.25, 1.5, 2.0, 9.0]))
    np.testing.assert_allclose(found[:, 0, 3], [0, 0, 0.5, 1, 2, 2], **EXACT)
    np.testing.assert_allclose(found[[0, 1, 4, 5]], two[[0, 0, 1, 1]], **EXACT)
    assert yaw_pitch(found[3])[0] == pytest.approx(np.pi), "the shorter way is across pi"
    assert apart(found[2], two[0])[1] == pytest.approx(0.25 * apart(*two)[1])
    np.testing.assert_array_equal(interpolate(two[:1], times[:1], np.array([0.0, 7.0])).shape, (2, 4, 4))
    with pytest.raises(ValueError, match="a time for each pose, ascending, got 2 for 2"):
        interpolate(two, times[::-1], times)
    with pytest.raises(ValueError, match="got 1 for 2 poses"):
        interpolate(two, times[:1], times)


@given(seeds)
def test_what_is_unprojected_projects_back(seed: int):
    depth = np.random.default_rng(seed).uniform(0.1, 30, (8, 18, 32))
    many = poses(seed)
    pixels, depths = project(unproject(depth, LENS, many).reshape(8, -1, 3), LENS, many)
    columns, rows = np.meshgrid(np.arange(32) + 0.5, np.arange(18) + 0.5)
    np.testing.assert_allclose(depths.reshape(8, 18, 32), depth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pixels[..., 0].reshape(8, 18, 32), np.tile(columns, (8, 1, 1)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(pixels[..., 1].reshape(8, 18, 32), np.tile(rows, (8, 1, 1)), rtol=0, atol=1e-9)


def test_intrinsics_as_fractions_are_the_same_camera_at_any_size():
    again = Intrinsics.from_normalised(32, 18, LENS.normalised())
    np.testing.assert_allclose(again.matrix(), LENS.matrix(), rtol=1e-15)
    np.testing.assert_allclose(LENS.scaled(64, 72).normalised(), LENS.normalised(), rtol=1e-15)
    centre = rays(Intrinsics.from_fov(31, 17, 90.0))
    np.testing.assert_array_equal(centre[8, 15], (0, 0, 1))
    assert centre[8, -1, 0] == pytest.approx(30 / 31)


def seen(yaw: float, x: float = 0.0) -> np.ndarray:
    return look(np.array([x, 0.0, 1.5]), yaw, 0.0)


def test_overlap_is_all_of_the_same_view_and_nothing_behind():
    assert overlap(seen(0.3), seen(0.3), LENS) == 1
    assert overlap(seen(0.0), seen(np.pi), LENS) == 0
    assert overlap(seen(0.0), seen(np.radians(76)), LENS) == 0, "fields of 75 degrees that touch at their edges"
    assert overlap(seen(0.0), seen(0.0, x=13.0), LENS) == 0, "beyond what is far"


def test_a_turn_loses_the_part_of_the_picture_that_left_it():
    """Pure turning with a flat camera: the truth is a share of angles, which the lattice comes near to."""
    wide = Intrinsics(64, 1, 32 / np.tan(np.radians(37.5)), 1e-3, 32, 0.5)
    got = overlap(seen(0.0), seen(np.radians(25)), wide, near=1, far=10)
    right = 32 + 32 * np.tan(np.radians(12.5)) / np.tan(np.radians(37.5))
    assert got == pytest.approx(right / 64, abs=0.05)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_overlap_is_symmetric_and_does_not_mind_where_the_world_is(seed: int):
    one, other, moved = poses(seed), poses(seed + 1), poses(seed + 2)[5]
    narrow = Intrinsics.from_fov(20, 20, 40.0)
    shared = overlap(one, other, LENS, narrow)
    np.testing.assert_array_equal(shared, overlap(other, one, narrow, LENS))
    assert ((shared >= 0) & (shared <= 1)).all()
    np.testing.assert_allclose(overlap(moved @ one, moved @ other, LENS, narrow), shared, rtol=0, atol=2 / 768)
    table = overlap(one[:, None], other[None], LENS)
    assert table.shape == (8, 8) and table[3, 4] == overlap(one[3], other[4], LENS)
    with pytest.raises(ValueError, match="0 < near < far"):
        overlap(one, other, LENS, near=2.0, far=1.0)


def test_overlap_falls_as_one_walks_and_turns_away():
    walked = [float(overlap(seen(0.0), seen(0.0, x), LENS)) for x in (0, 0.5, 1, 2, 4, 8)]
    turned = [float(overlap(seen(0.0), seen(a), LENS)) for a in (0, 0.2, 0.4, 0.8, 1.2)]
    assert walked == sorted(walked, reverse=True) and turned == sorted(turned, reverse=True)
    assert len(set(walked)) == 6 and len(set(turned)) == 5


@pytest.mark.parametrize(
    ("pose", "says"),
    [
        (np.eye(3), r"a 4x4 camera-to-world pose, got shape \(3, 3\)"),
        (np.full((4, 4), None), "a 4x4 camera-to-world pose, got .* of object"),
        (np.diag([1, 1, np.nan, 1]), "a finite pose"),
        (np.diag([1, 1.001, 1, 1]), "a rotation in the pose, got a matrix off orthonormal by 0.002"),
        (np.diag([1.0, 1, -1, 1]), "a rotation in the pose, got .*a mirror"),
        (np.eye(4) + np.eye(4, k=-3), r"a pose whose last row is 0 0 0 1, got \[1\. 0\. 0\. 1\.\]"),
    ],
)
def test_what_is_no_pose_is_refused(pose: np.ndarray, says: str):
    with pytest.raises(ValueError, match=f"expected {says}"):
        check_pose(pose)
