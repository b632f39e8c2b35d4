"""Cameras: a second attention in which what is seen depends on where cameras stand to each other (PRoPE).

It shares queries, keys and values with the first attention, before they are turned to their positions.
Four channels at a time, a query goes through its camera's projection, transposed, keys and values through
the inverse of theirs, and what is found comes back through the query's own. So only products of one
projection and another's inverse count, and the frame that the poses are told in drops out. A keyframe's
keys are kept as they are: its camera is applied when it is looked at.

Shapes: B batch, T latents, M remembered latents, N tokens (of all latents), H heads, D head size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from perdure.models.attention import Mask, attend, spread, through
from perdure.models.camera import check_lens, check_pose, invert
from perdure.models.conditions import Cameras

KINDS = ("prope", "heads", "fx_fy")


def cameras(
    poses: Tensor, normalised: Tensor, seen_from: Tensor | None = None, *, scale: float, kind: str = "prope"
) -> Cameras:
    """From poses (B, T, 4, 4) in metres and intrinsics (B, T, 4) as fractions of the picture; `scale` is a metre.

    A model's own scale and kind are in its config: `Added.cameras_of` passes them.

    The frame is that of the camera at `seen_from` (B, 4, 4), the last one unless it is given: numbers stay
    small wherever in the world this is, and in what precision it goes on.
    """
    check_pose(poses)
    check_lens(normalised)
    if seen_from is not None:
        check_pose(seen_from)
    here = invert(poses[:, -1] if seen_from is None else seen_from).unsqueeze(1) @ poses
    here = torch.cat([torch.cat([here[..., :3, :3], here[..., :3, 3:] * scale], -1), here[..., 3:, :]], -2)
    to_clip, from_clip = lift(normalised, kind)
    return Cameras(to_clip @ invert(here), here @ from_clip)


def lift(normalised: Tensor, kind: str = "prope") -> tuple[Tensor, Tensor]:
    """(..., 4, 4) camera coordinates to clip space, and back.

    In full the picture's edges lie at -1 and 1. `fx_fy` knows nothing but the focal lengths, as fractions of
    the picture: so HY-WorldPlay was trained.
    """
    if kind not in KINDS:
        raise ValueError(f"expected cameras of {', '.join(KINDS)}, got {kind!r}")
    fx, fy, cx, cy = normalised.unbind(-1)
    if kind == "fx_fy":
        cx, cy = torch.zeros_like(cx), torch.zeros_like(cy)
    else:
        fx, fy, cx, cy = 2 * fx, 2 * fy, 2 * cx - 1, 2 * cy - 1
    one, zero = torch.ones_like(fx), torch.zeros_like(fx)

    def matrix(fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor) -> Tensor:
        rows = [fx, zero, cx, zero], [zero, fy, cy, zero], [zero, zero, one, zero], [zero, zero, zero, one]
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    return matrix(fx, fy, cx, cy), matrix(1 / fx, 1 / fy, -cx / fx, -cy / fy)


class Lenses(NamedTuple):
    """Cameras laid out for heads of D channels, once for all layers."""

    to_clip: Tensor  # (B, T, D, D)
    from_clip: Tensor  # (B, M + T, D, D): what is remembered, then what is here


def lenses(cameras: Cameras, remembered: Tensor | None, size: int, dtype: torch.dtype) -> Lenses:
    """`remembered` (B, M, 4, 4) are memories' `from_clip`, in the frame that the cameras have.

    All are told anew as the last camera's clip space has them, before precision is lost: so that frame may be far off.
    """
    seen, last = cameras.from_clip, slice(-1, None)
    if remembered is not None:
        seen = torch.cat([remembered.to(seen.dtype).expand(len(seen), -1, -1, -1), seen], 1)
    to_clip, from_clip = cameras.to_clip @ seen[:, last], cameras.to_clip[:, last] @ seen
    return Lenses(spread(to_clip, size).to(dtype), spread(from_clip, size).to(dtype))


def look_through(
    q_NHD: Tensor,
    k_NHD: Tensor,
    v_NHD: Tensor,
    by: Lenses,
    past: tuple[Tensor, Tensor] | None = None,
    mask: Mask | None = None,
    kernel: Callable[..., Tensor] = attend,
) -> Tensor:
    """(B, N, H, D) what the tokens of T latents find among themselves and, where it is given, in the past of M."""
    seen = by.from_clip[:, -by.to_clip.shape[1] :] if past is None else by.from_clip
    if past is not None:
        k_NHD, v_NHD = torch.cat([past[0], k_NHD], 1), torch.cat([past[1], v_NHD], 1)
    found = kernel(through(q_NHD, by.to_clip.mT), through(k_NHD, seen), through(v_NHD, seen), mask)
    return through(found, by.to_clip)
