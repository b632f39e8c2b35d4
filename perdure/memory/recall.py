"""Recall: from a world to all that the model may see of the coming chunk.

The one place where `models/context.py` is filled. It chooses which keyframes to draw the view
from and which latents to remember, by where the coming cameras look and not by age, so the cost
of a step does not grow with the length of the history.

Shapes: M memory slots, T frames a chunk, K keyframes, S sample points of a keyframe.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, invert, unproject
from perdure.memory.gaussians import lay_over
from perdure.memory.view import Placed, View, render
from perdure.models.context import Context, Remembered, lift
from perdure.presets.nano import Preset
from perdure.world.action import Action
from perdure.world.geometry import Keyframe
from perdure.world.index import Index
from perdure.world.state import World

GREY = np.uint8(128)  # what the model is shown where nothing is known
SAMPLES = 160  # points that stand for a keyframe when keyframes are chosen
CELLS = 16, 9  # columns and rows in which their coverage is counted
HIDDEN = 1.25  # so many times as far as the solid thing in that direction is out of sight
ENOUGH = 2.0  # cells covered so often by chosen keyframes need no more
REACH = 4.0  # metres: a latent made from farther away says half as much
WORTH = 0.2  # a latent that says less than this is not remembered
HEARD = 1.001 * REACH * math.sqrt(1 / WORTH - 1)  # metres: from farther away none says that much


class Encoders(Protocol):
    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(T, H, W, 3) to a latent (C, h, w)."""
        ...


def recall(world: World, action: Action, encoders: Encoders, preset: Preset) -> Context:
    """What the model may see of the chunk that `world.motion` leads to; the world has advanced but not committed."""
    _, h, w = preset.latent_shape
    proxy = world.physics.proxy(world.motion, w, h)
    view = look(world, preset, proxy)
    cameras, ages, memories = remember(world, preset)
    clip = lift(world.motion.intrinsics.normalised())
    return Context(
        action=action.features(),
        noise_seed=world.noise_seed,
        memories=memories,
        memory_cameras=cameras,
        memory_ages=ages,
        to_clip=clip.astype(np.float32),
        from_clip=np.linalg.inv(clip).astype(np.float32),
        view=view.rgb,
        confidence=view.confidence,
        depth=view.depth,
        view_latent=encoders.encode(view.rgb),
        coverage=coverage(view.confidence),
        proxy=proxy,
    )


def look(world: World, preset: Preset, proxy: NDArray[np.float32]) -> View:
    """The state's own view of the coming frames."""
    motion = world.motion
    keyframes = choose_keyframes(world.geometry.keyframes, motion.cameras, motion.intrinsics, preset, proxy[0])
    placed = [Placed(e.patches, motion.bodies[e.id]) for e in world.entities if e.patches and e.id in motion.bodies]
    view = render(keyframes, placed, motion.cameras, motion.intrinsics)
    if world.geometry.splats.pages:
        view = lay_over(view, world.geometry.splats, motion.cameras, motion.intrinsics, motion.bodies)
    rgb = np.where(view.confidence[..., None] > 0, view.rgb, GREY)
    return replace(view, rgb=rgb)


def coverage(confidence_THW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(1, h, w) mean confidence of each 8x8 latent cell over the chunk, 0..1."""
    t, h, w = confidence_THW.shape
    cells = confidence_THW.reshape(t, h // 8, 8, w // 8, 8)
    return (cells.mean((0, 2, 4), dtype=np.float32) / np.float32(255))[None]


_surfaces: WeakKeyDictionary[Keyframe, tuple[NDArray[np.float32], float]] = WeakKeyDictionary()


def surface(keyframe: Keyframe) -> tuple[NDArray[np.float32], float]:
    """(S, 3) points spread over what a keyframe saw, and how many pixels each stands for."""
    found = _surfaces.get(keyframe)
    if found is None:
        flat = np.flatnonzero(keyframe.mask)
        # A fixed stride over the valid pixels, so that the choice never depends on chance.
        flat = flat[np.linspace(0, len(flat) - 1, min(SAMPLES, len(flat))).astype(int)] if len(flat) else flat
        world = unproject(keyframe.metres.astype(np.float64), keyframe.intrinsics, keyframe.pose).reshape(-1, 3)[flat]
        points = np.full((SAMPLES, 3), np.nan, np.float32)
        points[: len(flat)] = world
        found = points, float(keyframe.mask.sum()) / max(len(flat), 1)
        _surfaces[keyframe] = found
    return found


def choose_keyframes(
    keyframes: Sequence[Keyframe],
    cameras: NDArray[np.float64],
    intrinsics: Intrinsics,
    preset: Preset,
    solid: NDArray[np.float32],
) -> list[Keyframe]:
    """Those that cover the coming view best, few enough to draw in time: a greedy cover of image cells.

    `solid` (h, w) is the inverse depth of what physics knows to stand in the last camera's way, 0 where
    nothing does: what lies behind it would only fill the budget.
    """
    if not keyframes:
        return []
    surfaces = [surface(k) for k in keyframes]
    points = np.stack([s[0] for s in surfaces])  # K S 3
    weight = np.array([s[1] for s in surfaces])
    sizes = weight * np.isfinite(points[..., 0]).sum(1)
    columns, rows = CELLS
    hits = np.zeros((len(keyframes), rows * columns))
    in_the_way = farthest_around(solid)
    for camera in (cameras[0], cameras[-1]):
        local = (points - camera[:3, 3]) @ camera[:3, :3]
        depth = local[..., 2]
        with np.errstate(all="ignore"):
            x = np.floor((local[..., 0] / depth * intrinsics.fx + intrinsics.cx) * (columns / intrinsics.width))
            y = np.floor((local[..., 1] / depth * intrinsics.fy + intrinsics.cy) * (rows / intrinsics.height))
            inside = (depth > 0.05) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        k, s = np.nonzero(inside)
        wall = in_the_way[(y[k, s] * len(solid) / rows).astype(int), (x[k, s] * solid.shape[1] / columns).astype(int)]
        seen = depth[k, s] * wall < HIDDEN
        k, s = k[seen], s[seen]
        cell = y[k, s].astype(int) * columns + x[k, s].astype(int)
        np.add.at(hits, (k, cell), weight[k])
    # A surface seen from much farther away than now is coarse: it counts for less.
    eyes = np.stack([k.pose[:3, 3] for k in keyframes])
    apart = np.linalg.norm(eyes - cameras[-1][:3, 3], axis=-1)
    hits *= (1 / (1 + apart / 6))[:, None]
    cell_pixels = 2 * intrinsics.width * intrinsics.height / (rows * columns)
    cover = np.minimum(hits / cell_pixels, 1.0)
    total, spent, chosen = np.zeros(rows * columns), 0.0, []
    while len(chosen) < min(preset.keyframes, len(keyframes)):
        gain = np.minimum(total + cover, ENOUGH).sum(1) - np.minimum(total, ENOUGH).sum()
        gain[chosen] = -1
        gain[spent + sizes > preset.points] = -1
        best = int(gain.argmax())
        if gain[best] <= 0.02:
            break
        chosen.append(best)
        total += cover[best]
        spent += sizes[best]
    return [keyframes[i] for i in sorted(chosen)]


def farthest_around(solid: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) the least inverse depth of each cell and the eight around it: what may be seen past an edge counts."""
    padded = np.pad(solid, 1, mode="edge")
    h, w = solid.shape
    return np.min([padded[i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0)


def remember(world: World, preset: Preset) -> tuple[NDArray[np.float32], NDArray[np.float32], list[Remembered]]:
    """The latents to attend to, oldest first, with where each stands seen from the coming camera."""
    history, dit = world.history, preset.dit
    # The coming chunk itself is left out, so that a committed world recalls what it recalled then. A world that was
    # never committed to has made fewer memories than steps.
    made = min(world.step - 1, len(history))
    picked = choose_memories(history.trail, made, world.motion.cameras[-1], dit.recent, dit.recalled)
    cameras = np.tile(np.eye(4, dtype=np.float32), (dit.memories, 1, 1))
    ages = np.zeros(dit.memories, np.float32)
    to_here = invert(world.motion.cameras[-1])
    out: list[Remembered] = []
    for slot, index in enumerate(picked):
        memory = history.memories[index]
        relative = to_here @ memory.pose
        relative[:3, 3] *= dit.camera_scale
        cameras[slot] = relative @ np.linalg.inv(lift(memory.intrinsics.normalised()))
        ages[slot] = len(picked) - slot  # reframed: the nearer in the list, the nearer in time
        out.append(Remembered(memory.key, memory.latent, memory.action.features()))
    return cameras, ages, out


def choose_memories(trail: Index, steps: int, camera: NDArray[np.float64], recent: int, recalled: int) -> list[int]:
    """Numbers of what to remember, ascending: the last `recent` of `steps`, and up to `recalled` older ones
    that looked this way. The cost does not grow with `steps`: those that are too far away are never asked.
    """
    numbers, eyes, gazes = trail.near(camera, HEARD, steps)
    old = numbers < steps - recent
    numbers, eyes, gazes = numbers[old], eyes[old], gazes[old]
    apart = np.linalg.norm(eyes - camera[:3, 3], axis=-1)
    facing = (gazes * camera[:3, 2]).sum(1)
    score = np.where(facing > 0.5, facing, 0.0) / (1 + (apart / REACH) ** 2)
    chosen: list[int] = []
    while len(chosen) < recalled and score.size and score.max() >= WORTH:
        best = int(numbers[score.argmax()])
        chosen.append(best)
        score[np.abs(numbers - best) <= 2] = 0  # neighbours in time say much the same
    return [*sorted(chosen), *range(max(0, steps - recent), steps)]
