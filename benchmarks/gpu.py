"""Wan's sizes on a GPU, live: how long a chunk takes, by stage, in under ten minutes. Without a GPU it does nothing.

    python benchmarks/gpu.py --out gpu.json            # what is in the file already is not run again
    python benchmarks/gpu.py --out gpu.json --only wan-5b
    python benchmarks/gpu.py --count                   # no GPU: how many operations there are to do
    python benchmarks/gpu.py --out dry.json --dry      # no GPU: all parts, of models too small to tell anything

Weights are random: time does not depend on them. A chunk is drawn with memory on and full, in one of two ways:
`whole`, the context encoded anew for each chunk, then the steps; or `roll`, the steps, then a clean pass that writes
what was drawn into a rolling cache. Then it is decoded. `sequential` is the sum as it runs; `overlapped` has the
decoder on a stream of its own, a chunk behind. `live` is what the library does, through `streaming.Whole`; with
`worldplay`, keys and cameras are on. The others ask the model on buffers that stay, as CUDA graphs need it.

Each part stands by itself: one that fails, or takes too long, loses its own figures only. The exit code is 1 if one
failed, if numbers were not finite, or if bf16 was worse than it may be.
"""

import argparse
import faulthandler
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
from torch import Tensor

from perdure.bench import wans
from perdure.bench.chunks import (
    DRAWN,
    HALF,
    Chunk,
    Decoding,
    Lived,
    Machine,
    counted,
    halved,
    needed,
    wans_own,
    worldplay,
)
from perdure.models.attention import attend
from perdure.models.config import TransformerConfig
from perdure.models.quantise import attend_int8, to_fp8
from perdure.models.taehv import Taehv
from perdure.presets.wan import Wan, wan_1_3b, wan_5b

MINUTES = 9.0  # for all; a second one kills what does not let itself be stopped
LONGEST = 120.0  # seconds of one part
WAYS = ("graphs", "compiled", "fp8", "eager")
SPENT = "not run: no time was left"
ROOM = 24  # GB that the 5B is to fit into, in fp8
DRY = Machine("cpu", "eager", repeats=1)


def chunk(preset: Wan, way: str, machine: Machine) -> dict[str, Any]:
    """Milliseconds of each stage and of a chunk, frames a second, memory; decoded by TAEHV."""
    machine.start_memory()
    start = time.perf_counter()
    one = Chunk(preset, machine, way)
    works = {"context": one.context, "step": one.step, "steps": one.steps, "clean": one.clean}
    figures = timed(one, works, DRAWN, way, machine, captured=way != "eager")
    if way == "eager":
        figures["stages_ms"]["step_with_a_mask"] = machine.milliseconds(one.masked_step)
    return figures | {"seconds_in_all": round(time.perf_counter() - start, 1)}


def live(preset: Wan, way: str, machine: Machine) -> dict[str, Any]:
    """The same of what the library does: no graphs, the context through `Whole`, and all that adapters take."""
    machine.start_memory()
    start = time.perf_counter()
    one = Lived(preset, machine, way)
    works = {"context": one.context, "step": one.step, "steps": one.steps}
    figures = timed(one, works, {"whole": DRAWN["whole"]}, way, machine, captured=False)
    return figures | {"seconds_in_all": round(time.perf_counter() - start, 1)}


def timed(
    one: Chunk | Lived,
    works: Mapping[str, Callable[[], Any]],
    drawn: Mapping[str, tuple[str, ...]],
    way: str,
    machine: Machine,
    captured: bool,
) -> dict[str, Any]:
    preset = one.preset
    machine.wait()
    machine.start_memory()  # from here on as in a life: fp8 was made of bf16, which is gone
    with torch.device(machine.device):
        decoder = Taehv(preset.codec).to(HALF).eval().requires_grad_(False)
    if way in ("compiled", "fp8"):
        decoder.decoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    coded = Decoding(decoder, one.latents)
    if captured:
        pool = torch.cuda.graph_pool_handle() if machine.cuda else None
        works = {name: machine.captured(work, pool) for name, work in works.items()}
    decode = machine.captured(coded.run) if way != "eager" else coded.run
    works = {**works, "decode": decode}
    stages = {name: machine.milliseconds(work) for name, work in works.items()}
    work = counted(preset)
    figures: dict[str, Any] = {
        "stages_ms": stages,
        "tflop": {name: round(value, 6) for name, value in work.items()},
        "tflops": {name: round(1e3 * work[name] / ms, 1) for name, ms in stages.items()},
        "frames_a_chunk": preset.frames,
        "asked": len(preset.sigmas),
    }
    for memory, names in drawn.items():
        draw = [works[name] for name in names]

        def sequential(draw: list[Callable[[], Any]] = draw) -> None:
            for work in draw:
                work()
            coded.latents.copy_(one.latents)
            decode()

        for order, ms in (
            ("sequential", machine.milliseconds(sequential)),
            ("overlapped", overlapped(draw, decode, one, coded, machine)),
        ):
            fps = 1e3 * preset.frames / ms
            figures[f"{memory}, {order}"] = {
                "ms": ms, "fps": round(fps, 2), "real_time": round(fps / preset.fps, 3), "thirty": fps >= 30,
            }  # fmt: skip
    figures["peak_gb"] = machine.gigabytes()
    if figures["peak_gb"] is not None:
        figures["within_24_gb"] = figures["peak_gb"] <= ROOM
    figures["passed"] = finite(one.latents, torch.as_tensor(coded.frames))  # speed is told, not judged
    return figures


def finite(*made: Tensor) -> bool:
    return all(bool(x.isfinite().all()) for x in made)


def overlapped(
    draw: list[Callable[[], Any]],
    decode: Callable[[], Any],
    one: Chunk | Lived,
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


def vae(preset: Wan, machine: Machine) -> dict[str, Any]:
    """Wan's own autoencoder, which is too slow to be live: milliseconds of a chunk."""
    machine.start_memory()
    model = wans_own(preset.channels, machine)
    channels, h, w = preset.latent_shape
    latents = torch.randn(1, channels, preset.latents, h, w, device=machine.device)
    with torch.inference_mode():
        _, state = model.decode(latents, model.start())
        frames, _ = model.decode(latents, state)
        ms = machine.milliseconds(lambda: model.decode(latents, state))
    fps = round(1e3 * preset.frames / ms, 2)
    return {"decode_ms": ms, "fps": fps, "peak_gb": machine.gigabytes(), "passed": finite(frames)}


def parity(config: TransformerConfig, machine: Machine, by_token: bool = False) -> dict[str, Any]:
    """How far bf16 is from float32, and how far diffusers' own bf16 is: ours must not be worse than by a tenth.

    By token: as TI2V-5B is asked, the first latent at timestep 0.
    """
    torch.manual_seed(0)
    ours, theirs = (model.to(machine.device) for model in wans.pair(config))
    theirs.load_state_dict(ours.state_dict(), assign=True)  # one tensor for both again
    asked = [None if x is None else x.to(machine.device) for x in wans.asked(config, 1, (3, 16, 24), by_token)]
    with torch.inference_mode():
        true = ours(*asked)
        error_32 = far(theirs(*asked, return_dict=False)[0], true)
        for model in (ours, theirs):
            halved(model)
        half = [asked[0].to(HALF), asked[1], asked[2].to(HALF), None]  # type: ignore[union-attr]
        errors = far(ours(*half), true), far(theirs(*half, return_dict=False)[0], true)
    passed = error_32 <= 1e-4 and errors[0] <= 1.1 * errors[1]
    return {"float32_against_diffusers": error_32, "ours": errors[0], "diffusers": errors[1], "passed": passed}


def velocity(one: Lived) -> Tensor:
    one.context()
    return one.step().clone()


def far(made: Tensor, true: Tensor) -> float:
    return float((made.float() - true.float()).norm() / true.float().norm())


def quality(preset: Wan, machine: Machine) -> dict[str, Any]:
    """What eight bits cost: how far the first velocity of a chunk is from that of bf16, context and all.

    Weights are random, but such that all of them count; a quarter of the picture, since int8 is here a formula that
    holds all scores. Relative error, and the same in dB; the speed of fp8 is that of the parts of its name.
    """
    one = Lived(replace(preset, width=preset.width // 2, height=preset.height // 2), machine, "eager")
    wans.stirred(one.model)
    one.listen()
    true = velocity(one)

    figures: dict[str, Any] = {"bf16": {"step_ms": machine.milliseconds(one.step)}}
    sound = finite(true)

    def against(way: str) -> None:
        nonlocal sound
        made = velocity(one)
        error, sound = far(made, true), sound and finite(made)
        db = round(-20 * math.log10(max(error, 1e-9)), 2)
        figures[way] = {"relative": error, "db": db, "step_ms": machine.milliseconds(one.step)}

    one.model.attend = attend_int8
    against("int8 attention")
    one.model.attend = None
    figures["layers_in_fp8"] = to_fp8(one.model)
    one.listen()
    against("fp8")
    one.model.attend = attend_int8
    against("fp8 and int8 attention")
    return figures | {"passed": sound}


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


def parts(machine: Machine, small: Wan, large: Wan, layers: int = 4) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """In the order of what matters most."""
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "wan-5b parity": lambda: parity(replace(large.dit, layers=layers // 2), machine, by_token=True),
        "wan-1.3b parity": lambda: parity(replace(small.dit, layers=layers), machine),
    }
    for preset in (large, small):
        for known, ways in ((worldplay(preset), ("compiled", "fp8")), (preset, ("compiled",))):
            for way in ways:
                made[f"{known.name} live {way}"] = lambda known=known, way=way: live(known, way, machine)
        for way in WAYS:
            made[f"{preset.name} {way}"] = lambda preset=preset, way=way: chunk(preset, way, machine)
        if preset is large:
            made["wan-5b quality"] = lambda: quality(worldplay(large), machine)
            made["wan-5b attention"] = lambda: attention(large, machine)
    for preset in (large, small):
        made[f"{preset.name} vae"] = lambda preset=preset: vae(preset, machine)
    return made


class Late(Exception):
    pass


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop what takes longer, where signals come through."""

    def late(*_: Any) -> None:
        raise Late(f"stopped after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(
    todo: Mapping[str, Callable[[], dict[str, Any]]],
    out: Path,
    only: str = "",
    minutes: float = MINUTES,
    longest: float = LONGEST,
) -> dict[str, Any]:
    """What is in `out` already stands, but for what failed; each new part is written at once."""
    done: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    start = time.monotonic()
    for name, part in todo.items():
        if only not in name or (name in done and "error" not in done[name]):
            continue
        left = 60 * minutes - (time.monotonic() - start)
        if left <= 0:
            done[name] = {"error": SPENT}
        else:
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                with within(min(left, longest)):
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
        if "diffusers" in figures:
            lines.append(f"| {name} | {figures['ours']:.2e} in bf16, diffusers {figures['diffusers']:.2e} | | | |")
        for way, each in figures.items():
            if isinstance(each, Mapping) and "db" in each:
                lines.append(f"| {name}, {way} | {each['db']} dB | | | |")
        if figures.get("passed") is False:
            lines.append(f"| {name} | did not pass | | | |")
    return "\n".join(lines)


def to_do() -> str:
    """How many operations there are, and how many a second must be done for a pace."""
    lines = [
        "| 10^12 operations | a prompt | context | a step | clean pass | TAEHV | a second at 30 frames, whole / roll "
        "| at the preset's own pace |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for preset in (wan_5b(), worldplay(wan_5b()), wan_1_3b(), worldplay(wan_1_3b())):
        work = counted(preset)
        stages = " | ".join(f"{work[name]:.1f}" for name in ("listen", "context", "step", "clean", "decode"))
        paces = " | ".join(
            " / ".join(f"{each:.0f}" for each in needed(preset, work, fps).values()) for fps in (30, preset.fps)
        )
        lines.append(f"| {preset.name}, {len(preset.sigmas)} steps, {preset.frames} frames | {stages} | {paces} |")
    return "\n".join(lines)


def tiny(preset: Wan) -> Wan:
    """The preset with all that makes it large made small."""
    config = replace(preset.dit, heads=2, head_dim=32, layers=2, ffn=64, text_dim=16)
    codec = replace(preset.codec, encoder_width=4, decoder_widths=(8, 8, 4, 4))
    return replace(preset, width=64, height=64, dit=config, codec=codec)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON; what is in it already is not run again")
    parser.add_argument("--only", default="", help="parts with this in their names")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all of it")
    parser.add_argument("--count", action="store_true", help="say how many operations there are, and no more")
    parser.add_argument("--dry", action="store_true", help="run all parts on the processor, of tiny models")
    options = parser.parse_args(arguments)
    if options.count:
        print(to_do())
        return 0
    if options.out is None:
        parser.error("expected --out, where figures go")
    if options.dry:
        machine, sizes = DRY, (tiny(wan_1_3b()), tiny(wan_5b()))
        about = {"device": "a dry run on the processor: no figure of it means anything", "torch": torch.__version__}
    elif torch.cuda.is_available():
        machine, sizes = Machine(), (wan_1_3b(), wan_5b())
        device = torch.cuda.get_device_name()
        about = {"device": device, "torch": torch.__version__, "cuda": torch.version.cuda}
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False  # what is called float32 is
        faulthandler.dump_traceback_later(60 * (options.minutes + 0.5), exit=True)  # what is measured is written
    else:
        print("no GPU here: nothing is measured")
        return 0
    torch._dynamo.config.recompile_limit = 32  # a block is compiled once for each stage, and must not fall back
    limits = (60.0, 3600.0) if options.dry else (options.minutes, LONGEST)  # a processor may be slow, or busy
    done = run({"about": lambda: about, **parts(machine, *sizes)}, options.out, options.only, *limits)
    faulthandler.cancel_dump_traceback_later()
    print(table(done))
    return int(any(each.get("passed") is False or each.get("error", SPENT) != SPENT for each in done.values()))


if __name__ == "__main__":
    sys.exit(main())
