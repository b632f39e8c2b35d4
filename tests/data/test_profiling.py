"""A set that is there already: measured, counted and captioned, though some of it may be damaged."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from perdure.data import pipeline, shards
from perdure.data.captions import caption
from perdure.data.clip import Captions
from perdure.data.dataset import Damaged, Dataset
from perdure.data.pipeline import Progress
from perdure.data.profiling import measured, recaptioned
from perdure.data.stats import stats
from perdure.data.work import work
from perdure.world.folder import lock, unlock
from tests.data import made_up
from tests.data.test_profile import clip


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twelve") / "set"
    pipeline.make(folder, made_up.plan(12, 7), run=lambda jobs, folder, count: (work(job, folder) for job in jobs))
    return folder


@pytest.fixture
def folder(twelve: Path, tmp_path: Path) -> Path:
    return shutil.copytree(twelve, tmp_path / "set")


def damage(data: Dataset, name: str, kind: str) -> None:
    path, offset, size = data.files(name)[kind]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"?" * size)


def test_a_damaged_clip_is_named_and_costs_itself_alone(folder: Path):
    data = Dataset(folder)
    rows = measured(data, again=True)
    damage(data, "made-up-000002", "json")
    damage(data, "made-up-000003", "mp4")
    with pytest.raises(Damaged, match=r"made-up-000002 in .*shard-000000\.tar is damaged \(DecodeError"):
        data.sheet("made-up-000002")
    facts = stats(data)
    assert facts["clips"] == 11 and "shard-000000.tar" in facts["damaged"]["made-up-000002"]
    again = measured(data, again=True, count=1)
    assert [row["name"] for row in again] == data.names and len(again) == 12
    assert {str(row["name"]) for row in again if row["damaged"]} == {"made-up-000002", "made-up-000003"}
    whole = [{k: v for k, v in row.items() if k != "damaged"} for row in again if not row["damaged"]]
    assert whole == [row for n, row in enumerate(rows) if n not in (2, 3)], "processes measure as this one does"
    assert len(Dataset(folder, where="seed >= 7")) == 10, "what is damaged knows nothing"
    done = recaptioned(data, tell=lambda rgb: "grey noise")
    assert len(done.clips) == 10 and set(done.damaged) == {"made-up-000002", "made-up-000003"}


def test_captions_are_said_in_report_and_card(folder: Path):
    card = (folder / "card.md").read_text()
    (folder / "card.md").write_text(card + "\n## Filter\n\nkeeps some\n")
    told = list[tuple[int, int]]()
    done = recaptioned(
        Dataset(folder), 3, lambda rgb: "grey noise", "noisy-7b", told=lambda n, of: told.append((n, of))
    )
    assert len(done.clips) == 12 and not done.left and not done.damaged and told == [(1, 2), (2, 2)]
    report = json.loads((folder / "report.json").read_text())
    assert report["captions"] == {"seed": 3, "model": "noisy-7b", "clips": 12}
    for shard in report["shards"]:
        payload = (folder / shard["name"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(payload), hashlib.sha256(payload).hexdigest())
    said = (folder / "card.md").read_text()
    assert "12 clips were captioned anew with seed 3, films by the model `noisy-7b`." in said and "keeps some" in said
    assert all(row["captions"] for row in measured(Dataset(folder)))

    progress = list[Progress]()
    assert pipeline.make(folder, made_up.plan(12, 7), 1, progress.append) == report, "nothing is taken for damaged"
    assert [p.done for p in progress] == [12] and "`noisy-7b`" in (folder / "card.md").read_text()
    pipeline.make(folder, made_up.plan(13, 7), run=lambda jobs, folder, count: (work(job, folder) for job in jobs))
    grown = Dataset(folder)
    assert [sheet.captions is not None for sheet in grown.sheets()] == [True] * 12 + [False]
    assert [row["captions"] for row in grown.profiles()] == [True] * 12 + [False]


def test_some_clips_are_captioned(folder: Path):
    some = recaptioned(Dataset(folder, where="seed < 9"), tell=lambda rgb: "grey noise")
    assert some.clips == ["made-up-000000", "made-up-000001"]
    assert [sheet.captions is not None for sheet in Dataset(folder).sheets()] == [True] * 2 + [False] * 10


def test_nobody_captions_what_is_being_made(folder: Path):
    handle = lock(folder)
    try:
        with pytest.raises(ValueError, match="set is open for writing in process"):
            recaptioned(Dataset(folder))
    finally:
        unlock(handle)


def test_captions_are_the_same_whoever_writes_them(tmp_path: Path):
    """Without depth and entity map as with them, in another process as in this one."""
    made = clip()
    for place in ("here", "there"):
        shards.write(tmp_path / place / "shard-000000.tar", [made])
    here = recaptioned(Dataset(tmp_path / "here"), 1)
    there = recaptioned(Dataset(tmp_path / "there"), 1, count=1)
    assert here == there and here.clips == ["one"]
    payload = (tmp_path / "here" / "shard-000000.tar").read_bytes()
    assert payload == (tmp_path / "there" / "shard-000000.tar").read_bytes()
    back = Dataset(tmp_path / "here")[0]
    assert isinstance(back.captions, Captions) and caption(back, 1) == back.captions


def test_of_a_shard_that_breaks_off_nothing_is_forgotten(folder: Path):
    measured(Dataset(folder))
    before = (folder / "profile.parquet").read_bytes()
    path, offset, _ = Dataset(folder).files("made-up-000005")["json"]
    whole = path.read_bytes()
    path.write_bytes(whole[: offset - 512] + b"?" + whole[offset - 511 :])
    data = Dataset(folder)
    assert len(data) == len(measured(data)) == 8, "four of that shard, and the other"
    assert stats(data)["damaged"].keys() == {path.name}
    assert recaptioned(data, seed=4).damaged.keys() == {path.name}
    path.write_bytes(whole)
    assert (folder / "profile.parquet").read_bytes() == before and len(measured(Dataset(folder))) == 12


def test_who_captioned_stays_said_where_nothing_was_captioned_anew(folder: Path):
    recaptioned(Dataset(folder), 7, lambda rgb: "grey noise", by="a model")
    said = json.loads((folder / "report.json").read_text())["captions"]
    assert said == {"seed": 7, "model": "a model", "clips": 12}
    assert not recaptioned(Dataset(folder), 3).clips
    assert json.loads((folder / "report.json").read_text())["captions"] == said
    assert "`a model`" in (folder / "card.md").read_text()
