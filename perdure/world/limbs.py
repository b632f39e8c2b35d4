"""Limbs: where the bodies of a creature that has deeds are, at an instant of what it does.

A pure function of its gait: the present deed's curves, and for a moment those of the one before, blended; each part
hung on its parent. A creature's curves are laid out once in flat tables (`Rig`), which one compiled loop reads.

Shapes: P parts, D deeds, B beads, K keys of all curves. Quaternions are w, x, y, z.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world import kinematics
from perdure.world.deed import Curve, knots
from perdure.world.mover import Gait, Mover

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

BLEND = 0.15  # seconds in which one deed's pose passes into the next one's


@dataclass(frozen=True, eq=False)
class Rig:
    """A creature, laid out for the loop."""

    slots: Indices  # (1 + P + B,) of the root, the parts and the beads among mocap bodies
    parents: Indices  # (P,) part that each hangs on, -1: the root
    rest: Array  # (P, 8) pivot, axis, swing, phase
    turned: Indices  # (D, P, 2) each deed's curve of each part: its first key and how many; none: it is at rest
    moved: Indices  # (D, P, 2) the same of shifts
    borne: Indices  # (D, 2) the same of the root
    keys: Array  # (K, 13) time, six values, six slopes
    deeds: Array  # (D, 5) seconds, loops, pace, turn, the part of the trail or -1
    tips: Array  # (P, 3) the far end of each part, which is what leaves a trail
    grip: int  # the row of the part that holds what it carries; 0: the root
    own: Array  # (6,) speed, hover above 0, bob, home x, home y, beads


@lru_cache(maxsize=2048)
def _rows(curve: Curve, loops: bool) -> tuple[tuple[float, ...], ...]:
    """(K, 13) the keys of a curve; kept, for a world is compiled anew for each thing that is put into it."""
    out: list[tuple[float, ...]] = []
    for time, values, slopes in zip(*knots(curve, loops)):
        spare = (0.0,) * (6 - len(values))
        out.append((time, *values, *spare, *slopes, *spare))
    return tuple(out)


def rig(mover: Mover, model: mujoco.MjModel, mocap: Mapping[str, int]) -> Rig:
    labels = {part.label: i for i, part in enumerate(mover.parts) if part.label}
    rest = np.zeros((len(mover.parts), 8))
    for row, part in zip(rest, mover.parts):
        length = math.sqrt(sum(a * a for a in part.axis)) or 1.0
        row[:] = *part.pivot, *(a / length for a in part.axis), part.swing, part.phase
    table: list[tuple[float, ...]] = []

    def laid(curve: Curve, loops: bool) -> tuple[int, int]:
        start = len(table)
        table.extend(_rows(curve, loops))
        return start, len(table) - start

    count = len(mover.deeds), len(mover.parts), 2
    turned, moved = np.zeros(count, np.int64), np.zeros(count, np.int64)
    borne, deeds = np.zeros((len(mover.deeds), 2), np.int64), np.zeros((len(mover.deeds), 5))
    for n, deed in enumerate(mover.deeds):
        for curves, out in ((deed.parts, turned), (deed.shifts, moved)):
            for label, curve in curves.items():
                out[n, labels[label]] = laid(curve, deed.loops)
        borne[n] = laid(deed.root, deed.loops) if deed.root else (0, 0)
        deeds[n] = deed.seconds, deed.loops, deed.pace, deed.turn, labels[deed.trail] if deed.trail else -1
    return Rig(
        np.array([mocap[name] for name in mover.bodies]),
        np.array([labels[part.parent] if part.parent else -1 for part in mover.parts], np.int64),
        rest,
        turned,
        moved,
        borne,
        np.array(table).reshape(-1, 13),
        deeds,
        np.array([_tip(model, part.body) for part in mover.parts]).reshape(-1, 3),
        labels[mover.grip] + 1 if mover.grip else 0,
        np.array([mover.speed, mover.ground + mover.hover, mover.bob, *mover.home, len(mover.beads)]),
    )


def borne(rig: Rig, deed: int, clock: float) -> Array:
    """(6,) forward, left, up, yaw, pitch, roll of the whole body at a share of a deed."""
    out = np.zeros(6)
    if deed >= 0:
        kinematics.loops()[0](rig.keys, rig.borne[deed, 0], rig.borne[deed, 1], clock, out)
    return out


def posed(rig: Rig, gait: Gait) -> tuple[Array, Array]:
    """Positions (1 + P + B, 3) and quaternions (1 + P + B, 4) in the world of the root, the parts and the beads."""
    act = gait.act
    assert act is not None
    places, turns = np.empty((len(rig.slots), 3)), np.empty((len(rig.slots), 4))
    share = act.blend / BLEND
    weight = share * share * (3 - 2 * share)  # of the pose before
    where = (gait.x, gait.y, gait.heading, gait.strides, gait.pace)
    doing = (act.deed, act.clock, act.was, act.was_clock, weight)
    kinematics.loops()[1](
        rig.parents, rig.rest, rig.turned, rig.moved, rig.borne, rig.keys, rig.deeds, rig.own, rig.tips,
        where, doing, places, turns,
    )  # fmt: skip
    return places, turns


def grip(rig: Rig, gait: Gait) -> Array:
    """(3,) where its hand is, or whatever it holds things with."""
    places, turns = posed(rig, gait)
    if not rig.grip:
        return places[0] + 0.4 * np.array((math.cos(gait.heading), math.sin(gait.heading), 0.0))
    out = np.empty(3)
    mujoco.mju_rotVecQuat(out, rig.tips[rig.grip - 1], turns[rig.grip])
    return places[rig.grip] + out


def _tip(model: mujoco.MjModel, name: str) -> Array:
    """The far end of a body from its origin: of the round and long ends of its geoms, the farthest."""
    body, best = model.body(name).id, np.zeros(3)
    for geom in np.flatnonzero(model.geom_bodyid == body):
        matrix, ends = np.empty(9), [0.0]
        mujoco.mju_quat2Mat(matrix, model.geom_quat[geom])
        if model.geom_type[geom] in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
            ends = [-float(model.geom_size[geom, 1]), float(model.geom_size[geom, 1])]
        for end in ends:
            point = model.geom_pos[geom] + end * matrix.reshape(3, 3)[:, 2]
            if point @ point > best @ best:
                best = point
    return best
