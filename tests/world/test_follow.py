import math

import msgspec
import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import angles, check_pose, yaw_pitch
from perdure.world.action import Action
from perdure.world.follow import CART, MARGIN, ON_FOOT, QUADRUPED, Chase, Free, Mount, follow
from perdure.world.physics import EYE_HEIGHT, Physics
from tests.world import yard

TICK = 1 / 24
MOUNTS = {"on foot": ON_FOOT, "quadruped": QUADRUPED, "cart": CART}
mounts = pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS)


def nothing(point: np.ndarray, way: np.ndarray) -> float:
    return math.inf


def body(x: float, y: float, heading: float, z: float = 0.0) -> np.ndarray:
    cos, sin = math.cos(heading), math.sin(heading)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])


def run(mount: Mount, bodies: list[np.ndarray], free: Free = nothing) -> tuple[np.ndarray, list[Chase]]:
    chase, cameras, chases = None, [], []
    for pose in bodies:
        chase, camera = follow(mount, pose, free, chase, TICK)
        cameras.append(camera)
        chases.append(chase)
    return np.stack(cameras), chases


def wander(seed: int, count: int, speed: float, turning: float) -> list[np.ndarray]:
    """Like keys: at each moment full speed or none, turning fully or not at all."""
    rng, x, y, heading, out = np.random.default_rng(seed), 0.0, 0.0, 0.0, []
    for i in range(count):
        if i % 8 == 0:
            pace, turn = speed * rng.integers(-1, 2), turning * rng.integers(-1, 2)
        heading += turn * TICK
        x, y = x + pace * TICK * math.cos(heading), y + pace * TICK * math.sin(heading)
        out.append(body(x, y, heading))
    return out


@mounts
def test_it_comes_to_rest_behind_the_body_and_looks_past_it(mount: Mount):
    cameras, _ = run(mount, [body(0, 0, 0)] + [body(3.0, -1.0, 2.0)] * 200)
    ahead = np.array([math.cos(2.0), math.sin(2.0), 0])
    pivot = np.array([3.0, -1.0, mount.height])
    np.testing.assert_allclose(cameras[-1, :3, 3], pivot - mount.distance * ahead + (0, 0, mount.rise), atol=1e-6)
    target = pivot + mount.ahead * ahead - cameras[-1, :3, 3]
    np.testing.assert_allclose(cameras[-1, :3, 2], target / np.linalg.norm(target), atol=1e-6)
    for camera in cameras:
        check_pose(camera)
        assert abs(camera[2, 0]) < 1e-12, "it does not roll"


@mounts
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_moves_softly_however_the_body_jerks(mount: Mount, seed: int):
    """A spring of rate w whose goal moves at V at most speeds up by at most 2/e w V."""
    speed, turning = 2.4, math.radians(90)
    cameras, _ = run(mount, wander(seed, 160, speed, turning))
    eyes = cameras[:, :3, 3]
    rate, turn_rate = 2 / mount.lag, 2 / mount.turn_lag
    most = 2 / math.e * (rate * speed + mount.distance * turn_rate * turning) + mount.distance * turning**2
    changes = np.linalg.norm(np.diff(eyes, 2, axis=0), axis=1) / TICK**2
    assert changes.max() <= 1.05 * most
    assert np.linalg.norm(np.diff(eyes, axis=0), axis=1).max() <= (speed + mount.distance * turning) * TICK * 1.001


@mounts
def test_it_trails_an_even_walk_by_its_lag(mount: Mount):
    cameras, _ = run(mount, [body(2.0 * i * TICK, 0, 0) for i in range(240)])
    behind = 239 * 2.0 * TICK - cameras[-1, 0, 3] - mount.distance
    assert behind == pytest.approx(2.0 * mount.lag, abs=2.0 * TICK)


@mounts
def test_it_turns_the_shorter_way_and_never_past(mount: Mount):
    cameras, _ = run(mount, [body(0, 0, 3.0)] + [body(0, 0, -3.0)] * 120)
    yaws = np.unwrap(angles(cameras)[0])
    assert yaws[0] == pytest.approx(3.0) and yaws[-1] == pytest.approx(2 * math.pi - 3.0, abs=1e-4)
    assert (np.diff(yaws) >= -1e-12).all()


@mounts
def test_two_half_steps_are_one(mount: Mount):
    first, _ = follow(mount, body(0, 0, 0), nothing, None, TICK)
    once, _ = follow(mount, body(1, 2, 1), nothing, first, 2 * TICK)
    half, _ = follow(mount, body(1, 2, 1), nothing, first, TICK)
    twice, _ = follow(mount, body(1, 2, 1), nothing, half, TICK)
    for one, other in zip(msgspec.to_builtins(once).values(), msgspec.to_builtins(twice).values()):
        assert one == pytest.approx(other, abs=1e-12)


def behind_a_wall(x: float) -> Free:
    """Nothing but a wall across the x axis, which ends the world."""
    return lambda point, way: (x - point[0]) / way[0] if (x - point[0]) * way[0] > 0 else math.inf


@mounts
def test_it_comes_in_at_once_and_goes_out_slowly(mount: Mount):
    chase = None
    for _ in range(10):
        chase, camera = follow(mount, body(0, 0, 0), nothing, chase, TICK)
    chase, camera = follow(mount, body(0, 0, 0), behind_a_wall(-1.0), chase, TICK)
    assert -1.0 + 0.9 * MARGIN < camera[0, 3] < -1.0 + 2.5 * MARGIN
    shares = [chase.boom]
    for _ in range(100):
        chase, _ = follow(mount, body(0, 0, 0), nothing, chase, TICK)
        shares.append(chase.boom)
    assert (np.diff(shares) > 0).all() and shares[-1] > 0.999
    assert np.diff(shares).max() <= (1 - shares[0]) * TICK / mount.grow


def test_looking_up_sinks_the_camera_and_looking_down_lifts_it():
    heights, pitches = [], []
    for pitch in (-0.6, 0.0, 0.6):
        _, camera = follow(ON_FOOT, body(0, 0, 0), nothing, None, TICK, pitch)
        heights.append(camera[2, 3])
        pitches.append(yaw_pitch(camera)[1])
    assert heights == sorted(heights, reverse=True) and pitches == sorted(pitches)


def seen_by(physics: Physics) -> Free:
    """Rays through the yard as it now is, past the player."""
    model, data = physics.posed()
    player = model.body("player").id

    def free(point: np.ndarray, way: np.ndarray) -> float:
        met = mujoco.mj_ray(model, data, point, way, None, True, player, None)
        return met if met >= 0 else math.inf

    return free


@mounts
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_is_never_inside_of_anything(mount: Mount, seed: int):
    """Physics walks about a walled yard, much of the time along its walls; the camera keeps out of them."""
    rng = np.random.default_rng(seed)
    physics = Physics.from_xml(yard.XML, (yard.BEAST,), (3.5, 3.5, float(rng.uniform(-3, 3))))
    chase, keys, cut = None, 1, 0
    for i in range(60):
        if i % 6 == 0:
            keys = int(rng.choice([1, 2, 5, 17, 33, 34, 4, 8]))
        physics, motion = physics.advance(Action(keys, float(rng.uniform(-0.3, 0.3))))
        yaw, _ = yaw_pitch(motion.cameras[-1])
        x, y, z = motion.cameras[-1, :3, 3]
        free = seen_by(physics)
        pose = body(x, y, yaw, z - EYE_HEIGHT + (0.5 if mount is QUADRUPED else 0.0))
        chase, camera = follow(mount, pose, free, chase, 4 * TICK, float(rng.uniform(-0.8, 0.8)))
        eye = camera[:3, 3]
        assert eye[2] > 0
        if eye[2] < 3.0:  # the yard's walls and pillar are no higher: a cart's camera may look over them
            assert abs(eye[0]) < yard.HALF and abs(eye[1]) < yard.HALF
            assert math.hypot(eye[0] + 2, eye[1] - 2.5) > 0.4, "in the pillar"
        crate = physics.posed()[1].body("crate")
        assert np.abs(crate.xmat.reshape(3, 3).T @ (eye - crate.xpos)).max() > 0.25, "in the crate"
        cut += chase.boom < 0.99
    assert cut > 5, "nothing was in the way, so this shows nothing"


def test_the_same_way_gives_the_same_cameras_and_can_be_taken_up_again():
    bodies = wander(1, 80, 2.4, 1.5)
    cameras, chases = run(CART, bodies)
    again, _ = run(CART, bodies)
    assert again.tobytes() == cameras.tobytes()
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(chases[39]), type=Chase)
    _, camera = follow(CART, bodies[40], nothing, kept, TICK)
    assert camera.tobytes() == cameras[40].tobytes()


def test_a_mount_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"a positive lag of a mount, got 0\.0"):
        Mount(0.9, 1.5, 2.4, 0.3, 4.0, 0.2, lag=0.0, turn_lag=0.2)
