import gc
import weakref
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from perdure.camera import unproject
from perdure.world.geometry import SAMPLES, Geometry, Keyframe
from perdure.world.keyframe import UNPACKED
from perdure.world.seen import Seen
from tests.world import yard


def keyframe(step: int = 3) -> Keyframe:
    return Keyframe(step, np.eye(4), yard.SMALL, *yard.picture(step, 1))


def test_bytes_round_trip_and_are_read_when_looked_at():
    one = keyframe()
    payload = one.to_bytes()
    two = Keyframe.from_bytes(payload, one.digest)
    assert two.payload is payload
    assert (two.step, two.intrinsics, two.digest) == (one.step, one.intrinsics, one.digest)
    for name in ("pose", "rgb", "depth", "mask"):
        a, b = getattr(one, name), getattr(two, name)
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
        assert not a.flags.writeable and not b.flags.writeable
    assert two.to_bytes() == payload
    with pytest.raises(ValueError, match="expected a keyframe of"):
        assert Keyframe.from_bytes(payload[:-1], one.digest).rgb.any()


def test_only_what_it_says_is_kept():
    one = keyframe()
    assert 0 < one.mask.mean() < 1
    assert not one.rgb[~one.mask].any() and not one.depth[~one.mask].any()
    pixels = yard.SMALL.height * yard.SMALL.width
    assert len(one.to_bytes()) == 184 + pixels // 8 + 5 * one.mask.sum()
    rgb, depth, mask = yard.picture(3, 1)
    rgb[~mask] = 7  # what it does not say makes no difference
    assert Keyframe(3, np.eye(4), yard.SMALL, rgb, depth, mask).digest == one.digest


def test_the_first_formats_bytes_are_read_and_stay():
    rgb, depth, mask = yard.picture(3, 1)
    header = keyframe().to_bytes()[:184]
    old = header + depth.tobytes() + rgb.tobytes() + mask.tobytes()
    one = Keyframe.from_bytes(old, b"known")
    np.testing.assert_array_equal(one.rgb, rgb)
    np.testing.assert_array_equal(one.depth, depth)
    np.testing.assert_array_equal(one.mask, mask)
    assert (one.to_bytes(), one.digest) == (old, b"known")


def test_pictures_are_forgotten_and_found_again():
    many = [keyframe(step) for step in range(3 * UNPACKED)]
    first = weakref.ref(many[0].rgb.base)
    before = many[0].rgb.copy()
    for one in many:
        assert one.mask.any()
    gc.collect()
    assert first() is None
    np.testing.assert_array_equal(many[0].rgb, before)


def test_the_digest_sees_every_part():
    rgb, depth, mask = yard.picture(3, 1)
    other = rgb.copy()
    (y, x), (v, u) = np.argwhere(mask)[[0, -1]]
    other[y, x, 0] ^= 1
    shallow = depth.copy()
    shallow[v, u] ^= 1
    moved = np.eye(4)
    moved[0, 3] = 1e-9
    frames = [
        keyframe(),
        Keyframe(4, np.eye(4), yard.SMALL, rgb, depth, mask),
        Keyframe(3, moved, yard.SMALL, rgb, depth, mask),
        Keyframe(3, np.eye(4), yard.SMALL, other, depth, mask),
        Keyframe(3, np.eye(4), yard.SMALL, rgb, shallow, mask),
        Keyframe(3, np.eye(4), yard.SMALL, rgb, depth, ~mask),
    ]
    assert len({frame.digest for frame in frames}) == len(frames)
    assert keyframe().digest == frames[0].digest


def test_a_keyframe_never_changes():
    rgb, depth, mask = yard.picture(3, 1)
    frame = Keyframe(3, np.eye(4), yard.SMALL, rgb, depth, mask)
    before = frame.to_bytes()
    rgb[:] = 0  # its giver goes on with the buffer
    assert frame.to_bytes() == before
    with pytest.raises(ValueError, match="read-only"):
        frame.depth[0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        frame.step = 4  # type: ignore[misc]


def test_what_is_not_a_keyframe_is_refused():
    rgb, depth, mask = yard.picture(3, 1)
    with pytest.raises(ValueError, match=r"expected depth .* uint16 in a keyframe, got .* float64"):
        Keyframe(3, np.eye(4), yard.SMALL, rgb, depth.astype(np.float64), mask)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected rgb"):
        Keyframe(3, np.eye(4), yard.SMALL, rgb[1:], depth, mask)


def test_appending_leaves_the_old_and_shares_its_keyframes():
    old = Geometry((keyframe(0),))
    new = old.append(keyframe(1), keyframe(2))
    assert [k.step for k in old.keyframes] == [0]
    assert [k.step for k in new.keyframes] == [0, 1, 2]
    assert new.keyframes[0] is old.keyframes[0]
    assert old.append() is old
    assert new.pages[:1] == old.pages


def test_points_of_its_surface_are_where_its_pixels_are():
    frame = keyframe()
    points, each = frame.surface
    assert len(points) == frame.mask.sum() <= SAMPLES and each == 1.0
    everything = unproject(frame.metres.astype(np.float64), frame.intrinsics, frame.pose)[frame.mask]
    np.testing.assert_allclose(points, everything, rtol=1e-6)
    nothing = Keyframe(3, np.eye(4), yard.SMALL, frame.rgb, frame.depth, np.zeros_like(frame.mask))
    assert nothing.surface[0].shape == (0, 3)


def wall(step: int, columns: slice, distance: int = 3000) -> Keyframe:
    """A look at a wall, of which some columns are news."""
    mask = np.zeros((12, 16), np.bool_)
    mask[:, columns] = True
    return Keyframe(step, np.eye(4), yard.SMALL, yard.picture(step, 1)[0], np.full((12, 16), distance, np.uint16), mask)


def test_what_was_seen_often_enough_from_there_is_not_kept_again():
    geometry, bound = Geometry(), Seen().bound
    for step in range(bound):
        geometry = geometry.append(wall(step, slice(0, 16)))
    assert len(geometry.keyframes) == bound
    assert geometry.append(wall(bound, slice(0, 16))) is geometry
    closer = geometry.append(wall(bound, slice(0, 16), 1000))  # another distance, another cell: news
    assert len(closer.keyframes) == bound + 1
    other = Geometry()
    for step in range(bound):
        other = other.append(wall(step, slice(0, 6)))
    partly = other.append(wall(bound, slice(0, 16)))
    assert len(partly.keyframes) == bound + 1
    news = partly.keyframes[-1].mask
    assert news[:, 15].all() and not news[:, 0].any() and 0 < news.sum() < news.size


def test_what_was_seen_is_carried_on_and_is_what_it_would_be_anew():
    geometry = Geometry(tuple(wall(step, slice(step, 16)) for step in range(5)))
    grown = replace(geometry.append(wall(5, slice(0, 3))), anchors=())
    anew = Geometry(grown.keyframes)

    def everything(_: np.ndarray, __: float) -> np.ndarray:
        return np.ones(len(_), np.bool_)

    assert grown.seen is grown.seen and grown.seen is replace(grown, anchors=()).seen
    assert (
        grown.seen.among(np.zeros(3), 99.0, everything) == anew.seen.among(np.zeros(3), 99.0, everything) == [*range(6)]
    )
    assert replace(grown, keyframes=()).seen.among(np.zeros(3), 99.0, everything) == []
