"""A walk through the playground is reconstructed and seen again: as the engine would have painted it, where nothing
stands in the way, and only where it was seen at all."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.camera import apart
from perdure.data.clip import Clip, Skipped
from perdure.data.video import rerender
from perdure.data.video.rerender import (
    Place,
    again,
    agreement,
    decibels,
    draw,
    drawn_in,
    free,
    nearest,
    reconstruct,
    ways,
)
from tests.data.films import founded, stroll


@pytest.fixture(scope="module")
def walk() -> Clip:
    return stroll("court", 3, 15)


@pytest.fixture(scope="module")
def place(walk: Clip) -> Place:
    return reconstruct(walk)


def test_frames_that_were_held_back_come_out_again(walk: Clip, place: Place):
    assert agreement(walk, place) > 26
    shifted = replace(walk, depth=None if walk.depth is None else 0.6 * walk.depth)
    assert agreement(shifted, reconstruct(shifted)) < 22  # a depth that is wrong is found out


def test_new_ways_come_back_to_where_they_began_and_run_into_nothing(walk: Clip, place: Place):
    assert walk.poses is not None
    kinds = set()
    for way in ways(walk, place, seed=1, seconds=2.0):
        kinds.add(way.kind)
        metres, turned = apart(way.poses[0], way.poses[-1])
        assert metres < 1e-6 and turned < 1e-6 and len(way.poses) == 48
        assert free(place, way.poses[:, :3, 3])
        near = np.linalg.norm(way.poses[:, None, :3, 3] - walk.poses[None, :, :3, 3], axis=-1).min(1)
        assert near.max() < 0.6
    assert kinds == {"there and back", "loop"}
    inside = walk.poses[0, :3, 3] + 6 * walk.poses[0, :3, 2]
    surface = walk.poses[0, :3, 3] + walk.depth[0, 72, 128] * walk.poses[0, :3, 2]  # type: ignore[index]
    assert free(place, walk.poses[:1, :3, 3]) and not free(place, surface[None]), inside


def test_it_looks_as_the_engine_paints_it(walk: Clip, place: Place):
    world, painter = founded("court", 3)
    data, lens = world.physics.posed()[1], walk.intrinsics
    assert lens is not None
    way = next(iter(ways(walk, place, seed=1, seconds=2.0)))
    poses = way.poses[::8]
    view = draw(place, poses, nearest(walk, poses))
    truth = [painter.paint(data, pose, lens) for pose in poses]
    still = np.stack([(p.entity == 0) | (p.entity == 255) for p in truth]) & (view.confidence > 0)
    assert still.mean() > 0.9
    assert decibels(view.rgb[still], np.stack([p.rgb for p in truth])[still]) > 26


def test_clips_seen_again_are_clips(walk: Clip):
    measured = {
        "motion": "0.5",
        "hashes": "0f",
        "from_second": "3.0",
        "revisit_density": "0.4",
        "commands": "recognised",
    }
    walk = replace(walk, tags={**walk.tags, **measured, "file": "a.mp4", "poses": "pycolmap"})
    made = list(again(walk, seed=1, count=1, seconds=1.0))
    clips = [clip for clip in made if isinstance(clip, Clip)]
    assert len(clips) == 1
    clip = clips[0]
    assert clip.tags["made_from"] == walk.name and clip.tags["trajectory"] in ("there and back", "loop")
    assert clip.poses is not None and clip.actions is not None and len(clip.actions) == 6
    assert clip.entity is None and clip.commands == {}  # nobody moves in it
    assert not measured.keys() & clip.tags.keys() and (clip.tags["file"], clip.tags["poses"]) == ("a.mp4", "pycolmap")
    assert all(name.isidentifier() for name in clip.tags)
    other = next(c for c in again(walk, seed=1, count=1, seconds=1.0) if isinstance(c, Clip))
    assert other.rgb.tobytes() == clip.rgb.tobytes()


def test_what_cannot_be_seen_again_is_told(walk: Clip, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Skipped, match="only with poses"):
        list(again(replace(walk, depth=None)))
    monkeypatch.setattr(rerender, "AGREES", 60.0)
    with pytest.raises(Skipped, match="below 60"):
        list(again(walk))


def test_holes_are_drawn_in_from_their_rims():
    picture = np.full((33, 47, 3), 90, np.uint8)
    known = np.ones((33, 47), np.bool_)
    known[10:20, 10:30] = False
    spoilt = np.where(known[..., None], picture, 0).astype(np.uint8)
    assert np.array_equal(drawn_in(spoilt, known), picture)
    assert drawn_in(spoilt, ~known & known).shape == picture.shape
