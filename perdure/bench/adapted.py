"""Transformers with everything on that a config can add, and something told to each of it; fresh, it is silent."""

from dataclasses import replace
from itertools import product
from typing import cast

import torch
from torch import Tensor

from perdure.bench import wans
from perdure.bench.differences import Figures, differing, error
from perdure.bench.wans import TINY
from perdure.models.adapters.camera import cameras
from perdure.models.camera import look
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.context import ANCHOR
from perdure.models.dit import Transformer
from perdure.models.words import Words

ADAPTERS = {  # every adapter there is, in all its kinds; "heads" has no parameters, and is another rotary share
    "multi-hot, prope, rays, slots": Adapters("multi-hot", 5, "prope", rays="rays", words="slots"),
    "81-way, fx_fy, rays and keys, template": Adapters("81-way", 5, "fx_fy", rays="rays-keys", words="template"),
    "81-way, prope, directions and keys, index": Adapters(
        "81-way", 5, "prope", rays="directions-keys", words="index", word_kinds=3, word_deeds=4
    ),
    "multi-hot, fx_fy, rays, factors": Adapters(
        "multi-hot", 5, "fx_fy", rays="rays", words="factors", word_kinds=3, word_deeds=4
    ),
}
RAYS = {"": 0, "rays": 6, "rays-keys": 11, "directions-keys": 8}  # channels, with five features of keys


def filled(adapters: Adapters) -> Adapters:
    """With the adapters that come in one kind alone."""
    return replace(adapters, ray_fold=2, view=6, identity=7, setting=5, word_dim=10, word_slots=3, word_length=4)


def told(config: TransformerConfig, batch: int, size: tuple[int, int, int]) -> Given:
    """Something for every adapter that is on; of latents (T, h, w)."""
    on, (count, h, w) = config.adapters, size
    poses = look(torch.randn(batch, count, 3), torch.randn(batch, count), 0.3 * torch.randn(batch, count))
    lens = torch.tensor([0.65, 1.1, 0.5, 0.45]).expand(batch, count, 4)
    slots, heard = (batch, on.told[0]), torch.rand(batch, *on.told) < 0.6
    return Given(
        torch.randint(0, 81, (batch, count)) if on.keys == "81-way" else torch.randn(batch, count, on.key_features),
        cameras(poses, lens, scale=0.2, kind=on.camera),
        torch.randn(batch, RAYS[on.rays] * on.ray_fold**2, count, h, w),
        torch.randn(batch, on.view, count, h, w),
        torch.randn(batch, 3, on.identity),
        torch.arange(3).expand(batch, -1) < 2,
        Words(
            torch.randn(batch, *on.told, on.word_dim), heard, torch.randn(*slots, ANCHOR),
            torch.randint(-1, max(1, on.word_kinds), slots), torch.randint(-1, max(1, on.word_deeds), slots),
        ),
        setting=torch.randn(batch, on.setting),
    )  # fmt: skip


def zero_init_is_wan() -> Figures:
    """Fresh adapters, all of them on and told something: numbers that are not those of the bare model."""
    size = 3, 4, 6
    for (name, adapters), dtype, batch in product(ADAPTERS.items(), (torch.float32, torch.bfloat16), (1, 2)):
        config = replace(TINY, adapters=filled(adapters))
        bare, full = wans.learnt(TINY), Transformer(config).eval()
        full.load_state_dict(bare.state_dict(), strict=False)
        bare, full = bare.to(dtype), full.to(dtype)
        given = told(config, batch, size)
        latents, text = torch.randn(batch, 4, *size, dtype=dtype), torch.randn(batch, 7, 20, dtype=dtype)
        cells = size[0] * 6
        for levels in (torch.rand(batch) * 1000, torch.rand(batch, 3) * 1000, torch.rand(batch, cells) * 1000):
            # One level and keys for each latent would make more rows of times, which kernels round in other ways.
            at = given._replace(keys=cast(Tensor, given.keys)[:, 0]) if levels.ndim == 1 else given
            yield f"{name}, clip", differing(full(latents, levels, text, given=at), bare(latents, levels, text))
        seen = cast(Cameras, given.cameras).from_clip[:, :2]
        times, then, now = torch.arange(3.0)[None], slice(0, 2), slice(2, 3)
        drawn: list[Tensor] = []
        for model, on in ((bare, False), (full, True)):
            at = given.cut(0, 2) if on else None
            kept = model.remember(latents[:, :, then], torch.zeros(batch, 2), text, given=at, times=times[:, then])
            past = Past(*kept, times[:, then], from_clip=seen if on else None)
            at = given.cut(2, 3) if on else None
            drawn.append(model.denoise(latents[:, :, now], levels[:, :1], past, text, given=at, times=times[:, now]))
        yield f"{name}, stream", differing(drawn[1], drawn[0])


def zero_init_is_diffusers() -> Figures:
    """The same against diffusers itself."""
    for name, adapters in ADAPTERS.items():
        config = replace(TINY, adapters=filled(adapters))
        theirs, full = wans.oracle(TINY), Transformer(config).eval()
        full.load_state_dict(theirs.state_dict(), strict=False)
        asked = wans.asked(TINY, 2, (3, 4, 6), by_token=False)
        true = theirs(*asked, return_dict=False)[0]
        yield name, error(full(*asked, given=told(config, 2, (3, 4, 6))), true)
