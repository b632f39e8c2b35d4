"""Hours, weathers, seasons and styles: nothing changes where nothing is said, all else sets in softly, and indoors
stays indoors."""

import itertools
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from perdure.camera import Intrinsics, look
from perdure.data.founding import found
from perdure.data.furnishing import furnish
from perdure.data.painting.baking import bake_roof
from perdure.data.painting.painter import Painter, Picture
from perdure.data.painting.scenery import DEFAULT, OVERCAST, Scenery, sky_at
from perdure.data.scenes import KINDS, build
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import Scene, Sky, plain
from perdure.data.truth import painter_of, shown
from perdure.memory.light import drawn, light, lit, unlit
from perdure.memory.view import View
from perdure.presets.nano import nano
from perdure.world.physics import Physics
from perdure.world.setting import SEASONS, STYLES, WEATHERS, Environment, Onset, Setting
from perdure.world.state import World
from tests.data.stages import stage

SMALL = Intrinsics.from_fov(64, 36, 75)


def eye(scene: Scene, turn: float = 0.0, pitch: float = -0.1) -> np.ndarray:
    return look(np.array([*scene.spawn[:2], 1.55]), scene.spawn[2] + turn, pitch)


def seen(kind: str, turn: float = 0.0, tick: int = 400, pitch: float = -0.1, **fields: Any) -> Picture:
    scene, _, data, painter = stage(kind)
    return painter.paint(data, eye(scene, turn, pitch), SMALL, Scenery(Environment(**fields), tick=tick))


def same(one: Picture, other: Picture) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("rgb", "depth", "entity"))


@pytest.mark.parametrize("kind", ["court", "hall", "rooms"])
def test_a_noon_of_a_clear_day_is_painted_as_it_always_was(kind: str) -> None:
    """Kept frames: light and looks stay what worlds were measured with."""
    kept = np.load(Path(__file__).parent / "painted.npz")[kind]
    scene, _, data, painter = stage(kind)
    for turn, frame in zip((0.0, 2.1, 4.2), kept):
        plainly = painter.paint(data, eye(scene, turn), SMALL)
        assert same(plainly, seen(kind, turn))
        # On another processor a last bit may fall the other way.
        assert (np.abs(plainly.rgb.astype(int) - frame) > 1).mean() < 1e-3


def test_what_the_environment_says_is_to_be_seen_and_the_same_each_time() -> None:
    noon = seen("court")
    several: list[dict[str, Any]] = [
        *({"hour": hour} for hour in (6.5, 18.5, 23.0)),
        *({"weather": weather} for weather in WEATHERS[1:]),
        *({"season": season} for season in SEASONS[1:]),
        *({"style": style} for style in STYLES[1:]),
    ]
    for fields in several:
        # Seasons show on what grows: over there.
        turn = next(
            t
            for t in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
            if not fields.get("season") or not same(seen("court", t), seen("court", t, **fields))
        )
        now = seen("court", turn, **fields)
        assert np.abs(now.rgb.astype(int) - seen("court", turn).rgb).mean() > (0.05 if "season" in fields else 0.3), (
            fields
        )
        assert same(now, seen("court", turn, **fields))
        assert np.array_equal(now.depth, seen("court", turn).depth), "light and weather have no depth"
        assert np.array_equal(now.entity, seen("court", turn).entity)
    levels = {hour: seen("court", hour=hour).rgb.mean() for hour in (12.0, 18.5, 23.0)}
    assert levels[23.0] < levels[18.5] < levels[12.0] and levels[23.0] < 0.6 * levels[12.0]
    assert seen("court", weather="storm").rgb.mean() < seen("court", weather="rain").rgb.mean() < noon.rgb.mean()
    # What the environment says and nobody can paint changes nothing.
    assert same(noon, seen("court", weather="frogs", season="monsoon", style="cubist"))


def test_fog_hides_what_is_far() -> None:
    clear, fog = (seen("court", weather=weather).rgb.astype(float) for weather in ("clear", "fog"))
    depth = seen("court").depth
    near, far = depth < 4, (depth > 9) & (depth < 59)
    assert fog[far].std() < 0.5 * clear[far].std()
    assert fog[near].std() > 1.5 * fog[far].std()


def test_what_sets_in_does_so_softly_and_is_a_function_of_the_tick() -> None:
    scene, _, data, painter = stage("court")
    several: list[tuple[str, Any, Any]] = [
        ("hour", 12.0, 23.0),
        ("weather", "clear", "snow"),
        ("style", "", "sepia"),
    ]
    for field, was, now in several:
        setting = Scenery(Environment(**{field: now}), ((field, Onset(1000, was)),))
        frames = [painter.paint(data, eye(scene), SMALL, setting.at(tick)).rgb for tick in range(1000, 1051, 3)]
        steps = [np.abs(a.astype(int).mean((0, 1)) - b.mean((0, 1))).max() for a, b in pairwise(frames)]
        whole = np.abs(frames[0].astype(int).mean((0, 1)) - frames[-1].mean((0, 1))).max()
        assert max(steps) < 0.35 * whole + 1, (field, steps)
        before = painter.paint(data, eye(scene), SMALL, Scenery(Environment(**{field: was}), tick=1000)).rgb
        assert np.array_equal(frames[0], before)
        after = painter.paint(data, eye(scene), SMALL, Scenery(Environment(**{field: now}), tick=2000)).rgb
        assert np.array_equal(painter.paint(data, eye(scene), SMALL, setting.at(2000)).rgb, after)


def test_it_does_not_rain_or_snow_indoors() -> None:
    for turn in (0.0, 1.5, 3.0):
        for weather in ("rain", "snow"):
            frames = [seen("rooms", turn, tick=tick, weather=weather) for tick in (400, 407)]
            assert same(*frames), "nothing falls here"
    one, other = (seen("court", tick=tick, weather="rain").rgb for tick in (400, 407))
    assert not np.array_equal(one, other)


def test_snow_lies_on_what_is_open_and_not_under_a_roof() -> None:
    blocks = Blocks()
    dark = blocks.surface("dark", plain("#404040"))
    blocks.geom("plane", dark, (0, 0, 0), (20, 20, 1))
    blocks.box(dark, (3.0, 1.5, 2.5), (1.2, 1.2, 0.1))
    scene = blocks.finish("test", 0, Sky(), (-3.5, -3.5, 0.0), (6.0, 6.0, 3.0), "test")
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    painter = Painter(scene, model)
    down = look(np.array([3.0, 0.0, 1.5]), 0.0, -1.5)
    under = look(np.array([3.0, 1.5, 1.5]), 0.0, -1.5)
    winter = Scenery(Environment(season="winter", weather="snow"), tick=400)
    open_ground, sheltered = (
        painter.paint(data, pose, SMALL, winter).rgb[14:22, 26:38].mean() for pose in (down, under)
    )
    assert open_ground > 150 and sheltered < 110


def test_a_sky_at_noon_is_the_scenes_own_and_hours_follow_one_another() -> None:
    sky = Sky()
    assert sky_at(sky, DEFAULT).dark == 0.0
    values = [sky_at(sky, (hour / 4, weather)) for hour in range(96) for weather in OVERCAST]
    assert all(np.isfinite(it.values).all() and (it.values[3:12] >= 0).all() for it in values)
    assert [sky_at(sky, (hour, "clear")).dark for hour in (12.0, 23.0)] == [0.0, 1.0]
    with pytest.raises(ValueError, match="hour of the day"):
        sky_at(sky, (25.0, "clear"))


def test_lanterns_are_lit_when_it_is_dark() -> None:
    blocks = Blocks()
    grey = blocks.surface("grey", plain("#808080"))
    glass = blocks.surface("glass", replace(plain("#303030"), lit="#ffcc88"))
    blocks.geom("plane", grey, (0, 0, 0), (20, 20, 1))
    blocks.ball(glass, (3.0, 0.0, 1.6), 0.25)
    unlit = blocks.finish("test", 0, Sky(), (-3.5, -3.5, 0.0), (6.0, 6.0, 3.0), "test")
    blocks.lamp((3.0, 0.0, 1.6), "#ffcc88", 3.0, dusk=True)
    scene = blocks.finish("test", 0, Sky(), (-3.5, -3.5, 0.0), (6.0, 6.0, 3.0), "test")
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    painter, without = Painter(scene, model), Painter(unlit, model)
    pose = look(np.array([0.0, 0.0, 1.6]), 0.0, 0.0)
    night = Scenery(Environment(hour=23.0))
    assert same(painter.paint(data, pose, SMALL), without.paint(data, pose, SMALL)), "by day it gives no light"
    lit, dark = (it.paint(data, pose, SMALL, night).rgb.astype(int) for it in (painter, without))
    assert lit[18, 32].min() > 120, "the glass glows"
    assert lit[30, 32, 0] > dark[30, 32, 0] + 20, "and lights the ground"


# What is in the world


@lru_cache(maxsize=1)
def furnished() -> tuple[World, Painter]:
    scene = build("rooms", 2)
    world, _ = found(scene, nano(), looks=1)
    world = furnish(world, scene)
    return world, painter_of(world)


def test_a_world_is_painted_with_all_that_is_in_it() -> None:
    world, painter = furnished()
    model, data = world.physics.posed()
    owners = world.physics.mechanism.compiled.owners
    for seat in world.physics.mechanism.compiled.things:
        at = data.xpos[seat.body]
        eye = world.motion.cameras[-1, :3, 3]
        way = at - eye
        away = 1.0 if seat.kind == "free" else 1.6
        flat = way[:2] / np.linalg.norm(way[:2])
        stand = np.array([*(at[:2] - away * flat), max(float(at[2]) + 0.5, 0.9)])
        gaze = at - stand
        pose = look(stand, float(np.arctan2(gaze[1], gaze[0])), float(np.arctan2(gaze[2], np.hypot(*gaze[:2]))))
        picture = painter.paint(data, pose, SMALL)
        mine = picture.entity == 1 + seat.entity
        assert mine.sum() > 25, world.entities[seat.entity].name
        # Where physics has it: what is painted lies within what collides, and reaches nearly as far.
        geom, far = np.full(1, -1, np.int32), np.nan
        far = mujoco.mj_ray(
            model, data, stand, pose[:3, 2].copy(), None, True, world.physics.mechanism.compiled.player, geom
        )
        if owners[model.geom_bodyid[geom[0]]] == seat.entity and mine[18, 32]:
            assert -0.02 < picture.depth[18, 32] - far < 0.15


def test_what_comes_in_later_is_shown_without_baking_again() -> None:
    world, painter = furnished()
    after = world.happens("an urn appears")
    urn = after.entities[-1].id
    later = shown(painter, after)
    assert later._light is painter._light
    data, pose = after.physics.posed()[1], after.motion.cameras[-1]
    at = data.body(f"urn{urn}").xpos
    way = at - pose[:3, 3]
    pose = look(pose[:3, 3], float(np.arctan2(way[1], way[0])), -0.5)
    picture = later.paint(data, pose, SMALL)
    assert (picture.entity == 1 + urn).sum() > 20
    # Gone again, all is as it was; hidden, it leaves its shadow behind.
    hidden = later.paint(data, pose, SMALL, hide={urn})
    assert not (hidden.entity == 1 + urn).any()
    before = painter.paint(world.physics.posed()[1], pose, SMALL)
    assert np.array_equal(hidden.depth, before.depth)
    assert hidden.rgb.astype(int).sum() < before.rgb.astype(int).sum()
    assert same(shown(later, world).paint(world.physics.posed()[1], pose, SMALL), before)


def test_a_bare_scene_is_the_same_whether_shown_as_a_world_or_not() -> None:
    scene, _, data, painter = stage("hall")
    physics = Physics.from_xml(scene.xml, scene.movers, scene.spawn)
    again = painter.onto(physics.mechanism)
    for turn in (0.0, 2.0):
        assert same(painter.paint(data, eye(scene, turn), SMALL), again.paint(data, eye(scene, turn), SMALL))


def test_mistakes_are_named() -> None:
    world, painter = furnished()
    strange = replace(
        world.physics.mechanism.bodies[0], mjcf=world.physics.mechanism.bodies[0].mjcf.replace("crate:", "mud:")
    )
    changed = world.physics.mechanism.with_body(strange.entity, strange)
    with pytest.raises(ValueError, match="material out of the scene's surfaces, got 'mud:"):
        painter.onto(changed)


WORN: list[dict[str, Any]] = [
    {"weather": "fog"}, {"weather": "rain"}, {"weather": "storm"}, {"weather": "snow"}, {"hour": 18.5}, {"hour": 23.0},
    {"style": "sketch"}, {"style": "sepia"}, {"style": "pixel"},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["court", "garden"])
def test_what_a_state_shows_of_an_hour_or_a_weather_is_near_what_is_painted(kind: str) -> None:
    """`memory.light` knows neither lamps nor shadows, but how dark it is and how far one sees."""
    scene, _, data, painter = stage(kind)
    world = plainly_founded(scene)
    pose = eye(scene, 0.6)
    noon = painter.paint(data, pose, SMALL)
    for fields in WORN:
        setting = Setting(Environment(**fields))
        shines = light(replace(world, setting=setting))
        assert shines is not None
        view = View(noon.rgb[None].copy(), np.full((1, 36, 64), 255, np.uint8), noon.depth[None],
                    np.zeros((1, 36, 64), np.bool_))  # fmt: skip
        lit(view, shines, pose[None], SMALL)
        drawn(view, shines)
        truth = painter.paint(data, pose, SMALL, Scenery(setting.environment, tick=400)).rgb
        off = [float(np.sqrt(np.mean((shown - truth.astype(float)) ** 2))) for shown in (noon.rgb, view.rgb[0])]
        assert off[1] < min(0.75 * off[0], 45.0), (fields, off)


@pytest.mark.parametrize("fields", [{"weather": "fog"}, {"weather": "rain"}, {"hour": 18.5}, {"hour": 23.0}])
def test_what_is_painted_in_another_light_is_nearer_to_noon_when_it_is_put_back(fields: dict[str, Any]) -> None:
    """As far as it is said to be known. Sun and shadow of another hour stay in it, and lamps are left out."""
    before, after = [], []
    for kind, turn in itertools.product(("court", "garden"), (0.6, 2.2, 3.8, 5.4)):
        scene, _, data, painter = stage(kind)
        setting, pose = Setting(Environment(**fields)), eye(scene, turn)
        shines = light(replace(plainly_founded(scene), setting=setting))
        assert shines is not None
        noon = painter.paint(data, pose, SMALL)
        drawn_ = painter.paint(data, pose, SMALL, Scenery(setting.environment, tick=400))
        back, known = unlit(drawn_.rgb, drawn_.depth, shines, pose, SMALL)
        assert np.array_equal(back[~known], drawn_.rgb[~known])
        before.append(np.abs(drawn_.rgb.astype(int) - noon.rgb)[known])
        after.append(np.abs(back.astype(int) - noon.rgb)[known])
    off = [float(np.concatenate(each).mean()) for each in (before, after)]
    assert off[1] < 0.92 * off[0], off


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_knows_indoors_where_the_painter_does(kind: str) -> None:
    scene = build(kind, 1)
    still = stage(kind)[3]._still  # pyright: ignore[reportPrivateUsage]
    assert plainly_founded(scene).physics.mechanism.compiled.housed == bake_roof(still, scene.extent)[2]


def plainly_founded(scene: Scene) -> World:
    return World.create("there", scene.kind, scene.seed, scene.xml, scene.movers, scene.spawn, intrinsics=SMALL)
