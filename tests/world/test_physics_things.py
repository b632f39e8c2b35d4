"""What things do: physics' own truths, and what hands do with them."""

import hashlib
import itertools
import math
import subprocess
import sys
import threading

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import look
from perdure.world.action import Action, Hand, Keys, Path
from perdure.world.body import Body, Pose, ball, crate, door, plank
from perdure.world.hands import FASTEST, REACH
from perdure.world.mechanism import TICK
from perdure.world.mover import Mover
from perdure.world.physics import EYE_HEIGHT, Mechanism, Motion, Physics
from tests.world import yard

NONE, GO, DOWN = Action(), Action(Keys.FORWARD), Action(Keys.LOOK_DOWN)
USE, PLACE, THROW = (Action(hand=hand) for hand in (Hand.USE, Hand.PLACE, Hand.THROW))
G = 9.81


def start(*bodies: Body, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, movers: tuple[Mover, ...] = ()) -> Physics:
    return Physics.from_xml(yard.XML, movers, (x, y, yaw), 1, bodies=bodies)


def run(physics: Physics, *todo: Action) -> tuple[Physics, dict[int, np.ndarray], list[Motion]]:
    """The physics after it, where each entity was in each frame (T, 3), and the motions."""
    motions: list[Motion] = []
    for action in todo:
        physics, motion = physics.advance(action)
        motions.append(motion)
    track = {e: np.concatenate([m.bodies[e][:, :3, 3] for m in motions]) for e in motions[0].bodies} if todo else {}
    return physics, track, motions


def pose(physics: Physics, entity: int) -> Pose:
    return Pose.from_bytes(physics.pose(entity) or b"")


def deeds(motions: list[Motion]) -> list[tuple[object, str]]:
    return [(note.args["hand"], note.verdict) for motion in motions for note in motion.notes]


def deepest(physics: Physics, *entities: int) -> float:
    """How far any of these is inside of anything, by MuJoCo's own reckoning."""
    model, data = physics.posed()
    mujoco.mj_collision(model, data)
    owners = physics.mechanism.compiled.owners[model.geom_bodyid]
    depths = [-c.dist for c in data.contact[: data.ncon] if {*owners[c.geom]} & {*entities}]
    return max(depths, default=0.0)


# Things


@pytest.mark.parametrize(("mass", "far"), [(3, (0.6, 9.0)), (15, (0.3, 2.5)), (300, (-0.01, 0.05))])
def test_a_crate_gives_way_by_what_it_weighs_and_stops_when_let_be(mass: float, far: tuple[float, float]):
    physics, track, motions = run(start(crate(5, (1.5, 0, 0), mass=mass)), *[GO] * 7)
    pushed = track[5][-1, 0] - 1.5
    assert far[0] < pushed < far[1]
    assert motions[-1].cameras[-1, 0, 3] < track[5][-1, 0] - 0.5  # the player is behind it, not in it
    physics, track, _ = run(physics, *[NONE] * 12)
    assert np.ptp(track[5][-24:], axis=0).max() < 1e-3
    assert deepest(physics, 5) < 0.005


@pytest.mark.parametrize("speed", [1.0, 2.0, 3.0])
def test_a_sliding_crate_stops_where_friction_says(speed: float):
    physics = start(crate(5, (-3, 2, 0), size=(0.6, 0.6, 0.2)))
    physics = physics.with_pose(5, Pose.at(-3, -1, 0.1, velocity=(speed, 0, 0)).to_bytes())
    _, track, _ = run(physics, *[NONE] * 12)
    assert track[5][-1, 0] + 3 == pytest.approx(speed**2 / (2 * 0.6 * G), rel=0.1)


def test_a_thrown_ball_follows_a_parabola_until_it_hits():
    velocity = np.array((2.0, 1.0, 4.0))
    at = np.array((-3.0, -2.0, 1.0))
    physics = start(ball(5, (0, 3, 0))).with_pose(5, Pose.at(*at, velocity=tuple(velocity)).to_bytes())
    _, track, _ = run(physics, *[NONE] * 10)
    time = TICK * np.arange(1, 1 + len(track[5]))[:, None]
    truth = at + velocity * time - 0.5 * G * time**2 * (0, 0, 1)
    flight = truth[:, 2] > 0.2
    assert flight.sum() > 20
    assert np.abs(track[5][flight] - truth[flight]).max() < 0.5 * G / 96 * time[flight].max() + 1e-6  # Euler's error
    assert track[5][:, 2].min() > 0.1  # and the ground is hard


def test_a_ball_rolls_and_comes_to_a_stand():
    physics = start(ball(5, (0, 3, 0))).with_pose(5, Pose.at(-4, -2, 0.12, velocity=(1.5, 0, 0)).to_bytes())
    _, track, _ = run(physics, *[NONE] * 48)
    assert 1.0 < track[5][-1, 0] + 4 < 4.0
    assert np.ptp(track[5][-24:], axis=0).max() < 0.01


def test_a_stack_of_three_stands_for_twenty_seconds():
    boxes = [crate(5 + i, (2.0 + 0.02 * i, 0.01 * i, 0.5 * i)) for i in range(3)]
    _, track, _ = run(start(*boxes), *[NONE] * 120)
    for i, box in enumerate(boxes):
        drift = track[box.entity] - (2.0 + 0.02 * i, 0.01 * i, 0.5 * i + 0.25)
        assert np.abs(drift).max() < 1e-2
        assert np.abs(drift[48:]).max() < 1e-3


def test_energy_never_grows_without_a_cause():
    things = [ball(5, (0, -2, 0)), crate(6, (1, -2, 0)), plank(7, (2, -2, 0)), door(9, (3, 2, 0))]
    physics = start(*things, x=-4, y=4)
    chance = np.random.default_rng(3)
    for i, thing in enumerate(things[:3]):
        spin = chance.normal(size=4)
        place = (i - 1.0, 0.3 * i, 1.5 + i, *(spin / np.linalg.norm(spin)))
        physics = physics.with_pose(thing.entity, Pose(place, tuple(chance.normal(size=6))).to_bytes())
    energies: list[float] = []
    for _ in range(30):
        physics, _ = physics.advance(NONE, lambda m, d, _: energies.append(energy(m, d)))
    # Contact is soft, and a substep is long for what falls at 8 m/s: what a hit stores it gives back, and 4% at most
    # of what the fall released is gained in one tick.
    released = energies[0] - energies[-1]
    assert np.diff(energies).max() < 0.04 * released
    assert energies[-1] < energies[0] - 300
    assert (np.maximum.accumulate(energies[::-1])[::-1][48:] < energies[0]).all()


def energy(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Of all bodies, by MuJoCo itself."""
    fresh = mujoco.MjData(model)
    state = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
    mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_setState(model, fresh, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(model, fresh)
    mujoco.mj_energyPos(model, fresh)
    mujoco.mj_energyVel(model, fresh)
    return float(fresh.energy.sum())


def test_a_door_is_pushed_open_by_walking_and_falls_shut():
    physics, _, motions = run(start(door(9, (1.5, -0.45, 0), yaw=math.pi / 2)), *[GO] * 14)
    assert motions[-1].cameras[-1, 0, 3] > 3.0
    physics, _, _ = run(physics, *[NONE] * 40)
    assert abs(pose(physics, 9).place[0]) < 0.05


@pytest.mark.parametrize("side", [1, -1])
def test_a_door_that_is_opened_swings_away_and_the_way_is_free(side: int):
    physics = start(door(9, (0, -0.45, 0), yaw=math.pi / 2), x=-1.5 * side, yaw=0.0 if side > 0 else math.pi)
    shut = physics.pose(9)
    physics, track, motions = run(physics, USE, *[NONE] * 14)
    assert deeds(motions) == [("open", "applied")]
    assert side * pose(physics, 9).place[0] < -1.3  # away from who opens it
    assert shut != physics.pose(9)
    _, _, motions = run(physics, *[GO] * 8)
    # As far as if none were there.
    assert side * motions[-1].cameras[-1, 0, 3] == pytest.approx(-1.5 + 8 * 4 * TICK * 2.4, abs=1e-3)
    physics, _, motions = run(physics, Action(turn=-0.235 * side), USE, *[NONE] * 30)
    assert deeds(motions) == [("close", "applied")]
    assert abs(pose(physics, 9).place[0]) < 0.05


def test_a_shut_door_holds_back_what_is_thrown_at_it_gently():
    physics = start(door(9, (1, -0.45, 0), yaw=math.pi / 2), ball(5, (0, 0, 0)), x=-2)
    physics = physics.with_pose(5, Pose.at(0, 0, 1.0, velocity=(2.0, 0, 0)).to_bytes())
    _, track, _ = run(physics, *[NONE] * 20)
    assert track[5][:, 0].max() < 1.0


def test_creatures_push_what_is_small_and_go_round_what_is_not():
    home = yard.BEAST.home
    ring = [(home[0] + 1.2 * math.cos(a), home[1] + 1.2 * math.sin(a)) for a in np.arange(6) * math.pi / 3]
    balls = [ball(5 + i, (x, y, 0.0)) for i, (x, y) in enumerate(ring)]
    boxes = [crate(20, (home[0] + 2.0, home[1] - 1.0, 0.0), size=(0.6, 0.6, 1.0), mass=40.0)]
    physics, track, motions = run(start(*balls, *boxes, x=4, y=-4, movers=(yard.BEAST,)), *[NONE] * 240)
    gone = [np.linalg.norm(track[b.entity][-1] - track[b.entity][0]) for b in balls]
    assert max(gone) > 0.2
    assert np.linalg.norm(track[20][-1, :2] - track[20][0, :2]) < 0.3
    apart = np.linalg.norm(track[1][:, :2] - track[20][:, :2], axis=1)
    assert apart.min() > 0.3


# Hands


def held_box(size: float = 0.3, mass: float = 4.0, **at: float) -> Physics:
    """With a box in hand, hanging before the eye."""
    x, y = at.get("x", 0.0), at.get("y", 0.0)
    yaw = at.get("yaw", 0.0)
    way = 1.4 * math.cos(yaw), 1.4 * math.sin(yaw)
    box = crate(5, (x + way[0], y + way[1], 0.0), size=(size, size, size), mass=mass, yaw=yaw)
    down = Action(tilt=-0.5 * math.atan2(EYE_HEIGHT - 0.5 * size, 1.4))
    physics, _, motions = run(start(box, x=x, y=y, yaw=yaw), down, down, USE)
    assert deeds(motions) == [("take", "applied")]
    physics, _, _ = run(physics, *[Action(tilt=-down.tilt)] * 2, *[NONE] * 5)
    assert physics.held == 5
    return physics


def test_what_is_taken_up_hangs_before_the_eye_and_comes_along():
    physics = held_box()
    for action in (NONE, GO, Action(Keys.TURN_LEFT), Action(Keys.LEFT | Keys.TURN_RIGHT)):
        physics, track, motions = run(physics, *[action] * 8)
        eye = motions[-1].cameras[-1]
        seen = (track[5][-1] - eye[:3, 3]) @ eye[:3, :3]
        assert abs(seen[0]) < 0.12  # right before it
        assert 0.5 < seen[2] < 1.2
        assert 0.1 < seen[1] < 0.6  # a little below
    np.testing.assert_allclose(motions[-1].bodies[5][-1][2, 2], 1.0, atol=0.02)  # upright


def test_looking_up_and_down_lifts_and_lowers_it():
    physics = held_box()
    high = run(physics, *[Action(Keys.LOOK_UP)] * 2, *[NONE] * 5)[1][5][-1, 2]
    low = run(physics, *[DOWN] * 3, *[NONE] * 5)[1][5][-1, 2]
    assert high > low + 0.5


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 63), st.floats(-1, 1)), min_size=1, max_size=8),
    st.sampled_from([0.12, 0.3, 0.5]),
    st.floats(0.3, 12.0),
)
def test_what_is_carried_never_ends_inside_a_wall(todo: list[tuple[int, float]], size: float, mass: float):
    """The north and south walls are 2 cm thick; the corner is near."""
    physics = held_box(size, mass, x=3.0, y=3.0, yaw=math.pi / 4)
    for keys, turn in todo:
        physics, track, _ = run(physics, *[Action(keys, turn)] * 3)
        assert np.abs(track[5][:, :2]).max() < yard.HALF - 0.5 * size + 0.05
    physics, track, _ = run(physics, *[NONE] * 3)
    assert deepest(physics, 5) < 0.018  # contacts are soft, and the hold presses: 1.51 cm was met, a wall has 2


def test_it_slips_out_of_the_hand_that_is_too_far_from_it():
    physics = held_box()
    assert physics.with_pose(5, Pose.at(3.2, 0.0, 1.0).to_bytes()).held == -1  # put elsewhere, it is let go
    far = Pose((3.5, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0), held=True)
    physics, _, motions = run(physics.with_pose(5, far.to_bytes()), NONE)
    assert physics.held == -1
    assert deeds(motions) == [("slip", "applied")]


def test_it_is_put_down_where_it_fits_and_stays():
    physics, track, motions = run(held_box(), PLACE, *[NONE] * 12)
    assert deeds(motions) == [("place", "applied")]
    assert physics.held == -1
    assert np.ptp(track[5][4:], axis=0).max() < 0.01
    assert track[5][-1, 2] == pytest.approx(0.15, abs=0.01)
    assert 0.5 < track[5][-1, 0] < 1.2
    # Again, onto what stands there.
    physics = held_box().with_body(6, crate(6, (0.75, 0, 0), size=(0.8, 0.8, 0.5)).to_bytes())
    physics, track, _ = run(physics, PLACE, *[NONE] * 12)
    assert track[5][-1, 2] == pytest.approx(0.65, abs=0.01)
    assert physics.held == -1


def test_where_there_is_no_room_it_is_kept():
    physics = held_box(0.5)
    for i, (x, y) in enumerate(((1.6, 0.0), (0.0, 1.6), (0.0, -1.6))):  # walls of crates, higher than the eye
        size = (2.0, 5.0, 2.5) if x else (1.0, 2.0, 2.5)
        physics = physics.with_body(20 + i, crate(20 + i, (x, y, 0), size=size, mass=300.0).to_bytes())
    physics, _, motions = run(physics, PLACE)
    assert deeds(motions) == [("place", "refused: there is no room for it")]
    assert physics.held == 5


def test_a_throw_goes_where_the_eye_looks():
    physics = start(ball(5, (1.2, 0, 0)))
    physics, _, _ = run(physics, *[Action(tilt=-math.atan2(EYE_HEIGHT - 0.12, 1.2) / 2)] * 2, USE, *[NONE] * 2)
    physics, _, _ = run(physics, *[Action(Keys.LOOK_UP)] * 3, *[NONE] * 4)
    eye = physics.still().cameras[-1]
    physics, _, motions = run(physics, THROW)
    assert deeds(motions) == [("throw", "applied")]
    assert physics.held == -1
    velocity = np.add(pose(physics, 5).motion[:3], (0, 0, G * 4 * TICK))
    np.testing.assert_allclose(velocity, FASTEST * eye[:3, 2], atol=0.3)


@pytest.mark.parametrize(
    ("things", "action", "verdict"),
    [
        ((), USE, "refused: nothing within reach"),
        (
            (crate(5, (1.2, 0, 0), size=(0.4, 0.4, 1.8), mass=60),),
            USE,
            "refused: 60 kg is too heavy, 25 can be carried",
        ),
        ((crate(5, (REACH + 0.5, 0, 0), size=(0.4, 0.4, 1.8), mass=6),), USE, "refused: nothing within reach"),
        ((), PLACE, "refused: nothing is held"),
        ((), THROW, "refused: nothing is held"),
    ],
)
def test_what_hands_cannot_do_is_said(things: tuple[Body, ...], action: Action, verdict: str):
    begin = start(*things)
    physics, _, motions = run(begin, action)
    assert [note.verdict for note in motions[0].notes] == [verdict]
    assert physics.held == -1
    plain = run(begin, NONE)[0]
    assert physics.to_bytes() == plain.to_bytes()  # what is refused changes nothing


def test_a_wall_is_nothing_to_take_and_full_hands_take_nothing():
    _, _, motions = run(start(x=3.5), USE)
    assert deeds(motions) == [("use", "refused: nothing there that can be used")]
    physics = held_box().with_body(6, crate(6, (1.6, 0, 0), size=(0.4, 0.4, 1.8), mass=6).to_bytes())
    _, _, motions = run(physics, USE)
    assert deeds(motions) == [("take", "refused: the hands are full, with entity 5")]


def test_creatures_are_not_taken_up():
    x, y = yard.BEAST.home
    physics = start(x=x - 1.5, y=y, movers=(yard.BEAST,)).with_pose(1, Pose((x, y, 0.0)).to_bytes())
    aim = Action(tilt=-0.6)
    physics, _, motions = run(physics, aim, USE)
    assert deeds(motions) == [("take", "refused: it cannot be taken up")]


# An eye that flies


def test_an_eye_that_is_given_sees_from_where_it_is_and_the_body_comes_after():
    yaw = np.linspace(0, 0.6, 13)[1:]
    path = np.stack([look(np.array((0.05 * i, 0.02 * i, 2.5)), a, -0.2) for i, a in enumerate(yaw)])
    physics, _, motions = run(start(), *(Action(path=Path.of(path[i : i + 4])) for i in (0, 4, 8)))
    np.testing.assert_array_equal(np.concatenate([m.cameras for m in motions]), path)
    np.testing.assert_allclose(physics.still().cameras[-1, :2, 3], path[-1, :2, 3], atol=1e-6)
    assert physics.yaw == pytest.approx(0.6)
    through = [look(np.array((float(x), 0.0, 1.5)), 0.0, 0.0) for x in np.linspace(4, 7, 12)]
    physics, _, motions = run(start(x=4.0), *(Action(path=Path.of(np.stack(through[i : i + 4]))) for i in (0, 4, 8)))
    assert motions[-1].cameras[-1, 0, 3] == 7.0  # a camera passes through walls
    assert physics.still().cameras[-1, 0, 3] < yard.HALF - 0.2  # a body does not


# Replay

PROGRAM = [
    Action(
        (Keys.FORWARD | Keys.TURN_LEFT) if i % 3 else Keys.LEFT, 0.07 * (i % 5), -0.1 if i < 3 else 0.01, Hand(i % 4)
    )
    for i in range(36)
]
MANY = (
    crate(5, (1.2, 0.1, 0)),
    ball(6, (1.0, -0.6, 0)),
    plank(7, (2, 1, 0)),
    door(9, (0.5, 1.5, 0)),
    crate(8, (2, 1, 0.1)),
)


def fingerprint(physics: Physics) -> str:
    return hashlib.sha256(b"".join(physics.pages)).hexdigest()


def test_replay_is_bit_for_bit_in_a_thread_and_in_another_process(tmp_path):
    middle = run(start(*MANY, movers=(yard.BEAST,)), *PROGRAM[:12])[0]
    expected = fingerprint(run(middle, *PROGRAM[12:])[0])
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fingerprint(run(middle, *PROGRAM[12:])[0])))
    thread.start()
    thread.join()
    assert found == [expected]
    (tmp_path / "mechanism").write_bytes(middle.mechanism.to_bytes())
    (tmp_path / "state").write_bytes(middle.to_bytes())
    code = """
import sys, pathlib
from perdure.world.physics import Mechanism, Physics
from tests.world.test_physics_things import PROGRAM, fingerprint, run
folder = pathlib.Path(sys.argv[1])
mechanism = Mechanism.from_bytes((folder / "mechanism").read_bytes())
physics = Physics.from_bytes(mechanism, (folder / "state").read_bytes())
print(fingerprint(run(physics, *PROGRAM[12:])[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=yard.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


def test_two_worlds_that_take_turns_do_not_disturb_each_other():
    one = run(start(*MANY), *PROGRAM[:10])[0]
    a, b = start(*MANY), start(*MANY[:2], yaw=1.0)
    for action, other in zip(PROGRAM[:10], itertools.cycle((USE, GO))):
        a, _ = a.advance(action)
        b, _ = b.advance(other)
        assert b.pose(5) != a.pose(6)
    assert fingerprint(a) == fingerprint(one)


def test_everything_goes_on_whether_anyone_looks_or_not():
    physics = start(ball(5, (-3, -2, 0)), yaw=0.0)  # behind the player's back
    physics = physics.with_pose(5, Pose.at(-3, -2, 1.0, velocity=(0, 2.0, 0)).to_bytes())
    away = run(physics, *[NONE] * 20)[1][5]
    turned = run(physics, *[Action(Keys.TURN_LEFT)] * 20)[1][5]
    np.testing.assert_array_equal(away, turned)
    assert np.ptp(away[:, 1]) > 1.0


def test_a_mechanism_of_things_needs_no_more_than_its_bytes():
    mechanism = start(*MANY).mechanism
    again = Mechanism.from_bytes(mechanism.to_bytes(), mechanism.digest)
    assert again.digest == mechanism.digest
    assert [body.name for body in again.bodies] == ["crate5", "ball6", "plank7", "crate8", "door9/leaf"]
