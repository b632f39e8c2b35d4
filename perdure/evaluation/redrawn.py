"""Redrawn: clips of the playground that nothing was learnt from, as the engine has them and as `nano` draws them.

The model begins where the clip does, with what was surveyed by then, and is given the same actions. So in the sheet
whatever differs below is the model's doing: what it has not seen, creatures' limbs, weather, light.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.data.clip import Clip, Job
from perdure.data.directing.schedule import direct
from perdure.data.scenes import KINDS
from perdure.data.sources import playground
from perdure.evaluation.film import write_mp4
from perdure.evaluation.quality import Score, compare
from perdure.presets.nano import nano
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine

Frames = NDArray[np.uint8]  # (N, H, W, 3)

SEED = 9  # of clips that no recipe learns from
STILLS = 5
STEP = 5  # clips of the schedule from one turn to the next
TRIED = 24  # clips of a kind of scene among which one is looked for in which something happens


def redraw(folder: Path = Path("redrawn"), seconds: float = 8.0) -> dict[str, float | str]:
    """A clip of each kind of scene, with a creature and an event in it; dB by kind, and where films and sheet are."""
    folder.mkdir(parents=True, exist_ok=True)
    engine, figures, rows = Engine(nano(), OpenVINO()), dict[str, float | str](), []
    for turn, kind in enumerate(KINDS):
        (clip,) = playground.make(eventful(kind, seconds, turn))
        drawn = drawn_by(engine, clip)
        figures[kind] = round(Score.of(compare(drawn, clip.rgb)).psnr or 0.0, 2)
        write_mp4(folder / f"{kind}.mp4", np.concatenate([clip.rgb, drawn], 2))
        shown = np.linspace(0, len(drawn) - 1, STILLS).astype(int)
        rows += [np.concatenate(frames[shown], 1) for frames in (clip.rgb, drawn)]
    Image.fromarray(np.concatenate(rows)).save(folder / "redrawn.png")
    return {**figures, "sheet": str(folder / "redrawn.png")}


def eventful(kind: str, seconds: float, turn: int = 0) -> Job:
    """A clip of this kind of scene in which something happens before someone, seen by the player's own eyes.

    Each turn begins elsewhere in the schedule, which deals creatures and events by number."""
    jobs = playground.plan(TRIED, SEED, scene=kind, seconds=seconds, view="first")
    for job in jobs[STEP * turn % TRIED :] + jobs[: STEP * turn % TRIED]:
        direction = direct(job)
        if direction.events and direction.cast and direction.events[0][0] < seconds - 2:
            return job
    raise ValueError(f"expected one of {TRIED} clips of a {kind} to have an event and a creature, none has")


def drawn_by(engine: Engine, clip: Clip) -> Frames:
    world, cache, shown = clip.as_world(), engine.cache(), []
    for action in clip.way():
        world, frames = engine.step(world, action, cache)
        shown.append(frames)
    return np.concatenate(shown)
