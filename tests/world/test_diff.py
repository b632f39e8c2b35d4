from perdure.world.action import Action, Keys
from perdure.world.diff import diff
from perdure.world.edit import Change, Edit
from tests.world import yard


def said(left, right) -> dict[str, tuple[str, str]]:
    return {it.what: (it.left, it.right) for it in diff(left, right)}


def test_a_world_does_not_differ_from_itself_or_its_twin():
    assert diff(yard.world(), yard.world()) == []


def test_what_was_edited_is_what_differs_and_undone_it_does_not():
    world = yard.world()
    changed = world.edit(Edit((Change("environment/weather", b'"snow"'), Change("entity/1", None))))
    assert said(world, changed) == {"environment weather": ("clear", "snow"), "entity 1": ("the beast", "")}
    assert said(changed, world)["entity 1"] == ("", "the beast")
    assert diff(world, changed.undo()) == []


def test_walking_is_told_in_metres():
    world = yard.world()
    for _ in range(6):
        world = yard.step(world, Action(Keys.FORWARD))
    told = said(yard.world(), world)
    assert told["step"] == ("0", "6")
    assert any(what.startswith("eye, 2.40 m and 0 degrees") for what in told)
    assert told["keyframes, besides 2 shared"] == ("0", "3")
