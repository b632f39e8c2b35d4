"""Air: what has no body is shown where and when the setting says, and nothing of it is kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perdure.camera import FAR, Intrinsics, look
from perdure.memory.air import SURE, fill
from perdure.memory.light import light
from perdure.memory.notice import KNOWN, NEW
from perdure.memory.view import View
from perdure.world.setting import SPECTACLES, Environment, Setting, Spectacle
from perdure.world.state import World
from tests.world import yard

LENS = Intrinsics.from_fov(96, 64, 75.0)
EYE = np.array([0.0, 0.0, 1.5])
AHEAD = (4.0, 0.0, 1.0)
LATER = 72  # ticks: by then a rocket has burst, a fish leapt


def there(environment: Environment | None = None, *spectacles: Spectacle) -> World:
    """In the yard, three seconds after it began."""
    world = yard.world()
    object.__setattr__(world.physics, "tick", LATER)
    return replace(world, setting=Setting(environment or Environment(), spectacles=spectacles))


def spectacle(kind: str, **fields: Any) -> Spectacle:
    return Spectacle("it", kind, **({"place": AHEAD, "start": 0, "seconds": 20.0} | fields))


def shown(world: World, far: float = 30.0, ways: float = 0.0) -> tuple[View, View]:
    """A view of something black that is so far off, as it was and with what is in the air; 0 for nothing known."""
    shape = 4, LENS.height, LENS.width
    cameras = np.stack([look(EYE, ways, 0.2)] * 4)
    before, after = (
        View(
            np.zeros((*shape, 3), np.uint8),
            np.full(shape, 255 if far else 0, np.uint8),
            np.full(shape, far, np.float32),
            np.zeros(shape, np.bool_),
        )
        for _ in range(2)
    )
    fill(after, world, light(world), cameras, LENS)
    return before, after


def changed(before: View, after: View) -> np.ndarray:
    return (before.rgb != after.rgb).any(-1)


def test_where_nothing_is_in_the_air_the_view_stays_as_it_is() -> None:
    over = spectacle("fire", start=-480, seconds=10.0)
    for world in (there(), there(Environment(weather="fog", hour=22.0)), there(None, over)):
        before, after = shown(world)
        for name in ("rgb", "confidence", "depth", "mover"):
            assert np.array_equal(getattr(before, name), getattr(after, name)), name


@pytest.mark.parametrize("kind", SPECTACLES)
def test_a_spectacle_is_seen_where_it_is_moves_and_is_nothing_to_keep(kind: str) -> None:
    place = (9.0, 0.0, 4.0) if kind in ("birds", "fireworks") else AHEAD
    before, after = shown(there(None, spectacle(kind, place=place)))
    different = changed(before, after)
    assert different.any() and not np.array_equal(after.rgb[0], after.rgb[-1])
    assert (after.confidence[different] >= NEW).all() and NEW < SURE <= KNOWN
    behind_me = shown(there(None, spectacle(kind, place=place)), ways=np.pi)
    behind_a_wall = shown(there(None, spectacle(kind, place=place)), far=0.5)
    for elsewhere in (behind_me, behind_a_wall):
        assert changed(*elsewhere).sum() < 0.05 * different.sum() + 1


def test_what_is_solid_of_it_is_known_even_where_nothing_else_is() -> None:
    before, after = shown(there(None, spectacle("fire")), far=0.0)
    solid = after.mover
    assert solid.any() and np.abs(after.depth[solid] - AHEAD[0]).max() < 1.0
    assert (after.confidence[solid] == SURE).all()
    dim = changed(before, after) & (after.confidence == 0)
    assert (after.depth[dim] == 0).all() and set(np.unique(after.depth[~solid])) <= {0.0, FAR}


def test_at_night_birds_are_dark_and_a_fire_is_not() -> None:
    night = Environment(hour=23.0)
    for kind, least in (("birds", 0.0), ("fire", 0.8)):
        place = (9.0, 0.0, 4.0) if kind == "birds" else AHEAD
        day, dark = (shown(there(at, spectacle(kind, place=place)))[1].rgb.max() for at in (None, night))
        assert least * day <= dark and (kind == "fire" or dark < 0.6 * day)


@pytest.mark.parametrize("weather", ["rain", "storm", "snow"])
def test_it_falls_out_of_doors_the_same_each_time_and_not_under_a_roof(
    weather: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = there(Environment(weather=weather))
    before, after = shown(world)
    assert 0.001 < changed(before, after).mean() < 0.2
    assert np.array_equal(after.rgb, shown(world)[1].rgb) and not np.array_equal(after.rgb[0], after.rgb[1])
    assert np.array_equal(after.confidence, before.confidence) and np.array_equal(after.depth, before.depth)
    monkeypatch.setitem(vars(world.physics.mechanism.compiled), "housed", True)
    assert not changed(*shown(world)).any()
