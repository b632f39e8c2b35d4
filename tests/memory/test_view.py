"""The view against a traced scene, and against what must hold of any view. `test_raster.py` has its plain twin."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, look, rays, unproject
from perdure.memory.cells import cut
from perdure.memory.view import Placed, View, render
from perdure.world.geometry import MILLIMETRES, Keyframe
from perdure.world.identity import Patch

LENS = Intrinsics.from_fov(128, 72, 75.0)
SMALL = Intrinsics.from_fov(48, 27, 75.0)
EYE = np.array([0.0, 0.0, 1.6])
ROOM = (
    ((-9, -9, -1), (9, 9, 0)),  # floor
    ((6, -9, 0), (7, 9, 3)),  # wall ahead, with sky above it
    ((-9, 6, 0), (9, 7, 3)),
    ((2.5, -0.8, 0), (3.1, -0.2, 2.2)),  # two things in front of it
    ((3.5, 1.2, 0), (4.3, 2.0, 0.8)),
)


def eye(x: float, y: float, z: float) -> Array:
    return EYE + np.array([x, y, z])


def trace(pose: Array, lens: Intrinsics = LENS, boxes: tuple = ROOM) -> tuple[NDArray, NDArray, NDArray]:
    """rgb, depth and index of the box hit (-1: sky) of smoothly textured boxes."""
    ahead = (rays(lens) @ pose[:3, :3].T).reshape(-1, 3)
    depth, hit = np.full(len(ahead), FAR), np.full(len(ahead), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for k, (low, high) in enumerate(boxes):
            a, b = (np.array(low) - pose[:3, 3]) / ahead, (np.array(high) - pose[:3, 3]) / ahead
            enter, leave = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
            met = (enter <= leave) & (enter > 0.02) & (enter < depth)
            depth[met], hit[met] = enter[met], k
    at = pose[:3, 3] + ahead * depth[:, None]
    base = np.array([[90, 140, 80], [170, 110, 80], [120, 120, 160], [180, 60, 60], [70, 90, 180], [120, 160, 220]])
    x, y, z = at.T
    wave = 0.8 + 0.1 * np.sin(5 * x + 2 * y) * np.sin(4 * z + 3 * y) + 0.1 * np.sin(3 * z)
    facing = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    wave = np.where(hit < 0, 0.9 + 0.1 * np.sin(6 * facing[:, 1]) * np.cos(5 * facing[:, 2]), wave)
    shape = (lens.height, lens.width)
    rgb = np.clip(base[hit] * wave[:, None], 0, 255).astype(np.uint8)
    return rgb.reshape(*shape, 3), depth.reshape(shape), hit.reshape(shape)


def keyframe(
    pose: Array, lens: Intrinsics = LENS, mask: NDArray | None = None, depth: NDArray | None = None, boxes: tuple = ROOM
) -> Keyframe:
    rgb, true, _ = trace(pose, lens, boxes)
    millimetres = np.rint((true if depth is None else depth) * MILLIMETRES).astype(np.uint16)
    return Keyframe(-1, pose, lens, rgb, millimetres, np.ones(true.shape, np.bool_) if mask is None else mask)


def psnr(a: NDArray, b: NDArray) -> float:
    return float(10 * np.log10(255**2 / max(((a.astype(float) - b.astype(float)) ** 2).mean(), 1e-9)))


def inner(mask: NDArray, pixels: int) -> NDArray:
    """The mask without `pixels` at its border."""
    for _ in range(pixels):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def seen(frame: View, t: int = 0) -> NDArray:
    return frame.confidence[t] > 128


# What was seen is shown.


def test_from_its_own_place_a_keyframe_is_itself() -> None:
    pose = look(EYE, 0.1, -0.1)
    frame = keyframe(pose)
    view = render([frame], [], pose[None], LENS)
    assert (view.confidence[0] > 0).all()
    assert np.abs(view.rgb[0].astype(int) - frame.rgb).max() <= 2
    assert (np.abs(view.depth[0] / frame.metres - 1) < 0.01).mean() > 0.99
    flat = inner(trace(pose)[2] == 1, 4)  # on the wall, away from edges
    assert (view.confidence[0][flat] >= 220).all()
    assert not view.mover.any()


def test_near_views_show_the_truth() -> None:
    poses = [look(eye(0.0, y, 0.0), yaw, 0.0) for y, yaw in ((-1.2, 0.2), (1.0, -0.2), (0.2, 0.5))]
    camera = look(eye(0.8, 0.1, -0.1), 0.05, -0.05)
    view = render([keyframe(pose) for pose in poses], [], camera[None], LENS)
    rgb, depth, _ = trace(camera)
    sure = seen(view)
    assert sure.mean() > 0.85
    assert psnr(view.rgb[0][sure], rgb[sure]) > 33
    wrong = np.abs(view.depth[0] / depth - 1) > 0.05
    assert wrong[sure].mean() < 0.01, "something shows through, or is smeared"


def test_no_holes_when_walking_up_to_a_wall() -> None:
    boxes = (((6, -40, -40), (7, 40, 40)),)
    frame = keyframe(look(EYE, 0.0, 0.0), boxes=boxes)
    for step in (1.0, 3.0, 4.5):
        view = render([frame], [], look(eye(step, 0.3, 0.0), 0.3, 0.1)[None], LENS)
        covered = view.confidence[0] > 0
        assert covered.mean() > 0.3
        assert covered[inner(filled(covered), 1)].all()


def filled(mask: NDArray) -> NDArray:
    """Each row from its first to its last."""
    left = np.maximum.accumulate(mask, axis=1)
    right = np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return left & right


def test_the_sky_has_no_parallax() -> None:
    pose = look(EYE, 0.0, 0.9)
    frame = keyframe(pose, boxes=())
    moved = pose.copy()
    moved[:3, 3] += [3.0, -7.0, 1.0]
    here, there = render([frame], [], np.stack([pose, moved]), LENS).rgb
    np.testing.assert_array_equal(here, there)
    turned = look(EYE, 0.2, 0.8)
    view = render([frame], [], turned[None], LENS)
    assert psnr(view.rgb[0][seen(view)], trace(turned, LENS, ())[0][seen(view)]) > 40
    assert (view.depth[0][seen(view)] == FAR).all()


def test_the_sky_is_behind_everything() -> None:
    sky = keyframe(look(EYE, 0.0, 0.0), boxes=())
    wall = keyframe(look(EYE, 0.0, 0.0))
    _, depth, hit = trace(wall.pose)
    for order in ([sky, wall], [wall, sky]):
        view = render(order, [], wall.pose[None], LENS)
        assert (view.depth[0][inner(hit >= 0, 1)] < FAR - 1).all()


# What was not seen is not.


def test_nothing_is_smeared_between_near_and_far() -> None:
    frame = keyframe(look(EYE, 0.0, 0.0))
    camera = look(eye(0.0, 1.5, 0.0), -0.2, 0.0)
    view = render([frame], [], camera[None], LENS)
    surface = unproject(np.where(view.confidence[0] > 0, view.depth[0], np.nan).astype(float), LENS, camera)
    away = np.stack([distance(surface, low, high) for low, high in ROOM]).min(0)
    far = view.depth[0] >= FAR - 1
    covered = (view.confidence[0] > 10) & ~far
    assert np.nanmax(away[covered]) < 0.12
    assert (view.confidence[0] == 0).mean() > 0.05, "what the box hid must stay open"


def distance(points: NDArray, low: tuple, high: tuple) -> NDArray:
    outside = np.maximum(np.maximum(np.array(low) - points, points - np.array(high)), 0)
    return np.linalg.norm(outside, axis=-1)


def test_a_wall_seen_from_behind_hides_what_is_beyond() -> None:
    boxes = (((3.0, -1.0, 0.0), (3.2, 1.0, 3.0)), ((-9, -9, -1), (9, 9, 0)), ((-6, -9, 0), (-5, 9, 5)))
    front = keyframe(look(EYE, 0.0, 0.0), boxes=boxes)
    back = keyframe(look(EYE, np.pi, 0.0), boxes=boxes)  # knows the far wall at x = -5
    camera = look(eye(5.0, 0.0, 0.0), np.pi, 0.0)
    _, _, hit = trace(camera, LENS, boxes)
    alone, both = render([back], [], camera[None], LENS), render([front, back], [], camera[None], LENS)
    behind = inner(hit == 0, 3)
    assert (alone.confidence[0][behind] > 0).any()
    assert (both.confidence[0][behind] == 0).all()


def test_a_guessed_depth_has_its_edges_put_back() -> None:
    pose = look(EYE, 0.0, 0.0)
    _, true, hit = trace(pose)
    rng = np.random.default_rng(0)
    q = 1 / true * (1 + 0.002 * rng.standard_normal(true.shape))
    soft = q.copy()
    for _ in range(2):  # edges two or three pixels wide
        soft[:, 1:-1] = 0.25 * soft[:, :-2] + 0.5 * soft[:, 1:-1] + 0.25 * soft[:, 2:]
    frame = keyframe(pose, depth=np.minimum(1 / soft, FAR))
    view = render([frame], [], look(eye(0.0, 0.25, 0.0), 0.0, 0.0)[None], LENS)
    row = slice(20, 50)
    between = (view.depth[0] > 3.4) & (view.depth[0] < 5.0) & (view.confidence[0] > 128)
    columns = np.flatnonzero((hit[row] == 3).any(0))
    near = between[row, max(columns[0] - 16, 0) : columns[-1] + 16]
    assert near.mean() < 0.004, "pixels float between the box and the wall"


def test_what_nobody_could_have_seen_is_doubted() -> None:
    """Sky known from far to the left shows over a wall that no picture saw: it must not be sure."""
    sky = keyframe(look(EYE, 0.0, 0.5), boxes=())
    beside, within = look(eye(0.0, -8.0, 0.0), 0.0, 0.5), look(eye(2.0, 0.0, 1.2), 0.0, 0.5)
    view = render([sky], [], np.stack([beside, within]), LENS)
    assert 0 < view.confidence[0][:, 64:].max() < 128
    assert np.median(view.confidence[1]) > 250


# Pictures together.


def test_halves_of_a_picture_join_without_a_seam() -> None:
    pose, camera = look(EYE, 0.0, 0.0), look(eye(0.5, 0.4, 0.0), -0.1, 0.0)
    left = np.zeros((LENS.height, LENS.width), np.bool_)
    left[:, :61], left[30:40, 61:70] = True, True
    whole = render([keyframe(pose)], [], camera[None], LENS)
    parts = render([keyframe(pose, mask=left), keyframe(pose, mask=~left)], [], camera[None], LENS)
    both = (parts.confidence[0] > 0) & (whole.confidence[0] > 0)
    assert ((whole.confidence[0] > 0) & ~both).sum() <= 2
    assert np.abs(parts.rgb[0][both].astype(int) - whole.rgb[0][both]).mean() < 0.2
    assert psnr(parts.rgb[0][both], whole.rgb[0][both]) > 42
    assert (parts.confidence[0].astype(int) - whole.confidence[0])[both].min() > -60


def test_the_sharper_picture_wins() -> None:
    boxes = (((6, -40, -40), (7, 40, 40)),)
    far, near = keyframe(look(EYE, 0.0, 0.0), boxes=boxes), keyframe(look(eye(4.0, 0.0, 0.0), 0.0, 0.0), boxes=boxes)
    camera = look(eye(4.1, 0.05, 0.0), 0.05, 0.0)
    alone, both = render([near], [], camera[None], LENS), render([far, near], [], camera[None], LENS)
    sure = inner(seen(alone), 4)
    assert np.abs(alone.rgb[0][sure].astype(int) - both.rgb[0][sure]).mean() < 0.5
    coarse = render([far], [], camera[None], LENS)
    assert coarse.confidence[0][sure].mean() < 0.5 * alone.confidence[0][sure].mean()


def test_the_same_inputs_give_the_same_bytes() -> None:
    frames = [keyframe(look(eye(0.0, y, 0.0), 0.1 * y, 0.0)) for y in (-1.0, 0.0, 1.0)]
    cameras = np.stack([look(eye(0.1 * t, 0.2, 0.0), 0.02 * t, 0.0) for t in range(4)])
    first = render(frames, [], cameras, LENS)
    with ThreadPoolExecutor(4) as pool:  # and from several threads at once
        for again in pool.map(lambda _: render(frames, [], cameras, LENS), range(8)):
            for a, b in zip(vars(first).values(), vars(again).values()):
                np.testing.assert_array_equal(a, b)
    cut.cache_clear()
    np.testing.assert_array_equal(render(frames, [], cameras, LENS).rgb, first.rgb)


def test_nothing_known_gives_an_empty_view() -> None:
    view = render([], [], look(EYE, 0.0, 0.0)[None], LENS)
    assert not view.confidence.any()
    assert not view.rgb.any()
    assert not view.depth.any()
    blank = np.zeros((LENS.height, LENS.width), np.bool_)
    assert not render([keyframe(look(EYE, 0.0, 0.0), mask=blank)], [], look(EYE, 0.0, 0.0)[None], LENS).confidence.any()


@settings(max_examples=25, deadline=None)
@given(
    where=st.tuples(*(st.floats(-5, 5),) * 3), yaw=st.floats(-4, 4), pitch=st.floats(-1.5, 1.5), seed=st.integers(0, 99)
)
def test_any_place_gives_a_sound_view(where: tuple, yaw: float, pitch: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = np.clip(rng.gamma(2.0, 3.0, (SMALL.height, SMALL.width)), 0.0, FAR)  # no surface at all
    wild = keyframe(look(EYE, 0.0, 0.0), SMALL, rng.random(depth.shape) < 0.7, depth)
    room = keyframe(look(EYE, 0.5, 0.0), SMALL)
    view = render([wild, room], [], look(np.array(where), yaw, pitch)[None], SMALL)
    known = view.confidence > 0
    assert (view.depth[known] > 0).all()
    assert (view.depth <= FAR + 1e-3).all()
    assert not view.depth[~known].any()
    assert not view.rgb[~known].any()


# What moves.


def box_patches(lens: Intrinsics = LENS) -> tuple[Patch, ...]:
    """A box of half a metre that stands at the origin, seen from four sides at 2.5 metres."""
    out = []
    for yaw in np.arange(4) * np.pi / 2:
        pose = look(np.array([-2.3 * np.cos(yaw), -2.3 * np.sin(yaw), 1.6]), yaw, -0.5)
        rgb, depth, hit = trace(pose, lens, (((-0.25, -0.25, 0.0), (0.25, 0.25, 0.9)),))
        out.append(Patch(pose, lens, rgb, np.rint(depth * MILLIMETRES).astype(np.uint16), hit == 0))
    return tuple(out)


def at(*place: float) -> Array:
    pose = np.eye(4)
    pose[:3, 3] = place
    return pose


def test_a_mover_is_drawn_where_its_body_is() -> None:
    camera = look(EYE, 0.0, 0.0)
    room = keyframe(camera)
    ways = np.stack([at(2.0, y, 0.0) for y in (0.4, 0.6, 0.8, 1.0)])
    view = render([room], [Placed(box_patches(), ways)], np.stack([camera] * 4), LENS)
    for t, way in enumerate(ways):
        low, high = way[:3, 3] + [-0.25, -0.25, 0.0], way[:3, 3] + [0.25, 0.25, 0.9]
        _, depth, hit = trace(camera, LENS, (*ROOM, (tuple(low), tuple(high))))
        assert (view.mover[t] & (hit == len(ROOM))).sum() > 0.97 * (hit == len(ROOM)).sum()
        outside = view.mover[t] & seen(view, t) & (hit != len(ROOM))
        assert outside.sum() < 0.05 * (hit == len(ROOM)).sum()
        both = inner(view.mover[t] & (hit == len(ROOM)), 1)
        assert (np.abs(view.depth[t][both] / depth[both] - 1) < 0.05).mean() > 0.95
        assert (np.abs(view.depth[t][both] / depth[both] - 1) < 0.15).all()
        still = inner(hit != len(ROOM), 2)
        np.testing.assert_array_equal(view.rgb[t][still & ~view.mover[t]], room.rgb[still & ~view.mover[t]])


def test_a_mover_goes_behind_what_is_nearer() -> None:
    camera = look(EYE, 0.0, 0.0)
    hidden = render([keyframe(camera)], [Placed(box_patches(), at(4.5, -0.9, 0.0)[None])], camera[None], LENS)
    open_ = render([], [Placed(box_patches(), at(4.5, -0.9, 0.0)[None])], camera[None], LENS)
    _, _, hit = trace(camera)
    assert open_.mover[0][inner(hit == 3, 1)].any()
    assert not hidden.mover[0][inner(hit == 3, 1)].any()


# Mistakes.


@pytest.mark.parametrize(
    ("cameras", "poses", "says"),
    [
        (np.eye(4), np.eye(4)[None], r"cameras of shape \(T, 4, 4\)"),
        (2 * np.eye(4)[None], np.eye(4)[None], "rotation"),
        (np.eye(4)[None], np.stack([np.eye(4)] * 3), "a body pose for each camera"),
    ],
)
def test_mistakes_are_named(cameras: Array, poses: Array, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        render([], [Placed((), poses)], cameras, LENS)


def test_a_patch_must_fit_its_lens() -> None:
    patch = box_patches()[0]
    wrong = Patch(patch.pose, SMALL, patch.rgb, patch.depth, patch.mask)
    with pytest.raises(ValueError, match="intrinsics of the picture's size 128x72, got 48x27"):
        render([], [Placed((wrong,), np.eye(4)[None])], np.eye(4)[None], LENS)
