"""The observer: what a decoded chunk shows, so that the state can keep it.

It reads the decoder's own features and speaks of the chunk's last frame: how far each pixel is,
how unsure it is of that, and whether the pixel belongs to something that moves.

Shapes: B batch, D features, H W frame size.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Observation(NamedTuple):
    log_depth: Tensor  # (B, H, W) natural log of metres along the camera's z
    log_spread: Tensor  # (B, H, W) log of the expected absolute error of log_depth
    moving: Tensor  # (B, H, W) logit


class Observer(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(features, features, 3, padding=1)
        self.head = nn.Conv2d(features, 12, 3, padding=1)  # 3 maps, 2x2 pixels each

    def forward(self, features_BDHW: Tensor) -> Observation:
        """Features at half the frame's size in, maps at the frame's size out."""
        maps = F.pixel_shuffle(self.head(F.silu(self.mix(features_BDHW))), 2).float()
        return Observation(2.0 * maps[:, 0] + 1.0, maps[:, 1].clamp(-6, 2), maps[:, 2])


def observer_loss(found: Observation, depth_BHW: Tensor, moving_BHW: Tensor) -> Tensor:
    """Laplace likelihood of the depth with its own spread, and cross-entropy of the moving mask."""
    error = (found.log_depth - torch.log(depth_BHW.clamp_min(0.05))).abs()
    depth = error * torch.exp(-found.log_spread) + found.log_spread
    moving = F.binary_cross_entropy_with_logits(found.moving, moving_BHW)
    return depth.mean() + error.mean() + moving
