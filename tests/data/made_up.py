"""A source that is quick, and that fails in every way that a source can. Its options say which jobs do."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from perdure.data.clip import Clip, Job, Skipped

NAME, LICENCE = "made-up", "CC0-1.0"
FPS, FRAMES = 4.0, 20


def plan(count: int, seed: int, seconds: float = FRAMES / FPS, **options: str | float | int | bool) -> list[Job]:
    """Options: `nNUMBER=what befalls that job`; `beside`, a folder where makings leave traces; `pause`, `pace`;
    `once`, a folder that remembers what has befallen whom, so that it does not happen again."""
    return [Job(__name__, number, seed + number, seconds, options) for number in range(count)]


def make(job: Job) -> Iterator[Clip | Skipped]:
    if "beside" in job.options:
        with Path(str(job.options["beside"]), str(job.number)).open("a") as traces:
            traces.write("made\n")
    frames = round(job.seconds * FPS)
    time.sleep(float(job.options.get("pause", 0.0)) + job.seconds * float(job.options.get("pace", 0.0)))
    what = job.options.get(f"n{job.number}", "")
    if what not in ("", "skips") and "once" in job.options:
        trace = Path(str(job.options["once"]), str(job.number))
        what = "" if trace.exists() else what
        trace.touch()
    if what == "raises":
        raise RuntimeError("the sky fell")
    if what == "memory":
        raise MemoryError
    if what == "skips":
        raise Skipped("too dark")
    if what == "exits":
        os._exit(3)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hangs":
        time.sleep(1000)
    if what == "lacks":
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
    if what == "short":
        yield clip(job, 8)
        return
    if what == "two":
        yield clip(job, frames, "-a")
        yield Skipped("blurred", "the second of them")
        yield clip(job, frames, "-b")
        raise Skipped("the rest is empty")
    yield clip(job, frames)


def clip(job: Job, frames: int, after: str = "") -> Clip:
    random = np.random.default_rng(job.seed)
    rgb = random.integers(0, 255, (frames, 16, 24, 3)).astype(np.uint8)
    return Clip(f"made-up-{job.number:06d}{after}", NAME, LICENCE, FPS, rgb, seed=job.seed)
