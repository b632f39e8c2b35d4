"""Breaking: when what is brittle has had too hard a blow, and how its pieces look. What comes of it is an edit,
`happenings.shattered`.

A blow is a jolt: how much the velocity of a thing changes within a tick, by whatever it meets. One that is only pushed,
carried or put down has none that is hard; one that is thrown at a wall, or falls from a hand, has.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.history import Note
from perdure.world.identity import Patch
from perdure.world.keyframe import MILLIMETRES
from perdure.world.mechanism import Compiled

Array = NDArray[np.float64]

HARD = 3.0  # metres a second that a jolt takes or gives: a fall from half a metre
FINE = 24  # pixels of a piece's look, each way
FACES = (((1, 0, 0), (0, 0, -1), (0, 1, 0)), ((-1, 0, 0), (0, 0, -1), (0, -1, 0)))
"""Right, down and ahead of who looks at a piece's two sides, in its frame."""


def speeds(compiled: Compiled, data: mujoco.MjData) -> Array:
    """(N, 3) velocities of all that is brittle."""
    return np.array([data.qvel[seat.dofs][:3] for seat in compiled.brittle]).reshape(-1, 3)


def jolted(compiled: Compiled, data: mujoco.MjData, before: Array, carried: set[int]) -> list[int]:
    """The entities that break by what a tick has done to them, which began with these `speeds`.

    What is carried does not, however light it is and however quickly a hand moves it.
    """
    jolts = np.linalg.norm(speeds(compiled, data) - before, axis=1)
    return [s.entity for s, jolt in zip(compiled.brittle, jolts) if jolt > HARD and s.entity not in carried]


def kicked(compiled: Compiled, notes: Sequence[Note]) -> dict[int, int]:
    """The entities that break by strokes that met them, each with the frame of its chunk."""
    brittle = {seat.entity for seat in compiled.brittle}
    kicks = [note for note in notes if note.kind == "kick" and note.targets[1] in brittle]
    return {note.targets[1]: int(str(note.args["frame"])) for note in reversed(kicks)}


def looks(whole: Sequence[Patch], number: int, size: tuple[float, float, float]) -> tuple[Patch, ...]:
    """Both sides of a piece of this size, in colours from the middle of a look at the whole; each of another look."""
    beside = [patch for patch in whole if patch.mask.any() and abs(patch.pose[2, 2]) < 0.3]
    if not beside:
        return ()
    patch = beside[number % len(beside)]
    rows, columns = np.nonzero(patch.mask)
    y = np.quantile(rows, np.linspace(0.3, 0.7, FINE)).astype(int)
    x = np.quantile(columns, np.linspace(0.3, 0.7, FINE)).astype(int)
    there = patch.mask[np.ix_(y, x)]
    rgb = np.where(there[..., None], patch.rgb[np.ix_(y, x)], np.median(patch.rgb[patch.mask], axis=0)).astype(np.uint8)
    wide, thick, high = size
    away = 4 * max(wide, high)
    near = away - 0.5 * thick
    lens = Intrinsics(FINE, FINE, FINE * near / wide, FINE * near / high, 0.5 * FINE, 0.5 * FINE)
    depth = np.full((FINE, FINE), round(near * MILLIMETRES), np.uint16)
    out: list[Patch] = []
    for axes in FACES:
        pose = np.eye(4)
        pose[:3, :3] = np.array(axes, float).T
        pose[:3, 3] = -away * pose[:3, 2]
        out.append(Patch(pose, lens, rgb, depth, np.ones_like(there)))
    return tuple(out)
