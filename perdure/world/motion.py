"""Motion: what a chunk looked like to whoever was there.

Shapes: T frames of a chunk. Poses are 4x4 float64, camera or body to world.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.deed import Condition
from perdure.world.history import Note

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the eye and all that has a body are in each of a chunk's frames; the last is where the chunk ends."""

    cameras: Array  # (T, 4, 4) camera to world
    intrinsics: Intrinsics
    bodies: Mapping[int, Array]  # entity -> (T, 4, 4) of the body it is known by, body to world
    notes: tuple[Note, ...] = ()  # what hands and creatures did, and what rules rejected or projected
    conditions: Mapping[int, tuple[Condition, ...]] = field(default_factory=dict[int, tuple[Condition, ...]])
    """How each creature that has deeds is doing in each of the frames; of a chunk that was advanced, else none."""
