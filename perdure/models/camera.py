"""Cameras for training: `perdure/camera.py` for tensors, by the same names, each the other's test.

Gradients are finite, at the identity too, but where a camera looks straight up or down. Intrinsics are
tensors (..., 4) of fx, fy, cx and cy as fractions of the picture (`Intrinsics.normalised`), and pixels
are counted at a size that is given.

Shapes: H height, W width, N points or poses, M times; `...` any leading axes, which broadcast.
"""

import torch
from torch import Tensor

from perdure.camera import SAMPLES
from perdure.models.conditions import readable


def look(position: Tensor, yaw: Tensor, pitch: Tensor) -> Tensor:
    """(..., 4, 4) poses of upright cameras at `position` (..., 3)."""
    cos_y, sin_y, cos_p, sin_p = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    x, y, z = position.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix(
        [
            [sin_y, cos_y * sin_p, cos_y * cos_p, x],
            [-cos_y, sin_y * sin_p, sin_y * cos_p, y],
            [zero, -cos_p, sin_p, z],
            [zero, zero, zero, one],
        ]
    )


def angles(poses: Tensor) -> tuple[Tensor, Tensor]:
    """(...) yaw and (...) pitch that `look` would take to face as these poses do."""
    x, y, z = poses[..., :3, 2].unbind(-1)
    return torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))


def check_pose(pose: Tensor) -> None:
    """Raise `ValueError` unless poses (..., 4, 4) are rigid transforms, as precisely as their numbers can say."""
    if pose.shape[-2:] != (4, 4):
        raise ValueError(f"expected camera-to-world poses (..., 4, 4), got shape {tuple(pose.shape)}")
    if not readable(pose) or not pose.numel():
        return
    exact, bound = pose.detach().double(), max(1e-4, 8 * torch.finfo(pose.dtype).eps)
    if not exact.isfinite().all():
        raise ValueError("expected finite poses, got NaN or infinity in them")
    turned, last = exact[..., :3, :3], exact[..., 3, :] - exact.new_tensor((0, 0, 0, 1))
    error = float((turned.mT @ turned - torch.eye(3, dtype=exact.dtype)).abs().max())
    if error > bound or bool((torch.linalg.det(turned) < 0).any()):
        raise ValueError(f"expected rotations in the poses, got a matrix off orthonormal by {error:.2g} (or a mirror)")
    if bool((last.abs() > bound).any()):
        raise ValueError("expected poses whose last row is 0 0 0 1, got others: are they transposed, or projections?")


def check_lens(normalised: Tensor) -> None:
    """Raise `ValueError` unless intrinsics (..., 4) are finite, with focal lengths above 0."""
    if normalised.shape[-1:] != (4,):
        raise ValueError(f"expected intrinsics (..., 4) of fx, fy, cx and cy, got shape {tuple(normalised.shape)}")
    if readable(normalised) and not (normalised.isfinite().all() and (normalised[..., :2] > 0).all()):
        raise ValueError("expected finite intrinsics with focal lengths above 0, got others, as fx, fy, cx, cy")


def invert(pose: Tensor) -> Tensor:
    """World to camera, by transposition."""
    back = pose[..., :3, :3].mT
    return torch.cat([torch.cat([back, -back @ pose[..., :3, 3:]], -1), pose[..., 3:, :]], -2)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """The pose of what stands at `inner` in a frame that stands at `outer`."""
    return outer @ inner


def relative(pose: Tensor, seen_from: Tensor) -> Tensor:
    """The pose as the frame at `seen_from` has it."""
    return invert(seen_from) @ pose


def apart(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """(...) metres between two poses, and (...) radians that turn one into the other."""
    turned = quaternion(relative(one, other)[..., :3, :3])
    angle = 2 * torch.atan2(torch.linalg.vector_norm(turned[..., 1:], dim=-1), turned[..., 0])
    return torch.linalg.vector_norm(one[..., :3, 3] - other[..., :3, 3], dim=-1), angle


def quaternion(rotation: Tensor) -> Tensor:
    """(..., 4) w, x, y, z of rotations (..., 3, 3), w >= 0."""
    a, b, c, d, e, f, g, h, i = rotation.flatten(-2).unbind(-1)
    # Each row is the quaternion times four of its own components; no root of what may be 0 is taken.
    table = _matrix(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    best = table.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = table.gather(-2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    return row / (torch.linalg.vector_norm(row, dim=-1, keepdim=True) * torch.where(row[..., :1] < 0, -1, 1))


def rotation(quaternion: Tensor) -> Tensor:
    """(..., 3, 3) of quaternions (..., 4) of any length but 0."""
    w, x, y, z = (quaternion / torch.linalg.vector_norm(quaternion, dim=-1, keepdim=True)).unbind(-1)
    return _matrix(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def slerp(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """(..., 4) the quaternion that has gone `share` (...) of the shorter way from one to the other, evenly."""
    other = torch.where((one * other).sum(-1, keepdim=True) < 0, -other, other)
    apart, across = (torch.linalg.vector_norm(v, dim=-1) for v in (one - other, one + other))
    half = 2 / torch.pi * torch.atan2(apart, across)
    left, right = (s * torch.sinc(s * half) / torch.sinc(half) for s in (1 - share, share))
    return left[..., None] * one + right[..., None] * other


def interpolate(poses_N44: Tensor, times_N: Tensor, at_M: Tensor) -> Tensor:
    """(M, 4, 4) where a camera is at given times that was at these poses at those, which ascend."""
    if len(poses_N44) != len(times_N) or not len(times_N) or not bool((times_N.diff() > 0).all()):
        raise ValueError(f"expected a time for each pose, ascending, got {len(times_N)} for {len(poses_N44)} poses")
    after = torch.searchsorted(times_N, at_M, right=True).clamp(1, max(1, len(times_N) - 1))
    before, after = after - 1, after.clamp(max=len(times_N) - 1)
    span = torch.where(after > before, times_N[after] - times_N[before], torch.ones_like(at_M))
    share = ((at_M - times_N[before]) / span).clamp(0.0, 1.0)
    turned = quaternion(poses_N44[:, :3, :3])
    turned = rotation(slerp(turned[before], turned[after], share))
    moved = (1 - share[:, None]) * poses_N44[before, :3, 3] + share[:, None] * poses_N44[after, :3, 3]
    return torch.cat([torch.cat([turned, moved[..., None]], -1), poses_N44[before, 3:, :]], -2)


def rays(normalised: Tensor, width: int, height: int) -> Tensor:
    """(..., H, W, 3) directions through pixel centres in camera coordinates, scaled to z = 1."""
    fx, fy, cx, cy = (v[..., None] for v in normalised.unbind(-1))
    like = {"dtype": normalised.dtype, "device": normalised.device}
    x = ((torch.arange(width, **like) + 0.5) / width - cx) / fx
    y = ((torch.arange(height, **like) + 0.5) / height - cy) / fy
    shape = *normalised.shape[:-1], height, width
    columns, rows = x[..., None, :].expand(shape), y[..., :, None].expand(shape)
    return torch.stack([columns, rows, torch.ones_like(columns)], -1)


def unproject(depth_HW: Tensor, normalised: Tensor, pose: Tensor) -> Tensor:
    """(..., H, W, 3) world points of depth images (..., H, W) seen from `pose` (..., 4, 4)."""
    height, width = depth_HW.shape[-2:]
    points = rays(normalised, width, height) * depth_HW[..., None]
    return points @ pose[..., None, :3, :3].mT + pose[..., None, None, :3, 3]


def project(points_N3: Tensor, normalised: Tensor, pose: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """(..., N, 2) pixel coordinates and (..., N) depths; a point behind the camera has depth <= 0."""
    local = (points_N3 - pose[..., None, :3, 3]) @ pose[..., :3, :3]
    depth = local[..., 2]
    safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
    fx, fy, cx, cy = (v[..., None] for v in normalised.unbind(-1))
    x, y = local[..., 0] / safe * fx + cx, local[..., 1] / safe * fy + cy
    return torch.stack([x * width, y * height], -1), depth


def overlap(
    one: Tensor, other: Tensor, normalised: Tensor, others: Tensor | None = None, near: float = 0.3, far: float = 12.0
) -> Tensor:
    """(...) how much of what two cameras can see is the same, from 0 to 1; a count, so without a gradient."""
    if not 0 < near < far:
        raise ValueError(f"expected 0 < near < far, got {near} and {far}")
    others = normalised if others is None else others
    return 0.5 * (_share(one, normalised, other, others, near, far) + _share(other, others, one, normalised, near, far))


def _share(pose: Tensor, own: Tensor, other: Tensor, others: Tensor, near: float, far: float) -> Tensor:
    columns, rows, depths = SAMPLES
    like = {"dtype": pose.dtype, "device": pose.device}
    depth = near * (far / near) ** ((torch.arange(depths, **like) + 0.5) / depths)
    points = (rays(own, columns, rows)[..., None, :, :, :] * depth[:, None, None, None]).flatten(-4, -2)
    pixels, depths = project(points @ pose[..., :3, :3].mT + pose[..., None, :3, 3], others, other, 2, 2)
    inside = ((pixels - 1).abs() <= 1 + 1e-9).all(-1) & (depths >= near * (1 - 1e-9)) & (depths <= far * (1 + 1e-9))
    return inside.to(pose.dtype).mean(-1)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(torch.broadcast_tensors(*row), -1) for row in rows], -2)
