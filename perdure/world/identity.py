"""I, the identity: who and what is in the world, and how each looks.

An entity's look is kept as RGB-D patches in its body's frame, one for each direction it was
seen from, so that a creature can be drawn wherever physics says it stands now.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics


@dataclass(frozen=True, eq=False)
class Patch:
    """One look at an entity. `pose` is camera to body, so the patch moves with the body."""

    pose: NDArray[np.float64]  # (4, 4)
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (h, w, 3)
    depth: NDArray[np.uint16]  # (h, w) millimetres
    mask: NDArray[np.bool_]  # (h, w)


@dataclass(frozen=True, eq=False)
class Entity:
    id: int  # stable, unique in its world; 0 is the player
    kind: str  # "player", "creature", ...
    name: str
    body: str  # the MuJoCo body that it lives in
    patches: tuple[Patch, ...] = ()
