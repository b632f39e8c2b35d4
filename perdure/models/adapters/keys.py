"""Keys: what was pressed for a latent, added to the time embedding before it modulates the blocks.

Either features (keys as they are held, then how far the mouse went) or the number of one of 81 motions,
nine ways of stepping times nine of turning, which goes through the waves that time goes through.

Shapes: B batch, T latents, A features, E width of the model.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.conditions import fitting, readable

MOTIONS = 81  # of "81-way": nine ways to step times nine to turn


def waves(at: Tensor, count: int) -> Tensor:
    """(..., count) cosines and sines of numbers (...), from one radian a unit down to almost none."""
    half = count // 2
    rate = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=at.device) / half)
    angle = at.float().unsqueeze(-1) * rate
    return torch.cat([angle.cos(), angle.sin()], -1)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """A layer that says nothing yet."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        nn.init.zeros_(layer.bias)
    return layer


def featured(name: str, x: Tensor, batch: int, latents: int, features: int) -> None:
    """Raise `ValueError` unless a tensor is finite features: one row for all latents, or one for each."""
    fitting(name, x, (batch, 1), *((latents, features) if x.ndim == 3 else (features,)))
    if readable(x) and not x.isfinite().all():
        raise ValueError(f"expected finite numbers as {name}, got NaN or infinity in them")


class Keys(nn.Module):
    """(B, A) or (B, T, A) features, or (B) or (B, T) numbers of motions, to (B, E) or (B, T, E)."""

    def __init__(self, kind: str, dim: int, features: int, frequencies: int) -> None:
        super().__init__()
        if kind not in ("multi-hot", "81-way"):
            raise ValueError(f"expected keys to be 'multi-hot' or '81-way', got {kind!r}")
        self.frequencies = frequencies if kind == "81-way" else 0
        self.linear_1 = nn.Linear(self.frequencies or features, dim)
        self.linear_2 = zeroed(nn.Linear(dim, dim))

    def check(self, name: str, keys: Tensor, batch: int, latents: int) -> None:
        """Raise `ValueError` unless they are as `forward` takes them, for so many latents."""
        if not self.frequencies:
            return featured(name, keys, batch, latents, self.linear_1.in_features)
        fitting(name, keys, (batch, 1), *((latents,) if keys.ndim == 2 else ()))
        if keys.is_floating_point():
            raise ValueError(f"expected whole numbers of motions, 0 to {MOTIONS - 1}, as {name}, got {keys.dtype}")
        if readable(keys) and keys.numel() and not (keys.min() >= 0 and keys.max() < MOTIONS):
            span = f"{int(keys.min())} to {int(keys.max())}"
            raise ValueError(f"expected numbers of motions, 0 to {MOTIONS - 1}, as {name}, got {span}")

    def forward(self, keys: Tensor) -> Tensor:
        x = waves(keys, self.frequencies) if self.frequencies else keys
        return self.linear_2(F.silu(self.linear_1(x.to(self.linear_1.weight.dtype))))


class Setting(nn.Module):
    """(B, F) or (B, T, F) features of hour, weather, season and style, as floats, to (B, E) or (B, T, E). Zeros, which
    are clear noon, say nothing at all: what a model draws there is what it drew without."""

    def __init__(self, dim: int, features: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(features, dim)
        self.linear_2 = zeroed(nn.Linear(dim, dim, bias=False))

    def check(self, setting: Tensor, batch: int, latents: int) -> None:
        """Raise `ValueError` unless it is as `forward` takes it, for so many latents."""
        featured("setting", setting, batch, latents, self.linear_1.in_features)

    def forward(self, setting: Tensor) -> Tensor:
        x = self.linear_1(setting.to(self.linear_1.weight.dtype))
        noon = self.linear_1(torch.zeros_like(setting).to(self.linear_1.weight.dtype))
        return self.linear_2(F.silu(x) - F.silu(noon))
