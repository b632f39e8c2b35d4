import math
from pathlib import Path as Folder
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.camera import look
from perdure.memory.commit import commit
from perdure.world.action import (
    ACTION_FEATURES,
    FRAMES_PER_CHUNK,
    FRAMES_PER_SECOND,
    TURN_LIMIT,
    Action,
    Hand,
    Keys,
    Path,
    Rates,
    Word,
)
from perdure.world.edit import Change, Edit
from perdure.world.history import LATENT
from perdure.world.store import Store
from tests.world import yard

motions = st.builds(Action, st.integers(0, 255), st.floats(-3, 3), st.floats(-3, 3))
places = st.tuples(*[st.floats(-50, 50)] * 3)
paths = st.lists(st.builds(look, places.map(np.array), st.floats(-4, 4), st.floats(-1, 1)), min_size=4, max_size=4)
texts = st.text(min_size=1, max_size=20).filter(str.strip)
changes = st.builds(Change, texts, st.none() | st.binary(max_size=20))
actions = st.builds(
    Action,
    st.integers(0, 255),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(Hand),
    st.lists(st.builds(Word, st.integers(0, 9), texts), max_size=2).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    st.lists(st.builds(Edit, st.lists(changes, max_size=2).map(tuple), texts, texts), max_size=2).map(tuple),
    st.none() | paths.map(lambda poses: Path.of(np.stack(poses))),
)


@given(motions)
def test_reversed_twice_is_the_same(action: Action):
    assert action.reversed().reversed() == action


def test_reversed_swaps_each_pair():
    assert Action(Keys.FORWARD | Keys.LEFT | Keys.LOOK_UP, 0.1, -0.2).reversed() == Action(
        Keys.BACK | Keys.RIGHT | Keys.LOOK_DOWN, -0.1, 0.2
    )


def test_what_was_done_is_not_undone_by_walking_back():
    path = Path.of(np.stack([look(np.array([i, 0.0, 1.5]), 0.1 * i, 0.0) for i in range(4)]))
    back = Action(Keys.FORWARD, 0.1, 0.0, Hand.THROW, (Word(1, "leaps"),), ("it snows",), path=path).reversed()
    assert back == Action(Keys.BACK, -0.1, path=Path.of(path.poses[::-1]))


@given(motions)
def test_features_say_all_of_it(action: Action):
    features = action.features()
    assert features.shape == (ACTION_FEATURES,)
    keys = sum(int(bit) << i for i, bit in enumerate(features[:8]))
    assert (keys, np.float32(action.turn), np.float32(action.tilt)) == (action.keys, features[8], features[9])


@given(actions)
def test_bytes_give_back_the_action_and_are_its_own(action: Action):
    payload = action.to_bytes()
    again = Action.from_bytes(payload)
    assert again == action and again.to_bytes() == payload
    assert [again.hand, *again.words, *again.events, *again.edits] == [
        action.hand, *action.words, *action.events, *action.edits
    ]  # fmt: skip


@given(actions, actions)
def test_equal_actions_and_only_they_have_equal_bytes(one: Action, other: Action):
    assert (one == other) == (one.to_bytes() == other.to_bytes())


def test_no_turn_has_no_sign():
    assert Action(0, -0.0, -0.0).to_bytes() == Action().to_bytes()


def test_a_step_without_deeds_costs_a_few_bytes():
    assert len(Action(Keys.FORWARD, 0.1, 0.2).to_bytes()) == 20


@given(paths)
def test_a_path_is_kept_to_the_bit(poses: list[np.ndarray]):
    np.testing.assert_array_equal(Path.of(np.stack(poses)).poses, np.stack(poses))


def test_an_action_in_full_comes_back_from_the_store(tmp_path: Folder):
    world = yard.world()
    with Store.create(tmp_path, world) as store:
        ahead = Path.of(np.stack([world.motion.cameras[-1]] * 4))
        action = Action(3, 0.1, -0.2, Hand.USE, (Word(1, "leaps"),), ("it snows",), (), ahead)
        yard.step(world, action, store)
    with Store.open(tmp_path / world.name, write=False) as store:
        assert store.world().history.memories[-1].action == action


def test_mouse_travel_is_bounded_and_checked():
    assert Action(0, 9.0, -9.0) == Action(0, TURN_LIMIT, -TURN_LIMIT)
    with pytest.raises(ValueError, match="finite turn"):
        Action(0, float("nan"))
    with pytest.raises(ValueError, match="bit mask"):
        Action(256)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Action(hand=cast(Hand, 4)), "4 is not a valid Hand"),
        (lambda: Action(events=(" ",)), "an event in words, got ' '"),
        (lambda: Word(-1, "leaps"), "words for an entity, got 'leaps' for entity -1"),
        (lambda: Word(1, ""), "words for an entity, got ''"),
        (lambda: Path(b"123"), "a path of 4 poses, got 3 bytes"),
        (lambda: Path.of(np.zeros((3, 4, 4))), r"a path of shape \(4, 4, 4\), got \(3, 4, 4\)"),
        (lambda: Path.of(2 * np.tile(np.eye(4), (4, 1, 1))), "expected a rotation in the pose"),
        (lambda: Action.from_bytes(b"\x93\x01"), "expected an action in bytes, got 2 bytes"),
        (lambda: Action.from_bytes(b"\x91\x01"), "expected an action in bytes"),
        (lambda: Rates(walk=0.0), "a positive rate 'walk', got 0.0"),
        (lambda: Rates(turn=math.inf), "a positive rate 'turn', got inf"),
        (lambda: Rates(pitch_limit=1.6), "a pitch limit between 0 and pi/2"),
    ],
)
def test_what_is_no_action_is_refused_in_one_line(wrong, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_the_rates_of_today_turn_no_further_in_a_chunk_than_they_did():
    assert Rates().swing * FRAMES_PER_CHUNK / FRAMES_PER_SECOND == TURN_LIMIT


def test_the_log_says_what_was_done_and_no_more():
    world = yard.world().advance(Action(Keys.FORWARD))
    plain = commit(world, Action(Keys.FORWARD), np.zeros(LATENT, np.float32))
    assert plain.history.events[1].args == {"keys": 1, "turn": 0.0, "tilt": 0.0}
    path = Path.of(world.motion.cameras)
    action = Action(0, 0.0, 0.0, Hand.THROW, (Word(1, "leaps"), Word(2, "hides")), ("it snows",), path=path)
    said = commit(world, action, np.zeros(LATENT, np.float32)).history.events[1].args
    assert said["hand"] == "throw"
    assert (said["whom"], said["words"]) == ((1, 2), ("leaps", "hides"))
    assert said["events"] == ("it snows",)
    assert said["path"] == path.digest.hex()
