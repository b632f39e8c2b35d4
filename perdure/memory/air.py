"""Air: what a state knows of that has no body. Birds, leaping fish, fires and fireworks, rain and snow on their way
down follow from the setting and the tick alone, so its view shows them, and nothing that it shows of them is kept.

Shapes: T frames, H height, W width.
"""

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, rays
from perdure.data.painting.scenery import scenery
from perdure.data.painting.spectacles import LOOKS, glow, seen
from perdure.data.painting.tracer import SURFACE, sort_into_tiles, trace
from perdure.data.painting.weather import fall
from perdure.data.scenes.scene import rgb
from perdure.memory.light import Light, encoded
from perdure.memory.view import View
from perdure.world.slots import State

OPEN_SKY = np.full((1, 1), -1e3, np.float32), np.array([1e6, 1e6]), False  # as `fall` takes roofs: none anywhere
SHADE = 0.8  # of the light that a surface in the sun has, what a small round thing has on the whole
SURE = 200  # confidence of what is drawn here: too much to be news to `notice`, too little for it to measure depth by
BRIGHT = 24  # bytes by which a spark has to change what is not known for it to be known there
_COLOURS = np.stack([rgb(look.colours[0]) for look in LOOKS.values()])
_GLOWS = np.array([look.glow for look in LOOKS.values()])[:, None]


def fill(view: View, world: State, light: Light | None, cameras: Array, intrinsics: Intrinsics) -> None:
    """Draw what is in the air over a view of a world's last frames, in place."""
    last, there = world.physics.tick, scenery(world)
    falling = there.amount("weather", "rain", "storm", "snow") > 0 and not world.physics.mechanism.compiled.housed
    shown = tuple(s for s in world.setting.spectacles if s.start <= last and not s.over(last - len(cameras)))
    if not (falling or shown):
        return
    for t, camera in enumerate(np.array(cameras)):
        tick = last - len(cameras) + 1 + t
        colour, depth = view.rgb[t], np.where(view.depth[t] > 0, view.depth[t], np.float32(FAR))
        shows = seen([s for s in shown if not s.over(tick)], tick)
        if len(shows.geoms):
            geom, far = _traced(shows.geoms, camera, intrinsics)
            before = (geom >= 0) & (far < depth)
            surface = shows.geoms[geom[before], SURFACE].astype(np.int64)
            colour[before] = _coloured(surface, far[before], light)
            depth[before] = view.depth[t][before] = far[before]
            view.confidence[t][before], view.mover[t][before] = SURE, True
        if len(shows.sparks):
            was = colour.astype(np.int16)
            glow(shows.sparks, camera, intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy, depth, colour)
            change = np.abs(colour - was).max(-1)
            bright = (change > BRIGHT) & (view.depth[t] == 0)
            view.confidence[t][bright], view.depth[t][bright] = np.minimum(2 * change[bright], SURE), FAR
        if falling:
            fall(there.at(tick), OPEN_SKY, camera, intrinsics, depth, colour)


def _traced(geoms: Array, camera: Array, intrinsics: Intrinsics) -> tuple[NDArray[np.int32], Array]:
    """(H, W) the shape that is seen, -1 for none, and how far off it is along z."""
    shape = height, width = intrinsics.height, intrinsics.width
    geom, far, face = np.empty(shape, np.int32), np.empty(shape), np.empty(shape, np.int32)
    lens = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    trace(geoms, *sort_into_tiles(geoms, camera, *lens, width, height), camera, rays(intrinsics), geom, far, face)
    return geom, far


def _coloured(surface: NDArray[np.int64], far: Array, light: Light | None) -> NDArray[np.uint8]:
    """(N, 3) bytes of shapes of these looks, so far away."""
    gain, air, fog = (1.0, 1.0, 0.0) if light is None else (light.gain, light.air, light.fog)
    colours, left = _COLOURS[surface], np.exp(-fog * far)[:, None]
    lit = np.maximum(SHADE * colours * gain, _GLOWS[surface] * colours)
    return encoded(lit * left + air * (1.0 - left))
