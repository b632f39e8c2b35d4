"""`perdure bench view`: how fast the state view is on one core, how much it covers, and how near it is to the truth.

A walk through a world of each kind, as it is founded, with what would be recalled there and no model at all.
"""

import time

import numpy as np

from perdure.data.founding import SPOTS, found
from perdure.data.scenes import MEASURED, build
from perdure.memory.recall import choose_keyframes
from perdure.memory.view import Placed, render
from perdure.presets.nano import nano
from perdure.world.action import FRAMES_PER_CHUNK, Action, Keys

HELD_OUT = 100_000  # scene seeds from here on are never trained on
SURE = 128  # confidence above which a pixel counts as known
WALK = [
    *[Action(Keys.FORWARD)] * 6,
    *[Action(Keys.FORWARD | Keys.TURN_LEFT)] * 6,
    *[Action(Keys.BACK)] * 4,
    *[Action(Keys.TURN_RIGHT)] * 8,
]


def run(chunks: int = 48) -> dict[str, object]:
    """Figures for each kind of scene: milliseconds a frame of this thread's own time, shares, and dB to the truth."""
    return {kind: walk(kind, chunks) for kind in MEASURED}


def walk(kind: str, chunks: int) -> dict[str, float]:
    preset = nano()
    world, painter = found(build(kind, HELD_OUT), preset, spots=SPOTS)
    milliseconds: list[float] = []
    pixels: list[int] = []
    covered: list[float] = []
    sure: list[float] = []
    errors: dict[str, list[np.ndarray]] = {"sure": [], "covered": [], "mover": []}
    medians: list[float] = []
    for n in range(chunks):
        world = world.advance(WALK[n % len(WALK)])
        motion = world.motion
        proxy = world.physics.proxy(motion, preset.width // 8, preset.height // 8)
        keyframes = choose_keyframes(world.geometry, motion.cameras, motion.intrinsics, preset, proxy[0])
        movers = [Placed(e.patches, motion.bodies[e.id]) for e in world.entities if e.patches]
        if n == 0:  # compiles, or reads what was compiled
            render(keyframes, movers, motion.cameras, motion.intrinsics)
        start = time.thread_time()
        view = render(keyframes, movers, motion.cameras, motion.intrinsics)
        milliseconds.append(1e3 * (time.thread_time() - start) / FRAMES_PER_CHUNK)
        pixels.append(sum(int(keyframe.mask.sum()) for keyframe in keyframes))

        true = painter.paint(world.physics.posed()[1], motion.cameras[-1], motion.intrinsics)
        error = ((view.rgb[-1].astype(np.float64) - true.rgb) ** 2).mean(-1)
        known, known_well = view.confidence[-1] > 0, view.confidence[-1] > SURE
        covered.append(float(known.mean()))
        sure.append(float(known_well.mean()))
        errors["sure"].append(error[known_well])
        errors["covered"].append(error[known])
        errors["mover"].append(error[view.mover[-1] & known_well])
        if known_well.any():
            medians.append(decibels(error[known_well]))
    return {
        "ms_a_frame_p50": float(np.median(milliseconds)),
        "ms_a_frame_p95": float(np.quantile(milliseconds, 0.95)),
        "keyframe_pixels": float(np.mean(pixels)),
        "covered": float(np.mean(covered)),
        "sure": float(np.mean(sure)),
        "sure_db_median": float(np.median(medians)),
        **{f"{name}_db": decibels(np.concatenate(parts)) for name, parts in errors.items()},
    }


def decibels(error: np.ndarray) -> float:
    """PSNR of squared errors in 8-bit steps."""
    return float(10 * np.log10(255**2 / max(float(error.mean()), 1e-9))) if error.size else float("nan")
