"""Occupancy: what stands in the way in a world of which only pictures are known, as boxes that physics can use.

The depth of keyframes becomes points, points fill voxels, and voxels are merged into few boxes. The floor, where
there is one, is a plane. Where a camera has been nothing stands, whatever a picture says.

Shapes: H height, W width, N points, X Y Z voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, unproject
from perdure.world.geometry import MILLIMETRES, Keyframe

Array = NDArray[np.float64]

VOXEL = 0.15  # metres: half of the player's radius, so that what is between two voxels is too narrow for it
LEAST = 3  # points that make a voxel stand
NEAR, DISTANT = 0.3, 15.0  # metres between which depth is believed
JUMP = 0.1  # relative change of depth to a neighbour beyond which a pixel lies on an edge
LEVEL = 0.93  # how upright the normal of a floor is
SLAB = 0.08  # metres: how flat it is
FLOOR = 0.03  # share of all points that make one
ROOM = 0.45  # metres about a camera in which nothing stands

_PLAYER = """    <body name="player" pos="0 0 {z:.5g}">
      <joint name="player_x" type="slide" axis="1 0 0"/>
      <joint name="player_y" type="slide" axis="0 1 0"/>
      <geom name="player" type="capsule" pos="0 0 0.9" size="0.3 0.55" mass="70" group="2" material="player"/>
    </body>"""


@dataclass(frozen=True)
class Box:
    centre: tuple[float, float, float]
    half: tuple[float, float, float]


@dataclass(frozen=True)
class Occupancy:
    boxes: tuple[Box, ...]
    floor: float | None  # its height

    def to_mjcf(self) -> str:
        """Geoms that stand still."""
        lines = [] if self.floor is None else [f'<geom type="plane" pos="0 0 {self.floor:.5g}" size="0 0 0.1"/>']
        for box in self.boxes:
            pos, size = (" ".join(f"{value:.5g}" for value in values) for values in (box.centre, box.half))
            lines.append(f'<geom type="box" pos="{pos}" size="{size}"/>')
        return "\n".join(lines)

    def to_xml(self) -> str:
        """A scene of it, with the player, to begin physics from."""
        return (
            f'<mujoco>\n<compiler angle="radian"/>\n<option timestep="{1 / 96!r}"/>\n'
            f'<asset><material name="player"/></asset>\n<worldbody>\n{self.to_mjcf()}\n'
            f"{_PLAYER.format(z=self.floor or 0.0)}\n</worldbody>\n</mujoco>"
        )


def occupied(keyframes: Sequence[Keyframe], voxel: float = VOXEL, least: int = LEAST) -> Occupancy:
    """What keyframes know to stand in the way."""
    seen = [surface(keyframe) for keyframe in keyframes]
    points = np.concatenate([points for points, _ in seen]) if seen else np.empty((0, 3))
    normals = np.concatenate([normals for _, normals in seen]) if seen else np.empty((0, 3))
    floor = floor_of(points, normals)
    if floor is not None:
        points = points[points[:, 2] > floor + voxel]
    for keyframe in keyframes:
        away = np.hypot(*(points[:, :2] - keyframe.pose[:2, 3]).T) > ROOM
        points = points[away]
    return Occupancy(boxes_of(voxels_of(points, voxel, least), voxel), floor)


def surface(keyframe: Keyframe) -> tuple[Array, Array]:
    """(N, 3) points of what a keyframe saw, without those on edges, and (N, 3) normals toward the camera."""
    depth = keyframe.depth.astype(np.float64) / MILLIMETRES
    points_HW3 = unproject(depth, keyframe.intrinsics, keyframe.pose)
    good = keyframe.mask & (depth > NEAR) & (depth < min(DISTANT, FAR))
    across, down = np.zeros_like(points_HW3), np.zeros_like(points_HW3)
    across[:, :-1], down[:-1] = points_HW3[:, 1:] - points_HW3[:, :-1], points_HW3[1:] - points_HW3[:-1]
    for axis in (0, 1):
        change = np.abs(np.diff(depth, axis=axis))
        smooth = change < JUMP * np.minimum(*((depth[1:], depth[:-1]) if axis == 0 else (depth[:, 1:], depth[:, :-1])))
        here = np.zeros_like(good)
        here[(slice(None, -1), slice(None))[:: 1 - 2 * axis]] = smooth
        good &= here
    normals = np.cross(down, across)
    length = np.linalg.norm(normals, axis=-1)
    good &= length > 0
    return points_HW3[good], normals[good] / length[good][:, None]


def floor_of(points: Array, normals: Array) -> float | None:
    """The height of the widest level surface that is not above most else, if it is wide enough."""
    level = points[np.abs(normals[:, 2]) > LEVEL, 2]
    if len(level) < max(1, FLOOR * len(points)):
        return None
    low = level[level <= np.median(points[:, 2])]
    if not len(low):
        return None
    cells = np.floor(low / SLAB).astype(np.int64)
    first = cells.min()
    # Two neighbouring slabs, so that a floor that lies on their border is not halved.
    counts = np.bincount(cells - first, minlength=1)
    pairs = counts + np.append(counts[1:], 0)
    best = int(np.argmax(pairs))
    if pairs[best] < FLOOR * len(points):
        return None
    near = low[(cells - first == best) | (cells - first == best + 1)]
    return round(float(np.median(near)), 3)


def voxels_of(points: Array, voxel: float, least: int) -> NDArray[np.int64]:
    """(N, 3) the voxels that so many points fill, and those that lie just between two of them."""
    cells, counts = np.unique(np.floor(points / voxel).astype(np.int64), axis=0, return_counts=True)
    cells = cells[counts >= least]
    if not len(cells):
        return cells
    first = cells.min(0)
    grid_XYZ = np.zeros(cells.max(0) - first + 1, np.bool_)
    grid_XYZ[tuple((cells - first).T)] = True
    filled_XYZ = grid_XYZ.copy()
    for axis in range(3):
        along, full = np.moveaxis(filled_XYZ, axis, 0), np.moveaxis(grid_XYZ, axis, 0)
        along[1:-1] |= full[:-2] & full[2:]
    return np.argwhere(filled_XYZ) + first


def boxes_of(cells: NDArray[np.int64], voxel: float) -> tuple[Box, ...]:
    """Voxels (N, 3), merged greedily into boxes."""
    if not len(cells):
        return ()
    first = cells.min(0)
    grid_XYZ = np.zeros(cells.max(0) - first + 1, np.bool_)
    grid_XYZ[tuple((cells - first).T)] = True
    boxes: list[Box] = []
    for cell in np.argwhere(grid_XYZ):  # in order, so that equal voxels give equal boxes
        if grid_XYZ[tuple(cell)]:
            size = max((_grown(grid_XYZ, cell, axes) for axes in ((2, 0, 1), (2, 1, 0), (0, 1, 2))), key=_volume)
            grid_XYZ[tuple(slice(a, a + n) for a, n in zip(cell, size))] = False
            half = 0.5 * voxel * np.array(size)
            x, y, z = map(float, (first + cell) * voxel + half)
            a, b, c = map(float, half)
            boxes.append(Box((x, y, z), (a, b, c)))
    return tuple(boxes)


def _grown(grid_XYZ: NDArray[np.bool_], cell: NDArray[np.int64], axes: tuple[int, int, int]) -> tuple[int, int, int]:
    """How far a box can grow from a full cell, along one axis after the other."""
    size = [1, 1, 1]
    for axis in axes:
        while cell[axis] + size[axis] < grid_XYZ.shape[axis]:
            face = [slice(int(a), int(a) + n) for a, n in zip(cell, size)]
            face[axis] = slice(int(cell[axis]) + size[axis], int(cell[axis]) + size[axis] + 1)
            if not grid_XYZ[tuple(face)].all():
                break
            size[axis] += 1
    return size[0], size[1], size[2]


def _volume(size: tuple[int, int, int]) -> int:
    return size[0] * size[1] * size[2]
