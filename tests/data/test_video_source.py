"""A folder of films becomes clips: shots in order, copies and bad film named, and the same for the same seed."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import Intrinsics, unproject
from perdure.data.clip import Clip, Job, Skipped
from perdure.data.sources import source, video
from perdure.data.video import shots
from perdure.data.video.shots import Shot
from perdure.data.video.structure import Solution, Structure
from tests.data.films import sliding, stroll, write

SMALL = (128, 72)


@dataclass(frozen=True)
class Unpacked:
    """A picture of a film, as `reading.Seen` gives it."""

    frame: NDArray[np.uint8]

    def sized(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(self.frame).resize(size))


def sound() -> Solution:
    none = np.zeros(0, np.int64)
    lens = Intrinsics.from_fov(512, 288, 75.0)
    return Solution(np.arange(20), np.zeros((20, 4, 4)), lens, np.zeros((0, 3)), np.zeros((0, 3), np.uint8),
                    none, none, 20, 0.5, 100.0)  # fmt: skip


def sound_tags() -> dict[str, str]:
    none = np.zeros((0, 3))
    return Structure(0, 4, np.zeros((4, 4, 4)), sound().intrinsics, none, none.astype(np.uint8), sound()).tags()


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts by the plain detector: the network is tried where shots are."""
    monkeypatch.setattr(shots, "available", lambda: False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("films")
    one, other = sliding(124, 1, size=SMALL), sliding(142, 2, pixels=-1.0, size=SMALL)
    short, still = sliding(40, 3, size=SMALL), np.repeat(sliding(1, 4, size=SMALL), 130, 0)
    write(place / "a.mp4", np.concatenate([one, short, other, still]))
    write(place / "copy of a.webm", np.concatenate([one, short, other, still]), codec="libvpx-vp9")
    write(place / "night.mp4", (sliding(130, 5, size=SMALL) * 0.04).astype(np.uint8))
    (place / "broken.mp4").write_bytes(b"no film")
    return place


def made(job: Job) -> tuple[list[Clip], list[str]]:
    clips, why = list[Clip](), list[str]()
    try:
        for item in video.make(job):
            clips.append(item) if isinstance(item, Clip) else why.append(str(item))
    except Skipped as skipped:
        why.append(str(skipped))
    return clips, why


def jobs(folder: Path) -> dict[str, Job]:
    planned = video.plan(seed=7, paths=[folder], poses="no", width=128, height=72)
    return {Path(str(job.options["path"])).name: job for job in planned}


def test_films_are_looked_at_in_other_processes(folder: Path):
    """A film that ends one is told apart from nobody, and planned like any other."""
    told = list[tuple[int, int]]()
    options: Any = {"seed": 7, "poses": "no", "width": 128, "height": 72}
    planned = video.plan(paths=[folder], workers=1, told=lambda done, of: told.append((done, of)), **options)
    assert planned == [*jobs(folder).values()] and told[-1] == (4, 4)


def test_shots_become_clips_and_what_is_dropped_is_named(folder: Path):
    clips, why = made(jobs(folder)["a.mp4"])
    assert [len(clip.rgb) for clip in clips] == [124, 140]  # whole chunks
    assert [float(clip.tags["from_second"]) for clip in clips] == pytest.approx([0, 164 / 24], abs=1e-3)
    for clip, true in zip(clips, (sliding(124, 1, size=SMALL), sliding(142, 2, pixels=-1.0, size=SMALL))):
        assert np.abs(clip.rgb.astype(int) - true[: len(clip.rgb)]).mean() < 5
        assert clip.poses is None and clip.actions is None and clip.depth is None  # it cannot know
        assert (clip.source, clip.licence, clip.fps, clip.tags["file"]) == ("video", "unstated", 24.0, "a.mp4")
        assert all(name.isidentifier() for name in {**clip.tags, **sound_tags()}), "one can filter by each"
        assert float(clip.tags["motion"]) == pytest.approx(24 * (1.5 if clip is clips[0] else 1) / 128, rel=0.25)
    assert len(why) == 1 and re.search(r"a\.mp4 at 12\.\d s: motion", why[0])


def test_bad_films_are_skipped_by_name(folder: Path):
    assert made(jobs(folder)["copy of a.webm"]) == ([], ["copy of a.webm: duplicate: the same film as a.mp4"])
    assert "night.mp4 at 0.0 s: brightness" in made(jobs(folder)["night.mp4"])[1][0]
    assert "broken.mp4: not a video" in made(jobs(folder)["broken.mp4"])[1][0]


def test_the_same_plan_gives_the_same_clips(folder: Path):
    assert jobs(folder) == jobs(folder)
    (one, *_), _ = made(jobs(folder)["a.mp4"])
    (again, *_), _ = made(jobs(folder)["a.mp4"])
    assert one.rgb.tobytes() == again.rgb.tobytes() and one.tags == again.tags and one.name == again.name


def test_a_plan_says_what_it_lacks(folder: Path, tmp_path: Path):
    lacks: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "films or folders"), ({"paths": [tmp_path]}, "no films"), ({"paths": [tmp_path / "x"]}, "not there"),
        ({"paths": [folder], "poses": "maybe"}, "poses to be one of"),
        ({"paths": [folder], "again": 2}, "only with poses and depth"),
        ({"paths": [folder], "depth": str(tmp_path)}, "folder of weights"),
        ({"paths": [folder], "pose": "no"}, "options of video out of width, .*, got pose"),
        ({"paths": [folder], "poses": "no", "width": "wide"}, "width as a whole number"),
        ({"paths": [folder], "poses": "no", "height": 0}, "height as a whole number"),
        ({"paths": [folder], "poses": "no", "height": 14.4}, "height as a whole number"),
        ({"paths": [folder], "poses": "no", "recogniser": str(tmp_path / "no.pt")}, "recogniser to be a file"),
        ({"paths": [folder], "poses": "no", "recogniser": str(folder / "broken.mp4")}, "recogniser to be a file"),
    )  # fmt: skip
    for options, says in lacks:
        with pytest.raises(ValueError, match=says):
            video.plan(**options)
    assert source("video") is video


def test_a_film_with_poses_and_depth_is_seen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """COLMAP and the model of depth stand aside here: their places take what the engine knows."""
    walk = stroll("court", 3, 30)
    assert walk.poses is not None and walk.depth is not None and walk.intrinsics is not None
    far = {frame.tobytes()[::1000]: depth for frame, depth in zip(walk.rgb, walk.depth)}
    points = np.concatenate([unproject(walk.depth[i][::6, ::6], walk.intrinsics.scaled(43, 24), walk.poses[i])
                             .reshape(-1, 3) for i in range(0, 120, 10)])  # fmt: skip
    known = Structure(0, 120, walk.poses, walk.intrinsics, points, np.zeros((len(points), 3), np.uint8), sound())
    monkeypatch.setattr(video, "structure", lambda *_: known)
    monkeypatch.setattr(video, "pictures", lambda _: iter([Unpacked(frame) for frame in walk.rgb]))
    monkeypatch.setattr(video, "again", partial(video.again, seconds=1.0))
    monkeypatch.setattr(video, "_estimator", lambda _: lambda frame: 3 / far[frame.tobytes()[::1000]] + 1)
    path = write(tmp_path / "a.mp4", walk.rgb)
    (tmp_path / "config.json").write_text("{}")
    (job,) = video.plan(seed=1, paths=[path], depth=str(tmp_path), again=1)
    clips, why = made(job)
    assert clips[0].name == "video-000000-000" and len(clips) + len(why) >= 2, why
    assert clips[0].depth is not None and clips[0].actions is not None
    assert np.median(np.abs(clips[0].depth / walk.depth - 1)) < 0.05
    assert [clip.tags.get("made_from") for clip in clips[1:]] == ["video-000000-000"]


def test_long_shots_are_cut_evenly_into_whole_chunks():
    found = list(video.cut([Shot(0, 100), Shot(100, 3100)], 60.0))
    assert found == [Shot(100, 1100), Shot(1100, 2100), Shot(2100, 3100)]
    assert [s.stop - s.start for s in video.cut([Shot(5, 126)], 60.0)] == [120]
