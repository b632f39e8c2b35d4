"""A world of which only pictures are known can be walked in: what they saw stands in the way."""

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import FAR, Intrinsics, look, rays
from perdure.world.action import Action, Keys
from perdure.world.body import Pose, ball
from perdure.world.geometry import Keyframe
from perdure.world.occupancy import VOXEL, boxes_of, floor_of, occupied, surface, voxels_of
from perdure.world.physics import Physics
from perdure.world.state import World
from tests.world import yard

CAMERA = Intrinsics.from_fov(96, 72, 90)
GO = Action(Keys.FORWARD)


def pictured(model: mujoco.MjModel, pose: np.ndarray) -> Keyframe:
    """What a camera sees of what stands still in a model: its depth, by MuJoCo's rays."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    player = model.body("player").id
    count = CAMERA.width * CAMERA.height
    vectors = np.ascontiguousarray(rays(CAMERA).reshape(count, 3) @ pose[:3, :3].T)
    geoms, far = np.empty(count, np.int32), np.empty(count)
    mujoco.mj_multiRay(
        model, data, pose[:3, 3].copy(), vectors.ravel(), None, True, player, geoms, far, None, count, mujoco.mjMAXVAL
    )
    depth = np.where((geoms >= 0) & (far < FAR), far, FAR).reshape(CAMERA.height, CAMERA.width)
    size = CAMERA.height, CAMERA.width
    millimetres = np.rint(1000 * depth).astype(np.uint16)
    return Keyframe(-1, pose, CAMERA, np.zeros((*size, 3), np.uint8), millimetres, np.ones(size, bool))


def around(xml: str, *places: tuple[float, float], height: float = 1.55) -> list[Keyframe]:
    model = mujoco.MjModel.from_xml_string(xml)
    turns = np.arange(6) * np.pi / 3
    return [pictured(model, look(np.array((x, y, height)), yaw, -0.25)) for x, y in places for yaw in turns]


@pytest.fixture(scope="module")
def seen() -> list[Keyframe]:
    return around(yard.XML, (0, 0), (2.5, -2.5))


@pytest.mark.parametrize("yaw", [0.0, np.pi / 2, np.pi, -2.0, 0.7])
def test_the_player_is_stopped_by_a_wall_that_is_only_known_from_depth(seen: list[Keyframe], yaw: float):
    physics, truth = (Physics.from_xml(xml, spawn=(0, 0, yaw)) for xml in (occupied(seen).to_xml(), yard.XML))
    for _ in range(20):
        physics, motion = physics.advance(GO)
        truth, true = truth.advance(GO)
    np.testing.assert_allclose(motion.cameras[-1, :2, 3], true.cameras[-1, :2, 3], atol=2 * VOXEL)
    assert np.abs(motion.cameras[-1, :2, 3]).max() < yard.HALF


def test_a_world_is_made_of_pictures_alone(seen: list[Keyframe]):
    world = World.create("seen", "pictures", 0, occupied(seen).to_xml(), keyframes=seen, intrinsics=CAMERA)
    for _ in range(14):
        world = world.advance(GO)
    assert yard.HALF - 1.0 < world.motion.cameras[-1, 0, 3] < yard.HALF - 0.2
    assert world.geometry.keyframes == tuple(seen)


def test_so_does_a_pillar_and_the_middle_is_free(seen: list[Keyframe]):
    there = Physics.from_xml(occupied(seen).to_xml(), spawn=(0, 0, float(np.arctan2(2.5, -2))))
    for _ in range(12):
        there, motion = there.advance(GO)
    assert np.hypot(*(motion.cameras[-1, :2, 3] - (-2, 2.5))) > 0.6
    assert np.hypot(*motion.cameras[-1, :2, 3]) > 1.8


def test_a_floor_is_found_where_it_is_and_holds_things_up(seen: list[Keyframe]):
    found = occupied(seen)
    assert found.floor == pytest.approx(0.0, abs=0.01)
    physics = Physics.from_xml(found.to_xml(), bodies=(ball(5, (1, 1, 0.5)),))
    for _ in range(12):
        physics, _ = physics.advance(Action())
    assert Pose.from_bytes(physics.pose(5) or b"").place[2] == pytest.approx(0.12, abs=0.01)


def test_a_floor_may_lie_anywhere_and_the_eye_goes_with_it():
    low = yard.XML.replace('<geom name="floor" type="plane"', '<geom name="floor" type="plane" pos="0 0 -0.7"')
    found = occupied(around(low, (0, 0), height=0.85))
    assert found.floor == pytest.approx(-0.7, abs=0.01)
    physics = Physics.from_xml(found.to_xml())
    assert physics.still().cameras[0, 2, 3] == pytest.approx(0.85, abs=0.01)


def test_where_no_floor_is_seen_there_is_none():
    model = mujoco.MjModel.from_xml_string(yard.XML)
    up = [pictured(model, look(np.array((0, 0, 1.5)), yaw, 0.7)) for yaw in (0, 1)]
    assert occupied(up).floor is None
    assert occupied([]).boxes == ()


def test_few_boxes_say_it(seen: list[Keyframe]):
    found = occupied(seen)
    assert 4 < len(found.boxes) < 250
    assert occupied(seen) == found


def test_a_mask_hides_what_it_hides(seen: list[Keyframe]):
    hidden = [Keyframe(k.step, k.pose, k.intrinsics, k.rgb, k.depth, np.zeros_like(k.mask)) for k in seen]
    assert occupied(hidden).boxes == ()


def test_normals_look_at_the_camera(seen: list[Keyframe]):
    for keyframe in seen[:3]:
        points, normals = surface(keyframe)
        toward = keyframe.pose[:3, 3] - points
        assert (np.einsum("ni,ni->n", normals, toward) > 0).mean() > 0.99
        low = points[:, 2] < 0.01
        assert np.quantile(normals[low, 2], 0.01) > 0.99
        assert floor_of(points, normals) == pytest.approx(0.0, abs=0.01)


def test_points_fill_voxels_and_what_lies_between_two():
    points = np.repeat(0.2 * (np.array([(0, 0, 0), (2, 0, 0), (5, 0, 0)]) + 0.5), 3, axis=0)
    assert voxels_of(points, 0.2, 3).tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0]]
    assert len(voxels_of(points, 0.2, 4)) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=60))
def test_boxes_cover_the_voxels_and_nothing_else(cells: list[tuple[int, int, int]]):
    boxes = boxes_of(np.array(cells), 0.2)
    covered: list[tuple[int, ...]] = []
    for box in boxes:
        low = np.rint((np.array(box.centre) - box.half) / 0.2).astype(int)
        high = np.rint((np.array(box.centre) + box.half) / 0.2).astype(int)
        covered += [tuple(low + cell) for cell in np.ndindex(*(high - low))]
    assert sorted(covered) == sorted(set(cells))
