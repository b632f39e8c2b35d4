"""The `nano` codec: frames to latents, and latents with the state's view back to frames.

A latent stands for one chunk alone, so a decoded chunk is a function of its latent and its view:
nothing is carried from chunk to chunk, and nothing needs replaying when a world is opened again.

The decoder draws every pixel itself and also says, pixel by pixel, how far to trust the view
instead: frame = gate * view + (1 - gate) * drawing. The view comes in at full sharpness, in the light that is.

Shapes: B batch, T frames a chunk, H W frame size, h w latent size (H/8, W/8), C latent channels,
P proxy channels. Frames are in [0, 1].
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import CodecConfig
from perdure.models.context import PROXY_CHANNELS
from perdure.models.observer import Observation, Observer


class ResBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


def blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(width) for _ in range(count)))


class Encoder(nn.Module):
    """(B, T, 3, H, W) to (B, C, h, w), bounded by a soft clamp."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        quarter, eighth = config.encoder_widths
        self.stem = nn.Conv2d(config.frames * 3 * 16, quarter, 3, padding=1)
        self.at_quarter = blocks(quarter, config.blocks)
        self.down = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)
        self.at_eighth = blocks(eighth, config.blocks)
        self.out = nn.Conv2d(eighth, config.latent_channels, 3, padding=1)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        x = F.pixel_unshuffle(frames_BTCHW.flatten(1, 2) * 2 - 1, 4)
        x = self.at_eighth(self.down(self.at_quarter(self.stem(x))))
        return 3 * torch.tanh(self.out(F.silu(x)).float() / 3)


class Decoded(NamedTuple):
    frames: Tensor  # (B, T, 3, H, W) what is shown
    drawing: Tensor  # (B, T, 3, H, W) what the decoder draws by itself
    gate: Tensor  # (B, T, 1, H, W) how far the view is trusted
    observation: Observation


class Decoder(nn.Module):
    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.frames = config.frames
        eighth, quarter, half = config.decoder_widths
        view = config.frames * 5  # colour, confidence and inverse depth of each frame
        self.stem = nn.Conv2d(config.latent_channels + PROXY_CHANNELS, eighth, 3, padding=1)
        self.at_eighth = blocks(eighth, config.blocks)
        self.to_quarter = nn.Conv2d(eighth, quarter * 4, 1)
        self.look_half = nn.Conv2d(view * 4, half, 3, padding=1)
        self.look_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.at_quarter = blocks(quarter, config.blocks)
        self.to_half = nn.Conv2d(quarter, half * 4, 1)
        self.at_half = blocks(half, config.blocks)
        self.head = nn.Conv2d(half, config.frames * 4 * 4, 3, padding=1)
        self.observer = Observer(half, config.heads)

    def forward(
        self,
        latent_BChw: Tensor,
        view_BTCHW: Tensor,
        confidence_BTHW: Tensor,
        depth_BTHW: Tensor,
        proxy_BPhw: Tensor,
    ) -> Decoded:
        """`depth` is in metres, 0 where the view knows nothing; `confidence` is in [0, 1]."""
        known = (confidence_BTHW > 0).to(view_BTCHW.dtype)
        near = known / depth_BTHW.clamp_min(0.25)
        seen = torch.cat([(view_BTCHW * 2 - 1).flatten(1, 2), confidence_BTHW * 2 - 1, near], 1)
        look_half = self.look_half(F.pixel_unshuffle(seen, 2))
        x = self.at_eighth(self.stem(torch.cat([latent_BChw, proxy_BPhw], 1)))
        x = F.pixel_shuffle(self.to_quarter(x), 2) + self.look_quarter(F.silu(look_half))
        x = F.pixel_shuffle(self.to_half(self.at_quarter(x)), 2) + look_half
        x = F.silu(self.at_half(x))
        out = F.pixel_shuffle(self.head(x), 2).float().unflatten(1, (self.frames, 4))
        drawing = out[:, :, :3] + 0.5
        # Where the view is empty the gate is shut by construction, not by training.
        gate = torch.sigmoid(out[:, :, 3:] - 1) * known.float().unsqueeze(2)
        view = view_BTCHW.float()
        return Decoded(gate * view + (1 - gate) * drawing, drawing, gate, self.observer(x, proxy_BPhw[:, 0]))
