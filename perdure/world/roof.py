"""Roofs: whether a place lies indoors, where there is no weather."""

import mujoco
import numpy as np

HOUSED = 0.5  # share of a place with a roof over it from which it is indoors
ACROSS = 12  # rays each way that look for roofs


def housed(model: mujoco.MjModel, player: int, eye: float, group: int) -> bool:
    """Whether most of what stands in this group of geoms lies under roofs, seen from so high over the player's feet."""
    solid = (model.geom_group == group) & (model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE)
    if not solid.any():
        return False
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    low, high = np.percentile(data.geom_xpos[solid, :2], (10, 90), axis=0)
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[group] = 1
    height = float(data.xpos[player, 2]) + eye
    up, shares = np.array([0.0, 0.0, 1.0]), (np.arange(ACROSS) + 0.5) / ACROSS
    hit = [
        mujoco.mj_ray(model, data, np.array([*(low + (high - low) * (i, j)), height]), up, groups, True, -1, None) >= 0
        for i in shares
        for j in shares
    ]
    return sum(hit) > HOUSED * len(hit)
