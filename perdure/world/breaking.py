"""Breaking: when what is brittle has had too hard a blow. What comes of it is an edit, `happenings.shattered`.

A blow is a jolt: how much the velocity of a thing changes within a tick, by whatever it meets. One that is only pushed,
carried or put down has none that is hard; one that is thrown at a wall, or falls from a hand, has.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world.history import Note
from perdure.world.mechanism import Compiled

Array = NDArray[np.float64]

HARD = 3.0  # metres a second that a jolt takes or gives: a fall from half a metre


def speeds(compiled: Compiled, data: mujoco.MjData) -> Array:
    """(N, 3) velocities of all that is brittle."""
    return np.array([data.qvel[seat.dofs][:3] for seat in compiled.brittle]).reshape(-1, 3)


def jolted(compiled: Compiled, data: mujoco.MjData, before: Array) -> list[int]:
    """The entities that break by what a tick has done to them, which began with these `speeds`."""
    jolts = np.linalg.norm(speeds(compiled, data) - before, axis=1)
    return [seat.entity for seat, jolt in zip(compiled.brittle, jolts) if jolt > HARD]


def kicked(compiled: Compiled, notes: Sequence[Note]) -> dict[int, int]:
    """The entities that break by strokes that met them, each with the frame of its chunk."""
    brittle = {seat.entity for seat in compiled.brittle}
    kicks = [note for note in notes if note.kind == "kick" and note.targets[1] in brittle]
    return {note.targets[1]: int(str(note.args["frame"])) for note in reversed(kicks)}
