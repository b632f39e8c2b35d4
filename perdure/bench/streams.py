"""Streams: chunk by chunk they are the whole clip, and what was lost of them is made again to the same bytes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import cast

import numpy as np
import torch
from torch import Tensor

from perdure.bench import wans
from perdure.bench.adapted import ADAPTERS, filled, told
from perdure.bench.decoders import decoders
from perdure.bench.differences import Figures, differing, error
from perdure.bench.wans import TINY
from perdure.models.attention import KINDS, Roles
from perdure.models.cache import Cache
from perdure.models.conditions import Cameras, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.context import Remembered
from perdure.models.decoding import resumed
from perdure.models.streaming import Roll, Whole, entry_shape


def stream_equals_full() -> Figures:
    """Chunk by chunk, against the whole clip under the same mask; with chunks of 1 to 4 latents, and every adapter."""
    everything = [filled(adapters) for adapters in ADAPTERS.values()]
    for kind, every, chunk in product(KINDS[1:], (1, 2), (1, 2, 3, 4)):
        for adapters in (Adapters(), everything[chunk - 1]):
            config = replace(TINY, history=kind, look_back_every=every, adapters=adapters)
            yield kind, streamed(config, chunk, chunks=3, size=(4, 6), batch=1 + chunk % 2)
    yield "rolling window", rolled(Adapters(), chunk=1)
    yield "rolling window, chunks of 3", rolled(Adapters(), chunk=3)
    for chunk, adapters in enumerate(everything[:2], 1):
        yield "rolling window behind a sink, every adapter", rolled(adapters, chunk, sink=1)
        yield "recalled context, every adapter", recalled(adapters, held=3 + chunk)


def streamed(config: TransformerConfig, chunk: int, chunks: int, size: tuple[int, int], batch: int) -> float:
    model, kind, count = wans.learnt(config), config.history, chunk * chunks
    given = told(config, batch, (count, *size)) if config.adapters != Adapters() else None
    last, then, now = count - chunk, slice(0, count - chunk), slice(count - chunk, count)
    latents, text, level = torch.randn(batch, 4, count, *size), torch.randn(batch, 5, 20), 700.0
    times, belongs = torch.arange(count).float()[None], torch.arange(count) // chunk
    levels = torch.where(torch.arange(count) < last, 0.0, level).expand(batch, -1)
    target = belongs == chunks - 1
    whole = model(latents, levels, text, given=given, times=times, roles=Roles(belongs, target))
    # WorldPlay's context is encoded at once, as if it were one chunk.
    pieces = [then] if kind == "memory-and-chunk" else [slice(i, i + chunk) for i in range(0, last, chunk)]
    kept: tuple[Tensor, ...] | None = None
    past: Past | None = None
    seen = None if given is None else cast(Cameras, given.cameras).from_clip
    for piece in pieces:
        at = given and given.cut(piece.start, piece.stop)
        clean = torch.zeros(batch, piece.stop - piece.start)
        made = model.remember(latents[:, :, piece], clean, text, given=at, times=times[:, piece], past=past)
        kept = made if kept is None else tuple(torch.cat(both, 2) for both in zip(kept, made, strict=True))
        behind = None if seen is None else seen[:, : piece.stop]
        past = None if kind == "block-diagonal" else Past(kept[0], kept[1], times[:, : piece.stop], from_clip=behind)
    assert kept is not None
    past = Past(kept[0], kept[1], times[:, then], from_clip=None if seen is None else seen[:, then])
    at = given and given.cut(last, count)
    made = model.denoise(latents[:, :, now], levels[:, now], past, text, given=at, times=times[:, now])
    return error(made, whole[:, :, now])


def rolled(adapters: Adapters, chunk: int, sink: int = 0, window: int = 2, chunks: int = 9) -> float:
    """Self-Forcing's cache, which has turned over more than three times, is the whole clip seen through a window."""
    config = replace(TINY, history="chunk-causal", sink=sink * chunk, recent=window * chunk, adapters=adapters)
    model, count, last = wans.learnt(config), chunk * chunks, chunk * (chunks - 1)
    given = told(config, 1, (count, 4, 6)) if adapters != Adapters() else None
    latents, text, belongs = torch.randn(1, 4, count, 4, 6), torch.randn(1, 5, 20), torch.arange(count) // chunk
    roles, levels = Roles(belongs, belongs == chunks - 1), torch.where(belongs == chunks - 1, 700.0, 0.0)[None]
    whole = model(latents, levels, text, given=given, roles=roles, window=window, sink=sink)
    # Under a cap a sink does not stand where it stands in the clip.
    roll = Roll(model, (4, 6), cap=count if sink else (window + 2) * chunk)
    for i in range(0, last, chunk):
        roll.add(latents[:, :, i : i + chunk], text, given and given.cut(i, i + chunk))
    past, times = roll.past(chunk)
    coming = given and given.cut(last, count)
    made = model.denoise(latents[:, :, last:], levels[:, last:], past, text, given=coming, times=times)
    return error(made, whole[:, :, last:])


def recalled(adapters: Adapters, held: int) -> float:
    """WorldPlay's context of so many latents, in five slots, and a chunk of two."""
    config = replace(TINY, history="memory-and-chunk", sink=1, recent=2, recalled=2, adapters=adapters)
    model, given, target = wans.learnt(config), told(config, 1, (held + 2, 4, 6)), torch.arange(held + 2) >= held
    latents, text = torch.randn(1, 4, held + 2, 4, 6), torch.randn(1, 5, 20)
    levels = torch.where(target, 700.0, 14.0).unsqueeze(0)
    whole = model(latents, levels, text, given=given, roles=Roles(target.long(), target))
    context = list(latents[0, :, :held].unbind(1))
    past, times = Whole(model, (4, 6), level=14.0).past(context, 2, text, given.cut(0, held))
    coming = given.cut(held, held + 2)
    made = model.denoise(latents[:, :, held:], levels[:, held:], past, text, given=coming, times=times)
    return error(made, whole[:, :, held:])


# The same bytes again


def rebuild_bitwise() -> Figures:
    """What was lost in the middle of a life and made again: numbers that are not the same.

    Past three turnovers of the window, and with other memories recalled.
    """
    for dtype in (torch.float32, torch.bfloat16):
        yield f"whole context, {dtype}", whole_again(dtype)
        yield f"memories by themselves, {dtype}", memories_again(dtype)
    for name, decoder in decoders().items():
        count = decoder.lookback + 3
        latents = torch.randn(1, decoder.channels, count + 1, 1, 2)
        _, state = decoder.decode(latents[:, :, :count], decoder.start())
        coming = latents[:, :, count:]
        again = resumed(decoder, latents[:, :, count - decoder.lookback : count])
        yield name, differing(decoder.decode(coming, again)[0], decoder.decode(coming, state)[0])


def contexts(steps: int) -> Iterator[list[int]]:
    """Which latents are remembered at each step: the first, the last three, and another one from between."""
    for step in range(steps):
        yield sorted({0, *range(max(0, step - 3), step), step * 5 % max(1, step)}) if step else []


def whole_again(dtype: torch.dtype) -> float:
    adapters = filled(ADAPTERS["81-way, fx_fy, rays and keys, template"])
    config = replace(TINY, history="memory-and-chunk", sink=1, recent=3, recalled=1, adapters=adapters)
    model, size = wans.learnt(config).to(dtype), (4, 6)
    world, text, level = torch.randn(16, 4, *size, dtype=dtype), torch.randn(1, 5, 20, dtype=dtype), torch.ones(1)
    coming, lived, off = torch.randn(1, 4, 2, *size, dtype=dtype), Whole(model, size, level=14.0), 0.0
    given = told(config, 1, (18, *size))
    for context in contexts(16):
        chosen, drawn = torch.tensor(context, dtype=torch.long), list[Tensor]()
        then, now = given.each(lambda x, axis: x.index_select(axis, chosen)), given.cut(16, 18)  # noqa: B023
        for whole in (lived, Whole(model, size, level=14.0)):
            past, times = whole.past([world[i] for i in context], 2, text, then)
            drawn.append(model.denoise(coming, level * 700, past, text, given=now, times=times))
        off += differing(*drawn) + float(not drawn[0].isfinite().all())
    return off


def memories_again(dtype: torch.dtype) -> float:
    config = replace(TINY, history="block-diagonal", text_dim=0, recent=3, recalled=2)
    model, size, zeros = wans.learnt(config).to(dtype), (4, 6), lambda shape: torch.zeros(shape, dtype=dtype)
    random, none = np.random.default_rng(0), np.zeros(0, np.float32)
    made = [Remembered(bytes([i]), random.normal(size=(4, *size)).astype(np.float16), none) for i in range(16)]

    def encode(memory: Remembered) -> tuple[Tensor, Tensor]:
        latent = torch.from_numpy(memory.latent.astype(np.float32)).to(dtype)[None, :, None]
        keys, values = model.remember(latent, torch.zeros(1))
        return keys[0, :, 0], values[0, :, 0]

    lived, off = Cache(5, entry_shape(model, size), keep=6, zeros=zeros), 0.0
    for context in contexts(16):
        chosen = [made[i] for i in context]
        fresh = Cache(5, entry_shape(model, size), keep=6, zeros=zeros).gather(chosen, encode)
        off += sum(differing(a, b) for a, b in zip(lived.gather(chosen, encode), fresh, strict=True))
    return off
