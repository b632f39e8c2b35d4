"""The truth of a world, painted: its scene, with all that was put into it since, as things are now.

painter = shown(painter, world)          # again whenever its mechanism has changed
picture = painter.paint(data, pose, intrinsics, scenery(world))
"""

from collections.abc import Mapping

import mujoco

from perdure.data import props
from perdure.data.painting.painter import Painter
from perdure.data.scenes import build
from perdure.data.scenes.scene import Surface
from perdure.world.state import World

FRAME = Surface("plank", ("#8f6440", "#7a5234", "#38251a"), 0.8)
"""Of the posts of a door that brings its own."""


def shown(painter: Painter, world: World, surfaces: Mapping[str, Surface] | None = None) -> Painter:
    """A painter of the same scene that shows all that is in the world now; no light is baked again.

    `surfaces` are those of materials that neither the scene nor a prop has, as of creatures that came later.
    """
    mechanism = world.physics.mechanism
    worn = {body.entity: wear for body in mechanism.bodies if (wear := props.worn(body)) is not None}
    return painter.onto(mechanism, {"frame": FRAME, **(surfaces or {})}, worn)


def painter_of(world: World, surfaces: Mapping[str, Surface] | None = None) -> Painter:
    """A painter of a world whose scene is one of ours."""
    scene = build(*world.scene)
    return shown(Painter(scene, mujoco.MjModel.from_xml_string(scene.xml)), world, surfaces)
