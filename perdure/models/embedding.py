"""What goes into the transformer besides latents, each as vectors of its width: time, text, a first image.

Names of parameters are those of diffusers' `condition_embedder`.

Shapes: B batch, G groups of tokens that share a timestep, E width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import TransformerConfig


class TwoLayers(nn.Module):
    def __init__(self, inputs: int, dim: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1, self.activation, self.linear_2 = nn.Linear(inputs, dim), activation, nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(self.activation(self.linear_1(x.to(self.linear_1.weight.dtype))))


class Gelu(nn.Module):
    def __init__(self, inputs: int, outputs: int, approximate: str) -> None:
        super().__init__()
        self.proj, self.approximate = nn.Linear(inputs, outputs), approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate=self.approximate)


class FeedForward(nn.Module):
    def __init__(self, inputs: int, inner: int, outputs: int, approximate: str = "tanh") -> None:
        super().__init__()
        # In the middle was a dropout, which the numbers of the names still count.
        self.net = nn.Sequential(Gelu(inputs, inner, approximate), nn.Identity(), nn.Linear(inner, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ImageEmbedder(nn.Module):
    """CLIP's tokens of the first image, and of the last where there is one, as tokens to attend to."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.image_dim), nn.LayerNorm(config.dim)
        self.ff = FeedForward(config.image_dim, config.image_dim, config.dim, "none")
        places = torch.zeros(1, config.image_tokens, config.image_dim)
        self.pos_embed = nn.Parameter(places) if config.image_tokens else None

    def forward(self, image_BSE: Tensor) -> Tensor:
        x = image_BSE.to(self.norm1.weight.dtype)
        if self.pos_embed is not None:  # two images come as two rows of a batch
            x = x.reshape(-1, self.pos_embed.shape[1], x.shape[-1]) + self.pos_embed
        return self.norm2(self.ff(self.norm1(x)))


class Conditions(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embedder = TwoLayers(config.frequency_dim, config.dim, nn.SiLU())
        self.time_proj = nn.Linear(config.dim, config.dim * 6)
        self.text_embedder = TwoLayers(config.text_dim, config.dim, nn.GELU("tanh")) if config.text_dim else None
        self.image_embedder = ImageEmbedder(config) if config.image_dim else None

    def time(self, timestep_BG: Tensor) -> Tensor:
        """(B, G, E), before anything is added to it."""
        half = self.config.frequency_dim // 2
        rates = -math.log(self.config.time_base) * torch.arange(half, dtype=torch.float32, device=timestep_BG.device)
        angles = timestep_BG.float().unsqueeze(-1) * (rates / half).exp()
        time = self.time_embedder(torch.cat([angles.cos(), angles.sin()], -1))
        return time.to(self.time_proj.weight.dtype)

    def modulation(self, time_BGE: Tensor) -> Tensor:
        """(B, G, 6, E): shift, scale and gate of attention, then of the feed-forward."""
        return self.time_proj(F.silu(time_BGE)).unflatten(-1, (6, -1))
