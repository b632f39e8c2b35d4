"""Tapes: sessions kept as they were shown, with every control and when it came, by the clock of whoever sent it.

    FOLDER/WORLD-000/session.json      the world, the lens, the view
                     000000.mp4        five seconds of frames, as clips keep them
                     000000.json       of each frame its number, step and camera; of each chunk its action; the controls

A tape never holds a session up: what it is too slow for is dropped, and counted. A part is there once it is whole, so
that whoever is killed loses the last one at most. `perdure data ingest FOLDER/WORLD-000` makes clips of it.
"""

import logging
import threading
import time
from collections import deque
from pathlib import Path

import msgspec
import numpy as np

from perdure.data import shards
from perdure.data.tapes import ABOUT, Control, Part, Shown, Taped
from perdure.data.views import view_of
from perdure.runtime.session import Frame, Session, SessionEnded
from perdure.world.action import FRAMES_PER_SECOND

log = logging.getLogger(__name__)

PART = 120  # frames
WAITING = 240  # frames that wait for the disk: 27 MB at the smallest size
CONTROLS = 4096  # that wait
PATIENCE = 30.0  # seconds that a disk is waited for in the end


class Tape:
    """Keeps what a session shows, from now until it ends, on a thread of its own. Make it before the session starts."""

    def __init__(self, session: Session, name: str, folder: Path) -> None:
        label = name.replace("/", "-")
        number = next(n for n in range(10**6) if not (folder / f"{label}-{n:03d}").exists())
        self.folder = folder / f"{label}-{number:03d}"
        self.folder.mkdir(parents=True)
        self.dropped = 0  # frames and controls that the disk was too slow for
        self._session, self._began, self._parts = session, time.perf_counter(), 0
        self._controls: deque[Control] = deque(maxlen=CONTROLS)
        world = session.world
        lens = world.motion.intrinsics
        about = Taped(name, world.scene, world.seed, view_of(world), lens, FRAMES_PER_SECOND)
        _write(self.folder / ABOUT, msgspec.json.encode(about))
        self._frames = session.subscribe(WAITING)
        session.inbox.heard = self._heard
        self._thread = threading.Thread(target=self._run, name="perdure-tape", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until all is written; the session has to have ended."""
        self._thread.join(PATIENCE)

    def _heard(self, sender: str, sent: float, keys: int, turn: float, tilt: float, hand: int, text: str) -> None:
        """Called by whoever puts a control into the inbox: it must be quick."""
        self.dropped += len(self._controls) == CONTROLS
        came = time.perf_counter() - self._began
        self._controls.append(Control(came, sent, sender, keys, turn, tilt, hand, text))

    def _run(self) -> None:
        kept: list[Frame] = []
        try:
            while True:
                try:
                    frame = self._frames.get(timeout=1.0)
                except TimeoutError:
                    continue
                if not frame.replayed:
                    kept.append(frame)
                if len(kept) == PART:
                    self._keep(kept)
                    kept = []
        except SessionEnded:
            if kept or self._controls:
                self._keep(kept)
        except OSError as error:
            log.error("recording to %s ended: %s", self.folder, error.strerror or error)
        finally:
            self._session.inbox.heard = None
            self._session.unsubscribe(self._frames)

    def _keep(self, frames: list[Frame]) -> None:
        controls = [self._controls.popleft() for _ in range(len(self._controls))]
        memories = self._session.world.history.memories
        steps = {frame.step for frame in frames}
        actions = {step: shards.Said.of(memories[step - 1].action) for step in steps if 0 < step <= len(memories)}
        shown = [Shown(f.seq, f.step, f.index, f.made - self._began, f.camera.tolist(), dict(f.echoes)) for f in frames]
        part = Part(shown, actions, controls, self.dropped + self._frames.dropped)
        name = self.folder / f"{self._parts:06d}"
        if frames:
            pictures = np.stack([frame.rgb for frame in frames])
            _write(name.with_suffix(".mp4"), shards.encoded(pictures, FRAMES_PER_SECOND, "mp4"))
        _write(name.with_suffix(".json"), msgspec.json.encode(part))
        self._parts += 1


def _write(path: Path, payload: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(payload)
    beside.replace(path)
