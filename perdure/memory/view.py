"""The state view: what was kept, drawn into the coming cameras at full sharpness.

Recalled keyframes and creatures' patches are cut into flat cells (`cells.py`) and drawn in two passes,
depth and colour (`raster.py`). Movers are drawn into buffers of their own, then put before or behind
what is still, so that feet do not mix with the floor. `tests/memory/test_view.py` has the plain twin.

Shapes: T frames, H height, W width, K pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, check_pose, invert
from perdure.memory.cells import EMPTY, join
from perdure.memory.raster import Sight, draw, room
from perdure.world.geometry import Keyframe
from perdure.world.identity import Patch

MENDED = 0.02  # confidence of a filled pinhole
FEET = 1.01  # a mover is drawn this much nearer, so that what it stands on does not cut it
SIDES = 3  # patches of a mover that are drawn at once: what one hides another has seen
ASIDE = np.cos(np.radians(100.0))  # beyond this angle a patch shows nothing that faces the camera


@dataclass(frozen=True, eq=False)
class Placed:
    """An entity's patches, and where its body is in each frame."""

    patches: tuple[Patch, ...]
    poses: Array  # (T, 4, 4) body to world


@dataclass(frozen=True, eq=False)
class View:
    rgb: NDArray[np.uint8]  # (T, H, W, 3)
    confidence: NDArray[np.uint8]  # (T, H, W) 0 where nothing is known
    depth: NDArray[np.float32]  # (T, H, W) metres along z, 0 where nothing is known
    mover: NDArray[np.bool_]  # (T, H, W) drawn from a patch


@njit(nogil=True, cache=True, error_model="numpy")
def _resolve(sum_HW6, front_HW, moving_HW6, moving_front_HW, rgb_HW3, known_HW, depth_HW, mover_HW):
    """Still things and movers into one picture: the nearer shows."""
    height, width = front_HW.shape
    for y in range(height):
        for x in range(width):
            front, moving = front_HW[y, x], moving_front_HW[y, x]
            move = moving >= 0.0 and moving * FEET >= front
            sums = moving_HW6[y, x] if move else sum_HW6[y, x]
            weight = sums[0]
            mover_HW[y, x] = move and weight > 0.0
            if weight <= 0.0:
                rgb_HW3[y, x, 0], rgb_HW3[y, x, 1], rgb_HW3[y, x, 2] = 0, 0, 0
                known_HW[y, x], depth_HW[y, x] = 0.0, 0.0
                continue
            share = 1.0 / weight
            for c in range(3):
                rgb_HW3[y, x, c] = np.uint8(min(max(sums[2 + c] * share + 0.5, 0.0), 255.0))
            known_HW[y, x] = min(sums[5], 1.0)
            depth_HW[y, x] = 1.0 / max(sums[1] * share, 1.0 / FAR)


@njit(nogil=True, cache=True, error_model="numpy")
def _mend(rgb_HW3, known_HW, depth_HW):
    """Fill pixels with five known neighbours or more, from the farther ones: pinholes, too small to be news."""
    height, width = known_HW.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if known_HW[y, x] > 0.0:
                continue
            count, far = 0, 0.0
            for j in range(y - 1, y + 2):
                for i in range(x - 1, x + 2):
                    if known_HW[j, i] > MENDED:
                        count += 1
                        far = max(far, depth_HW[j, i])
            if count < 5:
                continue
            red, green, blue, total = 0, 0, 0, 0
            for j in range(y - 1, y + 2):
                for i in range(x - 1, x + 2):
                    if known_HW[j, i] > MENDED and depth_HW[j, i] > 0.9 * far:
                        red, green, blue = red + rgb_HW3[j, i, 0], green + rgb_HW3[j, i, 1], blue + rgb_HW3[j, i, 2]
                        total += 1
            rgb_HW3[y, x, 0], rgb_HW3[y, x, 1], rgb_HW3[y, x, 2] = red // total, green // total, blue // total
            known_HW[y, x], depth_HW[y, x] = MENDED, far


@njit(nogil=True, cache=True, error_model="numpy")
def _soften(known_HW, line_HW, out_HW):
    """Confidence as a byte, falling off over two pixels towards what is not known, so that no edge is hard."""
    height, width = known_HW.shape
    for y in range(height):
        for x in range(width):
            total = 0.0
            for d in range(-2, 3):
                total += (3.0 - abs(d)) * known_HW[y, min(max(x + d, 0), width - 1)]
            line_HW[y, x] = total / 9.0
    for y in range(height):
        for x in range(width):
            out_HW[y, x] = 0
            if known_HW[y, x] <= 0.0:
                continue
            total = 0.0
            for d in range(-2, 3):
                total += (3.0 - abs(d)) * line_HW[min(max(y + d, 0), height - 1), x]
            smooth = total / 9.0
            soft = min(smooth, known_HW[y, x], 2.0 * smooth - known_HW[y, x])
            out_HW[y, x] = np.uint8(max(255.0 * soft, 1.0))


def _choose(mover: Placed, frame: int, camera: Array) -> list[int]:
    """The few patches that saw the body from nearest to where the camera is now."""
    eye = invert(mover.poses[frame])[:3] @ camera[:, 3]
    cosines = [
        float(eye @ patch.pose[:3, 3] / (np.linalg.norm(eye) * np.linalg.norm(patch.pose[:3, 3]) + 1e-12))
        for patch in mover.patches
    ]
    best = sorted(range(len(cosines)), key=lambda k: (-cosines[k], k))[:SIDES]
    return [k for n, k in enumerate(best) if n == 0 or cosines[k] > ASIDE]


class _Layer:
    """Pictures drawn together, and the arrays that this takes."""

    def __init__(self, sources: Sequence[Keyframe] | Sequence[Patch], intrinsics: Intrinsics, crops: bool) -> None:
        self.sources, self.intrinsics, self.crops = sources, intrinsics, crops
        self.cells = join(tuple(sources))
        self.aimed = room(len(self.cells.tile_N))
        shape = (intrinsics.height, intrinsics.width)
        self.front_HW, self.sum_HW6 = np.empty(shape, np.float32), np.empty((*shape, 6), np.float32)

    def draw(self, poses: Sequence[Array], use_K: NDArray[np.bool_], camera: Array) -> None:
        self.front_HW.fill(EMPTY)
        self.sum_HW6.fill(0)
        if use_K.any():
            lenses = [source.intrinsics for source in self.sources]
            sight = Sight.of(lenses, poses, use_K, camera, self.intrinsics, self.crops)
            draw(self.cells, sight, self.aimed, self.front_HW, self.sum_HW6)


def render(keyframes: Sequence[Keyframe], movers: Sequence[Placed], cameras: Array, intrinsics: Intrinsics) -> View:
    """What is known, as `cameras` (T, 4, 4) will see it."""
    if cameras.ndim != 3 or cameras.shape[1:] != (4, 4):
        raise ValueError(f"expected cameras of shape (T, 4, 4), got {cameras.shape}")
    for camera in cameras:
        check_pose(camera)
    for mover in movers:
        if mover.poses.shape != cameras.shape:
            raise ValueError(f"expected a body pose for each camera, {cameras.shape}, got {mover.poses.shape}")
    frames, shape = len(cameras), (intrinsics.height, intrinsics.width)
    still = _Layer(keyframes, intrinsics, crops=False)
    # Only patches that some frame shows: a thing is known from many sides, and seen from one.
    seen = [[_choose(mover, t, camera) for t, camera in enumerate(cameras)] for mover in movers]
    shown = [sorted({k for frame in choices for k in frame}) for choices in seen]
    patches = [mover.patches[k] for mover, some in zip(movers, shown) for k in some]
    moving = _Layer(patches, intrinsics, crops=True)
    view = View(
        np.empty((frames, *shape, 3), np.uint8),
        np.empty((frames, *shape), np.uint8),
        np.empty((frames, *shape), np.float32),
        np.empty((frames, *shape), np.bool_),
    )
    known_HW, line_HW = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for t, camera in enumerate(cameras):
        still.draw([keyframe.pose for keyframe in keyframes], np.ones(len(keyframes), np.bool_), camera)
        poses, use = [], []
        for mover, some, choices in zip(movers, shown, seen):
            poses += [mover.poses[t] @ mover.patches[k].pose for k in some]
            use += [k in choices[t] for k in some]
        moving.draw(poses, np.array(use, np.bool_), camera)
        _resolve(still.sum_HW6, still.front_HW, moving.sum_HW6, moving.front_HW, view.rgb[t], known_HW,
                 view.depth[t], view.mover[t])  # fmt: skip
        _mend(view.rgb[t], known_HW, view.depth[t])
        _soften(known_HW, line_HW, view.confidence[t])
    return view
