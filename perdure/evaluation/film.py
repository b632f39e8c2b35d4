"""Films: a stroll through a world as an mp4 and as one sheet of stills, to be looked at by people."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.agents.player import Stroller
from perdure.data.founding import SPOTS, found
from perdure.data.scenes import MEASURED, build
from perdure.presets.nano import nano
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND

Frames = NDArray[np.uint8]  # (N, H, W, 3)


def film(
    folder: Path = Path("films"),
    seconds: float = 20,
    seed: int = 3,
    kinds: Sequence[str] = MEASURED,
    spots: int = SPOTS,
) -> dict[str, str]:
    """Stroll through one held-out scene of each kind; writes KIND.mp4 and stills.png, and says where."""
    folder.mkdir(parents=True, exist_ok=True)
    engine, made, rows = Engine(nano(), OpenVINO()), {}, []
    for kind in kinds:
        world, _ = found(build(kind, seed), engine.preset, seed=seed, spots=spots)
        cache, agent, frames, shown = engine.cache(), Stroller(seed), None, []
        for _ in range(round(seconds * FRAMES_PER_SECOND / FRAMES_PER_CHUNK)):
            world, frames = engine.step(world, agent(world, frames), cache)
            shown.append(frames)
        all_frames = np.concatenate(shown)
        write_mp4(folder / f"{kind}.mp4", all_frames)
        made[kind] = str(folder / f"{kind}.mp4")
        rows.append(np.concatenate(all_frames[np.linspace(0, len(all_frames) - 1, 5).astype(int)], 1))
    Image.fromarray(np.concatenate(rows)).save(folder / "stills.png")
    return {**made, "stills": str(folder / "stills.png")}


def write_mp4(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: float = FRAMES_PER_SECOND, enlarged: int = 2
) -> int:
    """H.264 of frames (H, W, 3), enlarged so that players do not blur small ones; how many there were.

    The file is there once it is whole: frames may be drawn as they are asked for, and their drawing may fail.
    """
    count, beside = 0, path.with_name(f".{path.name}")
    try:
        with av.open(str(beside), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.pix_fmt, stream.options = "yuv420p", {"crf": "26", "preset": "slow"}
            for frame in frames:
                large = np.repeat(np.repeat(frame, enlarged, 0), enlarged, 1)
                if not count:
                    stream.height, stream.width = large.shape[:2]
                count += 1
                container.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            container.mux(stream.encode())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return count
