"""Scenes: the same seed gives the same scene, other seeds others, and the player starts on free ground."""

import re
from functools import cache

import mujoco
import numpy as np
import pytest

from perdure.camera import yaw_pitch
from perdure.cli import worlds
from perdure.data.furnishing import WHAT
from perdure.data.ground import Ground
from perdure.data.scenes import KINDS, MEASURED, build, creatures, landmarks
from perdure.data.scenes.blocks import PLAYER_RADIUS, Blocks, Opening, turned
from perdure.data.scenes.scene import EYE, MOVING, PLAYER, STILL, Scene, Sky, Surface, rgb
from perdure.server.app import SCENES
from perdure.world.action import Action, Keys
from perdure.world.physics import Physics

SEEDS = range(12)
CASES = [(kind, seed) for kind in KINDS for seed in SEEDS]


@cache
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
        assert np.allclose(root.pos, [*mover.home, mover.ground + mover.hover], atol=1e-3)
        hangs = {"": np.array(root.pos)}
        for part in mover.parts:
            body = model.body(part.body)
            assert model.body_mocapid[body.id] >= 0
            hangs[part.label] = hangs[part.parent] + part.pivot
            assert np.allclose(body.pos, hangs[part.label], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_walls_stop_the_player(kind: str) -> None:
    scene = build(kind, 3)
    for yaw in (0.0, 2.0, 4.0):
        physics = Physics.from_xml(scene.xml, scene.movers, (*scene.spawn[:2], yaw))
        for _ in range(72):
            physics, motion = physics.advance(Action(Keys.FORWARD))
        assert (np.abs(motion.cameras[-1, :3, 3]) < scene.extent).all()


def test_creatures_are_met() -> None:
    """In the first three kinds of scene the two that they always had; in the others all kinds there are."""
    first = {name for kind in MEASURED for seed in SEEDS for name in build(kind, seed).names.values()}
    assert first == {"strider", "lantern golem"}
    others = [kind for kind in KINDS if kind not in MEASURED]
    met = {mover.kind for kind in others for seed in SEEDS for mover in build(kind, seed).movers}
    assert met == set(creatures.KINDS)


@pytest.mark.parametrize("kind", ["garden", "terraces", "island"])
def test_creatures_are_on_all_levels_and_stay_there(kind: str) -> None:
    """Each stands on the floor of its home, and a minute later on one as high."""
    levels = set[int]()
    for seed in (0, 1):
        scene = build(kind, seed)
        now = Physics.from_xml(scene.xml, scene.movers, scene.spawn, seed)
        terrain = now.terrain
        assert terrain is not None
        for chunk in range(181):
            if chunk % 60 == 0:
                for mover, gait in zip(now.mechanism.creatures, now.gaits):
                    at = np.array([[gait.x, gait.y]])
                    assert terrain.level(at, mover.ground, 0.02 if chunk == 0 else 0.3).all(), (seed, mover.body, chunk)
            if chunk < 180:
                now, _ = now.advance(Action())
        levels |= {round(mover.ground / 0.3) for mover in scene.movers}
    assert len(levels) >= 2 and 0 in levels


@pytest.mark.parametrize("kind", ["garden", "terraces", "island", "maze"])
def test_out_of_doors_lanterns_are_lit_at_dusk(kind: str) -> None:
    scene = build(kind, 0)
    assert scene.lamps and all(lamp.dusk for lamp in scene.lamps)
    glass = [surface for name, surface in scene.surfaces.items() if name == "glass"]
    assert len(glass) == 1 and glass[0].lit and not glass[0].glow
    assert 'material="lamplight"' not in scene.xml


@cache
def walked(kind: str, seed: int) -> tuple[Scene, Ground]:
    scene = build(kind, seed)
    return scene, Ground.around(Physics.from_xml(scene.xml, scene.movers, scene.spawn), scene.extent)


ON_FOOT = [(kind, seed) for kind in KINDS for seed in range(1 if kind in ("garden", "terraces", "island") else 3)]


@pytest.mark.parametrize(("kind", "seed"), ON_FOOT)
def test_every_place_can_be_walked_to(kind: str, seed: int) -> None:
    """With the player's own body, up stairs and ramps: to what stands there, or onto it."""
    scene, ground = walked(kind, seed)
    assert len(scene.places) >= 4 and scene.words
    heights = ground.height[tuple(ground.cells.T)]
    for name, (x, y, z, radius) in scene.places.items():
        near = np.hypot(*(ground.spots - (x, y)).T) < radius + 0.9
        assert near.any(), name
        assert np.abs(heights[near] - z).min() < (0.8 if kind == "table" else 0.4), name
    for one, other in scene.ways:
        assert one in scene.places and other in scene.places


@pytest.mark.parametrize(("kind", "seed"), ON_FOOT)
def test_nothing_leads_out_of_a_scene(kind: str, seed: int) -> None:
    scene, ground = walked(kind, seed)
    assert (np.abs(ground.spots) < np.array(scene.extent[:2]) - 0.3).all()


def test_the_terraces_have_three_levels_and_the_island_two() -> None:
    for kind, levels in (("terraces", 3), ("island", 2)):
        _, ground = walked(kind, 0)
        heights = ground.height[tuple(ground.cells.T)]
        flat = np.histogram(heights, np.arange(-0.05, 4.0, 0.1))[0] * 0.04  # square metres at each height
        assert (flat > 8).sum() == levels


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in MEASURED])
def test_landmarks_are_told_apart_by_their_colours(kind: str) -> None:
    """By the word in their name, and as they are painted."""
    for seed in SEEDS:
        scene = build(kind, seed)
        words = [word for name in scene.places for word in landmarks.COLOURS if f"the {word} " in f"{name} "]
        assert len(words) == len(set(words)) >= 3, (kind, seed, words)
    lights = [rgb(light) for light, _ in landmarks.COLOURS.values()]
    apart = [np.abs(a - b).max() for n, a in enumerate(lights) for b in lights[:n]]
    assert min(apart) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_everything_near_is_within_the_extent(kind: str) -> None:
    """What light is baked for: all but the ground, the sea, and hills beyond."""
    for seed in range(6):
        scene, model, data = loaded(kind, seed)
        for geom in np.flatnonzero((model.geom_group == STILL) & (model.geom_rbound > 0) & (model.geom_rbound < 5)):
            x, y, z = data.geom_xpos[geom]
            if kind == "island" and np.hypot(x, y) > scene.extent[0] + 0.5:
                continue  # a rock in its sea
            assert (np.abs((x, y, z)) < np.array(scene.extent) + 0.5).all()


def test_kinds_are_offered_where_worlds_are_made() -> None:
    assert tuple(KINDS) == SCENES
    assert re.findall(r"[a-z]+", worlds.SCENES.replace(" or ", " ")) == list(KINDS)
    assert set(WHAT) == set(KINDS)


def test_stairs_and_ramps_lead_from_their_foot_to_their_top() -> None:
    blocks = Blocks()
    wall = blocks.surface("wall", Surface("brick", ("#aa5544", "#bb6655", "#dddddd")))
    blocks.geom("plane", wall, (0, 0, 0), (20, 20, 1.0))
    reach = blocks.stairs(wall, 1.0, 0.0, 0.0, 2.0, 0.0, 1.02)
    blocks.box(wall, (1.0 + reach + 1.0, 0.0, 0.51), (1.0, 1.0, 0.51))
    blocks.ramp(wall, -1.0, 0.0, np.pi, 2.0, 0.0, 1.02, 2.4)
    blocks.box(wall, (-1.0 - 2.4 - 1.0, 0.0, 0.51), (1.0, 1.0, 0.51))
    scene = blocks.finish("test", 0, Sky(), (0.0, 0.0, 0.0), (6.0, 4.0, 3.0), "test", ground=0.0)
    for yaw, far in ((0.0, 1.0 + reach + 0.9), (np.pi, 4.3)):
        physics = Physics.from_xml(scene.xml, (), (0.0, 0.0, yaw))
        for _ in range(round(far / 0.4)):
            physics, motion = physics.advance(Action(Keys.FORWARD))
        assert motion.cameras[-1, 2, 3] == pytest.approx(EYE + 1.02, abs=1e-3)
        assert abs(motion.cameras[-1, 0, 3]) == pytest.approx(0.4 * round(far / 0.4), abs=1e-3)


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
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"seed from 0 to .*, got {seed}"):
            build("court", seed)
    with pytest.raises(ValueError, match="texture out of"):
        Surface("velvet", ("#000000", "#000000", "#000000"))
    with pytest.raises(ValueError, match="#rrggbb"):
        rgb("red")
