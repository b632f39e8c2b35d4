"""Films made up for tests: walks through the playground and sliding textures, written by PyAV as others would."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from perdure.agents.player import Stroller
from perdure.data.clip import Clip, record
from perdure.data.founding import found
from perdure.data.painting.painter import Painter
from perdure.data.scenes import build
from perdure.presets.nano import nano
from perdure.world.state import World

Frames = NDArray[np.uint8]  # (N, H, W, 3)


@cache
def founded(kind: str, seed: int) -> tuple[World, Painter]:
    return found(build(kind, seed), nano(), looks=1)


@cache
def stroll(kind: str, seed: int = 5, chunks: int = 12) -> Clip:
    world, painter = founded(kind, seed)
    return record(world, painter, Stroller(seed), chunks)


def sliding(count: int, seed: int = 0, pixels: float = 1.5, size: tuple[int, int] = (256, 144)) -> Frames:
    """A texture that slides by under the camera."""
    random = np.random.default_rng(seed)
    width = size[0] + int(abs(pixels) * count) + 2
    shape = size[1] // 8 + 1, width // 8 + 1
    coarse = random.integers(40, 210, (*shape, 1)) + random.integers(-10, 11, (*shape, 3))  # codecs halve colour
    canvas = np.kron(coarse, np.ones((8, 8, 1), np.int64))[: size[1], :width]
    canvas = np.clip(canvas + random.integers(-12, 13, (*canvas.shape[:2], 1)), 0, 255).astype(np.uint8)
    starts = (np.arange(count) * abs(pixels)).astype(int)
    return np.stack([canvas[:, s : s + size[0]] for s in (starts if pixels > 0 else starts[::-1])])


def write(path: Path, frames: Iterable[Frames], times: Sequence[float] | None = None, fps: int = 24,
          codec: str = "libx264", rotation: int = 0, crf: str = "16") -> Path:  # fmt: skip
    """A film of frames; `times` are when each is shown, in seconds, if not evenly."""
    frames = list(frames)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000 if times else fps)
        stream.codec_context.thread_count = 1
        stream.options = {"crf": crf, "preset": "veryfast"} if codec == "libx264" else {}
        if rotation:
            stream.set_display_rotation(rotation)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = round(1000 * times[i]) if times else i
            picture.time_base = stream.codec_context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
