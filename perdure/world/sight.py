"""Sight: what physics itself can see of a motion's last frame, a ray through the centre of each cell.

Shapes: H height, W width. `data` has been posed as that frame is.
"""

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import invert, rays
from perdure.world.mechanism import WORLD, Compiled
from perdure.world.motion import Motion

Array = NDArray[np.float64]


def proxy(compiled: Compiled, data: mujoco.MjData, motion: Motion, width: int, height: int) -> NDArray[np.float32]:
    """(5, H, W) inverse depth along the camera's z (0 for the sky), the surface's normal in camera coordinates, and 1
    where a creature or a thing is seen."""
    pose = motion.cameras[-1]
    geoms, depths, normals = _cast(compiled, data, motion, width, height, WORLD, *compiled.moving)
    hit = geoms >= 0
    out = np.zeros((5, width * height), np.float32)
    out[0, hit] = 1.0 / np.maximum(depths[hit], 0.05)
    out[1:4, hit] = invert(pose)[:3, :3] @ normals[hit].T
    out[4, hit] = np.isin(compiled.sight.geom_group[geoms[hit]], compiled.moving)
    return out.reshape(5, height, width)


def silhouette(compiled: Compiled, data: mujoco.MjData, motion: Motion, width: int, height: int) -> NDArray[np.float32]:
    """(H, W) inverse depth of the nearest creature or thing, whatever stands before it; 0 where there is none."""
    geoms, depths, _ = _cast(compiled, data, motion, width, height, *compiled.moving)
    out = np.where(geoms >= 0, 1.0 / np.maximum(depths, 0.05), 0.0)
    return out.astype(np.float32).reshape(height, width)


def _cast(
    compiled: Compiled, data: mujoco.MjData, motion: Motion, width: int, height: int, *groups: int
) -> tuple[NDArray[np.int32], Array, Array]:
    """The geom (-1: none), the depth and the normal that each ray meets."""
    pose, count = motion.cameras[-1], width * height
    wanted = np.zeros(mujoco.mjNGROUP, np.uint8)
    wanted[list(groups)] = 1
    # Rays have z = 1 in the camera and are not normalised, so the distance along them is the depth.
    vectors = rays(motion.intrinsics.scaled(width, height)).reshape(count, 3) @ pose[:3, :3].T
    geoms, depths, normals = np.empty(count, np.int32), np.empty(count), np.empty((count, 3))
    mujoco.mj_multiRay(
        compiled.sight, data, pose[:3, 3], vectors.ravel(), wanted, True, -1,
        geoms, depths, normals.reshape(-1), count, mujoco.mjMAXVAL,
    )  # fmt: skip
    return geoms, depths, normals
