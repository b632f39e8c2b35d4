"""Profiles measure what is there, and filters keep what they say."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import Intrinsics, look
from perdure.data import pipeline, shards
from perdure.data.choosing import choose, parse
from perdure.data.clip import Actor, Clip, Moment
from perdure.data.dataset import Dataset
from perdure.data.profile import COLUMNS, PROFILE, Row, begun, deeds, profile, read, runs, write
from perdure.data.profiling import measured, summary
from tests.data import made_up

N = 96


def clip(**known: object) -> Clip:
    """Four seconds of noise that is carried to the left by two pixels a frame, and all that a source may know."""
    random = np.random.default_rng(1)
    wide = random.integers(60, 196, (32, 64 + 2 * N)).astype(np.uint8)
    rgb = np.stack([wide[:, 2 * i : 2 * i + 64] for i in range(N)])[..., None].repeat(3, -1)
    yaw = np.concatenate([np.zeros(N // 2), np.linspace(0, np.pi / 2, N // 2)])
    position = np.stack([np.minimum(np.arange(N), N // 2) * 0.1, np.zeros(N), np.full(N, 1.5)], -1)
    entity = np.zeros(rgb.shape[:3], np.uint8)
    entity[:, :8], entity[:, 8:16, :32] = 255, 2
    deed = np.repeat([-1, 0, 1, 0], N // 4)
    facts = {
        "seed": 4, "view": "first", "intrinsics": Intrinsics(64, 32, 42.0, 42.0, 32.0, 16.0),
        "poses": look(position, yaw, 0.1), "depth": np.full(rgb.shape[:3], 3.0, np.float32), "entity": entity,
        "cast": (Actor(0, "player", "you", "player"), Actor(1, "knight", "the red knight", "creature")),
        "commands": {1: ("", "slam", "slam", "sit", "", "slam") * (N // 24)},
        "states": {0: {"position": position - [0, 0, 1.5]}, 1: {"deed": deed}},
        "events": (Moment(0, 9, "snow", "it snows"), Moment(9, 20, "hit", "a strikes b", 1)),
        "tags": {"scene": "court", "hour": "7.5", "deeds 1": "slam,sit", "poses": "engine"},
    }  # fmt: skip
    return Clip("one", "playground", "CC0-1.0", 24.0, rgb, **(facts | known))  # type: ignore[arg-type]


def test_a_profile_measures_what_is_there():
    row = profile(clip())
    assert row["duration"] == 4 and row["width"] == 64 and row["frames"] == N
    assert row["motion"] == pytest.approx(2 * 24 / 64, rel=0.02), "shares of the width a second"
    assert row["brightness"] == pytest.approx(127.5, abs=2) and row["contrast"] == pytest.approx(39, abs=2)
    assert row["path"] == pytest.approx(4.8) and row["turned"] == pytest.approx(90, abs=0.1)
    assert row["pitch"] == pytest.approx(np.degrees(0.1), abs=0.01) and row["eye_height"] == pytest.approx(1.5)
    assert row["moving"] == 0.125 and row["sky"] == 0.25 and row["depth"] == 3
    assert row["deeds"] == ["sit", "slam"] and row["creatures"] == ["knight"] and row["crowd"] == 1
    assert row["commands"] == 12 and row["asked"] == 2 and row["commanded"] == pytest.approx(2 / 3, abs=1e-5)
    assert row["events"] == ["hit", "snow"] and row["hits"] == 1 and row["deaths"] == 0
    assert row["hour"] == 7.5 and row["scene"] == "court" and "deeds 1" not in row


def test_what_is_not_known_is_none():
    bare = Clip("one", "video", "?", 24.0, clip().rgb)
    row = profile(bare)
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {"seed", "moving", "sky", "depth", "path", "turned", "pitch", "eye_height", "revisit_density",
                       "pose_error"}  # fmt: skip
    assert row["poses"] == "none" and row["events"] == [] and set(row) == set(COLUMNS)


def test_sharper_brighter_and_livelier_clips_have_greater_numbers():
    one = clip()
    soft = (one.rgb.astype(np.uint16) + np.roll(one.rgb, 1, 2) + np.roll(one.rgb, 1, 1)) // 3
    still = one.rgb[:1].repeat(N, 0)
    plain, blurred, fixed = (profile(replace(one, rgb=rgb.astype(np.uint8))) for rgb in (one.rgb, soft, still))
    assert blurred["sharpness"] < 0.5 * plain["sharpness"]  # type: ignore[operator]
    assert fixed["change"] == fixed["motion"] == 0 < plain["change"]  # type: ignore[operator]
    assert profile(replace(one, rgb=one.rgb // 2))["brightness"] == pytest.approx(plain["brightness"] / 2, abs=0.5)  # type: ignore[operator]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_runs_are_the_whole(values: list[int]):
    found = runs(np.array(values))
    assert [value for value, a, b in found for _ in range(a, b)] == values
    assert all(one[0] != next_[0] for one, next_ in pairwise(found))


def test_commands_and_deeds_are_counted_as_they_begin():
    assert begun(["", "a", "a", "b", "", "b", "b"]) == ["a", "b", "b"]
    assert deeds(clip(), 1) == [("slam", 24, 48), ("sit", 48, 72), ("slam", 72, 96)] and deeds(clip(), 0) == []


def test_rows_come_back_as_they_were_and_equal_rows_are_equal_bytes(tmp_path: Path):
    rows: list[Row] = [profile(clip()), profile(Clip("two", "video", "?", 24.0, clip().rgb, tags={"hour": "late"}))]
    write(tmp_path / "a", rows)
    write(tmp_path / "b", [dict(row) for row in rows])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = read(tmp_path / "a")
    assert back[1]["hour"] == "late" and back[0]["hour"] == "7.5", "a column that is no number in one clip is words"
    for row, again in zip(rows, back):
        assert {name: again[name] for name in row if name != "hour"} == {n: v for n, v in row.items() if n != "hour"}


def test_a_run_profiles_what_it_makes(tmp_path: Path):
    pipeline.make(tmp_path, made_up.plan(3, 5), 1)
    data = Dataset(tmp_path)
    made = (tmp_path / PROFILE).read_bytes()
    assert [row["name"] for row in data.profiles()] == data.names
    (tmp_path / PROFILE).unlink()
    with pytest.raises(ValueError, match=r"perdure data profile"):
        data.profiles()
    rows = measured(data)
    assert [row["name"] for row in rows] == data.names and (tmp_path / PROFILE).exists()
    assert rows[0]["seed"] == 5 and len(made) > 1000
    some = Dataset(tmp_path, where="seed > 5")
    assert some.names == data.names[1:] and len(list(some)) == 2
    with pytest.raises(ValueError, match="no clip of 3"):
        Dataset(tmp_path, where="seed > 99")
    assert summary(rows)["seed"] == {"least": 5, "median": 6, "greatest": 7, "unknown": 0}


def test_profiles_of_other_clips_are_made_anew(tmp_path: Path):
    shards.write(tmp_path / "shard-000000.tar", [clip()])
    assert [row["name"] for row in measured(Dataset(tmp_path))] == ["one"]
    shards.write(tmp_path / "shard-000000.tar", [replace(clip(), name="other")])
    assert [row["name"] for row in measured(Dataset(tmp_path))] == ["other"]


ROWS: list[Row] = [
    {"name": "a", "sharpness": 50.0, "duration": 12.0, "events": ["snow", "hit"], "source": "doom", "depth": None},
    {"name": "b", "sharpness": 30.0, "duration": 12.0, "events": ["snow"], "source": "doom", "depth": 3.0},
    {"name": "c", "sharpness": 90.0, "duration": 6.0, "events": [], "source": "video", "depth": 9.0},
]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("sharpness > 40 and duration >= 10 and 'snow' in events and source == 'doom'", "a"),
        ("sharpness > 40", "ac"),
        ("40 < sharpness < 60 or source != 'doom'", "ac"),
        ("not 'hit' in events", "bc"),
        ("'hit' not in events and len(events) == 0", "c"),
        ("source in ('doom', 'atari')", "ab"),
        ("depth > 1", "bc"),
        ("depth > 1 or sharpness == 50", "abc"),
        ("sharpness / duration > 3 and -sharpness < 0", "ac"),
        ("max(sharpness, duration) - abs(-10) >= 40", "ac"),
    ],
)
def test_a_filter_keeps_what_it_says(where: str, kept: str):
    assert "".join(choose(ROWS, where).kept) == kept


def test_a_report_says_which_condition_dropped_what():
    report = choose(ROWS, "sharpness > 40 and depth > 1 and duration > 5").report()
    assert report["kept"] == 1 and report["dropped"] == 2 and report["names"] == ["c"]
    sharp, deep, long = report["conditions"]
    assert sharp["names"] == ["b"] and sharp["by it alone"] == 1 and sharp["unknown"] == 0
    assert deep["names"] == ["a"] and deep["unknown"] == 1 and deep["condition"] == "depth > 1"
    assert long["dropped"] == 0


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("blur > 3", "no column named 'blur': there are name, sharpness"),
        ("sharpness >", "expected an expression such as"),
        ("__import__('os').system('ls')", "expected columns, numbers"),
        ("source.upper() == 'A'", "expected columns, numbers"),
        ("[x for x in events]", "expected columns, numbers"),
        ("2 ** 9 > 1", "expected columns, numbers"),
        ("sharpness + 1", "expected something that is true or not"),
        ("events > 3", "lists are asked with 'word' in column"),
        ("sharpness > 1" + " " * 2000, "at most 1000 characters"),
    ],
)
def test_a_filter_that_is_wrong_is_told(where: str, says: str):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        choose(ROWS, where)


@settings(max_examples=60)
@given(st.text("abcdefs().,'\"<>=+-*/ 0129[]{}:_andornti", max_size=40))
def test_whatever_is_written_runs_or_is_refused(text: str):
    try:
        parts = parse(text, ["a", "b"])
    except ValueError:
        return
    assert parts
