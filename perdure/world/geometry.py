"""G, the geometry: posed RGB-D keyframes. A keyframe never changes once it is written.

Shapes: H height, W width. RGB is uint8; depth is uint16 millimetres along the camera's z
(so the bytes that are stored are the bytes that are used); `mask` is True where the keyframe
has something to say.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics

MILLIMETRES = 1000.0


@dataclass(frozen=True, eq=False)
class Keyframe:
    step: int  # the chunk it was seen in; -1 for a seed
    pose: NDArray[np.float64]  # (4, 4) camera to world
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.uint16]  # (H, W) millimetres
    mask: NDArray[np.bool_]  # (H, W)

    @cached_property
    def metres(self) -> NDArray[np.float32]:
        return self.depth.astype(np.float32) / np.float32(MILLIMETRES)
