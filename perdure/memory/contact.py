"""Contact: the ground is darker close under what stands on it. Without that, things seem to hover.

Looks of a thing and of the ground come from different times, and neither has the other's shadow: so it is
drawn, anew in each frame and from where things are in it, and is no part of what is kept: `notice` leaves
out what is `shaded`.

Shapes: T frames, H height, W width.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, invert, rays, unproject
from perdure.memory.view import Placed, View
from perdure.world.geometry import MILLIMETRES
from perdure.world.identity import Patch
from perdure.world.state import World

REACH = 0.2  # metres from a thing at which the ground is as light as anywhere
DARK = 0.55  # of the light that is taken right under it
SKIRT = 0.1  # metres above its lowest point up to which it shades what it stands beside


@lru_cache(maxsize=64)
def box(patches: tuple[Patch, ...]) -> tuple[Array, Array]:
    """The middle (3,) and half sizes (3,) of the box about a thing, in its body's frame."""
    points = [unproject(p.depth / MILLIMETRES, p.intrinsics, p.pose)[p.mask] for p in patches]
    low, high = np.percentile(np.concatenate(points), (0.5, 99.5), axis=0)
    return 0.5 * (low + high), 0.5 * (high - low)


def things(world: World) -> list[Placed]:
    """What stands on the ground in a world, and is no creature."""
    there, poses = set(world.physics.things), world.motion.bodies
    return [Placed(e.patches, poses[e.id]) for e in world.entities if e.id in there and e.patches]


def shaded(depth_HW: NDArray[np.float32], world: World) -> NDArray[np.bool_]:
    """(H, W) what of the last frame, at this depth, is darker for what stands on it."""
    found = [Placed(thing.patches, thing.poses[-1:]) for thing in things(world)]
    if not found:
        return np.zeros(depth_HW.shape, np.bool_)
    white = np.full((1, *depth_HW.shape, 3), 255, np.uint8)
    bare = np.zeros((1, *depth_HW.shape), np.uint8)
    view = View(white, bare, depth_HW[None], bare.astype(np.bool_))
    ground(view, found, world.motion.cameras[-1:], world.motion.intrinsics)
    return white[0, ..., 0] < 255


def ground(view: View, things: Sequence[Placed], cameras: Array, intrinsics: Intrinsics) -> None:
    """Darken what is still in a view, in place, where things of these poses stand on it."""
    if not things:
        return
    rays_HW3 = rays(intrinsics)
    for thing in things:
        middle, half = box(thing.patches)
        reach = float(np.linalg.norm(half)) + REACH
        for t, camera in enumerate(cameras):
            body = thing.poses[t]
            place = body[:3, :3] @ middle + body[:3, 3]
            x, y, z = (place - camera[:3, 3]) @ camera[:3, :3]
            if z < -reach:
                continue
            left, top, right, bottom = 0, 0, intrinsics.width, intrinsics.height
            if z > 1.5 * reach:  # the sphere about it, as it is seen, and a little more
                i, j, size = x / z * intrinsics.fx + intrinsics.cx, y / z * intrinsics.fy + intrinsics.cy, reach / z
                wide, tall = 1.5 * size * intrinsics.fx, 1.5 * size * intrinsics.fy
                left, right = max(left, int(i - wide)), min(right, int(i + wide) + 1)
                top, bottom = max(top, int(j - tall)), min(bottom, int(j + tall) + 1)
            lowest = float(place[2] - np.abs(body[2, :3]) @ half)
            to_body = invert(body) @ camera
            to_body[:3, 3] -= middle
            if left < right and top < bottom:
                _darken(
                    view.rgb[t], view.depth[t], view.mover[t], rays_HW3, camera, to_body, half, lowest + SKIRT,
                    left, top, right, bottom,
                )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _darken(
    rgb_HW3, depth_HW, mover_HW, rays_HW3, camera, to_body, half, below, left, top, right, bottom
):  # fmt: skip
    for y in range(top, bottom):
        for x in range(left, right):
            depth = depth_HW[y, x]
            if depth <= 0.0 or mover_HW[y, x]:
                continue
            a, b, c = depth * rays_HW3[y, x, 0], depth * rays_HW3[y, x, 1], depth * rays_HW3[y, x, 2]
            if camera[2, 0] * a + camera[2, 1] * b + camera[2, 2] * c + camera[2, 3] > below:
                continue
            square = 0.0
            for k in range(3):
                at = to_body[k, 0] * a + to_body[k, 1] * b + to_body[k, 2] * c + to_body[k, 3]
                over = max(abs(at) - half[k], 0.0)
                square += over * over
            if square >= REACH * REACH:
                continue
            near = 1.0 - np.sqrt(square) / REACH
            share = 1.0 - DARK * near * near
            for k in range(3):
                rgb_HW3[y, x, k] = np.uint8(share * rgb_HW3[y, x, k] + 0.5)
