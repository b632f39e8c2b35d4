"""LeRobot's format: what we write is laid out as it asks, and episodes, ours and others', come back as clips."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perdure.data import exporting, lerobot, shards
from perdure.data.clip import Actor, Captions, Clip, Job, Passage, Skipped
from perdure.data.dataset import Dataset
from perdure.data.shards import encoded
from perdure.data.sources import lerobot as source
from perdure.world.action import Action, Keys
from tests.data.test_profile import N, clip

ACTS = tuple(Action(Keys.FORWARD | (Keys.TURN_LEFT if k % 3 else 0), 0.01 * k) for k in range(N // 4))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    folder = tmp_path_factory.mktemp("sets")
    told = Captions("The knight slams.", "A court.", (Passage(0, 8, "snow", "It snows."),))
    one = replace(clip(), actions=ACTS, captions=told)
    shards.write(folder / "in" / "shard-000000.tar", [one, replace(one, name="two", captions=None)])
    data = Dataset(folder / "in")
    assert lerobot.export(data, folder / "out") == [folder / "out"]
    return data, folder / "out"


def test_the_layout_is_lerobots(made: tuple[Dataset, Path]):
    _, out = made
    info = json.loads((out / "meta" / "info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 24 and info["splits"] == {"train": "0:2"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 2 * N, 2)
    features = info["features"]
    assert features[lerobot.EYE]["dtype"] == "video" and features[lerobot.EYE]["shape"] == [32, 64, 3]
    assert features["action"]["shape"] == [10] and len(features["observation.state"]["names"]) == 9
    numbers = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
    assert numbers <= set(features)
    for row in lerobot.rows_of(out):
        video = info["video_path"].format(
            video_key=lerobot.EYE, chunk_index=row[f"videos/{lerobot.EYE}/chunk_index"],
            file_index=row[f"videos/{lerobot.EYE}/file_index"],
        )  # fmt: skip
        with av.open(str(out / video)) as container:
            assert sum(1 for _ in container.decode(video=0)) == row["length"] == N
        assert row["dataset_to_index"] - row["dataset_from_index"] == N
        assert row[f"videos/{lerobot.EYE}/to_timestamp"] == pytest.approx(N / 24)
    frames = pq.read_table(out / "data" / "chunk-000" / "file-000.parquet")
    assert frames["index"].to_pylist() == list(range(2 * N))
    assert frames["episode_index"].to_pylist() == [0] * N + [1] * N
    assert frames["timestamp"].to_numpy()[:3] == pytest.approx([0, 1 / 24, 2 / 24])
    assert frames.schema.field("action").type == pa.list_(pa.float32(), 10)
    assert set(frames.schema.names) == set(features) - {lerobot.EYE}
    assert json.loads(frames["commands"][4].as_py()) == {"the red knight": "slam"}
    tasks = pq.read_table(out / "meta" / "tasks.parquet")
    assert tasks["__index_level_0__"].to_pylist() == ["The knight slams.", "playground: court"]
    described = json.loads(tasks.schema.metadata[b"pandas"])
    assert described["index_columns"] == ["__index_level_0__"], "pandas takes the words for the index"


def test_statistics_are_those_of_the_frames(made: tuple[Dataset, Path]):
    data, out = made
    stats = json.loads((out / "meta" / "stats.json").read_text())
    acts = np.concatenate([np.stack([a.features() for a in ACTS])] * 2)
    assert stats["action"]["mean"][:8] == pytest.approx(acts[:, :8].mean(0), abs=1e-6)
    assert stats["action"]["max"][8] == pytest.approx(acts[:, 8].max() / 4, abs=1e-6)
    assert stats["observation.state"]["min"][0] == 0 and stats["observation.state"]["count"] == [2 * N]
    colours = stats[lerobot.EYE]
    assert np.shape(colours["mean"]) == (3, 1, 1)
    assert colours["mean"][0][0][0] == pytest.approx(data["one"].rgb.mean() / 255, abs=0.02)
    row = pq.read_table(out / "meta" / "episodes" / "chunk-000" / "file-000.parquet").to_pylist()[0]
    assert row["stats/action/q50"][0] == 1 and row["stats/action/count"] == [N]


def test_what_we_wrote_comes_back(made: tuple[Dataset, Path]):
    data, out = made
    back = list(lerobot.episodes(out))
    assert [it.name for it in back] == data.names
    one, again = data["one"], back[0]
    assert np.array_equal(one.rgb, again.rgb) and one.actions == again.actions and one.captions == again.captions
    assert one.commands == again.commands and one.events == again.events and one.tags == again.tags
    assert one.poses is not None and again.poses is not None
    assert np.abs(one.poses - again.poses).max() < 1e-5, "as 32 bits hold them"
    assert again.depth is None and again.entity is None and not again.states
    assert again.intrinsics == one.intrinsics
    acts = pq.read_table(out / "data" / "chunk-000" / "file-000.parquet")["action"].to_pylist()[:N:4]
    read = [lerobot.action_of(row) for row in acts]
    assert [a.keys for a in read] == [a.keys for a in ACTS]
    assert [a.turn for a in read] == pytest.approx([a.turn for a in ACTS], abs=1e-6)


def foreign(folder: Path, lengths: list[int]) -> Path:
    """A data set as a robot's recorder leaves it: its episodes follow one another in one film and one table."""
    total, fps = sum(lengths), 10
    rgb = np.zeros((total, 16, 32, 3), np.uint8)
    rgb[:] = np.linspace(20, 220, total).astype(np.uint8)[:, None, None, None]
    key = "observation.images.wrist"
    film = folder / "videos" / key / "chunk-000" / "file-000.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(encoded(rgb, fps, "mp4"))
    number = np.repeat(np.arange(len(lengths)), lengths)
    within = np.concatenate([np.arange(n) for n in lengths])
    (folder / "data" / "chunk-000").mkdir(parents=True)
    state = np.stack([np.arange(total), -np.arange(total)], 1).tolist()
    frames = {"observation.state": state, "action": state, "episode_index": number, "frame_index": within}
    pq.write_table(pa.table(frames), folder / "data" / "chunk-000" / "file-000.parquet")
    starts = np.cumsum([0, *lengths])
    rows = [
        {"episode_index": i, "length": n, "tasks": ["put the cup down"], "data/chunk_index": 0, "data/file_index": 0,
         f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0,
         f"videos/{key}/from_timestamp": float(starts[i]) / fps, "stats/action/mean": [0.0]}
        for i, n in enumerate(lengths)
    ]  # fmt: skip
    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    file = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    numbers = {"dtype": "float32", "shape": [2], "names": None}
    info = {
        "codebase_version": "v3.0", "robot_type": "arm", "fps": fps, "data_path": f"data/{file}.parquet",
        "video_path": f"videos/{{video_key}}/{file}.mp4",
        "features": {key: {"dtype": "video", "shape": [16, 32, 3]}, "observation.state": numbers, "action": numbers},
    }  # fmt: skip
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    return folder


def clips(job: Job) -> list[Clip]:
    return [made for made in source.make(job) if isinstance(made, Clip)]


def test_episodes_of_others_are_clips(tmp_path: Path):
    folder = foreign(tmp_path / "robot", [62, 30, 1300])
    jobs = source.plan(paths=[folder], licence="CC-BY-4.0")
    assert [job.seconds for job in jobs] == [6.2, 3.0, 130.0]
    (first,) = clips(jobs[0])
    assert len(first.rgb) == 60 and first.licence == "CC-BY-4.0" and first.tags["task"] == "put the cup down"
    assert first.actions is None and first.poses is None, "what a robot did is no key of ours"
    assert first.states[0]["state"][:, 0].tolist() == list(range(60)) and first.cast[0].name == "the arm"
    with pytest.raises(Skipped, match=r"episode 1 of robot: length: 2.8 s"):
        list(source.make(jobs[1]))
    parts = clips(jobs[2])
    assert [len(part.rgb) for part in parts] == [432] * 3 and len({part.name for part in parts}) == 3
    assert parts[1].states[0]["state"][0, 0] == 62 + 30 + 432
    levels = 20 + 200 * np.arange(62 + 30, 62 + 30 + 432) / (62 + 30 + 1300 - 1)
    assert parts[0].rgb[:, 8, 16].mean(1) == pytest.approx(levels, abs=3), "from where its film begins"


def test_a_task_with_a_word_that_is_held_back_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    job = source.plan(paths=[foreign(tmp_path / "arm", [62])])[0]
    clip = next(iter(lerobot.episodes(tmp_path / "arm")))
    bad = replace(clip, commands={0: ("nudged it",) * 15}, tags={**clip.tags, "task": "nudged it"})
    monkeypatch.setattr(lerobot, "episode", lambda *_: bad)
    told, kept = source.make(job)
    assert isinstance(told, Skipped) and told.what == "the task of episode 0 of arm" and "nudge" in str(told)
    assert isinstance(kept, Clip) and kept.commands == {} and kept.tags["task"] == "" and len(kept.rgb) == 60


def test_what_is_no_data_set_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match=r"with its meta/info\.json"):
        source.plan(paths=[tmp_path])
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text('{"codebase_version": "v2.1", "features": {}}')
    with pytest.raises(ValueError, match=r"expected LeRobot's format v3\.0 in .*, got v2\.1"):
        source.plan(paths=[tmp_path])
    with pytest.raises(ValueError, match="camera, licence, got size"):
        source.plan(paths=[], size=3)


def test_other_forms_of_a_data_set(made: tuple[Dataset, Path], tmp_path: Path):
    data, _ = made
    exporting.export(data, tmp_path / "wds", "webdataset")
    assert (tmp_path / "wds" / "shard-000000.tar").read_bytes() == data.shards[0].read_bytes()
    card = (tmp_path / "wds" / "card.md").read_text()
    assert f"{len(data)} clips, " in card and "plans.json" in card and "## Filter" not in card
    assert len(Dataset(tmp_path / "wds", where="duration > 0")) == len(data)
    report = json.loads((tmp_path / "wds" / "report.json").read_text())
    assert report["clips"] == len(data) and report["shards"][0]["name"] == "shard-000000.tar"
    exporting.export(data, tmp_path / "films", "mp4")
    words = json.loads((tmp_path / "films" / "one.json").read_text())
    assert words["dense"] == [{"start": 0.0, "end": 0.333, "event": "snow", "caption": "It snows."}]
    assert (tmp_path / "films" / "two.mp4").read_bytes()[4:8] == b"ftyp"
    with pytest.raises(ValueError, match="to be new or empty"):
        exporting.export(data, tmp_path / "films", "lerobot")
    with pytest.raises(ValueError, match="expected a format out of lerobot, webdataset, mp4, got 'zip'"):
        exporting.export(data, tmp_path / "z", "zip")


def test_clips_of_two_kinds_make_two_data_sets(tmp_path: Path):
    small = Clip("small", "video", "?", 30.0, np.zeros((N, 8, 16, 3), np.uint8))
    shards.write(tmp_path / "in" / "shard-000000.tar", [clip(), small])
    out = lerobot.export(Dataset(tmp_path / "in"), tmp_path / "out")
    assert [path.name for path in out] == ["playground-64x32-24", "video-16x8-30"]
    assert "action" not in lerobot.described(out[1])["features"]
    odd = replace(small, fps=29.97)
    shards.write(tmp_path / "odd" / "shard-000000.tar", [odd])
    with pytest.raises(ValueError, match=r"whole number of frames a second.*small has 29\.97"):
        lerobot.export(Dataset(tmp_path / "odd"), tmp_path / "no")


def test_two_kinds_of_one_size_have_a_folder_each(tmp_path: Path):
    """As many numbers, of other players."""

    def of(name: str, entity: int) -> Clip:
        states = {entity: {"score": np.arange(N, dtype=np.float32)}}
        cast = (Actor(entity, "player", "a player", "player"),)
        return Clip(name, "game", "?", 30.0, np.zeros((N, 8, 16, 3), np.uint8), cast=cast, states=states)

    shards.write(tmp_path / "in" / "shard-000000.tar", [of("one", 1), of("two", 2)])
    out = lerobot.export(Dataset(tmp_path / "in"), tmp_path / "out")
    assert [path.name for path in out] == ["game-16x8-30-1", "game-16x8-30-2"]


def test_an_export_that_fails_leaves_nothing_in_its_way(tmp_path: Path):
    shards.write(tmp_path / "in" / "shard-000000.tar", [clip()])
    data = Dataset(tmp_path / "in")
    path, offset, size = data.files(data.names[0])["mp4"]
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + bytes(size) + whole[offset + size :])
    with pytest.raises(Exception, match=r"(?i)invalid"):
        exporting.export(data, tmp_path / "out", "lerobot")
    assert not (tmp_path / "out").exists() and [it.name for it in tmp_path.iterdir()] == ["in"]
    path.write_bytes(whole)
    (tmp_path / "out").mkdir()
    assert exporting.export(data, tmp_path / "out", "lerobot") == [tmp_path / "out"]


def test_clips_that_came_from_lerobot_keep_their_licence_on_the_way_through_us(tmp_path: Path):
    (job,) = source.plan(paths=[foreign(tmp_path / "robot", [62])], licence="CC-BY-4.0")
    shards.write(tmp_path / "in" / "shard-000000.tar", clips(job))
    lerobot.export(Dataset(tmp_path / "in"), tmp_path / "out")
    (again,) = clips(source.plan(paths=[tmp_path / "out"])[0])
    assert (again.name, again.licence) == ("lerobot-000000", "CC-BY-4.0")
