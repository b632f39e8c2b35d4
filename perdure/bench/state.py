"""`perdure bench state`: what it costs to know the hash of a world that has moved, and how much of it a step copies.

A court with 200 keyframes and 50,000 splats. Each step moves the physics and writes one splat in each of
four pages.
"""

import time
import tracemalloc
from dataclasses import replace

import numpy as np

from perdure.bench.splat import room
from perdure.data.founding import found_kind
from perdure.presets.nano import nano
from perdure.world.action import Action, Keys
from perdure.world.geometry import Geometry, Keyframe
from perdure.world.splats import Splats, pack
from perdure.world.state import World

SPLATS, KEYFRAMES, PAGES = 50_000, 200, 4


def run(steps: int = 60) -> dict[str, object]:
    """Milliseconds to hash a step, and a whole world anew; bytes that a step leaves allocated, and of its pieces."""
    world = furnished()
    start = time.perf_counter()
    state = world.state
    anew = 1e3 * (time.perf_counter() - start)
    hashing: list[float] = []
    pieces: list[int] = []
    kept: list[int] = []
    for n in range(steps):
        held = {piece.digest for part in world.parts.values() for piece in part}
        tracemalloc.start()
        then = step(world, n)
        assert then.state != state
        kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()

        again = step(world, n)  # with nothing hashed yet, and nothing traced
        start = time.perf_counter()
        state = again.state
        hashing.append(1e3 * (time.perf_counter() - start))
        new = [piece for part in again.parts.values() for piece in part if piece.digest not in held]
        assert len(new) == PAGES
        pieces.append(sum(len(piece.to_bytes()) for piece in new))
        world = again
    parts = world.parts
    return {
        "splats": len(world.geometry.splats),
        "splat_pages": len(parts["splats"]),
        "keyframes": len(parts["keyframes"]),
        "pages_touched": PAGES,
        "hash_ms": float(np.median(hashing)),
        "hash_ms_best": min(hashing),
        "hash_anew_ms": anew,
        "copy_bytes_per_step": int(np.median(kept)),
        "piece_bytes_per_step": int(np.median(pieces)),
        "moving_bytes": len(world.moving),
        "state_bytes": sum(len(piece.to_bytes()) for part in parts.values() for piece in part),
    }


def furnished() -> World:
    world = found_kind("court", 0, nano(), spots=2)
    seeds = world.geometry.keyframes
    keyframes: list[Keyframe] = []
    for n in range(KEYFRAMES):
        k = seeds[n % len(seeds)]
        keyframes.append(Keyframe(n, k.pose, k.intrinsics, k.rgb, k.depth, k.mask))
    return replace(world, geometry=Geometry(tuple(keyframes), Splats().write(pack(room(SPLATS)))))


def step(world: World, n: int) -> World:
    """Moved on by a chunk, with four splats of as many pages pushed aside."""
    splats = world.geometry.splats
    rows = np.concatenate([splats.pages[(17 * n + 48 * i) % len(splats.pages)].rows[:1] for i in range(PAGES)])
    rows["mean"] += 0.01
    world = world.advance(Action(Keys.FORWARD if n % 2 else Keys.BACK))
    return replace(world, geometry=replace(world.geometry, splats=splats.write(pack(rows))))
