"""Measures: what rules and hands ask of the state that MuJoCo is in. It must have been posed (`mj_kinematics`)."""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.mechanism import Compiled, Seat

Array = NDArray[np.float64]


def lowest(compiled: Compiled, data: mujoco.MjData, seat: Seat) -> float:
    """The height of its lowest point."""
    model, low = compiled.model, math.inf
    for geom in seat.geoms:
        half = model.geom_aabb[geom, 3:]
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
            below = float(half[0])
        else:
            row = data.geom_xmat[geom, 6:]
            below = float(np.abs(row) @ half) - float(row @ model.geom_aabb[geom, :3])
        low = min(low, float(data.geom_xpos[geom, 2]) - below)
    return low


def radius(compiled: Compiled, seat: Seat) -> float:
    """How far it reaches from its middle, seen from above."""
    return max(math.hypot(*map(float, compiled.model.geom_aabb[geom, 3:5])) for geom in seat.geoms)


def thickness(compiled: Compiled, seat: Seat) -> float:
    """Half its least extent."""
    return min(float(compiled.model.geom_aabb[geom, 3:].min()) for geom in seat.geoms)


def depths(compiled: Compiled, data: mujoco.MjData) -> dict[int, float]:
    """How deep each entity that touches anything is pressed into it; `mj_collision` must have been called."""
    out: dict[int, float] = {}
    if data.ncon:
        pairs = compiled.owners[compiled.model.geom_bodyid[data.contact.geom]].tolist()
        for (one, other), far in zip(pairs, data.contact.dist.tolist()):
            if one != other:
                for entity in (one, other):
                    out[entity] = max(out.get(entity, 0.0), -far)
    return out


def velocity(compiled: Compiled, data: mujoco.MjData, seat: Seat) -> tuple[float, float, float]:
    """Of what forces move: of its origin, or of a door's middle."""
    if seat.kind == "free":
        vx, vy, vz = data.qvel[seat.dofs.start : seat.dofs.start + 3].tolist()
        return vx, vy, vz
    if seat.kind == "hinge":
        joint = int(compiled.model.body_jntadr[seat.body])
        arm = data.xipos[seat.body] - data.xanchor[joint]
        vx, vy, vz = (data.qvel[seat.dofs.start] * _cross(data.xaxis[joint], arm)).tolist()
        return vx, vy, vz
    return 0.0, 0.0, 0.0


def energy(compiled: Compiled, data: mujoco.MjData, seat: Seat) -> float:
    """Joules, of its motion and of its height; 0 of what forces do not move."""
    model, body = compiled.model, seat.body
    if seat.kind == "free":
        dof = seat.dofs.start
        spin = data.xmat[body].reshape(3, 3) @ data.qvel[dof + 3 : dof + 6]
        moving = data.qvel[dof : dof + 3] + _cross(spin, data.xipos[body] - data.xpos[body])
    elif seat.kind == "hinge":
        joint = int(model.body_jntadr[body])
        spin = data.xaxis[joint] * data.qvel[seat.dofs.start]
        moving = _cross(spin, data.xipos[body] - data.xanchor[joint])
    else:
        return 0.0
    turning = data.ximat[body].reshape(3, 3).T @ spin
    kinetic = seat.mass * float(moving @ moving) + float(turning @ (model.body_inertia[body] * turning))
    return 0.5 * kinetic - seat.mass * float(model.opt.gravity @ data.xipos[body])


def _cross(a: Array, b: Array) -> Array:
    """As numpy's, which takes thirty times as long for a single one."""
    out = np.empty(3)
    mujoco.mju_cross(out, a, b)
    return out
