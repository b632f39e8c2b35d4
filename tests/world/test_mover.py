import math

import numpy as np
import pytest

from perdure.world.mover import BEARINGS, CLEARANCE, RAYS, REACH, Gait, Mover, chance, settle, wander

DT = 1 / 24


def test_chance_is_even_and_a_function_of_its_arguments_alone():
    drawn = np.array([chance(3, entity, tick, 0) for entity in range(20) for tick in range(500)])
    counts, _ = np.histogram(drawn, 20, (0, 1))
    assert counts.sum() == len(drawn)
    assert abs(counts / 500 - 1).max() < 0.2
    assert len(set(drawn)) == len(drawn)
    assert chance(1, 2, 3, 4) == chance(1, 2, 3, 4) != chance(1, 2, 4, 3)


def test_in_the_open_it_gets_where_it_goes():
    mover = Mover(1, "b", home=(0, 0), radius=4)
    gait, goals = settle(mover, 9), set()
    for tick in range(24 * 120):
        gait = wander(mover, gait, np.full(RAYS, REACH), (), 9, tick, DT)
        goals.add(gait.goal)
    assert len(goals) > 8
    assert all(math.dist(goal, mover.home) <= mover.radius for goal in goals)


def test_it_stops_short_of_a_wall():
    mover = Mover(1, "b")
    gait = Gait(0, 0, 0, 0, mover.speed, (9.0, 0.0), 99.0, 0.0)

    for tick in range(200):  # a wall at x = 1
        cos = np.cos(gait.heading + BEARINGS)
        felt = np.where(cos > 1e-6, np.minimum((1 - gait.x) / np.maximum(cos, 1e-6), REACH), REACH)
        gait = wander(mover, gait, felt, (), 0, tick, DT)
        assert gait.x <= 1 - 0.75 * CLEARANCE


def test_it_gets_away_from_someone_who_stands_upon_it():
    mover = Mover(1, "b", home=(0, 0))
    gait = settle(mover, 9)
    for tick in range(24 * 20):
        gait = wander(mover, gait, np.full(RAYS, REACH), [(0.05, 0.0)], 9, tick, DT)
    assert math.hypot(gait.x, gait.y) > 0.5


def test_a_creature_that_stands_still_for_ever_is_refused():
    with pytest.raises(ValueError, match="positive speed"):
        Mover(1, "b", speed=0.0)
