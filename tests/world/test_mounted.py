"""A player who is followed by a camera, and has a body of its own."""

import math
from pathlib import Path

import msgspec
import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import invert, yaw_pitch
from perdure.world import body, edit
from perdure.world.action import Action, Keys, Word
from perdure.world.body import Pose
from perdure.world.edit import Change, Edit
from perdure.world.follow import CART, ON_FOOT, Mount
from perdure.world.identity import Entity
from perdure.world.mechanism import WORLD, Mechanism
from perdure.world.physics import Physics
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import ring, yard

SELF = ring.knight(0, (0.0, 0.0))
FOE = ring.knight(2, (1.3, 0.0))
XML = yard.XML.replace("</worldbody>", "".join(map(ring._bodies, (SELF, FOE))) + "</worldbody>")
RUN = Action(Keys.FORWARD)


def physics(mount: Mount | None = ON_FOOT, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Physics:
    """Facing knight 2, who faces back."""
    made = Physics.from_xml(XML, (FOE, SELF), at, 3, mount=mount)
    return ring.turned(made, 2, math.pi)


def world() -> World:
    entities = Entity(0, "player", "you", "player"), Entity(2, "creature", "the blue knight", "knight")
    return World.create("ring", "yard", 3, XML, (FOE, SELF), (0.0, 0.0, 0.0), entities, mount=ON_FOOT)


def actions(seed: int, count: int) -> list[Action]:
    rng, said = np.random.default_rng(seed), ("slam", "leap", "block")
    out: list[Action] = []
    for n in range(count):
        keys = Keys(int(rng.integers(0, 64))) if n % 3 == 0 else out[-1].keys
        words = (Word(0, str(rng.choice(said))),) if rng.random() < 0.2 else ()
        out.append(Action(keys, float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.2)), words=words))
    return out


def test_it_goes_on_bit_for_bit_from_its_bytes():
    for mount in (ON_FOOT, CART):
        one = physics(mount)
        for n, action in enumerate(actions(1, 20)):
            copy = Physics.from_bytes(Mechanism.from_bytes(one.mechanism.to_bytes()), one.to_bytes())
            one, motion = one.advance(action)
            other, again = copy.advance(action)
            assert other.to_bytes() == one.to_bytes(), n
            np.testing.assert_array_equal(again.cameras, motion.cameras)
            np.testing.assert_array_equal(again.bodies[0], motion.bodies[0])


def test_a_world_is_reopened_and_goes_on(tmp_path: Path):
    todo, now = actions(2, 12), world()
    with Store.create(tmp_path, now) as store:
        for action in todo[:6]:
            now = yard.step(now, action, store)
        opened = store.world()
        np.testing.assert_array_equal(opened.motion.cameras, now.motion.cameras)
        for action in todo[6:]:
            now, opened = now.advance(action), opened.advance(action)
            np.testing.assert_array_equal(opened.motion.cameras, now.motion.cameras)
        assert opened.physics.to_bytes() == now.physics.to_bytes()


def test_without_a_mount_nothing_of_it_is_written():
    bare = ring.ring()
    for action in actions(3, 6):
        bare, _ = bare.advance(Action(action.keys, action.turn, action.tilt))
    assert (
        len(msgspec.msgpack.decode(bare.to_bytes())) == 5
        and len(msgspec.msgpack.decode(bare.mechanism.to_bytes())) == 5
    )
    with_mount = physics()
    assert len(msgspec.msgpack.decode(with_mount.mechanism.to_bytes())) == 9
    assert with_mount.advance(RUN)[0].chase is not None


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), mount=st.sampled_from([ON_FOOT, CART]))
def test_the_camera_is_on_this_side_of_every_wall(seed: int, mount: Mount):
    """The way from the body's middle to the pivot, and from there to the eye, meets nothing that stands still."""
    now = physics(mount, (4.0, 3.5, 0.7))
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[WORLD] = 1
    geom = np.full(1, -1, np.int32)
    sight = now.mechanism.compiled.sight
    eyes: list[np.ndarray] = []
    for action in actions(seed, 16):

        def seen(model: mujoco.MjModel, data: mujoco.MjData, camera: np.ndarray) -> None:
            eye = camera[:3, 3].copy()
            eyes.append(eye)
            assert eye[2] > 0.05
            if eye[2] < 3.0:  # walls and the pillar are no higher
                assert max(abs(eye[0]), abs(eye[1])) < yard.HALF and math.hypot(eye[0] + 2, eye[1] - 2.5) > 0.4
            for way in np.vstack((np.eye(3), -np.eye(3))):
                far = mujoco.mj_ray(sight, data, eye, way, groups, True, -1, geom)
                assert geom[0] < 0 or far > 0.03

        now, motion = now.advance(action, seen)
        np.testing.assert_array_equal(motion.cameras[:, :3, 3], eyes[-4:])


def test_its_own_body_goes_where_it_goes_and_does_what_follows():
    now = physics(at=(-4.0, -4.0, math.pi / 2))
    did: list[str] = []
    for action in [Action()] * 2 + [RUN] * 6 + [Action(Keys.TURN_LEFT)] * 2 + [Action()] * 2:
        now, motion = now.advance(action)
        x, y, yaw, _ = Pose.from_bytes(now.pose(0) or b"").place
        body = motion.bodies[0][-1]
        assert body[:2, 3] == pytest.approx((x, y), abs=1e-12)
        assert math.remainder(math.atan2(body[1, 0], body[0, 0]) - yaw, 2 * math.pi) == pytest.approx(0, abs=1e-9)
        did.append(motion.conditions[0][-1].deed)
    assert did == ["idle"] * 2 + ["walk"] * 6 + ["turn left"] * 2 + ["idle"] * 2
    assert y > -2.0
    # It is seen: physics tells the model where it stands in the picture.
    proxy = now.proxy(motion, 16, 9)
    assert proxy[4, 3:, 6:10].max() == 1 and physics(None).still() is not None


def test_it_strikes_and_is_struck_and_heeds_words():
    now, notes = physics(), []
    for _ in range(6):
        now, motion = now.advance(Action(words=(Word(0, "slam"),)))
        notes += [note for note in motion.notes if note.kind == "hit"]
    assert [note.targets for note in notes] == [(0, 2)]
    struck = now.condition(2)
    assert struck is not None and struck.health == pytest.approx(0.7)
    now, notes = physics(), []
    for _ in range(6):
        now, motion = now.advance(Action(words=(Word(2, "slam"),)))
        notes += [note for note in motion.notes if note.kind == "hit"]
    assert [note.targets for note in notes] == [(2, 0)]
    me = now.condition(0)
    assert me is not None and me.health == pytest.approx(0.7)
    _, motion = now.advance(Action(words=(Word(0, "sing"),)))
    assert motion.notes[0].verdict.startswith("refused: the knight knows")


@pytest.mark.parametrize("gone", ["taken away", "fixed"])
def test_it_holds_no_more_what_was_taken_out_of_its_hands(gone: str):
    ball = body.ball(7, (0.7, 0.0, 0.0))
    entities = Entity(0, "player", "you", "player"), Entity(7, "ball", "the ball", ball.name)
    now = World.create("ring", "yard", 3, XML, (FOE, SELF), (0.0, 0.0, 0.0), entities, mount=ON_FOOT, bodies=(ball,))
    now = now.advance(Action(words=(Word(0, "grab"),)))
    for _ in range(8):
        now = now.advance(Action())
    mine = now.physics.condition(0)
    assert mine is not None and mine.held == 7
    statue = Edit((Change("body/7", body.statue(7, (3.0, 3.0, 0.0), (0.2, 0.2, 0.2)).to_bytes()),))
    now = now.edit(edit.remove(7) if gone == "taken away" else statue)
    for _ in range(3):
        now = now.advance(Action())
    mine = now.physics.condition(0)
    assert mine is not None and mine.held == -1


@pytest.mark.parametrize("mount", [None, ON_FOOT, CART])
def test_before_it_is_where_it_faces_whoever_looks_on(mount: Mount | None):
    entities = Entity(0, "player", "you", "player"), Entity(2, "creature", "the blue knight", "knight")
    made = XML if mount else yard.XML
    now = World.create("ring", "yard", 3, made, (FOE, SELF) if mount else (), (0.0, -2.0, 0.0), entities, mount=mount)
    now = now.advance(Action()).happens("a crate appears").happens("a fire breaks out")
    at = Pose.from_bytes(now.physics.pose(now.physics.things[-1]) or b"").place
    assert at[0] == pytest.approx(2.2, abs=0.3) and at[1] == pytest.approx(-2.0, abs=0.3)
    assert now.setting.spectacles[0].place[0] > 2.0


def test_who_is_dead_goes_nowhere():
    dead = physics(at=(-4.0, -4.0, 0.0)).with_vitals(0, edit.condition(0, 0.0).changes[0].value or b"")
    after, _ = dead.advance(RUN)
    assert Pose.from_bytes(after.pose(0) or b"").place[:2] == pytest.approx((-4.0, -4.0), abs=1e-9)


def test_wheels_turn_only_as_they_roll():
    now = physics(CART, (-4.0, -4.0, 0.0))
    still, _ = now.advance(Action(Keys.TURN_LEFT | Keys.LEFT, turn=0.5))
    assert still.yaw == 0.0 and Pose.from_bytes(still.pose(0) or b"").place[:2] == pytest.approx((-4.0, -4.0))
    rolled, _ = now.advance(Action(Keys.FORWARD | Keys.LEFT))
    assert rolled.yaw == pytest.approx(math.radians(15)) and rolled.pose(0) != now.pose(0)
    back, _ = rolled.advance(Action(Keys.FORWARD | Keys.LEFT).reversed())
    assert Pose.from_bytes(back.pose(0) or b"").place[:3] == pytest.approx((-4.0, -4.0, 0.0), abs=1e-9)


def test_looking_up_turns_the_view_up_and_the_boom_down():
    level, up = physics(at=(-4.0, -4.0, 0.7)), physics(at=(-4.0, -4.0, 0.7))
    level, up = level.advance(Action())[0], up.advance(Action(tilt=0.4))[0]
    flat, risen = level.still().cameras[-1], up.still().cameras[-1]
    assert yaw_pitch(risen)[1] > yaw_pitch(flat)[1] + 0.2 and risen[2, 3] < flat[2, 3]
    seen = invert(flat) @ np.array([*level.still().bodies[0][-1][:3, 3], 1.0])
    assert seen[2] > 0.5 and abs(seen[0]) < 0.3 * seen[2]  # the body is before the camera, in the middle


def test_moving_the_player_is_undone_camera_and_all():
    now = world().advance(RUN).advance(RUN)
    moved = now.edit(edit.move(0, Pose((2.0, -2.0, 1.0, 0.0))))
    assert moved.physics.chase is None and moved.motion.bodies[0][-1][:2, 3] == pytest.approx((2.0, -2.0))
    assert moved.undo().state == now.state
