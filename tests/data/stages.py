"""Scenes on which tests look: each is built, compiled and lit once, for all who paint it."""

from functools import cache

import mujoco

from perdure.data.painting.painter import Painter
from perdure.data.scenes import build
from perdure.data.scenes.scene import Scene


@cache
def stage(kind: str, seed: int = 1) -> tuple[Scene, mujoco.MjModel, mujoco.MjData, Painter]:
    """At rest. Not to be written to: what is to move, moves in an `MjData` of its own."""
    scene = build(kind, seed)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return scene, model, data, Painter(scene, model)
