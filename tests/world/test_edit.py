import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from perdure.world.action import Action, Keys
from perdure.world.anchor import Anchor
from perdure.world.body import Pose, crate
from perdure.world.diff import diff
from perdure.world.edit import Change, Edit, add, lift, move, remove, rule
from perdure.world.identity import Entity
from perdure.world.rules import Rule
from perdure.world.splats import blank, pack
from perdure.world.state import World
from tests.world import yard

SNOW = Edit((Change("environment/weather", b'"snow"'),))
DUSK = Edit((Change("environment/hour", b"19.5"),))


def kinds(world: World) -> list[str]:
    return [event.kind for event in world.history.events]


def test_an_edit_is_state_and_is_logged_with_what_it_replaced():
    world = yard.world()
    snowy = world.edit(SNOW)
    assert (snowy.setting.environment.weather, world.setting.environment.weather) == ("snow", "clear")
    event = snowy.history.events[-1]
    assert (event.kind, event.before, event.after) == ("edit", world.state, snowy.state)
    assert event.args["slots"] == ("environment/weather",)
    assert [snowy.history.record(digest) for digest in event.records] == [b'"clear"', b'"snow"']


def test_undoing_restores_the_state_and_doing_it_again_does_that():
    world = yard.world()
    dusk = world.edit(SNOW).edit(DUSK)
    back = dusk.undo()
    assert back.state == world.edit(SNOW).state
    assert back.undo().state == world.state
    again = back.undo().undo(back.undo().history.events[-1].seq)
    assert again.state == world.edit(SNOW).state
    assert kinds(again)[1:] == ["edit", "edit", "revert", "revert", "revert"]
    with pytest.raises(ValueError, match="no edit to undo"):
        back.undo().undo()


def test_an_edit_that_was_written_over_is_not_undone_unasked():
    world = yard.world().edit(SNOW).edit(Edit((Change("environment/weather", b'"rain"'),)))
    with pytest.raises(ValueError, match=r"environment/weather has been changed since event 1"):
        world.undo(1)
    assert world.undo().undo().state == yard.world().state


def test_one_edit_is_undone_and_others_stay():
    world = yard.world().edit(SNOW).edit(DUSK)
    event = next(event for event in world.history.events if event.args.get("slots") == ("environment/weather",))
    environment = world.undo(event.seq).setting.environment
    assert (environment.weather, environment.hour) == ("clear", 19.5)


def test_edits_in_an_action_come_before_its_ticks():
    world = yard.step(yard.world(), Action(Keys.FORWARD, edits=(SNOW,)))
    assert kinds(world) == ["create", "edit", "act", "tick"]
    events = world.history.events
    assert [event.before for event in events[2:]] == [events[1].after] * 2
    assert world.state != yard.step(yard.world(), Action(Keys.FORWARD)).state


@pytest.mark.parametrize(
    ("slot", "value", "says"),
    [
        ("weather", b'"snow"', "expected a slot such as"),
        ("environment/wether", b'"snow"', "expected one of hour, weather"),
        ("environment/hour", b'"noon"', "expected a number as hour"),
        ("environment/hour", b"25", "from 0 up to 24"),
        ("entity/0", None, "player cannot be taken out"),
        ("entity/x", None, "number of an entity"),
    ],
)
def test_what_makes_no_sense_is_refused_and_harms_no_running_world(slot: str, value: bytes | None, says: str):
    edit = Edit((Change(slot, value),))
    with pytest.raises(ValueError, match=says):
        yard.world().edit(edit)
    world = yard.step(yard.world(), Action(Keys.FORWARD, edits=(edit,)))
    assert kinds(world)[1] == "reject"
    assert says.split()[0] in world.history.events[1].verdict
    assert world.state == yard.step(yard.world(), Action(Keys.FORWARD)).state


def test_an_entity_taken_out_comes_back_as_it_was():
    world = yard.world()
    without = world.edit(Edit((Change("entity/1", None),)))
    assert [entity.id for entity in without.entities] == [0]
    assert without.undo().state == world.state
    assert without.undo().entities[1].name == "the beast"


def test_looking_back_at_what_was_undone_changes_nothing_of_the_past():
    world = yard.world().edit(SNOW)
    state, head = world.state, world.head
    world.undo()
    assert (replace(world).state, world.head) == (state, head)


def test_anchors_and_splats_are_edited_and_undone_like_all_else():
    world = yard.world()
    here = Anchor("here", world.motion.cameras[-1], "where it began")
    rows = blank(300)
    rows["mean"] = np.random.default_rng(0).normal(size=(300, 3))
    placed = world.edit(Edit((Change("anchor/here", here.to_bytes()), Change("splats", pack(rows))), "anchor"))
    assert (placed.geometry.anchors[0].text, len(placed.geometry.splats)) == ("where it began", 300)
    red = rows[5:9].copy()
    red["colour"] = 1.5
    painted = placed.edit(Edit((Change("splats", pack(red, gone=(2, 299))),)))
    assert (len(painted.geometry.splats), painted.history.events[-1].kind) == (298, "edit")
    assert painted.undo().state == placed.state
    assert painted.undo().undo().state == world.state
    told = {it.what: (it.left, it.right) for it in diff(world, painted)}
    assert told["anchor here"][1].endswith("where it began")
    assert told["splats, 2 pages"] == ("0", "298")


CRATE = Entity(5, "crate", "a crate", "crate5")


def test_a_thing_comes_is_moved_and_goes_and_all_of_it_can_be_undone():
    world = yard.world()
    there = world.edit(add(CRATE, crate(5, (2.0, 0.0, 0.0))))
    assert [entity.name for entity in there.entities][-1] == "a crate"
    assert there.motion.bodies[5][-1][0, 3] == 2.0
    moved = there.edit(move(5, Pose.at(3.0, 1.0, 0.25)))
    gone = moved.edit(remove(5))
    assert 5 not in gone.physics.entities and [e.id for e in gone.entities] == [0, 1]
    assert gone.state == world.state
    assert [w.state for w in (gone.undo(), gone.undo().undo())] == [moved.state, there.state]
    assert gone.undo().undo().undo().state == world.state


def test_what_ticks_moved_goes_back_to_where_the_edit_found_it():
    world = yard.world().edit(add(CRATE, crate(5, (2.0, 0.0, 0.0))))
    lifted = world.edit(move(5, Pose.at(2.0, 0.0, 2.0)))
    fallen = yard.step(lifted, Action())
    assert 0.5 < fallen.motion.bodies[5][-1][2, 3] < 2.0
    assert fallen.undo().physics.pose(5) == world.physics.pose(5)


def test_rules_reject_or_project_what_is_asked_for_and_say_why():
    world = yard.world().edit(add(CRATE, crate(5, (2.0, 0.0, 0.0))))
    fence = Rule("fence", "bounds", hard=True, high=(4.0, math.inf, math.inf), entities=(5,))
    hard = world.edit(rule(fence))
    assert hard.setting.rule("fence") == fence
    refused = hard.edit(move(5, Pose.at(4.5, 0.0, 0.25)))
    assert refused.state == hard.state
    assert refused.history.events[-1].kind == "reject"
    assert "fence" in refused.history.events[-1].verdict
    soft = world.edit(rule(msgspec.structs.replace(fence, hard=False)))
    brought = soft.edit(move(5, Pose.at(4.5, 0.0, 0.25)))
    assert brought.history.events[-1].verdict.startswith("projected: fence")
    assert brought.motion.bodies[5][-1][0, 3] == pytest.approx(4.0)
    assert brought.undo().state == soft.state
    assert hard.edit(lift("fence")).state == world.state == hard.undo().state


def test_what_a_rule_would_forbid_now_is_not_brought_back():
    world = yard.world().edit(add(CRATE, crate(5, (4.5, 0.0, 0.0)))).edit(move(5, Pose.at(1.0, 0.0, 0.25)))
    fenced = world.edit(rule(Rule("fence", "bounds", hard=True, high=(4.0, math.inf, math.inf))))
    with pytest.raises(ValueError, match="rules forbid what was before: fence"):
        fenced.undo(world.history.events[-1].seq)
