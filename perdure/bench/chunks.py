"""A chunk of a live world in Wan's sizes, with weights of chance: what `benchmarks/gpu.py` times, stage by stage.

Two ways to it. `Chunk` asks the model on buffers that stay where they are, as CUDA graphs want it: what the kernels
can do. `Lived` goes through `streaming.Whole`, as whoever plays does, with all that the preset's adapters take.
On a processor both do the same, with neither graphs nor streams: so they can be tested.

Shapes: M memory slots, T latents of a chunk.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import radians, tan
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from perdure.models.camera import look
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.dit import Transformer
from perdure.models.quantise import to_fp8
from perdure.models.streaming import Whole, entry_shape
from perdure.models.taehv import Taehv
from perdure.models.vae import WanVae
from perdure.models.weights import EXACT
from perdure.presets.wan import Wan
from perdure.sampling import sample

HALF = torch.bfloat16
WORDS = 512  # tokens of a prompt


def worldplay(preset: Wan) -> Wan:
    """With what HY-WorldPlay adds: keys as 81 motions, and cameras (PRoPE) in a second attention."""
    adapters = Adapters(keys="81-way", camera="prope")
    return replace(preset, name=f"{preset.name} worldplay", dit=replace(preset.dit, adapters=adapters))


@dataclass(frozen=True)
class Machine:
    """Where it runs."""

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
        to_fp8(model)
    if way in ("compiled", "fp8"):
        for block in model.blocks:
            block.compile(backend=machine.backend, dynamic=False)
    return model


def prompt(preset: Wan, machine: Machine) -> Tensor:
    return torch.randn(1, WORDS, preset.dit.text_dim, device=machine.device, dtype=HALF)


def wans_own(channels: int, machine: Machine) -> WanVae:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    newer: dict[str, Any] = {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "patch_size": 2, "in_channels": 12,
        "out_channels": 12, "scale_factor_spatial": 16, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    }  # fmt: skip
    size = newer if channels == 48 else {}
    if not machine.cuda:  # there it only has to run
        size |= {"base_dim": 4, "decoder_base_dim": 4, "num_res_blocks": 1}
    with torch.device(machine.device):
        vae: Any = AutoencoderKLWan(**size)
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
        self.heard = self.model.listen(prompt(preset, machine))  # once for all that follows
        layers, *entry = entry_shape(self.model, (h, w))
        self.keys, self.values = (torch.randn(1, layers, slots, *entry, **on) for _ in range(2))
        self.new = tuple(torch.zeros(1, layers, count, *entry, **on) for _ in range(2))
        self.then = torch.arange(slots, device=machine.device).float()[None]
        self.now = torch.arange(slots, slots + count, device=machine.device).float()[None]
        self.levels = torch.tensor([0.0, *preset.sigmas], device=machine.device) * preset.dit.timesteps
        self.present = torch.ones(1, slots, dtype=torch.bool, device=machine.device)
        self.past = Past(self.keys, self.values, self.then)

    @torch.inference_mode()
    def context(self) -> None:
        self.model.remember(self.kept, self.levels[:1], self.heard, times=self.then, into=(self.keys, self.values))

    @torch.inference_mode()
    def step(self, past: Past | None = None) -> Tensor:
        level = self.levels[1:2]
        return self.model.denoise(self.noise[0], level, past or self.past, self.heard, times=self.now)

    @torch.inference_mode()
    def masked_step(self) -> Tensor:
        """As while memory is not yet full: with a mask over it."""
        return self.step(self.past._replace(present=self.present))

    @torch.inference_mode()
    def steps(self) -> None:
        at = iter(self.levels[1:].split(1))

        def velocity(x: Tensor, sigma: float) -> Tensor:
            return self.model.denoise(x, next(at), self.past, self.heard, times=self.now)

        self.latents.copy_(sample(velocity, self.noise[0], self.preset.sigmas, lambda n, x: self.noise[n]))

    @torch.inference_mode()
    def clean(self) -> None:
        self.model.remember(
            self.latents, self.levels[:1], self.heard, times=self.now, past=self.past, into=(self.new[0], self.new[1])
        )


class Lived:
    """The same through `Whole`, as the library does it: cameras are worked out, the context is gathered and encoded,
    and the chunk sees it. Nothing of it stands in a CUDA graph, since it is told anew where everything is.
    """

    def __init__(self, preset: Wan, machine: Machine, way: str) -> None:
        self.preset, self.config = preset, preset.dit
        self.model = drawing(preset.dit, machine, way)
        on: dict[str, Any] = {"device": machine.device, "dtype": HALF}
        channels, h, w = preset.latent_shape
        count, slots = preset.latents, preset.dit.memories
        self.noise = torch.randn(len(preset.sigmas), 1, channels, count, h, w, **on)
        self.latents = torch.zeros_like(self.noise[0])
        self.kept = list(torch.randn(slots, channels, h, w, **on))
        self.text = prompt(preset, machine)
        self.listen()
        self.whole = Whole(self.model, (h, w))
        self.levels = torch.tensor(preset.sigmas, device=machine.device) * preset.dit.timesteps
        wide = 0.5 / tan(radians(preset.horizontal_degrees) / 2)
        lens = torch.tensor([wide, wide * preset.width / preset.height, 0.5, 0.5], device=machine.device)
        self.lens = lens.expand(1, slots + count, 4)
        walk = torch.arange(slots + count, device=machine.device).float()[None]  # a quarter of a metre a latent
        self.poses = look(torch.stack([walk / 4, walk.sin(), 0 * walk + 1.6], -1), walk / 10, 0 * walk)
        self.keys = torch.randint(81, (1, slots + count), device=machine.device)
        self.past: Past | None = None
        self.coming: Given | None = None
        self.now: Tensor | None = None

    def listen(self) -> None:
        """Once for all that follows, until the model is another."""
        self.heard = self.model.listen(self.text)

    def given(self) -> tuple[Given | None, Given | None]:
        """What the context is given, and what the coming chunk is: both in the frame of its last camera."""
        on, slots = self.config.adapters, self.config.memories
        if not on.keys and not on.camera:
            return None, None
        seen = self.model.adapters.cameras_of(self.poses, self.lens) if on.camera else None
        told = Given(keys=self.keys if on.keys else None, cameras=seen)
        return told.cut(0, slots), told.cut(slots, slots + self.preset.latents)

    @torch.inference_mode()
    def context(self) -> None:
        before, self.coming = self.given()
        self.past, self.now = self.whole.past(self.kept, self.preset.latents, self.heard, before)

    @torch.inference_mode()
    def step(self, level: Tensor | None = None, x: Tensor | None = None) -> Tensor:
        """One velocity, of what is noise alone unless it is given; `context` comes first."""
        assert self.past is not None
        x, level = self.noise[0] if x is None else x, self.levels[:1] if level is None else level
        return self.model.denoise(x, level, self.past, self.heard, given=self.coming, times=self.now)

    @torch.inference_mode()
    def steps(self) -> None:
        at = iter(self.levels.split(1))
        first, *_ = self.noise
        drawn = sample(lambda x, _: self.step(next(at), x), first, self.preset.sigmas, lambda n, _: self.noise[n])
        self.latents.copy_(drawn)


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


# How much there is to do


@cache
def counted(preset: Wan) -> dict[str, float]:
    """10^12 operations of each stage, counted on tensors that are not there. `listen` is done once a prompt."""
    config, (channels, h, w), count = preset.dit, preset.latent_shape, preset.latents
    with torch.device("meta"), torch.inference_mode():
        model = Transformer(config).to(HALF)
        latents = {n: torch.zeros(1, channels, n, h, w, dtype=HALF) for n in (config.memories, count)}
        times = {n: torch.zeros(1, n) for n in latents}
        layers, *entry = entry_shape(model, (h, w))
        keys = torch.zeros(1, layers, config.memories, *entry, dtype=HALF)
        poses = torch.zeros(1, config.memories + count, 4, 4) if config.adapters.camera else None
        seen = {n: None if poses is None else poses[:, :n] for n in latents}
        moved = {n: torch.zeros(1, n, dtype=torch.long) if config.adapters.keys else None for n in latents}
        given = {n: Given(keys=moved[n], cameras=None if (at := seen[n]) is None else Cameras(at, at)) for n in latents}
        past, level = Past(keys, keys, times[config.memories], from_clip=seen[config.memories]), torch.zeros(1)
        decoder = Taehv(preset.codec).to(HALF)
        _, before = decoder.decode(latents[count][:, :, :1], decoder.start())
        text = model.listen(torch.zeros(1, WORDS, config.text_dim, dtype=HALF))

        def remember(n: int, past: Past | None) -> Any:
            return model.remember(latents[n], level, text, given=given[n], times=times[n], past=past)

        work: dict[str, Callable[[], Any]] = {
            "listen": lambda: model.listen(torch.zeros(1, WORDS, config.text_dim, dtype=HALF)),
            "context": lambda: remember(config.memories, None),
            "step": lambda: model.denoise(latents[count], level, past, text, given=given[count], times=times[count]),
            "clean": lambda: remember(count, past),
            "decode": lambda: decoder.decode(latents[count], before),
        }
        told = {name: operations(stage) for name, stage in work.items()}
    return told | {"steps": told["step"] * len(preset.sigmas)}


def operations(work: Callable[[], Any]) -> float:
    """10^12 of them, as torch counts those of products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e12


DRAWN = {"whole": ("context", "steps"), "roll": ("steps", "clean")}
"""What is done for a chunk before it is decoded: the context encoded anew, or a rolling cache that is written to."""


def needed(preset: Wan, work: dict[str, float], fps: float) -> dict[str, float]:
    """10^12 operations a second that frames at this pace take, in each way of remembering."""
    return {
        memory: sum(work[name] for name in (*names, "decode")) * fps / preset.frames for memory, names in DRAWN.items()
    }
