"""Track: looks at what moves, kept in its body's own frame so that it can be drawn wherever it goes.

Shapes: H W frame size; h w the crop's size.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, invert, look
from perdure.world.geometry import MILLIMETRES
from perdure.world.identity import Patch

AROUND = 8  # directions of a first look at an entity
MARGIN = 2  # pixels kept around an entity's outline
LEAST = 24  # pixels; fewer show nothing

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
    """Patches of an entity about `size` metres across, from eight sides and a little above."""
    out = []
    distance = 2.2 * size + 0.6
    heading = float(np.arctan2(body[1, 0], body[0, 0]))
    for turn in range(AROUND):
        yaw = heading + 2 * np.pi * turn / AROUND
        pitch = -0.25
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        camera = look(body[:3, 3] - distance * forward, yaw, pitch)
        rgb, depth, entity = paint(camera, intrinsics)
        patch = cut_patch(rgb, depth, entity, value, camera, body, intrinsics)
        if patch is not None:
            out.append(patch)
    return tuple(out)
