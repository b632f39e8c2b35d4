"""What a stream has behind it, as the `Past` that `denoise` sees, in torch.

Three ways, by `config.history`. Where memories stand by themselves (`nano`) each is encoded once, and a
`Cache` holds it. Otherwise `Whole` encodes the whole context anew for each chunk, at one shape, as WorldPlay
does: so what is seen is a function of the context alone. Or `Roll`, as Self-Forcing does, keeps what was
made when it was made: a setting, for what it holds cannot be made again.

Each allocates once. Positions are worked out for each chunk (`positions.py`).

Shapes: B batch, C latent channels, T latents, h w latent size, M memory slots, L layers that look back,
N tokens of a latent.
"""

from collections.abc import Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from perdure.models.cache import Rolling
from perdure.models.conditions import Given, Past
from perdure.models.dit import Text, Transformer
from perdure.models.positions import reframed, windowed


def entry_shape(model: Transformer, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(L, N, H, D) keys of one latent of h x w."""
    config = model.config
    cells = size[0] // config.patch[1] * (size[1] // config.patch[2])
    return len(config.memory_layers), cells, config.heads, config.head_dim


class Whole:
    def __init__(self, model: Transformer, size: tuple[int, int], level: float = 0.0) -> None:
        """`level` is the timestep at which the context is encoded: 0, or what the recipe learnt it at."""
        self.model, slots = model, model.config.memories
        like = model.patch_embedding.weight
        layers, *entry = entry_shape(model, size)
        self.keys, self.values = (like.new_zeros(1, layers, slots, *entry) for _ in range(2))
        self.latents = like.new_zeros(1, model.config.in_channels, slots, *size)
        self.timestep = torch.full((1,), level, device=like.device)
        self.present = torch.zeros(1, slots, dtype=torch.bool, device=like.device)
        self.times = torch.zeros(1, slots, device=like.device)

    @torch.no_grad()
    def past(
        self, latents: Sequence[Tensor], coming: int, text: Tensor | Text | None = None, given: Given | None = None
    ) -> tuple[Past, Tensor]:
        """What a chunk of `coming` latents sees, and its times (1, T), of a context of (C, h, w) each, oldest first.

        What is `given` is for all the slots. What this returns holds until the next call.
        """
        count, slots = len(latents), self.present.shape[1]
        if count > slots:
            raise ValueError(f"expected at most {slots} latents of context, got {count}")
        # The coming chunk stands where it stands after a full context, so that its shape and its place are always one.
        times, then = reframed(slots, coming)
        self.times.copy_(torch.from_numpy(times))
        self.latents.zero_()
        for slot, latent in enumerate(latents, slots - count):
            self.latents[0, :, slot] = latent
        self.present[:, : slots - count], self.present[:, slots - count :] = count == 0, True
        present = None if count == slots else self.present  # with no mask the fastest kernels can be had
        into = self.keys, self.values
        self.model.remember(
            self.latents, self.timestep, text, given=given, times=self.times, present=present, into=into
        )
        self.present[:, : slots - count] = False
        cameras = None if given is None or given.cameras is None else given.cameras.from_clip
        return Past(*into, self.times, present, cameras), torch.from_numpy(then).to(self.times.device).unsqueeze(0)


class Roll:
    def __init__(self, model: Transformer, size: tuple[int, int], cap: int, level: float = 0.0) -> None:
        config, like = model.config, model.patch_embedding.weight
        self.model, self.cap = model, cap
        self.timestep = torch.full((1,), level, device=like.device)
        self.cache = Rolling(config.sink, config.recent, entry_shape(model, size), partial(zeros, like))

    def past(self, coming: int) -> tuple[Past, Tensor]:
        """What a chunk of `coming` latents sees, and its times (1, T)."""
        cache = self.cache
        held = [n for n in cache.numbers if n is not None]
        near, then = windowed(held, cache.next, coming, cache.sink, self.cap)
        of = dict(zip(held, near, strict=True))
        times = torch.tensor([of.get(n, 0.0) if n is not None else 0.0 for n in cache.numbers])
        device = cache.keys.device
        keys, values = (x.transpose(0, 1).unsqueeze(0) for x in (cache.keys, cache.values))
        here = Past(keys, values, times.to(device).unsqueeze(0), cache.present.unsqueeze(0))
        return here, torch.from_numpy(then).to(device).unsqueeze(0)

    @torch.no_grad()
    def add(self, latents_1CThw: Tensor, text: Tensor | Text | None = None, given: Given | None = None) -> None:
        """What was just finished, seen in the light of what is held."""
        past, times = self.past(latents_1CThw.shape[2])
        keys, values = self.model.remember(latents_1CThw, self.timestep, text, None, given, times, past)
        for i in range(latents_1CThw.shape[2]):
            self.cache.put(keys[0, :, i], values[0, :, i])

    def reread(
        self, latents: Sequence[Tensor], text: Tensor | Text | None = None, given: Given | None = None, chunk: int = 1
    ) -> None:
        """Make what is held anew, after the prompt has changed: chunk by chunk, each seeing those before it.

        `latents`, (C, h, w) each and oldest first, are those that `held` names, and came in chunks of so many. What
        they show, and so how it moves, stays; what they have read does not.
        """
        held = self.held
        if len(latents) != len(held):
            raise ValueError(f"expected the {len(held)} latents that are held, got {len(latents)}")
        self.cache.clear()
        by_chunk = groupby(zip(held, latents), lambda one: one[0] // chunk)
        for numbers, piece in (zip(*of, strict=True) for _, of in by_chunk):
            self.cache.next = numbers[0]
            self.add(torch.stack(piece, 1).unsqueeze(0), text, given)

    @property
    def held(self) -> list[int]:
        """Which latents it holds, by number, oldest first."""
        return sorted(n for n in self.cache.numbers if n is not None)


def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return like.new_zeros(shape)
