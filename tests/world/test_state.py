from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.world.action import Action, Keys
from perdure.world.state import FINDING_LAG, World, merkle
from tests.world import yard

FORWARD = Action(Keys.FORWARD)


def test_a_world_begins_standing_still_with_its_seeds():
    world = yard.world()
    assert (world.step, world.branch, len(world.history), len(world.geometry.keyframes)) == (0, "main", 0, 2)
    np.testing.assert_array_equal(world.motion.cameras[0], world.motion.cameras[-1])
    assert [event.kind for event in world.history.events] == ["create"]


def test_advancing_changes_nothing_of_the_world_advanced():
    world = yard.world()
    state, head = world.state, world.head
    moved = yard.step(world, FORWARD)
    again = replace(world)  # nothing cached
    assert (again.state, again.head, again.step) == (state, head, 0)
    assert moved.state != state
    assert moved.head != head


def test_what_is_found_enters_two_chunks_later_and_not_sooner():
    world = yard.world()
    entered: dict[int, int] = {}
    for _ in range(8):
        known = len(world.geometry.keyframes)
        world = yard.step(world, FORWARD)
        for keyframe in world.geometry.keyframes[known:]:
            entered[keyframe.step] = world.step
    # Every third finding of the yard is empty, and leaves no keyframe.
    assert entered == {step: step + FINDING_LAG for step in (1, 2, 4, 5)}
    assert [f.step for f in world.pending] == [7, 8]


def test_findings_that_wait_do_not_count_as_state():
    world = yard.step(yard.world(), FORWARD)
    assert replace(world, pending=()).state == world.state


def test_order_of_arrival_does_not_matter():
    world = yard.step(yard.step(yard.world(), FORWARD), FORWARD)
    swapped = replace(world, pending=world.pending[::-1])
    one, two = world, swapped
    for _ in range(3):
        one, two = one.advance(FORWARD), two.advance(FORWARD)
    assert one.state == two.state


def test_a_finding_too_late_or_from_the_future_is_refused():
    world = yard.world()
    for _ in range(3):
        world = yard.step(world, FORWARD)
    found = yard.finding(world)
    for step in (1, 4):
        with pytest.raises(ValueError, match="expected a finding of the last 2 steps"):
            world.expect(replace(found, step=step))


def test_the_state_hash_sees_geometry_identity_and_physics():
    world = yard.world()
    worlds = [
        world,
        replace(world, geometry=world.geometry.append(world.geometry.keyframes[0])),
        replace(world, entities=world.entities[:1]),
        replace(world, physics=replace(world.physics, yaw=1.0)),
        replace(world, physics=world.physics.advance(Action())[0]),
    ]
    assert len({w.state for w in worlds}) == len(worlds)
    assert yard.world().state == world.state


def test_chance_is_of_world_branch_and_step():
    world = yard.world()
    seeds = [
        world.noise_seed,
        world.fork("b").noise_seed,
        replace(world, step=1).noise_seed,
        yard.world(seed=8).noise_seed,
    ]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 1 << 64 for seed in seeds)
    assert yard.world().noise_seed == world.noise_seed


def test_two_entities_of_one_id_are_refused():
    twice = (yard.world().entities[0],) * 2
    with pytest.raises(ValueError, match="different ids"):
        World.create("w", "yard", 0, yard.XML, entities=twice)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=200), st.data())
def test_merkle_sees_every_leaf_and_their_order(leaves: list[bytes], data: st.DataObject):
    root = merkle(leaves)
    assert merkle(list(leaves)) == root
    assert merkle([*leaves, bytes(32)]) != root
    if leaves:
        at = data.draw(st.integers(0, len(leaves) - 1))
        changed = [bytes(32) if i == at and leaf != bytes(32) else leaf for i, leaf in enumerate(leaves)]
        assert (merkle(changed) == root) == (changed == leaves)
