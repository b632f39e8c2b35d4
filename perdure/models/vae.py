"""Wan's own autoencoder, through diffusers, as a stream: as many latents at a time as there are.

It works causally, a latent at a time, and hands features from one to the next. Those features are the state here, so
decoding in parts is decoding whole, byte for byte. A frame depends on so many latents before its own (`lookback`, 38
for Wan's sizes) that a restart decodes those again.

Latents are as the transformer makes them, of about unit deviation; the autoencoder's own mean and deviation are taken
off and put on here. A latent becomes four frames, and a stream's first one becomes one.

Shapes: B batch, C latent channels, T latents, F frames, h w latent size, H W frame size. Frames are in [0, 1].
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from perdure.models import pretrained
from perdure.models.decoding import check_frames, check_latents

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

RATE = 4  # frames a latent


class Carried(NamedTuple):
    """What goes from call to call: the features that each convolution in time is to see next."""

    features: tuple[object, ...] = ()  # tensors, or what diffusers puts in their place at the start
    waiting: Tensor | None = None  # (B, F, 3, H, W) frames that are not yet enough for a latent


class WanVae(nn.Module):
    def __init__(self, vae: "AutoencoderKLWan") -> None:
        super().__init__()
        self.vae = vae.eval().requires_grad_(False)
        config = vae.config
        shape = (1, config["z_dim"], 1, 1, 1)
        self.mean, self.deviation = (
            nn.Buffer(torch.tensor(values, dtype=torch.float32, device=vae.device).view(shape), persistent=False)
            for values in (config["latents_mean"], config["latents_std"])
        )

    @property
    def channels(self) -> int:
        return self.vae.config["z_dim"]

    @property
    def stride(self) -> tuple[int, int, int]:
        side = (self.vae.config["patch_size"] or 1) * 2 ** (len(self.vae.config["dim_mult"]) - 1)
        return RATE, side, side

    @property
    def lookback(self) -> int:
        """From the output back to the latents: each causal convolution sees two frames before, at its own rate."""
        resnets = 4 * (self.vae.config["num_res_blocks"] + 1)  # of one stage; two convolutions each
        back = 2 + resnets  # the last convolution, and the stage that grows no more
        for grows in reversed(self.vae.temperal_upsample):
            back = (-(-back // 2) + 2 if grows else back) + resnets
        return back + 8 + 2  # two resnets in the middle, and the first convolution

    def start(self) -> Carried:
        return Carried()

    def decode(self, latents: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Frames (B, F, 3, H, W) in [0, 1] of latents (B, C, T, h, w): four each, and one of a stream's first."""
        check_latents(latents, self.channels, "this VAE")
        decoder, config = self.vae.decoder, self.vae.config
        features = list(state.features)
        shown: list[Tensor] = []
        for t in range(latents.shape[2]):
            first = not features
            features = features or [None] * self.vae._cached_conv_counts["decoder"]
            z = (latents[:, :, t : t + 1].float() * self.deviation + self.mean).to(self.vae.dtype)
            z = self.vae.post_quant_conv(z)
            made = decoder(z, feat_cache=features, feat_idx=[0], first_chunk=first)
            shown.append((unfolded(made, config["patch_size"] or 1).float() / 2 + 0.5).clamp(0, 1).transpose(1, 2))
        return torch.cat(shown, 1), Carried(tuple(features))

    def encode(self, frames: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Latents (B, C, T, h, w), the likeliest, of frames (B, F, 3, H, W): of a stream's first frame alone, then of
        each four. Frames that are not yet enough for a latent wait in the state; there may be no latent yet.
        """
        _, down, across = self.stride
        check_frames(frames, down, across, "this VAE")
        if state.waiting is not None:
            frames = torch.cat([state.waiting, frames], 1)
        features, at = list(state.features), 0
        b, count, _, height, width = frames.shape
        latents = [self.mean.new_zeros(b, self.channels, 0, height // down, width // across)]
        while count - at >= (RATE if features else 1):
            take = RATE if features else 1
            features = features or [None] * self.vae._cached_conv_counts["encoder"]
            x = frames[:, at : at + take].transpose(1, 2).to(self.vae.dtype) * 2 - 1
            x = self.vae.encoder(folded(x, self.vae.config["patch_size"] or 1), feat_cache=features, feat_idx=[0])
            likeliest = self.vae.quant_conv(x).float().chunk(2, 1)[0]
            latents.append((likeliest - self.mean) / self.deviation)
            at += take
        return torch.cat(latents, 2), Carried(tuple(features), frames[:, at:].clone() if at < count else None)


def folded(x_BCFHW: Tensor, patch: int) -> Tensor:
    """Squares of pixels into channels, a column of a square after the other: Wan 2.2's order."""
    b, c, f, h, w = x_BCFHW.shape
    x = x_BCFHW.view(b, c, f, h // patch, patch, w // patch, patch).permute(0, 1, 6, 4, 2, 3, 5)
    return x.reshape(b, c * patch**2, f, h // patch, w // patch)


def unfolded(x_BCFhw: Tensor, patch: int) -> Tensor:
    b, c, f, h, w = x_BCFhw.shape
    x = x_BCFhw.view(b, c // patch**2, patch, patch, f, h, w).permute(0, 1, 4, 5, 3, 6, 2)
    return x.reshape(b, c // patch**2, f, h * patch, w * patch)


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> WanVae:
    """The autoencoder in a folder as diffusers saves it: `vae` of a Wan model's."""
    try:
        from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    except ModuleNotFoundError as error:
        raise ValueError(f"Wan's autoencoder needs {error.name}: pip install 'perdure[wan]'") from None
    return WanVae(pretrained.opened(AutoencoderKLWan, folder, device, torch_dtype=dtype))
