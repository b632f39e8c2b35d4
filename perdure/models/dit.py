"""The transformer: Wan's, at any size, and with what `adapters.py` adds to it, ours.

Latents become tokens (`patch_embedding`); every block lets them look at each other (`attn1`), read text
(`attn2`) and think (`ffn`), all of it modulated by the noise level; `proj_out` makes velocities of them.
The names of the parameters are diffusers', so that a Wan checkpoint loads as it is; all that is ours
is below `adapters`.

Noise levels may differ between latents (B, T) or tokens (B, N): what is finished stands at timestep 0
beside what is being drawn. Tokens are modulated in G groups that share a timestep, B * G in all.

Shapes: B batch, C channels, T latents, h w latent size, N tokens, E width, H heads, D head size,
S tokens of text.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.adapters.added import Added, Extra, InBlock
from perdure.models.attention import (
    Mask,
    Roles,
    Scope,
    attend,
    dense_mask,
    flex_mask,
    look,
    memories_read,
    place,
    readers,
)
from perdure.models.conditions import Given, Past, fitting
from perdure.models.config import TransformerConfig
from perdure.models.embedding import Conditions, FeedForward


class LayerNorm(nn.LayerNorm):
    """In full precision, whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (None if p is None else p.float() for p in (self.weight, self.bias))
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """In whatever precision comes in, so that mixed precision keeps the fused kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Text(NamedTuple):
    """What blocks read, embedded once for all of them; `Transformer.listen` keeps what each makes of it as well."""

    words: Tensor  # (B, S, E)
    image: Tensor | None = None  # (B, S', E)
    readers: Tensor | None = None  # (N,) bool: which tokens read; None: all
    kept: tuple[tuple[Tensor, ...], ...] = ()  # each layer's `Attention.heard`

    def at(self, layer: int) -> "Text":
        return self._replace(kept=self.kept[layer : layer + 1])


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig, image: bool = False) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.heads = config.heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(dim, dim))
        self.norm_q, self.norm_k = RMSNorm(dim, eps=eps), RMSNorm(dim, eps=eps)
        if image:
            self.add_k_proj, self.add_v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.norm_added_k = RMSNorm(dim, eps=eps)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    def project(self, x_BNE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, H, D) queries, keys and values, which know no position yet."""
        q, k = self.norm_q(self.to_q(x_BNE)), self.norm_k(self.to_k(x_BNE))
        return self.split(q), self.split(k), self.split(self.to_v(x_BNE))

    def heard(self, text: Text) -> tuple[Tensor, ...]:
        """(B, S, H, D) keys and values of the text, then those of the image, if there is one."""
        made = self.norm_k(self.to_k(text.words)), self.to_v(text.words)
        if text.image is not None:
            made += self.norm_added_k(self.add_k_proj(text.image)), self.add_v_proj(text.image)
        return tuple(map(self.split, made))

    def read(self, x_BNE: Tensor, text: Text) -> tuple[Tensor, Tensor]:
        """(B, N, H, D) what the tokens find in text and image, and the queries that they ask with."""
        q = self.split(self.norm_q(self.to_q(x_BNE)))
        k, v, *image = text.kept[0] if text.kept else self.heard(text)
        found = attend(q, k, v)
        if image:
            found = found + attend(q, *image)
        return found, q


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.norm1 = LayerNorm(dim, eps, elementwise_affine=False)
        self.attn1 = Attention(config)
        if config.text_dim:
            self.norm2 = LayerNorm(dim, eps)
            self.attn2 = Attention(config, image=config.image_dim > 0)
        self.norm3 = LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = FeedForward(dim, config.ffn, dim)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        text: Text | None,
        scope: Scope,
        past: tuple[Tensor, Tensor] | None = None,
        last: bool = False,
        added: tuple[InBlock, Extra] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, N, E) one layer on, and its keys and values (B, N, H, D); time is (B, G, 6, E).

        In the `last` layer of which keys are wanted nothing else is.
        """
        shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = modulated(self.scale_shift_table, time)
        q, k, v = self.attn1.project(shifted(self.norm1, x, scale, shift))
        if last:
            return x, k, v
        seen = self.attn1.to_out(look(q, k, v, scope, past).flatten(2))
        if added:
            seen = added[0].look(seen, (q, k, v), added[1], past, scope)
        x = gated(x, seen, gate)
        if added:
            x = added[0].shift(x, added[1])
        if text is not None:
            found, asked = self.attn2.read(self.norm2(x).to(x.dtype), text)
            if added:
                found = added[0].read(found, asked, added[1])
            found = self.attn2.to_out(found.flatten(2))
            x = x + (found if text.readers is None else found * text.readers.unsqueeze(-1))
        if added:
            x = added[0].hear(x, added[1])
        thought = self.ffn(shifted(self.norm3, x, scale_ffn, shift_ffn))
        return gated(x, thought, gate_ffn), k, v


def modulated(table: Tensor, time: Tensor) -> tuple[Tensor, ...]:
    """A table of (1, K, E) moved by time (B, G, K or 1, E): K times (B * G, 1, E), in full precision."""
    return (table.float() + time.flatten(0, 1).float()).unsqueeze(2).unbind(1)


def shifted(norm: nn.Module, x_BNE: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normed tokens, each group by its own scale and shift (B * G, 1, E)."""
    groups = x_BNE.view(len(scale), -1, x_BNE.shape[-1])
    return (norm(groups) * (1 + scale) + shift).to(x_BNE.dtype).view_as(x_BNE)


def gated(x_BNE: Tensor, more_BNE: Tensor, gate: Tensor) -> Tensor:
    """Tokens and something more, each group through its own gate (B * G, 1, E)."""
    groups, more = (t.view(len(gate), -1, t.shape[-1]) for t in (x_BNE, more_BNE))
    return (groups + more * gate).to(x_BNE.dtype).view_as(x_BNE)


class Transformer(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        dim, patch = config.dim, config.patch
        self.patch_embedding = nn.Conv3d(config.in_channels, dim, patch, stride=patch)
        self.condition_embedder = Conditions(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm_out = LayerNorm(dim, config.eps, elementwise_affine=False)
        self.proj_out = nn.Linear(dim, config.out_channels * patch[0] * patch[1] * patch[2])
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        nn.init.zeros_(self.proj_out.weight)  # a fresh model moves nothing
        nn.init.zeros_(self.proj_out.bias)
        self.adapters = Added(config)
        self.attend: Callable[..., Tensor] | None = None  # a port for another kernel of self-attention, cameras' too

    def forward(
        self,
        latents_BCThw: Tensor,
        timestep: Tensor,
        text: Tensor | Text | None = None,
        image_BSE: Tensor | None = None,
        given: Given | None = None,
        times: Tensor | None = None,
        roles: Roles | None = None,
        window: int = 0,
        sink: int = 0,
        flex: bool = False,
    ) -> Tensor:
        """The velocity (noise - latent) of a whole clip, (B, C, T, h, w).

        `timestep` is (B,), or (B, T), or (B, N); `times` (B or 1, T) says where latents stand, else 0, 1, 2, ...
        `text` is an encoder's states (B, S, E), here and elsewhere, or what `listen` made of them.
        With `roles` latents look at each other as `config.history` has it (`attention.visible`), else all at all;
        with a `window` at no more than so many chunks back, and at the first `sink` chunks.
        """
        wide = narrow = None
        text = self.embed_text(text, image_BSE)
        if roles is not None:
            kind, mask = self.config.history, flex_mask if flex else dense_mask
            cells = math.prod(self.grid(latents_BCThw)[1:])
            wide, narrow = (mask(kind, roles, cells, alone, window, sink) for alone in (False, True))
            if text is not None and (reading := readers(kind, roles)) is not None:
                text = text._replace(readers=reading.repeat_interleave(cells))
            if given is not None and given.hearing is None:
                given = given._replace(hearing=roles.target)
        x, time_E = self.run(latents_BCThw, timestep, text, given, times, None, wide, narrow)
        return self.velocity(x, time_E, latents_BCThw)

    def remember(
        self,
        latents_BCThw: Tensor,
        timestep: Tensor,
        text: Tensor | Text | None = None,
        image_BSE: Tensor | None = None,
        given: Given | None = None,
        times: Tensor | None = None,
        past: Past | None = None,
        present: Tensor | None = None,
        into: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Keys and values (B, L, T, N, H, D) of finished latents, which look at each other, and at a past if given.

        `present` (B, T) leaves out those that only fill up the shape. L counts the layers that look back. Where
        these tensors exist already, `into` is them, and nothing else is kept. Text is read where `config.history` has
        memories read it; words that are given are not heard, and the setting is not told.
        """
        kept: list[tuple[Tensor, Tensor]] = []
        shape = latents_BCThw.shape[2] // self.config.patch[0], -1

        def keep(index: int, k: Tensor, v: Tensor) -> None:
            k, v = k.unflatten(1, shape), v.unflatten(1, shape)
            if into is None:
                kept.append((k, v))
            else:
                into[0][:, index], into[1][:, index] = k, v

        given = given and given._replace(words=None, setting=None, hearing=None)
        narrow = self.seeable(latents_BCThw, None, present)
        wide = narrow if past is None else self.seeable(latents_BCThw, past, present)
        text = self.embed_text(text, image_BSE) if memories_read(self.config.history) else None
        self.run(latents_BCThw, timestep, text, given, times, past, wide, narrow, keep)
        if into is not None:
            return into
        keys, values = (torch.stack(layers, 1) for layers in zip(*kept))
        return keys, values

    def denoise(
        self,
        noisy_BCThw: Tensor,
        timestep: Tensor,
        past: Past,
        text: Tensor | Text | None = None,
        image_BSE: Tensor | None = None,
        given: Given | None = None,
        times: Tensor | None = None,
    ) -> Tensor:
        """The velocity of a coming chunk (B, C, T, h, w), which sees itself and its past."""
        text = self.embed_text(text, image_BSE)
        wide = self.seeable(noisy_BCThw, past)
        x, time_E = self.run(noisy_BCThw, timestep, text, given, times, past, wide)
        return self.velocity(x, time_E, noisy_BCThw)

    def run(
        self,
        latents_BCThw: Tensor,
        timestep: Tensor,
        text: Text | None,
        given: Given | None,
        times: Tensor | None,
        past: Past | None = None,
        wide: Mask | None = None,
        narrow: Mask | None = None,
        keep: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, E) after all layers, and the time embedding (B, G, E).

        The mask is `wide` in layers that look back and `narrow` in those that do not. Where it is for their keys
        and values, `keep` is handed those of each layer that looks back, and nothing is done after the last.
        """
        grid, given = self.grid(latents_BCThw), given or Given()
        self.check(latents_BCThw, timestep, text, given, times, past)
        x = self.adapters.to_tokens(self.tokens(latents_BCThw), given).contiguous()
        time_E, time = self.embed_time(timestep, given)
        extra = self.adapters.extra(given, past, x, grid)
        times = torch.arange(grid[0], device=x.device).unsqueeze(0) if times is None else times
        here = place(times, grid[1:], self.config, x.dtype, given.cameras or (None, None))
        there = past and place(past.times, grid[1:], self.config, x.dtype, (None, past.from_clip))
        back, alone = Scope(here, there, wide, self.attend), Scope(here, None, narrow, self.attend)
        memory_layers = self.config.memory_layers
        for layer, block in enumerate(self.blocks):
            inside = self.adapters.block(layer)
            added = inside and (inside, extra)
            looks_back, last = layer in memory_layers, keep is not None and layer == memory_layers[-1]
            reads = text and text.at(layer)
            if not looks_back:
                x, _, _ = block(x, time, reads, alone, added=added)
                continue
            index = memory_layers.index(layer)
            seen = past and (past.keys[:, index].flatten(1, 2), past.values[:, index].flatten(1, 2))
            x, k, v = block(x, time, reads, back, seen, last, added)
            if keep is not None:
                keep(index, k, v)
            if last:
                break  # nobody looks at what comes after
        return x, time_E

    def check(
        self,
        latents_BCThw: Tensor,
        timestep: Tensor,
        text: Text | None,
        given: Given,
        times: Tensor | None,
        past: Past | None,
    ) -> None:
        """What comes with latents is of their shape: else it would spread over others than it is meant for."""
        b, (t, h, w) = len(latents_BCThw), self.grid(latents_BCThw)
        if tuple(timestep.shape) not in ((1,), (1, 1), (b,), (b, 1), (b, t), (b, t * h * w)):
            raise ValueError(
                f"expected a timestep of shape ({b},), ({b}, {t}) for each latent or ({b}, {t * h * w}) for each "
                f"token, got {tuple(timestep.shape)}"
            )
        fitting("times", times, (b, 1), t)
        if text is not None:
            fitting("text", text.words, (b, 1), None, self.config.dim)
        if past is not None:
            fitting("times of the past", past.times, (b, 1), past.keys.shape[2])
        self.adapters.check(given, latents_BCThw.shape, t)

    def seeable(self, latents_BCThw: Tensor, past: Past | None, present: Tensor | None = None) -> Tensor | None:
        """(B, S) which tokens of the past and of these latents stand for something; None: all of them."""
        count, rows, columns = self.grid(latents_BCThw)
        latents = [(present, count)] if past is None else [(past.present, past.keys.shape[2]), (present, count)]
        if all(there is None for there, _ in latents):
            return None
        b, device = len(latents_BCThw), latents_BCThw.device
        each = [
            torch.ones(b, n, dtype=torch.bool, device=device) if there is None else there.expand(b, -1)
            for there, n in latents
        ]
        return torch.cat(each, 1).repeat_interleave(rows * columns, 1)

    def grid(self, latents_BCThw: Tensor) -> tuple[int, int, int]:
        """How many tokens there are along time, rows and columns."""
        size = latents_BCThw.shape
        if size[1] != self.config.in_channels:
            raise ValueError(f"expected latents with {self.config.in_channels} channels, got shape {tuple(size)}")
        if any(length % patch for length, patch in zip(size[2:], self.config.patch)):
            raise ValueError(f"expected latents that patches of {self.config.patch} divide, got shape {tuple(size)}")
        t, h, w = (length // patch for length, patch in zip(size[2:], self.config.patch))
        return t, h, w

    def tokens(self, latents_BCThw: Tensor) -> Tensor:
        """(B, N, E), in the precision of the parameters even where autocast is on."""
        weight = self.patch_embedding.weight
        return self.patch_embedding(latents_BCThw.to(weight.dtype)).flatten(2).transpose(1, 2).to(weight.dtype)

    def embed_time(self, timestep: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        """(B, G, E), and the (B, G, 6, E) that blocks are modulated by."""
        time = self.condition_embedder.time(timestep if timestep.ndim == 2 else timestep.unsqueeze(1))
        time = self.adapters.to_time(time, given)
        return time, self.condition_embedder.modulation(time)

    def listen(self, text_BSE: Tensor, image_BSE: Tensor | None = None) -> Text | None:
        """A prompt with the keys and values that every block makes of it: to be given in its place to any number of
        passes. It is no more than that: another prompt is another one of these.
        """
        text = self.embed_text(text_BSE, image_BSE)
        return text and text._replace(kept=tuple(cast(Block, block).attn2.heard(text) for block in self.blocks))

    def embed_text(self, text: Tensor | Text | None, image_BSE: Tensor | None) -> Text | None:
        embed = self.condition_embedder
        if text is None or isinstance(text, Text) or embed.text_embedder is None:
            return text if isinstance(text, Text) else None
        if (image_BSE is None) != (embed.image_embedder is None):
            wanted = "an image" if image_BSE is None else "no image"
            raise ValueError(f"expected {wanted} beside the text, as the config's image_dim says")
        fitting("text", text, None, None, self.config.text_dim)
        fitting("image", image_BSE, None, None, self.config.image_dim)
        image = None if embed.image_embedder is None or image_BSE is None else embed.image_embedder(image_BSE)
        return Text(embed.text_embedder(text), image)

    def velocity(self, x: Tensor, time_E: Tensor, latents_BCThw: Tensor) -> Tensor:
        shift, scale = modulated(self.scale_shift_table, time_E.unsqueeze(2))
        out = self.proj_out(shifted(self.norm_out, x, scale, shift))
        cut = out.view(len(x), *self.grid(latents_BCThw), *self.config.patch, -1)
        return cut.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3).to(latents_BCThw.dtype)
