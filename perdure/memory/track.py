"""Track: looks at what moves, kept in its body's own frame so that it can be drawn wherever it goes.

Shapes: H W frame size; h w the crop's size.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, check_pose, invert, look
from perdure.world.geometry import MILLIMETRES
from perdure.world.identity import Patch

AROUND = 8  # directions of a first look at an entity
MARGIN = 2  # pixels kept around an entity's outline
LEAST = 24  # pixels; fewer show nothing
WAYS = ((1.0, -0.25), (0.7, -0.25), (1.0, -0.6), (0.6, -0.9))
"""Part of the distance, and pitch, of the looks that are tried in turn while something is in the way."""
CLEAR = 0.6  # of the usual extent: a look that shows less of the entity is blocked

Paint = Callable[[Array, Intrinsics], tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]]
"""(pose, intrinsics) to (rgb, depth in metres, entity map)."""


def cut_patch(
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    entity: NDArray[np.uint8],
    value: int,
    camera: Array,
    body: Array,
    intrinsics: Intrinsics,
) -> Patch | None:
    """What of a picture belongs to `value` in its entity map, as a patch in the frame of `body`; None if hardly seen.

    `camera` and `body` are poses (4, 4) to the world.
    """
    size = (intrinsics.height, intrinsics.width)
    if rgb.shape != (*size, 3) or depth.shape != size or entity.shape != size:
        raise ValueError(
            f"expected rgb, depth and entity map of the camera's size {size}, "
            f"got {rgb.shape}, {depth.shape} and {entity.shape}"
        )
    check_pose(camera)
    check_pose(body)
    mask = entity == value
    if mask.sum() < LEAST:
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom = max(rows[0] - MARGIN, 0), min(rows[-1] + 1 + MARGIN, mask.shape[0])
    left, right = max(columns[0] - MARGIN, 0), min(columns[-1] + 1 + MARGIN, mask.shape[1])
    crop = slice(top, bottom), slice(left, right)
    i = intrinsics
    lens = Intrinsics(int(right - left), int(bottom - top), i.fx, i.fy, i.cx - float(left), i.cy - float(top))
    millimetres = np.rint(np.where(mask, depth, 0)[crop] * MILLIMETRES).astype(np.uint16)
    return Patch(invert(body) @ camera, lens, rgb[crop].copy(), millimetres, mask[crop].copy())


def look_around(paint: Paint, value: int, body: Array, size: float, intrinsics: Intrinsics) -> tuple[Patch, ...]:
    """Patches of an entity about `size` metres across, from eight sides and a little above.

    A side from which it is hidden is looked at from nearer and higher; if it stays hidden, the best look is kept.
    """
    heading = float(np.arctan2(body[1, 0], body[0, 0]))

    def see(turn: int, way: tuple[float, float]) -> Patch | None:
        part, pitch = way
        yaw = heading + 2 * np.pi * turn / AROUND
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        camera = look(body[:3, 3] - part * (2.2 * size + 0.6) * forward, yaw, pitch)
        return cut_patch(*paint(camera, intrinsics), value, camera, body, intrinsics)

    best = [see(turn, WAYS[0]) for turn in range(AROUND)]
    shown = [extent(patch) for patch in best if patch is not None]
    usual = float(np.median(shown)) if shown else 0.0
    for turn in range(AROUND):
        for way in WAYS[1:]:
            if best[turn] is not None and extent(best[turn]) >= CLEAR * usual:
                break
            best[turn] = max(best[turn], see(turn, way), key=extent)
    return tuple(patch for patch in best if patch is not None)


def extent(patch: Patch | None) -> float:
    """Square metres that a patch shows, as seen from its camera."""
    if patch is None:
        return 0.0
    metres = patch.depth[patch.mask] / MILLIMETRES
    return float((metres**2).sum() / (patch.intrinsics.fx * patch.intrinsics.fy))
