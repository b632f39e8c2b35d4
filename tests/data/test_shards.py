"""Shards: what is written comes back, equal clips have equal bytes, and WebDataset itself can read it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from webdataset.compat import WebDataset

from perdure.camera import FAR, Intrinsics, look
from perdure.data import shards
from perdure.data.clip import Actor, Captions, Clip, Moment, Passage, Recipe
from perdure.data.dataset import Dataset
from perdure.data.shards import Sheet
from perdure.world import edit
from perdure.world.action import Action, Hand, Keys, Word
from perdure.world.action import Path as Way

N, H, W = 24, 48, 70  # a width that no codec likes


def frames(seed: int = 0) -> np.ndarray:
    """Smooth colours with sharp red bars that go by: what a codec with little colour spoils."""
    random = np.random.default_rng(seed)
    j, i = np.mgrid[:H, :W]
    base = np.stack([120 + 60 * np.sin(i / 20 + k) + 40 * np.cos(j / 15 + 2 * k) for k in range(3)], -1)
    out = np.repeat(base[None], N, 0) + random.normal(0, 2, (N, H, W, 3))
    for n in range(N):
        out[n, :, (3 * n) % W : (3 * n) % W + 3] = 220, 30, 40
    return np.clip(out, 0, 255).astype(np.uint8)


def rich(name: str = "made-up-000001") -> Clip:
    """A clip of which everything is known."""
    random = np.random.default_rng(1)
    chunks = N // 4
    poses = look(random.normal(0, 3, (N, 3)), random.uniform(-3, 3, N), random.uniform(-0.5, 0.5, N))
    actions = [Action(Keys.FORWARD, 0.1 + 0.01 * i, -0.2) for i in range(chunks)]
    actions[1] = Action(hand=Hand.THROW, words=(Word(3, "leap, then slam"),), events=("it starts to snow",))
    actions[2] = Action(path=Way.of(poses[8:12]), edits=(edit.environment(weather="rain"),))
    return Clip(
        name,
        "made-up",
        "CC0-1.0",
        24000 / 1001,
        frames(),
        seed=7,
        view="third",
        intrinsics=Intrinsics.from_fov(W, H, 75.0),
        poses=poses,
        depth=random.uniform(0.05, FAR, (N, H, W)).astype(np.float32),
        entity=random.integers(0, 256, (N, H, W)).astype(np.uint8),
        actions=tuple(actions),
        cast=(Actor(0, "player", "you", "player"), Actor(3, "strider", "the striped strider", "creature")),
        commands={3: ("", "leap", "slam", "", "", "dance")},
        states={0: {"yaw": random.normal(size=N)}, 3: {"position": random.normal(size=(N, 3)), "deed": np.arange(N)}},
        events=(Moment(4, N, "snow", "it starts to snow"), Moment(9, 10, "hit", "a hit", 3)),
        captions=Captions("One day …", "A court.", (Passage(0, 4, "walk", "you walk"),)),
        tags={"weather": "snow", "scene": "court"},
        recipe=Recipe({"kind": "court", "seed": 1001}, "abc", lambda data: pytest.fail("made too early")),
    )


def poor() -> Clip:
    """A clip of which nothing is known but what is seen."""
    return Clip("film_2", "video", "unknown", 30.0, frames(2))


def agree(made: Clip, true: Clip) -> None:
    """All that is not a codec's loss."""
    for name in ("name", "source", "licence", "fps", "seed", "view", "intrinsics", "actions", "cast", "events"):
        assert getattr(made, name) == getattr(true, name), name
    assert made.captions == true.captions and dict(made.tags) == dict(true.tags)
    assert dict(made.commands) == dict(true.commands)
    for name in ("poses", "entity"):
        np.testing.assert_equal(getattr(made, name), getattr(true, name))
    assert made.states.keys() == true.states.keys()
    for entity in true.states:
        np.testing.assert_equal(dict(made.states[entity]), dict(true.states[entity]))
        for name, values in true.states[entity].items():
            assert made.states[entity][name].dtype == values.dtype
    assert (made.depth is None) == (true.depth is None)
    if made.depth is not None and true.depth is not None:
        np.testing.assert_array_equal(np.rint(made.depth * 1000), np.rint(true.depth * 1000))


@pytest.mark.parametrize("true", [rich(), poor()], ids=["rich", "poor"])
def test_a_clip_comes_back(true: Clip):
    made = shards.clip_of(shards.files(true))
    agree(made, true)
    error = ((made.rgb.astype(float) - true.rgb) ** 2).mean((0, 1, 2))
    assert (10 * np.log10(255**2 / error) > 37).all(), "each colour is kept as well as the others"


def test_equal_clips_have_equal_bytes_and_others_do_not():
    once, other = (shards.files(clip) for clip in (rich(), replace(rich(), fps=24.0)))
    for junk in (1, 77, 200):
        _ = [np.full(2**size, junk, np.uint8) for size in range(6, 22) for _ in range(9)]  # what memory held before
        assert shards.files(rich()) == once
    assert once["json"] != other["json"]


def test_numbers_of_numpy_are_written_as_numbers_and_what_is_not_plain_is_refused():
    def begun(value: object) -> dict[str, Any]:
        clip = replace(rich(), recipe=Recipe({"hour": value}, "abc", lambda data: pytest.fail("made")))
        return json.loads(shards.files(clip)["json"])["recipe"]["data"]

    assert begun(np.float64(7.25)) == {"hour": 7.25} and begun(np.int16(7)) == {"hour": 7}
    with pytest.raises(TypeError, match="expected plain data in a clip, got a object"):
        begun(object())


def test_what_is_not_known_has_no_file():
    assert set(shards.files(poor())) == {"json", "mp4"}
    assert set(json.loads(shards.files(poor())["json"])) == {
        *("name", "source", "licence", "fps", "frames", "width", "height"),
    }


def test_depth_beyond_what_fits_or_unknown_is_kept_in_bounds():
    odd = np.full((N, H, W), 1.0, np.float32)
    odd[0, 0, :4] = np.nan, np.inf, 70.0, -1.0
    depth = shards.clip_of(shards.files(replace(poor(), depth=odd))).depth
    assert depth is not None
    np.testing.assert_allclose(depth[0, 0, :5], [0.0, 65.535, 65.535, 0.0, 1.0], atol=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files to be collected
def test_webdataset_reads_them(tmp_path: Path):
    shards.write(tmp_path / "shard-000000.tar", [rich(), poor()])
    samples = list(WebDataset(str(tmp_path / "shard-000000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["made-up-000001", "film_2"]
    for sample, true in zip(samples, (rich(), poor())):
        kinds = {key: value for key, value in sample.items() if not key.startswith("__")}
        assert kinds == shards.files(true)
        agree(shards.clip_of(kinds), true)


def test_a_data_set_is_read_by_name_and_by_number(tmp_path: Path):
    shards.write(tmp_path / "a" / "shard-000000.tar", [rich("one"), rich("two")])
    shards.write(tmp_path / "b" / "shard-000000.tar", [poor()])
    data = Dataset(tmp_path)
    assert data.names == ["one", "two", "film_2"] and len(data) == 3 and "two" in data
    assert [clip.name for clip in data] == [clip.name for clip in data.clips()] == data.names
    assert data[2].name == data["film_2"].name == "film_2"
    assert [sheet.seconds for sheet in data.sheets()] == [clip.seconds for clip in data]
    poses, states = data.arrays("two")
    np.testing.assert_array_equal(poses, rich().poses)
    assert set(states[3]) == {"position", "deed"} and data.arrays("film_2") == (None, {})
    with pytest.raises(ValueError, match=r"no clip named 'three'.*it has 3, the first are one, two, film_2"):
        data["three"]
    shards.write(tmp_path / "c" / "shard-000000.tar", [poor()])
    with pytest.raises(ValueError, match="two clips are named film_2"):
        Dataset(tmp_path)
    with pytest.raises(ValueError, match="found none: make some"):
        Dataset(tmp_path / "d")


def test_a_broken_shard_is_named(tmp_path: Path):
    (tmp_path / "shard-000003.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ValueError, match=r"shard-000003\.tar is no shard"):
        Dataset(tmp_path)


def test_relabelling_changes_the_sheet_and_nothing_else(tmp_path: Path):
    path = tmp_path / "shard-000000.tar"
    shards.write(path, [rich("one"), poor()])
    before = dict(shards.places(path))
    kept = {name: {kind: shards.taken(place) for kind, place in found.items()} for name, found in before.items()}

    def change(name: str, files: Mapping[str, Any]) -> Sheet:
        sheet = Sheet.from_json(shards.taken(files["json"]))
        return shards.msgspec.structs.replace(sheet, captions=Captions(f"of {sheet.name}", "", ()))

    told = list[int]()
    shards.relabel(path, change, lambda beside: told.append(beside.stat().st_size))
    assert told == [path.stat().st_size]
    for name, found in shards.places(path):
        for kind, place in found.items():
            assert (shards.taken(place) == kept[name][kind]) == (kind != "json")
        captions = Dataset(tmp_path).sheet(name).captions
        assert captions is not None and captions.narrative == f"of {name}"
    assert [file.name for file in tmp_path.iterdir()] == ["shard-000000.tar"]


@pytest.mark.parametrize("how", ["flipped", "cut", "zeros"])
def test_a_shard_that_breaks_off_is_no_shorter_shard(how: str, tmp_path: Path):
    """To tarfile a header that cannot be read is the end, and what comes after would be lost without a word."""
    path = tmp_path / "shard-000000.tar"
    shards.write(path, [rich("one"), rich("two"), poor()])
    last = dict(shards.places(path))["film_2"]
    offset = min(place[1] for place in last.values()) - shards.BLOCK
    whole = path.read_bytes()
    broken = {
        "flipped": whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :],
        "cut": whole[:offset],
        "zeros": whole[:offset] + bytes(2 * shards.BLOCK) + whole[offset + 2 * shards.BLOCK :],
    }[how]
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"shard-000000\.tar is damaged [0-9,]+ bytes from its beginning"):
        list(shards.places(path))
    data = Dataset(tmp_path)
    assert data.names == ["one"], "of the last before that nobody knows whether it is whole"
    assert list(data.broken) == [path]
    with pytest.raises(ValueError, match="is damaged"):
        shards.relabel(path, lambda name, files: None)
    assert path.read_bytes() == broken and [file.name for file in tmp_path.iterdir()] == [path.name]
    path.write_bytes(bytes(len(whole)))
    with pytest.raises(ValueError, match="is damaged 0 bytes from its beginning"):
        Dataset(tmp_path)
