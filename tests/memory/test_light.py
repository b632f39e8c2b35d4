"""Light: a state keeps clear noon, shows what is, and of what is drawn in another light keeps what noon can be known
of. What the playground's painter makes of the same places is in tests/data/test_scenery.py."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import FAR, Intrinsics, look, rays
from perdure.memory.light import ABOVE, LYING, Light, drawn, light, lit, unlit
from perdure.memory.view import View
from perdure.world.action import Action
from perdure.world.setting import STYLES, WEATHERS, Environment, Onset, Setting
from perdure.world.state import World
from tests.world import yard

LENS = Intrinsics.from_fov(64, 36, 75.0)
CAMERA = look(np.array([0.0, 0.0, 1.5]), 0.3, -0.2)
WEATHERED = st.builds(
    Environment, st.floats(0.0, 23.99), st.sampled_from(WEATHERS), st.sampled_from(("", "winter")), st.just("")
)


NOON = Environment()


def world(environment: Environment = NOON, **onsets: Onset) -> World:
    return replace(yard.world(), setting=Setting(environment, onsets=tuple(sorted(onsets.items()))))


def shines(**fields: Any) -> Light:
    found = light(world(Environment(**fields)))
    assert found is not None
    return found


def place(seed: int = 0) -> View:
    """A floor at height 0 and the sky above it, in colours of chance; the first columns are not known."""
    ways = rays(LENS) @ CAMERA[:3, :3].T
    depth = np.where(ways[..., 2] < -1e-3, -CAMERA[2, 3] / np.minimum(ways[..., 2], -1e-3), FAR)
    depth = np.minimum(depth, FAR).astype(np.float32)
    depth[:, :4] = 0
    rgb = np.random.default_rng(seed).integers(0, 256, (1, *depth.shape, 3), dtype=np.uint8)
    return View(rgb, np.full((1, *depth.shape), 255, np.uint8), depth[None], np.zeros((1, *depth.shape), np.bool_))


def linear(rgb: np.ndarray) -> np.ndarray:
    x = rgb / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def encoded(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def plainly(view: View, shines: Light) -> np.ndarray:
    """The twin of what is compiled, where no snow lies."""
    depth, colour = view.depth[0, ..., None], linear(view.rgb[0])
    left = np.exp(-shines.fog * depth * np.linalg.norm(rays(LENS), axis=-1, keepdims=True))
    near = colour * shines.gain * left + shines.air * (1 - left)
    sky = (colour * shines.sky + shines.glow) * (1 - shines.veil) + shines.air * shines.veil
    return np.where(depth == 0, view.rgb[0], encoded(np.where(depth >= ABOVE, sky, near)))


@settings(deadline=None, max_examples=30)
@given(WEATHERED, st.integers(0, 9))
def test_it_is_as_the_plain_twin_has_it(environment: Environment, seed: int) -> None:
    found = light(world(environment))
    if found is None:
        assert environment == replace(environment, hour=12.0, weather="clear", season="")
        return
    found = replace(found, snow=0.0)
    view = place(seed)
    want = plainly(view, found)
    lit(view, found, CAMERA[None], LENS)
    # The table of colours has 4,096 steps: in the darkest of them one is more than a byte.
    assert np.abs(view.rgb[0] - want).max() < 2


@settings(deadline=None, max_examples=30)
@given(WEATHERED, st.integers(0, 9))
def test_what_is_put_back_is_what_it_was_where_that_is_said_to_be_known(environment: Environment, seed: int) -> None:
    found = light(world(environment))
    if found is None:
        return
    noon, view = place(seed).rgb[0], place(seed)
    lit(view, found, CAMERA[None], LENS)
    back, known = unlit(view.rgb[0], view.depth[0], found, CAMERA, LENS)
    assert not known[:, :4].any()
    if (
        known.any()
    ):  # a tenth of the light is left at least, so a step of it is ten of noon's, and more where it is dark
        off = np.abs(linear(back) - linear(noon))[known]
        assert off.max() < 0.12 and off.mean() < 0.02


def test_clear_noon_is_no_light_at_all_and_whatever_else_holds_is_one() -> None:
    assert light(world()) is None
    assert light(world(Environment(caption="a yard"))) is None
    for fields in ({"hour": 20.0}, {"weather": "rain"}, {"season": "winter"}, {"style": "sketch"}):
        assert light(world(Environment(**fields))) is not None  # pyright: ignore[reportArgumentType]
    # Weather in somebody's own words changes nothing that is known of.
    assert light(world(Environment(weather="ashes fall"))) is None


def test_it_sets_in_softly() -> None:
    now, thick = world(Environment(weather="fog"), weather=Onset(0, "clear")), [0.0]
    for _ in range(16):  # of four ticks each: two seconds and more
        now = yard.step(now, Action())
        found = light(now)
        assert found is not None and thick[-1] <= found.fog <= shines(weather="fog").fog
        thick.append(found.fog)
    assert thick[2] < 0.2 * thick[-1] and thick[-1] == shines(weather="fog").fog


def test_fog_hides_what_is_far_and_the_night_is_dark() -> None:
    view, noon = place(), place()
    lit(view, shines(weather="fog"), CAMERA[None], LENS)
    near, far = view.depth[0] < 3, (view.depth[0] > 30) & (view.depth[0] < ABOVE)
    spread = [float(view.rgb[0][part & (view.depth[0] > 0)].std()) for part in (near, far)]
    assert spread[1] < 0.3 * spread[0]
    dark = place()
    lit(dark, shines(hour=23.0), CAMERA[None], LENS)
    known = view.depth[0] > 0
    assert linear(dark.rgb[0][known]).mean() < 0.25 * linear(noon.rgb[0][known]).mean()
    assert np.array_equal(dark.rgb[0][~known], noon.rgb[0][~known])


def test_snow_lies_on_the_ground_and_on_no_wall() -> None:
    found = shines(weather="snow")
    assert found.snow == 1.0
    view = place()
    lit(view, found, CAMERA[None], LENS)
    ground = (view.depth[0] > 0) & (view.depth[0] < 6)
    want = encoded(np.array(LYING) * found.air)
    assert np.abs(view.rgb[0][ground] - want).mean() < 20  # a little shows through, and some air is between
    assert view.rgb[0][ground].std() < 0.2 * place().rgb[0][ground].std()
    depth = np.full((1, *view.depth.shape[1:]), 5.0, np.float32)
    wall = replace(place(), depth=depth)
    plain = plainly(wall, found)
    level = look(np.array([0.0, 0.0, 1.5]), 0.0, 0.0)
    lit(wall, found, level[None], LENS)
    assert np.abs(wall.rgb[0] - plain).max() < 2


@pytest.mark.parametrize("style", STYLES[1:])
def test_a_style_is_shown_and_nothing_that_is_drawn_in_it_is_known(style: str) -> None:
    view = place()
    drawn(view, shines(style=style))
    assert not np.array_equal(view.rgb, place().rgb)
    assert not unlit(view.rgb[0], view.depth[0], shines(style=style), CAMERA, LENS)[1].any()


def test_what_fog_hides_and_snow_covers_is_not_known() -> None:
    for weather, near, least in (("fog", 3.0, 0.5), ("snow", 6.0, 0.0)):
        view, found = place(), shines(weather=weather)
        lit(view, found, CAMERA[None], LENS)
        depth = view.depth[0]
        known = unlit(view.rgb[0], depth, found, CAMERA, LENS)[1]
        assert known[(depth > 0) & (depth < near)].mean() >= least
        assert not known[depth > 30 if weather == "fog" else (depth > 0) & (depth < near)].any()


def test_what_is_brighter_than_the_light_allows_is_not_of_it() -> None:
    """A lamp, a spark, a flake: taken for a wall in the dark it would be white by day."""
    night, depth = shines(hour=23.0), np.full((LENS.height, LENS.width), 4.0, np.float32)
    rgb = np.full((*depth.shape, 3), 50, np.uint8)
    rgb[:, ::2] = 240
    back, known = unlit(rgb, depth, night, CAMERA, LENS)
    assert known[:, 1::2].all() and not known[:, ::2].any()
    assert (back[known] > 60).all() and (back[~known] == 240).all()


def test_words_that_nobody_knows_change_nothing() -> None:
    world_ = world(Environment(hour=22.0, weather="ashes fall", season="monsoon", style="oils"))
    found = light(world_)
    assert found is not None and found.styles == () and found.fog == 0.0
    assert np.array_equal(found.gain, shines(hour=22.0).gain)


def test_a_day_has_no_gap() -> None:
    before = shines(hour=0.0).gain
    for hour in np.arange(0.0, 24.0, 0.05):
        found = light(world(Environment(hour=float(hour))))
        gain = np.ones(3) if found is None else found.gain
        assert np.abs(gain - before).max() < 0.03, hour
        before = gain
    late = light(world(Environment(hour=1.0), hour=Onset(0, 24.0)))
    assert late is not None and np.allclose(late.gain, shines(hour=1.0).gain)
