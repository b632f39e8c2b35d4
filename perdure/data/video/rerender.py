"""Seen again: a clip with good poses and depth is reconstructed, and filmed along new ways that come back.

What the clip saw of what stands still becomes keyframes, and points on their surfaces become splats. A new way keeps
near the old one: there and back along a stretch of it, or a loop about it, free of what stands there. It is drawn from
the keyframes, and by splats where those leave cracks; what is left of holes is drawn in from their rims. Ways that see
too much that the clip never saw are dropped, and so are clips whose own frames do not come out again.

Shapes: N frames, K keyframes, H W picture size, M points.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, interpolate, look
from perdure.data.clip import Clip, Skipped
from perdure.memory.gaussians import draw as splat
from perdure.memory.gaussians import from_keyframe
from perdure.memory.view import View, render
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND
from perdure.world.keyframe import MILLIMETRES, Keyframe
from perdure.world.occupancy import VOXEL, surface, voxels_of
from perdure.world.splats import Splats, pack
from perdure.world.trajectory import keys_from_poses

EVERY = 8  # frames between keyframes
STRIDE = 2  # pixels between splats, either way
SOLID = 0.7  # of a pixel that splats must hide
TOLD = 24  # keyframes that one frame is drawn from
FREE = 0.3  # metres about the eye in which nothing stands
SECONDS = 6.0
ASIDE = 0.35  # metres that a loop goes to the side
SWAY = np.radians(6.0)  # that it looks about
TRIES = 8

COVERED = 0.97  # share of a way that must be known, on average
WORST = 0.85  # and of its worst frame
KEPT = ("file", "codec", "source_fps", "source_size", "source_height", "poses", "scale", "depth", "scene")
"""Tags of a clip that are as true of where it is seen again: what was measured of the old way is not."""

AGREES = 24.0  # decibels at which frames that were held back must come out again
HELD = 6  # of them


@dataclass(frozen=True, eq=False)
class Place:
    """What a clip knows of where it was."""

    keyframes: tuple[Keyframe, ...]
    at: NDArray[np.int64]  # (K,) which frames they were
    splats: Splats
    solid: frozenset[tuple[int, int, int]]  # voxels in which something stands
    intrinsics: Intrinsics


@dataclass(frozen=True, eq=False)
class Way:
    kind: str  # "there and back" | "loop"
    poses: Array  # (N, 4, 4)


def reconstruct(clip: Clip) -> Place:
    """A clip as keyframes, splats and what stands in the way. `Skipped` says what it lacks."""
    if clip.poses is None or clip.depth is None or clip.intrinsics is None:
        raise Skipped(f"{clip.name}: seen again only with poses, intrinsics and depth")
    at = np.arange(0, len(clip.rgb), EVERY)
    keyframes = tuple(_keyframe(clip, clip.poses, clip.depth, clip.intrinsics, int(i)) for i in at)
    splats, first, covered = Splats(), 0, list[Keyframe]()
    for keyframe in keyframes:
        news = keyframe
        if covered:  # only what the ones before did not show
            view = render(covered[-TOLD:], (), keyframe.pose[None], keyframe.intrinsics)
            same = (view.confidence[0] > 0) & (np.abs(view.depth[0] - keyframe.metres) < 0.05 * keyframe.metres)
            news = keyframe.masked(keyframe.mask & ~same)
        rows = from_keyframe(news, STRIDE, first)
        first += len(rows)
        splats = splats.write(pack(rows)) if len(rows) else splats
        covered.append(keyframe)
    points = np.concatenate([surface(keyframe)[0] for keyframe in keyframes])
    solid = frozenset(map(tuple, voxels_of(points, VOXEL, 3).tolist()))
    return Place(keyframes, at, splats, solid, clip.intrinsics)


def _keyframe(clip: Clip, poses: Array, depth: NDArray[np.float32], lens: Intrinsics, i: int) -> Keyframe:
    known = depth[i] > 0
    if clip.entity is not None:
        known &= ~clip.moving[i]
    metres = np.clip(depth[i], 0, min(FAR, 65.0))
    return Keyframe(int(i), poses[i], lens, clip.rgb[i], np.rint(metres * MILLIMETRES).astype(np.uint16), known)


def draw(place: Place, poses: Array, near: NDArray[np.int64], without: int = -1) -> View:
    """A view along a way (N, 4, 4) whose frames are near frames (N,) of the clip; one keyframe may be left out.

    Keyframes first, which are sharp; splats only where those leave cracks.
    """
    parts = []
    for start in range(0, len(poses), FRAMES_PER_CHUNK):
        stop = start + FRAMES_PER_CHUNK
        order = np.argsort(np.abs(place.at - near[start]), kind="stable")
        told = [place.keyframes[k] for k in order[: TOLD + 1] if k != without][:TOLD]
        parts.append(render(told, (), poses[start:stop], place.intrinsics))
    fields = ("rgb", "confidence", "depth", "mover")
    view = View(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
    for t in np.flatnonzero((view.confidence == 0).any((1, 2))) if without < 0 else ():
        layer = splat(place.splats, poses[t], place.intrinsics)
        cracks = (view.confidence[t] == 0) & (layer.alpha > SOLID)
        alpha = np.maximum(layer.alpha, SOLID)
        view.rgb[t][cracks] = np.clip(np.rint(255 * layer.rgb / alpha[..., None]), 0, 255).astype(np.uint8)[cracks]
        view.depth[t][cracks] = (layer.depth / alpha)[cracks]
        view.confidence[t][cracks] = 1
    return view


def ways(clip: Clip, place: Place, seed: int, seconds: float = SECONDS) -> Iterator[Way]:
    """New ways near that of a clip, alternately there and back and about in a loop, that run into nothing."""
    assert clip.poses is not None
    random = np.random.default_rng((seed, len(clip.rgb)))
    count = round(seconds * FRAMES_PER_SECOND / FRAMES_PER_CHUNK) * FRAMES_PER_CHUNK
    for number in range(TRIES):
        kind = ("there and back", "loop")[number % 2]
        reach = min(count // 2, len(clip.rgb) - 1)
        first = float(random.uniform(0, len(clip.rgb) - 1 - reach))
        phase = np.arange(count) / (count - 1)
        share = 1 - np.abs(2 * phase - 1)  # out, and back
        share = share * share * (3 - 2 * share)  # gently at both ends
        poses = interpolate(clip.poses, np.arange(len(clip.rgb), dtype=np.float64), first + reach * share)
        side, height = (random.uniform(0.5, 1.0, 2) * (ASIDE, 0.3 * ASIDE)) * random.choice([-1, 1], 2)
        if kind == "loop":  # on one side out, on the other back
            poses = _beside(poses, side * np.sin(2 * np.pi * phase), height * np.sin(np.pi * phase) ** 2)
        poses = _swayed(poses, SWAY * np.sin(2 * np.pi * phase * random.integers(1, 4)))
        if free(place, poses[:, :3, 3]):
            yield Way(kind, poses)


def _beside(poses: Array, right: Array, up: Array) -> Array:
    out = poses.copy()
    out[:, :3, 3] += right[:, None] * poses[:, :3, 0]
    out[:, 2, 3] += up
    return out


def _swayed(poses: Array, yaw: Array) -> Array:
    """The same, looking to the left by so much."""
    out = poses.copy()
    turn = look(np.zeros(3), yaw, 0.0)[:, :3, :3] @ look(np.zeros(3), 0.0, 0.0)[:3, :3].T
    out[:, :3, :3] = turn @ poses[:, :3, :3]
    return out


def free(place: Place, eyes: Array) -> bool:
    """Whether nothing stands about any of these places (N, 3)."""
    reach = int(np.ceil(FREE / VOXEL))
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) * VOXEL <= FREE]
    about = np.unique((np.floor(eyes / VOXEL).astype(np.int64)[:, None] + steps).reshape(-1, 3), axis=0)
    return not any(tuple(cell) in place.solid for cell in about.tolist())


def agreement(clip: Clip, place: Place) -> float:
    """Decibels, the median over frames of the clip that are drawn without the keyframe nearest to them."""
    assert clip.poses is not None
    inner = np.linspace(0, len(place.at) - 1, min(HELD, len(place.at)) + 2).astype(int)[1:-1]
    found = []
    for k in inner:
        i = int(place.at[k])
        view = draw(place, clip.poses[i : i + 1], np.array([i]), without=int(k))
        known = view.confidence[0] > 0
        if clip.entity is not None:
            known &= ~clip.moving[i]
        if known.any():
            found.append(decibels(view.rgb[0][known], clip.rgb[i][known]))
    return float(np.median(found)) if found else 0.0


def decibels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = float(((one.astype(np.float64) - other) ** 2).mean()) / 255**2
    return -10 * float(np.log10(max(error, 1e-10)))


def drawn_in(rgb: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with its holes filled smoothly from their rims, coarse to fine."""
    if known.all():
        return rgb
    levels = [(np.where(known[..., None], rgb, 0).astype(np.float64), known[..., None].astype(np.float64))]
    while max(levels[-1][1].shape) > 1:
        colour, weight = (np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2), (0, 0))) for a in levels[-1])
        colour, weight = (a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2] for a in (colour, weight))
        levels.append((colour, weight))
    filled = levels[-1][0] / np.maximum(levels[-1][1], 1e-9)
    for colour, weight in reversed(levels[:-1]):
        coarse = filled.repeat(2, 0).repeat(2, 1)[: weight.shape[0], : weight.shape[1]]
        have = np.minimum(weight, 1.0)
        filled = have * colour / np.maximum(weight, 1e-9) + (1 - have) * coarse
    return np.where(known[..., None], rgb, np.clip(np.rint(filled), 0, 255).astype(np.uint8))


def again(clip: Clip, seed: int = 0, count: int = 2, seconds: float = SECONDS) -> Iterator[Clip | Skipped]:
    """Up to `count` clips along new ways through what a clip saw, or in place of one why there is none."""
    place = reconstruct(clip)
    sure = agreement(clip, place)
    if sure < AGREES:
        raise Skipped(f"{clip.name}: its own frames come out again at {sure:.1f} dB, below {AGREES:g}")
    made = 0
    for number, way in enumerate(ways(clip, place, seed, seconds)):
        if made == count:
            return
        view = draw(place, way.poses, nearest(clip, way.poses))
        known = view.confidence > 0
        shares = known.mean((1, 2))
        if shares.mean() < COVERED or shares.min() < WORST:
            yield Skipped(f"{clip.name}, way {number}: {shares.mean():.0%} of it known, {shares.min():.0%} at worst")
            continue
        made += 1
        rgb = np.stack([drawn_in(picture, mask) for picture, mask in zip(view.rgb, known)])
        yield Clip(
            f"{clip.name}-again-{number}", clip.source, clip.licence, clip.fps, rgb, seed=seed, view=clip.view,
            intrinsics=clip.intrinsics, poses=way.poses, depth=np.where(known, view.depth, np.float32(0)),
            actions=tuple(keys_from_poses(np.concatenate([way.poses[:1], way.poses]))),
            tags={**{name: clip.tags[name] for name in KEPT if name in clip.tags}, "made_from": clip.name,
                  "trajectory": way.kind, "coverage": f"{shares.mean():.3f}", "agreement_db": f"{sure:.1f}"},
        )  # fmt: skip
    if not made:
        yield Skipped(f"{clip.name}: no way of {TRIES} near it is free")


def nearest(clip: Clip, poses: Array) -> NDArray[np.int64]:
    """(N,) the frames of a clip that were taken nearest to poses, by place and then by facing."""
    assert clip.poses is not None
    apart = np.linalg.norm(poses[:, None, :3, 3] - clip.poses[None, :, :3, 3], axis=-1)
    facing = 1 - np.einsum("ni,mi->nm", poses[:, :3, 2], clip.poses[:, :3, 2])
    return np.argmin(apart + facing, axis=1)
