"""perdure paint, on a folder of a model that is small and knows nothing."""

from pathlib import Path

import av
import numpy as np
import pytest
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline
from PIL import Image

from tests.cli.desk import Said, refused, said
from tests.runtime.tiny_wan import pipeline, transformer

SIZE = "--size", "64x32", "--frames", "5", "--steps", "2", "--device", "cpu"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(film: Path) -> np.ndarray:
    with av.open(str(film)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_words_and_a_picture_become_a_film(here: Path, capsys: Said) -> None:
    pipeline(WanImageToVideoPipeline, patch=2, transformer=transformer(1), expand_timesteps=True).save_pretrained("wan")
    Image.new("RGB", (200, 90), (200, 30, 30)).save("first.png")
    asked = "paint", "a red dog", "--weights", "wan", *SIZE
    told = said(capsys, *asked, "--image", "first.png", "--out", "a.mp4", "--seed", "3", "--guidance", "3.5")
    assert told == "a.mp4: 0.3 s, 64x32\n"
    film = read(here / "a.mp4")
    assert film.shape == (5, 32, 64, 3)
    said(capsys, *asked, "--out", "words.mp4", "--seed", "3", "--guidance", "3.5")
    assert not np.array_equal(read(here / "words.mp4"), film)


def test_mistakes_are_one_line(here: Path, capsys: Said) -> None:
    pipeline(WanPipeline, transformer=transformer(1)).save_pretrained("wan")
    asked = "paint", "a dog", "--weights"
    assert "model_index.json in nowhere" in refused(capsys, *asked, "nowhere", *SIZE)
    assert "ends in .mp4" in refused(capsys, *asked, "wan", *SIZE, "--out", "film.gif")
    assert "say --size and --frames" in refused(capsys, *asked, "wan", "--device", "cpu")
    assert "such as 832x480" in refused(capsys, *asked, "wan", *SIZE, "--size", "large")
    assert "multiple of 16" in refused(capsys, *asked, "wan", *SIZE, "--size", "64x40")
    assert "expected a picture" in refused(capsys, *asked, "wan", *SIZE, "--image", "none.png")
    assert "bf16, f16, f32" in refused(capsys, *asked, "wan", *SIZE, "--precision", "int4")
