"""Furnishing: a few things put into a new world, near where the player begins, to be handled."""

import math
from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np

from perdure.camera import Array
from perdure.data import props
from perdure.data.scenes import MEASURED
from perdure.data.scenes.scene import PLAYER, Doorway, Scene
from perdure.world.body import Body
from perdure.world.identity import Entity
from perdure.world.state import World

GAP = 0.04  # metres between a door and what it hangs in
APART = 0.85  # metres between the middles of two things
NEAREST, FARTHEST = 1.5, 4.0  # metres from the player
AHEAD = 0.55  # radians to either side of where the player looks first
FLAT = 0.03  # metres that the ground about a thing may differ by
FREE = (0.15, 0.4, 0.9, 1.5)  # metres above the ground at which nothing must be in the way
ROOM = 0.5  # metres around its middle that a thing must have free

WHAT = {
    "court": ("crate", "crate", "ball"),
    "hall": ("urn", "ball", "urn"),
    "rooms": ("crate", "ball"),
    "garden": ("urn", "ball", "urn"),
    "terraces": ("crate", "urn", "ball"),
    "maze": ("ball", "crate", "ball"),
    "corridors": ("crate", "ball"),
    "table": ("ball", "crate", "ball"),
    "island": ("crate", "urn", "ball"),
}
"""By the kind of scene; where there are doorways, one gets a door."""


def furnish(world: World, scene: Scene) -> World:
    """A world that was just founded, with things in it: a function of the scene alone."""
    rng = np.random.default_rng([6, *scene.kind.encode(), scene.seed])
    data = world.physics.posed()[1]
    first = 1 + max(entity.id for entity in world.entities)
    taken = [poses[-1, :2, 3] for poses in world.motion.bodies.values()]
    put: list[tuple[Entity, Body]] = []
    for kind in WHAT.get(scene.kind, ()):
        at = _spot(world, data, rng, taken, FREE if scene.kind in MEASURED else (*FREE, 0.7))  # 0.7: a table's top
        if at is not None:
            taken.append(np.array(at[:2]))
            seed, yaw = int(rng.integers(1 << 16)), float(rng.uniform(-math.pi, math.pi))
            put.append(props.prop(kind, first + len(put), at, seed, yaw))
    if scene.doorways:
        put.append(_door(world, scene, first + len(put), int(rng.integers(1 << 16))))
    physics = world.physics
    for entity, body in put:
        physics = physics.with_body(entity.id, body.to_bytes())
    entities = (*world.entities, *(entity for entity, _ in put))
    return replace(world, physics=physics, entities=entities, motion=physics.still())


def _door(world: World, scene: Scene, entity: int, seed: int) -> tuple[Entity, Body]:
    """In the nearest doorway that the player has well in view; else in the nearest."""
    eye = world.motion.cameras[-1]

    def badness(doorway: Doorway) -> tuple[bool, float]:
        x = doorway.hinge[0] + 0.5 * doorway.width * math.cos(doorway.yaw) - eye[0, 3]
        y = doorway.hinge[1] + 0.5 * doorway.width * math.sin(doorway.yaw) - eye[1, 3]
        ahead, aside = x * eye[0, 2] + y * eye[1, 2], abs(x * eye[1, 2] - y * eye[0, 2])
        return ahead < 2.5 or aside > 0.7 * ahead, math.hypot(x, y)

    way = min(scene.doorways, key=badness)
    c, s = math.cos(way.yaw), math.sin(way.yaw)
    hinge = way.hinge[0] + GAP * c, way.hinge[1] + GAP * s, 0.0
    return props.door(entity, hinge, seed, way.yaw, way.width - 2 * GAP, way.height - 2 * GAP)


def _spot(
    world: World, data: mujoco.MjData, rng: np.random.Generator, taken: list[Array], levels: Sequence[float]
) -> tuple[float, float, float] | None:
    """Free and even ground that the player sees and can walk to, free at these levels; None if there is none."""
    eye = world.motion.cameras[-1]
    yaw = math.atan2(eye[1, 2], eye[0, 2])
    model = world.physics.mechanism.compiled.model
    groups = np.ones(mujoco.mjNGROUP, np.uint8)
    groups[PLAYER] = 0

    def met(x: float, y: float, z: float, way: Array) -> float:
        return mujoco.mj_ray(model, data, np.array([x, y, z]), way, groups, True, -1, None)

    def ground(x: float, y: float) -> float:
        return float(eye[2, 3]) - met(x, y, eye[2, 3], np.array([0.0, 0.0, -1.0]))

    for attempt in range(300):
        wide = AHEAD * (1 + attempt // 60)  # ever farther to the sides, where there is no room ahead
        turn, far = float(rng.uniform(-wide, wide)), float(rng.uniform(NEAREST, FARTHEST))
        way = np.array([math.cos(yaw + turn), math.sin(yaw + turn), 0.0])
        x, y = float(eye[0, 3] + far * way[0]), float(eye[1, 3] + far * way[1])
        if any(np.hypot(x - a, y - b) < APART for a, b in taken):
            continue
        free = [met(eye[0, 3], eye[1, 3], height, way) for height in levels]
        if any(0 <= distance < far + ROOM for distance in free):
            continue
        around = [(x + ROOM * math.cos(a), y + ROOM * math.sin(a)) for a in np.arange(8) * math.pi / 4]
        heights = [ground(x, y), *(ground(*spot) for spot in around)]
        if max(heights) - min(heights) < FLAT:
            return x, y, max(heights)
    return None
