"""One process that plays a world and is killed: what `promise` starts again and again.

    python -m perdure.bench.mortal LIFE.json

It notes what it shows, a line a chunk, so that whoever started it can compare. SIGKILL leaves no
time for anything: no `finally` runs, nothing is flushed, no lock is given back.
"""

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.models.cache import Cache
from perdure.models.config import CodecConfig
from perdure.models.context import Context
from perdure.presets.preset import Preset
from perdure.runtime.backends import Backend, OpenVINO
from perdure.runtime.engine import Engine, Frames
from perdure.world.action import Action
from perdure.world.state import World
from perdure.world.store import Store

STAGES = ("advance", "recall", "sample", "commit", "remember", "decode", "send")
ANY = "any instant"
"""Not after a stage but at a moment drawn at random: the step may have become durable or not."""

FORK = "other"
PROMISED = ("latent", "frames", "state", "head")


class Kill(msgspec.Struct, frozen=True):
    step: int
    stage: str
    delay: float = 0.0  # for `ANY`: when in the step, as a part of the last one's length


class Life(msgspec.Struct, frozen=True):
    """What the process is to do: open a world and play on to a step, unless it is killed before."""

    folder: str  # of the world
    log: str  # one JSON `Line` for the opening and for each chunk that was shown
    weights: str
    preset: Preset[CodecConfig]  # named, so that it is read back as what it was
    actions: tuple[Action, ...]  # from step 1 on
    until: int
    branch: str = "main"
    kill: Kill | None = None
    fork: tuple[int, int] | None = None  # the step at which to leave the branch, and the one to play the fork on to


class Line(msgspec.Struct, frozen=True):
    """What was shown at a step: all that is promised, by hash."""

    step: int
    branch: str
    opened: bool  # found so when the world was opened, not made by this process
    latent: str
    frames: str
    state: str
    head: str
    recalled: int  # memories that were older than the window of recent ones

    def differs(self, other: "Line") -> str:
        """The first promised thing that another run has otherwise, or nothing."""
        return next((name for name in PROMISED if getattr(self, name) != getattr(other, name)), "")


class Mortal(Engine):
    """An engine that dies where it is told to. Its steps are the engine's own."""

    def __init__(self, preset: Preset, backend: Backend, kill: Kill | None) -> None:
        super().__init__(preset, backend)
        self.kill, self.making = kill, 0
        self.seen: list[bytes] = []  # keys of the memories that the last step saw

    def step(self, world: World, action: Action, cache: Cache, store: Store | None = None) -> tuple[World, Frames]:
        self.making = world.step + 1
        if self.kill and (self.kill.step, self.kill.stage) == (self.making, ANY):
            threading.Timer(self.kill.delay * sum(self.timings.values()) / 1000, die).start()
        return super().step(world, action, cache, store)

    def sample(self, context: Context, cache: Cache) -> NDArray[np.float32]:
        self.seen = [memory.key for memory in context.memories]
        return super().sample(context, cache)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        with super()._timed(stage):
            yield
        self.passed(stage)

    def passed(self, stage: str) -> None:
        """Die, if this is where; a kill at any instant has its last chance when the step ends."""
        last = STAGES[-1] if self.kill and self.kill.stage == ANY else None
        if self.kill and self.kill.step == self.making and stage in (self.kill.stage, last):
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def live(life: Life) -> None:
    """Play a life to its end, or to its kill."""
    engine = Mortal(life.preset, OpenVINO(Path(life.weights)), life.kill)
    with Store.open(Path(life.folder), life.branch) as store, open(life.log, "wb", buffering=0) as log:
        world, cache, frames = engine.open(store.world(), store)
        if frames is not None:
            log.write(note(engine, world, frames, opened=True))
        leave = life.fork[0] if life.fork else life.until
        leaving = play(engine, world, cache, store, life.actions, leave, log)
        play(engine, leaving, cache, store, life.actions, life.until, log)
        if life.fork:
            # The value that was kept goes on, with a cache that has long seen what came after it.
            store.fork(life.branch, leave, FORK)
            play(engine, leaving.fork(FORK), cache, store, life.actions, life.fork[1], log)


def play(
    engine: Mortal, world: World, cache: Cache, store: Store, actions: tuple[Action, ...], until: int, log: FileIO
) -> World:
    while world.step < until:
        world, frames = engine.step(world, actions[world.step], cache, store)
        log.write(note(engine, world, frames))
        engine.passed("send")
    return world


def note(engine: Mortal, world: World, frames: Frames, opened: bool = False) -> bytes:
    memories = world.history.memories
    window = {memory.key for memory in memories[-1 - engine.preset.dit.memories : -1]}
    line = Line(
        step=world.step,
        branch=world.branch,
        opened=opened,
        latent=hashlib.sha256(memories[-1].latent.tobytes()).hexdigest(),
        frames=hashlib.sha256(frames.tobytes()).hexdigest(),
        state=world.state,
        head=world.head,
        recalled=sum(key not in window for key in engine.seen),
    )
    return msgspec.json.encode(line) + b"\n"


if __name__ == "__main__":
    live(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Life))
