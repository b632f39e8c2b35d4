"""The inbox: what of all that players do between two steps the next one is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.runtime.inbox import Inbox
from perdure.world.action import TURN_LIMIT, Action, Hand, Keys


def test_the_newest_keys_win_and_stay_held():
    inbox = Inbox()
    inbox.put(Keys.FORWARD, time=1)
    inbox.put(Keys.BACK, time=2)
    assert inbox.take()[0] == Action(Keys.BACK)
    assert inbox.take()[0] == Action(Keys.BACK)
    inbox.put(0, time=3)
    assert inbox.take()[0] == Action()


def test_a_tap_between_two_steps_counts_for_one():
    inbox = Inbox()
    inbox.put(Keys.FORWARD, time=1)
    inbox.take()
    inbox.put(Keys.FORWARD | Keys.TURN_LEFT, time=2)
    inbox.put(Keys.FORWARD, time=3)
    assert inbox.take()[0].keys == Keys.FORWARD | Keys.TURN_LEFT
    assert inbox.take()[0].keys == Keys.FORWARD


def test_words_wait_their_turn_and_too_many_are_refused():
    inbox = Inbox()
    for n in range(8):
        inbox.say(f" word {n} ")
    with pytest.raises(ValueError, match="at most 8 sayings"):
        inbox.say("word 8")
    assert [inbox.take()[0].events for _ in range(9)] == [*((f"word {n}",) for n in range(8)), ()]
    with pytest.raises(ValueError, match="at most 200"):
        inbox.say(" ")


def test_keys_that_were_overtaken_are_dropped_but_their_mouse_travel_is_not():
    inbox = Inbox()
    inbox.put(Keys.FORWARD, time=5)
    inbox.put(Keys.BACK, turn=0.1, time=4)
    action, echoes = inbox.take()
    assert (action.keys, action.turn, echoes) == (Keys.FORWARD, 0.1, {"": 5})


@given(st.lists(st.floats(-2, 2), max_size=20))
def test_no_mouse_travel_is_lost(turns: list[float]):
    inbox = Inbox()
    for turn in turns:
        inbox.put(turn=turn)
    taken = [inbox.take()[0].turn for _ in range(60)]
    assert np.isclose(sum(taken), sum(turns))
    assert all(abs(turn) <= TURN_LIMIT for turn in taken)


def test_two_senders_share_the_player_and_one_can_let_go():
    inbox = Inbox()
    inbox.put(Keys.FORWARD, turn=0.1, time=10, sender="a")
    inbox.put(Keys.TURN_LEFT, turn=0.2, time=3, sender="b")
    action, echoes = inbox.take()
    assert action.keys == Keys.FORWARD | Keys.TURN_LEFT
    assert action.turn == pytest.approx(0.3)
    assert echoes == {"a": 10, "b": 3}
    inbox.leave("a")
    assert inbox.take()[0].keys == Keys.TURN_LEFT


@given(st.lists(st.tuples(st.sampled_from(list(Hand)), st.integers(0, 9), st.booleans()), max_size=30))
def test_each_deed_is_done_once_in_the_order_that_it_was_asked_for(asked: list[tuple[Hand, int, bool]]):
    inbox, done = Inbox(), list[Hand]()
    for hand, when, step in asked:  # overtaken or not
        inbox.put(time=when, hand=hand)
        if step:
            done.append(inbox.take()[0].hand)
    done += [inbox.take()[0].hand for _ in range(31)]
    assert [hand for hand in done if hand] == [hand for hand, *_ in asked if hand]


def test_rest_forgets_motion_and_keeps_what_is_held_or_was_said():
    inbox = Inbox()
    inbox.put(Keys.FORWARD | Keys.LEFT, turn=1.0, time=1, hand=Hand.THROW)
    inbox.put(Keys.FORWARD, time=2)
    inbox.say("it snows")
    inbox.rest()
    assert inbox.take()[0] == Action(Keys.FORWARD, events=("it snows",))


@pytest.mark.parametrize(
    "bad", [{"keys": 256}, {"keys": -1}, {"turn": float("nan")}, {"tilt": float("inf")}, {"hand": 9}]
)
def test_nonsense_input_is_refused(bad: dict):
    with pytest.raises(ValueError, match="expected"):
        Inbox().put(**bad)
