"""Procedural scenes: `build(kind, seed)`. The same kind and seed always give the same scene."""

from perdure.data.scenes.corridors import corridors
from perdure.data.scenes.court import court
from perdure.data.scenes.garden import garden
from perdure.data.scenes.hall import hall
from perdure.data.scenes.island import island
from perdure.data.scenes.maze import maze
from perdure.data.scenes.rooms import rooms
from perdure.data.scenes.scene import Scene
from perdure.data.scenes.table import table
from perdure.data.scenes.terraces import terraces

KINDS = {
    "court": court,
    "hall": hall,
    "rooms": rooms,
    "garden": garden,
    "terraces": terraces,
    "maze": maze,
    "corridors": corridors,
    "table": table,
    "island": island,
}
"""What a scene can be."""

MEASURED = ("court", "hall", "rooms")
"""The kinds that worlds are measured in, so that figures of then and of now are of the same places."""


def build(kind: str, seed: int) -> Scene:
    if kind not in KINDS:
        raise ValueError(f"expected a kind of scene out of {', '.join(KINDS)}, got {kind!r}")
    if not 0 <= seed < 2**64:  # what can be kept
        raise ValueError(f"expected a seed from 0 to 2**64 - 1, got {seed}")
    return KINDS[kind](seed)
