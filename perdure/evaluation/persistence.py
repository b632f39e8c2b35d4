"""Persistence: walk out and back through a scene never trained on, and see whether it is still there.

    perdure eval return --json

Each frame of the way back has its mirror on the way out: the same pose, so the same picture, but
for what moves of itself. Two conditions:

- observed: on the way out the world is told the true frames, as colour alone; the depth that it
  keeps them with is `nano`'s own estimate. On the way back `nano` draws all. How near is it to the truth?
- imagined: `nano` draws the way out as well. How near is the way back to the way out, and to the truth?

Rows, all held to the same frames and the same regions:

- nano: what a player would see
- codec: the true frames encoded, and decoded without the view: no latent could say more
- view: the state's view alone, its holes filled with the frame's mean colour
- no memory: `nano` without keyframes, patches and latents: the action and physics' proxy are all it has

Shapes: N frames, T frames a chunk, H W frame size, S chunks.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perdure.agents.player import there_and_back
from perdure.data.clip import Clip, record
from perdure.data.founding import found
from perdure.data.scenes import MEASURED, build
from perdure.evaluation.quality import Score, compare
from perdure.memory.commit import commit
from perdure.memory.notice import notice
from perdure.memory.recall import recall
from perdure.models.context import Context
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, Backend, OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import FRAMES_PER_CHUNK, Action
from perdure.world.geometry import Geometry
from perdure.world.history import History
from perdure.world.state import World

F32 = NDArray[np.float32]
Frames = NDArray[np.uint8]  # (N, H, W, 3)
Mask = NDArray[np.bool_]  # (N, H, W)
Scores = dict[str, dict[str, Score]]  # row -> region -> score

ROWS = ("nano", "codec", "view", "no memory")
COVERED = 128  # confidence of the view above which a pixel counts as seen before
CLEAR = 0.5  # metres that a walk keeps from all that stands still
SAME_POSE = 1e-4  # by how much mirrored poses may differ
ATTEMPTS = 400  # walks drawn for a scene before it is given up


def return_trip(
    scenes: int = 20,
    frames: int = 256,
    rows: Sequence[str] = ROWS,
    looks: int = 1,
    weights: Path | None = None,
    sheets: Path | None = None,
    preset: Preset | None = None,
    backend: Backend | None = None,
) -> dict[str, Any]:
    """Figures over held-out scenes (seeds 0, 1, 2, ... of each kind in turn), each founded on `looks` directions.

    With `sheets`, a folder, what each row drew is put side by side there for people to see.
    """
    began = perf_counter()
    if frames < 16 or frames % (2 * FRAMES_PER_CHUNK):
        raise ValueError(f"expected 16 frames or more, a multiple of {2 * FRAMES_PER_CHUNK}, got {frames}")
    if not 1 <= scenes <= 1000:
        raise ValueError(f"expected 1 to 1000 scenes (those beyond were trained on), got {scenes}")
    unknown = set(rows) - set(ROWS)
    if unknown or "nano" not in rows:
        raise ValueError(f"expected nano and others out of {', '.join(ROWS)}, got {', '.join(rows)}")
    preset = preset or nano()
    backend = backend or OpenVINO(weights or WEIGHTS)
    kinds, trips = MEASURED, list[Trip]()
    for seed in range(scenes):
        trips.append(take(kinds[seed % len(kinds)], seed, frames, rows, looks, Seeing(preset, backend), sheets))
        print(f"{seed + 1} of {scenes}: {trips[-1].line()}", file=sys.stderr)
    return {
        "scenes": scenes,
        "frames": frames,
        "looks": looks,
        "observed": summary([trip.observed for trip in trips]),
        "imagined_to_way_out": summary([trip.imagined_to_way_out for trip in trips]),
        "imagined_to_truth": summary([trip.imagined_to_truth for trip in trips]),
        "each": [trip.figures() for trip in trips],
        "fingerprint": backend.fingerprint(),
        "seconds": round(perf_counter() - began, 1),
    }


@dataclass(frozen=True)
class Trip:
    """One scene's scores."""

    kind: str
    seed: int
    walk: int  # the seed of its walk
    keyframes: int  # that the way out left behind
    observed: Scores
    imagined_to_way_out: Scores
    imagined_to_truth: Scores

    def line(self) -> str:
        nano = {region: score.psnr for region, score in self.observed["nano"].items()}
        figures = ", ".join(f"{region} {psnr:.1f}" for region, psnr in nano.items() if psnr is not None)
        return f"{self.kind} {self.seed}: nano, observed: {figures} dB"

    def figures(self) -> dict[str, Any]:
        tables = ("observed", "imagined_to_way_out", "imagined_to_truth")
        return {
            "kind": self.kind,
            "seed": self.seed,
            "walk": self.walk,
            "keyframes": self.keyframes,
            **{name: summary([getattr(self, name)], only="pooled") for name in tables},
        }


class Seeing(Engine):
    """The engine, and the context of its last step: what the view knew is needed to judge the frames."""

    context: Context

    def decode(self, world: World, context: Context) -> tuple[World, NDArray[np.uint8]]:
        self.context = context
        return super().decode(world, context)


@dataclass(frozen=True, eq=False)
class Way:
    """A way that was played, out or back: what was shown, by row, and where the view knew it."""

    rows: dict[str, Frames]
    covered: Mask
    world: World  # where it ended


def take(
    kind: str, seed: int, frames: int, rows: Sequence[str], looks: int, engine: Seeing, sheets: Path | None
) -> Trip:
    """Walk one scene in both conditions."""
    world, painter = found(build(kind, seed), engine.preset, seed=seed, looks=looks)
    walk, actions = clear_walk(world, frames // FRAMES_PER_CHUNK, seed)
    plan = iter(actions)
    truth = record(world, painter, lambda *_: next(plan), len(actions))
    half = len(actions) // 2

    told = tell(world, truth, half, engine)
    observed = play(told, actions[half:], engine)
    out = play(world, actions[:half], engine)
    back = play(out.world, actions[half:], engine)
    apart = draw_apart(world, truth, rows, engine)

    # The last frame of all is where the walk began, before the first of the way out: it has no mirror.
    n = frames // 2
    goal, mirror = truth.rgb[n:], np.arange(n - 2, -1, -1)
    apart_out, apart_back = ({row: made[half] for row, made in apart.items()} for half in (slice(n), slice(n, None)))
    first = {row: (out.rows | apart_out)["nano" if row == "view" else row][mirror] for row in rows}
    shown_observed, shown_imagined = ({row: (way.rows | apart_back)[row] for row in rows} for way in (observed, back))
    still = ~(truth.moving[n:-1] | truth.moving[mirror])
    covered = back.covered[:-1]
    alike = {"all": still, "covered": covered & still, "uncovered": ~covered & still}
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        columns = {"truth": goal[:-1]} | {row: made[:-1] for row, made in shown_observed.items()}
        columns |= {"imagined: way back": back.rows["nano"][:-1], "imagined: way out": first["nano"]}
        contact_sheet(columns).save(sheets / f"return-{seed:02d}-{kind}.png")
    return Trip(
        kind,
        seed,
        walk,
        len(told.geometry.keyframes),
        {row: score(made, goal, regions(observed.covered, truth.moving[n:])) for row, made in shown_observed.items()},
        {row: score(made[:-1], first[row], alike) for row, made in shown_imagined.items()},
        {row: score(made, goal, regions(back.covered, truth.moving[n:])) for row, made in shown_imagined.items()},
    )


def clear_walk(world: World, chunks: int, seed: int) -> tuple[int, list[Action]]:
    """The first walk there and back that touches nothing, and its seed. Physics alone decides: nothing is drawn."""
    for attempt in range(ATTEMPTS):
        number = 1000 * seed + attempt
        actions = there_and_back(number, chunks)
        if returns(world, actions):
            return number, actions
    raise ValueError(f"no walk of {chunks} chunks out of {ATTEMPTS} stays clear of the walls of {world.scene}")


def returns(world: World, actions: Sequence[Action]) -> bool:
    """Whether a walk keeps clear of all that stands still, and comes back by the poses that it went out by."""
    poses = [world.motion.cameras[-1]]
    half = len(actions) // 2
    for i, action in enumerate(actions):
        world = world.advance(action)
        poses += list(world.motion.cameras)
        if i < half and clearance(world) < CLEAR:
            return False
    out, back = np.stack(poses[: len(poses) // 2 + 1]), np.stack(poses[len(poses) // 2 :])
    return float(np.abs(out - back[::-1]).max()) < SAME_POSE


def clearance(world: World) -> float:
    """Metres from the player's axis to the nearest thing that stands still, where the chunk ends."""
    model, data = world.physics.posed()
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    vectors = np.stack([np.cos(angles), np.sin(angles), np.zeros(32)], -1)
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[0] = 1
    nearest = np.inf
    for height in (0.3, 0.8, 1.3):
        start = np.array([*world.motion.cameras[-1][:2, 3], height])
        geoms, far = np.empty(32, np.int32), np.empty(32)
        mujoco.mj_multiRay(
            model, data, start, vectors.ravel(), groups, True, -1, geoms, far, None, 32, mujoco.mjMAXVAL
        )  # fmt: skip
        nearest = min(nearest, float(far[geoms >= 0].min(initial=np.inf)))
    return nearest


def tell(world: World, truth: Clip, chunks: int, engine: Engine) -> World:
    """The world after a way on which it was shown the true frames, and found their depth by itself."""
    for i, action in enumerate(truth.way()[:chunks]):
        frames = truth.rgb[i * FRAMES_PER_CHUNK : (i + 1) * FRAMES_PER_CHUNK]
        world = world.advance(action)
        context = recall(world, action, engine, engine.preset)
        world = commit(world, action, engine.encode(frames))
        made = engine.draw(world.history.memories[-1].latent.astype(np.float32), context)
        world = world.expect(notice(world, context, frames[-1], made["depth"], made["unsure"], made["moving"]))
    return world


def play(world: World, actions: Sequence[Action], engine: Seeing) -> Way:
    """Play on, and keep what `nano` drew and what the view alone would have shown."""
    shown: dict[str, list[Frames]] = {"nano": [], "view": []}
    covered: list[Mask] = []
    cache = engine.cache()
    for action in actions:
        world, frames = engine.step(world, action, cache)
        shown["nano"].append(frames)
        shown["view"].append(filled(engine.context))
        covered.append(engine.context.confidence > COVERED)
    return Way({row: np.concatenate(parts) for row, parts in shown.items()}, np.concatenate(covered), world)


def draw_apart(world: World, truth: Clip, rows: Sequence[str], engine: Engine) -> dict[str, Frames]:
    """The rows that know nothing of the world, on the whole walk: `codec` and `no memory`."""
    shown: dict[str, list[Frames]] = {row: [] for row in rows if row in ("codec", "no memory")}
    bare = replace(world, geometry=Geometry(), entities=(), history=History())
    cache = engine.cache()
    for i, action in enumerate(truth.way()):
        bare = bare.advance(action)  # and is never committed to, so there is nothing to recall
        context = recall(bare, action, engine, engine.preset)
        if "codec" in shown:
            true = truth.rgb[i * FRAMES_PER_CHUNK : (i + 1) * FRAMES_PER_CHUNK]
            shown["codec"].append(engine.draw(stored(engine.encode(true)), context)["frames"])
        if "no memory" in shown:
            latent = stored(engine.sample(context, cache))
            shown["no memory"].append(engine.draw(latent, context)["frames"])
    return {row: np.concatenate(parts) for row, parts in shown.items()}


def stored(latent: F32) -> F32:
    """A latent as it comes back from the store."""
    return latent.astype(np.float16).astype(np.float32)


def filled(context: Context) -> Frames:
    """The view with its holes in the mean colour of what each frame does know; grey where that is nothing."""
    out = context.view.copy()
    for frame, known in zip(out, context.confidence > 0, strict=True):
        if known.any():
            frame[~known] = frame[known].mean(0).round().astype(np.uint8)
    return out


def regions(covered: Mask, moving: Mask) -> dict[str, Mask]:
    """Moving pixels are counted where they are covered or not as well: what was seen may have moved since."""
    return {"all": np.ones_like(covered), "covered": covered, "uncovered": ~covered, "moving": moving}


def score(frames: Frames, goal: Frames, masks: dict[str, Mask]) -> dict[str, Score]:
    """Frames against `goal`, region by region."""
    out = dict.fromkeys(masks, Score())
    for start in range(0, len(goal), 8):  # a few at a time stay in the processor's cache
        part = slice(start, start + 8)
        comparison = compare(frames[part], goal[part])
        for region, mask in masks.items():
            out[region] += Score.of(comparison, mask[part])
    return out


def summary(trips: Sequence[Scores], only: str = "") -> dict[str, dict[str, dict[str, float | None]]]:
    """Over trips: PSNR of all pixels pooled, its median and mean over trips, and so on; None where nothing was.

    `share` is the part of all pixels that lies in the region.
    """
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    for row, by_region in trips[0].items():
        whole = sum((trip[row]["all"] for trip in trips), Score()).pixels
        out[row] = {}
        for region in by_region:
            scores = [trip[row][region] for trip in trips]
            pool = sum(scores, Score())
            psnr = [s.psnr for s in scores if s.psnr is not None]
            ssim = [s.ssim for s in scores if s.ssim is not None]
            pooled = {"psnr": pool.psnr, "ssim": pool.ssim, "sharpness": pool.sharpness, "share": pool.pixels / whole}
            spread = {
                "psnr_median": float(np.median(psnr)) if psnr else None,
                "psnr_mean": float(np.mean(psnr)) if psnr else None,
                "ssim_median": float(np.median(ssim)) if ssim else None,
            }
            figures = pooled if only == "pooled" else pooled | spread
            out[row][region] = {k: v if v is None else round(v, 4) for k, v in figures.items()}
    return out


def contact_sheet(columns: dict[str, Frames], count: int = 5) -> Image.Image:
    """Columns side by side, at a few moments spread evenly over the way."""
    frames = next(iter(columns.values()))
    height, width = frames.shape[1:3]
    moments = np.linspace(0, len(frames) - 1, count + 2).round().astype(int)[1:-1]
    sheet = Image.new("RGB", (len(columns) * (width + 4) - 4, 16 + count * (height + 4) - 4), "white")
    pen = ImageDraw.Draw(sheet)
    for x, (name, column) in enumerate(columns.items()):
        pen.text((x * (width + 4) + 2, 2), name, fill="black")
        for y, moment in enumerate(moments):
            sheet.paste(Image.fromarray(column[moment]), (x * (width + 4), 16 + y * (height + 4)))
    return sheet
