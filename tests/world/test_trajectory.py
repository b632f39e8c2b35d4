import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import angles, apart, look
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, STANDARD, Action, Keys, Rates
from perdure.world.mechanism import Mechanism
from perdure.world.physics import Physics
from perdure.world.trajectory import CHUNK, Trajectory, keys_from_poses, poses_from_keys

FREE = f"""<mujoco><option timestep="{1 / 96!r}"/><worldbody>
<body name="player">
  <joint name="player_x" type="slide" axis="1 0 0"/><joint name="player_y" type="slide" axis="0 1 0"/>
  <geom type="capsule" fromto="0 0 .3 0 0 1.4" size=".3" mass="70"/>
</body></worldbody></mujoco>"""

PAIRS = (1, 2), (4, 8), (16, 32), (64, 128)
axes = st.tuples(*[st.sampled_from((-1, 0, 1))] * 4)
keys = axes.map(lambda a: sum(pair[a < 0] for a, pair in zip(a, PAIRS) if a))
walks = st.lists(st.builds(Action, keys), min_size=1, max_size=30)
mouse = st.floats(-1.04, 1.04) | st.just(0.0)
free_walks = st.lists(st.builds(Action, st.integers(0, 255), mouse, mouse), min_size=1, max_size=20)
spots = st.builds(lambda x, y, yaw: look(np.array([x, y, 1.55]), yaw, 0.0), *[st.floats(-20, 20)] * 2, st.floats(-3, 3))
slow = Rates(walk=0.8, turn=math.radians(32), pitch_limit=math.radians(85), swing=math.radians(120))
rates = st.sampled_from((Rates(), slow))


def played(actions: list[Action], start: np.ndarray, rates: Rates = STANDARD) -> np.ndarray:
    """(N, 4, 4) the cameras of physics itself, the first one included."""
    (yaw,), _ = angles(start[None])
    physics = Physics.from_xml(FREE, spawn=(start[0, 3], start[1, 3], float(yaw)), rates=rates)
    cameras = [physics.still().cameras[-1:]]
    for action in actions:
        physics, motion = physics.advance(action)
        cameras.append(motion.cameras)
    return np.concatenate(cameras)


@settings(deadline=None, max_examples=40)
@given(free_walks, spots, rates)
def test_keys_lead_where_physics_leads(actions: list[Action], start: np.ndarray, rates: Rates):
    found = poses_from_keys(actions, start, rates)
    assert found.shape == (1 + FRAMES_PER_CHUNK * len(actions), 4, 4)
    np.testing.assert_allclose(found, played(actions, start, rates), rtol=0, atol=1e-11)


@settings(deadline=None)
@given(walks, spots, rates)
def test_keys_come_back_as_they_were(actions: list[Action], start: np.ndarray, rates: Rates):
    poses = poses_from_keys(actions, start, rates)
    pitches = angles(poses[::FRAMES_PER_CHUNK])[1]
    at_limit = np.abs(pitches) > rates.pitch_limit - 1e-6
    # A key held against the limit of looking up or down does nothing, so it cannot be told from none.
    idle = [at and p * a.axes[3] > 0 for a, p, at in zip(actions, pitches, at_limit)]
    expected = [Action(a.keys & 63 if i else a.keys) for a, i in zip(actions, idle)]
    assert keys_from_poses(poses, rates) == expected


@settings(deadline=None)
@given(free_walks, spots, rates)
def test_any_walk_comes_back_as_one_that_leads_the_same_way(actions: list[Action], start: np.ndarray, rates: Rates):
    poses = poses_from_keys(actions, start, rates)
    again = poses_from_keys(keys_from_poses(poses, rates), start, rates)
    moved, turned = apart(again[::FRAMES_PER_CHUNK], poses[::FRAMES_PER_CHUNK])
    assert moved.max() < 1e-6 and turned.max() < 1e-6


@settings(deadline=None)
@given(free_walks, spots, st.sampled_from((6, 12, 16, 25, 30, 59.94, 60)), rates)
def test_other_frame_rates_arrive_at_the_same_place(actions: list[Action], start: np.ndarray, fps: float, rates: Rates):
    fine, other = poses_from_keys(actions, start, rates), poses_from_keys(actions, start, rates, fps)
    seconds = len(actions) * CHUNK
    assert len(other) == 1 + math.floor(seconds * fps + 1e-9)
    limit = rates.swing * CHUNK
    speeds = [abs(a.axes[2]) * rates.turn + min(abs(a.turn), limit) / CHUNK for a in actions]
    longest = max(1 / FRAMES_PER_SECOND, 1 / fps)
    bound = sum(rates.walk * CHUNK * (speed * longest) ** 2 / 12 for speed in speeds)
    times = np.arange(len(other)) / fps
    shared = [i for i, t in enumerate(times) if abs(t * FRAMES_PER_SECOND - round(t * FRAMES_PER_SECOND)) < 1e-9]
    for i in shared:
        moved, turned = apart(fine[round(times[i] * FRAMES_PER_SECOND)], other[i])
        assert moved <= bound + 1e-9 and turned < 1e-7


def test_what_is_walked_while_turning_by_keys_hardly_minds_the_frame_rate():
    circle = [Action(Keys.FORWARD | Keys.TURN_LEFT)] * 23
    ends = [poses_from_keys(circle, np.eye(4), fps=fps)[-1, :2, 3] for fps in (24, 48, 240)]
    length = 23 * CHUNK * 2.4
    assert 0 < np.linalg.norm(ends[0] - ends[2]) < 4e-4 * length
    assert np.linalg.norm(ends[1] - ends[2]) < np.linalg.norm(ends[0] - ends[2]) / 3


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.76))
def test_a_walk_keeps_near_a_way_that_keys_cannot_make(seed: int, share: float):
    """A smooth way at some speed below walking, facing anywhere: within 0.55 of a step, and facing the same."""
    rng = np.random.default_rng(seed)
    step, count = 2.4 * CHUNK, 40
    heading = np.cumsum(rng.normal(0, 0.3, count))
    ground = np.cumsum(share * step * np.stack([np.cos(heading), np.sin(heading)], -1), 0)
    spots = np.column_stack([ground, np.full(count, 1.55)])
    facing = np.cumsum(rng.uniform(-0.9, 0.9, count))
    poses = look(spots, facing, rng.uniform(-0.4, 0.4, count))
    actions = keys_from_poses(poses, fps=1 / CHUNK)
    walked = poses_from_keys(actions, poses[0])[::FRAMES_PER_CHUNK]
    moved, turned = apart(walked, poses)
    assert moved.max() <= 0.55 * step and turned.max() < 1e-6
    assert [a.keys for a in keys_from_poses(walked, fps=1 / CHUNK)] == [a.keys for a in actions]


def test_a_key_does_not_flicker_for_noise_in_the_poses():
    actions = [Action(Keys.FORWARD)] * 10 + [Action()] * 5 + [Action(Keys.RIGHT)] * 5
    poses = poses_from_keys(actions, look(np.zeros(3), 0.0, 0.0))
    poses[:, :3, 3] += np.random.default_rng(0).normal(0, 0.02, (len(poses), 3))
    assert [a.keys for a in keys_from_poses(poses)] == [a.keys for a in actions]


@settings(deadline=None, max_examples=30)
@given(free_walks, spots)
def test_what_is_flown_goes_through_every_pose(actions: list[Action], start: np.ndarray):
    way = Trajectory(poses_from_keys(actions, start))
    flown = way.flown()
    assert len(flown) == len(actions)
    paths = np.concatenate([a.path.poses for a in flown if a.path])
    np.testing.assert_allclose(paths, way.poses[1:], rtol=0, atol=1e-12)
    assert [a.keys for a in flown] == [a.keys for a in way.walked()]
    np.testing.assert_allclose(played(flown, start)[1:], way.poses[1:], rtol=0, atol=1e-12)


def test_a_worlds_rates_are_kept_with_it_and_standard_ones_cost_nothing():
    plain, other = Physics.from_xml(FREE).mechanism, Physics.from_xml(FREE, rates=slow).mechanism
    assert Mechanism.from_bytes(other.to_bytes()).rates == slow
    assert plain.to_bytes() == msgspec.msgpack.encode(
        (plain.xml, plain.model, plain.movers, plain.seed, plain.intrinsics)
    )
    assert other.digest != plain.digest


def test_another_frame_rate_is_flown_at_ours_to_its_end():
    poses = look(np.column_stack([np.arange(11) / 10, np.zeros(11), np.full(11, 1.5)]), 0.0, 0.0)
    flown = Trajectory(poses, 16.0).flown()  # 10 frames of 1/16 s are 3.75 chunks
    assert len(flown) == 4
    x = np.concatenate([a.path.poses[:, 0, 3] for a in flown if a.path])
    np.testing.assert_allclose(x, np.minimum(np.arange(1, 17) / 24 * 1.6, 1.0), atol=1e-12)


@given(free_walks, spots, spots, st.floats(0.1, 10))
def test_a_way_is_the_same_elsewhere(actions: list[Action], start: np.ndarray, other: np.ndarray, scale: float):
    way = Trajectory(poses_from_keys(actions, start))
    moved = way.placed(other, scale)
    np.testing.assert_allclose(moved.poses[0, :3, 3], other[:3, 3], atol=1e-9)
    np.testing.assert_allclose(angles(moved.poses)[1], angles(way.poses)[1], atol=1e-7)
    np.testing.assert_allclose(moved.placed(start, 1 / scale).poses, way.poses, atol=1e-6)
    lengths = [np.linalg.norm(np.diff(t.poses[:, :3, 3], axis=0), axis=1) for t in (way, moved)]
    np.testing.assert_allclose(lengths[1], scale * lengths[0], atol=1e-6)


def test_a_single_pose_is_a_way_without_steps():
    still = Trajectory(look(np.zeros((1, 3)), 0.0, 0.0))
    assert (still.seconds, still.flown(), still.walked()) == (0, [], [])


@pytest.mark.parametrize(
    ("poses", "fps", "lens", "message"),
    [
        (np.eye(4), 24, None, r"poses of shape \(N, 4, 4\), N >= 1, got \(4, 4\)"),
        (np.zeros((0, 4, 4)), 24, None, "got \\(0, 4, 4\\)"),
        (np.stack([np.eye(4), 2 * np.eye(4)]), 24, None, "pose 1: expected a rotation"),
        (np.eye(4)[None], 0, None, "a positive number of poses a second, got 0"),
        (np.eye(4)[None], 24, np.ones((2, 4)), r"intrinsics for each of 1 poses, got \(2, 4\)"),
    ],
)
def test_what_is_no_way_is_refused(poses: np.ndarray, fps: float, lens: np.ndarray | None, message: str):
    with pytest.raises(ValueError, match=message):
        Trajectory(poses, fps, lens)
