"""Founding: from a scene to a world, with what is known of it at the start.

A world is founded on a look around from where its player stands, and on one look at each creature
from all sides. All else is drawn by the model when someone goes there.
"""

from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, look, yaw_pitch
from perdure.data.scenes import build
from perdure.data.scenes.scene import Scene
from perdure.data.sources.playground import SKY, STATIC, Painter
from perdure.memory.track import look_around
from perdure.presets.nano import Preset
from perdure.world.geometry import MILLIMETRES, Geometry, Keyframe
from perdure.world.identity import Entity
from perdure.world.state import World

LOOKS = 6  # directions that the first look around takes in
CREATURE = 1.2  # metres across, about
CLOSE = Intrinsics.from_fov(128, 128, 50.0)  # the camera of a look at a creature


def found(scene: Scene, preset: Preset, name: str = "", seed: int = 0, looks: int = LOOKS) -> tuple[World, Painter]:
    """A world of this scene, and the painter that can show the truth of it."""
    intrinsics = Intrinsics.from_fov(preset.width, preset.height, preset.horizontal_degrees)
    bare = World.create(
        name or f"{scene.kind}-{scene.seed}", scene.kind, scene.seed, scene.xml, scene.movers, scene.spawn, intrinsics=intrinsics, seed=seed
    )
    model, data = bare.physics.posed()
    painter = Painter(scene, model)
    entities = (Entity(0, "player", "you", "player"), *creatures(scene, painter, data))
    geometry = Geometry(tuple(seeds(bare, painter, data, looks)))
    return replace(bare, entities=entities, geometry=geometry), painter


def found_kind(kind: str, scene_seed: int, preset: Preset, name: str = "") -> World:
    """A new world by the kind and seed of its scene."""
    return found(build(kind, scene_seed), preset, name or kind, seed=scene_seed)[0]


def seeds(world: World, painter: Painter, data: mujoco.MjData, looks: int) -> list[Keyframe]:
    """Keyframes of a look around from the player's eye, creatures left out."""
    eye = world.motion.cameras[-1]
    yaw, _ = yaw_pitch(eye)
    intrinsics = world.motion.intrinsics
    out = []
    for turn in range(looks):
        pose = look(eye[:3, 3], yaw + 2 * np.pi * turn / looks, 0.0)
        picture = painter.paint(data, pose, intrinsics)
        still = (picture.entity == STATIC) | (picture.entity == SKY)
        depth = np.rint(picture.depth * MILLIMETRES).astype(np.uint16)
        out.append(Keyframe(-1, pose, intrinsics, picture.rgb, depth, still))
    return out


def creatures(scene: Scene, painter: Painter, data: mujoco.MjData) -> list[Entity]:
    """Each creature with a look from all sides, as it stands at the start."""

    def paint(pose: Array, intrinsics: Intrinsics) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        picture = painter.paint(data, pose, intrinsics)
        return picture.rgb, picture.depth, picture.entity

    out = []
    for mover in scene.movers:
        body = np.eye(4)
        body[:3, :3] = data.body(mover.body).xmat.reshape(3, 3)
        body[:3, 3] = data.body(mover.body).xpos
        patches = look_around(paint, 1 + mover.entity, body, CREATURE, CLOSE)
        out.append(Entity(mover.entity, "creature", scene.names[mover.entity], mover.body, patches))
    return out
