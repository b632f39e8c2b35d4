"""Attention with positions and cameras applied when it runs, never when keys are stored.

Each head is split in two: the first half turns by rotary positions in (time, row, column), the
second half carries relative cameras (queries, keys, values and outputs pass through 4x4 camera
matrices, four channels at a time), so a stored key knows neither its age nor its viewer.

Shapes: B batch, N tokens, H heads, D head size, R = D/2, S key tokens.
"""

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


def rotate(x_NHR: Tensor, angles_N: Tensor) -> Tensor:
    """Turn each pair (i, i + R/2) of the channels of (..., N, H, R) by (..., N, R/2) angles."""
    cos, sin = (f(angles_N).to(x_NHR.dtype).unsqueeze(-2) for f in (torch.cos, torch.sin))
    a, b = x_NHR.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def through(x_NHR: Tensor, matrix: Tensor) -> Tensor:
    """Multiply each group of four channels of (B, N, H, R) by its camera, (B, 4, 4)."""
    grouped = x_NHR.unflatten(-1, (-1, 4))  # B N H R/4 4
    flat = grouped.flatten(1, 3) @ matrix.to(x_NHR.dtype).transpose(-1, -2)
    return flat.view(grouped.shape).flatten(-2)


def placed(x_NHD: Tensor, angles_N: Tensor, matrix: Tensor) -> Tensor:
    """Rotary positions on the first half of each head, a camera on the second."""
    first, second = x_NHD.chunk(2, -1)
    return torch.cat([rotate(first, angles_N), through(second, matrix)], -1)


def seen_through(x_NHD: Tensor, matrix: Tensor) -> Tensor:
    """A camera on the second half of each head; the first half as it is (values and outputs)."""
    first, second = x_NHD.chunk(2, -1)
    return torch.cat([first, through(second, matrix)], -1)


def attend(q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, mask_S: Tensor | None = None) -> Tensor:
    """(B, N, H, D) over (B, S, H, D); `mask` (B, S) is True where a key may be seen."""
    mask = None if mask_S is None else mask_S[:, None, None, :]
    q, k, v = (x.transpose(1, 2) for x in (q_NHD, k_SHD, v_SHD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def attend_plain(q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, mask_S: Tensor | None = None) -> Tensor:
    """The formula that `attend` must agree with."""
    scores = torch.einsum("bnhd,bshd->bhns", q_NHD, k_SHD) / q_NHD.shape[-1] ** 0.5
    if mask_S is not None:
        scores = scores.masked_fill(~mask_S[:, None, None, :], float("-inf"))
    return torch.einsum("bhns,bshd->bnhd", scores.softmax(-1), v_SHD)
