"""The `nano` codec: frames to latents, and latents with the state's view back to frames.

A latent stands for one chunk alone, so a decoded chunk is a function of its latent and its view:
nothing is carried from chunk to chunk, and nothing needs replaying when a world is opened again.

The decoder draws every pixel itself and also says, pixel by pixel, how far to trust the view
instead: frame = gate * view + (1 - gate) * drawing. The view comes in at full sharpness. A decoder that is told the
setting lights the view first: it is of clear noon, whatever the hour.

Shapes: B batch, T frames a chunk, H W frame size, h w latent size (H/8, W/8), C latent channels,
P proxy channels, F features of the setting. Frames are in [0, 1].
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


class Told(nn.Module):
    """What the decoder does with the setting: fresh, nothing at all, and at clear noon nothing ever.

    The state's view is of clear noon. So features are scaled and shifted by what the setting says, and the view's own
    colours get a gain and an offset, pixel by pixel: its sharpness is kept where its light is not.
    """

    def __init__(self, config: CodecConfig, inner: int = 64) -> None:
        super().__init__()
        _, quarter, half = config.decoder_widths
        self.widths = [quarter, quarter, half, half]
        self.inner = nn.Linear(config.setting, inner, bias=False)  # so that zeros, clear noon, say nothing
        self.outer = nn.Linear(inner, sum(self.widths), bias=False)
        self.tint = nn.Linear(inner, 6, bias=False)
        self.light = nn.Conv2d(half, 6, 3, padding=1)
        for parameter in (self.outer.weight, self.light.weight, self.light.bias):
            assert parameter is not None
            nn.init.zeros_(parameter)

    def forward(self, setting_BF: Tensor) -> tuple[Tensor, ...]:
        """Scale and shift of the features at a quarter, then at half of the frame, and a tint: (B, ., 1, 1) each."""
        x = F.silu(self.inner(setting_BF))
        return *self.outer(x)[..., None, None].split(self.widths, 1), self.tint(x)[..., None, None]

    def lit(self, view_BTCHW: Tensor, x: Tensor, tint: Tensor) -> Tensor:
        light = self.light(x).float() * tint.float()
        light = F.interpolate(light, scale_factor=2.0, mode="bilinear", align_corners=False)
        gain, offset = light.unsqueeze(1).split(3, 2)
        return view_BTCHW * (1 + gain) + offset


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
        self.told = Told(config) if config.setting else None

    def forward(
        self,
        latent_BChw: Tensor,
        view_BTCHW: Tensor,
        confidence_BTHW: Tensor,
        depth_BTHW: Tensor,
        proxy_BPhw: Tensor,
        setting_BF: Tensor | None = None,
    ) -> Decoded:
        """`depth` is in metres, 0 where the view knows nothing; `confidence` is in [0, 1]."""
        if (setting_BF is None) != (self.told is None):
            wanted = "none" if self.told is None else f"{self.told.inner.in_features} features"
            got = "none" if setting_BF is None else f"shape {tuple(setting_BF.shape)}"
            raise ValueError(f"expected of the setting {wanted} for this decoder, got {got}")
        known = (confidence_BTHW > 0).to(view_BTCHW.dtype)
        near = known / depth_BTHW.clamp_min(0.25)
        seen = torch.cat([(view_BTCHW * 2 - 1).flatten(1, 2), confidence_BTHW * 2 - 1, near], 1)
        look_half = self.look_half(F.pixel_unshuffle(seen, 2))
        x = self.at_eighth(self.stem(torch.cat([latent_BChw, proxy_BPhw], 1)))
        x = F.pixel_shuffle(self.to_quarter(x), 2) + self.look_quarter(F.silu(look_half))
        told = None if self.told is None or setting_BF is None else self.told(setting_BF)
        x = x if told is None else x * (1 + told[0]) + told[1]
        x = F.pixel_shuffle(self.to_half(self.at_quarter(x)), 2) + look_half
        x = x if told is None else x * (1 + told[2]) + told[3]
        x = F.silu(self.at_half(x))
        out = F.pixel_shuffle(self.head(x), 2).float().unflatten(1, (self.frames, 4))
        drawing = out[:, :, :3] + 0.5
        # Where the view is empty the gate is shut by construction, not by training.
        gate = torch.sigmoid(out[:, :, 3:] - 1) * known.float().unsqueeze(2)
        view = view_BTCHW.float()
        if self.told is not None and told is not None:
            view = self.told.lit(view, x, told[4])
        return Decoded(gate * view + (1 - gate) * drawing, drawing, gate, self.observer(x, proxy_BPhw[:, 0]))
