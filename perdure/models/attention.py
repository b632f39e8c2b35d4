"""Attention: who may look at whom, with positions and cameras applied when it runs, never when keys are stored.

So a key that is kept knows neither its age nor its viewer: the same bytes serve wherever it comes to stand.
Each head is split: its first channels turn by rotary positions in (time, row, column); what is left, in
`nano` half, carries relative cameras, four channels at a time.

Shapes: B batch, T latents, N tokens, H heads, D head size, R channels of a head that turn, Q S tokens that
ask and that are asked.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from perdure.models.config import HISTORIES as KINDS
from perdure.models.config import TransformerConfig

Mask = Tensor | BlockMask


class Roles(NamedTuple):
    """What each latent of a clip is. A clip may hold a latent twice: finished, and as it is being drawn."""

    chunk: Tensor  # (T,) the number of the chunk that it belongs to
    target: Tensor  # (T,) bool: being drawn, so that other chunks must not look at it


def visible(kind: str, asking: Roles, asked: Roles, alone: bool = False, window: int = 0, sink: int = 0) -> Tensor:
    """Whether one latent may look at another, of any shapes that broadcast.

    All look at their own chunk; in layers that do not look back, `alone`, at nothing else. A finished latent is
    looked at by: all ("memory-and-chunk": WorldPlay encodes its context as if it were one chunk); the chunks after
    it ("chunk-causal": Self-Forcing; "history-and-target": Incantation, whose target alone reads words); the
    targets after it and nobody else ("block-diagonal": `nano`, whose memories stand by themselves). With a
    `window`, chunks further back than that are gone, but for the first `sink`.
    """
    own = asking.chunk == asked.chunk
    if kind == "memory-and-chunk":
        own = own | ~asking.target
    own = own & (asking.target == asked.target)
    before = ~asked.target & (asked.chunk < asking.chunk)
    if window:
        before = before & ((asked.chunk >= asking.chunk - window) | (asked.chunk < sink))
    if kind not in KINDS:
        raise ValueError(f"expected who may look at whom as one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "full":
        return own | ~own
    if alone:
        return own
    return own | (before & asking.target if kind in ("memory-and-chunk", "block-diagonal") else before)


def memories_read(kind: str) -> bool:
    """Whether what is finished reads the text: a memory that never read it outlives it."""
    return kind not in ("history-and-target", "block-diagonal")


def readers(kind: str, roles: Roles) -> Tensor | None:
    """(T,) which latents read the text, or None for all."""
    return None if memories_read(kind) else roles.target


def dense_mask(kind: str, roles: Roles, tokens: int, alone: bool = False, window: int = 0, sink: int = 0) -> Tensor:
    """(1, N, N) bool for latents of so many tokens."""
    asking, asked = (Roles(*(x.unsqueeze(axis) for x in roles)) for axis in (1, 0))
    mask = visible(kind, asking, asked, alone, window, sink)
    return mask.repeat_interleave(tokens, 0).repeat_interleave(tokens, 1).unsqueeze(0)


def flex_mask(kind: str, roles: Roles, tokens: int, alone: bool = False, window: int = 0, sink: int = 0) -> BlockMask:
    """The same for `flex_attention`, which skips what nobody may see and holds no mask of N x N."""

    def may(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        asking, asked = (Roles(*(x[i // tokens] for x in roles)) for i in (query, key))
        return visible(kind, asking, asked, alone, window, sink)

    length = tokens * len(roles.chunk)
    return create_block_mask(may, None, None, length, length, device=str(roles.chunk.device))


class Place(NamedTuple):
    """Where tokens stand and how they are seen, worked out once for all layers."""

    cos: Tensor  # (B or 1, N, 1, R/2)
    sin: Tensor  # (B or 1, N, 1, R/2)
    halves: bool  # whether channel i turns with i + R/2, else with its neighbour
    to_clip: Tensor | None = None  # (B, T, D - R, D - R) by `spread`
    from_clip: Tensor | None = None  # (B, T, D - R, D - R)


def place(
    times_BT: Tensor,
    grid: tuple[int, int],
    config: TransformerConfig,
    dtype: torch.dtype,
    cameras: tuple[Tensor | None, Tensor | None] = (None, None),
) -> Place:
    """Of latents of a grid of rows and columns; times may be fractional, and are any real numbers.

    `cameras` are `Cameras`, either of which may be missing.
    """
    device, left = times_BT.device, config.head_dim - sum(config.axes)
    places = times_BT, torch.arange(grid[0], device=device), torch.arange(grid[1], device=device)
    time, row, column = (
        place.double().unsqueeze(-1)
        * config.rotary_base ** (-torch.arange(0, axis, 2, dtype=torch.float64, device=device) / axis)
        for place, axis in zip(places, config.axes)
    )
    whole = *times_BT.shape, *grid, -1
    parts = time[:, :, None, None].expand(whole), row[:, None].expand(whole), column.expand(whole)
    angles = torch.cat(parts, -1).flatten(1, 3).unsqueeze(2)
    carried = [None if m is None or not left else spread(m, left).to(dtype) for m in cameras]
    return Place(angles.cos().float(), angles.sin().float(), config.rotary_pairs == "halves", *carried)


def spread(matrix: Tensor, size: int) -> Tensor:
    """(..., R, R) with (..., 4, 4) along its diagonal: one dense product is faster than many tiny ones."""
    eye = torch.eye(size // 4, dtype=matrix.dtype, device=matrix.device)
    blocks = eye[:, None, :, None] * matrix[..., None, :, None, :]
    return blocks.flatten(-2).flatten(-3, -2)


def through(x_BNHR: Tensor, cameras: Tensor) -> Tensor:
    """Each four channels of (B, N, H, R) through the camera of their latent, (B, T, R, R) as `spread` lays it out."""
    x = x_BNHR.reshape(len(x_BNHR), cameras.shape[1], -1, x_BNHR.shape[-1])
    return (x @ cameras.transpose(-1, -2)).view(x_BNHR.shape)


def turned(x_BNHD: Tensor, at: Place, camera: Tensor | None) -> Tensor:
    """Queries or keys, placed: pairs of channels by their token's angles, what is left by its latent's camera."""
    count, (*_, channels) = 2 * at.cos.shape[-1], x_BNHD.shape
    shape, axis = ((2, -1), -2) if at.halves else ((-1, 2), -1)
    a, b = x_BNHD[..., :count].unflatten(-1, shape).unbind(axis)
    parts = [a * at.cos - b * at.sin, a * at.sin + b * at.cos]
    if not at.halves:
        parts = [torch.stack(parts, -1).flatten(-2)]
    if count < channels:
        parts.append(x_BNHD[..., count:] if camera is None else through(x_BNHD[..., count:], camera))
    return torch.cat(parts, -1).to(x_BNHD.dtype)


def carried(x_BNHD: Tensor, at: Place, camera: Tensor | None) -> Tensor:
    """Values, or what was found: only what is left of a head changes."""
    if camera is None:
        return x_BNHD
    count = 2 * at.cos.shape[-1]
    return torch.cat([x_BNHD[..., :count], through(x_BNHD[..., count:], camera)], -1)


class Scope(NamedTuple):
    """What the tokens of a layer may look at, worked out once for all layers."""

    here: Place
    there: Place | None = None  # of what is remembered
    mask: Mask | None = None  # over what is remembered, then what is here
    attend: Callable[..., Tensor] | None = None  # another kernel in the place of `attend`, with its arguments


def look(
    q_BQHD: Tensor, k_BQHD: Tensor, v_BQHD: Tensor, scope: Scope, past: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """(B, Q, H, D) what tokens find among themselves and in the past (B, S, H, D), all of them as yet unplaced."""
    here, there = scope.here, scope.there
    q, k, v = (
        turned(q_BQHD, here, None if here.to_clip is None else here.to_clip.transpose(-1, -2)),
        turned(k_BQHD, here, here.from_clip),
        carried(v_BQHD, here, here.from_clip),
    )
    if past is not None and there is not None:
        k = torch.cat([turned(past[0], there, there.from_clip), k], 1)
        v = torch.cat([carried(past[1], there, there.from_clip), v], 1)
    return carried((scope.attend or attend)(q, k, v, scope.mask), here, here.to_clip)


def attend(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask: Mask | None = None) -> Tensor:
    """(B, Q, H, D); a mask of (B, S) or (B or 1, Q or 1, S) is True where a key may be seen.

    On a processor the fused kernel's backward is up to three times slower than the plain formula's.
    """
    if isinstance(mask, BlockMask):
        return attend_flex(q_BQHD, k_BSHD, v_BSHD, mask)
    if torch.is_grad_enabled() and q_BQHD.device.type == "cpu":
        return attend_plain(q_BQHD, k_BSHD, v_BSHD, mask)
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=by_head(mask)).transpose(1, 2)


def attend_plain(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask: Tensor | None = None) -> Tensor:
    """The formula that the fused kernels must agree with."""
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    scores = (q / q.shape[-1] ** 0.5) @ k.transpose(-1, -2)
    if (by_heads := by_head(mask)) is not None:
        scores = scores.masked_fill(~by_heads, float("-inf"))
    return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2)


def attend_flex(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask: BlockMask) -> Tensor:
    """Compiled where there is a GPU; elsewhere it is slow, and exists to be compared with."""
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    if q.is_cuda:
        return compiled_flex()(q, k, v, block_mask=mask).transpose(1, 2)
    with warnings.catch_warnings(action="ignore"):  # of being slow
        return flex_attention(q, k, v, block_mask=mask).transpose(1, 2)  # pyright: ignore[reportAttributeAccessIssue]


@cache
def compiled_flex() -> Any:
    return torch.compile(flex_attention, dynamic=False)


def by_head(mask: Tensor | None) -> Tensor | None:
    if mask is None:
        return None
    return mask[:, None, None, :] if mask.ndim == 2 else mask.unsqueeze(1)
