"""Procedural scenes: `build(kind, seed)`. The same kind and seed always give the same scene."""

from perdure.data.scenes.court import court
from perdure.data.scenes.hall import hall
from perdure.data.scenes.rooms import rooms
from perdure.data.scenes.scene import Scene

KINDS = {"court": court, "hall": hall, "rooms": rooms}
"""What a scene can be."""


def build(kind: str, seed: int) -> Scene:
    if kind not in KINDS:
        raise ValueError(f"expected a kind of scene out of {', '.join(KINDS)}, got {kind!r}")
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    return KINDS[kind](seed)
