"""Data sets, made and counted as a shell would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from perdure.cli.data import opened, parsed
from perdure.data import stats
from perdure.data.clip import Actor, Moment
from perdure.data.dataset import Dataset
from perdure.data.scenes import KINDS, creatures
from perdure.data.shards import Said, Sheet
from perdure.world.action import Hand
from perdure.world.events import EVENTS
from tests.cli.desk import Said as Capture
from tests.cli.desk import refused, said
from tests.data import made_up

ROOT = Path(__file__).parents[2]
MAKE = "data", "make", "--source", "tests.data.made_up"
DOOM, PLAYGROUND = (("data", "make", "--source", name) for name in ("doom", "playground"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_set_is_made_and_counted(capsys: Capture, tmp_path: Path):
    words = said(capsys, *MAKE, "--clips", "4", "--seed", "7", "--workers", "1", "--set", "n2=skips")
    assert "3 clips, 0.2 minutes" in words and "in 1 shards: data/made_up" in words
    assert "1 skipped, the first tests.data.made_up-000002: too dark" in words
    assert {path.name for path in (tmp_path / "data" / "made_up").iterdir()} >= {"card.md", "report.json"}
    facts = json.loads(said(capsys, "data", "stats", "data/made_up", "--json"))
    assert facts["clips"] == 3 and facts["sources"] == {"made-up": 3} and facts["lengths"] == {"5 to 10 s": 3}
    assert "3 clips, 0.2 minutes, 60 frames" in said(capsys, "data", "stats", "data")
    again = said(capsys, *MAKE, "--clips", "4", "--seed", "7", "--set", "n2=skips")
    assert again == words, "there is nothing left to do"
    told = json.loads(said(capsys, *MAKE, "--clips", "4", "--seed", "7", "--set", "n2=skips", "--json"))
    assert told == json.loads((tmp_path / "data" / "made_up" / "report.json").read_text()) and told["clips"] == 3
    assert "another plan" in refused(capsys, *MAKE, "--clips", "4", "--seed", "8")


def test_mistakes_are_told_in_one_line(capsys: Capture):
    assert "no source named 'moon'" in refused(capsys, "data", "make", "--source", "moon")
    assert "expected clips of 5 to 60 seconds, got 90" in refused(capsys, *MAKE, "--seconds", "90")
    assert "expected --set KEY=VALUE, got 'map'" in refused(capsys, *MAKE, "--set", "map")
    twice = *MAKE, "--seconds", "10", "--set", "seconds=20"
    assert "expected the length of clips once" in refused(capsys, *twice)
    assert "expected seed as an argument or an option of the command" in refused(capsys, *MAKE, "--set", "seed=7")
    assert "no source named './mine.py'" in refused(capsys, "data", "make", "--source", "./mine.py")
    assert "expected monsters as true or false, got 'no'" in refused(capsys, *DOOM, "--set", "monsters=no")
    assert "expected skill as a whole number from 1 to 5, got 99" in refused(capsys, *DOOM, "--set", "skill=99")
    assert "clips of 5 to 60 seconds, got 500" in refused(capsys, *DOOM, "--set", "seconds=500")
    body = *PLAYGROUND, "--set", "view=first", "--set", "trajectory=fight"
    assert "expected view=third or animal for a fight" in refused(capsys, *body)
    assert "there is no nowhere.mp4" in refused(capsys, "data", "ingest", "nowhere.mp4")
    assert "found none: make some" in refused(capsys, "data", "stats", "nowhere")
    assert "Missing option '--source': see `perdure data make --help`" in refused(capsys, "data", "make")


@pytest.mark.parametrize(("package", "extra"), [("av", "data"), ("vizdoom", "worlds"), ("pycolmap", "video")])
def test_a_missing_extra_is_told(package: str, extra: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    def plan(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(made_up, "plan", plan)
    assert f"this needs {package}, which playing does not: pip install 'perdure[{extra}]'" in refused(capsys, *MAKE)


def test_a_folder_of_what_is_no_film_stands_for_what_is_in_it(tmp_path: Path):
    for name in ("tapes/a/session.json", "tapes/b/session.json", "robots/x/meta/info.json", "films/cats/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert opened(tmp_path / "tapes") == [tmp_path / "tapes" / "a", tmp_path / "tapes" / "b"]
    assert opened(tmp_path / "tapes" / "a") == [tmp_path / "tapes" / "a"]
    assert opened(tmp_path / "robots") == [tmp_path / "robots" / "x"]
    assert opened(tmp_path / "films") == [tmp_path / "films"]


def test_settings_are_read_as_what_they_look_like():
    read = parsed(["map=MAP03", "players=2", "share=0.5", "fights=True", "words=a = b"])
    assert read == {"map": "MAP03", "players": 2, "share": 0.5, "fights": True, "words": "a = b"}


def test_ctrl_c_leaves_what_can_be_gone_on_with(capsys: Capture, tmp_path: Path):
    command = [sys.executable, "-m", "perdure.cli", *MAKE, "--clips", "30", "--set", "pause=0.1", "--workers", "2"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell's background job ignores stays so
    try:
        going = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while not list(tmp_path.glob("data/made_up/.jobs/*.json")):
        assert going.poll() is None
        time.sleep(0.02)
    os.killpg(going.pid, signal.SIGINT)  # as a terminal does: to everyone
    _, errors = going.communicate(timeout=60)
    assert going.returncode == 130
    assert "of 30 are done; the same command goes on from there" in errors and "Traceback" not in errors
    assert "30 clips" in said(capsys, *MAKE, "--clips", "30", "--set", "pause=0.1", "--workers", "2")


def test_stats_count_all_that_sheets_say():
    def sheet(n: int) -> Sheet:
        return Sheet(
            f"made-{n}", "made", "none", 24.0, 24 * (7 if n % 2 else 60), 8, 8,
            view="first", tags={"scene": "court" if n < 30 else "hall", "revisit": f"{n / 50:.2f}", "id": f"x{n}",
                                "deeds 1": "idle,walk,leap"},
            cast=(Actor(1, "strider", "a strider", "creature"), Actor(2, "orb", "an orb", "creature")),
            commands={1: ("", "leap", "leap"), 2: ("", "", "roll")},
            events=(Moment(0, 4, "snow", "it starts to snow"),) * (n % 3),
        )  # fmt: skip

    deed = np.array([-1, -1, 0, 0, 2, 2, 0, 2])
    facts = stats.counted((sheet(n), {1: {"deed": deed}}) for n in range(50))
    assert facts["clips"] == 50 and facts["frames"] == 25 * 24 * 67
    assert facts["lengths"] == {"5 to 10 s": 25, "60 s": 25}
    assert facts["tags"] == {
        "revisit": {"least": 0.0, "median": pytest.approx(0.49), "greatest": 0.98},
        "scene": {"court": 30, "hall": 20},
    }
    assert facts["commands"] == {"orb": {"roll": 50}, "strider": {"leap": 100}}
    assert facts["deeds"] == {"strider": {"idle": 100, "leap": 100, "walk": 0}}
    assert facts["cast"] == {"orb": 50, "strider": 50} and facts["events"] == {"snow": 49}


def test_stats_count_what_is_not_there():
    """Of a source that says all that it could show, what a set lacks is counted with 0."""
    cast = (Actor(0, "player", "you", "player"), Actor(1, "knight", "the red knight", "creature"))
    hand = Said(events=("it starts to snow",)), Said(hand=Hand.USE), Said(hand=Hand.USE, events=("pigs fly",)), Said()
    sheet = Sheet(
        "playground-000000", "playground", "none", 24.0, 144, 8, 8, view="first", actions=hand, cast=cast,
        tags={"scene": "court", "trajectory": "free", "category": "navigation"},
        commands={1: ("now slam", "now slam", "", "leap, then slam")},
        events=(Moment(4, 9, "take", "you take up the crate", 0),),
    )  # fmt: skip
    facts = stats.counted([(sheet, {})])
    assert facts["tags"]["category"] == {"navigation": 1, "interaction": 0, "long tail": 0, "sightseeing": 0}
    assert set(facts["tags"]["scene"]) == set(KINDS) and facts["views"]["vehicle"] == 0
    assert facts["told"]["knight"]["slam"] == 2 and facts["told"]["knight"]["wave"] == 0
    assert "hit" not in facts["told"]["knight"] and set(facts["told"]) == set(creatures.KINDS)
    assert facts["deeds"]["frog"]["leap"] == 0 and facts["cast"]["frog"] == 0
    assert facts["events"]["snow"] == 0 and set(facts["events"]) >= set(EVENTS)
    assert facts["in vain"] == {"hands": 1, "snow": 1, "what nobody understands": 1}


def test_a_set_is_measured_filtered_looked_at_and_exported(capsys: Capture, tmp_path: Path):
    said(capsys, *MAKE, "--clips", "3", "--seed", "4", "--workers", "1")
    assert "brightness" in said(capsys, "data", "profile", "data")
    words = said(capsys, "data", "profile", "data/made_up", "--where", "seed > 4 and duration >= 5")
    assert "2 of 3 kept, 1 dropped" in words and "seed > 4 drops 1 (1 by it alone): made-up-000000" in words
    report = json.loads((tmp_path / "data" / "made_up" / "filter-report.json").read_text())
    assert report["kept"] == 2 and report["conditions"][1]["dropped"] == 0
    said(capsys, "data", "profile", "data/made_up", "--where", "seed > 5")
    card = (tmp_path / "data" / "made_up" / "card.md").read_text()
    assert "Nothing." in card and card.count("## Filter") == 1 and "`seed > 5` keeps 1 of 3 clips" in card
    assert "no column named 'blur'" in refused(capsys, "data", "profile", "data", "--where", "blur > 1")
    assert "0 captioned, 3 left as they were" in said(capsys, "data", "caption", "data", "--workers", "1")
    assert "sheet.html: 2 of 2 clips" in said(
        capsys, "data", "view", "data", "-o", "sheet.html", "--where", "seed > 4", "--clips", "9"
    )
    words = said(capsys, "data", "export", "data", "-o", "wds", "--format", "webdataset", "--where", "seed > 4")
    assert "2 clips in wds, as webdataset" in words
    card = (tmp_path / "wds" / "card.md").read_text()
    assert "| made-up | CC0-1.0 | 2 | 0.00 | 5 to 6 |" in card and "`seed > 4` keeps 2 of 3 clips" in card
    assert Dataset(tmp_path / "wds", where="seed > 5").names == ["made-up-000002"]
    assert "has shards and no plan.json" in refused(capsys, *MAKE, "--clips", "3", "-o", "wds")
    assert "2 clips in out, as lerobot" in said(capsys, "data", "export", "data", "-o", "out", "--where", "seed < 6")
    assert "LeRobot v3.0" in (tmp_path / "out" / "card.md").read_text()
    again = said(capsys, "data", "ingest", "out", "-o", "back", "--workers", "1")
    assert "2 clips" in again and (tmp_path / "back" / "shard-000000.tar").exists()
    assert "got both" in refused(capsys, "data", "ingest", "out", "sheet.html")
