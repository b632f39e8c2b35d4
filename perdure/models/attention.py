"""Attention with positions and cameras applied when it runs, never when keys are stored.

So a key that is kept knows neither its age nor its viewer: the same bytes serve wherever it comes to stand.

Shapes: B batch, T latents, N tokens, H heads, D head size, R channels of a head that turn, Q S tokens that
ask and that are asked.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from perdure.models.config import TransformerConfig


class Place(NamedTuple):
    """Where tokens stand, worked out once for all layers."""

    cos: Tensor  # (B or 1, N, 1, R/2)
    sin: Tensor  # (B or 1, N, 1, R/2)
    halves: bool = False  # whether channel i turns with i + R/2; else with its neighbour


def turns(times_BT: Tensor, grid: tuple[int, int, int], config: TransformerConfig) -> Place:
    """Of the tokens of a grid of (T, rows, columns); times may be fractional, and are any real numbers."""
    device = times_BT.device
    places = times_BT, torch.arange(grid[1], device=device), torch.arange(grid[2], device=device)
    time, row, column = (
        place.double().unsqueeze(-1)
        * config.rotary_base ** (-torch.arange(0, axis, 2, dtype=torch.float64, device=device) / axis)
        for place, axis in zip(places, config.axes)
    )
    whole = time.shape[0], *grid, -1
    parts = time[:, :, None, None].expand(whole), row[:, None].expand(whole), column.expand(whole)
    angles = torch.cat(parts, -1).flatten(1, 3).unsqueeze(2)
    return Place(angles.cos().float(), angles.sin().float(), config.rotary_pairs == "halves")


def turned(x_BNHD: Tensor, at: Place) -> Tensor:
    """Turn each pair of channels by its token's angles."""
    shape, axis = ((2, -1), -2) if at.halves else ((-1, 2), -1)
    a, b = x_BNHD.unflatten(-1, shape).unbind(axis)
    return torch.stack([a * at.cos - b * at.sin, a * at.sin + b * at.cos], axis).flatten(-2).to(x_BNHD.dtype)


def look(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, here: Place, mask: Tensor | None = None) -> Tensor:
    """(B, Q, H, D) what queries find among keys that know no position yet."""
    return attend(turned(q_BQHD, here), turned(k_BSHD, here), v_BSHD, mask)


def attend(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask_BQS: Tensor | None = None) -> Tensor:
    """(B, Q, H, D); `mask` (B or 1, Q or 1, S) is True where a key may be seen.

    On a processor the fused kernel's backward is up to three times slower than the plain formula's.
    """
    if torch.is_grad_enabled() and q_BQHD.device.type == "cpu":
        return attend_plain(q_BQHD, k_BSHD, v_BSHD, mask_BQS)
    mask = None if mask_BQS is None else mask_BQS.unsqueeze(1)
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def attend_plain(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask_BQS: Tensor | None = None) -> Tensor:
    """The formula that the fused kernels must agree with."""
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    scores = (q / q.shape[-1] ** 0.5) @ k.transpose(-1, -2)
    if mask_BQS is not None:
        scores = scores.masked_fill(~mask_BQS.unsqueeze(1), float("-inf"))
    return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2)
