"""What happened is told, gone back in, forked, undone, compared, and done again."""

import json
import sqlite3
from pathlib import Path

import pytest

from perdure.world import edit as make
from perdure.world.anchor import Anchor
from perdure.world.state import World
from perdure.world.store import Store
from tests.cli.desk import Said, refused, run, said, unchanged, world
from tests.world import yard as scene


def told(capsys: Said, *arguments: str) -> list[dict]:
    return json.loads(said(capsys, "log", "yard", *arguments, "--json"))


def test_the_log_tells_the_last_of_what_happened_in_order(yard: Path, home: Path, capsys: Said) -> None:
    every = world(home).history.events
    assert [it["seq"] for it in told(capsys)] == [event.seq for event in every[-20:]]
    assert [it["seq"] for it in told(capsys, "--last", "3")] == [event.seq for event in every[-3:]]
    assert [it["kind"] for it in told(capsys, "--from", "0")] == [event.kind for event in every]
    assert [it["seq"] for it in told(capsys, "--from", "5", "--to", "9")] == [5, 6, 7, 8, 9]
    assert [it["seq"] for it in told(capsys, "--to", "9", "--last", "2")] == [8, 9]
    assert told(capsys, "--from", "9999") == []
    assert told(capsys, "--last", "1")[0]["after"] == world(home).state


def test_the_log_can_be_asked_for_a_kind_and_for_an_entity(yard: Path, home: Path, capsys: Said) -> None:
    every = world(home).history.events
    (edit,) = told(capsys, "--kind", "edit")
    assert edit["what"] == 'entity/1/name: the beast -> "Ada"' and edit["actor"] == "player"
    assert [it["seq"] for it in told(capsys, "--kind", "tick", "--last", "4")] == [
        event.seq for event in every if event.kind == "tick"
    ][-4:]
    assert told(capsys, "--entity", "1") == [edit]
    assert len(told(capsys, "--entity", "0", "--from", "0")) == 9  # an action a step
    assert told(capsys, "--kind", "edi", "--from", "0") == []
    assert "Nothing like that" in said(capsys, "log", "yard", "--kind", "nothing")


def test_the_log_is_readable(yard: Path, capsys: Said) -> None:
    shown = said(capsys, "log", "yard", "--from", "0").splitlines()
    assert shown[0].split() == ["0", "0:00.0", "maker", "create", "a", "yard,", "seed", "3"]
    assert "forward, turn left" in "".join(shown)
    assert any("revert" in line and "back to step 8; what came after is kept as main@10" in line for line in shown)
    assert "tick" in shown[-1] and shown[-1].endswith("step 9")


def test_going_back_keeps_what_is_left(yard: Path, home: Path, capsys: Said) -> None:
    before = world(home)
    shown = said(capsys, "goto", "yard", "3")
    assert "step 3" in shown and "yard/main@9" in shown
    now, left = world(home), world(home, "yard/main@9")
    assert (now.step, left.state, left.head) == (3, before.state, before.head)
    assert "yard/main@9" in said(capsys, "ls")
    said(capsys, "goto", "yard/left", "--event", "12")
    assert world(home, "yard/left").step < 11


def test_a_fork_begins_where_it_is_said_to(yard: Path, home: Path, capsys: Said) -> None:
    named = next(event.seq for event in world(home).history.events if event.kind == "edit")
    said(capsys, "fork", "yard", "before", "--event", str(named - 1))
    said(capsys, "fork", "yard", "after", "--event", str(named))
    said(capsys, "fork", "yard/main@10", "again", "--at", "9")
    assert [world(home, f"yard/{it}").entities[1].name for it in ("before", "after")] == ["the beast", '"Ada"']
    assert world(home, "yard/again").step == 9


def test_an_edit_is_taken_back_and_done_again(yard: Path, home: Path, capsys: Said) -> None:
    before = world(home)
    said(capsys, "edit", "yard", "rename", "1", "Eve")
    shown = said(capsys, "undo", "yard")
    assert "Eve" in shown and "is undone" in shown
    assert world(home).state == before.state
    undone = world(home).history.events[-1].seq
    (name, *_) = json.loads(said(capsys, "undo", "yard", "--event", str(undone), "--json"))
    assert name == {"what": "entity 1 name", "left": '"Ada"', "right": "Eve"}
    assert world(home).entities[1].name == "Eve"


def test_differences_between_forks_and_between_times(yard: Path, home: Path, capsys: Said) -> None:
    assert "to the last bit" in said(capsys, "diff", "yard", "yard")
    found = json.loads(said(capsys, "diff", "yard@5", "yard@7", "--json"))
    assert {"what": "entity 1 name", "left": "the beast", "right": '"Ada"'} in found
    assert {"what": "step", "left": "5", "right": "7"} in found
    assert "yard/left" in said(capsys, "diff", "yard", "yard/left")
    assert json.loads(said(capsys, "diff", "yard@8", "yard/main@10@8", "--json")) == []


def test_a_replay_comes_out_the_same(yard: Path, capsys: Said) -> None:
    with unchanged(yard):
        for branch, to in (("yard", 9), ("yard/main@10", 10), ("yard/left", 11)):
            facts = json.loads(said(capsys, "replay", branch, "--json"))
            assert facts["same"] and facts["to"] == to
            assert facts["equal states"] == facts["equal heads"] == facts["commits"] >= to
        facts = json.loads(said(capsys, "replay", "yard", "--from", "3", "--to", "6", "--json"))
        assert facts["commits"] == 4  # three steps and an edit
    assert "times real time" in said(capsys, "replay", "yard")


def test_a_replay_that_comes_out_otherwise_is_told(yard: Path, capsys: Said) -> None:
    with sqlite3.connect(yard / "world.db") as db:
        db.execute("UPDATE commits SET state = zeroblob(32) WHERE number = 4")
    db.close()
    facts = json.loads(said(capsys, "replay", "yard", "--json", code=1))
    assert not facts["same"] and facts["first difference"] == {"commit": 4, "step": 4}
    assert facts["equal states"] == facts["commits"] - 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("log", "nowhere"), "no world at"),
        (("log", "yard", "--last", "0"), "1 event or more"),
        (("log", "yard", "--from", "9", "--to", "3"), "--from before --to"),
        (("goto", "yard"), "perdure goto yard 120"),
        (("goto", "yard", "3", "--event", "3"), "perdure goto yard 120"),
        (("goto", "yard", "12"), "a step in 0..9"),
        (("goto", "yard", "9"), "somewhere to go back to"),
        (("fork", "yard", "left"), "take another name"),
        (("fork", "yard", "a/b"), "letters, digits"),
        (("fork", "yard", "x", "--at", "3", "--event", "4"), "got both"),
        (("undo", "yard", "--event", "2"), "wrote nothing to undo"),
        (("undo", "yard", "--event", "999"), "no event 999"),
        (("diff", "yard", "yard@99"), "a step in 0..9"),
        (("replay", "yard", "--from", "9", "--to", "3"), "within 0 to 9"),
        (("replay", "yard/nobody"), "no branch 'nobody'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_change_nothing(
    yard: Path, capsys: Said, arguments: tuple[str, ...], says: str
) -> None:
    with unchanged(yard):
        assert says in refused(capsys, *arguments)


def test_nothing_to_undo(home: Path, capsys: Said) -> None:
    run("new", "garden")
    assert "no edit to undo" in refused(capsys, "undo", "garden")


def test_each_kind_of_event_is_told(home: Path, capsys: Said) -> None:
    now: World = scene.world()
    with Store.create(home, now) as store:
        now = store.world()
        for it in (
            make.anchor(Anchor("door", now.motion.cameras[-1], "where they [came] in")),
            make.environment(weather="snow"),
        ):
            now = now.edit(it)
        now = now.asked(make.environment(hour=99.0)).undo()
        store.commit(now)
    lines = said(capsys, "log", "yard").splitlines()
    assert "anchor/door = " in lines[1] and "where they [came] in" in lines[1]
    assert lines[2].endswith("environment/weather: clear -> snow")
    assert "environment/hour stays" in lines[3] and "[rejected: expected an hour" in lines[3]
    assert "event 2 is undone; environment/weather: snow -> clear" in lines[4]
