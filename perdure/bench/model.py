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

from perdure.bench import wans
from perdure.bench.adapted import ADAPTERS, filled, zero_init_is_diffusers, zero_init_is_wan
from perdure.bench.decoders import decoders_stream_equals_full, taehv_formulas
from perdure.bench.differences import Figures, differing, error
from perdure.bench.streams import rebuild_bitwise, stream_equals_full
from perdure.bench.wans import TINY
from perdure.models import weights
from perdure.models.attention import KINDS, Roles, attend, attend_plain, dense_mask, flex_mask
from perdure.runtime import prompted

BOUND = 1e-5


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
