"""Scripted players: the same seed walks the same way, and there-and-back comes back."""

import numpy as np
import pytest

from perdure.agents.player import Explorer, there_and_back
from perdure.world.action import Action, Keys
from tests.world.yard import world as yard


def test_the_second_half_of_a_walk_undoes_the_first() -> None:
    now = yard()
    start = now.motion.cameras[-1]
    cameras = []
    for action in there_and_back(2, 12):
        now = now.advance(action)
        cameras.extend(now.motion.cameras)
    np.testing.assert_allclose(cameras[-1], start, atol=1e-6)
    # Frame i of the way out and its mirror on the way back: one pose, but for the frame at the turn.
    for i in range(len(cameras) // 2 - 1):
        np.testing.assert_allclose(cameras[i], cameras[-2 - i], atol=1e-6)
    assert np.linalg.norm(cameras[len(cameras) // 2][:3, 3] - start[:3, 3]) > 0.3


def test_an_odd_walk_has_no_way_back() -> None:
    with pytest.raises(ValueError, match="even"):
        there_and_back(0, 7)


def test_an_explorer_goes_places_and_does_so_again() -> None:
    def walk() -> list[Action]:
        now, agent, out = yard(), Explorer(5), []
        for _ in range(120):
            out.append(agent(now, None))
            now = now.advance(out[-1])
        return out

    first = walk()
    assert first == walk()
    pressed = {key for key in Keys for action in first if action.keys & key}
    assert {Keys.FORWARD} <= pressed and any(a.turn for a in first)


def test_an_explorer_turns_away_from_a_wall() -> None:
    now, agent, stuck = yard(), Explorer(1), 0
    for _ in range(300):
        action = agent(now, None)
        before = now.motion.cameras[-1][:3, 3]
        now = now.advance(action)
        moved = np.linalg.norm(now.motion.cameras[-1][:3, 3] - before)
        stuck = stuck + 1 if action.keys & Keys.FORWARD and moved < 0.02 else 0
        assert stuck < 3
