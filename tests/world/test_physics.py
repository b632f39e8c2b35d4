import hashlib
import subprocess
import sys
import threading
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import Intrinsics, invert, look
from perdure.world.action import PITCH_LIMIT, WALK, Action, Keys
from perdure.world.physics import EYE, EYE_HEIGHT, TICK, Motion, Physics
from tests.world import yard

actions = st.builds(Action, st.integers(0, 255), st.floats(-0.3, 0.3), st.floats(-0.1, 0.1))


def start(x: float = 0.0, y: float = 0.0, yaw: float = 0.0, seed: int = 1) -> Physics:
    return Physics.from_xml(yard.XML, (yard.BEAST,), (x, y, yaw), seed)


def run(physics: Physics, *todo: Action) -> tuple[Physics, np.ndarray]:
    cameras = []
    for action in todo:
        physics, motion = physics.advance(action)
        cameras.append(motion.cameras)
    return physics, np.concatenate(cameras)


def eye(physics: Physics) -> np.ndarray:
    return physics.still().cameras[-1]


def fingerprint(physics: Physics) -> str:
    return hashlib.sha256(physics.to_bytes()).hexdigest()


def test_a_step_is_as_long_as_the_rates_say():
    physics, cameras = run(start(), Action(Keys.FORWARD))
    expected = WALK * TICK * np.arange(1, 5)
    np.testing.assert_allclose(cameras[:, 0, 3], expected, atol=1e-9)
    np.testing.assert_allclose(cameras[:, 1:3, 3], np.broadcast_to((0, EYE_HEIGHT), (4, 2)), atol=1e-9)
    assert physics.tick == 4


def test_a_diagonal_is_no_faster():
    _, cameras = run(start(), Action(Keys.FORWARD | Keys.LEFT))
    assert np.hypot(*cameras[-1, :2, 3]) == pytest.approx(WALK * TICK * 4)
    assert cameras[-1, 1, 3] > 0  # left is +y when facing +x


def test_opposite_keys_cancel():
    _, cameras = run(start(), Action(Keys.FORWARD | Keys.BACK | Keys.TURN_LEFT | Keys.TURN_RIGHT))
    np.testing.assert_array_equal(cameras, np.broadcast_to(eye(start()), (4, 4, 4)))


def test_turn_and_tilt_are_spread_over_the_frames_and_pitch_is_held():
    physics, cameras = run(start(), Action(0, 0.4, 0.2))
    for i, camera in enumerate(cameras):
        np.testing.assert_allclose(camera, look(camera[:3, 3], 0.1 * (i + 1), 0.05 * (i + 1)), atol=1e-12)
    physics, _ = run(physics, *[Action(Keys.LOOK_UP)] * 20)
    assert physics.pitch == PITCH_LIMIT


@settings(deadline=None, max_examples=40)
@given(st.lists(actions, min_size=1, max_size=5), st.floats(-3, 3))
def test_a_free_walk_is_retraced(todo: list[Action], yaw: float):
    begin = start(yaw=yaw)
    # Looking past the limit of the neck is not free: keep to walks that do not.
    tilts = np.cumsum([a.tilt + 0.27 * (bool(a.keys & Keys.LOOK_UP) - bool(a.keys & Keys.LOOK_DOWN)) for a in todo])
    if np.abs(tilts).max() >= PITCH_LIMIT - 0.3:
        return
    there, _ = run(begin, *todo)
    back, _ = run(there, *(a.reversed() for a in reversed(todo)))
    np.testing.assert_allclose(eye(back), eye(begin), atol=1e-6)


def test_a_wall_stops_the_player_without_a_tremor():
    _, cameras = run(start(), *[Action(Keys.FORWARD)] * 24)
    x = cameras[:, 0, 3]
    assert x.max() < yard.HALF - 0.3 + 0.03
    assert np.ptp(x[-40:]) < 1e-3


def test_the_player_slides_along_a_wall():
    _, cameras = run(start(3.5, -3.0, np.pi / 4), *[Action(Keys.FORWARD)] * 12)
    y = cameras[-24:, 1, 3]
    np.testing.assert_allclose(np.diff(y), WALK * TICK * np.sin(np.pi / 4), rtol=1e-3)
    assert np.ptp(cameras[-24:, 0, 3]) < 1e-3


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 255), st.floats(-1, 1)), min_size=1, max_size=12))
def test_no_walk_leads_through_a_wall(todo: list[tuple[int, float]]):
    """The north and south walls are 2 cm thick, less than a substep's walk."""
    _, cameras = run(start(3.0, 3.0), *[Action(keys, turn) for keys, turn in todo for _ in range(4)])
    assert np.abs(cameras[:, :2, 3]).max() < yard.HALF - 0.3 + 0.05
    apart = np.linalg.norm(cameras[:, :2, 3] - (-2, 2.5), axis=-1)
    assert apart.min() > 0.7 - 0.05


def test_a_crate_can_be_pushed():
    physics = start(-3.0, -1.5, -np.pi / 2)
    _, before = physics.posed()
    physics, _ = run(physics, *[Action(Keys.FORWARD)] * 6)
    _, after = physics.posed()
    assert after.body("crate").xpos[1] < before.body("crate").xpos[1] - 0.2


WALK_ABOUT = [Action(Keys.FORWARD | (Keys.TURN_LEFT if i % 3 else Keys.LEFT), 0.03 * (i % 5), 0.01) for i in range(40)]


def test_replay_is_bit_for_bit_here_and_in_a_thread():
    begin = start()
    once, cameras = run(begin, *WALK_ABOUT)
    again, same = run(begin, *WALK_ABOUT)
    assert once.to_bytes() == again.to_bytes()
    assert cameras.tobytes() == same.tobytes()
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fingerprint(run(begin, *WALK_ABOUT)[0])))
    thread.start()
    thread.join()
    assert found == [fingerprint(once)]


def test_two_walks_in_turns_do_not_disturb_each_other():
    one, two = start(), start(1.0, 1.0, 2.0)
    for action in WALK_ABOUT[:20]:
        one, _ = one.advance(action)
        two, _ = two.advance(action.reversed())
    assert fingerprint(one) == fingerprint(run(start(), *WALK_ABOUT[:20])[0])


def test_replay_from_bytes_in_another_process_is_bit_for_bit(tmp_path):
    middle, _ = run(start(), *WALK_ABOUT[:20])
    (tmp_path / "mechanism").write_bytes(middle.mechanism.to_bytes())
    (tmp_path / "state").write_bytes(middle.to_bytes())
    code = """
import sys, hashlib, pathlib
from perdure.world.physics import Mechanism, Physics
from tests.world.test_physics import WALK_ABOUT, fingerprint, run
folder = pathlib.Path(sys.argv[1])
mechanism = Mechanism.from_bytes((folder / "mechanism").read_bytes(), b"")
physics = Physics.from_bytes(mechanism, (folder / "state").read_bytes())
print(fingerprint(run(physics, *WALK_ABOUT[20:])[0]))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=yard.ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == fingerprint(run(middle, *WALK_ABOUT[20:])[0])


def test_the_watcher_sees_each_frame_as_it_is():
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(model: mujoco.MjModel, data: mujoco.MjData, camera: np.ndarray) -> None:
        seen.append((camera.copy(), data.body("beast").xpos.copy()))
        np.testing.assert_allclose(camera[:2, 3], data.body("player").xpos[:2])

    physics = start()
    moved, motion = physics.advance(Action(Keys.FORWARD), watch)
    np.testing.assert_array_equal([camera for camera, _ in seen], motion.cameras)
    np.testing.assert_array_equal([body for _, body in seen], motion.bodies[1][:, :3, 3])
    assert moved.to_bytes() == physics.advance(Action(Keys.FORWARD))[0].to_bytes()


def test_posed_is_what_a_full_forward_pass_gives():
    physics, _ = run(start(), *WALK_ABOUT[:5])
    model, data = physics.posed()
    full = mujoco.MjData(model)
    mujoco.mj_setState(model, full, physics.state, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(model, full)
    np.testing.assert_array_equal(data.geom_xpos, full.geom_xpos)
    np.testing.assert_array_equal(data.geom_xmat, full.geom_xmat)


def test_proxy_of_a_wall_ahead_is_its_distance_and_normal():
    physics = start(yaw=0.2)
    proxy = physics.proxy(physics.still(), 32, 18)
    assert proxy.shape == (5, 18, 32)
    assert proxy.dtype == np.float32
    # A ray to the middle of the image, by hand: the east wall at x = HALF, the eye looking 0.2 radians off its normal.
    middle = proxy[:, 8:10, 15:17].mean((1, 2))
    assert 1 / middle[0] == pytest.approx(yard.HALF / np.cos(0.2), rel=2e-3)
    wall_in_camera = invert(eye(physics))[:3, :3] @ (-1, 0, 0)
    np.testing.assert_allclose(middle[1:4], wall_in_camera, atol=1e-6)
    np.testing.assert_array_equal(proxy[:, 0, 16], 0)  # over the wall: sky
    floor = proxy[:, -1, 16]
    np.testing.assert_allclose(floor[1:4], (0, -1, 0), atol=1e-6)  # up, where y is down
    below = (0.5 * 18 - 0.5) / EYE.scaled(32, 18).fy
    assert 1 / floor[0] == pytest.approx(EYE_HEIGHT / below, rel=1e-5)


def test_proxy_marks_the_creature_and_not_the_player():
    physics = start()
    home = yard.BEAST.home
    pose = look(np.array([home[0] + 1.5, home[1], 0.6]), np.pi, 0.0)
    proxy = physics.proxy(Motion(pose[None], EYE, {}), 32, 18)
    assert 3 < proxy[4].sum() < 100
    assert 1 / proxy[0][proxy[4] > 0].max() == pytest.approx(1.5, abs=0.5)
    inside = physics.proxy(physics.still(), 32, 18)
    assert inside[0].max() < 1.0  # the capsule around the eye is not seen
    assert inside[4].sum() == 0


def wanderings(seed: int, chunks: int = 400) -> tuple[list[Physics], list[Motion]]:
    physics, out, motions = start(4.0, -4.0, seed=seed), [], []
    for _ in range(chunks):
        physics, motion = physics.advance(Action())
        out.append(physics)
        motions.append(motion)
    return out, motions


def test_creatures_wander_near_home_rest_now_and_then_and_touch_nothing():
    states, motions = wanderings(seed=5)
    places = np.concatenate([m.bodies[1] for m in motions])[:, :2, 3]
    assert np.linalg.norm(places - yard.BEAST.home, axis=-1).max() < yard.BEAST.radius + 1.0
    assert np.linalg.norm(np.ptp(places, axis=0)) > 2.0
    assert np.linalg.norm(np.diff(places, axis=0), axis=-1).max() <= yard.BEAST.speed * TICK * 1.01
    assert np.linalg.norm(places - (-2, 2.5), axis=-1).min() > 0.4 + 0.3  # pillar and body
    assert np.abs(places).max() < yard.HALF - 0.3
    headings = np.unwrap([s.gaits[0].heading for s in states])
    assert np.abs(np.diff(headings)).max() <= 1.8 * 4 * TICK * 1.01
    paces = np.array([s.gaits[0].pace for s in states])
    assert 0.02 < (paces == 0).mean() < 0.6


def test_creatures_keep_out_of_the_players_way():
    x, y = yard.BEAST.home
    physics, nearest = start(x + 0.9, y, np.pi), 9.0
    for _ in range(200):
        physics, motion = physics.advance(Action())
        nearest = min(nearest, float(np.linalg.norm(motion.bodies[1][:, :2, 3] - (x + 0.9, y), axis=-1).min()))
    assert nearest > 0.4


def test_parts_hang_at_their_pivot():
    physics, motion = run(start(), *[Action()] * 30)[0].advance(Action())
    _, data = physics.posed()
    root = motion.bodies[1][-1]
    np.testing.assert_allclose(data.body("beast").xpos, root[:3, 3], atol=1e-12)
    np.testing.assert_allclose(data.body("beast").xmat.reshape(3, 3), root[:3, :3], atol=1e-12)
    part = yard.BEAST.parts[0]
    np.testing.assert_allclose(data.body("leg").xpos, root[:3, :3] @ part.pivot + root[:3, 3], atol=1e-12)
    gait = physics.gaits[0]
    swing = part.swing * min(1, gait.pace / yard.BEAST.speed) * np.sin(2 * np.pi * gait.strides)
    local = root[:3, :3].T @ data.body("leg").xmat.reshape(3, 3)
    assert swing != 0
    np.testing.assert_allclose(np.arctan2(local[0, 2], local[0, 0]), swing, atol=1e-12)  # about +y


def test_other_seeds_wander_otherwise():
    a, b = (wanderings(seed, 30)[0][-1].gaits[0] for seed in (1, 2))
    assert (a.x, a.y) != (b.x, b.y)


def test_what_is_settled_whatever_the_xml_says():
    lazy = yard.XML.replace("<worldbody>", '<option><flag sleep="enable"/></option><worldbody>')
    sticky = lazy.replace('axis="1 0 0"', 'axis="1 0 0" damping="500" frictionloss="9"')
    physics, cameras = run(Physics.from_xml(sticky, (yard.BEAST,)), Action(Keys.FORWARD))
    assert not physics.posed()[0].opt.enableflags & int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    assert cameras[-1, 0, 3] == pytest.approx(WALK * TICK * 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("player_y", "player_z"), "slide joints 'player_x' and 'player_y'"),
        ((f"{1 / 96!r}", "0.002"), "timestep of 1/96 s"),
        (('"beast" mocap="true"', '"beast"'), "a body 'beast' with mocap"),
    ],
)
def test_a_scene_that_cannot_be_played_is_refused(change: tuple[str, str], message: str):
    with pytest.raises(ValueError, match=message):
        Physics.from_xml(yard.XML.replace(*change), (yard.BEAST,))


def test_two_movers_of_one_entity_are_refused():
    with pytest.raises(ValueError, match="one mover for each entity"):
        Physics.from_xml(yard.XML, (yard.BEAST, yard.BEAST))


def test_intrinsics_are_carried_into_the_motion():
    small = Intrinsics.from_fov(64, 36, 60)
    physics = Physics.from_xml(yard.XML, intrinsics=small)
    assert physics.advance(Action())[1].intrinsics == physics.still().intrinsics == small


def test_a_model_of_another_version_is_compiled_again_from_its_source():
    start = yard.world().physics
    foreign = replace(start, mechanism=replace(start.mechanism, model=b"of a MuJoCo that this one cannot read"))
    for action in WALK_ABOUT[:6]:
        start, motion = start.advance(action)
        foreign, other = foreign.advance(action)
        np.testing.assert_allclose(other.cameras, motion.cameras, atol=1e-9)
