"""The painter against analytic depth, against MuJoCo's own rays, and against itself."""

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import FAR, Intrinsics, look, rays, unproject
from perdure.data.painting import grain, textures
from perdure.data.painting.painter import SKY, STATIC, Painter
from perdure.data.scenes import KINDS, build
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import PLAYER, TEXTURES, Sky, Surface, plain
from tests.data.stages import stage

CAMERA = Intrinsics.from_fov(256, 144, 75)
SMALL = Intrinsics.from_fov(64, 36, 75)


def bare(blocks: Blocks) -> tuple[mujoco.MjData, Painter]:
    scene = blocks.finish("test", 0, Sky(), (-3.5, -3.5, 0.0), (4.0, 4.0, 3.0), "test")
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data, Painter(scene, model)


@pytest.fixture(scope="module")
def block_on_a_floor() -> tuple[mujoco.MjData, Painter]:
    blocks = Blocks()
    grey = blocks.surface("grey", Surface("tile", ("#888888", "#999999", "#444444")))
    blocks.geom("plane", grey, (0, 0, 0), (20, 20, 1))
    blocks.box(grey, (3.0, 0.0, 1.0), (0.5, 1.0, 1.0))
    return bare(blocks)


def test_depth_of_a_box_and_a_plane_is_exact(block_on_a_floor: tuple[mujoco.MjData, Painter]) -> None:
    data, painter = block_on_a_floor
    picture = painter.paint(data, look(np.array([0.0, 0.0, 1.5]), 0.0, 0.0), CAMERA)
    direction = rays(CAMERA)
    lateral, vertical = -direction[..., 0], -direction[..., 1]  # left and up, a metre ahead
    on_box = (np.abs(lateral * 2.5) < 0.999) & (1.5 + vertical * 2.5 > 0.001) & (1.5 + vertical * 2.5 < 1.999)
    assert on_box.sum() > 1000
    assert np.allclose(picture.depth[on_box], 2.5, atol=1e-5)
    with np.errstate(divide="ignore"):
        floor = np.where(vertical < 0, -1.5 / vertical, np.inf)
    clear = (floor < 20) & (np.abs(lateral) > 0.41) & (np.abs(lateral * floor) < 20)  # beside the box
    assert clear.sum() > 1000
    assert np.allclose(picture.depth[clear], floor[clear], rtol=1e-6)
    above = (vertical > 0.21) | (np.abs(lateral) > 0.41) & (vertical > 0)
    assert (picture.depth[above] == np.float32(FAR)).all()
    assert (picture.entity[above] == SKY).all()
    assert (picture.entity[on_box | clear] == STATIC).all()


def test_unprojected_depth_lies_on_the_box(block_on_a_floor: tuple[mujoco.MjData, Painter]) -> None:
    data, painter = block_on_a_floor
    pose = look(np.array([0.5, -1.5, 2.6]), 0.5, -0.4)
    picture = painter.paint(data, pose, CAMERA)
    points = unproject(picture.depth.astype(np.float64), CAMERA, pose)[picture.entity == STATIC]
    outside = np.abs(points - [3.0, 0.0, 1.0]) - [0.5, 1.0, 1.0]
    on_box = np.abs(outside.max(1)) < 1e-4
    assert (on_box | (np.abs(points[:, 2]) < 1e-4)).all()
    assert on_box.sum() > 500


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(turn=st.floats(-3.1, 3.1), pitch=st.floats(-0.8, 0.8), dx=st.floats(-0.4, 0.4), dy=st.floats(-0.4, 0.4))
def test_agrees_with_the_rays_of_mujoco(kind: str, turn: float, pitch: float, dx: float, dy: float) -> None:
    scene, model, data, painter = stage(kind)
    pose = look(np.array([scene.spawn[0] + dx, scene.spawn[1] + dy, 1.55]), turn, pitch)
    picture = painter.paint(data, pose, SMALL)
    vectors = np.ascontiguousarray(rays(SMALL).reshape(-1, 3) @ pose[:3, :3].T)
    count = len(vectors)
    geom, distance = np.zeros(count, np.int32), np.zeros(count)
    groups = np.array([1, 1, 0, 0, 0, 0], np.uint8)
    assert groups[PLAYER] == 0
    eye = pose[:3, 3].copy()
    mujoco.mj_multiRay(model, data, eye, vectors.ravel(), groups, True, -1, geom, distance, None, count, 1e3)
    depth = np.where(geom < 0, FAR, np.minimum(distance, FAR)).reshape(picture.depth.shape)
    # MuJoCo sees the inside of what the eye is in, the painter does not; here the eye is in nothing.
    assert np.allclose(picture.depth, depth, atol=1e-3)
    entity = np.zeros(model.nbody, np.uint8)
    for mover in scene.movers:
        for body in (mover.body, *(part.body for part in mover.parts)):
            entity[model.body(body).id] = 1 + mover.entity
    expected = np.where((geom < 0) | (distance >= FAR), SKY, entity[model.geom_bodyid[geom]]).reshape(
        picture.entity.shape
    )
    assert (picture.entity != expected).mean() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_creatures_are_marked_and_move(kind: str) -> None:
    scene, model, data, painter = stage(kind)
    mover = scene.movers[0]
    bodies = [model.body(name).mocapid[0] for name in (mover.body, *(part.body for part in mover.parts))]
    x, y = mover.home
    still, at = np.array([1, 0, 0, 0, 0, 0], np.uint8), np.array([x, y, 1.2])
    for turn in np.arange(8) * np.pi / 4:  # from a side on which nothing stands in the way
        away = np.array([np.cos(turn), np.sin(turn), 0.0])
        if not 0 <= mujoco.mj_ray(model, data, at, -away, still, True, -1, None) < 2.0:
            break
    pose = look(at - 1.9 * away, float(turn), -0.1)
    before = painter.paint(data, pose, SMALL)
    marked = before.entity == 1 + mover.entity
    assert marked.sum() > 30
    moved = mujoco.MjData(model)
    moved.mocap_pos[:] = data.mocap_pos
    moved.mocap_quat[:] = data.mocap_quat
    moved.mocap_pos[bodies] += [0, 0, 30.0]
    mujoco.mj_kinematics(model, moved)
    after = painter.paint(moved, pose, SMALL)
    assert not (after.entity == 1 + mover.entity).any()
    assert (after.depth[marked] > before.depth[marked]).all()


def test_painting_is_deterministic() -> None:
    scene, model, data, painter = stage("court")
    other = Painter(build("court", 1), model)
    pose = look(np.array([*scene.spawn[:2], 1.55]), scene.spawn[2], 0.0)
    first = painter.paint(data, pose, CAMERA)
    painter.paint(data, look(np.array([*scene.spawn[:2], 1.55]), 1.0, 0.2), CAMERA)
    for again in (painter.paint(data, pose, CAMERA), other.paint(data, pose, CAMERA)):
        assert first.rgb.tobytes() == again.rgb.tobytes()
        assert first.depth.tobytes() == again.depth.tobytes()
        assert first.entity.tobytes() == again.entity.tobytes()


def test_seeds_look_different() -> None:
    looks = []
    for seed in (0, 1):
        scene, _, data, painter = stage("court", seed)
        looks.append(painter.paint(data, look(np.array([*scene.spawn[:2], 1.55]), scene.spawn[2], 0.0), SMALL).rgb)
    assert np.abs(looks[0].astype(int) - looks[1]).mean() > 10


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_neither_black_nor_burnt_out(kind: str) -> None:
    scene, _, data, painter = stage(kind)
    levels = []
    for turn in np.arange(6) * np.pi / 3:
        pose = look(np.array([*scene.spawn[:2], 1.55]), turn, -0.05)
        levels.append(painter.paint(data, pose, SMALL).rgb.mean(-1))
    assert 60 < np.mean(levels) < 210
    assert (np.array(levels) > 252).mean() < 0.08
    assert np.std(levels) > 25


def test_the_same_spot_looks_the_same_from_elsewhere() -> None:
    """Light is kept in the world: what two cameras see of a matt wall may differ only by filtering."""
    blocks = Blocks()
    wall = blocks.surface("wall", Surface("plaster", ("#c08050", "#a06040", "#604030"), 1.5))
    blocks.geom("plane", wall, (0, 0, 0), (20, 20, 1))
    blocks.box(wall, (3.0, 0.0, 1.5), (0.2, 3.0, 1.5))
    data, painter = bare(blocks)
    colours = []
    for y in (-0.6, 0.6):
        pose = look(np.array([0.0, y, 1.5]), float(np.arctan2(-y, 2.8)), 0.0)
        colours.append(painter.paint(data, pose, CAMERA).rgb[72, 128].astype(int))
    assert np.abs(colours[0] - colours[1]).max() <= 3


def test_lamplight_has_no_steps() -> None:
    """Soft light is worked out for one pixel of four: nothing shows which."""
    blocks = Blocks()
    grey = blocks.surface("grey", plain("#888888"))
    blocks.geom("plane", grey, (0, 0, 0), (20, 20, 1))
    blocks.box(grey, (3.0, 0.0, 1.5), (0.5, 3.5, 1.5))
    blocks.lamp((1.8, 0.3, 1.6), "#ffc070", 3.0)
    data, painter = bare(blocks)
    picture = painter.paint(data, look(np.array([0.0, 0.0, 1.5]), 0.0, 0.0), CAMERA)
    wall = picture.rgb[22:122, 20:236].astype(float)
    assert np.ptp(wall, axis=(0, 1)).min() > 60
    for axis in (0, 1):
        steps = np.moveaxis(np.abs(np.diff(wall, axis=axis)), axis, 0)
        assert 0.8 < steps[::2].mean() / steps[1::2].mean() < 1.25


def test_a_creature_casts_a_shadow() -> None:
    scene, model, data, painter = stage("court")
    mover = scene.movers[0]
    away = mujoco.MjData(model)
    away.mocap_pos[:] = data.mocap_pos + np.array([0, 0, 40.0])
    away.mocap_quat[:] = data.mocap_quat
    mujoco.mj_kinematics(model, away)
    pose = look(np.array([*mover.home, 4.0]), 0.0, -1.5)
    near, gone = painter.paint(data, pose, SMALL), painter.paint(away, pose, SMALL)
    ground = near.entity == STATIC
    for axis in (0, 1):  # a pixel on the creature's edge has some of its colour
        ground &= np.roll(ground, 1, axis) & np.roll(ground, -1, axis)
    change = near.rgb.astype(int).mean(-1) - gone.rgb.mean(-1)
    assert change[ground].min() < -15
    assert change[ground].max() < 3


def test_textures_are_numbered_as_scenes_name_them() -> None:
    assert [getattr(textures, name.upper()) for name in TEXTURES] == list(range(len(TEXTURES)))


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-20, 20), width=st.floats(0.02, 0.98), fw=st.floats(0.01, 6))
def test_lines_are_an_exact_box_filter(x: float, width: float, fw: float) -> None:
    samples = x + fw * ((np.arange(20_000) + 0.5) / 20_000 - 0.5)
    assert abs(grain.lines(x, width, fw) - np.mean(samples - np.floor(samples) < width)) < 2e-3


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_mix_within_bounds_and_settle_far_away(name: str) -> None:
    kind = TEXTURES.index(name)
    rng = np.random.default_rng(0)
    near, far = [], []
    for u, v in rng.uniform(-1, 1, (300, 2)):
        a, b, tone = textures.texture(kind, u, v, 0.01, 0.01, 5)
        assert -1e-9 <= a <= 1 + 1e-9 and -1e-9 <= b <= 1 + 1e-9 and 0 < tone < 2
        near.append(a + b)
        far.append(sum(textures.texture(kind, 7 * u, 7 * v, 8.0, 8.0, 5)[:2]))
    regular = "brick tile checker plank stone stripe hexagon chevron ashlar gravel cobble shingle weave lattice"
    if name in (*regular.split(), "mosaic", "books", "carpet", "terrazzo", "parquet"):
        assert np.std(far) < 0.35 * np.std(near)


def test_a_face_that_is_missing_is_no_reason_to_fall_over() -> None:
    """Textures of one face, on a ball and on ground without end, neither of which has one."""
    blocks = Blocks()
    fitted = blocks.surface("fitted", Surface("rosette", ("#888888", "#999999", "#444444")))
    blocks.geom("plane", fitted, (0, 0, 0), (0, 0, 1))
    blocks.ball(fitted, (3.0, 0.0, 1.0), 1.0)
    data, painter = bare(blocks)
    assert painter.paint(data, look(np.array([0.0, 0.0, 1.5]), 0.0, -0.2), SMALL).rgb.std() > 1


def test_mistakes_are_named() -> None:
    scene, model, data, painter = stage("court")
    with pytest.raises(ValueError, match="rotation"):
        painter.paint(data, np.diag([2.0, 1.0, 1.0, 1.0]), SMALL)
    naked = mujoco.MjModel.from_xml_string(scene.xml.replace('material="floor"', ""))
    with pytest.raises(ValueError, match="material out of the scene's surfaces, got None"):
        Painter(scene, naked)
