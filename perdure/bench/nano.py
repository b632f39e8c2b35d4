"""`perdure bench nano`: what a step of the small model costs, in time and in memory, on the machine that it is run on.

A world of its own, opened from a store as any is, and walked about in: the whole step, as it is played, but for
the pace of a session. Every walk has a process of its own, which holds nothing but what playing needs, so what
that process takes is what playing takes. Beside it stand the same graphs in eager torch, if torch is there.

Memory is read a tenth of the way and at its end: all that is resident, and of that what is the process's own. The
rest are pages of files, the world's among them, which the system takes back when it needs the room. Beside it is
counted what the world itself holds.

It is a bench for two cores, of which it uses one: the step, and the graphs within it, has a thread. In a session
the other core hands out the frames meanwhile, and a server packs them there.
"""

import gc
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import openvino as ov

from perdure.agents.player import Explorer
from perdure.bench.bounds import Bound, judged
from perdure.data.founding import SPOTS, found_kind
from perdure.models.config import CodecConfig
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, OpenVINO, fingerprint
from perdure.runtime.engine import Engine
from perdure.world.index import ENTRY
from perdure.world.state import World
from perdure.world.store import Store

SCENE = "court", 100_000  # never trained on
WARM_UP = 12  # chunks: all memory slots are in use, and what is compiled once has been
LONG = 2_000  # chunks: of a shorter walk a tenth is too little for what is bounded to have filled

BOUNDS: Mapping[str, Bound] = {
    "fps_bf16": ("at_least", 24),
    "fps_f32": ("at_least", 16),
    "peak_memory_mb": ("at_most", 1500),
    # The least that a step makes and might keep is its latent: 18 KB, so 18 MB in a thousand. Half of that is room for
    # allocators, and for some 2 KB a keyframe that Python takes to hold one.
    "growth_mb_a_thousand": ("at_most", 9),
}
"""Of `fps` that of precisions this processor has, and of growth only a long walk's."""

WALKER, RACER = "perdure.bench.nano", "perdure.bench.race"
"""What runs in processes of their own, told what to do in JSON and answering in JSON."""


class Walk(msgspec.Struct, frozen=True):
    """What a process is to do: open a world, walk on and on in it, and say what that took."""

    folder: str
    weights: str
    preset: Preset[CodecConfig]
    precision: str
    threads: int
    chunks: int
    timed: int  # the first of these


class Race(msgspec.Struct, frozen=True):
    """What `race.py` is to do, which needs torch: to ask it and OpenVINO in turns."""

    weights: str
    preset: Preset[CodecConfig]
    precision: str
    threads: int
    rounds: int  # of which the best counts


def run(
    chunks: int = 10_000,
    timed: int = 240,
    threads: int = 1,
    spots: int = SPOTS,
    rounds: int = 15,
    weights: Path = WEIGHTS,
    preset: Preset[CodecConfig] | None = None,
) -> dict[str, Any]:
    """Figures of `timed` chunks in each precision that this processor has, and of memory over a walk of `chunks`.

    `threads` are the graphs' own: a session has a thread for its frames besides, and its server others.
    `action_to_first_frame_ms` is from an action to the frames that have it, whole: a chunk's come at once.
    """
    if chunks < 1 or timed < 1:
        raise ValueError(f"expected at least one chunk to walk, got {chunks} for memory and {timed} timed")
    preset = preset or nano()
    able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = ["bf16", "f32"] if "BF16" in able else ["f32"]
    begun = found_kind(*SCENE, preset, "nano", spots=spots)

    def walked(precision: str, count: int) -> dict[str, Any]:
        count = max(count, timed)
        with tempfile.TemporaryDirectory(prefix="perdure-nano-") as home:
            Store.create(Path(home), begun, fingerprint(weights, precision, threads)).close()
            return alone(WALKER, Walk(f"{home}/nano", str(weights), preset, precision, threads, count, timed))

    # The precision that is played in walks far.
    played = {precision: walked(precision, 0 if i else chunks) for i, precision in enumerate(precisions)}
    race = dict[str, Any]()
    if find_spec("torch") is not None:
        race = {it: alone(RACER, Race(str(weights), preset, it, threads, rounds)) for it in precisions}
    peak, memory = max(it["peak_mb"] for it in played.values()), played[precisions[0]]["memory"]
    told = {"peak_memory_mb": peak, "growth_mb_a_thousand": memory["growth_mb_a_thousand"]}
    told |= {f"fps_{precision}": it["fps"] for precision, it in played.items()}
    asked = {name: bound for name, bound in BOUNDS.items() if name in told and told[name] is not None}
    return {
        **judged(told, asked),
        "fps": {precision: it["fps"] for precision, it in played.items()},
        "action_to_first_frame_ms": {precision: it["step_ms"] for precision, it in played.items()},
        "stages_ms": {precision: it["stages_ms"] for precision, it in played.items()},
        "openvino_over_torch": race.get("f32"),
        "openvino_over_torch_bf16": race.get("bf16"),
        "peak_memory_mb": peak,
        "memory": {"precision": precisions[0]} | memory,
        "chunks_timed": timed,
        "threads": threads,
        "processor": ov.Core().get_property("CPU", "FULL_DEVICE_NAME"),
    }


def alone(module: str, plan: msgspec.Struct) -> dict[str, Any]:
    """What comes of a plan in a new process, which has done nothing else."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, input=msgspec.json.encode(plan), stdout=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"expected {' '.join(command)} to measure, it ended with {done.returncode}")
    return msgspec.json.decode(done.stdout)


def walk(plan: Walk) -> dict[str, Any]:
    began = perf_counter()
    backend = OpenVINO(Path(plan.weights), plan.precision, plan.threads)
    engine, player = Engine(plan.preset, backend), Explorer(0)
    steps: list[float] = []
    stages: dict[str, list[float]] = {}
    marks: dict[int, dict[str, float]] = {}
    with Store.open(Path(plan.folder)) as store:
        world, cache, frames = engine.open(store.world(), store)
        opened = perf_counter() - began
        for n in range(1 - WARM_UP, plan.chunks + 1):
            action = player(world, frames)
            start = perf_counter()
            world, frames = engine.step(world, action, cache, store)
            if n < 1:
                continue
            if n <= plan.timed:
                steps.append(1000 * (perf_counter() - start))
                for stage, ms in engine.timings.items():
                    stages.setdefault(stage, []).append(ms)
            if n in (max(1, plan.chunks // 10), plan.chunks):
                marks[n] = {"resident_mb": resident(), "own_mb": resident(own=True), **holdings(world)}
    first, last = marks[min(marks)], marks[max(marks)]
    # A world is to know where all of it was seen: that part is no growth of the program's.
    grown, known = (last[what] - first[what] for what in ("own_mb", "index_mb"))
    thousands = (max(marks) - min(marks)) / 1000
    return {
        "fps": plan.preset.frames * 1000 * len(steps) / sum(steps),
        "step_ms": spread(steps),
        "stages_ms": {stage: spread(ms) for stage, ms in stages.items()},
        "peak_mb": resident(peak=True),
        "memory": {
            "chunks": sorted(marks),
            "growth_mb": grown,
            "growth_mb_a_thousand": (grown - known) / thousands if plan.chunks >= LONG else None,
            **{what: [first[what], last[what]] for what in last},
            "opening_s": opened,
        },
    }


def holdings(world: World) -> dict[str, float]:
    """What of a world is in memory, and grows as it is walked about in."""
    keyframes = world.geometry.keyframes
    loose = sum(len(k.payload) for k in keyframes if isinstance(k.payload, bytes))
    surfaces = sum(k.surface[0].nbytes for k in keyframes)
    return {
        "index_mb": (surfaces + ENTRY.itemsize * len(world.history.trail)) / 1e6,
        "keyframes_mb": (loose + surfaces) / 1e6,
        "keyframes_on_disk_mb": (sum(len(k.payload) for k in keyframes) - loose) / 1e6,
        "keyframes": len(keyframes),
        "memories_held": world.history.held,
        "memories_indexed": len(world.history.trail),
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"p50": float(np.median(values)), "p95": float(np.quantile(values, 0.95)), "best": min(values)}


def resident(peak: bool = False, own: bool = False) -> float:
    """Megabytes that this process has in memory, or had at most; or, where that is told, those that no file backs."""
    gc.collect()
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(lines["VmHWM" if peak else "RssAnon" if own else "VmRSS"].split()[0]) * 1024 / 1e6
    # Elsewhere only the most that there ever was is told: in bytes on a Mac.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(walk(msgspec.json.decode(sys.stdin.buffer.read(), type=Walk))))
