"""Pictures and films of a world: that what is asked for is drawn. How it is drawn is tested with the engine."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perdure.world.state import World
from perdure.world.store import Store
from tests.cli.desk import Said, full_disk, refused, run, said, unchanged


def colour(file: str) -> tuple[int, ...]:
    """Red: it was seen. Green: a camera sees it, and where that is along x. Blue: the step."""
    picture = np.asarray(Image.open(file))
    assert picture.shape == (144, 256, 3)
    return tuple(picture[0, 0].tolist())


def test_a_picture_of_what_was_seen(yard: Path, home: Path, capsys: Said) -> None:
    with unchanged(yard):
        assert "yard-9.png" in said(capsys, "render", "yard")
        assert colour("yard-9.png") == (200, 0, 9)
        said(capsys, "render", "yard", "--at", "4", "--out", "four.png")
        assert colour("four.png") == (200, 0, 4)
        said(capsys, "render", "yard/left@10")
        assert colour("yard-left@10-10.png") == (200, 0, 10)
        assert "where it begins" in said(capsys, "render", "yard@0")


def test_a_picture_from_a_camera(yard: Path, capsys: Said) -> None:
    assert "from a camera" in said(capsys, "render", "yard", "--camera", "3,0,1.5,90,-10", "--out", "there.png")
    assert colour("there.png") == (0, 103, 9)


def test_an_edited_world_is_shown_as_it_is_now(yard: Path, capsys: Said) -> None:
    run("edit", "yard", "weather=snow")
    assert "since it was edited" in said(capsys, "render", "yard")
    assert colour("yard-9.png")[0] == 0
    said(capsys, "render", "yard@9", "--out", "before.png")
    assert colour("before.png") == (200, 0, 9)


def test_a_film(yard: Path, capsys: Said) -> None:
    av = pytest.importorskip("av")
    said(capsys, "render", "yard", "--from", "3", "--to", "6", "--out", "film.mp4")
    with av.open("film.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 24
    assert len(frames) == 16 and frames[0].shape == (288, 512, 3)
    assert np.abs(frames[0][0, 0].astype(int) - (200, 0, 3)).max() < 12


def test_a_film_is_written_as_it_is_drawn(yard: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, no more than a chunk of it is held."""
    pytest.importorskip("av")
    from perdure.evaluation import film

    def first(file: Path, frames: Iterator[np.ndarray]) -> int:
        next(frames)
        return 1

    drawn, at = list[int](), Store.world_at
    monkeypatch.setattr(Store, "world_at", lambda store, step: drawn.append(step) or at(store, step))
    monkeypatch.setattr(film, "write_mp4", first)
    said(capsys, "render", "yard", "--from", "3", "--to", "6")
    assert drawn == [3]


def test_a_film_that_fails_leaves_what_was_there(yard: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    said(capsys, "render", "yard", "--from", "3", "--to", "4", "--out", "film.mp4")
    before, at = Path("film.mp4").read_bytes(), Store.world_at

    def damaged(store: Store, step: int) -> World:
        if step == 5:
            raise ValueError("step 5 is damaged")
        return at(store, step)

    monkeypatch.setattr(Store, "world_at", damaged)
    assert "step 5" in refused(capsys, "render", "yard", "--from", "3", "--out", "film.mp4")
    assert [file.name for file in Path().iterdir()] == ["film.mp4"] and Path("film.mp4").read_bytes() == before


def test_a_film_along_the_trajectory_of_others(yard: Path, capsys: Said) -> None:
    av = pytest.importorskip("av")
    with unchanged(yard):
        told = said(capsys, "render", "yard", "--along", "none-4,jl-4,j-8", "--out", "stood.mp4")
        assert "walked 1.0 s, to 0.0 m" in told
        told = said(capsys, "render", "yard", "--along", "w-5,s-1", "--format", "worldplay", "--fly", "--scale", "3")
        assert "flown 1.0 s, to 1.0 m" in told  # 0.08 units for each key, so much as four keys forward
    with av.open("yard-9.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 24
    assert np.abs(frames[-1][0, 0].astype(int) - (100, 0, 15)).max() < 12


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--camera", "1,2,3"), "x,y,z,yaw,pitch"),
        (("--camera", "1,2,3,4,99"), "-90 to 90"),
        (("--camera", "1,2,3,nan,0"), "-90 to 90"),
        (("--at", "99"), "a step in 0..9"),
        (("--at", "3", "--event", "3"), "got both"),
        (("--out", "there.gif"), ".png, .jpg"),
        (("--out", "nowhere/a.png"), "no folder nowhere"),
        (("--from", "3", "--out", "a.png"), ".mp4"),
        (("--from", "0"), "within 1 to 9"),
        (("--from", "5", "--to", "12"), "within 1 to 9"),
        (("--from", "5", "--at", "6"), "either a film"),
        (("--along", "w-3,q-4"), "got 'q-4'"),
        (("--along", "w-3"), "--format"),
        (("--along", "w-3,j-3", "--format", "mpeg"), "expected a format of"),
        (("--along", "w-3,j-3", "--scale", "0"), "scale above 0"),
        (("--along", "w-3,j-3", "--from", "3"), "--along by itself"),
    ],
)
def test_mistakes_are_told_in_one_line(yard: Path, capsys: Said, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(capsys, "render", "yard", *arguments)
    assert not list(Path().iterdir())


def test_a_picture_that_cannot_be_written(yard: Path, capsys: Said) -> None:
    with full_disk():
        assert "say another --out" in refused(capsys, "render", "yard")
