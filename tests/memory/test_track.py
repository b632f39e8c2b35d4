"""Patches hold what a creature is, where it is in its own frame, and nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, look, rays, unproject
from perdure.memory.track import AROUND, MARGIN, cut_patch, extent, look_around
from perdure.memory.view import Placed, render

LENS = Intrinsics.from_fov(96, 96, 50.0)
RADIUS = 0.4
CREATURE = 3


def body_at(x: float, y: float, z: float, yaw: float) -> Array:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = x, y, z
    return pose


BODY = body_at(2.0, -1.0, 0.8, 0.7)


def paint(pose: Array, lens: Intrinsics, wall: float = np.inf) -> tuple[NDArray, NDArray, NDArray]:
    """A ball about the body, coloured by direction in the body's frame; and a plane at y = `wall`."""
    ahead = rays(lens) @ pose[:3, :3].T
    eye = pose[:3, 3] - BODY[:3, 3]
    a, b, c = (ahead**2).sum(-1), ahead @ eye, eye @ eye - RADIUS**2
    root = b * b - a * c
    near = (-b - np.sqrt(np.maximum(root, 0))) / a
    ball = (root > 0) & (near > 0)
    depth = np.where(ball, near, FAR)
    with np.errstate(divide="ignore", invalid="ignore"):
        blocked = (wall - pose[1, 3]) / ahead[..., 1]
    blocked = np.where((blocked > 0) & (blocked < depth), blocked, np.inf)
    ball &= ~np.isfinite(blocked)
    depth = np.minimum(depth, blocked)
    local = ((ahead * depth[..., None] + eye) @ BODY[:3, :3]) / RADIUS
    rgb = np.where(ball[..., None], 128 + 100 * local, 30)
    entity = np.where(ball, CREATURE, 0).astype(np.uint8)
    return np.clip(rgb, 0, 255).astype(np.uint8), depth.astype(np.float32), entity


def test_a_patch_moves_with_the_body() -> None:
    camera = look(np.array([-0.5, 0.2, 1.3]), -0.4, -0.1)
    rgb, depth, entity = paint(camera, LENS)
    patch = cut_patch(rgb, depth, entity, CREATURE, camera, BODY, LENS)
    assert patch is not None
    assert patch.mask.sum() == (entity == CREATURE).sum()
    rows, columns = np.flatnonzero(patch.mask.any(1)), np.flatnonzero(patch.mask.any(0))
    assert (rows[0], columns[0]) == (MARGIN, MARGIN)
    points = unproject(patch.depth / 1000.0, patch.intrinsics, patch.pose)[patch.mask]
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), RADIUS, atol=2e-3)
    np.testing.assert_allclose(patch.rgb[patch.mask], 128 + 100 * points / RADIUS, atol=2)


def test_a_crop_at_the_picture_s_edge_stays_inside_it() -> None:
    camera = look(np.array([-0.5, 0.2, 1.3]), -0.75, -0.1)
    rgb, depth, entity = paint(camera, LENS)
    assert entity[:, 0].any()
    patch = cut_patch(rgb, depth, entity, CREATURE, camera, BODY, LENS)
    assert patch is not None
    points = unproject(patch.depth / 1000.0, patch.intrinsics, patch.pose)[patch.mask]
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), RADIUS, atol=2e-3)


def test_what_is_hardly_seen_gives_no_patch() -> None:
    camera = look(np.array([-0.5, 0.2, 1.3]), -0.4, -0.1)
    rgb, depth, entity = paint(camera, LENS)
    assert cut_patch(rgb, depth, entity, CREATURE + 1, camera, BODY, LENS) is None


def test_mistakes_are_named() -> None:
    camera = look(np.array([-0.5, 0.2, 1.3]), -0.4, -0.1)
    rgb, depth, entity = paint(camera, LENS)
    with pytest.raises(ValueError, match=r"expected rgb, depth and entity map of the camera's size \(96, 96\)"):
        cut_patch(rgb, depth[:50], entity, CREATURE, camera, BODY, LENS)
    with pytest.raises(ValueError, match="rotation"):
        cut_patch(rgb, depth, entity, CREATURE, camera, 2 * BODY, LENS)


def test_a_look_around_sees_every_side() -> None:
    patches = look_around(paint, CREATURE, BODY, 2 * RADIUS, LENS)
    assert len(patches) == AROUND
    sides = [np.arctan2(patch.pose[1, 3], patch.pose[0, 3]) for patch in patches]
    gaps = np.diff(np.sort(np.mod(sides, 2 * np.pi)))
    np.testing.assert_allclose(gaps, 2 * np.pi / AROUND, atol=1e-6)
    for patch in patches:  # the whole disc of the ball, nearly
        assert extent(patch) == pytest.approx(np.pi * RADIUS**2, rel=0.25)


def test_a_look_that_is_blocked_comes_nearer() -> None:
    def walled(pose: Array, lens: Intrinsics) -> tuple[NDArray, NDArray, NDArray]:
        return paint(pose, lens, wall=-1.0 + 1.7)

    far = 2.2 * 2 * RADIUS + 0.6  # beyond the wall at 1.7
    patches = look_around(walled, CREATURE, BODY, 2 * RADIUS, LENS)
    assert len(patches) == AROUND
    distances = [np.linalg.norm(patch.pose[:3, 3]) for patch in patches]
    assert min(distances) < 1.7 < far - 0.1
    assert max(distances) == pytest.approx(far)
    assert min(extent(patch) for patch in patches) > 0.6 * np.pi * RADIUS**2


def test_a_look_around_in_a_small_room_sees_every_side_too() -> None:
    """Where nearly all of the first looks are blocked, none of them says how much there is to see."""

    def closet(pose: Array, lens: Intrinsics) -> tuple[NDArray, NDArray, NDArray]:
        rgb, depth, entity = paint(pose, lens)
        outside = np.linalg.norm(pose[:2, 3] - BODY[:2, 3]) > 1.9
        return rgb, depth, np.zeros_like(entity) if outside else entity

    assert len(look_around(closet, CREATURE, BODY, 2 * RADIUS, LENS)) == AROUND


def test_a_look_around_is_enough_to_draw_from_anywhere() -> None:
    patches = look_around(paint, CREATURE, BODY, 2 * RADIUS, LENS)
    for yaw in np.linspace(0, 6, 7):
        camera = look(BODY[:3, 3] - 2.0 * np.array([np.cos(yaw), np.sin(yaw), -0.1]), yaw, -0.05)
        rgb, depth, entity = paint(camera, LENS)
        view = render([], [Placed(patches, BODY[None])], camera[None], LENS)
        both = view.mover[0] & (entity == CREATURE)
        assert both.sum() > 0.98 * (entity == CREATURE).sum()
        assert (view.mover[0] & (entity != CREATURE)).sum() < 0.06 * both.sum()
        assert np.abs(view.rgb[0][both].astype(int) - rgb[both]).mean() < 3
        assert np.median(np.abs(view.depth[0][both] - depth[both])) < 0.01
        assert np.median(view.confidence[0][both]) > 160
