"""`perdure bench model`: is the model what it says it is? Each figure has a bound, and passes or does not.

Against diffusers: tiny configs of all sorts, one layer of each true size, whole pipelines, saved folders. Against
itself: a stream is the whole clip, what was lost is rebuilt to the same bytes, fresh adapters are silent. Numbers
are float32 but for those that say otherwise; errors are relative, the largest by the largest. It needs the extra
`wan`, up to 4 GB and a minute or two of a core; nothing is downloaded.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perdure.bench import wans
from perdure.models import weights
from perdure.models.adapters.camera import cameras
from perdure.models.attention import KINDS, Roles, attend, attend_plain, dense_mask, flex_mask
from perdure.models.cache import Cache
from perdure.models.camera import look
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import TAEW2_1, TAEW2_2, Adapters, TaehvConfig, TransformerConfig
from perdure.models.context import ANCHOR, Remembered
from perdure.models.decoding import StreamingDecoder, resumed
from perdure.models.dit import Transformer
from perdure.models.streaming import Roll, Whole, entry_shape
from perdure.models.taehv import Taehv
from perdure.models.vae import WanVae
from perdure.models.words import Words
from perdure.runtime import prompted

BOUND = 1e-5
Figures = Iterator[tuple[str, float]]  # what was looked at, and how far it is off

TINY = TransformerConfig(
    heads=2, head_dim=24, layers=3, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4
)
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


def run(only: str = "", seed: int = 0, configs: int = 24) -> dict[str, Any]:
    """All checks, or the one called `only`, or those whose name has it in it."""
    chosen = {name: check for name, check in CHECKS.items() if only in (name if only not in CHECKS else [name])}
    if not chosen:
        raise ValueError(f"expected checks with {only!r} in their names: there are {', '.join(CHECKS)}")
    import diffusers

    start = time.monotonic()
    with silent():
        made = {name: judged(check, bound, seed, configs) for name, (check, bound) in chosen.items()}
    return {
        "passed": all(each["passed"] for each in made.values()),
        "checks": made,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "seconds": round(time.monotonic() - start, 1),
        "peak_mb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        ),
    }


def judged(check: Callable[..., Figures], bound: float, seed: int, configs: int) -> dict[str, Any]:
    """The worst of a check's figures, and each by its name where they are few."""
    found: dict[str, float] = {}
    torch.manual_seed(seed)
    try:
        with torch.inference_mode():
            for name, value in check(configs) if check is tiny_error else check():
                found[name] = max(found.get(name, 0.0), value if value == value else float("inf"))
    except Exception as error:  # one that cannot be run has failed; the others are still told
        return {"value": None, "bound": bound, "passed": False, "error": f"{type(error).__name__}: {error}"[:500]}
    worst = max(found, key=lambda name: found[name])
    told = {"value": found[worst], "bound": bound, "passed": found[worst] <= bound, "looked_at": len(found)}
    return told | ({"of": found} if len(found) <= 8 else {"worst": worst})


@contextmanager
def silent() -> Iterator[None]:
    """No bars of those who save and load, nothing kept in the user's own cache, and one thread: on a busy machine two
    that wait for each other take six times as long.
    """
    from diffusers.utils import logging
    from transformers.utils import logging as others

    before, kept = torch.random.get_rng_state(), os.environ.get("XDG_CACHE_HOME")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for each in (logging, others):
            each.disable_progress_bar()
        try:
            yield
        finally:
            for each in (logging, others):
                each.enable_progress_bar()
            torch.random.set_rng_state(before)
            torch.set_num_threads(threads)
            os.environ.pop("XDG_CACHE_HOME")
            if kept is not None:
                os.environ["XDG_CACHE_HOME"] = kept


def error(made: Tensor, true: Tensor) -> float:
    if made.shape != true.shape:
        raise ValueError(f"expected shape {tuple(true.shape)}, got {tuple(made.shape)}")
    return float((made - true).abs().max() / true.abs().max())


def differing(made: Tensor, true: Tensor) -> float:
    """How many numbers are not the very same."""
    if made.shape != true.shape or made.dtype != true.dtype:
        raise ValueError(f"expected {true.dtype} {tuple(true.shape)}, got {made.dtype} {tuple(made.shape)}")
    return float((made != true).sum())


# Against diffusers


def tiny_error(configs: int) -> Figures:
    for n, (config, asked) in enumerate(wans.tiny(configs, seed=int(torch.initial_seed()))):
        ours, theirs = wans.pair(config)
        made, true = ours(*asked), theirs(*asked, return_dict=False)[0]
        size = "x".join(map(str, asked.latents.shape))
        yield f"{n}: {config.heads} heads of {config.head_dim}, {config.layers} layers, {size}", error(made, true)


def true_shape_error() -> Figures:
    for name, config in wans.TRUE.items():
        ours, theirs = wans.pair(config)
        asked = wans.asked(config, 1, (2, 6, 10), by_token=name == "5b")
        made, true = ours(*asked), theirs(*asked, return_dict=False)[0]
        del ours, theirs  # gigabytes
        yield name, error(made, true)


def roundtrip() -> Figures:
    """Our save, their load, and the other way: numbers that are not the same."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    for name, config in {
        "text": TINY,
        "image": replace(TINY, in_channels=9, image_dim=12, image_tokens=10),
        "adapters": replace(TINY, adapters=filled(next(iter(ADAPTERS.values())))),
    }.items():
        model = wans.learnt(config)
        asked = wans.asked(config, 2, (2, 4, 6), by_token=False)
        true = model(*asked)
        for dtype, shard in product((torch.float32, torch.bfloat16), (2**40, 30_000)):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "ours"
                weights.save(model.to(dtype) if dtype == torch.float32 else wans.learnt(config).to(dtype), place, shard)
                read = cast(Any, WanTransformer3DModel.from_pretrained(place, torch_dtype=dtype))
                again = weights.open_transformer(place)
                held = again.state_dict()
                base = dict(read.state_dict())
                yield f"{name}: names", float(len({k for k in held if not k.startswith("adapters.")} ^ base.keys()))
                yield f"{name}: tensors", sum(differing(held[k], it.to(held[k].dtype)) for k, it in base.items())
                if dtype == torch.float32:
                    yield f"{name}: ours, read again", differing(again(*asked), true)
                    yield f"{name}: ours, read by diffusers", differing(read(*asked, return_dict=False)[0], true)
                    read.save_pretrained(Path(folder) / "theirs", max_shard_size="30KB" if shard < 2**40 else "10GB")
                    back = weights.open_transformer(Path(folder) / "theirs")
                    yield f"{name}: theirs, read by us", differing(back(*asked), true)


def prompt_path_equals_wan_pipeline() -> Figures:
    """A saved folder, a prompt and a noise: latents, and frames, of our way through it and of diffusers' pipeline."""
    height, width, frames, steps = 32, 64, 9, 4
    rows, columns = np.mgrid[:40, :70]
    picture = Image.fromarray(np.stack([rows * 6, columns * 3, rows * columns % 256], -1).astype(np.uint8))
    for name, image, euler, scales in (
        ("2.1 text", "", False, (4.0,)),
        ("2.1 text, Euler", "", True, (4.0,)),
        ("2.2 text, two experts", "", False, (4.0, 3.0)),
        ("2.2 5B, image", "first", False, (5.0,)),
        ("2.2 image, two experts", "beside", False, (3.5, 2.5)),
        ("2.1 image, CLIP", "read", False, (5.0,)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            made = wans.save_pipeline(Path(folder), image, euler, len(scales))
            down = made.vae_scale_factor_spatial
            start = torch.randn(1, wans.CHANNELS, (frames - 1) // 4 + 1, height // down, width // down)
            prompt, negative = "a red  fox walks &amp; waits", "deep snow"
            given: dict[str, Any] = {"image": picture.resize((width, height))} if image else {}
            asked: dict[str, Any] = {
                "prompt": prompt, "negative_prompt": negative, "height": height, "width": width, "num_frames": frames,
                "num_inference_steps": steps, "guidance_scale": scales[0], "latents": start, **given,
            }  # fmt: skip
            if len(scales) == 2:
                asked["guidance_scale_2"] = scales[1]
            latents, shown = (made(**asked, output_type=kind).frames for kind in ("latent", "pt"))
            painter = prompted.load(Path(folder))
            ours = painter.paint(
                prompt, given.get("image"), negative, frames, height, width, steps, scales, start=start.clone()
            )
            yield f"{name}: latents", error(ours, latents)
            yield f"{name}: frames", error(torch.cat(list(painter.show(ours))).unsqueeze(0), shown)


# Adapters


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


def cut(given: Given, piece: slice) -> Given:
    """What is given for some of the latents."""
    of: dict[str, Any] = {}
    if given.keys is not None:
        of["keys"] = given.keys[:, piece]
    if given.cameras is not None:
        of["cameras"] = Cameras(*(x[:, piece] for x in given.cameras))
    for name in ("rays", "view"):
        if (x := getattr(given, name)) is not None:
            of[name] = x[:, :, piece]
    return given._replace(**of)


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
            at = cut(given, then) if on else None
            kept = model.remember(latents[:, :, then], torch.zeros(batch, 2), text, given=at, times=times[:, then])
            past = Past(*kept, times[:, then], from_clip=seen if on else None)
            at = cut(given, now) if on else None
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


# Streams


def stream_equals_full() -> Figures:
    """Chunk by chunk, against the whole clip under the same mask; with chunks of 1 to 4 latents, and every adapter."""
    everything = [filled(adapters) for adapters in ADAPTERS.values()]
    for kind, every, chunk in product(KINDS[1:], (1, 2), (1, 2, 3, 4)):
        for adapters in (Adapters(), everything[chunk - 1]):
            config = replace(TINY, history=kind, look_back_every=every, adapters=adapters)
            yield kind, streamed(config, chunk, chunks=3, size=(4, 6), batch=1 + chunk % 2)
    yield "rolling window", rolled(chunk=1)
    yield "rolling window, chunks of 3", rolled(chunk=3)


def streamed(config: TransformerConfig, chunk: int, chunks: int, size: tuple[int, int], batch: int) -> float:
    model, kind, count = wans.learnt(config), config.history, chunk * chunks
    given = told(config, batch, (count, *size)) if config.adapters != Adapters() else None
    last, then, now = count - chunk, slice(0, count - chunk), slice(count - chunk, count)
    latents, text, level = torch.randn(batch, 4, count, *size), torch.randn(batch, 5, 20), 700.0
    times, belongs = torch.arange(count).float()[None], torch.arange(count) // chunk
    levels = torch.where(torch.arange(count) < last, 0.0, level).expand(batch, -1)
    target = belongs == chunks - 1
    if given is not None and given.words is not None:  # by those who are drawn, and nobody else
        given = given._replace(hearing=target)
    whole = model(latents, levels, text, given=given, times=times, roles=Roles(belongs, target))
    if given is not None:
        given = given._replace(hearing=None)
    # WorldPlay's context is encoded at once, as if it were one chunk.
    pieces = [then] if kind == "memory-and-chunk" else [slice(i, i + chunk) for i in range(0, last, chunk)]
    kept: tuple[Tensor, ...] | None = None
    past: Past | None = None
    seen = None if given is None else cast(Cameras, given.cameras).from_clip
    for piece in pieces:
        at = None if given is None else cut(given, piece)
        clean = torch.zeros(batch, piece.stop - piece.start)
        made = model.remember(latents[:, :, piece], clean, text, given=at, times=times[:, piece], past=past)
        kept = made if kept is None else tuple(torch.cat(both, 2) for both in zip(kept, made, strict=True))
        behind = None if seen is None else seen[:, : piece.stop]
        past = None if kind == "block-diagonal" else Past(kept[0], kept[1], times[:, : piece.stop], from_clip=behind)
    assert kept is not None
    past = Past(kept[0], kept[1], times[:, then], from_clip=None if seen is None else seen[:, then])
    at = None if given is None else cut(given, now)
    made = model.denoise(latents[:, :, now], levels[:, now], past, text, given=at, times=times[:, now])
    return error(made, whole[:, :, now])


def rolled(chunk: int, window: int = 2, chunks: int = 9) -> float:
    """Self-Forcing's cache, which has turned over more than three times, is the whole clip seen through a window."""
    model = wans.learnt(replace(TINY, history="chunk-causal", recent=window * chunk))
    count = chunk * chunks
    latents, text, belongs = torch.randn(1, 4, count, 4, 6), torch.randn(1, 5, 20), torch.arange(count) // chunk
    levels = torch.where(belongs == chunks - 1, 700.0, 0.0)[None]
    whole = model(latents, levels, text, roles=Roles(belongs, torch.zeros(count, dtype=torch.bool)), window=window)
    roll = Roll(model, (4, 6), cap=(window + 2) * chunk)
    for i in range(0, count - chunk, chunk):
        roll.add(latents[:, :, i : i + chunk], text)
    past, times = roll.past(chunk)
    made = model.denoise(latents[:, :, -chunk:], levels[:, -chunk:], past, text, times=times)
    return error(made, whole[:, :, -chunk:])


def decoders() -> dict[str, StreamingDecoder[Any]]:
    """Each of the decoders that stream; Wan's own narrow, in its older and its newer build."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    narrow: Any = {"base_dim": 4, "z_dim": 4, "num_res_blocks": 1, "latents_mean": [0.1, -0.2, 0, 1]}
    narrow |= {"latents_std": [2, 1, 3, 1]}
    newer = narrow | {"decoder_base_dim": 6, "is_residual": True, "patch_size": 2, "in_channels": 12}
    newer |= {"out_channels": 12, "scale_factor_spatial": 16}
    return {
        "taehv 2.1": taehv(replace(TAEW2_1, decoder_widths=(24, 16, 12, 8))),
        "taehv 2.2": taehv(replace(TAEW2_2, decoder_widths=(24, 16, 12, 8))),
        "wan vae 2.1": WanVae(AutoencoderKLWan(**narrow)),
        "wan vae 2.2": WanVae(AutoencoderKLWan(**newer)),
    }


def taehv(config: TaehvConfig) -> Taehv:
    """With weights under which pictures neither fade nor are all cut off at black and white."""
    model = Taehv(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(weight, std=(0.7 if "conv.4" in name else 1.4) / weight[0].numel() ** 0.5)
    return model


def decoders_stream_equals_full() -> Figures:
    """Cut in ever other ways; Wan's own also against diffusers' decoding of the whole."""
    for name, decoder in decoders().items():
        for batch, cuts in ((1, (1, 1, 1, 1, 1)), (2, (2, 3)), (1, (4, 1)), (2, (3, 1, 1))):
            latents, state = torch.randn(batch, decoder.channels, sum(cuts), 2, 3), decoder.start()
            whole, _ = decoder.decode(latents, decoder.start())
            shown: list[Tensor] = []
            for part in latents.split(cuts, 2):
                frames, state = decoder.decode(part, state)
                shown.append(frames)
            yield name, error(torch.cat(shown, 1), whole)
            if isinstance(decoder, WanVae):
                theirs = decoder.vae.decode(latents * decoder.deviation + decoder.mean, return_dict=False)[0]
                yield f"{name}, diffusers", error(whole, theirs.transpose(1, 2) / 2 + 0.5)


def taehv_formulas() -> Figures:
    """Against the published formulas, a frame at a time; narrow, and one of each true width.

    In float64: thirty convolutions of random weights make much of how float32 rounds.
    """
    small = {"decoder_widths": (24, 16, 12, 8)}
    for name, config, batch, size in (
        ("taew2_1, narrow", replace(TAEW2_1, **small), 2, (4, 3, 5)),
        ("taew2_2, narrow", replace(TAEW2_2, **small), 1, (3, 1, 2)),
        ("taew2_1", TAEW2_1, 1, (2, 3, 2)),
        ("taew2_2", TAEW2_2, 1, (2, 2, 3)),
    ):
        model = taehv(config).double()
        latents = torch.randn(batch, config.channels, *size, dtype=torch.float64)
        made, _ = model.decode(latents, model.start())
        yield name, error(made, wans.Formulas(dict(model.state_dict()), config.patch)(latents).float())


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
    config = replace(TINY, history="memory-and-chunk", sink=1, recent=3, recalled=1)
    model, size = wans.learnt(config).to(dtype), (4, 6)
    world, text, level = torch.randn(16, 4, *size, dtype=dtype), torch.randn(1, 5, 20, dtype=dtype), torch.ones(1)
    coming, lived, off = torch.randn(1, 4, 2, *size, dtype=dtype), Whole(model, size, level=14.0), 0.0
    for context in contexts(16):
        drawn: list[Tensor] = []
        for whole in (lived, Whole(model, size, level=14.0)):
            past, times = whole.past([world[i] for i in context], 2, text)
            drawn.append(model.denoise(coming, level * 700, past, text, times=times))
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


# Attention


def attention_equal() -> Figures:
    """The fused kernels against the formula, for each way of looking; odd sizes, and masks that leave one token."""
    roles = Roles(torch.tensor([0, 0, 1, 1, 2, 2, 3]), torch.tensor([False] * 5 + [True, False]))
    for kind, alone, (window, sink), cells in product(KINDS, (False, True), ((0, 0), (1, 0), (1, 1)), (1, 9)):
        q, k, v = (torch.randn(2, 7 * cells, 2, 32) for _ in range(3))
        mask = dense_mask(kind, roles, cells, alone, window, sink)
        true = attend_plain(q.double(), k.double(), v.double(), mask).float()
        yield f"{kind}, plain", error(attend_plain(q, k, v, mask), true)
        yield f"{kind}, fused", error(attend(q, k, v, mask), true)
        if cells == 1 or window:
            blocks = flex_mask(kind, roles, cells, alone, window, sink)
            yield f"{kind}, flex", error(attend(q, k, v, blocks), true)
    for count in (1, 2, 77):
        q, k, v = torch.randn(2, 5, 3, 16), torch.randn(2, count, 3, 16), torch.randn(2, count, 3, 16)
        one = torch.arange(count).expand(2, -1) == count - 1
        yield "one token seen", error(attend(q, k, v, one), v[:, -1:].expand(-1, 5, -1, -1))


CHECKS: Mapping[str, tuple[Callable[..., Figures], float]] = {
    "tiny_error": (tiny_error, BOUND),
    "true_shape_error": (true_shape_error, BOUND),
    "zero_init_is_wan": (zero_init_is_wan, 0),
    "zero_init_is_diffusers": (zero_init_is_diffusers, BOUND),
    "stream_equals_full": (stream_equals_full, BOUND),
    "decoders_stream_equals_full": (decoders_stream_equals_full, BOUND),
    "rebuild_bitwise": (rebuild_bitwise, 0),
    "prompt_path_equals_wan_pipeline": (prompt_path_equals_wan_pipeline, BOUND),
    "roundtrip": (roundtrip, 0),
    "taehv_formulas": (taehv_formulas, 1e-6),
    "attention_equal": (attention_equal, BOUND),
}
