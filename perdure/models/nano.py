"""The latent transformer: it draws a chunk's latent from noise, in the light of its memories.

Two passes share all weights. `remember` encodes one finished latent by itself into keys and
values, layer by layer; it depends on that latent and its action alone. `denoise` then attends
from the coming latent to any set of memories, each placed by its age and its camera at that
moment. So history is block-diagonal, a memory is encoded once, and a cache can always be rebuilt.

Names of modules follow diffusers' Wan transformer, of which this is a small relative.

Shapes: B batch, C latent channels, h w latent size, N tokens (h/2 * w/2), M memories, L layers that look
back, H heads, D head size, A action features, P proxy channels.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import DitConfig
from perdure.models.context import PROXY_CHANNELS
from perdure.models.nano_attention import attend, place, placed, rotary_angles, seen_through, spread

TIME_SCALE = 30.0
"""Radians from a clean latent to pure noise, at the fastest wave; small enough for half-precision rates."""


class Hindsight(NamedTuple):
    """The memories that one chunk may see, as tensors."""

    keys: Tensor  # (B, L, M, N, H, D) as stored: neither rotated nor seen from anywhere
    values: Tensor  # (B, L, M, N, H, D)
    present: Tensor  # (B, M) bool
    ages: Tensor  # (B, M) in chunks
    cameras: Tensor  # (B, M, 4, 4) memory clip space to the coming camera


class Scene(NamedTuple):
    """What the state says of the coming chunk."""

    view: Tensor  # (B, C, h, w) the state's view, encoded
    coverage: Tensor  # (B, 1, h, w)
    proxy: Tensor  # (B, P, h, w)
    to_clip: Tensor  # (B, 4, 4) coming camera to its clip space
    from_clip: Tensor  # (B, 4, 4) its inverse
    action: Tensor  # (B, A)


class RMSNorm(nn.RMSNorm):
    """In whatever precision comes in, so that mixed precision keeps the fused kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim, eps=1e-6), RMSNorm(dim, eps=1e-6)

    def project(self, x_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.norm_q(self.to_q(x_BNE)), self.norm_k(self.to_k(x_BNE)), self.to_v(x_BNE)
        return tuple(t.unflatten(-1, (self.heads, -1)) for t in (q, k, v))  # type: ignore[return-value]


class Block(nn.Module):
    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attn1 = Attention(config)
        self.ffn = nn.Sequential(
            nn.Linear(dim, dim * config.ffn_ratio), nn.GELU("tanh"), nn.Linear(dim * config.ffn_ratio, dim)
        )
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def modulation(self, time_B6E: Tensor) -> tuple[Tensor, ...]:
        return (self.scale_shift_table + time_B6E).unsqueeze(2).unbind(1)

    def mix(
        self, x_BNE: Tensor, attended_BNHD: Tensor, gate: Tensor, shift: Tensor, scale: Tensor, gate_ffn: Tensor
    ) -> Tensor:
        x = x_BNE + gate * self.attn1.to_out(attended_BNHD.flatten(2))
        return x + gate_ffn * self.ffn(self.norm2(x) * (1 + scale) + shift)


class NanoTransformer(nn.Module):
    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        dim, patch = config.dim, config.patch
        inputs = config.latent_channels * 2 + 1 + PROXY_CHANNELS
        self.patch_embedding = nn.Conv2d(inputs, dim, patch, stride=patch)
        self.time_embedder = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        action_out = nn.Linear(dim, dim)
        self.action_embedder = nn.Sequential(nn.Linear(config.actions, dim), nn.SiLU(), action_out)
        self.time_proj = nn.Linear(dim, dim * 6)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm_out = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.proj_out = nn.Linear(dim, patch * patch * config.latent_channels)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        # The action adapter and the output start at zero.
        for layer in (action_out, self.proj_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def stack(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    def embed_time(self, sigma_B: Tensor, action_BA: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) and its (B, 6, E) projection."""
        half = self.config.dim // 2
        rate = torch.exp(-torch.arange(half, dtype=torch.float32, device=sigma_B.device) * (4.6 / half))
        angle = sigma_B.float()[:, None] * TIME_SCALE * rate
        wave = torch.cat([angle.cos(), angle.sin()], -1).to(self.time_proj.weight.dtype)
        time = self.time_embedder(wave) + self.action_embedder(action_BA.to(wave.dtype))
        return time, self.time_proj(F.silu(time)).unflatten(1, (6, -1))

    def patchify(self, latent: Tensor, scene_channels: Tensor) -> Tensor:
        x = torch.cat([latent, scene_channels], 1).to(self.patch_embedding.weight.dtype)
        return self.patch_embedding(x).flatten(2).transpose(1, 2)

    def grid_angles(self, h: int, w: int, device: torch.device) -> Tensor:
        """(1, N, D/4) rotary angles of the tokens of an h x w latent at time 0."""
        rows, columns = (
            torch.arange(h // self.config.patch, device=device),
            torch.arange(w // self.config.patch, device=device),
        )
        rows, columns = (x.flatten() for x in torch.meshgrid(rows, columns, indexing="ij"))
        return rotary_angles(torch.zeros_like(rows), rows, columns, self.config.head_dim // 2).unsqueeze(0)

    def time_angles(self, ages_BM: Tensor) -> Tensor:
        """(B, M, D/4) what an age adds to a token's rotary angles: a memory lies before the present."""
        zero = torch.zeros_like(ages_BM)
        return rotary_angles(-ages_BM, zero, zero, self.config.head_dim // 2)

    def remember(self, latent_BChw: Tensor, sigma_B: Tensor, action_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, L, N, H, D) of finished latents, each by itself, at noise level 0.

        L counts the layers that look back.
        """
        b, _, h, w = latent_BChw.shape
        nothing = latent_BChw.new_zeros(b, self.patch_embedding.in_channels - self.config.latent_channels, h, w)
        x = self.patchify(latent_BChw, nothing)
        _, time = self.embed_time(sigma_B, action_BA)
        # Seen from itself a memory's camera is the identity, and its age is none.
        eye = torch.eye(4, device=x.device).expand(b, 4, 4)
        at = place(self.grid_angles(h, w, x.device), eye, self.config.head_dim // 2, x.dtype)
        keys, values = [], []
        for layer, block in enumerate(self.stack):
            shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = block.modulation(time)
            q, k, v = block.attn1.project(block.norm1(x) * (1 + scale) + shift)
            if layer in self.config.memory_layers:
                keys.append(k)
                values.append(v)
            if layer == self.config.memory_layers[-1]:
                break  # nobody looks at what comes after
            x = block.mix(x, attend(placed(q, at), placed(k, at), v), gate, shift_ffn, scale_ffn, gate_ffn)
        return torch.stack(keys, 1), torch.stack(values, 1)

    def denoise(self, noisy_BChw: Tensor, sigma_B: Tensor, scene: Scene, past: Hindsight) -> Tensor:
        """The velocity (noise - latent) of the coming chunk, (B, C, h, w)."""
        b, _, h, w = noisy_BChw.shape
        x = self.patchify(noisy_BChw, torch.cat([scene.view, scene.coverage, scene.proxy], 1))
        time_E, time = self.embed_time(sigma_B, scene.action)
        half, n, m = self.config.head_dim // 2, x.shape[1], past.ages.shape[1]
        here = self.grid_angles(h, w, x.device)
        there = (here.unsqueeze(1) + self.time_angles(past.ages).unsqueeze(2)).flatten(0, 1)  # B*M N D/4
        as_query = place(here, scene.to_clip.transpose(-1, -2), half, x.dtype)
        as_key = place(here, scene.from_clip, half, x.dtype)
        as_memory = place(there, past.cameras.flatten(0, 1), half, x.dtype)
        to_clip = spread(scene.to_clip, half).to(x.dtype)
        mask = torch.cat([past.present.repeat_interleave(n, 1), past.present.new_ones(b, n)], 1)
        for layer, block in enumerate(self.stack):
            shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = block.modulation(time)
            q, k, v = block.attn1.project(block.norm1(x) * (1 + scale) + shift)
            k, v, seeable = placed(k, as_key), seen_through(v, as_key.camera), None
            if layer in self.config.memory_layers:
                kept = self.config.memory_layers.index(layer)
                old_k = placed(past.keys[:, kept].flatten(0, 1), as_memory).view(b, m * n, *k.shape[2:])
                old_v = seen_through(past.values[:, kept].flatten(0, 1), as_memory.camera).view(b, m * n, *v.shape[2:])
                k, v, seeable = torch.cat([old_k, k], 1), torch.cat([old_v, v], 1), mask
            seen = seen_through(attend(placed(q, as_query), k, v, seeable), to_clip)
            x = block.mix(x, seen, gate, shift_ffn, scale_ffn, gate_ffn)
        shift, scale = (self.scale_shift_table + time_E.unsqueeze(1)).unsqueeze(2).unbind(1)
        out = self.proj_out(self.norm_out(x) * (1 + scale) + shift).float()
        p, c = self.config.patch, self.config.latent_channels
        out = out.view(b, h // p, w // p, p, p, c).permute(0, 5, 1, 3, 2, 4)
        return out.reshape(b, c, h, w)
