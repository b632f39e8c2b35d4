"""P, the physics: bodies, creatures and the player, moved one chunk at a time.

Shapes: T frames of a chunk. Poses are 4x4 float64, camera or body to world.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A mocap body that swings on its creature: `swing * sin(2 pi strides + phase)` radians about `axis`."""

    body: str
    pivot: tuple[float, float, float]  # where it hangs, in the root body's frame
    axis: tuple[float, float, float]  # in the root body's frame
    swing: float  # radians
    phase: float = 0.0


@dataclass(frozen=True)
class Mover:
    """A creature: a mocap root body that wanders about its home, and the parts that hang on it."""

    entity: int
    body: str  # the root; +x is its forward, z up
    parts: tuple[Part, ...] = ()
    speed: float = 0.6  # metres a second
    stride: float = 0.8  # metres to a full cycle of the parts
    hover: float = 0.5  # height of the root's origin above the ground, metres
    bob: float = 0.0  # how far the root rises and falls within a stride, metres
    home: tuple[float, float] = (0.0, 0.0)
    radius: float = 3.0  # how far from home it wanders, metres


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the eye and the creatures are in each of a chunk's frames; the last is where the chunk ends."""

    cameras: Array  # (T, 4, 4) camera to world
    intrinsics: Intrinsics
    bodies: Mapping[int, Array]  # entity -> (T, 4, 4) of its root body, body to world
