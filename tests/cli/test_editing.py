"""A world is changed by a few words; every change can be taken back to the last bit."""

import json
from pathlib import Path

import numpy as np
import pytest

from perdure.world.body import Pose
from perdure.world.check import check
from perdure.world.store import Store
from tests.cli.desk import Said, full_disk, refused, run, said, unchanged, world


def edit(capsys: Said, *words: str) -> list[dict[str, str]]:
    return json.loads(said(capsys, "edit", "yard", *words, "--json"))


def place(home: Path, entity: int) -> tuple[float, ...]:
    payload = world(home).physics.pose(entity)
    assert payload is not None
    return Pose.from_bytes(payload).place


def test_what_holds_everywhere(yard: Path, home: Path, capsys: Said) -> None:
    found = edit(capsys, "weather=snow", "hour=19.5", "caption=a market at dusk = lights")
    assert {"what": "environment weather", "left": "clear", "right": "snow"} in found
    environment = world(home).setting.environment
    assert (environment.weather, environment.hour) == ("snow", 19.5)
    assert environment.caption == "a market at dusk = lights"
    head = world(home).head
    assert "so already" in said(capsys, "edit", "yard", "weather=snow")
    assert world(home).head == head


def test_names(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "rename", "1", "Ada Lovelace")
    edit(capsys, "rename", "ada lovelace", "Countess")
    beast = world(home).entities[1]
    assert beast.name == "Countess" and "Ada Lovelace" in beast.aliases
    edit(capsys, "rename", "Ada Lovelace", "Ada")  # she answers to her old name
    assert world(home).entities[1].name == "Ada"


def test_anchors_stand_where_the_eye_is_or_where_it_is_said(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "anchor", "door", "--text", "where they came in")
    edit(capsys, "anchor", "well", "--at", "-1,2,0.5")
    now = world(home)
    door, well = (now.geometry.anchor(name) for name in ("door", "well"))
    assert door is not None and well is not None
    assert np.array_equal(door.pose, now.motion.cameras[-1]) and door.text == "where they came in"
    assert well.pose[:3, 3].tolist() == [-1, 2, 0.5]
    edit(capsys, "unanchor", "well")
    assert world(home).geometry.anchor("well") is None


def test_things_come_stand_elsewhere_and_go(yard: Path, home: Path, capsys: Said) -> None:
    before = world(home)
    (found,) = edit(capsys, "add", "crate", "--name", "the blue one")
    assert found == {"what": "entity 2", "left": "", "right": "the blue one"}
    eye = before.motion.cameras[-1]
    ahead = np.array(place(home, 2)[:2]) - eye[:2, 3]
    assert np.linalg.norm(ahead) == pytest.approx(1.5)
    assert ahead @ eye[:2, 2] > 0  # before whoever looks
    assert world(home).entities[2].patches  # and it can be seen
    edit(capsys, "add", "ball", "--at", f"{place(home, 2)[0]},{place(home, 2)[1]}")
    assert place(home, 3)[2] > place(home, 2)[2] + 0.2  # on top of it
    edit(capsys, "move", "the blue one", "--at", "1,-2", "--yaw", "90")
    x, y, *_, cosine, _, _, sine = place(home, 2)
    assert (x, y) == (1, -2) and (cosine, sine) == pytest.approx((0.5**0.5, 0.5**0.5))
    edit(capsys, "add", "door", "--at", "3,3", "--yaw", "90")
    edit(capsys, "move", "4", "--angle", "45")
    assert place(home, 4) == pytest.approx([np.pi / 4])
    for number in ("2", "3", "4"):
        edit(capsys, "remove", number)
    assert world(home).physics.entities == before.physics.entities
    for _ in range(8):
        assert run("undo", "yard") == 0
    assert world(home).state == before.state
    assert check(yard).whole


def test_what_is_added_stands_on_this_side_of_a_wall(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "move", "0", "--at", "3.8,0", "--yaw", "0")  # the east wall is at 5
    edit(capsys, "add", "ball")
    assert place(home, 2)[:2] == pytest.approx((4.5, 0))
    edit(capsys, "move", "0", "--at", "4.5,0", "--yaw", "0")
    assert "--at x,y" in refused(capsys, "edit", "yard", "add", "ball")


def test_creatures_and_the_player_stand_elsewhere(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "move", "1", "--at", "-1,2", "--yaw", "90")
    assert place(home, 1) == pytest.approx((-1, 2, np.pi / 2))
    edit(capsys, "move", "you", "--at", "2,2")
    assert place(home, 0)[:2] == (2, 2)


def test_rules(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "rule", "calm", "speed < 2", "--for", "1")
    edit(capsys, "rule", "pace", "speed", "1.5")
    edit(capsys, "rule", "yard", "bounds", "--low", "-4,-4,", "--high", "4,4,3", "--hard")
    calm, pace, bounds = world(home).setting.rules
    assert (calm.kind, calm.says, calm.entities, calm.hard) == ("own", "speed < 2", (1,), False)
    assert (pace.kind, pace.limit) == ("speed", 1.5)
    assert (bounds.low, bounds.high, bounds.hard) == ((-4, -4, None), (4, 4, 3), True)
    edit(capsys, "lift", "calm")
    assert world(home).setting.rule("calm") is None


def test_what_a_rule_forbids_is_refused_and_logged(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "rule", "yard", "bounds", "--low", "-4,-4,", "--high", "4,4,", "--hard")
    state = world(home).state
    says = refused(capsys, "edit", "yard", "move", "1", "--at", "9,0")
    assert "yard stays as it was" in says and "x 9 out of -4 to 4" in says
    assert world(home).state == state
    event = world(home).history.events[-1]
    assert event.kind == "reject" and f"event {event.seq}" in says


def test_what_a_rule_bends_is_told(yard: Path, home: Path, capsys: Said) -> None:
    edit(capsys, "rule", "yard", "bounds", "--low", "-4,-4,", "--high", "4,4,")
    assert "projected: yard" in said(capsys, "edit", "yard", "move", "1", "--at", "9,0")
    assert place(home, 1)[0] <= 4.0001


def test_a_fork_is_edited_alone(yard: Path, home: Path, capsys: Said) -> None:
    said(capsys, "edit", "yard/left", "weather=snow")
    assert world(home, "yard/left").setting.environment.weather == "snow"
    assert world(home).setting.environment.weather == "clear"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dance"], "FIELD=VALUE, rename"),
        (["wether=snow"], "one of hour, weather"),
        (["hour=25"], "from 0 up to 24"),
        (["hour=late"], "got 'late'"),
        (["weather=light", "snow"], "quote what has spaces"),
        (["rename", "9", "x"], "there are 0 (you)"),
        (["rename", "Bob", "x"], "nobody is 'Bob'"),
        (["rename", "1", " "], "to have a name"),
        (["rename", "1"], "see `perdure edit --help`"),
        (["rename", "1", "x", "--at", "3"], "--at means nothing"),
        (["anchor", "a/b"], "without a slash"),
        (["anchor", "door", "--at", "1,2"], "expected x,y,z"),
        (["anchor", "door", "--at", "1,2,inf"], "expected x,y,z"),
        (["unanchor", "door"], "there are none"),
        (["add", "cat"], "crate"),
        (["add", "crate", "--at", "here"], "expected x,y or x,y,z"),
        (["add", "crate", "--at", "1e11,0"], "within 10000 m"),
        (["add", "door", "--at", "1e5,0"], "within 10000 m"),
        (["add", "crate", "--at", "2,1", "--yaw", "nan"], "degrees for --yaw"),
        (["move", "1", "--yaw", "inf"], "degrees for --yaw"),
        (["move", "1"], "say where"),
        (["move", "1", "--at", "1,2,3"], "stays on the ground"),
        (["move", "1", "--at", "1e9,0"], "within"),
        (["health", "1", "0.5"], "no creature 1 that has deeds"),
        (["health", "1", "well"], "such as 0.5"),
        (["remove", "0"], "player"),
        (["remove", "7"], "nobody is '7'"),
        (["rule", "calm"], "FIELD=VALUE, rename"),
        (["rule", "calm", "sped < 2"], "no quantity named 'sped'"),
        (["rule", "calm", "speed", "<", "2"], "in quotes"),
        (["rule", "calm", "speed", "fast"], "expected a number"),
        (["rule", "calm", "speed < 2", "--for", "8"], "nobody is '8'"),
        (["rule", "yard", "bounds"], "--low"),
        (["rule", "yard", "bounds", "--low", "a,b,c"], "corner as x,y,z"),
        (["rule", "yard", "bounds", "--low", "3,,", "--high", "1,,"], "from low to high"),
        (["lift", "calm"], "there are none"),
    ],
)
def test_mistakes_are_told_in_one_line_and_change_nothing(
    yard: Path, capsys: Said, words: list[str], says: str
) -> None:
    with unchanged(yard):
        assert says in refused(capsys, "edit", "yard", *words)


def test_a_full_disk_leaves_the_world_as_it_was(yard: Path, capsys: Said) -> None:
    with unchanged(yard):
        with full_disk():
            says = refused(capsys, "edit", "yard", "weather=snow")
        assert "could not be written" in says and "free some space" in says
    with Store.open(yard, write=False) as store:
        assert store.world().setting.environment.weather == "clear"
    assert run("edit", "yard", "weather=snow") == 0


def test_something_is_said_to_happen(yard: Path, home: Path, capsys: Said) -> None:
    found = json.loads(said(capsys, "say", "yard", "Night falls, and it snows", "--json"))
    assert {"what": "environment weather", "left": "clear", "right": "snow"} in found
    assert "a fire" not in said(capsys, "say", "yard", "birds fly over")
    assert '"birds fly over": spectacle/birds = birds at' in said(capsys, "log", "yard")
    before = world(home).head
    assert "it starts to snow" in refused(capsys, "say", "yard", "bananas")
    assert world(home).head != before, "what was refused is in the log"
    said(capsys, "undo", "yard")
    assert not world(home).setting.spectacles
