"""Lessons: what a model is shown of a clip is what serving would have shown it, the state having learnt as it does."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio as psnr

from perdure.camera import Intrinsics, look
from perdure.data.clip import Clip
from perdure.memory.recall import recall
from perdure.models.decoder import Encoder
from perdure.presets.nano import nano
from perdure.training.lessons import ERRORS, Lessons, NoEncoder, make
from perdure.world.setting import Environment, Setting

PRESET = nano()
LENS = Intrinsics.from_fov(PRESET.width, PRESET.height, 75.0)
WALL = 3.0  # metres ahead
THERE, BACK = 8, 8  # chunks


def painted(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The wall's colours, which change slowly and nowhere repeat."""
    parts = np.sin(2.1 * x + 0.3), np.sin(1.7 * y + 0.9 * x), np.sin(0.8 * x - 2.3 * y)
    return (127 + 110 * np.stack(parts, -1)).astype(np.uint8)


def walked() -> Clip:
    """Sideways along a wall and back; the first frame shows less than half of it."""
    steps = np.arange(4 * THERE) + 1
    aside = np.concatenate([steps, steps[::-1]]) * 0.12
    poses = np.stack([look(np.array((0.0, -s, 1.5)), 0.0, 0.0) for s in aside])
    v, u = np.mgrid[: LENS.height, : LENS.width] + 0.5
    x, y = (u - LENS.cx) / LENS.fx * WALL, (v - LENS.cy) / LENS.fy * WALL
    rgb = np.stack([painted(x + s, y) for s in aside])
    depth = np.full(rgb.shape[:3], WALL, np.float32)
    return Clip("walked", "made", "none", 24.0, rgb, seed=3, intrinsics=LENS, poses=poses, depth=depth,
                entity=np.zeros(depth.shape, np.uint8))  # fmt: skip


def seed_of(error: float) -> int:
    return next(n for n in range(100) if np.random.default_rng(n).choice(ERRORS) == error)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each error of the depth, in its order."""
    folder, clip = tmp_path_factory.mktemp("lessons"), walked()
    for i, error in enumerate(ERRORS):
        make(clip, PRESET, seed_of(error), folder / f"{i:05d}")
    return folder


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_whatever_its_depth_is_worth_the_state_knows_on_the_way_back_what_it_saw_on_the_way_there(
    lessons: Path, i: int
):
    read = {p.stem: np.load(p) for p in (lessons / f"{i:05d}").glob("*.npy")}
    there, back = read["confidence"][: THERE // 2], read["confidence"][THERE + 1 :]
    assert (there > 128).mean() < (back > 128).mean() and (back > 128).mean() > 0.85
    known = back > 128
    assert psnr(read["view"][THERE + 1 :][known], read["frames"][THERE + 1 :][known]) > 24


def test_a_lesson_is_what_serving_recalls(lessons: Path):
    """Its first chunk: later ones depend on what was found."""
    read = {p.stem: np.load(p) for p in (lessons / "00000").glob("*.npy")}
    clip = walked()
    action = clip.way()[0]
    context = recall(clip.as_world().advance(action), action, NoEncoder(PRESET), PRESET)
    for name in ("view", "confidence", "action", "setting"):
        assert np.array_equal(read[name][0], getattr(context, name)), name
    assert np.array_equal(read["frames"].reshape(clip.rgb.shape), clip.rgb)


def test_batches_hold_what_was_written(lessons: Path):
    torch.manual_seed(0)
    kept = Lessons(lessons, PRESET)
    kept.encode_all(Encoder(PRESET.codec).eval())
    codec = next(kept.codec_batches(2))
    assert codec.frames.shape == codec.view.shape == (2, 4, 3, PRESET.height, PRESET.width)
    assert codec.frames.min() >= 0 and codec.frames.max() <= 1
    flow = next(kept.flow_batches(2, 5))
    assert flow.latent.shape == (2, 5, *PRESET.latent_shape) and flow.scene.setting.shape[0] == 2 * 5
    # A slot names a latent of the past that its chunk came after, or none.
    width = flow.past.shape[1]
    assert int(flow.slots.min()) >= -1 and int(flow.slots.max()) < width


def test_those_in_which_the_light_changes_can_be_asked_for(lessons: Path, tmp_path: Path):
    for i in (0, 1):
        shutil.copytree(lessons / f"{i:05d}", tmp_path / f"{i:05d}")
    setting = np.load(tmp_path / "00001" / "setting.npy")
    setting[-1, 0] = 1.0
    np.save(tmp_path / "00001" / "setting.npy", setting)
    assert [path.name for path in Lessons(tmp_path, PRESET, changed=True).folders] == ["00001"]
    assert len(Lessons(tmp_path, PRESET).clips) == 2


def test_latents_that_were_cut_short_are_none(lessons: Path, monkeypatch: pytest.MonkeyPatch):
    kept, encoder = Lessons(lessons, PRESET), Encoder(PRESET.codec).eval()

    def full(file: IO[bytes], array: NDArray[np.float16]) -> None:
        file.write(array.tobytes()[:100])
        raise OSError("No space left on device")

    before = next(lessons.rglob("latent.npy")).read_bytes() if list(lessons.rglob("latent.npy")) else None
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        kept.encode_all(encoder)
    monkeypatch.undo()
    Lessons(lessons, PRESET)
    left = list((lessons / "00000").glob("latent.npy"))
    assert [it.read_bytes() for it in left] == ([before] if before else [])


def test_where_the_light_is_another_some_memories_are_of_clear_noon(lessons: Path, tmp_path: Path):
    clip = walked()
    foggy = replace(clip.as_world(), setting=Setting(Environment(weather="fog")))
    make(replace(clip, start=foggy, actions=clip.way()), PRESET, seed_of(0.0), tmp_path / "fog")
    fog, noon = ({p.stem: np.load(p) for p in at.glob("*.npy")} for at in (tmp_path / "fog", lessons / "00000"))
    # Its first chunk: what is found later in fog is less, and is put back to noon.
    assert np.array_equal(fog["plain"][0], noon["view"][0]) and not noon["plain"].any()
    assert fog["view"][0][fog["confidence"][0] > 0].std() < 0.95 * noon["view"][0][noon["confidence"][0] > 0].std()

    shutil.copytree(lessons / "00000", tmp_path / "noon")
    kept = Lessons(tmp_path, PRESET)
    kept.encode_all(Encoder(PRESET.codec).eval())
    found = []
    for clip in kept.clips:
        names = set[str]()
        for _ in range(20):
            past, slots = kept.flow_row(clip, THERE, 5)["past"], clip["slots"][THERE : THERE + 5]
            for memory, at in zip(past, np.unique(slots[slots >= 0]), strict=True):
                names |= {name for name in ("latent", "plain_latent") if np.array_equal(memory, clip[name][at])}
        found.append(names)
    assert found == [{"latent", "plain_latent"}, {"latent"}]
    assert np.array_equal(kept.clips[1]["plain_latent"], kept.clips[1]["view_latent"])


def test_a_clip_without_depth_makes_no_lesson(tmp_path: Path):
    clip = walked()
    bare = Clip("bare", "made", "none", 24.0, clip.rgb, seed=3, intrinsics=LENS, poses=clip.poses,
                entity=clip.entity)  # fmt: skip
    with pytest.raises(ValueError, match="expected a clip with depth"):
        make(bare, PRESET, 0, tmp_path / "none")
    assert not list(tmp_path.iterdir())
