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

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Intrinsics, invert
from perdure.memory import air, contact
from perdure.memory.gaussians import lay_over
from perdure.memory.light import drawn, light, lit
from perdure.memory.telling import Ear, told
from perdure.memory.view import Placed, View, render
from perdure.models.context import Context, Remembered, lift
from perdure.presets.nano import Preset
from perdure.world.action import Action
from perdure.world.geometry import SAMPLES, Geometry, Keyframe
from perdure.world.index import Index
from perdure.world.state import World

GREY = np.uint8(128)  # what the model is shown where nothing is known
CELLS = 16, 9  # columns and rows in which their coverage is counted
BEYOND = 2 * FAR  # metres; a surface that is farther away than this is not asked
WIDEST = 4  # cells; a place that looks larger than this is hidden only by what fills the picture
HIDDEN = 1.25  # so many times as far as the solid thing in that direction is out of sight
ENOUGH = 2.0  # cells covered so often by chosen keyframes need no more
REACH = 4.0  # metres: a latent made from farther away says half as much
WORTH = 0.2  # a latent that says less than this is not remembered
HEARD = 1.001 * REACH * math.sqrt(1 / WORTH - 1)  # metres: from farther away none says that much


class Encoders(Protocol):
    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(T, H, W, 3) to a latent (C, h, w)."""
        ...


def recall(world: World, action: Action, encoders: Encoders, preset: Preset, ear: Ear | None = None) -> Context:
    """What the model may see of the chunk that `world.motion` leads to; the world has advanced but not committed.
    A model with an ear hears what entities are told, too.
    """
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
        setting=world.setting.features(world.physics.tick),
        words=told(world, action, ear) if ear else (),
    )


def look(world: World, preset: Preset, proxy: NDArray[np.float32]) -> View:
    """The state's own view of the coming frames."""
    motion = world.motion
    keyframes = choose_keyframes(world.geometry, motion.cameras, motion.intrinsics, preset, proxy[0])
    there = motion.bodies if world.physics.mechanism.mount else {e: p for e, p in motion.bodies.items() if e}
    placed = [Placed(e.patches, there[e.id]) for e in world.entities if e.patches and e.id in there]
    view = render(keyframes, placed, motion.cameras, motion.intrinsics)
    contact.ground(view, contact.things(world), motion.cameras, motion.intrinsics)
    if world.geometry.splats.pages:
        view = lay_over(view, world.geometry.splats, motion.cameras, motion.intrinsics, motion.bodies)
    shines = light(world)
    if shines is not None:
        lit(view, shines, motion.cameras, motion.intrinsics)
    view = replace(view, rgb=np.where(view.confidence[..., None] > 0, view.rgb, GREY))
    air.fill(view, world, shines, motion.cameras, motion.intrinsics)
    if shines is not None:
        drawn(view, shines)
        view.rgb[view.confidence == 0] = GREY
    return view


def coverage(confidence_THW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(1, h, w) mean confidence of each 8x8 latent cell over the chunk, 0..1."""
    t, h, w = confidence_THW.shape
    cells = confidence_THW.reshape(t, h // 8, 8, w // 8, 8)
    return (cells.mean((0, 2, 4), dtype=np.float32) / np.float32(255))[None]


def choose_keyframes(
    geometry: Geometry,
    cameras: NDArray[np.float64],
    intrinsics: Intrinsics,
    preset: Preset,
    solid: NDArray[np.float32],
) -> list[Keyframe]:
    """Those that cover the coming view best, few enough to draw in time: a greedy cover of image cells.

    `solid` (h, w) is the inverse depth of what physics knows to stand in the last camera's way, 0 where
    nothing does: what lies behind it would only fill the budget. Only keyframes that show a place in sight
    are asked at all, so the cost depends on the view and not on how much was ever seen.
    """
    columns, rows = CELLS
    h, w = solid.shape
    in_the_way = farthest_around(solid)[np.ix_(np.arange(rows) * h // rows, np.arange(columns) * w // columns)]
    ends = cameras[0], cameras[-1]
    visible = Sights(ends, intrinsics, in_the_way)
    keyframes = [geometry.keyframes[i] for i in geometry.seen.among(cameras[-1][:3, 3], BEYOND, visible)]
    if not keyframes:
        return []
    surfaces = [keyframe.surface for keyframe in keyframes]
    points = np.full((len(keyframes), SAMPLES, 3), np.nan, np.float32)  # K S 3
    for k, (shown, _) in enumerate(surfaces):
        points[k, : len(shown)] = shown
    weight = np.array([each for _, each in surfaces])
    sizes = weight * np.isfinite(points[..., 0]).sum(1)
    hits = np.zeros((len(keyframes), rows * columns))
    for camera in ends:
        local = (points - camera[:3, 3]) @ camera[:3, :3]
        depth = local[..., 2]
        with np.errstate(all="ignore"):
            x = np.floor((local[..., 0] / depth * intrinsics.fx + intrinsics.cx) * (columns / intrinsics.width))
            y = np.floor((local[..., 1] / depth * intrinsics.fy + intrinsics.cy) * (rows / intrinsics.height))
            inside = (depth > 0.05) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        k, s = np.nonzero(inside)
        row, column = y[k, s].astype(int), x[k, s].astype(int)
        seen = depth[k, s] * in_the_way[row, column] < HIDDEN
        np.add.at(hits, (k[seen], row[seen] * columns + column[seen]), weight[k[seen]])
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


class Sights:
    """Which balls may be in sight of any of some cameras: none that is gets lost, some that are not are kept."""

    def __init__(self, cameras: Sequence[NDArray[np.float64]], lens: Intrinsics, in_the_way: NDArray[np.float32]):
        self.cameras, self.lens = cameras, lens
        self.walls = [in_the_way]  # each the least inverse depth around a cell, one cell farther than the one before
        for _ in range(WIDEST):
            self.walls.append(farthest_around(self.walls[-1]))
        self.walls.append(np.full_like(in_the_way, in_the_way.min()))
        # Inward normals of the sides of what a camera sees, and one for what is before it.
        left, right = -lens.cx / lens.fx, (lens.width - lens.cx) / lens.fx
        top, bottom = -lens.cy / lens.fy, (lens.height - lens.cy) / lens.fy
        sides = np.array([[1, 0, -left], [-1, 0, right], [0, 1, -top], [0, -1, bottom], [0, 0, 1]])
        self.sides = sides / np.linalg.norm(sides, axis=1, keepdims=True)

    def __call__(self, places_M3: NDArray[np.floating], radius: float) -> NDArray[np.bool_]:
        out = np.zeros(len(places_M3), np.bool_)
        for camera in self.cameras:
            local = (places_M3 - camera[:3, 3]) @ camera[:3, :3]
            within = np.flatnonzero((local @ self.sides.T > -radius).all(1))
            out[within[self._open(local[within], radius)]] = True
        return out

    def _open(self, local_M3: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
        """Whether nothing solid stands between the camera and all of a ball."""
        rows, columns = self.walls[0].shape
        lens, z = self.lens, local_M3[:, 2]
        near = np.maximum(z - radius, 1e-3)
        x, y = local_M3[:, 0] / np.maximum(z, 1e-3), local_M3[:, 1] / np.maximum(z, 1e-3)
        # No point of the ball is farther from its middle than this, in cells of the picture.
        reach_x = radius * (1 + np.abs(x)) / near * lens.fx * columns / lens.width
        reach_y = radius * (1 + np.abs(y)) / near * lens.fy * rows / lens.height
        column = np.clip((x * lens.fx + lens.cx) * columns / lens.width, 0, columns - 1).astype(int)
        row = np.clip((y * lens.fy + lens.cy) * rows / lens.height, 0, rows - 1).astype(int)
        wide = np.minimum(np.ceil(np.maximum(reach_x, reach_y)) + 1, WIDEST + 1).astype(int)
        wall = np.stack(self.walls)[wide, row, column]
        return (near * wall < HIDDEN) | (z < 2 * radius)


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
        relative[:3, 3] *= dit.adapters.camera_scale
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
