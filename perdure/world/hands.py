"""Hands: what the player does with things. It takes up, carries, puts down, throws, and opens doors.

What is carried hangs before the eye by a hold that is stiff, damped and not very strong: so walls and other things
stop it, and what is caught behind a corner slips out of the hand.
"""

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.history import Note, Value
from perdure.world.measure import depths, lowest, radius, thickness
from perdure.world.mechanism import MOVER, THING, WORLD, Compiled, Seat

Array = NDArray[np.float64]

REACH = 2.4  # metres from the eye
CARRY = 25.0  # kilograms that can be taken up
ARM = 0.5  # metres between the player's middle and the near side of what it carries
LOW = 0.4  # metres below the eye at which it hangs
SLIP = 2.0  # metres from where it should be at which it slips out of the hand
GRIP = 300.0  # newtons, beyond the thing's weight
HASTE = 3.0  # metres a second at which it comes to the hand
STIFF = 12.0  # a second: how fast the hold answers
THROW = 60.0  # joules that a throw gives
FASTEST = 8.0  # metres a second that it leaves the hand with


@dataclass(frozen=True)
class Outcome:
    """What came of using a hand: whom it concerned, what was done, what is held after it, or why it was refused."""

    did: str
    entity: int = -1
    held: int = -1
    refused: str = ""
    at: tuple[float, float, float] | None = None  # where it was put


def looked_at(compiled: Compiled, data: mujoco.MjData, eye: Array, without: int = -1) -> tuple[int, float]:
    """The entity that the eye (4, 4) looks at, and how far off it is; -1 for one that is nobody, or nothing there."""
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[[WORLD, MOVER, THING]] = 1
    geom = np.full(1, -1, np.int32)
    skip = compiled.seats[without].body if without >= 0 else -1
    way, from_ = np.ascontiguousarray(eye[:3, 2]), np.ascontiguousarray(eye[:3, 3])
    far = mujoco.mj_ray(compiled.sight, data, from_, way, groups, True, skip, geom)
    if geom[0] < 0:
        return -1, math.inf
    return int(compiled.owners[compiled.sight.geom_bodyid[geom[0]]]), float(far)


def use(compiled: Compiled, data: mujoco.MjData, eye: Array, held: int) -> Outcome:
    """Take up what is looked at, or open or close the door that is."""
    entity, far = looked_at(compiled, data, eye, held)
    if far > REACH:
        return Outcome("use", held=held, refused="nothing within reach")
    if entity < 0:
        return Outcome("use", held=held, refused="nothing there that can be used")
    seat = compiled.seats[entity]
    if seat.aim >= 0:
        return swing(compiled, data, seat, eye, held)
    if held >= 0:
        return Outcome("take", entity, held, refused=f"the hands are full, with entity {held}")
    if seat.kind != "free":
        return Outcome("take", entity, held, refused="it cannot be taken up")
    if seat.mass > CARRY:
        return Outcome("take", entity, held, refused=f"{seat.mass:.3g} kg is too heavy, {CARRY:g} can be carried")
    return Outcome("take", entity, entity)


def swing(compiled: Compiled, data: mujoco.MjData, seat: Seat, eye: Array, held: int) -> Outcome:
    """Open a door away from whoever opens it, or close it."""
    joint = int(compiled.model.actuator_trnid[seat.aim, 0])
    if data.ctrl[seat.aim] != 0:
        data.ctrl[seat.aim] = 0.0
        return Outcome("close", seat.entity, held)
    low, high = compiled.model.jnt_range[joint]
    # The side on which the player stands, seen in the door's frame as it hangs when shut.
    parent = int(compiled.model.body_parentid[seat.body])
    side = data.xmat[parent].reshape(3, 3).T @ (eye[:3, 3] - data.xanchor[joint])
    away = high if side[1] < 0 else low
    data.ctrl[seat.aim] = away if away != 0 else low + high
    return Outcome("open", seat.entity, held)


def place(compiled: Compiled, data: mujoco.MjData, eye: Array, feet: Array, yaw: float, held: int) -> Outcome:
    """Put down what is held, where it fits: before the player, or nearly so."""
    if held < 0:
        return Outcome("place", refused="nothing is held")
    seat = compiled.seats[held]
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[[WORLD, MOVER, THING]] = 1
    geom = np.full(1, -1, np.int32)
    reach = ARM + radius(compiled, seat)
    ways = [
        (off, out) for out in (reach, reach + 0.25, reach + 0.5) for off in (0.0, 0.35, -0.35, 0.7, -0.7, 1.3, -1.3)
    ]
    spare = compiled.spare()
    for off, out in ways:
        over = np.array((feet[0] + out * math.cos(yaw + off), feet[1] + out * math.sin(yaw + off), eye[2, 3]))
        between = over - eye[:3, 3]
        length = float(np.linalg.norm(between))
        met = mujoco.mj_ray(compiled.sight, data, eye[:3, 3].copy(), between / length, groups, True, seat.body, geom)
        if geom[0] >= 0 and met < length:
            continue  # a wall is between
        down = mujoco.mj_ray(compiled.sight, data, over, np.array((0.0, 0.0, -1.0)), groups, True, seat.body, geom)
        if geom[0] < 0:
            continue
        _copy(compiled, data, spare)
        top = over[2] - down
        at = np.array((over[0], over[1], top))
        quat = math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)
        spare.qpos[seat.qpos] = (*at, *quat)
        mujoco.mj_kinematics(compiled.model, spare)
        at[2] += top - lowest(compiled, spare, seat) + 0.002
        spare.qpos[seat.qpos] = (*at, *quat)
        mujoco.mj_kinematics(compiled.model, spare)
        mujoco.mj_collision(compiled.model, spare)
        if depths(compiled, spare).get(held, 0.0) > 1e-3:
            continue
        data.qpos[seat.qpos] = spare.qpos[seat.qpos]
        data.qvel[seat.dofs] = 0.0
        mujoco.mj_kinematics(compiled.model, data)
        return Outcome("place", held, -1, at=(float(at[0]), float(at[1]), float(at[2])))
    return Outcome("place", held, held, refused="there is no room for it")


def throw(compiled: Compiled, data: mujoco.MjData, eye: Array, held: int) -> Outcome:
    if held < 0:
        return Outcome("throw", refused="nothing is held")
    fling(compiled, data, compiled.seats[held], eye[:3, 2], math.inf)
    return Outcome("throw", held, -1)


def fling(compiled: Compiled, data: mujoco.MjData, seat: Seat, way: Array, speed: float) -> None:
    """Send a thing off, as fast as was asked and a throw allows."""
    # No faster than half its own size in a substep, or it might be through a wall before it touches it.
    most = min(FASTEST, thickness(compiled, seat) / compiled.model.opt.timestep)
    speed = min(speed, most, math.sqrt(2 * THROW / seat.mass))
    data.qvel[seat.dofs] = 0.0
    data.qvel[seat.dofs.start : seat.dofs.start + 3] = speed * way


def hold(compiled: Compiled, data: mujoco.MjData, seat: Seat, feet: Array, facing: "Facing") -> bool:
    """Pull what is held to where it should hang, for one substep. False where it is too far from there."""
    out = ARM + radius(compiled, seat)
    way = np.array((math.cos(facing.yaw), math.sin(facing.yaw), 0.0))
    height = facing.height - LOW + out * math.tan(facing.pitch)
    target = feet + out * way
    target[2] = max(height, feet[2] + 0.05 + radius(compiled, seat))
    velocity = np.array((*facing.velocity, 0.0)) + out * facing.turning * np.array((-way[1], way[0], 0.0))
    return pull(compiled, data, seat, target, velocity, facing.yaw)


def pull(compiled: Compiled, data: mujoco.MjData, seat: Seat, target: Array, velocity: Array, yaw: float) -> bool:
    """Pull a thing to where it should be, and upright, for one substep. False where it is too far from there."""
    model, body = compiled.model, seat.body
    start = seat.qpos.start
    apart = target - data.qpos[start : start + 3]
    if np.linalg.norm(apart) > SLIP:
        return False
    dof = seat.dofs.start
    wish = velocity + _capped(0.5 * STIFF * apart, HASTE)
    push = _capped(2 * STIFF * seat.mass * (wish - data.qvel[dof : dof + 3]), GRIP)
    data.qfrc_applied[dof : dof + 3] = push - seat.mass * model.opt.gravity
    # Upright, and facing as whoever holds it does.
    turned, error = np.empty(4), np.empty(3)
    upright = np.array((math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)))
    back = np.empty(4)
    mujoco.mju_negQuat(back, data.qpos[start + 3 : start + 7])
    mujoco.mju_mulQuat(turned, back, upright)
    mujoco.mju_quat2Vel(error, turned, 1.0)
    spin = data.qvel[dof + 3 : dof + 6]
    twist = 2 * STIFF * model.body_inertia[body] * (_capped(0.5 * STIFF * error, 2 * HASTE) - spin)
    data.qfrc_applied[dof + 3 : dof + 6] = twist
    return True


@dataclass(frozen=True)
class Facing:
    """How the player stands and turns while it holds something."""

    height: float  # of the eye
    yaw: float
    pitch: float
    velocity: tuple[float, float]
    turning: float  # radians a second


def _capped(vector: Array, most: float) -> Array:
    length = float(np.linalg.norm(vector))
    return vector if length <= most else vector * (most / length)


def _copy(compiled: Compiled, data: mujoco.MjData, out: mujoco.MjData) -> None:
    """Positions only: what it takes to see whether something fits."""
    out.qpos[:] = data.qpos
    if compiled.model.nmocap:
        out.mocap_pos[:], out.mocap_quat[:] = data.mocap_pos, data.mocap_quat


def noted(outcome: Outcome) -> Note:
    """What is to be told of it."""
    said: dict[str, Value] = {"hand": outcome.did}
    if outcome.at is not None:
        said["at"] = outcome.at
    verdict = f"refused: {outcome.refused}" if outcome.refused else "applied"
    return Note("act", "player", (outcome.entity,) if outcome.entity >= 0 else (), said, verdict=verdict)
