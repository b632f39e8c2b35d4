"""Cameras: the one convention for poses, intrinsics and rays.

World axes are right-handed, in metres, z up. A camera looks along its own +z, with x to the
right and y down (OpenCV's convention). A pose is a 4x4 float64 matrix, camera to world.
Yaw 0 looks along world +x and grows to the left (counter-clockwise from above); pitch grows
upward; both are radians. Pixel (i, j) has its centre at (i + 0.5, j + 0.5). Depth is measured
along the camera's z axis, not along the ray. Quaternions are w, x, y, z, of length 1, w >= 0.

All take batches: `...` stands for any leading axes, which broadcast. `models/camera.py` is the same
for tensors; each is the other's test.

Shapes: H height, W width, N points or poses, M times.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FAR = 60.0
"""Metres. Nothing is farther: the sky stands here, so that every pixel has a depth."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera; all values in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_degrees: float) -> "Intrinsics":
        """Square pixels, principal point in the middle."""
        if not 1 <= horizontal_degrees < 180:
            raise ValueError(f"expected a field of view in [1, 180) degrees, got {horizontal_degrees}")
        focal = 0.5 * width / np.tan(0.5 * np.radians(horizontal_degrees))
        return cls(width, height, float(focal), float(focal), 0.5 * width, 0.5 * height)

    @classmethod
    def from_normalised(cls, width: int, height: int, normalised: Array) -> "Intrinsics":
        """The camera whose `normalised()` is this, at a resolution."""
        fx, fy, cx, cy = (float(v) for v in normalised)
        return cls(width, height, fx * width, fy * height, cx * width, cy * height)

    def scaled(self, width: int, height: int) -> "Intrinsics":
        """The same camera at another resolution."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)

    def matrix(self) -> Array:
        """3x3, camera coordinates to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def normalised(self) -> Array:
        """(4,) fx, fy, cx, cy as fractions of the image, so that resolution drops out."""
        return np.array([self.fx / self.width, self.fy / self.height, self.cx / self.width, self.cy / self.height])


def look(position: Array, yaw: float | Array, pitch: float | Array) -> Array:
    """(..., 4, 4) poses of upright cameras at `position` (..., 3)."""
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    pose = np.zeros((*np.broadcast_shapes(np.shape(position)[:-1], np.shape(yaw), np.shape(pitch)), 4, 4))
    pose[..., 0, 0], pose[..., 1, 0] = sin_y, -cos_y  # right; it has no third component
    pose[..., 0, 1], pose[..., 1, 1], pose[..., 2, 1] = cos_y * sin_p, sin_y * sin_p, -cos_p  # down
    pose[..., 0, 2], pose[..., 1, 2], pose[..., 2, 2] = cos_y * cos_p, sin_y * cos_p, sin_p  # forward
    pose[..., :3, 3] = position
    pose[..., 3, 3] = 1.0
    return pose


def angles(poses: Array) -> tuple[Array, Array]:
    """(...) yaw and (...) pitch that `look` would take to face as these poses do."""
    return np.arctan2(poses[..., 1, 2], poses[..., 0, 2]), np.arcsin(np.clip(poses[..., 2, 2], -1, 1))


def yaw_pitch(pose: Array) -> tuple[float, float]:
    """The same for one pose."""
    yaw, pitch = angles(pose)
    return float(yaw), float(pitch)


def invert(pose: Array) -> Array:
    """World to camera, by transposition: exact for a rigid pose, unlike a general inverse."""
    out = np.zeros(pose.shape)
    back = np.swapaxes(pose[..., :3, :3], -1, -2)
    out[..., :3, :3] = back
    out[..., :3, 3] = (-back @ pose[..., :3, 3:])[..., 0]
    out[..., 3, 3] = 1.0
    return out


def compose(outer: Array, inner: Array) -> Array:
    """The pose of what stands at `inner` in a frame that stands at `outer`."""
    return outer @ inner


def relative(pose: Array, seen_from: Array) -> Array:
    """The pose as the frame at `seen_from` has it: `compose(seen_from, relative(pose, seen_from))` is the pose."""
    return invert(seen_from) @ pose


def apart(one: Array, other: Array) -> tuple[Array, Array]:
    """(...) metres between two poses, and (...) radians that turn one into the other."""
    turned = quaternion(relative(one, other)[..., :3, :3])
    angle = 2 * np.arctan2(np.linalg.norm(turned[..., 1:], axis=-1), turned[..., 0])
    return np.linalg.norm(one[..., :3, 3] - other[..., :3, 3], axis=-1), angle


def quaternion(rotation: Array) -> Array:
    """(..., 4) of rotations (..., 3, 3)."""
    (a, b, c), (d, e, f), (g, h, i) = np.moveaxis(rotation, (-2, -1), (0, 1))
    # Each row is the quaternion times four of its own components: the longest is the exact one.
    rows = [
        [1 + a + e + i, h - f, c - g, d - b],
        [h - f, 1 + a - e - i, b + d, c + g],
        [c - g, b + d, 1 - a + e - i, f + h],
        [d - b, c + g, f + h, 1 - a - e + i],
    ]
    table = np.stack([np.stack(row, -1) for row in rows], -2)
    best = np.argmax(np.diagonal(table, axis1=-2, axis2=-1), -1)
    row = np.take_along_axis(table, best[..., None, None], -2)[..., 0, :]
    return row / (np.linalg.norm(row, axis=-1, keepdims=True) * np.where(row[..., :1] < 0, -1, 1))


def rotation(quaternion: Array) -> Array:
    """(..., 3, 3) of quaternions (..., 4) of any length but 0."""
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def slerp(one: Array, other: Array, share: float | Array) -> Array:
    """(..., 4) the quaternion that has gone `share` (...) of the shorter way from one to the other, evenly."""
    other = np.where((one * other).sum(-1, keepdims=True) < 0, -other, other)
    half = 2 * np.arctan2(np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1)) / np.pi
    left, right = (s * np.sinc(s * half) / np.sinc(half) for s in (1 - np.asarray(share), np.asarray(share)))
    return left[..., None] * one + right[..., None] * other


def interpolate(poses_N44: Array, times_N: Array, at_M: Array) -> Array:
    """(M, 4, 4) where a camera is at given times that was at these poses at those, which ascend.

    Positions go straight from pose to pose, rotations evenly; before the first and after the last it stands.
    """
    if len(poses_N44) != len(times_N) or not len(times_N) or not (np.diff(times_N) > 0).all():
        raise ValueError(f"expected a time for each pose, ascending, got {len(times_N)} for {len(poses_N44)} poses")
    after = np.clip(np.searchsorted(times_N, at_M, "right"), 1, max(1, len(times_N) - 1))
    before, after = after - 1, np.minimum(after, len(times_N) - 1)
    span = np.where(after > before, times_N[after] - times_N[before], 1.0)
    share = np.clip((at_M - times_N[before]) / span, 0.0, 1.0)
    turned = quaternion(poses_N44[:, :3, :3])
    out = np.zeros((len(at_M), 4, 4))
    out[:, :3, :3] = rotation(slerp(turned[before], turned[after], share))
    out[:, :3, 3] = (1 - share[:, None]) * poses_N44[before, :3, 3] + share[:, None] * poses_N44[after, :3, 3]
    out[:, 3, 3] = 1.0
    return out


@lru_cache(maxsize=16)
def rays(intrinsics: Intrinsics) -> Array:
    """(H, W, 3) directions through pixel centres in camera coordinates, scaled to z = 1."""
    x = (np.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy
    out = np.ones((intrinsics.height, intrinsics.width, 3))
    out[..., 0], out[..., 1] = x[None, :], y[:, None]
    out.setflags(write=False)
    return out


def unproject(depth_HW: Array, intrinsics: Intrinsics, pose: Array) -> Array:
    """(..., H, W, 3) world points of depth images (..., H, W) seen from `pose` (..., 4, 4)."""
    back = np.swapaxes(pose[..., :3, :3], -1, -2)
    return (rays(intrinsics) * depth_HW[..., None]) @ back[..., None, :, :] + pose[..., None, None, :3, 3]


def project(points_N3: Array, intrinsics: Intrinsics, pose: Array) -> tuple[Array, Array]:
    """(..., N, 2) pixel coordinates and (..., N) depths; a point behind the camera has depth <= 0."""
    local = (points_N3 - pose[..., None, :3, 3]) @ pose[..., :3, :3]
    depth = local[..., 2]
    safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    x = local[..., 0] / safe * intrinsics.fx + intrinsics.cx
    y = local[..., 1] / safe * intrinsics.fy + intrinsics.cy
    return np.stack([x, y], -1), depth


SAMPLES = (12, 8, 8)
"""Columns, rows and depths at which `overlap` looks."""


def overlap(
    one: Array, other: Array, intrinsics: Intrinsics, other_intrinsics: Intrinsics | None = None,
    near: float = 0.3, far: float = 12.0,
) -> Array:  # fmt: skip
    """(...) how much of what two cameras can see is the same: 1 for the same view, 0 where nothing is shared.

    Of points spread through what one sees between `near` and `far`, evenly over its picture and over the
    logarithm of depth (so that what is close, which fills the picture, counts as much as what is far), the
    share that the other sees between them too; the mean of both ways, so that it is symmetric.
    """
    if not 0 < near < far:
        raise ValueError(f"expected 0 < near < far, got {near} and {far}")
    other_intrinsics = other_intrinsics or intrinsics
    ways = (one, intrinsics, other, other_intrinsics), (other, other_intrinsics, one, intrinsics)
    shares = [_share(*way, near, far) for way in ways]
    return 0.5 * (shares[0] + shares[1])


def _share(pose: Array, own: Intrinsics, other: Array, others: Intrinsics, near: float, far: float) -> Array:
    points = _spread(own, near, far) @ np.swapaxes(pose[..., :3, :3], -1, -2) + pose[..., None, :3, 3]
    pixels, depths = project(points, others, other)
    # A hair's breadth more than the view: a point on its edge is seen in spite of rounding.
    inside = (np.abs(pixels / (0.5 * others.width, 0.5 * others.height) - 1) <= 1 + 1e-9).all(-1)
    return (inside & (depths >= near * (1 - 1e-9)) & (depths <= far * (1 + 1e-9))).mean(-1)


@lru_cache(maxsize=16)
def _spread(intrinsics: Intrinsics, near: float, far: float) -> Array:
    """(N, 3) points in camera coordinates, spread through what a camera sees."""
    columns, rows, depths = SAMPLES
    depth = near * (far / near) ** ((np.arange(depths) + 0.5) / depths)
    points = rays(intrinsics.scaled(columns, rows)).reshape(1, -1, 3) * depth[:, None, None]
    points.setflags(write=False)
    return points.reshape(-1, 3)


def check_pose(pose: Array) -> None:
    """Raise `ValueError` unless `pose` is a rigid 4x4 transform."""
    pose = np.asarray(pose)
    if pose.shape != (4, 4) or pose.dtype.kind not in "fiu":
        raise ValueError(f"expected a 4x4 camera-to-world pose, got shape {pose.shape} of {pose.dtype}")
    if not np.isfinite(pose).all():
        raise ValueError("expected a finite pose, got NaN or infinity in it")
    error = float(np.abs(pose[:3, :3].T @ pose[:3, :3] - np.eye(3)).max())
    if error > 1e-4 or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError(f"expected a rotation in the pose, got a matrix off orthonormal by {error:.2g} (or a mirror)")
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-4:
        raise ValueError(
            f"expected a pose whose last row is 0 0 0 1, got {pose[3]}: is it transposed, or a projection?"
        )
