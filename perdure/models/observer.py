"""The observer: what a decoded chunk shows, so that the state can keep it.

It reads the decoder's own features and speaks of the chunk's last frame: how far each pixel is,
how unsure it is of that, and whether the pixel belongs to something that moves. Where physics knows
roughly what stands where, the estimate starts from there and the observer adds what is finer.

Shapes: B batch, D features, H W frame size, h w latent size.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FARTHEST = 60.0  # metres, where the sky stands
NO_GUESS = 1.0  # log metres, where physics knows nothing


class Observation(NamedTuple):
    log_depth: Tensor  # (B, H, W) natural log of metres along the camera's z
    log_spread: Tensor  # (B, H, W) log of the expected absolute error of log_depth
    moving: Tensor  # (B, H, W) logit


class Observer(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(features, features, 3, padding=1)
        self.head = nn.Conv2d(features, 12, 3, padding=1)  # 3 maps, 2x2 pixels each

    def forward(self, features_BDHW: Tensor, inverse_depth_Bhw: Tensor) -> Observation:
        """Features at half the frame's size and physics' inverse depth (0 unknown or sky) in, maps at full size out."""
        maps = F.pixel_shuffle(self.head(F.silu(self.mix(features_BDHW))), 2).float()
        return Observation(
            first_guess(inverse_depth_Bhw, maps.shape[-2:]) + maps[:, 0], maps[:, 1].clamp(-6, 2), maps[:, 2]
        )


def first_guess(inverse_depth_Bhw: Tensor, size: torch.Size) -> Tensor:
    """Log depth at full size: inverse depth is linear across a plane, so enlarging it is exact on walls and floors."""
    large = F.interpolate(inverse_depth_Bhw.float().unsqueeze(1), size, mode="bilinear", align_corners=False).squeeze(1)
    known = (inverse_depth_Bhw.flatten(1).amax(1) > 0).view(-1, 1, 1)
    return torch.where(known, -torch.log(large.clamp_min(1 / FARTHEST)), torch.full_like(large, NO_GUESS))


def observer_loss(found: Observation, depth_BHW: Tensor, moving_BHW: Tensor) -> Tensor:
    """Laplace likelihood of the depth with its own spread, and cross-entropy of the moving mask."""
    error = (found.log_depth - torch.log(depth_BHW.clamp_min(0.05))).abs()
    depth = error * torch.exp(-found.log_spread) + found.log_spread
    moving = F.binary_cross_entropy_with_logits(found.moving, moving_BHW)
    return depth.mean() + error.mean() + moving
