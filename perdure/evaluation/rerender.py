"""Seen again against the truth: new ways through a clip's reconstruction, and the engine's own pictures of the same.

The engine paints the same moment from the new cameras; what moves of itself is left out, for a reconstruction knows
only what stood still.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perdure.agents.player import Stroller
from perdure.data.clip import record
from perdure.data.founding import found
from perdure.data.painting.painter import SKY, STATIC
from perdure.data.scenes import build
from perdure.data.video.rerender import agreement, decibels, draw, drawn_in, nearest, reconstruct, ways
from perdure.presets.nano import nano
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND

STEP = 6  # frames of a way between those that are compared


def rerendered(
    kinds: tuple[str, ...] = ("court", "hall", "rooms"), seconds: float = 6.0, seed: int = 3, folder: Path | None = None
) -> dict[str, Any]:
    """PSNR of clips seen again along new ways, for each kind of scene; `folder` is for pictures, truth on the left."""
    out: dict[str, Any] = {}
    rows = []
    for kind in kinds:
        world, painter = found(build(kind, seed), nano(), looks=1)
        clip = record(world, painter, Stroller(seed), round(seconds * FRAMES_PER_SECOND / FRAMES_PER_CHUNK))
        assert clip.intrinsics is not None
        data = world.physics.posed()[1]
        place = reconstruct(clip)
        found_ways = {}
        for way in ways(clip, place, seed, seconds):
            if way.kind in found_ways:
                break
            poses = way.poses[::STEP]
            view = draw(place, poses, nearest(clip, poses))
            truth = [painter.paint(data, pose, clip.intrinsics) for pose in poses]
            true, entity = np.stack([p.rgb for p in truth]), np.stack([p.entity for p in truth])
            still, known = (entity == STATIC) | (entity == SKY), view.confidence > 0
            whole = np.stack([drawn_in(picture, mask) for picture, mask in zip(view.rgb, known)])
            found_ways[way.kind] = {
                "psnr": decibels(whole[still], true[still]),
                "psnr_known": decibels(view.rgb[known & still], true[known & still]),
                "coverage": float(known.mean()),
            }
            middle = len(poses) // 4
            rows.append(np.concatenate([true[middle], whole[middle]], 1))
        out[kind] = {**found_ways, "held_out_psnr": agreement(clip, place), "splats": len(place.splats)}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(folder / "rerendered.png")
        out["pictures"] = str(folder / "rerendered.png")
    return out
