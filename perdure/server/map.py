"""The small map: what the keyframes know of the place, seen from above.

Every keyframe is unprojected once, for it never changes. A cell takes the mean colour of the points
in it, bright where they stand up like a wall, dim where they lie like a floor.

A cell that nobody saw, beside some that were seen, takes after them: far floor is seen sparsely.

Shapes: H, W cells; N points.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import unproject
from perdure.server import protocol
from perdure.world.geometry import Keyframe

CELL = 0.125  # metres
SIDE = 256  # cells, at first; doubled when the world outgrows it
REACH = 16.0  # metres: beyond, a pixel covers too much ground to be drawn as a point
ABOVE = 0.5  # metres over the eye: what is higher is a ceiling and would hide the place
UPRIGHT = 0.3  # metres over the floor from which a point belongs to something that stands
STRIDE = 2  # every second pixel each way is enough


class SmallMap:
    """Grows as keyframes come. `picture` is cheap when nothing did."""

    def __init__(self) -> None:
        self._seen: dict[int, Keyframe] = {}  # by id; holding them keeps the ids from being used again
        self._origin = np.zeros(2, np.int64)  # the cell of row 0, column 0
        self._count = np.zeros((0, 0), np.int32)
        self._colour = np.zeros((0, 0, 3), np.float64)
        self._low = np.zeros((0, 0))
        self._high = np.zeros((0, 0))
        self._picture: protocol.Map | None = None

    def picture(self, keyframes: Sequence[Keyframe]) -> protocol.Map | None:
        """The map with these keyframes in it; None while there are none."""
        fresh = [k for k in keyframes if id(k) not in self._seen]
        for keyframe in fresh:
            self._seen[id(keyframe)] = keyframe
            self._add(keyframe)
        if fresh:
            self._picture = self._draw(len(keyframes))
        return self._picture

    def _add(self, keyframe: Keyframe) -> None:
        rows, columns = slice(None, None, STRIDE), slice(None, None, STRIDE)
        depth = keyframe.metres[rows, columns]
        points = unproject(keyframe.metres.astype(np.float64), keyframe.intrinsics, keyframe.pose)[rows, columns]
        known = keyframe.mask[rows, columns] & (depth < REACH) & (points[..., 2] < keyframe.pose[2, 3] + ABOVE)
        points_N3, colours_N3 = points[known], keyframe.rgb[rows, columns][known].astype(np.float64)
        if not len(points_N3):
            return
        cells_N2 = np.floor(points_N3[:, :2] / CELL).astype(np.int64)
        self._reach(cells_N2.min(0) - 1, cells_N2.max(0) + 1)  # a rim stays empty
        x, y = (cells_N2 - self._origin).T
        np.add.at(self._count, (y, x), 1)
        np.add.at(self._colour, (y, x), colours_N3)
        np.minimum.at(self._low, (y, x), points_N3[:, 2])
        np.maximum.at(self._high, (y, x), points_N3[:, 2])

    def _reach(self, low_2: NDArray[np.int64], high_2: NDArray[np.int64]) -> None:
        """Enlarge the grid until these cells lie in it."""
        side = len(self._count)
        if side and (low_2 >= self._origin).all() and (high_2 < self._origin + side).all():
            return
        if side:
            low_2, high_2 = np.minimum(low_2, self._origin), np.maximum(high_2, self._origin + side - 1)
        wider = SIDE
        while wider < (high_2 - low_2).max() + 1:
            wider *= 2
        origin = (low_2 + high_2 + 1) // 2 - wider // 2
        at = self._origin - origin
        place = slice(at[1], at[1] + side), slice(at[0], at[0] + side)

        def moved(old: NDArray, empty: float) -> NDArray:
            new = np.full((wider, wider, *old.shape[2:]), empty, old.dtype)
            if side:
                new[place] = old
            return new

        self._count, self._colour = moved(self._count, 0), moved(self._colour, 0.0)
        self._low, self._high = moved(self._low, np.inf), moved(self._high, -np.inf)
        self._origin = origin

    def _draw(self, keyframes: int) -> protocol.Map | None:
        rows, columns = np.nonzero(self._count)
        if not len(rows):
            return None
        top, bottom, left, right = rows.min() - 1, rows.max() + 2, columns.min() - 1, columns.max() + 2
        box = slice(top, bottom), slice(left, right)
        seen_HW = self._count[box] > 0
        colour_HW3 = self._colour[box] / np.maximum(self._count[box], 1)[..., None]
        floor = np.median(self._low[self._count > 0])
        upright_HW = self._high[box] > floor + UPRIGHT
        colour_HW3, seen_HW, upright_HW = _grown(colour_HW3, seen_HW, upright_HW)
        rgba = np.zeros((*seen_HW.shape, 4), np.uint8)
        rgba[..., :3] = np.clip(colour_HW3 * np.where(upright_HW, 1.2, 0.5)[..., None], 0, 255)
        rgba[..., 3] = 255 * seen_HW
        out = io.BytesIO()
        Image.fromarray(rgba[::-1]).save(out, "PNG", compress_level=3)  # row 0 of a picture is its top, +y here
        return protocol.Map(
            png=base64.b64encode(out.getvalue()).decode(),
            left=float((self._origin[0] + left) * CELL),
            top=float((self._origin[1] + bottom) * CELL),
            metres=CELL,
            keyframes=keyframes,
        )


def _grown(
    colour_HW3: NDArray[np.float64], seen_HW: NDArray[np.bool_], upright_HW: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The same with every unseen cell that has a seen neighbour filled in, upright if one of them is."""
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    near_HW = np.zeros_like(seen_HW)
    for step in around:
        near_HW |= np.roll(seen_HW, step, (0, 1))  # the outermost cells are empty, so nothing comes round
    y_N, x_N = np.nonzero(near_HW & ~seen_HW)
    total_N3, count_N, upright_N = np.zeros((len(y_N), 3)), np.zeros(len(y_N)), np.zeros(len(y_N), bool)
    height, width = seen_HW.shape
    for dy, dx in around:
        at = (y_N + dy) % height, (x_N + dx) % width
        total_N3 += colour_HW3[at] * seen_HW[at][:, None]
        count_N += seen_HW[at]
        upright_N |= upright_HW[at] & seen_HW[at]
    colour_HW3, upright_HW = colour_HW3.copy(), upright_HW.copy()
    colour_HW3[y_N, x_N] = total_N3 / count_N[:, None]
    upright_HW[y_N, x_N] = upright_N
    return colour_HW3, seen_HW | near_HW, upright_HW
