"""The small map: walls stand where the keyframes saw them."""

import base64
import io

import numpy as np
from PIL import Image

from perdure.camera import Intrinsics, look
from perdure.server.map import CELL, SmallMap
from perdure.server.protocol import Map
from perdure.world.geometry import Keyframe
from tests.server.fake_engine import HIGH, LOW, draw

INTRINSICS = Intrinsics.from_fov(128, 72, 75.0)


def keyframe(x: float, y: float, yaw: float, moved: float = 0.0) -> Keyframe:
    """A look around the fake room; `moved` shifts the whole of it along x."""
    camera = look(np.array([x, y, 1.6]), yaw, -0.2)
    rgb, depth = draw(camera, INTRINSICS, "")
    camera = camera.copy()
    camera[0, 3] += moved
    return Keyframe(1, camera, INTRINSICS, rgb, (1000 * depth).astype(np.uint16), np.ones(depth.shape, bool))


def pixels(shown: Map) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.png))))


def at(shown: Map, x: float, y: float) -> np.ndarray:
    row, column = int((shown.top - y) / shown.metres), int((x - shown.left) / shown.metres)
    return pixels(shown)[row, column]


def test_nothing_known_is_no_map():
    assert SmallMap().picture(()) is None


def test_the_room_has_its_size_and_its_walls_stand_out():
    looks = [keyframe(0, 0, yaw) for yaw in np.arange(0, 2 * np.pi, np.pi / 4)]
    shown = SmallMap().picture(looks)
    assert shown is not None
    height, width = pixels(shown).shape[:2]
    assert abs(width * CELL - (HIGH - LOW)[0]) < 6 * CELL
    assert abs(height * CELL - (HIGH - LOW)[1]) < 6 * CELL
    wall, floor = at(shown, HIGH[0] - 0.02, 0.6), at(shown, 3.0, 1.0)
    assert wall[3] == floor[3] == 255
    assert wall[:3].sum() > 1.5 * floor[:3].sum()


def test_up_is_north_and_right_is_east():
    shown = SmallMap().picture([keyframe(2.0, 1.0, np.pi / 4)])
    assert shown is not None
    assert shown.left > 1.0
    assert shown.top - pixels(shown).shape[0] * CELL > 0.0


def test_the_same_keyframes_cost_nothing_and_a_new_one_is_added():
    small = SmallMap()
    one, two = keyframe(0, 0, 0.0), keyframe(0, 0, np.pi)
    first = small.picture([one])
    assert small.picture([one]) is first
    both = small.picture([one, two])
    assert first is not None
    assert both is not None
    assert both.keyframes == 2
    assert both.left < first.left


def test_the_grid_grows_with_the_world():
    small = SmallMap()
    near = small.picture([keyframe(0, 0, 0.0)])
    assert near is not None
    far = small.picture([keyframe(0, 0, 0.0), keyframe(0, 0, 0.0, moved=100.0)])
    assert far is not None
    assert abs(pixels(far).shape[1] * CELL - (near.metres * pixels(near).shape[1] + 100.0)) < 4 * CELL
    assert (at(far, 5.0, 0.1) == at(near, 5.0, 0.1)).all()


def test_a_keyframe_with_nothing_to_say_is_no_trouble():
    blank = keyframe(0, 0, 0.0)
    blank = Keyframe(1, blank.pose, INTRINSICS, blank.rgb, blank.depth, np.zeros_like(blank.mask))
    assert SmallMap().picture([blank]) is None
