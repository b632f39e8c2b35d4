import math
from pathlib import Path as Folder
from typing import cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.camera import look, relative
from perdure.memory.commit import commit
from perdure.world.action import (
    ACTION_FEATURES,
    FRAMES_PER_CHUNK,
    FRAMES_PER_SECOND,
    MOTIONS,
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
from perdure.world.trajectory import poses_from_keys
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


def test_a_motion_has_the_number_that_worldplay_reads_off_the_poses_it_leads_to():
    """Their rule, on where a camera comes to stand: a way counts within 60 degrees of an axis, a turn above 0.05."""
    start, seen = look(np.array([1.0, 2.0, 1.5]), 0.3, 0.0), set[int]()
    numbers = {"": 0, "a": 1, "b": 2, "c": 3, "d": 4, "ac": 5, "ad": 6, "bc": 7, "bd": 8}

    def number(first: float, second: float, least: float) -> int:
        """Of how far along the first axis, and along the second."""
        named = (
            "a" if first > least else "b" if first < -least else "",
            "c" if second > least else "d" if second < -least else "",
        )
        return numbers["".join(named)]

    for keys in range(256):
        action = Action(keys)
        step = relative(poses_from_keys([action], start)[-1], start)
        right, _, ahead = step[:3, 3] / max(float(np.linalg.norm(step[:3, 3])), 1e-4)
        _, euler_y, euler_x = np.degrees(np.array([0.0, math.atan2(step[0, 2], step[2, 2]), -math.asin(step[1, 2])]))
        expected = 9 * number(ahead, right, math.cos(math.radians(60))) + number(euler_y, euler_x, 0.05)
        assert action.motion() == expected, (Keys(keys), step)
        seen.add(expected)
    assert seen == set(range(MOTIONS))


@given(motions)
def test_the_motion_back_is_the_opposite_one(action: Action):
    opposite = [0, 2, 1, 4, 3, 8, 7, 6, 5]
    step, turn = divmod(action.motion(), 9)
    assert action.reversed().motion() == 9 * opposite[step] + opposite[turn]


def test_the_mouse_turns_too_and_a_little_is_nothing():
    assert Action(turn=0.1).motion() == 2 and Action(tilt=-0.1).motion() == 4
    assert Action(turn=math.radians(0.04)).motion() == 0
    assert Action(Keys.TURN_LEFT, turn=-1.0).motion() == 1  # farther to the right than the key turns to the left


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
        (lambda: Action(hand=cast(Hand, 4)), r"a hand in 0\.\.3, got 4"),
        (lambda: Action(keys=cast(int, 1.5)), r"keys as a bit mask in 0\.\.255, got 1\.5"),
        (lambda: Action(keys=cast(int, math.nan)), "keys as a bit mask in 0..255, got nan"),
        (lambda: Action(keys=cast(int, "w")), "keys as a bit mask in 0..255, got 'w'"),
        (lambda: Action(turn=cast(float, "left")), "finite turn and tilt, got 'left'"),
        (lambda: Action(tilt=float(np.float32("nan"))), "finite turn and tilt, got 0.0, nan"),
        (lambda: Action.from_bytes(msgspec.msgpack.encode([0, 0.0, math.nan])), "finite turn and tilt"),
        (lambda: Action(path=cast(Path, np.tile(np.eye(4), (4, 1, 1)))), r"made by Path\.of\(poses\), got ndarray"),
        (lambda: Word(cast(int, math.nan), "leaps"), "for entity nan"),
        (lambda: Path.of(np.tile(np.eye(4), (4, 1, 1)) + np.eye(4, k=-3)), "whose last row is 0 0 0 1"),
        (lambda: Path(np.full((4, 3, 4), math.nan).tobytes()), "expected a finite pose"),
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
