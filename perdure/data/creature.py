"""A creature that comes into a world while it runs: what physics knows of it, and how it looks from around.

    entity, body = creature("crab", 7, (1.0, 2.0), seed=3)
    world = world.edit(edit.add(entity, body))

Whoever paints such a world in truth asks `scenes.creatures.surfaces(kind, seed)` for its materials.
"""

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics
from perdure.data.painting.painter import Painter
from perdure.data.props import LIGHT
from perdure.data.scenes import creatures
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import plain
from perdure.memory.appearance import acquaint, colours
from perdure.memory.track import look_around
from perdure.world.body import Body
from perdure.world.identity import Entity

CLOSE = Intrinsics.from_fov(128, 128, 50.0)


def creature(
    kind: str, entity: int, at: tuple[float, float], seed: int = 0, radius: float = 3.0, ground: float = 0.0
) -> tuple[Entity, Body]:
    """A creature that is at home at `at`, where the floor is at the height `ground`, and wanders within `radius` of it;
    who it is follows from kind and seed."""
    mover, bodies = creatures.built(kind, seed, entity, f"{kind.replace(' ', '-')}{entity}", at, radius, ground)
    name = creatures.name(kind, seed)
    blocks = Blocks()
    grey = blocks.surface("ground", plain("#777777"))
    blocks.geom("plane", grey, (0, 0, -50.0), (1.0, 1.0, 1.0))
    for material, surface in creatures.surfaces(kind, seed).items():
        blocks.surface(material, surface)
    blocks.creature(name, mover, bodies)
    extent = abs(at[0]) + 3.0, abs(at[1]) + 3.0, 4.0 + max(0.0, ground)
    scene = blocks.finish("creature", 0, LIGHT, (at[0] + 2.5, at[1], 0.0), extent, name)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    painter = Painter(scene, model)

    def paint(pose: Array, lens: Intrinsics) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        picture = painter.paint(data, pose, lens)
        return picture.rgb, picture.depth, picture.entity

    root = np.eye(4)
    root[:3, 3] = data.body(mover.body).xpos
    size = max(creatures.KINDS[kind].height, creatures.KINDS[kind].width) * creatures.figure(kind, seed).scale
    patches = look_around(paint, 1 + entity, root, size, CLOSE)
    known = Entity(entity, "creature", name, mover.body, patches, attributes=colours(patches))
    return acquaint(known), Body(entity, "".join(bodies), mover)
