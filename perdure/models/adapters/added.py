"""Everything that a config adds to Wan's transformer, as one module: a model has it under `adapters`.

Shapes: B batch, T latents, N tokens, E width of the model.
"""

from typing import cast

from torch import nn

from perdure.models.adapters.identity import Identity, Recognise
from perdure.models.adapters.keys import Keys, zeroed
from perdure.models.adapters.rays import Rays, RayShift, channels
from perdure.models.adapters.view import View
from perdure.models.config import TransformerConfig


class InBlock(nn.Module):
    """What one block has of them; None is off."""

    camera: nn.Linear | None  # of the second attention, out
    rays: RayShift | None
    identity: Recognise | None

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        on, dim = config.adapters, config.dim
        self.camera = zeroed(nn.Linear(dim, dim)) if on.camera in ("prope", "fx_fy") else None
        self.rays = RayShift(dim) if on.rays else None
        self.identity = Recognise(dim, config.heads, config.eps) if on.identity else None


class Added(nn.Module):
    keys: Keys | None
    rays: Rays | None
    view: View | None
    identity: Identity | None

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        on, dim, patch = config.adapters, config.dim, config.patch
        if on.camera not in ("", "prope", "fx_fy", "heads"):
            raise ValueError(f"expected a camera of 'prope', 'fx_fy', 'heads' or '', got {on.camera!r}")
        if on.identity and not config.text_dim:
            raise ValueError(
                "expected cross-attention (text_dim above 0) for identity, whose tokens are looked at there"
            )
        self.keys = Keys(on.keys, dim, on.key_features, config.frequency_dim) if on.keys else None
        self.rays = Rays(channels(on.rays, on.key_features) * on.ray_fold**2, patch, dim) if on.rays else None
        self.view = View(on.view, patch, dim) if on.view else None
        self.identity = Identity(on.identity) if on.identity else None
        inside = on.camera in ("prope", "fx_fy") or on.rays or on.identity
        self.blocks = nn.ModuleList(InBlock(config) for _ in range(config.layers if inside else 0))

    def block(self, layer: int) -> InBlock | None:
        return cast(InBlock, self.blocks[layer]) if self.blocks else None
