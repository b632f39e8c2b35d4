import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.world.action import ACTION_FEATURES, TURN_LIMIT, Action, Keys

actions = st.builds(Action, st.integers(0, 255), st.floats(-3, 3), st.floats(-3, 3))


@given(actions)
def test_reversed_twice_is_the_same(action: Action):
    assert action.reversed().reversed() == action


def test_reversed_swaps_each_pair():
    assert Action(Keys.FORWARD | Keys.LEFT | Keys.LOOK_UP, 0.1, -0.2).reversed() == Action(
        Keys.BACK | Keys.RIGHT | Keys.LOOK_DOWN, -0.1, 0.2
    )


@given(actions)
def test_features_say_all_of_it(action: Action):
    features = action.features()
    assert features.shape == (ACTION_FEATURES,)
    keys = sum(int(bit) << i for i, bit in enumerate(features[:8]))
    assert (keys, np.float32(action.turn), np.float32(action.tilt)) == (action.keys, features[8], features[9])


def test_mouse_travel_is_bounded_and_checked():
    assert Action(0, 9.0, -9.0) == Action(0, TURN_LIMIT, -TURN_LIMIT)
    with pytest.raises(ValueError, match="finite turn"):
        Action(0, float("nan"))
    with pytest.raises(ValueError, match="bit mask"):
        Action(256)
