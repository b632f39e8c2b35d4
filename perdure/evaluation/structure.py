"""Structure against the truth: camera poses that COLMAP finds in films of the playground, and where it really was.

Both are brought together by the similarity that fits positions best (Umeyama), then compared frame by frame; the
figures that others report, relative to the first frame and each by its own longest way, stand beside them.

Shapes: N frames.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from perdure.agents.player import Stroller
from perdure.camera import Array, apart, invert
from perdure.data.clip import Clip, Skipped, record
from perdure.data.founding import found
from perdure.data.scenes import build
from perdure.data.video.structure import WIDTH, picks, structure
from perdure.presets.nano import nano
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND

SEED = 5


def filmed(kind: str, seed: int, seconds: float, width: int = WIDTH) -> Clip:
    """A stroll through a scene, in a size that films have."""
    small = nano()
    preset = replace(small, width=width, height=width * small.height // small.width)
    world, painter = found(build(kind, seed), preset, looks=1)
    return record(world, painter, Stroller(seed), round(seconds * FRAMES_PER_SECOND / FRAMES_PER_CHUNK))


def similarity(found: Array, true: Array) -> tuple[float, Array, Array]:
    """The scale, rotation and shift that bring points (N, 3) nearest to others: Umeyama's."""
    a, b = found - found.mean(0), true - true.mean(0)
    left, spread, right = np.linalg.svd(b.T @ a / len(a))
    keep = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ keep @ right
    scale = float((spread * np.diag(keep)).sum() / max((a**2).sum() / len(a), 1e-12))
    return scale, turn, true.mean(0) - scale * turn @ found.mean(0)


def errors(found: Array, true: Array) -> dict[str, float]:
    """How far poses (N, 4, 4) are from the true ones, once brought together."""
    scale, turn, shift = similarity(found[:, :3, 3], true[:, :3, 3])
    moved = found.copy()
    moved[:, :3, :3] = turn @ found[:, :3, :3]
    moved[:, :3, 3] = scale * found[:, :3, 3] @ turn.T + shift
    metres, radians = apart(moved, true)
    way = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
    mine, theirs = invert(found[0]) @ found, invert(true[0]) @ true
    parts = [p[:, :3, 3] / max(float(np.linalg.norm(p[:, :3, 3], axis=1).max()), 1e-9) for p in (mine, theirs)]
    return {
        "way_metres": way,
        "translation_metres": float(metres.mean()),
        "translation_worst": float(metres.max()),
        "translation_share_of_way": float(metres.mean() / max(way, 1e-9)),
        "rotation_degrees": float(np.degrees(radians.mean())),
        "rotation_worst": float(np.degrees(radians.max())),
        "relative_rotation_radians": float(apart(mine, theirs)[1].mean()),
        "relative_translation": float(np.linalg.norm(parts[0] - parts[1], axis=1).mean()),
    }


def structures(
    kinds: tuple[str, ...] = ("court", "hall", "rooms"), seconds: float = 10.0, seed: int = SEED
) -> dict[str, Any]:
    """Poses that COLMAP finds in a stroll through a scene of each kind, against where the camera was."""
    out: dict[str, Any] = {"estimator": "pycolmap, global mapping"}
    for kind in kinds:
        clip = filmed(kind, seed, seconds)
        assert clip.poses is not None and clip.intrinsics is not None
        chosen = picks(clip.rgb)
        try:
            it = structure([clip.rgb[i] for i in chosen], chosen, (clip.rgb.shape[2], clip.rgb.shape[1]))
        except Skipped as why:
            out[kind] = {"collapsed": str(why)}
            continue
        out[kind] = {
            **errors(it.poses, clip.poses[it.start : it.stop]),
            "focal_found": it.intrinsics.fx / clip.intrinsics.fx,
            "frames": it.stop - it.start,
            "of": len(clip.rgb),
        }
    return out
