"""Cameras: the one convention for poses, intrinsics and rays.

World axes are right-handed, in metres, z up. A camera looks along its own +z, with x to the
right and y down (OpenCV's convention). A pose is a 4x4 float64 matrix, camera to world.
Yaw 0 looks along world +x and grows to the left (counter-clockwise from above); pitch grows
upward; both are radians. Pixel (i, j) has its centre at (i + 0.5, j + 0.5). Depth is measured
along the camera's z axis, not along the ray.

Shapes: H height, W width, N points.
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


def look(position: Array, yaw: float, pitch: float) -> Array:
    """The pose of an upright camera at `position` (3,)."""
    cos_y, sin_y, cos_p, sin_p = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    pose = np.eye(4)
    pose[:3, 0] = sin_y, -cos_y, 0.0  # right
    pose[:3, 1] = cos_y * sin_p, sin_y * sin_p, -cos_p  # down
    pose[:3, 2] = cos_y * cos_p, sin_y * cos_p, sin_p  # forward
    pose[:3, 3] = position
    return pose


def yaw_pitch(pose: Array) -> tuple[float, float]:
    """The angles that `look` would take to face as this pose does."""
    forward = pose[:3, 2]
    return float(np.arctan2(forward[1], forward[0])), float(np.arcsin(np.clip(forward[2], -1, 1)))


def invert(pose: Array) -> Array:
    """World to camera, by transposition: exact for a rigid pose, unlike a general inverse."""
    out = np.eye(4)
    out[:3, :3] = pose[:3, :3].T
    out[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
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
    """(H, W, 3) world points of a depth image."""
    return (rays(intrinsics) * depth_HW[..., None]) @ pose[:3, :3].T + pose[:3, 3]


def project(points_N3: Array, intrinsics: Intrinsics, pose: Array) -> tuple[Array, Array]:
    """(N, 2) pixel coordinates and (N,) depths; a point behind the camera has depth <= 0."""
    local = (points_N3 - pose[:3, 3]) @ pose[:3, :3]
    depth = local[:, 2]
    safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    x = local[:, 0] / safe * intrinsics.fx + intrinsics.cx
    y = local[:, 1] / safe * intrinsics.fy + intrinsics.cy
    return np.stack([x, y], -1), depth


def check_pose(pose: Array) -> None:
    """Raise `ValueError` unless `pose` is a rigid 4x4 transform."""
    if pose.shape != (4, 4):
        raise ValueError(f"expected a 4x4 camera-to-world pose, got shape {pose.shape}")
    if not np.isfinite(pose).all():
        raise ValueError("expected a finite pose, got NaN or infinity in it")
    error = float(np.abs(pose[:3, :3].T @ pose[:3, :3] - np.eye(3)).max())
    if error > 1e-4 or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError(f"expected a rotation in the pose, got a matrix off orthonormal by {error:.2g} (or a mirror)")
