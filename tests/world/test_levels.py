"""Creatures on upper levels: they stand there, stay there, and deal with those who are there too."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from perdure.world import body
from perdure.world.action import Action, Hand, Word
from perdure.world.mover import Mover
from perdure.world.physics import Physics
from perdure.world.terrain import Terrain
from tests.world import ring

HIGH, HALF = 2.0, 2.0
"""Metres: a terrace without a rail, and from its middle to its edge."""


def terrace(
    *movers: Mover,
    at: tuple[float, float] = (-4.0, 0.0),
    things: tuple[body.Body, ...] = (),
    size: tuple[float, float] = (HALF, HIGH),
) -> Physics:
    """About the origin; the player, who follows the ground, begins at `at`."""
    half, high = size
    xml = f"""<mujoco><option timestep="{1 / 96!r}"/><worldbody><geom type="plane" size="20 20 .1"/>
<geom type="box" size="{half} {half} {high / 2}" pos="0 0 {high / 2}"/>
<body name="player" pos="0 0 {high}"><joint name="player_x" type="slide" axis="1 0 0"/>
<joint name="player_y" type="slide" axis="0 1 0"/><joint name="player_z" type="slide" axis="0 0 1" armature="1e6"/>
<geom type="capsule" fromto="0 0 .55 0 0 1.4" size=".3" mass="70"/></body>{"".join(map(ring._bodies, movers))}
</worldbody></mujoco>"""
    return Physics.from_xml(xml, movers, (*at, 0.0), 3, bodies=things)


def up(entity: int, home: tuple[float, float], ground: float = HIGH) -> Mover:
    return replace(ring.knight(entity, home), ground=ground)


def test_a_floor_of_nought_is_written_as_it_always_was_and_another_is_read_again():
    flat, high = ring.knight(1, (0.0, 0.0)), up(1, (0.0, 0.0))
    assert "ground" not in flat.said() and high.said()["ground"] == HIGH
    assert msgspec.convert(msgspec.to_builtins(high.said()), Mover) == high
    with pytest.raises(ValueError, match="height of the ground"):
        up(1, (0.0, 0.0), math.nan)


def test_all_that_it_does_is_as_much_higher_as_its_floor():
    """The same creature with nothing about it, below and on a floor that reaches to beyond where it gets."""
    now = [terrace(up(1, (0.0, 0.0), z), up(2, (1.3, 0.0), z), size=(9.0, z)) for z in (0.2, 3.0)]
    for n in range(30):
        words = (Word(1, "leap"),) if n == 4 else (Word(1, "slam"),) if n == 15 else ()
        (low, below), (high, above) = (physics.advance(Action(words=words)) for physics in now)
        now = [low, high]
        for entity in (1, 2):
            off = above.bodies[entity][:, :3, 3] - below.bodies[entity][:, :3, 3]
            np.testing.assert_allclose(off, np.tile((0.0, 0.0, 2.8), (4, 1)), atol=1e-9)
    assert any(abs(pose[2, 3] - 3.0 - ring.LEG) < 1e-6 for pose in above.bodies[1])


@pytest.mark.parametrize("told", ["", "walk", "roll", "leap"])
def test_it_never_leaves_its_level(told: str):
    """Its rounds would lead far beyond the edge, and it is told to go on and on."""
    now = terrace(replace(up(1, (0.0, 0.0)), radius=6.0))
    ways: list[tuple[float, float]] = []
    for n in range(150):
        words = (Word(1, told),) if told and n % 3 == 0 else ()
        now, motion = now.advance(Action(words=words))
        ways += [(x, y) for x, y in motion.bodies[1][:, :2, 3]]
    far = np.abs(ways).max()
    assert far < HALF - 0.25, far
    assert np.hypot(*np.ptp(np.array(ways), axis=0)) > 1.0  # it gets about all the same


def test_only_who_is_on_its_level_is_struck_or_in_its_way():
    for ground, kinds in ((HIGH, {"hit"}), (0.0, set[str]())):
        now = terrace(up(1, (0.0, 0.0)), up(2, (1.1, 0.0), ground))
        now = ring.turned(ring.turned(now, 1, 0.0), 2, math.pi)
        found = set[str]()
        for n in range(8):
            now, notes, _ = ring.say(now, *([(1, "slam")] if n == 0 else []))
            found |= {note.kind for note in notes}
        assert found == kinds


def test_the_player_is_struck_where_it_stands_and_things_where_they_lie():
    for at, ground, hit in (((1.1, 0.0), HIGH, True), ((1.1, 0.0), 0.0, False)):
        now = terrace(up(1, (0.0, 0.0), ground), at=at, things=(body.ball(7, (0.7, 0.5, HIGH)),))
        now = ring.turned(now, 1, 0.0)
        found = set[str]()
        for n in range(8):
            now, notes, _ = ring.say(now, *([(1, "slam")] if n == 0 else []))
            found |= {note.kind for note in notes}
        assert found == ({"hit", "kick"} if hit else set())


def test_what_it_holds_does_not_sink_into_its_floor():
    now = ring.turned(terrace(up(1, (0.0, 0.0)), things=(body.ball(7, (0.6, 0.0, HIGH)),)), 1, 0.0)
    held = []
    for n in range(12):
        now, _, frames = ring.say(now, *([(1, "grab")] if n == 0 else []))
        held.append(frames[1][-1].held)
    assert held[-1] == 7
    assert body.Pose.from_bytes(now.pose(7) or b"").place[2] > HIGH + 0.05


def test_what_the_player_holds_does_not_sink_into_its_floor():
    heights: list[float] = []
    for high, x in ((0.0, -4.0), (HIGH, -0.5)):
        now = terrace(at=(x, 0.0), things=(body.crate(7, (x + 1.2, 0.0, high)),))
        for action in (Action(tilt=-0.5), Action(tilt=-0.4), Action(hand=Hand.USE), *[Action(tilt=-0.3)] * 8):
            now, _ = now.advance(action)
        assert now.held == 7
        heights.append(body.Pose.from_bytes(now.pose(7) or b"").place[2] - high)
    assert heights[1] == pytest.approx(heights[0], abs=0.02)


def test_floors_are_level_where_they_are_of_that_height():
    terrain = Terrain(terrace().mechanism.compiled.model)
    rng = np.random.default_rng(0)
    points = rng.uniform(-3.0, 3.0, (300, 2))
    points = points[np.abs(np.abs(points) - HALF).min(1) > 0.05]
    on = np.abs(points).max(1) < HALF
    np.testing.assert_array_equal(terrain.level(points, HIGH + 0.1, 0.3), on)
    np.testing.assert_array_equal(terrain.level(points, 0.0, 0.3), ~on)
    assert not terrain.level(points, 0.6, 0.3).any()
