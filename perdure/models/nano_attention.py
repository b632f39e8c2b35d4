"""Attention with positions and cameras applied when it runs, never when keys are stored.

Each head is split in two: the first half turns by rotary positions in (time, row, column), the
second half carries relative cameras (queries, keys, values and outputs pass through 4x4 camera
matrices, four channels at a time), so a stored key knows neither its age nor its viewer.

Shapes: B batch, N tokens, H heads, D head size, R = D/2, S key tokens.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TIME, ROW, COLUMN = 0.25, 0.375, 0.375  # shares of the rotary half


def rotary_angles(times_N: Tensor, rows_N: Tensor, columns_N: Tensor, size: int) -> Tensor:
    """(..., N, size/2) angles for a rotary half of `size` channels; times may be fractional."""
    parts = []
    for position, share in ((times_N, TIME), (rows_N, ROW), (columns_N, COLUMN)):
        pairs = round(size * share) // 2
        rate = 100.0 ** (-torch.arange(pairs, dtype=torch.float32, device=position.device) / pairs)
        parts.append(position.float().unsqueeze(-1) * rate)
    return torch.cat(parts, -1)


class Place(NamedTuple):
    """Where tokens stand and how they are seen, worked out once for all layers."""

    cos: Tensor  # (B, N, 1, R/2)
    sin: Tensor  # (B, N, 1, R/2)
    camera: Tensor  # (B, R, R) the 4x4 camera, once for every four channels


def place(angles_N: Tensor, matrix: Tensor, size: int, dtype: torch.dtype) -> Place:
    """From (B or 1, N, R/2) angles and (B, 4, 4) cameras, for halves of `size` channels."""
    angles = angles_N.unsqueeze(-2)
    return Place(angles.cos().to(dtype), angles.sin().to(dtype), spread(matrix, size).to(dtype))


def spread(matrix: Tensor, size: int) -> Tensor:
    """(B, R, R) with (B, 4, 4) along its diagonal: one dense product is faster than many tiny ones."""
    b, groups = matrix.shape[0], size // 4
    eye = torch.eye(groups, dtype=matrix.dtype, device=matrix.device)
    return (eye[None, :, None, :, None] * matrix[:, None, :, None, :]).reshape(b, size, size)


def rotate(x_NHR: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + R/2) of the channels of (B, N, H, R)."""
    a, b = x_NHR.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def through(x_NHR: Tensor, camera: Tensor) -> Tensor:
    """Multiply each four channels of (B, N, H, R) by a camera that `spread` has laid out."""
    return (x_NHR.flatten(1, 2) @ camera.transpose(-1, -2)).view(x_NHR.shape)


def placed(x_NHD: Tensor, at: Place) -> Tensor:
    """Rotary positions on the first half of each head, a camera on the second: queries and keys."""
    first, second = x_NHD.chunk(2, -1)
    return torch.cat([rotate(first, at.cos, at.sin), through(second, at.camera)], -1)


def seen_through(x_NHD: Tensor, camera: Tensor) -> Tensor:
    """A camera on the second half of each head, the first half as it is: values and outputs."""
    first, second = x_NHD.chunk(2, -1)
    return torch.cat([first, through(second, camera)], -1)


def attend(q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, mask_S: Tensor | None = None) -> Tensor:
    """(B, N, H, D) over (B, S, H, D); `mask` (B, S) is True where a key may be seen.

    On a processor the fused kernel's backward is up to three times slower than the plain formula's.
    """
    if torch.is_grad_enabled() and q_NHD.device.type == "cpu":
        return attend_plain(q_NHD, k_SHD, v_SHD, mask_S)
    mask = None if mask_S is None else mask_S[:, None, None, :]
    q, k, v = (x.transpose(1, 2) for x in (q_NHD, k_SHD, v_SHD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def attend_plain(q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, mask_S: Tensor | None = None) -> Tensor:
    """The formula that the fused kernel must agree with."""
    q, k, v = (x.transpose(1, 2) for x in (q_NHD, k_SHD, v_SHD))
    scores = (q / q.shape[-1] ** 0.5) @ k.transpose(-1, -2)
    if mask_S is not None:
        scores = scores.masked_fill(~mask_S[:, None, None, :], float("-inf"))
    return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2)
