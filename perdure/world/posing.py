"""Posing: an entity's `Pose` read from MuJoCo's state, and written into it. What was read is written back exactly."""

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from perdure.world.body import Pose
from perdure.world.follow import Chase
from perdure.world.mechanism import Compiled, Seat, place
from perdure.world.mover import Gait, Mover, fit

Array = NDArray[np.float64]

FASTEST = 200.0  # metres or radians a second
FARTHEST = 1e4  # metres from the origin; beyond either, MuJoCo takes a state for broken and begins anew

NUMBERS = {"player": 4, "creature": 3, "free": 7, "mocap": 7, "hinge": 1}
"""How many say where an entity of each kind is."""


def read(data: mujoco.MjData, seat: Seat, gait: Gait | None, held: bool) -> Pose:
    if gait is not None:
        return Pose((gait.x, gait.y, gait.heading), gait=gait)
    if seat.kind == "mocap":
        return Pose(_floats(data.mocap_pos[seat.mocap], data.mocap_quat[seat.mocap]))
    motion, warm = _floats(data.qvel[seat.dofs]), _floats(data.qacc_warmstart[seat.dofs])
    aim = float(data.ctrl[seat.aim]) if seat.aim >= 0 else None
    return Pose(_floats(data.qpos[seat.qpos]), motion, warm, aim, held=held)


def write(data: mujoco.MjData, seat: Seat, pose: Pose) -> None:
    """Of what is no creature."""
    check(pose, seat.kind, seat.entity)
    if seat.kind == "mocap":
        data.mocap_pos[seat.mocap], data.mocap_quat[seat.mocap] = pose.place[:3], _unit(pose.place[3:])
        return
    data.qpos[seat.qpos] = (*pose.place[:3], *_unit(pose.place[3:])) if seat.kind == "free" else pose.place
    expected = seat.dofs.stop - seat.dofs.start
    for field, values in ((data.qvel, pose.motion), (data.qacc_warmstart, pose.warm)):
        if values and len(values) != expected:
            raise ValueError(f"expected {expected} numbers for how entity {seat.entity} moves, got {len(values)}")
        field[seat.dofs] = values or 0.0
    if seat.aim >= 0 and pose.aim is not None:
        data.ctrl[seat.aim] = pose.aim


def write_creature(compiled: Compiled, data: mujoco.MjData, mover: Mover, gait: Gait, pose: Pose) -> Gait:
    """The gait that it goes on with."""
    check(pose, "creature", mover.entity)
    x, y, heading = pose.place
    gait = replace(fit(mover, pose.gait or gait), x=x, y=y, heading=heading)
    place(compiled, data, (mover,), (gait,))
    return gait


def read_player(
    compiled: Compiled,
    data: mujoco.MjData,
    yaw: float,
    pitch: float,
    gait: Gait | None = None,
    chase: Chase | None = None,
) -> Pose:
    at: list[float] = []
    rest: list[float] = []
    for slide, origin in zip(compiled.slides, compiled.model.body_pos[compiled.player]):
        at.append(float(data.qpos[slide]) + float(origin))
        rest.append(float(data.qpos[slide]) - (at[-1] - float(origin)))  # what adding rounded off
    dofs = list(compiled.dofs)
    motion, warm = _floats(data.qvel[dofs]), _floats(data.qacc_warmstart[dofs])
    if compiled.rise is None:
        return Pose((at[0], at[1], yaw, pitch), motion, (*warm, *rest), gait=gait, chase=chase)
    high, fall = float(data.qpos[compiled.rise[0]]), float(data.qvel[compiled.rise[1]])
    return Pose((at[0], at[1], yaw, pitch), (*motion, fall), (*warm, *rest, high), gait=gait, chase=chase)


def write_player(compiled: Compiled, data: mujoco.MjData, pose: Pose) -> None:
    """But for where it looks, which is physics' own."""
    check(pose, "player", 0)
    motion, warm = pose.motion or (0.0, 0.0), pose.warm or (0.0, 0.0, 0.0, 0.0)
    if compiled.rise is not None and len(motion) == 3 and len(warm) == 5:
        data.qpos[compiled.rise[0]], data.qvel[compiled.rise[1]] = warm[4], motion[2]
    elif len(motion) != 2 or len(warm) != 4:
        raise ValueError(f"expected 2 numbers for how the player moves, got {len(motion)}")
    for axis in (0, 1):
        origin = float(compiled.model.body_pos[compiled.player, axis])
        data.qpos[compiled.slides[axis]] = (pose.place[axis] - origin) + warm[2 + axis]
        data.qvel[compiled.dofs[axis]] = motion[axis]
        data.qacc_warmstart[compiled.dofs[axis]] = warm[axis]
    if len(warm) == 4:
        stand(compiled, data)


def stand(compiled: Compiled, data: mujoco.MjData, near: float | None = None) -> None:
    """Put the player on the floor nearest to a height, its own unless said; where all is flat it stands there."""
    if compiled.rise is None:
        return
    x, y, z = (float(value) for value in compiled.model.body_pos[compiled.player])
    x, y = x + float(data.qpos[compiled.slides[0]]), y + float(data.qpos[compiled.slides[1]])
    was = z + float(data.qpos[compiled.rise[0]]) if near is None else near
    data.qpos[compiled.rise[0]] = compiled.terrain.settle(x, y, was) - z
    data.qvel[compiled.rise[1]] = 0.0


def check(pose: Pose, kind: str, entity: int) -> None:
    if len(pose.place) != NUMBERS[kind]:
        raise ValueError(
            f"expected {NUMBERS[kind]} numbers for where entity {entity} ({kind}) is, got {len(pose.place)}"
        )
    if max(map(abs, pose.place)) > FARTHEST:
        raise ValueError(f"expected entity {entity} within {FARTHEST:g} m of the origin, got {pose.place}")
    if max(map(abs, pose.motion), default=0.0) > FASTEST:
        raise ValueError(f"expected entity {entity} to move at up to {FASTEST:g} m or rad a second, got {pose.motion}")


def check_stand(data: mujoco.MjData, seat: Seat) -> None:
    """As `check`, of what stands where its MJCF says. `data` has its kinematics."""
    at = data.xpos[seat.body]
    if not (np.abs(at) <= FARTHEST).all() or not np.isfinite(data.xmat[seat.body]).all():  # nan is within nothing
        raise ValueError(f"expected entity {seat.entity} within {FARTHEST:g} m of the origin, got {_floats(at)}")


def _floats(*arrays: Array) -> tuple[float, ...]:
    return tuple(float(value) for array in arrays for value in array)


def _unit(quaternion: Sequence[float]) -> tuple[float, ...]:
    """As it is, if it is one of rotation; else the one it stands for."""
    length = math.sqrt(sum(value * value for value in quaternion))
    if length < 1e-6:
        raise ValueError(f"expected a quaternion (w, x, y, z) that is not zero, got {tuple(quaternion)}")
    return tuple(quaternion) if abs(length - 1) < 1e-6 else tuple(value / length for value in quaternion)
