"""Ground: what is free on the map is free to physics, and ways lead there."""

import math
from itertools import pairwise

import numpy as np
import pytest

from perdure.data.ground import CELL, Ground
from perdure.data.scenes.blocks import Blocks, Opening
from perdure.data.scenes.scene import Scene, Sky, plain
from perdure.world.action import Action, Keys
from perdure.world.body import Pose, crate
from perdure.world.physics import Physics


def scene(ground: float | None = None) -> Scene:
    """Two rooms, 8 by 8 metres together, a doorway between them, a post in one and a beam over the other."""
    blocks = Blocks()
    blocks.surface("wall", plain("#888888"))
    blocks.geom("plane", "wall", (0, 0, 0), (9, 9, 1))
    for a, b in (((-4, -4), (4, -4)), ((4, -4), (4, 4)), ((4, 4), (-4, 4)), ((-4, 4), (-4, -4))):
        blocks.wall("wall", a, b, 2.5, 0.1)
    blocks.wall("wall", (0, -4), (0, 4), 2.5, 0.1, (Opening(2.0, 1.4, 0.0, 2.1),))
    blocks.post("wall", -2.0, 0.0, 0.0, 2.0, 0.05)
    blocks.box("wall", (2, 0, 2.2), (1.9, 0.2, 0.1))
    if ground is not None:
        for n in range(4):  # stairs in the second room, up to a landing along its far wall
            blocks.box("wall", (1.5 + 0.3 * n, 3.0, 0.085 * (n + 1)), (0.15, 0.9, 0.085 * (n + 1)))
        blocks.box("wall", (3.2, 3.0, 0.34), (0.8, 0.9, 0.34))
    return blocks.finish("rooms", 0, Sky(), (-3.0, -3.0, 0.0), (4.2, 4.2, 3.0), "two rooms", ground)


def world(**kwargs: float) -> Physics:
    made = scene(**kwargs)
    return Physics.from_xml(made.xml, (), made.spawn)


def test_what_is_free_and_what_is_not() -> None:
    ground = Ground.around(world(), scene().extent)
    assert ground.holds((-3.0, -3.0)) and ground.holds((3.0, 3.0)), "it goes through the doorway"
    assert ground.holds((2.0, 0.0)), "and under the beam"
    assert not ground.holds((-2.0, 0.0)) and not ground.holds((-1.7, 0.0)), "a thin post stops it"
    assert not ground.holds((0.0, 3.0)) and not ground.holds((5.0, 0.0)) and not ground.holds((99.0, 0.0))
    assert ground.nearest((-2.0, 0.0)) != (-2.0, 0.0) and ground.holds(ground.nearest((-2.0, 0.0)))
    assert 8 < ground.area < 7.2 * 7.6
    (x, y, reach), *more = ground.islands
    assert not more and math.hypot(x + 2, y) < CELL and 0.3 < reach < 0.8, "the post stands free, the walls do not"


def test_ways_lead_through_the_doorway_and_can_be_walked() -> None:
    physics = world()
    ground = Ground.around(physics, scene().extent)
    way = ground.way((-3.0, -3.0), (3.0, 3.0))
    assert way[0] == (-3.0, -3.0) and way[-1] == (3.0, 3.0) and len(way) < 12
    assert all(ground.straight(a, b) for a, b in pairwise(way))
    crossed = [(a, b) for a, b in pairwise(way) if a[0] < 0 <= b[0]]
    assert crossed and not ground.straight((-3.0, -3.0), (3.0, 3.0))
    assert ground.way((-3.0, -3.0), (2.0, 9.0)), "to what is nearest to where it cannot go"
    about = ground.way((-3.0, -3.0), (-3.0, 3.0), [(-3.0, 0.0, 0.8)])
    assert all(math.dist(point, (-3.0, 0.0)) > 0.7 for point in about)


@pytest.mark.parametrize("seed", range(3))
def test_where_the_map_is_free_nothing_stops_a_step(seed: int) -> None:
    """From a free cell towards a free cell next to it, physics goes as far as keys say."""
    physics, rng = world(), np.random.default_rng(seed)
    ground = Ground.around(physics, scene().extent)
    for _ in range(25):
        x, y = ground.spots[int(rng.integers(len(ground.spots)))]
        yaw = float(rng.uniform(-math.pi, math.pi))
        if not ground.straight((x, y), (x + 0.4 * math.cos(yaw), y + 0.4 * math.sin(yaw))):
            continue
        put = physics.with_pose(0, Pose((float(x), float(y), yaw, 0.0)).to_bytes())
        moved, _ = put.advance(Action(Keys.FORWARD))
        a, b = (Pose.from_bytes(p.pose(0) or b"").place for p in (put, moved))
        assert math.dist(a[:2], b[:2]) == pytest.approx(0.4, abs=1e-3)


def test_things_are_in_the_way_until_they_are_taken_up() -> None:
    physics = world()
    put = physics.with_body(3, crate(3, (-3.0, 0.0, 0.0)).to_bytes())
    before, after = (Ground.around(p, scene().extent) for p in (physics, put))
    assert before.holds((-3.0, 0.0)) and not after.holds((-3.0, 0.0))


def test_uneven_ground_has_heights_and_edges() -> None:
    physics = world(ground=0.0)
    ground = Ground.around(physics, scene().extent)
    assert ground.holds((3.2, 3.0)), "up the stairs"
    assert ground.height[ground.cell((3.2, 3.0))] == pytest.approx(0.68, abs=0.02)
    assert ground.height[ground.cell((-3.0, -3.0))] == 0.0
    assert not ground.straight((3.2, 3.0), (3.2, 1.0)), "not down over the edge"
    way = ground.way((3.2, 1.0), (3.2, 3.0))
    assert any(x < 2.0 for x, _ in way), "but back by the stairs"
