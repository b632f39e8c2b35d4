"""Films: a stroll through a world as an mp4 and as one sheet of stills, to be looked at by people."""

from collections.abc import Sequence
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


def write_mp4(path: Path, frames: Frames) -> None:
    """H.264 at the frames' own rate, enlarged twice so that players do not blur them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2] * 2, frames.shape[1] * 2, "yuv420p"
        stream.options = {"crf": "26", "preset": "slow"}
        for frame in frames:
            large = np.repeat(np.repeat(frame, 2, 0), 2, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
        container.mux(stream.encode())
