"""Mounted: what it is to be followed by a camera, or to be on wheels, for a player whose world has a `Mount`."""

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.action import Action
from perdure.world.follow import Chase, Mount, follow
from perdure.world.mechanism import MOVER, THING, WORLD, Compiled
from perdure.world.mover import Gait, Mover

Array = NDArray[np.float64]

_SOLID = np.zeros(mujoco.mjNGROUP, np.uint8)
_SOLID[[WORLD, MOVER, THING]] = 1


def axes(action: Action, mount: Mount | None) -> tuple[int, int, int, int]:
    """What keys ask for. On wheels what goes sideways steers, and nothing turns that does not roll."""
    forward, sideways, turns, ups = action.axes
    if mount is None or not mount.rolls:
        return forward, sideways, turns, ups
    return forward, 0, max(-1, min(1, turns + sideways)) if forward else 0, ups


def swings(action: Action, mount: Mount | None) -> bool:
    """Whether a mouse turns it."""
    return mount is None or not mount.rolls or action.axes[0] != 0


def alive(movers: Sequence[Mover], gaits: Sequence[Gait]) -> bool:
    """Whether the player's own body lives."""
    return all(mover.entity != 0 or gait.act is None or gait.act.alive for mover, gait in zip(movers, gaits))


def chased(
    mount: Mount,
    compiled: Compiled,
    data: mujoco.MjData,
    yaw: float,
    pitch: float,
    chase: Chase | None,
    held: int,
    seconds: float,
) -> tuple[Chase, Array]:
    """The camera (4, 4) that follows the player, so much later; what stands between them brings it nearer."""
    body = np.eye(4)
    body[:2, :2] = (math.cos(yaw), -math.sin(yaw)), (math.sin(yaw), math.cos(yaw))
    body[:3, 3] = data.xpos[compiled.player]
    skip = compiled.seats[held].body if held >= 0 else -1
    geom = np.full(1, -1, np.int32)

    def free(start: Array, way: Array) -> float:
        far = mujoco.mj_ray(compiled.sight, data, start, way, _SOLID, True, skip, geom)
        return far if geom[0] >= 0 else math.inf

    return follow(mount, body, free, chase, seconds, pitch)
