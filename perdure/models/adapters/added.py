"""Everything that a config adds to Wan's transformer, as one module: a model has it under `adapters`.

Shapes: B batch, T latents, N tokens (of all latents), G groups of tokens that share a timestep, H heads, D head size,
E width of the model.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import Tensor, nn

from perdure.models.adapters.camera import Lenses, cameras, lenses, look_through
from perdure.models.adapters.identity import Identity, Recognise
from perdure.models.adapters.keys import Keys, Setting, zeroed
from perdure.models.adapters.rays import Rays, RayShift, channels, folded, ray_map
from perdure.models.adapters.view import View
from perdure.models.adapters.words import Hearing, Listen
from perdure.models.attention import Scope, attend
from perdure.models.conditions import Cameras, Given, Past, fitting
from perdure.models.config import TransformerConfig


class Extra(NamedTuple):
    """What blocks look at besides, worked out once for all of them; None is not given."""

    lenses: Lenses | None = None
    rays: Tensor | None = None  # (B, N, E)
    who: tuple[Tensor, Tensor | None] | None = None  # tokens, and which of them are there
    words: tuple[Tensor, Tensor, Tensor] | None = None  # tokens, which of them are there, and (N, W) where who hears is
    hearing: Tensor | None = None  # (N, 1) bool; None: all


class InBlock(nn.Module):
    """What one block has of them; None is off."""

    camera: nn.Linear | None  # of the second attention, out
    rays: RayShift | None
    identity: Recognise | None
    words: Listen | None

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        on, dim = config.adapters, config.dim
        self.camera = zeroed(nn.Linear(dim, dim)) if on.camera in ("prope", "fx_fy") else None
        self.rays = RayShift(dim) if on.rays else None
        self.identity = Recognise(dim, config.heads, config.eps, not config.text_dim) if on.identity else None
        self.words = Listen(dim, config.eps) if on.words else None

    def look(
        self,
        seen_BNE: Tensor,
        qkv: tuple[Tensor, Tensor, Tensor],
        extra: Extra,
        past: tuple[Tensor, Tensor] | None,
        scope: Scope,
    ) -> Tensor:
        """What self-attention gave, and what its queries, keys and values give when cameras are between them."""
        if self.camera is None or extra.lenses is None:
            return seen_BNE
        return seen_BNE + self.camera(
            look_through(*qkv, extra.lenses, past, scope.mask, scope.attend or attend).flatten(2)
        )

    def shift(self, x: Tensor, extra: Extra) -> Tensor:
        """The tokens (B, N, E) after self-attention, in the light of rays."""
        return x if self.rays is None or extra.rays is None else self.rays(x, extra.rays).to(x.dtype)

    def read(self, found_BNHD: Tensor, q_BNHD: Tensor, extra: Extra) -> Tensor:
        """What was found in the text, and what the same queries find in who is there."""
        if self.identity is None or extra.who is None:
            return found_BNHD
        return found_BNHD + self.identity(q_BNHD, *extra.who)

    def hear(self, x_BNE: Tensor, extra: Extra) -> Tensor:
        """The tokens after text, in the light of who is there, if text did not ask that, and what they are told."""
        if self.identity is not None and self.identity.alone and extra.who is not None:
            x_BNE = (x_BNE + self.identity(self.identity.ask(x_BNE), *extra.who).flatten(2)).to(x_BNE.dtype)
        if self.words is None or extra.words is None:
            return x_BNE
        heard = self.words(x_BNE, *extra.words)
        heard = heard if extra.hearing is None else heard * extra.hearing
        return (x_BNE + heard).to(x_BNE.dtype)


class Added(nn.Module):
    keys: Keys | None
    setting: Setting | None
    rays: Rays | None
    view: View | None
    identity: Identity | None
    words: Hearing | None

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        on, dim, patch = config.adapters, config.dim, config.patch
        if on.camera not in ("", "prope", "fx_fy", "heads"):
            raise ValueError(f"expected a camera of 'prope', 'fx_fy', 'heads' or '', got {on.camera!r}")
        self.on = on
        self.keys = Keys(on.keys, dim, on.key_features, config.frequency_dim) if on.keys else None
        self.setting = Setting(dim, on.setting) if on.setting else None
        self.rays = Rays(channels(on.rays, on.key_features) * on.ray_fold**2, patch, dim) if on.rays else None
        self.view = View(on.view, patch, dim) if on.view else None
        self.identity = Identity(on.identity) if on.identity else None
        self.words = Hearing(on) if on.words else None
        self.lens = config.head_dim if on.camera in ("prope", "fx_fy") else 0  # channels that cameras are laid out for
        inside = self.lens or on.rays or on.identity or on.words
        self.blocks = nn.ModuleList(InBlock(config) for _ in range(config.layers if inside else 0))

    def block(self, layer: int) -> InBlock | None:
        return cast(InBlock, self.blocks[layer]) if self.blocks else None

    def cameras_of(self, poses: Tensor, normalised: Tensor, seen_from: Tensor | None = None) -> Cameras:
        """To be given as `cameras`: by `adapters.camera.cameras`, of the kind and the scale that the config says."""
        if not self.on.camera:
            raise ValueError("expected a model with adapters.camera on to give cameras to, got one without")
        return cameras(poses, normalised, seen_from, scale=self.on.camera_scale, kind=self.on.camera)

    def rays_of(
        self,
        poses: Tensor,
        normalised: Tensor,
        before: Tensor | None,
        size: tuple[int, int],
        keys: Tensor | None = None,
    ) -> Tensor:
        """To be given as `rays` to latents of h x w: by `adapters.rays.ray_map`, of the config's kind and scale."""
        if not self.on.rays:
            raise ValueError("expected a model with adapters.rays on to give rays to, got one without")
        height, width = (self.on.ray_fold * cells for cells in size)
        seen = ray_map(poses, normalised, before, height, width, self.on.ray_scale)
        return folded(seen, keys, self.on.rays, self.on.ray_fold)

    def check(self, given: Given, size: Sequence[int], latents: int) -> None:
        """Whatever is given must be asked for by the config, and fit latents of a size (B, C, T, h, w)."""
        for name in ("keys", "setting", "cameras", "rays", "view", "identity", "words"):
            switch = "camera" if name == "cameras" else name
            if getattr(given, name) is not None and not getattr(self.on, switch):
                raise ValueError(f"expected no {name}, since adapters.{switch} is off, got some")
        batch = size[0], 1
        if self.keys is not None and given.keys is not None:
            self.keys.check("keys", given.keys, size[0], latents)
        if self.setting is not None and given.setting is not None:
            self.setting.check(given.setting, size[0], latents)
        for tensor in given.cameras or ():
            fitting("cameras", tensor, batch, latents, 4, 4)
        fitting("rays", given.rays, batch, self.rays and self.rays.channels, *size[2:])
        fitting("view", given.view, batch, self.view and self.view.in_channels, *size[2:])
        fitting("identity", given.identity, batch, None, self.identity and self.identity.linear_1.in_features)
        if given.identity is not None:
            fitting("identity_present", given.identity_present, batch, given.identity.shape[1])
        fitting("hearing", given.hearing, latents)

    def to_tokens(self, x_BNE: Tensor, given: Given) -> Tensor:
        return x_BNE if self.view is None or given.view is None else x_BNE + self.view(given.view).to(x_BNE.dtype)

    def to_time(self, time_BGE: Tensor, given: Given) -> Tensor:
        """(B, G, E); where latents differ in what they are told there are at least as many groups as latents."""
        for module, told, whom in ((self.keys, given.keys, None), (self.setting, given.setting, given.hearing)):
            if module is None or told is None:
                continue
            said = module(told).to(time_BGE.dtype)
            said = said.unsqueeze(1) if said.ndim == 2 else said
            said = said if whom is None else said * whom.unsqueeze(1)
            if 1 < said.shape[1] < time_BGE.shape[1]:
                said = said.repeat_interleave(time_BGE.shape[1] // said.shape[1], 1)
            time_BGE = time_BGE + said
        return time_BGE

    def extra(self, given: Given, past: Past | None, like: Tensor, grid: tuple[int, int, int]) -> Extra:
        if not self.blocks:
            return Extra()
        by = None
        if self.lens and given.cameras is not None:
            if past is not None and past.from_clip is None:
                raise ValueError("expected cameras of what is remembered beside those of what is coming, got none")
            by = lenses(given.cameras, None if past is None else past.from_clip, self.lens, like.dtype)
        rays = None if self.rays is None or given.rays is None else self.rays(given.rays)
        who = None
        if self.identity is not None and given.identity is not None:
            who = self.identity(given.identity, given.identity_present)
        words = hearing = None
        if self.words is not None and given.words is not None:
            words = *self.words(given.words), self.words.places(*grid)
            if given.hearing is not None:
                hearing = given.hearing.repeat_interleave(grid[1] * grid[2]).unsqueeze(1)
        return Extra(by, rays, who, words, hearing)
