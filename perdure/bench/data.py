"""`perdure bench data`: how fast clips are made, and whether the same plan gives the same bytes.

Each source makes clips as it does for a data set, in a process of its own on one core. Then a small set is made by
one worker, by two, and by one that is killed in the middle, with all that it started, and taken up again: the shards
must be equal, byte for byte.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from perdure.data import pipeline
from perdure.data.clip import SHORTEST, Clip, Job
from perdure.data.processes import THREADS
from perdure.data.sources import source
from perdure.data.work import PARTS

MEASURED: Mapping[str, Mapping[str, str | float]] = {"playground": {}, "doom": {}, "atari": {}}
"""Sources, and with which options each is measured."""

FIGURES = {"playground": "playground_fps_per_core", "doom": "doom_fps", "atari": "atari_fps"}


def run(clips: int = 6, seconds: float = 20.0, seed: int = 1) -> dict[str, Any]:
    """Frames a second on one core; whether bytes are the same; and what could not be measured here."""
    figures, skipped, plan = dict[str, Any](), dict[str, str](), list[Job]()
    for name, options in MEASURED.items():
        try:
            figures |= speed(name, clips, seconds, seed, options)
            few = source(name).plan(2, seed, seconds=SHORTEST, **options)
            plan += [Job(job.source, len(plan) + i, job.seed, job.seconds, job.options) for i, job in enumerate(few)]
        except (ValueError, ModuleNotFoundError) as error:
            figures[FIGURES[name]], skipped[name] = None, str(error)
    if plan:
        figures |= sameness(plan)
    return {**figures, "skipped": skipped}


def speed(
    name: str, clips: int, seconds: float, seed: int, options: Mapping[str, str | float] | None = None
) -> dict[str, Any]:
    """What a source makes in a second, in a process that has one core for itself and all that it starts."""
    asked = json.dumps([name, clips, seconds, seed, dict(options or {})])
    ended = subprocess.run(
        [sys.executable, "-m", "perdure.bench.data", asked], env=os.environ | THREADS, capture_output=True, text=True
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        raise ValueError(lines[-1].removeprefix("ValueError: ") if lines else f"exit code {ended.returncode}")
    said = json.loads(ended.stdout.splitlines()[-1])
    return {FIGURES.get(name, f"{name}_fps"): said.pop("fps"), **{f"{name}_{key}": said[key] for key in said}}


def _made(name: str, clips: int, seconds: float, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Make clips here, each a short one first, for which all is compiled and loaded, then as short and as long.

    What the long ones take more than the short ones is the pace of recording; the rest is what setting up takes.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = source(name)
    short, long = (module.plan(clips, seed, seconds=length, **options) for length in (SHORTEST, seconds))
    for job in short:
        _frames(module.make(job))
    few, brief, _ = _timed(module, short)
    many, took, busy = _timed(module, long)
    pace = (many - few) / (took - brief) if took > brief else many / took
    return {
        "fps": round(pace, 1),
        "fps_with_setup": round(many / took, 1),
        "setup_s": round((took - many / pace) / clips, 2),  # a clip
        "frames": many,
        "busy": round(busy / took, 2),  # share of the time in which this very process worked: near 1 on a quiet machine
    }


def _timed(module: ModuleType, jobs: list[Job]) -> tuple[int, float, float]:
    """Frames, seconds by the clock, and seconds of this process."""
    began, busy = time.perf_counter(), time.process_time()
    frames = sum(_frames(module.make(job)) for job in jobs)
    return frames, time.perf_counter() - began, time.process_time() - busy


def _frames(clips: Any) -> int:
    return sum(len(clip.rgb) for clip in clips if isinstance(clip, Clip))


def sameness(plan: list[Job]) -> dict[str, Any]:
    """Whether a plan comes out the same with one worker, with two, and after a kill."""
    beside = Path(tempfile.mkdtemp(prefix="perdure-data-"))
    try:
        reports = {count: pipeline.make(beside / str(count), plan, count) for count in (1, 2)}
        done = _killed(beside / "killed", plan)
        taken_up = pipeline.make(beside / "killed", plan, 1)
        return {
            "deterministic": _bytes(reports[1]) == _bytes(reports[2]),
            "resume": _bytes(taken_up) == _bytes(reports[1]) and 0 < done < len(plan),
            "resumed_after": f"{done} of {len(plan)}",
            "compared_clips": reports[1]["clips"],
        }
    finally:
        shutil.rmtree(beside)


def _killed(folder: Path, plan: list[Job]) -> int:
    """Begin to make a set and kill it all after the first clip; gives the jobs that were done by then."""
    jobs = json.dumps([[job.source, job.number, job.seed, job.seconds, dict(job.options)] for job in plan])
    command = [sys.executable, "-m", "perdure.bench.data", "--make", str(folder), jobs]
    going = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while going.poll() is None and not list((folder / PARTS).glob("*.json")):
        time.sleep(0.01)
    if going.poll() is None:
        os.killpg(going.pid, signal.SIGKILL)
    going.wait()
    return len(list((folder / PARTS).glob("*.json")))


def _bytes(report: Mapping[str, Any]) -> list[str]:
    return [shard["sha256"] for shard in report["shards"]]


def _main(arguments: list[str]) -> None:
    if arguments[0] == "--make":
        plan = [Job(*fields) for fields in json.loads(arguments[2])]
        pipeline.make(Path(arguments[1]), plan, 1)
    else:
        print(json.dumps(_made(*json.loads(arguments[0]))))


if __name__ == "__main__":
    _main(sys.argv[1:])
