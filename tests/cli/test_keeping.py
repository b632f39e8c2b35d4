"""A world in one file, verified, mended and pruned, as a person asks for it."""

import io
import json
import shutil
from pathlib import Path

import pytest

from perdure.cli.keeping import _bytes
from perdure.world import prune as pruning
from perdure.world import tip
from perdure.world.check import check
from perdure.world.store import Store
from tests.cli.desk import Said, full_disk, refused, run, said, unchanged, world
from tests.world import lived
from tests.world import yard as scene
from tests.world.test_repair import damage


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What is typed when it is asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


def test_there_and_back_in_a_file(yard: Path, home: Path, capsys: Said) -> None:
    assert "yard.zip holds yard (main at step 9, " in said(capsys, "export", "yard")
    facts = json.loads(said(capsys, "export", "yard", "other.zip", "--json"))
    assert facts["branches"] == {"main": 9, "main@10": 10, "left": 11}
    assert facts["bytes"] == Path("other.zip").stat().st_size
    assert "perdure play fen" in said(capsys, "import", "yard.zip", "--as", "fen")
    one, other = lived.everything(yard), lived.everything(home / "fen")
    assert one == other
    shutil.rmtree(yard)
    assert json.loads(said(capsys, "import", "other.zip", "--json"))["name"] == "yard"
    assert lived.everything(yard) == one


def test_a_fork_travels_alone(yard: Path, home: Path, capsys: Said) -> None:
    left = world(home, "yard/left")
    said(capsys, "export", "yard/left", "left.zip")
    said(capsys, "import", "left.zip", "--as", "fen")
    assert left.state in {world(home, f"fen/{name}").state for name in Store.open(home / "fen", write=False).branches()}


def test_a_whole_world_is_said_to_be_whole(yard: Path, capsys: Said) -> None:
    with unchanged(yard):
        assert "yard is whole" in said(capsys, "check", "yard")
        facts = json.loads(said(capsys, "check", "yard", "--json"))
        assert facts["whole"] and facts["faults"] == [] and facts["good steps"]["left"] == 11
        assert "nothing is to be done" in said(capsys, "repair", "yard")


def test_a_damaged_world_is_mended_once_that_is_agreed_to(
    yard: Path, home: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(yard, "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 10")
    shown = said(capsys, "check", "yard", code=1)
    assert "commit 10" in shown and "perdure repair yard" in shown
    assert not json.loads(said(capsys, "check", "yard", "--json", code=1))["whole"]
    before = lived.files(yard)
    answer(monkeypatch, "n")
    shown = said(capsys, "repair", "yard")
    assert "main@10, what came after step 8: 2 steps" in shown and "Nothing is changed" in shown
    assert {name: it for name, it in lived.files(yard).items() if name in before and name != "lock"} == {
        name: it for name, it in before.items() if name != "lock"
    }
    assert "--yes" in refused(capsys, "repair", "yard", "--json")
    shown = said(capsys, "repair", "yard", "--yes")
    assert "yard is whole again" in shown and "cut-1" in shown
    assert check(yard).whole
    assert world(home, "yard/main@10").step == 8 and (yard / "cut-1" / "world.db").exists()


@pytest.fixture
def old(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A world with an old past, some of which can go."""
    monkeypatch.setattr(tip, "SNAPSHOT_COMMITS", 8)
    monkeypatch.setattr(pruning, "RECENT", 4)
    monkeypatch.setattr(pruning, "SPARSE", 64)
    with Store.create(home, scene.world()) as store:
        now = store.world()
        for i in range(40):
            now = scene.step(now, lived.PATH[i % 3], store)
    return home / "yard"


def test_pruning_says_what_goes_and_asks(old: Path, home: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world(home)
    assert "say --keep-steps or --quota" in said(capsys, "prune", "yard")
    answer(monkeypatch, "n")
    with unchanged(old):
        shown = said(capsys, "prune", "yard", "--keep-steps", "10")
        assert "can let go of" in shown and "of moments" in shown and "Nothing is changed" in shown
    assert json.loads(said(capsys, "info", "yard", "--json"))["keeps"]["steps"] is None
    answer(monkeypatch, "y")
    assert "yard has" in said(capsys, "prune", "yard", "--keep-steps", "10")
    assert json.loads(said(capsys, "info", "yard", "--json"))["keeps"]["steps"] == 10
    assert world(home).state == before.state and check(old).whole
    assert "prune" in refused(capsys, "goto", "yard", "3")
    facts = json.loads(said(capsys, "prune", "yard", "--yes", "--json", "--keep-steps", "all", "--quota", "1k"))
    assert (facts["keeps"]["steps"], facts["keeps"]["quota"]) == (None, 1000)
    assert facts["keeps"]["over quota"] > 0 and facts["bytes"] > 1000


def test_sizes() -> None:
    assert [_bytes(text) for text in ("500M", "2g", "1.5 GB", "1000", "none")] == [500e6, 2e9, 1.5e9, 1000, None]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "nowhere"), "no world at"),
        (("export", "yard", "taken.zip"), "taken.zip exists already"),
        (("export", "yard", "nowhere/yard.zip"), "no folder nowhere"),
        (("export", "yard/nobody"), "no branch 'nobody'"),
        (("import", "nowhere.zip"), "no file nowhere.zip"),
        (("import", "taken.zip"), "not a whole archive"),
        (("import", "whole.zip"), "a world named 'yard' exists already"),
        (("import", "whole.zip", "--as", "a b"), "letters, digits"),
        (("check", "nowhere"), "no world at"),
        (("check", "yard/left"), "say yard"),
        (("repair", "nowhere"), "no world at"),
        (("prune", "nowhere"), "no world at"),
        (("prune", "yard/left"), "say yard"),
        (("prune", "yard", "--keep-steps", "0"), "how many steps"),
        (("prune", "yard", "--keep-steps", "many"), "how many steps"),
        (("prune", "yard", "--quota", "much"), "500M or 2G"),
        (("prune", "yard", "--quota", "0"), "500M or 2G"),
        (("prune", "yard", "--json"), "say --yes"),
    ],
)
def test_mistakes_are_told_in_one_line_and_change_nothing(
    yard: Path, home: Path, capsys: Said, arguments: tuple[str, ...], says: str
) -> None:
    Path("taken.zip").write_text("a letter")
    if "whole.zip" in arguments:
        run("export", "yard", "whole.zip")
    with unchanged(yard):
        assert says in refused(capsys, *arguments)
    assert [path.name for path in home.iterdir()] == ["yard"]


def test_a_full_disk_leaves_nothing_behind(yard: Path, home: Path, capsys: Said) -> None:
    run("export", "yard", "whole.zip")
    with unchanged(yard), full_disk(200_000):
        assert "yard.zip could not be written" in refused(capsys, "export", "yard")
        says = refused(capsys, "import", "whole.zip", "--as", "fen")
        assert "nothing was" in says and "free some space" in says
    assert [path.name for path in home.iterdir()] == ["yard"]
    assert [path.name for path in Path().iterdir()] == ["whole.zip"]


def test_nobody_answers(yard: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(yard, "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 10")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run("repair", "yard") == 2
    assert "--yes" in capsys.readouterr().err
    assert not check(yard).whole
