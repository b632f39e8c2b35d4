"""Contact: what a thing stands on is darker right under it, and nothing else is."""

import numpy as np
import pytest

from perdure.camera import Intrinsics, look, rays
from perdure.data import props
from perdure.memory.contact import DARK, REACH, box, ground
from perdure.memory.view import Placed, View

EYE = Intrinsics.from_fov(128, 96, 60.0)
CAMERA = look(np.array([-2.0, 0.0, 1.5]), 0.0, -0.6)
CRATE = props.prop("crate", 5, (0.0, 0.0, 0.0))[0].patches


def floor() -> tuple[View, np.ndarray]:
    """A white floor at height 0, and where each pixel of it is (H, W, 3)."""
    ways = rays(EYE) @ CAMERA[:3, :3].T
    depth = -CAMERA[2, 3] / ways[..., 2]
    points = CAMERA[:3, 3] + depth[..., None] * ways
    shape = (1, EYE.height, EYE.width)
    view = View(
        np.full((*shape, 3), 255, np.uint8),
        np.full(shape, 255, np.uint8),
        np.where(depth > 0, depth, 0)[None].astype(np.float32),
        np.zeros(shape, np.bool_),
    )
    return view, points


def standing(height: float, yaw: float = 0.4) -> tuple[Placed, float]:
    """A crate whose underside is at this height, and half its side."""
    half = float(box(CRATE)[1][0])
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[2, 3] = height + half
    return Placed(CRATE, pose[None]), half


def test_the_ground_is_dark_under_a_thing_and_as_it_was_elsewhere() -> None:
    view, points = floor()
    thing, half = standing(0.0)
    ground(view, [thing], CAMERA[None], EYE)
    local = points @ thing.poses[0][:3, :3]
    apart = np.linalg.norm(np.maximum(np.abs(local[..., :2]) - half, 0), axis=-1)
    grey = view.rgb[0].astype(float).mean(-1) / 255
    assert (grey[apart > REACH + 0.02] == 1).all()
    assert grey[apart == 0] == pytest.approx(1 - DARK, abs=0.05)
    between = (apart > 0.02) & (apart < REACH - 0.02)
    assert np.corrcoef(apart[between], grey[between])[0, 1] > 0.9


def test_what_is_lifted_leaves_no_shadow() -> None:
    view, _ = floor()
    ground(view, [standing(REACH + 0.02)[0]], CAMERA[None], EYE)
    assert (view.rgb == 255).all()


def test_other_things_and_what_is_not_known_stay_as_they_are() -> None:
    view, _ = floor()
    view.mover[0, :, :64] = True
    view.depth[0, :, 64:] = 0
    ground(view, [standing(0.0)[0]], CAMERA[None], EYE)
    assert (view.rgb == 255).all()


def test_a_wall_beside_it_is_not_darkened_above_its_foot() -> None:
    view, points = floor()
    view.depth[0] = 1.7  # a surface that stands before the eye, through where the crate is
    ways = rays(EYE) @ CAMERA[:3, :3].T
    height = CAMERA[2, 3] + 1.7 * ways[..., 2]
    ground(view, [standing(0.0)[0]], CAMERA[None], EYE)
    assert (view.rgb[0][height > 0.12] == 255).all()
