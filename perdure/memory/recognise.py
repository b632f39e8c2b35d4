"""Recognise: whom the world takes for what was just seen, as an edit that it can apply and log."""

from collections.abc import Mapping, Sequence

from perdure.memory.appearance import PLAIN, Embedding, acquaint
from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.edit import Edit
from perdure.world.roster import SPEED, Match, Place, Sighting, associate, edit
from perdure.world.state import World


def recognise(
    world: World, sightings: Sequence[Sighting], embedding: Embedding = PLAIN
) -> tuple[Edit | None, tuple[Match, ...]]:
    """Who was seen, and what the world learned by it; None if it learned nothing. For `world.edit`.

    The sightings are of one instant. Entities that have patches and no exemplar yet get theirs first.
    """
    before = world.entities
    entities = tuple(acquaint(e, embedding=embedding) if e.patches and e.exemplar is None else e for e in before)
    after, matches = associate(entities, sightings, whereabouts(world), embedding.radius)
    learned = edit(before, after, "associate", "observer")
    return (learned if learned.changes else None), matches


def whereabouts(world: World) -> Mapping[int, Place]:
    """Where physics has each entity that has a body, as the last chunk ended."""
    time = world.physics.tick / FRAMES_PER_SECOND
    places: dict[int, Place] = {}
    for entity, poses in world.motion.bodies.items():
        x, y, z = (float(value) for value in poses[-1, :3, 3])
        places[entity] = Place((x, y, z), time, SPEED, poses[-1, :3, :3])
    return places
