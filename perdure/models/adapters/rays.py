"""Rays: where each pixel of the coming latent looks, laid on every block by scale and shift (LingBot-World).

A latent's ray has six channels at the rate of pixels: where the camera stands and which way the pixel looks,
both as the camera of the latent before has them, so a stream needs nothing but the pose that came last.
Lengths have one scale for all: a clip's own largest step is not known while one plays. Keys may be laid
beside the rays, the same for all pixels. Pixels are folded into the channels of a latent's cells.

Shapes: B batch, T latents, H W pixels, h w cells of a latent, R channels of rays and keys together before
folding, A key features, N tokens, E width of the model.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.adapters.keys import zeroed
from perdure.models.camera import check_lens, check_pose, rays, relative

KINDS = ("rays", "rays-keys", "directions-keys")  # the last is LingBot's `act`, which leaves out where one stands


def channels(kind: str, features: int) -> int:
    """R of a kind of rays, with so many key features."""
    if kind not in KINDS:
        raise ValueError(f"expected rays to be one of {', '.join(KINDS)}, got {kind!r}")
    return (3 if kind == "directions-keys" else 6) + (0 if kind == "rays" else features)


def ray_map(poses: Tensor, normalised: Tensor, before: Tensor | None, height: int, width: int, scale: float) -> Tensor:
    """(B, 6, T, H, W) origins and directions of poses (B, T, 4, 4), intrinsics (B, T, 4); `scale` is a metre.

    A model's own scale is in its config: `Added.rays_of` passes it.

    `before` (B, 4, 4) is the pose that came last; without one the first latent stands still.
    """
    check_pose(poses)
    check_lens(normalised)
    if before is not None:
        check_pose(before)
    first = poses[:, :1] if before is None else before.unsqueeze(1)
    step = relative(poses, torch.cat([first, poses[:, :-1]], 1))
    directions = F.normalize(rays(normalised, width, height), dim=-1) @ step[..., None, :3, :3].mT
    origins = (step[..., :3, 3] * scale)[..., None, None, :].expand_as(directions)
    return torch.cat([origins, directions], -1).permute(0, 4, 1, 2, 3)


def folded(rays_BRTHW: Tensor, keys_BTA: Tensor | None, kind: str, by: int) -> Tensor:
    """(B, R * by * by, T, h, w), what `Rays` takes: rays and keys, `by` pixels a cell each way."""
    seen = rays_BRTHW[:, 3:] if kind == "directions-keys" else rays_BRTHW
    out = F.pixel_unshuffle(seen.transpose(1, 2), by).transpose(1, 2)
    if kind == "rays":
        return out
    if keys_BTA is None:
        raise ValueError(f"expected the keys of each latent beside {kind!r}, got none")
    pressed = keys_BTA.to(out.dtype).repeat_interleave(by * by, -1).transpose(1, 2)[..., None, None]
    return torch.cat([out, pressed.expand(-1, -1, -1, *out.shape[-2:])], 1)


class Rays(nn.Module):
    """(B, R * fold * fold, T, h, w) to tokens (B, N, E), once for all blocks."""

    def __init__(self, folded_channels: int, patch: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        self.channels, self.patch = folded_channels, patch
        self.patch_embedding = nn.Linear(folded_channels * math.prod(patch), dim)
        self.linear_1, self.linear_2 = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, rays: Tensor) -> Tensor:
        t, h, w = self.patch
        x = rays.unflatten(4, (-1, w)).unflatten(3, (-1, h)).unflatten(2, (-1, t))  # B R T/t t h/h h w/w w
        x = x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
        c = self.patch_embedding(x.to(self.patch_embedding.weight.dtype))
        return c + self.linear_2(F.silu(self.linear_1(c)))


class RayShift(nn.Module):
    """What a block's tokens (B, N, E) become in the light of rays (B, N, E), right after self-attention."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.scale, self.shift = zeroed(nn.Linear(dim, dim)), zeroed(nn.Linear(dim, dim))

    def forward(self, x: Tensor, rays: Tensor) -> Tensor:
        h = rays + self.linear_2(F.silu(self.linear_1(rays)))
        return (1 + self.scale(h)) * x + self.shift(h)
