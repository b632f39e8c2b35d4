"""What is brittle breaks by a hard blow and by nothing less; its pieces lie where they fell, and all of it is state."""

import math
from pathlib import Path

import numpy as np
import pytest

from perdure.memory.replay import replay
from perdure.world import edit
from perdure.world.action import Action, Hand, Keys, Word
from perdure.world.body import Body, Pose, crate, urn
from perdure.world.happenings import PIECES
from perdure.world.identity import Entity
from perdure.world.physics import EYE_HEIGHT, Physics
from perdure.world.rules import Rule
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import ring, yard
from tests.world.ring import go

NONE, GO = Action(), Action(Keys.FORWARD)
DOWN = Action(tilt=-0.5 * math.atan2(EYE_HEIGHT - 0.25, 1.4))
USE, PLACE, THROW = (Action(hand=hand) for hand in (Hand.USE, Hand.PLACE, Hand.THROW))
TAKE = DOWN, DOWN, USE, NONE, NONE, NONE


def made(*bodies: Body, x: float = 0.0) -> World:
    entities = Entity(0, "player", "you", "player"), *(Entity(b.entity, "urn", "the urn", b.name) for b in bodies)
    return World.create("yard", "yard", 3, yard.XML, (), (x, 0.0, 0.0), entities, bodies=bodies)


def after(world: World, *todo: Action, store: Store | None = None) -> World:
    for action in todo:
        world = yard.step(world, action, store)
    return world


def broke(world: World) -> list[int]:
    return [event.targets[0] for event in world.history.events if event.kind == "break"]


def pieces(world: World) -> list[int]:
    return [entity.id for entity in world.entities if entity.kind == "shard"]


def test_one_that_is_thrown_at_a_wall_goes_to_pieces():
    world = after(made(urn(5, (3.4, 0, 0)), x=2.0), *TAKE)
    assert world.physics.held == 5
    world = after(world, THROW, *[NONE] * 24)
    assert broke(world) == [5] and pieces(world) == [5, 6, 7, 8, 9] and len(pieces(world)) == PIECES
    assert world.entities[1].name == "the urn" and world.entities[2].name == "shard of the urn"
    lie = np.array([world.motion.bodies[n][-1, :3, 3] for n in pieces(world)])
    assert lie[:, 0].max() < yard.HALF and lie[:, 0].min() > 2.0  # before the wall
    assert lie[:, 2].max() < 0.1  # on the ground
    assert min(math.dist(a, b) for i, a in enumerate(lie) for b in lie[:i]) > 0.03
    still = after(world, *[NONE] * 6)
    assert all(np.allclose(still.motion.bodies[n][-1], world.motion.bodies[n][-1], atol=0.02) for n in pieces(world))


def test_the_pieces_begin_where_it_was_and_as_fast():
    world = after(made(urn(5, (3.4, 0, 0)), x=2.0), *TAKE, THROW)
    while not world.physics.cracked:
        world = after(world, NONE)
    whole = Pose.from_bytes(world.physics.pose(5) or b"")
    begun = world.begun(NONE)
    poses = [Pose.from_bytes(begun.physics.pose(n) or b"") for n in pieces(begun)]
    assert all(math.dist(pose.place[:3], whole.place[:3]) < 0.3 for pose in poses)
    mass = begun.physics.mechanism.compiled.seats[5].mass
    assert mass * PIECES <= 6.0 and begun.physics.cracked == ()
    assert begun.begun(NONE) is begun


def test_what_is_carried_put_down_pushed_or_set_down_stays_whole():
    world = after(made(urn(5, (1.4, 0, 0)), urn(6, (2.6, 1.5, 0))), *TAKE)
    world = after(world, *[Action(Keys.TURN_LEFT)] * 8, *[GO] * 6, PLACE, *[NONE] * 8)
    assert world.physics.held == -1 and not broke(world)
    world = after(made(urn(5, (1.0, 0, 0))), *[GO] * 10)
    assert world.motion.bodies[5][-1, 0, 3] > 1.3 and not broke(world)  # walked into, and maybe over


@pytest.mark.parametrize(("height", "breaks"), [(0.15, False), (0.9, True)])
def test_a_fall_breaks_it_from_high_enough(height: float, breaks: bool):
    world = after(made(urn(5, (2.0, 0, height))), *[NONE] * 8)
    assert broke(world) == ([5] if breaks else [])


def test_a_crate_is_not_brittle():
    world = after(made(crate(5, (2.0, 0, 2.0))), *[NONE] * 8)
    assert not broke(world) and not world.physics.mechanism.compiled.brittle


@pytest.mark.parametrize("mass", [1.0, 4.0])
def test_however_light_it_is_it_may_be_carried_and_swung(mass: float):
    world = after(made(urn(5, (1.4, 0, 0), 0.3, 0.1, mass)), *TAKE)
    assert world.physics.held == 5
    world = after(world, *[Action(turn=1.0), Action(turn=-1.0), GO, Action(Keys.BACK)] * 3)
    assert world.physics.held == 5 and not broke(world)


def test_a_crate_of_the_same_clay_stays_whole():
    world = after(made(crate(5, (3.4, 0, 0), (0.4, 0.4, 0.4), 6.0, "urn:3"), x=2.0), *TAKE, THROW, *[NONE] * 24)
    assert not broke(world) and not pieces(world)


def test_it_breaks_in_worlds_of_any_seed():
    entities = Entity(0, "player", "you", "player"), Entity(5, "urn", "the urn", urn(5, (3.4, 0, 0)).name)
    bodies = (urn(5, (3.4, 0, 0)),)
    world = World.create("yard", "yard", 3, yard.XML, (), (2.0, 0.0, 0.0), entities, bodies=bodies, seed=-1)
    assert len(pieces(after(world, *TAKE, THROW, *[NONE] * 24))) == PIECES


def test_what_is_said_as_it_breaks_is_not_about_its_pieces():
    world = after(made(urn(5, (3.4, 0, 0)), x=2.0), *TAKE, THROW)
    while not world.physics.cracked:
        world = after(world, NONE)
    world = after(world, Action(events=("a crate appears",)))
    assert [entity.kind for entity in world.entities][-1] == "crate" and len(pieces(world)) == PIECES


def test_a_stroke_breaks_it():
    physics = ring.ring()
    x, y, z = 1.2, 0.0, 0.0
    physics = physics.with_body(9, urn(9, (x, y, z)).to_bytes())
    physics = ring.turned(ring.turned(physics, 1, 0.0, (0.0, 0.0)), 2, 0.0, (-3.0, -3.0))
    _, notes, _ = go(physics, 5, (1, "slam"), once=True)
    assert [note.targets for note in notes if note.kind == "kick"] == [(1, 9)]
    assert [note.targets for note in notes if note.kind == "break"] == [(9,)]


def test_that_it_broke_is_state_until_its_pieces_are():
    world = after(made(urn(5, (2.0, 0, 1.0))), NONE)
    while not world.physics.cracked:
        world = after(world, NONE)
    again = Physics.from_bytes(world.physics.mechanism, world.physics.to_bytes())
    assert again.cracked == (5,) and again.to_bytes() == world.physics.to_bytes()


def test_it_is_replayed_and_found_as_it_was_left_even_in_the_middle(tmp_path: Path):
    world = made(urn(5, (2.0, 0, 0.9)), urn(6, (2.0, 1.0, 0.9)))
    with Store.create(tmp_path, world) as store:
        while not world.physics.cracked:
            world = after(world, NONE, store=store)
        assert store.world().physics.cracked == world.physics.cracked
        left = after(store.world(), NONE)
        world = after(world, Action(events=("it starts to snow",), edits=(edit.rename(6, "mine"),)), store=store)
        assert pieces(left) == pieces(world) and len(pieces(world)) == 2 * PIECES
        world = after(world, *[NONE] * 8, store=store)
        assert all(made.state and made.head for made in replay(store))
        assert store.world().state == world.state


def test_it_is_undone_like_any_edit():
    world = made(urn(5, (2.0, 0, 0)))
    said = world.happens("the urn shatters")
    assert len(pieces(said)) == PIECES and said.undo().state == world.state
    assert world.happens("an urn breaks").state == said.state
    refused = said.happens("the urn breaks")
    assert "nothing here that could break" in refused.history.events[-1].verdict


def test_what_was_mended_or_taken_away_since_leaves_no_pieces():
    world = made(urn(5, (2.0, 0, 0.9)))
    while not world.physics.cracked:
        world = after(world, NONE)
    assert not pieces(after(world.edit(edit.remove(5)), *[NONE] * 2))


def test_rules_hold_for_pieces_too():
    """Where they forbid them outright it stays whole, and the log says why."""
    world = made(urn(5, (2.0, 0, 0.9))).edit(edit.rule(Rule("slow", "speed", hard=True, limit=0.3, entities=(6,))))
    world = after(world, *[NONE] * 10)
    assert broke(world) and not pieces(world)
    refused = next(event for event in world.history.events if event.kind == "reject")
    assert refused.actor == "physics" and "slow" in refused.verdict


def test_commands_go_on_beside_it():
    world = World.create("ring", "yard", 3, ring.XML, ring.KNIGHTS, (-4.0, 4.0, 0.0))
    world = world.edit(edit.add(Entity(9, "urn", "urn", "urn9"), urn(9, (4.0, 4.0, 0.9))))
    world = after(world, *[Action(words=(Word(1, "walk"),))] * 8)
    assert len(pieces(world)) == PIECES and world.physics.condition(1)
