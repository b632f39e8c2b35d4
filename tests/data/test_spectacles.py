"""Fireworks, birds, fish and fires: functions of the tick, seen where they are, and gone when they are over."""

import math

import mujoco
import numpy as np
import pytest

from perdure.camera import Intrinsics, look, rays
from perdure.data.painting.painter import SPECTACLE, Painter, Picture
from perdure.data.painting.scenery import Scenery, scenery
from perdure.data.painting.spectacles import VALUE, seen
from perdure.data.painting.tracer import ENTITY, POS, ROT
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import Sky, plain
from perdure.world.edit import Change, Edit
from perdure.world.setting import SPECTACLES, Environment, Spectacle
from tests.world import yard

SMALL = Intrinsics.from_fov(96, 54, 75)
NIGHT = Environment(hour=23.0)
PLACES = {"fireworks": (12.0, 0.0, 5.0), "birds": (9.0, 0.0, 3.8), "fish": (3.0, 0.0, 0.3), "fire": (3.0, 0.0, 0.0)}


@pytest.fixture(scope="module")
def stage() -> tuple[mujoco.MjData, Painter]:
    blocks = Blocks()
    grey = blocks.surface("grey", plain("#707070"))
    blocks.geom("plane", grey, (0, 0, 0), (30, 30, 1))
    blocks.box(grey, (3.0, 2.0, 0.6), (0.6, 0.2, 0.6))
    scene = blocks.finish("test", 0, Sky(), (-3.5, -3.5, 0.0), (6.0, 6.0, 4.0), "test")
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data, Painter(scene, model)


def paint(
    stage: tuple[mujoco.MjData, Painter], shown: tuple[Spectacle, ...], tick: int, pitch: float = 0.08
) -> Picture:
    data, painter = stage
    return painter.paint(data, look(np.array([0.0, 0.0, 1.5]), 0.0, pitch), SMALL, Scenery(NIGHT, (), shown, tick))


@pytest.mark.parametrize("kind", SPECTACLES)
def test_it_is_a_function_of_the_tick_and_well_formed(kind: str) -> None:
    spectacle = Spectacle(kind, kind, PLACES[kind], 100, 8.0, 5)
    for tick in range(101, 100 + 8 * 24, 7):
        one, again = seen([spectacle], tick), seen([spectacle], tick)
        assert all(np.array_equal(a, b) and np.isfinite(a).all() for a, b in zip(one, again))
        for geom in one.geoms:
            turn = geom[ROT : ROT + 9].reshape(3, 3)
            assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1.0)
            assert geom[ENTITY] == VALUE == SPECTACLE
        assert (one.sparks[:, 7] >= 0).all() and (one.sparks[:, 7] <= 1).all()
        assert (one.sparks[:, 4:7] >= 0).all() and (one.sparks[:, 4:7] <= 255).all()
    other = Spectacle(kind, kind, PLACES[kind], 100, 8.0, 6)
    assert not all(np.array_equal(a, b) for a, b in zip(seen([spectacle], 160), seen([other], 160)))


def test_birds_fly_smoothly_and_out_of_sight() -> None:
    birds = Spectacle("birds", "birds", PLACES["birds"], 0, 10.0, 3)
    paths = np.stack([seen([birds], tick).geoms[:, POS : POS + 3] for tick in range(1, 240)])
    speed = np.linalg.norm(np.diff(paths[:, ::5], axis=0), axis=-1) * 24
    assert speed.max() < 60 and np.abs(np.diff(speed, axis=0)).max() < 6
    assert 1.5 < np.median(speed) < 12
    assert np.linalg.norm(paths[-1] - birds.place, axis=-1).min() > 25


@pytest.mark.parametrize("kind", SPECTACLES)
def test_it_is_seen_while_it_lasts_and_gone_after(kind: str, stage: tuple[mujoco.MjData, Painter]) -> None:
    spectacle = Spectacle(kind, kind, PLACES[kind], 0, 10.0, 3)
    bare = paint(stage, (), 100)
    changed = [np.abs(paint(stage, (spectacle,), tick).rgb.astype(int) - bare.rgb).max() for tick in range(60, 160, 10)]
    assert max(changed) > 60
    world = yard.world().edit(_written(spectacle))
    assert [s.name for s in scenery(world, 100).spectacles] == [kind]
    assert not scenery(world, 240).spectacles and not scenery(world, -1).spectacles


def test_a_fire_lights_what_is_about_flickers_and_hides_behind_walls(stage: tuple[mujoco.MjData, Painter]) -> None:
    fire = Spectacle("fire", "fire", PLACES["fire"], 0, math.inf, 3)
    bare, lit = paint(stage, (), 100, -0.25), paint(stage, (fire,), 100, -0.25)
    ground = (bare.depth < 2.4) & (lit.entity == 0)
    assert (lit.rgb[ground, 0].astype(int) - bare.rgb[ground, 0]).mean() > 15
    later = paint(stage, (fire,), 104, -0.25)
    assert not np.array_equal(lit.rgb[ground], later.rgb[ground])
    assert (lit.entity == SPECTACLE).any()
    data, painter = stage
    wall = look(np.array([3.0, 5.0, 0.5]), -np.pi / 2, 0.0)  # what stands between is dark on this side
    behind = [painter.paint(data, wall, SMALL, Scenery(NIGHT, (), shown, 100)) for shown in ((), (fire,))]
    across, down = rays(SMALL)[..., 0] * 2.8, rays(SMALL)[..., 1] * 2.8
    face = (np.abs(across) < 0.4) & (down > -0.4) & (down < 0.3)
    assert np.allclose(behind[0].depth[face], 2.8)
    assert np.abs(behind[0].rgb[face].astype(int) - behind[1].rgb[face]).max() < 8


def test_a_fire_that_dies_down_fades(stage: tuple[mujoco.MjData, Painter]) -> None:
    levels = []
    for tick in (100, 130, 145):
        fire = Spectacle("fire", "fire", PLACES["fire"], 0, 150 / 24, 3)
        levels.append(float(paint(stage, (fire,), tick).rgb.mean()))
    assert levels[0] > levels[1] > levels[2] > float(paint(stage, (), 100).rgb.mean())


def _written(spectacle: Spectacle) -> Edit:
    return Edit((Change(f"spectacle/{spectacle.name}", spectacle.to_bytes()),))
