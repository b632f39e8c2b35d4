"""Scenes: the same seed gives the same scene, other seeds others, and the player starts on free ground."""

from functools import lru_cache

import mujoco
import numpy as np
import pytest

from perdure.camera import yaw_pitch
from perdure.data.scenes import KINDS, build
from perdure.data.scenes.blocks import PLAYER_RADIUS, Blocks, Opening, turned
from perdure.data.scenes.scene import EYE, MOVING, PLAYER, STILL, Scene, Sky, Surface, rgb
from perdure.world.action import Action, Keys
from perdure.world.physics import Physics

SEEDS = range(12)
CASES = [(kind, seed) for kind in KINDS for seed in SEEDS]


@lru_cache(maxsize=64)
def loaded(kind: str, seed: int) -> tuple[Scene, mujoco.MjModel, mujoco.MjData]:
    scene = build(kind, seed)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return scene, model, data


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes(kind: str) -> None:
    a, b = build(kind, 7), build(kind, 7)
    assert a.xml.encode() == b.xml.encode()
    assert (a.surfaces, a.sky, a.lamps, a.movers, a.spawn) == (b.surfaces, b.sky, b.lamps, b.movers, b.spawn)


@pytest.mark.parametrize("kind", KINDS)
def test_every_seed_is_another_scene(kind: str) -> None:
    assert len({build(kind, seed).xml for seed in SEEDS}) == len(SEEDS)
    assert len({build(kind, seed).sky.sun_yaw for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_the_player_starts_on_free_ground(kind: str, seed: int) -> None:
    scene, model, data = loaded(kind, seed)
    assert data.ncon == 0
    x, y, _ = scene.spawn
    z = float(data.body("player").xpos[2])
    assert 0 <= z < 0.02  # a path, a rug
    assert np.allclose(data.body("player").xpos, [x, y, z], atol=1e-3)
    assert np.allclose(data.site("eye").xpos, [x, y, z + (1.2 if kind == "table" else EYE)], atol=1e-3)
    player = model.body("player").id
    for bearing in np.linspace(0, 2 * np.pi, 32, endpoint=False):
        hit = np.zeros(1, np.int32)
        ray = np.array([np.cos(bearing), np.sin(bearing), 0.0])
        for height in (0.4, 0.9, 1.5):
            distance = mujoco.mj_ray(model, data, np.array([x, y, height]), ray, None, True, player, hit)
            assert distance < 0 or distance > PLAYER_RADIUS


@pytest.mark.parametrize("kind", KINDS)
def test_the_eye_of_physics_is_the_scene_s(kind: str) -> None:
    scene, _, data = loaded(kind, 2)
    camera = Physics.from_xml(scene.xml, scene.movers, scene.spawn).still().cameras[-1]
    assert np.allclose(camera[:3, 3], data.site("eye").xpos, atol=1e-3)
    assert yaw_pitch(camera) == pytest.approx((scene.spawn[2], 0.0))


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_what_a_scene_names_is_in_its_model(kind: str, seed: int) -> None:
    scene, model, _ = loaded(kind, seed)
    assert {model.mat(i).name for i in range(model.nmat)} == set(scene.surfaces)
    assert (model.geom_matid >= 0).all()
    assert set(model.geom_group) == {STILL, MOVING, PLAYER}
    assert 1 <= len(scene.movers) <= 3
    assert set(scene.names) == {mover.entity for mover in scene.movers}
    for mover in scene.movers:
        root = model.body(mover.body)
        assert model.body_mocapid[root.id] >= 0
        assert np.allclose(root.pos, [*mover.home, mover.hover], atol=1e-3)
        for part in mover.parts:
            body = model.body(part.body)
            assert model.body_mocapid[body.id] >= 0
            assert np.allclose(body.pos, root.pos + part.pivot, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_walls_stop_the_player(kind: str) -> None:
    scene = build(kind, 3)
    for yaw in (0.0, 2.0, 4.0):
        physics = Physics.from_xml(scene.xml, scene.movers, (*scene.spawn[:2], yaw))
        for _ in range(72):
            physics, motion = physics.advance(Action(Keys.FORWARD))
        assert (np.abs(motion.cameras[-1, :3, 3]) < scene.extent).all()


def test_both_creatures_are_met() -> None:
    met = {name for kind in KINDS for seed in SEEDS for name in build(kind, seed).names.values()}
    assert met == {"strider", "lantern golem"}


def test_a_wall_leaves_its_openings_open() -> None:
    blocks = Blocks()
    wall = blocks.surface("wall", Surface("brick", ("#aa5544", "#bb6655", "#dddddd")))
    blocks.wall(wall, (-3.0, 1.0), (3.0, 1.0), 2.8, 0.1, (Opening(3.0, 1.2, 0.0, 2.0), Opening(5.0, 0.8, 0.9, 1.8)))
    scene = blocks.finish("test", 0, Sky(), (0.0, -2.0, 0.0), (4.0, 4.0, 3.0), "test")
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)

    def stopped(x: float, z: float) -> bool:
        eye = np.array([x, 0.0, z])
        return mujoco.mj_ray(model, data, eye, np.array([0.0, 1.0, 0.0]), None, True, -1, np.zeros(1, np.int32)) > 0

    assert not stopped(0.0, 1.0) and not stopped(0.55, 1.95) and not stopped(2.0, 1.3)
    assert stopped(0.0, 2.1) and stopped(0.65, 1.0) and stopped(2.0, 0.8) and stopped(2.0, 1.9) and stopped(-2.9, 2.7)


def test_turned_is_a_yaw_and_then_a_lean() -> None:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.array(turned(0.7, 0.3)))
    c, s, d, t = np.cos(0.7), np.sin(0.7), np.cos(0.3), np.sin(0.3)
    yaw = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    lean = np.array([[d, 0, t], [0, 1, 0], [-t, 0, d]])
    assert np.allclose(matrix.reshape(3, 3), yaw @ lean)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"kind of scene out of court, hall, rooms, .*, got 'moon'"):
        build("moon", 0)
    with pytest.raises(ValueError, match="seed of 0 or more"):
        build("court", -1)
    with pytest.raises(ValueError, match="texture out of"):
        Surface("velvet", ("#000000", "#000000", "#000000"))
    with pytest.raises(ValueError, match="#rrggbb"):
        rgb("red")
