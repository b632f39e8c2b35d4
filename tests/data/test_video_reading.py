"""Films are read as they are to be seen: upright, 24 a second whatever their rate, and what is broken by its name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.data.clip import Skipped
from perdure.data.video.reading import describe, films, frames, glimpses, kept, thumbnails
from tests.data.films import sliding, write


def test_frames_come_back_in_order_and_alike(tmp_path: Path):
    shown = sliding(30)
    read = frames(write(tmp_path / "a.mp4", shown), (256, 144))
    assert read.shape == shown.shape
    apart = np.abs(read[:, None].astype(np.float32) - shown[None, ::5]).mean((2, 3, 4))
    assert apart.argmin(0).tolist() == list(range(0, 30, 5))
    assert apart.min(0).max() < 6  # what the codec costs


@pytest.mark.parametrize(("fps", "count"), [(30, 60), (12, 24), (60, 120), (24, 48)])
def test_any_rate_becomes_24_by_the_nearest_frame(tmp_path: Path, fps: int, count: int):
    levels = np.linspace(10, 240, count).astype(np.uint8)
    flat = np.broadcast_to(levels[:, None, None, None], (count, 48, 64, 3))
    read = frames(write(tmp_path / "a.mp4", flat, fps=fps), (64, 48))
    assert len(read) == 48  # two seconds
    nearest = levels[np.clip(np.ceil(np.arange(48) * fps / 24 - 0.5).astype(int), 0, count - 1)]
    assert np.abs(read.mean((1, 2, 3)) - nearest).max() <= 0.75 * 230 / count + 3


def test_uneven_frames_are_shown_for_as_long_as_they_stood(tmp_path: Path):
    flat = np.stack([np.full((48, 64, 3), level, np.uint8) for level in (20, 120, 220)])
    read = frames(write(tmp_path / "a.mp4", flat, times=[0.0, 0.5, 1.5]), (64, 48)).mean((1, 2, 3))
    # The nearest frame: halfway between two, one gives way to the other.
    assert abs((read < 70).sum() - 6) <= 1 and abs(((read > 70) & (read < 170)).sum() - 18) <= 1


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_film_shot_sideways_is_set_upright(tmp_path: Path, turn: int):
    marked = np.full((64, 96, 3), 40, np.uint8)
    marked[:20, :20] = 230  # top left as stored
    path = write(tmp_path / "a.mp4", [marked] * 3, rotation=turn)
    film = describe(path)
    assert (film.width, film.height) == ((64, 96) if turn % 180 else (96, 64))
    seen = frames(path, (film.width, film.height))[0].mean(-1)
    upright = np.rot90(marked.mean(-1), turn // 90)  # counter-clockwise
    assert np.abs(seen - upright).mean() < 8


@pytest.mark.parametrize("codec", ["libvpx-vp9", "mpeg4"])
def test_other_codecs_and_containers(tmp_path: Path, codec: str):
    path = tmp_path / ("a.webm" if "vp9" in codec else "a.mov")
    assert len(frames(write(path, sliding(12, size=(64, 48)), codec=codec), (64, 48))) == 12


def test_what_is_broken_is_skipped_by_its_name(tmp_path: Path):
    whole = write(tmp_path / "whole.mp4", sliding(48)).read_bytes()
    cases = {"empty.mp4": b"", "text.mp4": b"not a film at all" * 50, "header.mp4": whole[:200]}
    for name, payload in cases.items():
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(Skipped, match=name):
            describe(tmp_path / name)
        with pytest.raises(Skipped, match=name):
            thumbnails(tmp_path / name)


def test_a_film_that_breaks_off_gives_what_comes_before(tmp_path: Path):
    path = write(tmp_path / "a.mkv", sliding(96), codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 < len(thumbnails(path)) < 96


def test_films_are_found_below_folders(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    for name in ("b.mp4", "deep/a.MOV", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in films([tmp_path])] == ["b.mp4", "a.MOV"]
    with pytest.raises(ValueError, match="not there"):
        films([tmp_path / "nowhere"])


def test_glimpses_are_what_reading_all_gives(tmp_path: Path):
    path = write(tmp_path / "a.mp4", sliding(96))
    whole = thumbnails(path).astype(np.float32)
    for share, glimpse in zip((0.0, 0.5, 0.9), glimpses(path, (0.0, 0.5, 0.9))):
        nearest = np.abs(whole - glimpse).mean((1, 2, 3)).argmin()
        assert abs(nearest - share * 96) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(50, 2000), st.integers(50, 2000))
def test_the_share_that_cropping_keeps(width: int, height: int):
    from perdure.data.video.reading import Film

    share = kept(Film(Path("a"), width, height, 24.0, "h264"), (256, 144))
    side = min(width / 256, height / 144)
    assert share == pytest.approx(side * 256 * side * 144 / (width * height))
