"""Founding: from a scene to a world, with what is known of it at the start.

A world is founded on a survey, a look around from a few spots that the player could walk to, and on
one look at each creature from all sides. All else is drawn by the model when someone goes there. With
one spot the survey is no more than a look around from where the player stands. Things that can be
moved are put in after the survey, and known by looks of their own: nothing of them is still surface.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, look, yaw_pitch
from perdure.data.furnishing import furnish
from perdure.data.painting.painter import SKY, STATIC, Painter
from perdure.data.scenes import build
from perdure.data.scenes.scene import EYE, STILL, Scene
from perdure.data.views import embodied
from perdure.memory.appearance import acquaint, colours
from perdure.memory.track import look_around
from perdure.presets.nano import Preset
from perdure.world.geometry import MILLIMETRES, Geometry, Keyframe
from perdure.world.identity import Entity
from perdure.world.state import World
from perdure.world.terrain import Terrain

LOOKS = 6  # directions that a look around takes in
SPOTS = 10  # places that a new world is surveyed from
STEP = 0.5  # metres between places that are tried
STEEPEST = 0.9  # metres up or down for each metre on the way to the next
BODY = 0.45  # metres that must be free around a place to stand there
CREATURE = 1.2  # metres across, about
CLOSE = Intrinsics.from_fov(128, 128, 50.0)  # the camera of a look at a creature


def found(
    scene: Scene,
    preset: Preset,
    name: str = "",
    seed: int = 0,
    looks: int = LOOKS,
    spots: int = 1,
    view: str = "first",
    avatar: str = "",
) -> tuple[World, Painter]:
    """A world of this scene, and the painter that can show the truth of it; see `views.py` for views and avatars."""
    scene, mount, rates = embodied(scene, view, avatar, seed, preset.rates)
    intrinsics = Intrinsics.from_fov(preset.width, preset.height, preset.horizontal_degrees)
    name = name or f"{scene.kind}-{scene.seed}"
    bare = World.create(
        name,
        scene.kind,
        scene.seed,
        scene.xml,
        scene.movers,
        scene.spawn,
        intrinsics=intrinsics,
        seed=seed,
        rates=rates,
        mount=mount,
    )
    model, data = bare.physics.posed()
    painter = Painter(scene, model)
    known = {entity.id: entity for entity in creatures(scene, painter, data)}
    entities = tuple({0: Entity(0, "player", "you", "player"), **known}.values())
    eye = bare.motion.cameras[-1]
    if mount is not None:  # it is surveyed from where one stands
        eye = look(np.array([*scene.spawn[:2], bare.physics.standing + EYE]), scene.spawn[2], 0.0)
    yaw, _ = yaw_pitch(eye)
    places = survey(model, data, eye[:3, 3], spots, bare.physics.terrain)
    seeds = [keyframe for place in places for keyframe in look_about(painter, data, place, yaw, looks, intrinsics)]
    return replace(bare, entities=entities, geometry=Geometry(tuple(seeds))), painter


def found_kind(
    kind: str,
    scene_seed: int,
    preset: Preset,
    name: str = "",
    spots: int = SPOTS,
    view: str = "first",
    avatar: str = "",
) -> World:
    """A new world by the kind and seed of its scene, with a few things to handle in it."""
    scene = build(kind, scene_seed)
    bare, painter = found(scene, preset, name or kind, scene_seed, spots=spots, view=view, avatar=avatar)
    world = furnish(bare, scene)
    put = [poses[-1, :3, 3] for entity, poses in world.motion.bodies.items() if entity not in bare.motion.bodies]
    return replace(world, geometry=bare.geometry.append(*grounds(painter, bare, put)))


def survey(
    model: mujoco.MjModel, data: mujoco.MjData, eye: Array, count: int, terrain: Terrain | None = None
) -> list[Array]:
    """Up to `count` places for an eye: the first where it is, each next as far as can be from those before.
    Where the ground is uneven its `terrain` says how high one stands."""
    if count <= 1:
        return [eye]
    still = np.zeros(mujoco.mjNGROUP, np.uint8)
    still[STILL] = 1
    tall = eye[2] if terrain is None else float(eye[2]) - terrain.settle(float(eye[0]), float(eye[1]), eye[2] - EYE)
    knee = 0.35 if terrain is None else 0.45  # over whatever is a step

    def free(start: Array, way: Array, distance: float) -> bool:
        """Whether nothing stands in the way at knee, hip and eye height."""
        for height in (knee, 0.9, tall):
            spot = np.array([start[0], start[1], start[2] - tall + height])
            if 0 <= mujoco.mj_ray(model, data, spot, way, still, True, -1, None) < distance:
                return False
        return True

    def beyond(here: Array, there: tuple[int, int]) -> Array | None:
        """The place there, coming from here; None where one cannot walk there."""
        place = eye + np.array([there[0] * STEP, there[1] * STEP, 0.0])
        if terrain is not None:
            x, y, was = float(place[0]), float(place[1]), float(here[2]) - tall
            halfway = terrain.height(0.5 * (float(here[0]) + x), 0.5 * (float(here[1]) + y), was)
            place[2] = terrain.height(x, y, halfway) + tall
            if abs(place[2] - here[2]) > STEEPEST * STEP:
                return None
        way = (place - here) / STEP
        return place if free(here, way, STEP + BODY) else None

    around = [np.array([np.cos(a), np.sin(a), 0.0]) for a in np.arange(8) * np.pi / 4]
    reached, queue = {(0, 0): eye}, deque([(0, 0)])
    while queue:
        i, j = queue.popleft()
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            there = i + di, j + dj
            if there not in reached and (place := beyond(reached[i, j], there)) is not None:
                reached[there] = place
                queue.append(there)
    roomy = [place for place in reached.values() if all(free(place, way, BODY) for way in around)]
    chosen = [eye]
    while len(chosen) < count and roomy:
        apart = [min(float(np.linalg.norm(place - other)) for other in chosen) for place in roomy]
        farthest = int(np.argmax(apart))
        if apart[farthest] < 2 * STEP:
            break
        chosen.append(roomy[farthest])
    return chosen


def look_about(
    painter: Painter, data: mujoco.MjData, eye: Array, yaw: float, looks: int, intrinsics: Intrinsics
) -> list[Keyframe]:
    """Keyframes in `looks` directions, creatures left out."""
    poses = [look(eye, yaw + 2 * np.pi * turn / looks, 0.0) for turn in range(looks)]
    return [glance(painter, data, pose, intrinsics) for pose in poses]


def grounds(painter: Painter, world: World, places: Sequence[Array]) -> list[Keyframe]:
    """Looks at what things are about to hide, from where the player stands: what appears there when they are taken
    away is known, and need not be drawn by a model that remembers the thing."""
    eye, data = world.motion.cameras[-1, :3, 3], world.physics.posed()[1]
    out = []
    for place in places:
        x, y, z = place - eye
        pose = look(eye, float(np.arctan2(y, x)), float(np.arctan2(z, np.hypot(x, y))))
        out.append(glance(painter, data, pose, world.motion.intrinsics))
    return out


def glance(painter: Painter, data: mujoco.MjData, pose: Array, intrinsics: Intrinsics) -> Keyframe:
    """What stands still in the picture that is seen from there."""
    picture = painter.paint(data, pose, intrinsics)
    still = (picture.entity == STATIC) | (picture.entity == SKY)
    depth = np.rint(picture.depth * MILLIMETRES).astype(np.uint16)
    return Keyframe(-1, pose, intrinsics, picture.rgb, depth, still)


def creatures(scene: Scene, painter: Painter, data: mujoco.MjData) -> list[Entity]:
    """Each creature with a look from all sides, as it stands at the start; from now on it is known by them."""

    def paint(pose: Array, intrinsics: Intrinsics) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        picture = painter.paint(data, pose, intrinsics)
        return picture.rgb, picture.depth, picture.entity

    out = []
    for mover in scene.movers:
        body = np.eye(4)
        body[:3, :3] = data.body(mover.body).xmat.reshape(3, 3)
        body[:3, 3] = data.body(mover.body).xpos
        patches = look_around(paint, 1 + mover.entity, body, CREATURE, CLOSE)
        name, coat = scene.names[mover.entity], colours(patches)
        kind = "creature" if mover.entity else "player"
        out.append(acquaint(Entity(mover.entity, kind, name, mover.body, patches, attributes=coat)))
    return out
