"""What is seen becomes an edit of the world, that is logged and can be undone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perdure.memory.appearance import acquaint
from perdure.memory.recognise import recognise, whereabouts
from perdure.world.action import Action, Keys
from perdure.world.bank import Look
from perdure.world.identity import Entity
from perdure.world.roster import Sighting, edit, merge, renamed, turned
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import yard


def met(world: World, entity: Entity, at: int = 2) -> Sighting:
    """The entity seen where it is, exactly as one of its looks."""
    place = whereabouts(world)[entity.id]
    look = entity.looks[min(at, len(entity.looks) - 1)]
    seen = turned(look, place.rotation.T)
    return Sighting(Look(seen.by, seen.code, seen.azimuth, seen.elevation, 7, world.step), place.position, place.time)


@pytest.fixture
def world() -> World:
    now = yard.world()
    for _ in range(3):
        now = yard.step(now, Action(Keys.FORWARD))
    return now


def beast(world: World) -> Entity:
    return next(entity for entity in world.entities if entity.id == 1)


def test_physics_says_where_everybody_is(world: World) -> None:
    place = whereabouts(world)[1]
    np.testing.assert_array_equal(place.position, world.motion.bodies[1][-1, :3, 3])
    assert place.time == pytest.approx(3 / 6)


def test_one_from_an_older_world_is_acquainted_first_and_then_known(world: World) -> None:
    assert beast(world).exemplar is None
    known = acquaint(beast(world))
    learned, (match,) = recognise(world, [met(world, known)])
    assert match.id == 1 and learned is not None
    assert (learned.kind, learned.actor, learned.targets) == ("associate", "observer", (1,))
    after = world.edit(learned)
    now = beast(after)
    assert now.exemplar == known.exemplar and len(now.bank) == len(known.bank) + 1
    assert after.history.events[-1].kind == "associate"
    # Seen again as well as before, there is nothing new: nothing is written.
    again, (match,) = recognise(after, [met(after, known)])
    assert (again, match.id) == (None, 1)


def test_a_stranger_becomes_an_entity_and_can_be_undone(world: World) -> None:
    known = acquaint(beast(world))
    world = world.edit(edit(world.entities, tuple(known if e.id == 1 else e for e in world.entities)))
    odd = replace(met(world, known), position=(4.0, 4.0, 0.5))
    learned, (match,) = recognise(world, [odd])
    assert match.new and learned is not None
    assert [change.slot for change in learned.changes] == ["entity/2"]
    after = world.edit(learned)
    assert [entity.id for entity in after.entities] == [0, 1, 2]
    assert after.undo(after.history.events[-1].seq).state == world.state
    # It turns out to be the beast: merged, its number still means it.
    merged = after.edit(edit(after.entities, merge(after.entities, 1, 2)))
    assert [entity.id for entity in merged.entities] == [0, 1]
    assert beast(merged).merged == (2,)
    assert merged.undo().state == after.state


def test_undo_takes_back_what_the_player_did_and_not_what_was_recognised(world: World) -> None:
    named = world.edit(edit(world.entities, tuple(renamed(e, "Rex") if e.id == 1 else e for e in world.entities)))
    learned, _ = recognise(named, [met(named, acquaint(beast(named)))])
    assert learned is not None
    undone = named.edit(learned).undo()
    assert beast(undone).name == "the beast" and beast(undone).exemplar is not None


def test_an_edit_writes_what_differs_and_no_more(world: World) -> None:
    before = world.entities
    assert edit(before, before).changes == ()
    after = tuple(renamed(entity, "Rex") if entity.id == 1 else entity for entity in before)
    asked = edit(before, after)
    assert [change.slot for change in asked.changes] == ["entity/1/name", "entity/1/aliases"]
    assert [entity.digest for entity in world.edit(asked).entities] == [entity.digest for entity in after]
    gone = edit(before, before[:1])
    assert [(change.slot, change.value) for change in gone.changes] == [("entity/1", None)]


def test_what_was_recognised_is_kept_by_the_store(tmp_path: Path) -> None:
    with Store.create(tmp_path, yard.world()) as store:
        world = store.world()
        learned, _ = recognise(world, [met(world, acquaint(beast(world)))])
        assert learned is not None
        world = world.edit(learned)
        store.commit(world)
    with Store.open(tmp_path / "yard", write=False) as store:
        again = store.world()
    assert (again.state, again.head) == (world.state, world.head)
    assert beast(again).looks == beast(world).looks
