"""Cameras: a second attention in which what is seen depends on where cameras stand to each other (PRoPE).

It shares queries, keys and values with the first attention, before they are turned to their positions.
Four channels at a time, a query goes through its camera's projection, transposed, keys and values through
the inverse of theirs, and what is found comes back through the query's own. So only products of one
projection and another's inverse count, and the frame that the poses are told in drops out. A keyframe's
keys are kept as they are: its camera is applied when it is looked at.

Shapes: B batch, T latents, N tokens and S tokens to look at (latents times tokens of each), H heads, D head
size, F latents that are looked at.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from perdure.models.camera import invert
from perdure.models.conditions import Cameras

FULL, ONLY_FOCAL = "prope", "fx_fy"


def cameras(
    poses: Tensor, normalised: Tensor, seen_from: Tensor | None = None, scale: float = 1.0, kind: str = FULL
) -> Cameras:
    """From poses (B, T, 4, 4) in metres and intrinsics (B, T, 4) as fractions of the picture; `scale` is a metre.

    The frame is that of the camera at `seen_from` (B, 4, 4), the last one unless it is given: numbers stay
    small wherever in the world this is, and in what precision it goes on.
    """
    here = invert(poses[:, -1] if seen_from is None else seen_from).unsqueeze(1) @ poses
    here = torch.cat([torch.cat([here[..., :3, :3], here[..., :3, 3:] * scale], -1), here[..., 3:, :]], -2)
    to_clip, from_clip = lift(normalised, kind)
    return Cameras(to_clip @ invert(here), here @ from_clip)


def lift(normalised: Tensor, kind: str = FULL) -> tuple[Tensor, Tensor]:
    """(..., 4, 4) camera coordinates to clip space, and back.

    In full the picture's edges lie at -1 and 1. `fx_fy` knows nothing but the focal lengths, as fractions of
    the picture: so HY-WorldPlay was trained.
    """
    if kind not in (FULL, ONLY_FOCAL):
        raise ValueError(f"expected a frustum {FULL!r} or {ONLY_FOCAL!r}, got {kind!r}")
    fx, fy, cx, cy = normalised.unbind(-1)
    if kind == FULL:
        fx, fy, cx, cy = 2 * fx, 2 * fy, 2 * cx - 1, 2 * cy - 1
    else:
        cx, cy = torch.zeros_like(cx), torch.zeros_like(cy)
    one, zero = torch.ones_like(fx), torch.zeros_like(fx)

    def matrix(fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor) -> Tensor:
        rows = [fx, zero, cx, zero], [zero, fy, cy, zero], [zero, zero, one, zero], [zero, zero, zero, one]
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    return matrix(fx, fy, cx, cy), matrix(1 / fx, 1 / fy, -cx / fx, -cy / fy)


def each(x_NHD: Tensor, matrices: Tensor) -> Tensor:
    """(B, N, H, D) with the tokens of each latent through its own (B, T, 4, 4)."""
    size = x_NHD.shape[-1]
    # (B, T, D, D) with the matrix all along its diagonal: one dense product is faster than many tiny ones.
    eye = torch.eye(size // 4, dtype=matrices.dtype, device=matrices.device)
    large = (eye[:, None, :, None] * matrices[:, :, None, :, None, :]).flatten(4, 5).flatten(2, 3)
    grouped = x_NHD.unflatten(1, (matrices.shape[1], -1)).flatten(2, 3)
    return (grouped @ large.to(x_NHD.dtype).mT).view(x_NHD.shape)


def look_through(
    q_NHD: Tensor, k_SHD: Tensor, v_SHD: Tensor, eye: Cameras, seen: Cameras, attend: Callable[..., Tensor]
) -> Tensor:
    """(B, N, H, D) what tokens of the T latents of `eye` find in those of the F latents of `seen`.

    `attend` is whatever attention the first one was, its mask included.
    """
    found = attend(each(q_NHD, eye.to_clip.mT), each(k_SHD, seen.from_clip), each(v_SHD, seen.from_clip))
    return each(found, eye.to_clip)
