"""`perdure bench data`: how fast clips are made, and whether the same plan gives the same bytes.

Each source makes clips as it does for a data set, in a process of its own on one core. Sources take turns, a round
each, and of the rounds the median counts: what else a machine does for a while then falls on one round of each. Then
a small set is made by one worker, by two, and by one that is killed in the middle, with all that it started, and
taken up again: the shards must be equal, byte for byte.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from perdure.bench.bounds import Bound, judged
from perdure.data import pipeline
from perdure.data.clip import SHORTEST, Clip, Job
from perdure.data.processes import THREADS
from perdure.data.shards import files
from perdure.data.sources import source
from perdure.data.work import PARTS

MEASURED: Mapping[str, tuple[float, Mapping[str, str | float]]] = {
    "playground": (15.0, {}),
    "doom": (30.0, {}),
    "atari": (30.0, {}),
}
"""Sources: the seconds of the longer clips that each is measured by, and with which options."""

FIGURES = {"playground": "playground_fps_per_core", "doom": "doom_fps", "atari": "atari_fps"}

BOUNDS: Mapping[str, Bound] = {
    "playground_fps_per_core": ("at_least", 80),
    "doom_fps": ("at_least", 800),
    "atari_fps": ("at_least", 1000),
    "deterministic": ("exactly", True),
    "resume": ("exactly", True),
}


def run(clips: int = 4, seed: int = 1, rounds: int = 3) -> dict[str, Any]:
    """Frames a second on one core; whether bytes are the same; and what could not be measured here."""
    makers, skipped, plan = dict[str, Maker](), dict[str, str](), list[Job]()
    try:
        for name, (seconds, options) in MEASURED.items():
            try:
                makers[name] = Maker(name, clips, seconds, seed, options)
                few = source(name).plan(2, seed, seconds=SHORTEST, **options)
                plan += [replace(job, number=len(plan) + i) for i, job in enumerate(few)]
            except (ValueError, ModuleNotFoundError) as error:
                skipped[name] = str(error)
        told = [{name: maker.round() for name, maker in makers.items()} for _ in range(rounds)]
    finally:
        for maker in makers.values():
            maker.close()
    figures: dict[str, Any] = {FIGURES[name]: None for name in skipped}
    for name in makers:
        figures |= summed_up(name, [each[name] for each in told])
    if plan:
        figures |= sameness(plan)
    return {**judged(figures, BOUNDS), **figures, "rounds": rounds, "skipped": skipped}


def summed_up(name: str, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The median of each figure; and of the pace how far apart its rounds are, as a share of that."""
    middle = {key: median(each[key] for each in rounds) for key in rounds[0]}
    paces = [each["fps"] for each in rounds]
    pace = middle.pop("fps")
    return {
        FIGURES.get(name, f"{name}_fps"): pace,
        f"{name}_spread": round((max(paces) - min(paces)) / pace, 3),
        f"{name}_rounds": paces,
        **{f"{name}_{key}": value for key, value in middle.items()},
    }


class Maker:
    """A process that has one core for itself and all that it starts, and makes clips when it is told to."""

    def __init__(
        self, name: str, clips: int, seconds: float, seed: int, options: Mapping[str, str | float] | None = None
    ) -> None:
        asked = json.dumps([name, clips, seconds, seed, dict(options or {})])
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perdure.bench.data", asked],
            env=os.environ | THREADS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            text=True,
        )
        try:
            self.round()  # the first says only that all is compiled and loaded
        except ValueError:
            self.close()
            raise

    def round(self) -> dict[str, float]:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            said = self.process.stdout.readline()
        except BrokenPipeError:
            said = ""
        if not said:
            code = self.process.wait()
            self.complaints.seek(0)
            lines = self.complaints.read().strip().splitlines()
            raise ValueError(lines[-1].removeprefix("ValueError: ") if lines else f"exit code {code}")
        return json.loads(said)

    def close(self) -> None:
        self.process.communicate()  # there is nothing more to do: it ends
        self.complaints.close()


def _serve(name: str, clips: int, seconds: float, seed: int, options: Mapping[str, Any]) -> None:
    """Make a round of clips for each line that comes in; for the first only short ones, to be ready."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # engines say things
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = source(name)
    short, long = (module.plan(clips, seed, seconds=length, **options) for length in (SHORTEST, seconds))
    for number, _ in enumerate(sys.stdin):
        told = _round(module, short, long) if number else {"frames": _timed(module, short)[0]}
        print(json.dumps(told), file=answers, flush=True)


def _round(module: ModuleType, short: Sequence[Job], long: Sequence[Job]) -> dict[str, float]:
    """Short clips, then as many long ones. What the long ones take more than the short ones is the pace of recording;
    the rest is what setting up takes. One of the long ones is packed as it is for a shard.
    """
    few, brief, *_ = _timed(module, short)
    many, took, busy, last = _timed(module, long)
    began = time.perf_counter()
    packed = sum(len(clip.rgb) for clip in last if files(clip))
    packing = (time.perf_counter() - began) / max(packed, 1)  # seconds a frame
    pace = (many - few) / (took - brief) if took > brief else many / took
    return {
        "fps": round(pace, 1),
        "fps_with_setup": round(many / took, 1),
        "fps_with_setup_and_encoding": round(1 / (took / many + packing), 1),  # all that a worker does, but profiles
        "setup_s": round((took - many / pace) / len(long), 2),  # a clip
        "frames": many,
        "busy": round(busy / took, 2),  # share of the time in which this very process worked: near 1 on a quiet machine
    }


def _timed(module: ModuleType, jobs: Sequence[Job]) -> tuple[int, float, float, list[Clip]]:
    """Frames, seconds by the clock, seconds of this process, and what came of the last job."""
    frames, made = 0, list[Clip]()
    began, busy = time.perf_counter(), time.process_time()
    for job in jobs:
        made = _made(module, job)
        frames += sum(len(clip.rgb) for clip in made)
    return frames, time.perf_counter() - began, time.process_time() - busy, made


def _made(module: ModuleType, job: Job) -> list[Clip]:
    return [clip for clip in module.make(job) if isinstance(clip, Clip)]


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
        _serve(*json.loads(arguments[0]))


if __name__ == "__main__":
    _main(sys.argv[1:])
