"""The truth of a world, painted: its scene, with all that was put into it since, as things are now.

painter = shown(painter, world)          # again whenever its mechanism has changed
picture = painter.paint(data, pose, intrinsics, scenery(world))
"""

import re
from collections.abc import Mapping

import mujoco

from perdure.data import props
from perdure.data.painting.painter import Painter
from perdure.data.scenes import build, creatures
from perdure.data.scenes.scene import Surface
from perdure.world.state import World

FRAME = Surface("plank", ("#8f6440", "#7a5234", "#38251a"), 0.8)
"""Of the posts of a door that brings its own."""


MATERIAL = re.compile(r'material="([a-z-]+)-(\d+)/')
"""How creatures' materials are called, by kind and seed."""


def shown(painter: Painter, world: World, surfaces: Mapping[str, Surface] | None = None) -> Painter:
    """A painter of the same scene that shows all that is in the world now; no light is baked again.

    `surfaces` are those of materials that neither the scene nor a prop has; of creatures that came later, unless given.
    """
    mechanism = world.physics.mechanism
    if surfaces is None:
        surfaces = coats(world)
    worn = {body.entity: wear for body in mechanism.bodies if (wear := props.worn(body)) is not None}
    return painter.onto(mechanism, {"frame": FRAME, **(surfaces or {})}, worn)


def coats(world: World) -> dict[str, Surface]:
    """Of the creatures that came in since the scene was built, and of the player's own body."""
    out: dict[str, Surface] = {}
    mechanism = world.physics.mechanism
    own = mechanism.body(0)
    for body in (*mechanism.bodies, *([own] if own is not None else [])):
        if body.mover is not None:
            for kind, seed in sorted(set(MATERIAL.findall(body.mjcf))):
                out |= creatures.surfaces(kind.replace("-", " "), int(seed))
    return out


def painter_of(world: World, surfaces: Mapping[str, Surface] | None = None) -> Painter:
    """A painter of a world whose scene is one of ours."""
    scene = build(*world.scene)
    return shown(Painter(scene, mujoco.MjModel.from_xml_string(scene.xml)), world, surfaces)
