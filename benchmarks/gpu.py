"""Wan's sizes on a GPU, live: how long a chunk takes, by stage, in under ten minutes. Without a GPU it does nothing.

    python benchmarks/gpu.py --out gpu.json            # what is in the file already is not run again
    python benchmarks/gpu.py --out gpu.json --only wan-5b

Weights are random: time does not depend on them. A chunk is drawn with memory on and full, in one of two ways:
`whole`, the context encoded anew for each chunk, then the steps; or `roll`, the steps, then a clean pass that writes
what was drawn into a rolling cache. Then it is decoded. `sequential` is the sum as it runs; `overlapped` has the
decoder on a stream of its own, a chunk behind. Each part stands by itself: one that fails loses its own figures only.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
from torch import Tensor, nn

from perdure.bench import wans
from perdure.models.attention import attend
from perdure.models.conditions import Past
from perdure.models.config import TransformerConfig
from perdure.models.dit import Transformer
from perdure.models.streaming import entry_shape
from perdure.models.taehv import Taehv
from perdure.models.vae import WanVae
from perdure.models.weights import EXACT
from perdure.presets.wan import Wan, wan_1_3b, wan_5b
from perdure.sampling import sample

HALF = torch.bfloat16
MINUTES = 8.0
WAYS = ("graphs", "compiled", "fp8", "eager")  # the ones that matter most come first
SPENT = "not run: no time was left"


@dataclass(frozen=True)
class Machine:
    """Where it runs. On a processor everything does too, with neither graphs nor streams: so it can be tested."""

    device: str = "cuda"
    backend: str = "inductor"  # of torch.compile
    repeats: int = 5

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def milliseconds(self, work: Callable[[], Any]) -> float:
        """The median of some runs, after one that does not count."""
        taken: list[float] = []
        for _ in range(1 + self.repeats):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            taken.append(1e3 * (time.perf_counter() - start))
        return round(statistics.median(taken[1:]), 3)

    def captured(self, work: Callable[[], Any], pool: Any = None) -> Callable[[], Any]:
        """The same as one CUDA graph: what it reads and writes must stay where it is.

        Graphs that share a pool have their passing numbers in the same memory, and so never run at the same time.
        """
        if not self.cuda:
            return work
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # compiles and chooses kernels, which cannot be captured
                work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            work()
        return graph.replay

    def start_memory(self) -> None:
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def gigabytes(self) -> float | None:
        return round(torch.cuda.max_memory_allocated() / 1e9, 2) if self.cuda else None


# Models


def halved(module: nn.Module) -> nn.Module:
    """In bf16, but for the little that much hangs on, as `weights` loads it."""
    for name, weight in module.named_parameters():
        if not EXACT.search(name):
            weight.data = weight.data.to(HALF)
    return module


def drawing(config: TransformerConfig, machine: Machine, way: str) -> Transformer:
    before = torch.get_default_dtype()
    torch.set_default_dtype(HALF)  # so that no copy in float32 is ever there
    try:
        with torch.device(machine.device):
            model = Transformer(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    nn.init.normal_(model.proj_out.weight, std=0.02)
    for name, weight in model.named_parameters():
        if EXACT.search(name):
            weight.data = weight.data.float()
    if way == "fp8":
        from perdure.models.quantise import to_fp8

        to_fp8(model)
    if way in ("compiled", "fp8"):
        for block in model.blocks:
            block.compile(backend=machine.backend, dynamic=False)
    return model


def wans_own(channels: int, machine: Machine) -> WanVae:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    newer: dict[str, Any] = {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "patch_size": 2, "in_channels": 12,
        "out_channels": 12, "scale_factor_spatial": 16, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    }  # fmt: skip
    with torch.device(machine.device):
        vae: Any = AutoencoderKLWan(**(newer if channels == 48 else {}))
    return WanVae(vae.to(HALF))


class Chunk:
    """One chunk of a live world, in buffers that stay where they are."""

    def __init__(self, preset: Wan, machine: Machine, way: str) -> None:
        self.preset, self.machine, self.config = preset, machine, preset.dit
        self.model = drawing(preset.dit, machine, way)
        on: dict[str, Any] = {"device": machine.device, "dtype": HALF}
        channels, h, w = preset.latent_shape
        count, slots = preset.latents, preset.dit.memories
        self.noise = torch.randn(len(preset.sigmas), 1, channels, count, h, w, **on)
        self.latents, self.kept = torch.zeros_like(self.noise[0]), torch.randn(1, channels, slots, h, w, **on)
        self.text = torch.randn(1, 512, preset.dit.text_dim, **on)
        layers, *entry = entry_shape(self.model, (h, w))
        self.keys, self.values = (torch.randn(1, layers, slots, *entry, **on) for _ in range(2))
        self.new = tuple(torch.zeros(1, layers, count, *entry, **on) for _ in range(2))
        self.then = torch.arange(slots, device=machine.device).float()[None]
        self.now = torch.arange(slots, slots + count, device=machine.device).float()[None]
        self.levels = torch.tensor([0.0, *preset.sigmas], device=machine.device) * preset.dit.timesteps
        self.present = torch.ones(1, slots, dtype=torch.bool, device=machine.device)
        self.past = Past(self.keys, self.values, self.then)

    def work(self) -> dict[str, float]:
        """10^12 operations of the blocks, which are nearly all there are; what is fast in float8 is counted alike."""
        config, layers = self.config, self.config.layers
        cells, slots, coming = self.keys.shape[3], self.config.memories, self.preset.latents

        def of(asking: int, asked: int, layers: int) -> float:
            weights = 6 * config.dim**2 + 2 * config.dim * config.ffn
            text = 2 * 512 * (2 * config.dim**2 + 2 * asking * config.dim)  # its keys and values, and reading it
            return layers * (2 * asking * weights + 4 * asking * asked * config.dim + text) / 1e12

        context = of(slots * cells, slots * cells, layers - 1)  # of the last layer keys and values alone are made
        step, clean = (of(coming * cells, (slots + coming) * cells, n) for n in (layers, layers - 1))
        told = {"context": context, "step": step, "steps": step * len(self.preset.sigmas), "clean": clean}
        return {name: round(value, 6) for name, value in told.items()}

    @torch.inference_mode()
    def context(self) -> None:
        self.model.remember(self.kept, self.levels[:1], self.text, times=self.then, into=(self.keys, self.values))

    @torch.inference_mode()
    def step(self, past: Past | None = None) -> Tensor:
        level = self.levels[1:2]
        return self.model.denoise(self.noise[0], level, past or self.past, self.text, times=self.now)

    @torch.inference_mode()
    def masked_step(self) -> Tensor:
        """As while memory is not yet full: with a mask over it."""
        return self.step(self.past._replace(present=self.present))

    @torch.inference_mode()
    def steps(self) -> None:
        at = iter(self.levels[1:].split(1))

        def velocity(x: Tensor, sigma: float) -> Tensor:
            return self.model.denoise(x, next(at), self.past, self.text, times=self.now)

        self.latents.copy_(sample(velocity, self.noise[0], self.preset.sigmas, lambda n, x: self.noise[n]))

    @torch.inference_mode()
    def clean(self) -> None:
        self.model.remember(
            self.latents, self.levels[:1], self.text, times=self.now, past=self.past, into=(self.new[0], self.new[1])
        )


class Decoding:
    """A decoder in the middle of a stream, whose state stays where it is."""

    def __init__(self, decoder: Taehv, latents: Tensor) -> None:
        self.decoder, self.latents = decoder, latents.clone()
        with torch.inference_mode():
            _, self.state = decoder.decode(self.latents[:, :, :1], decoder.start())
        self.frames: Tensor | None = None

    @torch.inference_mode()
    def run(self) -> None:
        self.frames, after = self.decoder.decode(self.latents, self.state)
        for old, new in zip(self.state.last, after.last, strict=True):
            old.copy_(new)


# Parts


def chunk(preset: Wan, way: str, machine: Machine) -> dict[str, Any]:
    """Milliseconds of each stage and of a chunk, frames a second, memory; decoded by TAEHV."""
    machine.start_memory()
    start = time.perf_counter()
    one = Chunk(preset, machine, way)
    machine.wait()
    machine.start_memory()  # from here on as in a life: fp8 was made of bf16, which is gone
    with torch.device(machine.device):
        decoder = Taehv(preset.codec).to(HALF).eval().requires_grad_(False)
    if way in ("compiled", "fp8"):
        decoder.decoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    coded = Decoding(decoder, one.latents)
    works = {"context": one.context, "step": one.step, "steps": one.steps, "clean": one.clean, "decode": coded.run}
    if way != "eager":
        pool = torch.cuda.graph_pool_handle() if machine.cuda else None
        works = {name: machine.captured(work, None if name == "decode" else pool) for name, work in works.items()}
    stages = {name: machine.milliseconds(work) for name, work in works.items()}
    if way == "eager":
        stages["step_with_a_mask"] = machine.milliseconds(one.masked_step)
    frames = preset.frames
    work = one.work()
    figures: dict[str, Any] = {
        "stages_ms": stages,
        "tflop": work,
        "tflops": {name: round(1e3 * work[name] / stages[name], 1) for name in work},
        "frames_a_chunk": frames,
        "asked": len(preset.sigmas),
    }
    drawn = {"whole": ("context", "steps"), "roll": ("steps", "clean")}
    for memory, names in drawn.items():
        draw = [works[name] for name in names]

        def sequential(draw: list[Callable[[], Any]] = draw) -> None:
            for work in draw:
                work()
            coded.latents.copy_(one.latents)
            works["decode"]()

        for order, ms in (
            ("sequential", machine.milliseconds(sequential)),
            ("overlapped", overlapped(draw, works["decode"], one, coded, machine)),
        ):
            fps = 1e3 * frames / ms
            figures[f"{memory}, {order}"] = {
                "ms": ms, "fps": round(fps, 2), "real_time": round(fps / preset.fps, 3), "thirty": fps >= 30,
            }  # fmt: skip
    figures["peak_gb"] = machine.gigabytes()
    figures["finite"] = bool(one.latents.isfinite().all()) and bool(torch.as_tensor(coded.frames).isfinite().all())
    figures["seconds_in_all"] = round(time.perf_counter() - start, 1)
    return figures


def overlapped(
    draw: list[Callable[[], Any]],
    decode: Callable[[], Any],
    one: Chunk,
    coded: Decoding,
    machine: Machine,
    chunks: int = 6,
) -> float:
    """Milliseconds a chunk, over some: while one is drawn the one before is decoded."""
    aside: Any = torch.cuda.Stream() if machine.cuda else None

    def run() -> None:
        for _ in range(chunks):
            if aside:
                aside.wait_stream(torch.cuda.current_stream())  # what was drawn is there
            with torch.cuda.stream(aside) if aside else nullcontext():
                coded.latents.copy_(one.latents)
                taken = torch.cuda.Event() if aside else None
                if taken:
                    taken.record()
                decode()
            if taken:
                taken.wait()  # before latents are drawn over
            for work in draw:
                work()
        if aside:
            torch.cuda.current_stream().wait_stream(aside)

    return round(machine.milliseconds(run) / chunks, 3)


def vae(preset: Wan, machine: Machine, side: int = 1) -> dict[str, Any]:
    """Wan's own autoencoder, which is too slow to be live: milliseconds of a chunk."""
    machine.start_memory()
    model = wans_own(preset.channels, machine)
    channels, h, w = preset.latent_shape
    latents = torch.randn(1, channels, preset.latents, h // side, w // side, device=machine.device)
    with torch.inference_mode():
        _, state = model.decode(latents, model.start())
        ms = machine.milliseconds(lambda: model.decode(latents, state))
    return {"decode_ms": ms, "fps": round(1e3 * preset.frames / ms, 2), "peak_gb": machine.gigabytes()}


def parity(config: TransformerConfig, machine: Machine) -> dict[str, Any]:
    """How far bf16 is from float32, and how far diffusers' own bf16 is: ours must not be worse than by a tenth."""
    torch.manual_seed(0)
    ours, theirs = (model.to(machine.device) for model in wans.pair(config))
    theirs.load_state_dict(ours.state_dict(), assign=True)  # one tensor for both again
    asked = [None if x is None else x.to(machine.device) for x in wans.asked(config, 1, (3, 16, 24), by_token=False)]
    with torch.inference_mode():
        true = ours(*asked)
        error_32 = far(theirs(*asked, return_dict=False)[0], true)
        for model in (ours, theirs):
            halved(model)
        half = [asked[0].to(HALF), asked[1], asked[2].to(HALF), None]  # type: ignore[union-attr]
        errors = far(ours(*half), true), far(theirs(*half, return_dict=False)[0], true)
    passed = error_32 <= 1e-4 and errors[0] <= 1.1 * errors[1]
    return {"float32_against_diffusers": error_32, "ours": errors[0], "diffusers": errors[1], "passed": passed}


def far(made: Tensor, true: Tensor) -> float:
    return float((made.float() - true.float()).norm() / true.float().norm())


def attention(preset: Wan, machine: Machine) -> dict[str, Any]:
    """One layer's attention of a step and of a context, by each kernel that torch has for it."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    config, (_, h, w) = preset.dit, preset.latent_shape
    cells = h * w // (config.patch[1] * config.patch[2])
    figures: dict[str, Any] = {}
    for name, asking, asked in (
        ("step", preset.latents * cells, (config.memories + preset.latents) * cells),
        ("context", config.memories * cells, config.memories * cells),
    ):
        made = (torch.randn(1, n, config.heads, config.head_dim, dtype=HALF) for n in (asking, asked, asked))
        q, k, v = (x.to(machine.device) for x in made)
        mask = torch.ones(1, asked, dtype=torch.bool, device=machine.device)
        work = 4 * asking * asked * config.dim / 1e9  # GFLOP
        for kernel in (
            SDPBackend.FLASH_ATTENTION,
            SDPBackend.CUDNN_ATTENTION,
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.MATH,
        ):
            for which, seen in (("", None), (", masked", mask)):
                told = f"{name}{which}: {kernel.name.removesuffix('_ATTENTION').lower()}"
                try:
                    with sdpa_kernel(kernel), torch.inference_mode():
                        ms = machine.milliseconds(lambda q=q, k=k, v=v, seen=seen: attend(q, k, v, seen))
                    figures[told] = {"ms": ms, "tflops": round(work / ms, 1)}
                except RuntimeError as error:
                    figures[told] = str(error).splitlines()[0][:120]
    return figures


def parts(machine: Machine) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """In the order of what matters most."""
    small, large = wan_1_3b(), wan_5b()
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "parity": lambda: parity(replace(small.dit, layers=4), machine),
        "wan-5b attention": lambda: attention(large, machine),
    }
    for preset in (large, small):
        for way in WAYS:
            made[f"{preset.name} {way}"] = lambda preset=preset, way=way: chunk(preset, way, machine)
    for preset in (large, small):
        made[f"{preset.name} vae"] = lambda preset=preset: vae(preset, machine)
    return made


def run(
    todo: Mapping[str, Callable[[], dict[str, Any]]], out: Path, only: str = "", minutes: float = MINUTES
) -> dict[str, Any]:
    """What is in `out` already stands, but for what failed; each new part is written at once."""
    done: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    start = time.monotonic()
    for name, part in todo.items():
        if only not in name or (name in done and "error" not in done[name]):
            continue
        if time.monotonic() - start > 60 * minutes:
            done[name] = {"error": SPENT}
        else:
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                done[name] = part()
            except Exception as error:  # out of memory, a kernel that is not there: the other parts go on
                done[name] = {"error": f"{type(error).__name__}: {error}"[:600]}
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        out.write_text(json.dumps(done, indent=2) + "\n")
    return done


def table(done: Mapping[str, Any]) -> str:
    lines = ["| part | ms a chunk | frames a second | of real time | GB |", "|---|---|---|---|---|"]
    for name, figures in done.items():
        if "error" in figures:
            lines.append(f"| {name} | failed: {figures['error'].splitlines()[0][:80]} | | | |")
        memory = figures.get("peak_gb")
        for order, each in figures.items():
            if isinstance(each, Mapping) and "real_time" in each:
                lines.append(f"| {name}, {order} | {each['ms']} | {each['fps']} | {each['real_time']} | {memory} |")
        if "decode_ms" in figures:
            lines.append(f"| {name} | {figures['decode_ms']} | {figures['fps']} | | {memory} |")
        if "passed" in figures:
            lines.append(f"| {name} | passed: {figures['passed']}, {figures['ours']:.2e} | | | |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON; what is in it already is not run again")
    parser.add_argument("--only", default="", help="parts with this in their names")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no part begins after this")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no GPU here: nothing is measured")
        return
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # what is called float32 is
    torch._dynamo.config.recompile_limit = 32  # a block is compiled once for each stage, and must not fall back
    machine = Machine()
    about = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    done = run({"about": lambda: about, **parts(machine)}, options.out, options.only, options.minutes)
    print(table(done))


if __name__ == "__main__":
    main()
