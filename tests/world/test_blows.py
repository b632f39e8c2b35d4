"""Contact has consequences: strokes hurt, stagger, push and kill; guards, walls and a leap keep them off."""

import math
from dataclasses import replace

import pytest

from perdure.world import acting
from tests.world import ring
from tests.world.ring import act, go, placed, turned


def test_a_stroke_hurts_staggers_and_pushes_whom_it_meets():
    begin = ring.ring()
    physics, notes, frames = go(begin, 5, (1, "slam"), once=True)
    (note,) = [note for note in notes if note.kind == "hit"]
    assert note.targets == (1, 2) and note.args["deed"] == "slam" and note.args["harm"] == pytest.approx(0.3)
    struck = [frame[2] for frame in frames]
    first = next(i for i, told in enumerate(struck) if told.health < 1)
    assert struck[first].staggered and struck[first].deed == "hit" and not struck[first - 1].staggered
    assert frames[first][1].clock > ring.SLAM.strokes[0].start
    assert note.args["frame"] == first % 4
    assert physics.gaits[1].x - begin.gaits[1].x > 0.2


@pytest.mark.parametrize(
    ("away", "side", "meets"), [(1.6, 0.0, True), (1.9, 0.0, False), (1.0, 2.0, False), (1.0, 0.6, True)]
)
def test_only_within_reach_and_arc(away: float, side: float, meets: bool):
    """A stroke reaches 1.4 m to the edge of a disc of 0.35 m, 0.7 rad to each side."""
    physics = turned(ring.ring(), 2, math.pi - side, (away * math.cos(side), away * math.sin(side)))
    physics = turned(physics, 1, 0.0)
    aimed = ring.ring().mechanism.creatures[0]
    assert aimed.girth == 0.35
    _, notes, _ = go(physics, 4, (1, "slam"), (2, "sit"), once=True)
    assert any(note.kind == "hit" for note in notes) == meets


def test_whoever_leaps_is_not_met_by_what_passes_below():
    low = replace(ring.SLAM.strokes[0], low=0.0, high=0.3)
    leaper = turned(ring.ring(), 2, 0.0, (0.9, 0.0))
    for chunks, meets in ((0, True), (2, False)):
        up, _, _ = go(leaper, chunks, (2, "leap"), once=True)
        rig, there = up.mechanism.compiled.rigs[2], up.gaits[1]
        height = acting.lifted(rig, there)
        assert acting.within(low, up.gaits[0], (0.9, 0.0), 0.35, height, height + 1.6) == meets


def test_no_stroke_goes_through_a_wall():
    physics = turned(turned(ring.ring(), 1, 0.0, (-2.75, 2.5)), 2, math.pi, (-1.25, 2.5))  # the pillar is between
    _, notes, _ = go(physics, 4, (1, "slam"), (2, "sit"), once=True)
    assert not [note for note in notes if note.kind == "hit"]


def test_a_guard_keeps_off_what_comes_from_ahead_and_nothing_from_behind():
    for heading, kind in ((math.pi, "block"), (0.0, "hit")):
        physics = turned(ring.ring(), 2, heading)
        physics, notes, _ = go(physics, 4, (2, "block"), (1, "slam"), once=True)
        assert [note.kind for note in notes if note.targets == (1, 2)] == [kind]
        assert act(physics, 1).health == (1.0 if kind == "block" else 0.7)


def test_enough_of_it_is_death_and_the_dead_do_nothing():
    physics, notes = ring.ring(), []
    for _ in range(4):
        physics, met, frames = go(turned(physics, 2, math.pi, (1.3, 0.0)), 9, (1, "slam"), once=True)
        physics, notes = turned(physics, 1, 0.0, (0.0, 0.0)), notes + met
    assert [note.kind for note in notes if note.targets == (1, 2)] == ["hit", "hit", "hit", "death"]
    assert frames[-1][2].deed == "die" and frames[-1][2].clock == 1.0 and not frames[-1][2].alive
    where = placed(physics, 2)
    physics, notes, _ = go(physics, 3, (2, "walk"))
    assert {note.verdict for note in notes} == {"refused: the knight is dead"}
    assert placed(physics, 2) == where


def test_the_staggered_wait_with_what_they_are_told():
    physics, _, frames = go(ring.ring(), 3, (1, "slam"), once=True)
    assert frames[-1][2].staggered
    _, _, frames = go(physics, 4, (2, "leap"))
    told = [frame[2].deed for frame in frames]
    assert told[0] == "hit" and "leap" in told


def test_a_stroke_that_meets_the_player_is_noted():
    physics = turned(ring.ring(), 1, math.pi, (-2.8, 4.0))
    _, notes, _ = go(physics, 4, (1, "slam"), once=True)
    assert [note.targets for note in notes if note.kind == "hit"] == [(1, 0)]
