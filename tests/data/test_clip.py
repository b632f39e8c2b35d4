"""Clips: what they hold agrees, and each that knows where its camera was can be made a world and walked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perdure.camera import look
from perdure.data.clip import Actor, Captions, Clip, Moment, Passage, Recipe, record
from perdure.data.founding import found
from perdure.data.scenes import build
from perdure.memory.commit import commit
from perdure.memory.recall import recall
from perdure.presets.nano import nano
from perdure.world.action import Action, Keys

PLAN = [Action(Keys.TURN_LEFT), Action(Keys.FORWARD), Action(Keys.FORWARD, turn=0.1), Action(Keys.LEFT), Action()]


class Latents:
    """In place of the codec."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        return np.zeros(nano().latent_shape, np.float32)


@pytest.fixture(scope="module")
def walk() -> Clip:
    world, painter = found(build("court", 1003), nano(), seed=3, looks=1)
    plan = iter(PLAN)
    return record(world, painter, lambda *_: next(plan), len(PLAN), "court-3")


@pytest.fixture(scope="module")
def pictures(walk: Clip) -> Clip:
    """What is left of it when only pictures, depth and poses are known."""
    return replace(walk, start=None, actions=None, entity=None)


def test_a_recorded_clip_is_whole(walk: Clip):
    n = 4 * len(PLAN)
    assert walk.rgb.shape == (n, 144, 256, 3) and walk.seconds == pytest.approx(n / 24)
    assert walk.as_world() is walk.start and list(walk.way()) == PLAN
    assert walk.view == "first" and walk.moving.dtype == bool


def test_walking_the_actions_of_a_clip_gives_its_poses(walk: Clip):
    world, seen = walk.as_world(), []
    for action in walk.way():
        world = world.advance(action)
        seen.append(world.motion.cameras)
    np.testing.assert_array_equal(np.concatenate(seen), walk.poses)


def test_a_clip_of_pictures_is_a_world_that_goes_its_way(pictures: Clip):
    world, seen = pictures.as_world(), []
    for action in pictures.way():
        world = world.advance(action)
        seen.append(world.motion.cameras)
        context = recall(world, action, Latents(), nano())
        world = commit(world, action, np.zeros(nano().latent_shape, np.float32))
        known = context.confidence[-1] > 128
        true = pictures.rgb[world.step * 4 - 1]
        error = np.abs(context.view[-1][known].astype(int) - true[known].astype(int))
        # Turned and stepped aside by a few degrees and a metre, the first frame still shows most of what is seen.
        assert known.mean() > 0.4 and np.median(error) < 6, (world.step, known.mean(), np.median(error))
    np.testing.assert_array_equal(np.concatenate(seen), pictures.poses)


def test_what_stands_in_the_way_there_is_known_from_the_depth(walk: Clip, pictures: Clip):
    """The player walks straight on in both worlds, and is stopped at the same place by what the first frame shows."""
    true, found_out = walk.as_world(), pictures.as_world()
    turn = Action(turn=float(np.pi / 3))
    for action in (*PLAN[:1], *[Action(Keys.FORWARD)] * 30, turn):
        true, found_out = true.advance(action), found_out.advance(action)
    assert np.linalg.norm(true.motion.cameras[-1, :2, 3] - found_out.motion.cameras[-1, :2, 3]) < 0.6


def test_keys_are_found_again_from_poses(walk: Clip, pictures: Clip):
    said = [(a.axes, round(a.turn, 6)) for a in pictures.way()]
    assert said == [(a.axes, round(a.turn, 6)) for a in PLAN]


def test_a_world_says_what_it_lacks(pictures: Clip):
    with pytest.raises(ValueError, match="does not know its depth"):
        replace(pictures, depth=None).as_world()
    with pytest.raises(ValueError, match="poses and intrinsics and depth"):
        replace(pictures, depth=None, poses=None, intrinsics=None).as_world()
    with pytest.raises(ValueError, match="does not know its poses"):
        replace(pictures, poses=None).way()
    with pytest.raises(ValueError, match="no entity map"):
        _ = pictures.moving


def test_a_start_is_made_again_from_its_recipe_or_is_refused(walk: Clip):
    made: list[Mapping[str, Any]] = []

    def again(data: Mapping[str, Any]):
        made.append(data)
        return found(build("court", data["seed"]), nano(), seed=3, looks=1)[0]

    assert walk.start is not None
    kept = replace(walk, start=None, recipe=Recipe({"seed": 1003}, walk.start.state, again))
    assert not made, "made only when asked for"
    assert kept.as_world().state == walk.start.state and kept.way() == walk.actions
    with pytest.raises(ValueError, match="code that founds it has changed"):
        replace(kept, recipe=Recipe({"seed": 1004}, walk.start.state, again)).as_world()


POSES = np.tile(look(np.zeros(3), 0.0, 0.0), (8, 1, 1))
CROOKED = POSES.copy()
CROOKED[5, 0, 0] = 2.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "a/b"}, "the name of a clip, got 'a/b'"),
        ({"name": "a.b"}, "the name of a clip"),
        ({"view": "behind"}, "expected a view out of"),
        ({"fps": 0.0}, "frames a second, got 0.0"),
        ({"rgb": np.zeros((7, 6, 8, 3), np.uint8)}, r"four for each chunk, got shape \(7, 6, 8, 3\)"),
        ({"rgb": np.zeros((8, 6, 8, 3), np.float32)}, "uint8, got .* float32"),
        ({"depth": np.zeros((8, 6, 9), np.float32)}, r"expected depth \(8, 6, 8\) float32"),
        ({"poses": CROOKED}, "a, frame 5: expected a rotation"),
        ({"actions": (Action(),)}, "expected 2 actions, one for each chunk, got 1"),
        ({"commands": {3: ("leap",)}}, "expected 2 commands of entity 3"),
        ({"states": {3: {"health": np.zeros(2)}}}, "expected 8 values of 'health' of entity 3"),
        ({"events": (Moment(4, 9, "snow", "it starts to snow"),)}, r"within frames 0..8, got Moment\(start=4, end=9"),
        ({"captions": Captions("", "", (Passage(3, 3, "", ""),))}, "within frames 0..8"),
        ({"cast": (Actor(1, "a", "a", "thing"), Actor(1, "b", "b", "door"))}, "cast with different numbers"),
    ],
)
def test_what_does_not_agree_is_refused(wrong: dict[str, Any], says: str):
    right = {"name": "a", "source": "made up", "licence": "none", "fps": 24.0, "rgb": np.zeros((8, 6, 8, 3), np.uint8)}
    Clip(**right, poses=POSES, depth=np.zeros((8, 6, 8), np.float32), commands={3: ("leap", "")})
    with pytest.raises(ValueError, match=says):
        Clip(**(right | wrong))


def test_a_role_is_one_of_four():
    with pytest.raises(ValueError, match="expected a role out of player"):
        Actor(1, "strider", "the red strider", "hero")
