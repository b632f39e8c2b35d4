"""Walking where the ground is uneven: stairs, ramps and ledges."""

import math

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.action import FRAMES_PER_CHUNK, WALK, Action, Keys
from perdure.world.physics import TICK, Physics
from perdure.world.terrain import CELL, STEP, WIDTH, Terrain

RISER, TREAD, STEPS = 0.17, 0.30, 8
TOP = RISER * STEPS
SLOPE = math.radians(33)

STAIRS = "".join(
    f'<geom type="box" size="{0.5 * (4 - TREAD * n)} 1 {0.5 * RISER}" '
    f'pos="{1 + TREAD * n + 0.5 * (4 - TREAD * n)} 0 {RISER * (n + 0.5)}"/>'
    for n in range(STEPS)
)
"""Along +x from x = 1 on, to a landing that ends at x = 5 in an edge as high as the stairs."""

RAMP = (
    f'<geom type="box" size="2 1 .05" euler="0 0 {math.pi / 2}" pos="0 0 -.05"/>'
    f'<body pos="0 4 0" euler="0 {-SLOPE} 0"><geom type="box" size="2 1 .2" pos="2 0 -.2"/></body>'
    f'<geom type="box" size="2 1 {math.sin(SLOPE) * 2}" pos="{4 * math.cos(SLOPE) + 2} 4 {math.sin(SLOPE) * 2}"/>'
)
"""Along +x from x = 0 on, at y = 4, to a landing."""

THINGS = (
    '<geom name="kerb" type="box" size=".5 1 .15" pos="-3 0 .15"/>'
    '<geom name="bench" type="box" size=".5 1 .22" pos="-3 -4 .22"/>'
    '<geom name="post" type="cylinder" size=".2 .17" pos="-3 4 .17"/>'
)


def scene(extra: str = "", eye: float = 1.55, at: tuple[float, float, float] = (0, 0, 0)) -> str:
    return f"""<mujoco><compiler angle="radian"/><option timestep="{1 / 96!r}"/><worldbody>
<geom name="floor" type="plane" size="20 20 .1"/>{STAIRS}{RAMP}{THINGS}{extra}
<body name="player" pos="{at[0]} {at[1]} {at[2]}"><joint name="player_x" type="slide" axis="1 0 0"/>
<joint name="player_y" type="slide" axis="0 1 0"/><joint name="player_z" type="slide" axis="0 0 1" armature="1e6"/>
<geom type="capsule" fromto="0 0 .55 0 0 1.4" size=".3" mass="70"/><site name="eye" pos="0 0 {eye}"/></body>
</worldbody></mujoco>"""


XML = scene()


def start(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> Physics:
    return Physics.from_xml(XML, (), (x, y, yaw))


def walk(physics: Physics, *todo: Action) -> tuple[Physics, np.ndarray]:
    """(N, 3) where the eye was, a frame each."""
    eyes = [physics.still().cameras[-1:, :3, 3]]
    for action in todo:
        physics, motion = physics.advance(action)
        eyes.append(motion.cameras[:, :3, 3])
    return physics, np.concatenate(eyes)


def chunks(metres: float) -> int:
    return round(metres / (WALK * TICK * FRAMES_PER_CHUNK))


FORWARD = Action(Keys.FORWARD)


def acceleration(eyes: np.ndarray) -> float:
    return float(np.abs(np.diff(eyes[:, 2], 2)).max() / TICK**2)


def test_stairs_are_an_even_slope_to_the_eye():
    _, eyes = walk(start(), *[FORWARD] * chunks(4.4))
    np.testing.assert_allclose(np.diff(eyes[:, 0]), WALK * TICK, atol=1e-6)  # no step stops it
    assert eyes[0, 2] == pytest.approx(1.55) and eyes[-1, 2] == pytest.approx(1.55 + TOP, abs=1e-6)
    on = eyes[(eyes[:, 0] > 1.4) & (eyes[:, 0] < 1 + TREAD * (STEPS - 1) - 0.4)]
    slopes = np.diff(on[:, 2]) / np.diff(on[:, 0])
    np.testing.assert_allclose(slopes, RISER / TREAD, atol=0.02)
    assert acceleration(eyes) < 15  # m/s²; the bare steps would give 98


def test_a_ramp_is_walked_and_is_soft_at_both_ends():
    _, eyes = walk(start(-1.0, 4.0), *[FORWARD] * chunks(5.6))
    np.testing.assert_allclose(np.diff(eyes[:, 0]), WALK * TICK, atol=1e-6)
    assert eyes[-1, 2] == pytest.approx(1.55 + 4 * math.sin(SLOPE), abs=1e-6)
    on = eyes[(eyes[:, 0] > 0.4) & (eyes[:, 0] < 4 * math.cos(SLOPE) - 0.4)]
    np.testing.assert_allclose(np.diff(on[:, 2]) / np.diff(on[:, 0]), math.tan(SLOPE), atol=0.01)
    assert acceleration(eyes) < 12


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from((1, 5, 9)), st.floats(-0.25, 0.25)), min_size=1, max_size=9))
def test_a_walk_on_stairs_is_retraced(steps: list[tuple[int, float]]):
    """Up the stairs, about on them, and back down: the same eye, to the millimetre, in each frame."""
    todo = [*[FORWARD] * 6, *[Action(keys, turn) for keys, turn in steps]]
    there, eyes = walk(start(), *todo)
    free = [math.hypot(*step) for step in np.diff(eyes[:, :2], axis=0)]
    if not np.allclose(free, WALK * TICK, atol=1e-6) or np.abs(eyes[:, 1]).max() > 0.65 or eyes[:, 0].max() > 4.6:
        return  # it fell off, or was stopped
    back, again = walk(there, *[action.reversed() for action in reversed(todo)])
    np.testing.assert_allclose(again[::-1], eyes, atol=1e-3)
    np.testing.assert_allclose(back.still().cameras[-1], start().still().cameras[-1], atol=1e-6)


def test_a_kerb_is_stepped_over_and_a_bench_stops():
    _, eyes = walk(start(-1.5, 0.0, math.pi), *[FORWARD] * chunks(3.2))
    assert eyes[-1, 0] == pytest.approx(-1.5 - WALK * TICK * (len(eyes) - 1), abs=1e-6)
    assert eyes[:, 2].max() == pytest.approx(1.55 + 0.3, abs=1e-3) and eyes[-1, 2] == pytest.approx(1.55)
    assert acceleration(eyes) < 60
    for y in (-4.0, 4.0):
        _, eyes = walk(start(-1.5, y, math.pi), *[FORWARD] * chunks(4.8))
        assert eyes[-1, 0] > -3.0 and np.ptp(eyes[-24:, 0]) < 2e-3, y
        np.testing.assert_allclose(eyes[:, 2], 1.55, atol=1e-3)


def test_over_an_edge_it_falls_and_lands_softly():
    begin, _ = walk(start(), *[FORWARD] * chunks(4.0))
    _, eyes = walk(begin, *[FORWARD] * chunks(4.0))
    assert eyes[0, 2] == pytest.approx(1.55 + TOP, abs=1e-6) and eyes[-1, 2] == pytest.approx(1.55, abs=1e-6)
    assert (np.diff(eyes[:, 2]) <= 1e-9).all()
    falling = np.flatnonzero(np.diff(eyes[:, 2]) < -1e-6)
    assert 0.4 < len(falling) * TICK < 1.2
    assert acceleration(eyes) < 30
    assert eyes[falling[0], 0] > 5.0  # not before the edge
    assert eyes[-1, 0] == pytest.approx(eyes[0, 0] + WALK * TICK * (len(eyes) - 1), abs=0.02)


def test_a_fall_goes_on_bit_for_bit_from_what_was_kept():
    begin, _ = walk(start(), *[FORWARD] * (chunks(5.2)))
    kept = Physics.from_bytes(begin.mechanism, begin.to_bytes())
    rise = begin.mechanism.compiled.rise
    assert rise is not None
    assert begin.state[rise[1]] == kept.state[rise[1]]
    a, one = walk(begin, *[FORWARD] * 4)
    b, other = walk(kept, *[FORWARD] * 4)
    assert a.to_bytes() == b.to_bytes() and (one == other).all() and np.ptp(one[:, 2]) > 0.3
    pose = begin.pose(0)
    assert pose is not None and begin.with_pose(0, pose).to_bytes() == begin.to_bytes()


def test_who_is_put_somewhere_stands_there():
    there, _ = walk(start(), *[FORWARD] * chunks(4.2))
    elsewhere = there.with_pose(0, start(-1.0, 0.0).pose(0) or b"")
    assert elsewhere.still().cameras[-1][2, 3] == pytest.approx(1.55)
    spawned = Physics.from_xml(scene(at=(4.2, 0.0, TOP)), (), (4.2, 0.0, 0.0))
    assert spawned.still().cameras[-1][2, 3] == pytest.approx(1.55 + TOP)


def test_the_eye_is_where_the_scene_says():
    low = Physics.from_xml(scene(eye=0.6), (), (0, 0, 0))
    assert low.still().cameras[-1][2, 3] == pytest.approx(0.6)
    _, eyes = walk(low, *[FORWARD] * chunks(4.4))
    assert eyes[-1, 2] == pytest.approx(0.6 + TOP)


SHAPES = (
    '<geom type="box" size=".5 .4 .3" pos="0 0 .3" euler=".3 .4 .5"/>',
    '<geom type="sphere" size=".5" pos="0 0 .2"/>',
    '<geom type="ellipsoid" size=".5 .3 .4" pos="0 0 .2" euler=".3 .4 .5"/>',
    '<geom type="cylinder" size=".4 .3" pos="0 0 .3" euler=".3 .4 .5"/>',
    '<geom type="cylinder" size=".4 .3" pos="0 0 .3"/>',
    '<geom type="capsule" size=".3 .4" pos="0 0 .3" euler=".3 1.2 .5"/>',
)


@pytest.mark.parametrize("shape", SHAPES)
def test_floors_are_where_rays_meet_them(shape: str):
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><compiler angle="radian"/><worldbody>{shape}<geom type="plane" size="9 9 .1" pos="0 0 -.5"/>'
        '<geom type="box" size=".2 .2 .1" pos=".2 .1 2"/></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    ground = Terrain(model)
    down, geom = np.array((0.0, 0.0, -1.0)), np.zeros(1, np.int32)
    for i in range(-20, 21, 3):
        for j in range(-20, 21, 3):
            x, y, floors = 0.05 * (i + 0.5), 0.05 * (j + 0.5), ground._window(i, j, 1)[0, 0]
            met = 5 - mujoco.mj_ray(model, data, np.array((x, y, 5.0)), down, None, True, -1, geom)
            assert floors[0] == pytest.approx(met, abs=1e-6)
            if (floors > -np.inf).sum() == 3:  # roof, shape, plane
                met = 1.8 - mujoco.mj_ray(model, data, np.array((x, y, 1.8)), down, None, True, -1, geom)
                assert floors[1] == pytest.approx(met, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.floats(-2, 6), st.floats(-1.5, 5.5), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
def test_the_ground_has_no_jumps(x: float, y: float, dx: float, dy: float):
    """But at edges that are no steps."""
    ground = start().mechanism.compiled.terrain
    here = ground.settle(x, y, 0.0)
    there = ground.height(x + dx, y + dy, here)
    if abs(there - here) > 0.08:
        floors = ground._window(math.floor(x / 0.05) - 6, math.floor(y / 0.05) - 6, 14)
        near = floors[(floors > -np.inf) & (floors <= here + STEP + 0.1)]
        assert np.ptp(near) > STEP


def test_what_is_as_far_as_the_mean_reaches_does_not_count() -> None:
    """Exactly there its weight is nothing: a walker beside a ledge stands on the ground, not nowhere."""
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom type="plane" size="9 9 1"/><geom type="box" size="1 1 .5" pos="-1 0 .5"/>'
        "</worldbody></mujoco>"
    )
    beside = -0.5 * CELL + WIDTH  # from the middle of the ledge's last cell
    assert Terrain(model).height(beside, 0.0, 1.0) == 0.0
