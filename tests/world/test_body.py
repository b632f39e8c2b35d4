"""Bodies that are put into a world while it runs, and taken out: all else goes on bit for bit."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.action import Action, Hand, Keys, Rates
from perdure.world.body import Body, Pose, ball, crate, door, plank, statue
from perdure.world.identity import Entity
from perdure.world.physics import Mechanism, Physics
from perdure.world.state import World
from tests.world import yard

THINGS = (
    crate(5, (2.0, 1.0, 0.0)),
    crate(6, (2.0, 1.0, 0.5), size=(0.3, 0.3, 0.3)),
    ball(7, (1.5, -1.0, 0.0)),
    plank(8, (-1.0, -2.0, 0.0), yaw=0.4),
    door(9, (3.5, -1.0, 0.0), yaw=1.0),
    statue(10, (-3.5, 3.5, 0.0)),
)
WALK = [Action(Keys.FORWARD | (Keys.TURN_LEFT if i % 3 else Keys.LEFT), 0.05 * (i % 4), 0.01) for i in range(30)]


TWO_JOINTS = (
    '<body name="a"><joint type="hinge"/><geom size="1"/>'
    '<body name="b"><joint type="hinge"/><geom size="1"/></body></body>'
)
PULL = '<actuator><position joint="{}" kp="1000"/></actuator>'


def start(*bodies: Body, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, seed: int = 1) -> Physics:
    return Physics.from_xml(yard.XML, (yard.BEAST,), (x, y, yaw), seed, bodies=bodies)


def after(physics: Physics, *todo: Action) -> Physics:
    for action in todo:
        physics = physics.advance(action)[0]
    return physics


def poses(physics: Physics, *but: int) -> dict[int, bytes | None]:
    return {entity: physics.pose(entity) for entity in physics.entities if entity not in but}


def crate_of_the_yard(physics: Physics) -> bytes:
    """The state of the one thing that is no entity."""
    data = physics.posed()[1]
    joint = data.body("crate")
    return joint.xpos.tobytes() + joint.xquat.tobytes()


@pytest.mark.parametrize("thing", THINGS, ids=lambda body: body.name)
def test_put_in_and_taken_out_again_nothing_is_changed(thing: Body):
    before = after(start(), *WALK[:7])
    with_it = before.with_body(thing.entity, thing.to_bytes())
    assert with_it.pages != before.pages
    assert poses(with_it, thing.entity) == poses(before)
    assert crate_of_the_yard(with_it) == crate_of_the_yard(before)
    without = with_it.with_body(thing.entity, None)
    assert without.pages == before.pages
    assert without.to_bytes() == before.to_bytes()


@pytest.mark.parametrize("entity", [1, 5, 6, 7, 8, 9, 10])
def test_taken_out_and_put_back_nothing_is_changed(entity: int):
    before = after(start(*THINGS), *WALK)
    payload = before.body(entity)
    without = before.with_body(entity, None)
    assert without.body(entity) is without.pose(entity) is None
    assert entity not in without.entities
    assert poses(without) == poses(before, entity)
    back = without.with_body(entity, payload)
    assert back.pages == before.pages
    assert after(back, *WALK[:5]).to_bytes() == after(before, *WALK[:5]).to_bytes()


def test_a_creature_of_the_scene_can_be_taken_out_and_comes_back_where_it_was():
    before = after(start(), *WALK)
    payload = before.body(1)
    without = before.with_body(1, None)
    moved = without.advance(Action())[1]
    assert 1 not in moved.bodies
    assert "beast" not in without.mechanism.source()
    later = after(without, *WALK[:3]).with_body(1, payload)
    assert later.pose(1) == before.pose(1)
    assert later.mechanism.to_bytes() == before.mechanism.to_bytes()


def test_a_creature_can_be_built_anew():
    physics = after(start(), *WALK[:4])
    old = Body.from_bytes(physics.body(1) or b"")
    assert old.mover is not None
    swift = replace(old, mover=replace(old.mover, speed=1.5), pose=None)
    changed = physics.with_body(1, swift.to_bytes())
    assert changed.pose(1) == physics.pose(1)  # built otherwise, it is where it was
    assert changed.mechanism.creatures[0].speed == 1.5
    assert changed.with_body(1, old.to_bytes()).pages == physics.pages


def test_what_is_built_otherwise_stays_where_it_is():
    physics = after(start(*THINGS), *WALK)
    heavy = crate(5, (0.0, 0.0, 0.0), mass=300.0)
    changed = physics.with_body(5, heavy.to_bytes())
    assert changed.pose(5) == physics.pose(5)
    assert changed.mechanism.compiled.seats[5].mass == pytest.approx(300)


def test_a_mechanism_and_its_state_come_back_from_bytes():
    physics = after(start(*THINGS), *WALK[:9])
    mechanism = Mechanism.from_bytes(physics.mechanism.to_bytes(), physics.mechanism.digest)
    again = Physics.from_bytes(mechanism, physics.to_bytes())
    assert again.pages == physics.pages
    assert after(again, *WALK).to_bytes() == after(physics, *WALK).to_bytes()
    assert Mechanism.from_bytes(physics.mechanism.to_bytes()).digest == physics.mechanism.digest
    assert Mechanism.from_bytes(physics.mechanism.to_bytes(), b"as it was stored").digest == b"as it was stored"


def test_the_first_format_is_still_what_a_world_without_things_is_written_in():
    physics = start()
    assert len(msgspec.msgpack.decode(physics.mechanism.to_bytes())) == 5
    assert len(msgspec.msgpack.decode(physics.to_bytes())) == 5


def test_rates_belong_to_the_mechanism():
    slow = Physics.from_xml(yard.XML, rates=Rates(walk=0.6, pitch_limit=0.1))
    mechanism = Mechanism.from_bytes(slow.mechanism.to_bytes())
    assert mechanism.rates == slow.mechanism.rates
    physics, motion = Physics.from_bytes(mechanism, slow.to_bytes()).advance(Action(Keys.FORWARD | Keys.LOOK_UP))
    assert motion.cameras[-1, 0, 3] == pytest.approx(0.1)
    assert physics.pitch == 0.1
    assert slow.with_body(5, THINGS[0].to_bytes()).mechanism.rates == slow.mechanism.rates


def test_every_entity_with_a_body_is_in_the_motion():
    physics = after(start(*THINGS), *WALK)
    moved, motion = physics.advance(WALK[0])
    assert set(motion.bodies) == {1, *(body.entity for body in THINGS)} == set(moved.entities) - {0}
    data = moved.posed()[1]
    still = moved.still()
    for body in THINGS:
        pose = motion.bodies[body.entity]
        assert pose.shape == (4, 4, 4)
        np.testing.assert_allclose(pose[-1, :3, 3], data.body(body.name).xpos, atol=1e-12)
        np.testing.assert_allclose(pose[-1, :3, :3] @ pose[-1, :3, :3].T, np.eye(3), atol=1e-9)
        np.testing.assert_array_equal(still.bodies[body.entity][0], pose[-1])


def test_things_are_marked_in_what_the_model_is_told():
    physics = start(crate(5, (1.5, 0.0, 0.0), size=(1.0, 1.0, 1.6)))
    proxy = physics.proxy(physics.still(), 32, 18)
    bare = start().proxy(start().still(), 32, 18)
    assert proxy[4].sum() > 50
    assert 1 / proxy[0][proxy[4] > 0].max() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(proxy[:, proxy[4] == 0], bare[:, proxy[4] == 0])


def test_a_pose_is_written_as_it_is_read():
    physics = after(start(*THINGS), *WALK)
    for entity in physics.entities:
        payload = physics.pose(entity)
        assert payload is not None
        elsewhere = after(physics, *WALK[:3])
        assert elsewhere.with_pose(entity, payload).pose(entity) == payload
        assert physics.with_pose(entity, payload).pages == physics.pages


def test_things_are_put_where_a_pose_says():
    physics = start(*THINGS).with_pose(7, Pose.at(0, 2, 1.5, velocity=(1.0, 0, 0)).to_bytes())
    place = Pose.from_bytes(physics.pose(7) or b"").place
    assert place[:3] == (0.0, 2.0, 1.5)
    physics = physics.with_pose(0, Pose((1.0, 2.0, 0.5, 0.1)).to_bytes())
    np.testing.assert_allclose(physics.still().cameras[-1, :2, 3], (1.0, 2.0), atol=1e-12)
    assert (physics.yaw, physics.pitch) == (0.5, 0.1)
    physics = physics.with_pose(1, Pose((2.0, -2.0, 1.0)).to_bytes())
    np.testing.assert_allclose(physics.still().bodies[1][0, :2, 3], (2.0, -2.0))
    physics = physics.with_pose(10, Pose((1.0, -3.0, 0.6, 0.0, 0.0, 0.0, 2.0)).to_bytes())
    assert Pose.from_bytes(physics.pose(10) or b"").place == (1.0, -3.0, 0.6, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("entity", "payload", "says"),
    [
        (0, crate(0, (0, 0, 0)).to_bytes(), "player's body cannot"),
        (5, crate(6, (0, 0, 0)).to_bytes(), "expected a body of entity 5"),
        (5, b"nonsense", "expected the bytes of a body"),
        (5, Body(5, "<body").to_bytes(), "no XML"),
        (5, Body(5, '<body name="a"><geom size="1"/></body>').to_bytes(), "that moves"),
        (5, Body(5, '<body><freejoint/><geom size="1"/></body>').to_bytes(), "with a name"),
        (5, Body(5, TWO_JOINTS).to_bytes(), "by one joint, got 2"),
        (5, Body(5, THINGS[0].mjcf + THINGS[1].mjcf).to_bytes(), "by one joint, got 2"),
        (5, Body(5, THINGS[0].mjcf + PULL.format("player_x")).to_bytes(), "own joint, got .'player_x'"),
        (5, Body(5, THINGS[0].mjcf + PULL.format("nobody")).to_bytes(), "own joint"),
        (5, Body(5, '<include file="/etc/passwd"/>').to_bytes(), "got include"),
        (5, Body(5, '<body name="player"><freejoint/><geom size="1"/></body>').to_bytes(), "expected bodies that can"),
        (5, Body(5, '<body name="a"><freejoint/></body>').to_bytes(), "expected bodies that can"),
        (5, crate(5, (0, 1e11, 0)).to_bytes(), "entity 5 within 10000 m"),
        (5, crate(5, (0, np.nan, 0)).to_bytes(), "entity 5 within 10000 m"),
        (
            5,
            Body(5, '<body name="a" quat="nan 0 0 1"><freejoint/><geom size="1"/></body>').to_bytes(),
            "entity 5 within",
        ),
    ],
)
def test_what_cannot_be_put_in_is_refused_in_one_line(entity: int, payload: bytes, says: str):
    with pytest.raises(ValueError, match=says) as refused:
        start().with_body(entity, payload)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("entity", "pose", "says"),
    [
        (77, Pose((0.0,)), "no entity 77"),
        (5, Pose((0.0,)), "expected 7 numbers"),
        (5, Pose((0.0,) * 7), "quaternion"),
        (5, Pose((0, 0, 0, 1, 0, 0, 0), (1.0,)), "expected 6 numbers"),
        (5, Pose((float("nan"), 0, 0, 1, 0, 0, 0)), "finite"),
        (0, Pose((0.0, 0.0)), "expected 4 numbers"),
        (5, Pose((0, 0, 1e9, 1, 0, 0, 0)), "within 10000 m"),
        (5, Pose((0, 0, 1, 1, 0, 0, 0), (1e9, 0, 0, 0, 0, 0)), "up to 200 m"),
    ],
)
def test_a_pose_that_makes_no_sense_is_refused(entity: int, pose: Pose, says: str):
    with pytest.raises(ValueError, match=says):
        start(*THINGS).with_pose(entity, pose.to_bytes())


ACTS = st.one_of(
    st.builds(Action, st.integers(0, 255), st.floats(-0.5, 0.5), st.floats(-0.2, 0.2), st.sampled_from(Hand)),
    st.sampled_from([thing.entity for thing in THINGS] + [1]),
)


def played(todo: Sequence[Action | int], physics: Physics) -> Physics:
    """A program: actions, and entities that are taken out if they are there and put in again if not."""
    kept: dict[int, bytes] = {}
    for act in todo:
        if isinstance(act, Action):
            physics = physics.advance(act)[0]
        elif (payload := physics.body(act)) is not None:
            kept[act] = payload
            physics = physics.with_body(act, None)
        else:
            physics = physics.with_body(act, kept[act])
    return physics


@settings(deadline=None, max_examples=15)
@given(st.lists(ACTS, max_size=12), st.integers(0, 12))
def test_any_program_can_be_stopped_read_back_and_gone_on_with(todo: list[Action | int], stop: int):
    begin = start(*THINGS, x=0.5, yaw=0.3)
    whole = played(todo, begin)
    first = played([act for act in todo[:stop] if isinstance(act, Action)], begin)
    mechanism = Mechanism.from_bytes(first.mechanism.to_bytes())
    rest = [act for act in todo[stop:] if isinstance(act, Action)]
    assert played(rest, Physics.from_bytes(mechanism, first.to_bytes())).pages == played(rest, first).pages
    found: list[tuple[bytes, ...]] = []
    thread = threading.Thread(target=lambda: found.append(played(todo, begin).pages))
    thread.start()
    thread.join()
    assert found == [whole.pages]
    for entity in (1, 5, 9):
        payload = whole.body(entity)
        if payload is not None:
            assert whole.with_body(entity, None).with_body(entity, payload).pages == whole.pages


def test_a_world_may_begin_with_things_in_it():
    entities = Entity(0, "player", "you", "player"), Entity(5, "thing", "the box", "crate5")
    world = World.create("yard", "yard", 3, yard.XML, entities=entities, bodies=THINGS, intrinsics=yard.SMALL)
    assert set(world.motion.bodies) == {thing.entity for thing in THINGS}
    assert world.advance(Action()).motion.bodies[5].shape == (4, 4, 4)
