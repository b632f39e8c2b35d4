"""The player's body within a tick: where it stands and looks from, what it treads on, what it holds."""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import look, yaw_pitch
from perdure.world import hands
from perdure.world.action import Rates
from perdure.world.mechanism import TICK, Compiled

Array = NDArray[np.float64]

FLIGHT = 6.0  # metres a second at which the body follows an eye that flies


def camera(compiled: Compiled, data: mujoco.MjData, yaw: float, pitch: float) -> Array:
    return look(data.xpos[compiled.player] + (0.0, 0.0, compiled.eye), yaw, pitch)


def feet(compiled: Compiled, data: mujoco.MjData) -> Array:
    """(3,) where the player stands, even in the middle of a tick."""
    at = compiled.model.body_pos[compiled.player].copy()
    at[0] += data.qpos[compiled.slides[0]]
    at[1] += data.qpos[compiled.slides[1]]
    if compiled.rise is not None:
        at[2] += data.qpos[compiled.rise[0]]
    return at


def tread(compiled: Compiled, data: mujoco.MjData, fall: float) -> float:
    """Put the player on the ground after a substep; returns how fast it falls. To contacts it has no speed upward."""
    assert compiled.rise is not None
    x, y, z = map(float, feet(compiled, data))
    height, fall = compiled.terrain.follow(x, y, z, fall, compiled.model.opt.timestep)
    data.qpos[compiled.rise[0]] = height - compiled.model.body_pos[compiled.player, 2]
    data.qvel[compiled.rise[1]] = data.qacc_warmstart[compiled.rise[1]] = 0.0
    return fall


def hold(
    compiled: Compiled,
    data: mujoco.MjData,
    held: int,
    yaw: float,
    pitch: float,
    velocity: tuple[float, float],
    turning: float,
) -> bool:
    """Hold what is held for a substep, or let it go where it is too far off."""
    here = feet(compiled, data)
    facing = hands.Facing(compiled.eye + float(here[2]), yaw, pitch, velocity, turning)
    kept = hands.hold(compiled, data, compiled.seats[held], here, facing)
    if not kept:
        let_go(compiled, data, held)
    return kept


def let_go(compiled: Compiled, data: mujoco.MjData, held: int) -> None:
    data.qfrc_applied[compiled.seats[held].dofs] = 0.0


def follow(
    compiled: Compiled, data: mujoco.MjData, eye: Array, rates: Rates
) -> tuple[tuple[float, float], float, float]:
    """The velocity at which the body comes after an eye (4, 4) that flies, and the way it then faces."""
    here = feet(compiled, data)
    vx, vy = float(eye[0, 3] - here[0]) / TICK, float(eye[1, 3] - here[1]) / TICK
    share = min(1.0, FLIGHT / max(FLIGHT, math.hypot(vx, vy)))
    yaw, pitch = yaw_pitch(eye)
    return (share * vx, share * vy), yaw, rates.level(pitch)
