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
from perdure.models.config import TransformerConfig
from perdure.models.dit import Text, Transformer
from perdure.models.experts import Expert
from perdure.models.positions import reframed, shift

KEEPERS = {
    "block-diagonal": "Cache",
    "memory-and-chunk": "Whole",
    "chunk-causal": "Roll",
    "history-and-target": "Roll",
}


def entry_shape(model: Transformer | Expert, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(L, N, H, D) keys of one latent of h x w."""
    config = model.config
    cells = size[0] // config.patch[1] * (size[1] // config.patch[2])
    return len(config.memory_layers), cells, config.heads, config.head_dim


def check(keeper: str, config: TransformerConfig) -> None:
    """A past that is kept in another way than the model has learnt to see it would be drawn from, and wrong."""
    if KEEPERS.get(config.history) != keeper:
        fit = " or ".join(repr(history) for history, of in KEEPERS.items() if of == keeper)
        other = f", which is for {KEEPERS[config.history]}" if config.history in KEEPERS else ""
        raise ValueError(f"expected a model with a history of {fit} for {keeper}, got {config.history!r}{other}")


class Whole:
    def __init__(self, model: Transformer | Expert, size: tuple[int, int], level: float = 0.0) -> None:
        """`level` is the timestep at which the context is encoded: 0, or what the recipe learnt it at."""
        check("Whole", model.config)
        if not model.config.memories:
            raise ValueError("expected slots for a context (sink, recent or recalled of the config above 0), got none")
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

        What is `given` is for these latents. What this returns holds until the next call.
        """
        count, slots = len(latents), self.present.shape[1]
        if count > slots:
            raise ValueError(f"expected at most {slots} latents of context, got {count}")
        # The coming chunk stands where it stands after a full context, so that its shape and its place are always one.
        device = self.times.device
        times, then = (torch.arange(at.start, at.stop, device=device).float() for at in reframed(slots, coming))
        self.times.copy_(times)
        given = given and given.led_by(slots - count)
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
        return Past(*into, self.times, present, cameras), then.unsqueeze(0)


class Roll:
    """Cameras that it is given are told in one frame that stays, such as the world's."""

    def __init__(self, model: Transformer | Expert, size: tuple[int, int], cap: int, level: float = 0.0) -> None:
        config, like = model.config, model.patch_embedding.weight
        check("Roll", config)
        self.model, self.cap = model, cap
        self.timestep = torch.full((1,), level, device=like.device)
        slots, self.shape = config.sink + config.recent, entry_shape(model, size)
        seen = torch.zeros(slots, 4, 4, device=like.device) if config.adapters.camera else None
        self.cache = Rolling(config.sink, config.recent, self.shape, partial(zeros, like), seen)
        self.slots = torch.arange(slots, device=like.device)
        self.made: tuple[Tensor, Tensor] | None = None  # where a chunk's keys and values are made

    def past(self, coming: int) -> tuple[Past, Tensor]:
        """What a chunk of `coming` latents sees, and its times (1, T)."""
        cache, device = self.cache, self.slots.device
        moved = shift(self.held, cache.next, coming, cache.sink, self.cap)
        # Which latent a slot holds follows from the next one's number: nothing is copied, and nobody waits.
        last = cache.next - 1
        near = last - (last - self.slots[cache.sink :]) % cache.window
        times = torch.cat([self.slots[: cache.sink], near - moved]).float().unsqueeze(0)
        then = torch.arange(last + 1 - moved, last + 1 - moved + coming, device=device, dtype=torch.float32)
        keys, values = (x.transpose(0, 1).unsqueeze(0) for x in (cache.keys, cache.values))
        present = cache.present.unsqueeze(0) if None in cache.numbers else None  # as in `Whole`
        seen = None if cache.from_clip is None or cache.seen is False else cache.from_clip.unsqueeze(0)
        return Past(keys, values, times, present, seen), then.unsqueeze(0)

    @torch.no_grad()
    def add(self, latents_1CThw: Tensor, text: Tensor | Text | None = None, given: Given | None = None) -> None:
        """What was just finished, seen in the light of what is held."""
        cache, count, (layers, *entry) = self.cache, latents_1CThw.shape[2], self.shape
        past, times = self.past(count)
        if self.made is None or self.made[0].shape[2] != count:
            with torch.inference_mode(False):  # else nobody could write to them outside of it
                like = cache.keys
                self.made = (like.new_zeros(1, layers, count, *entry), like.new_zeros(1, layers, count, *entry))
        keys, values = self.model.remember(latents_1CThw, self.timestep, text, None, given, times, past, into=self.made)
        cameras = given and given.cameras if cache.from_clip is not None else None
        for i in range(count):
            cache.put(keys[0, :, i], values[0, :, i], cameras and cameras.from_clip[0, i])

    def reread(
        self, latents: Sequence[Tensor], text: Tensor | Text | None = None, given: Given | None = None, chunk: int = 1
    ) -> None:
        """Make what is held anew, after the prompt has changed: chunk by chunk, each seeing those before it.

        `latents`, (C, h, w) each and oldest first, are those that `held` names, and came in chunks of so many; what
        is `given` is for all of them. What they show, and so how it moves, stays; what they have read does not.
        """
        held = self.held
        if len(latents) != len(held):
            raise ValueError(f"expected the {len(held)} latents that are held, got {len(latents)}")
        self.cache.clear()
        # A cache counts on from a first number: of a chunk that the window has cut, what is apart goes apart.
        by_chunk = groupby(range(len(held)), lambda i: (held[i] // chunk, held[i] - i))
        for first, *others in (tuple(of) for _, of in by_chunk):
            last, self.cache.next = first + 1 + len(others), held[first]
            piece = torch.stack(list(latents[first:last]), 1).unsqueeze(0)
            self.add(piece, text, given and given.cut(first, last))

    @property
    def held(self) -> list[int]:
        """Which latents it holds, by number, oldest first."""
        return sorted(n for n in self.cache.numbers if n is not None)


def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return like.new_zeros(shape)
