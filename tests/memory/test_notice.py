"""Notice: what is kept is new, certain and still, and an estimated depth is first fitted to the known."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from perdure.camera import FAR, Intrinsics
from perdure.data import props
from perdure.memory.contact import shaded
from perdure.memory.light import light, lit
from perdure.memory.notice import NEW, edge, enlarged, fitted, movable, near, notice
from perdure.memory.view import View
from perdure.models.context import Context
from perdure.world import edit
from perdure.world.body import Body, crate, door, plank
from perdure.world.setting import Environment, Setting
from perdure.world.state import World
from tests.world import yard

H, W = 96, 128


def given(confidence: np.ndarray, depth: np.ndarray, environment: Environment | None = None) -> tuple[Any, Any]:
    """A world and a context, as far as notice looks at them."""
    motion = SimpleNamespace(cameras=np.eye(4)[None], bodies={}, intrinsics=Intrinsics.from_fov(W, H, 75))
    context = SimpleNamespace(confidence=confidence[None], depth=depth[None].astype(np.float32))
    nobody = SimpleNamespace(
        silhouette=lambda motion, width, height: np.zeros((height, width), np.float32), things=(), tick=20
    )
    nobody.mechanism = yard.world().physics.mechanism
    return SimpleNamespace(
        step=5, motion=motion, physics=nobody, entities=(), setting=Setting(environment or Environment())
    ), context


def look(
    confidence: np.ndarray, known: np.ndarray, estimate: np.ndarray, unsure: float = 0.02, moving: Any = 0.0
) -> Any:
    world, context = given(confidence, known)
    rgb = np.zeros((H, W, 3), np.uint8)
    shape = np.zeros((H, W), np.float32)
    return notice(world, context, rgb, estimate.astype(np.float32), shape + unsure, (shape + moving).astype(np.float32))


def half_known() -> np.ndarray:
    confidence = np.full((H, W), 255, np.uint8)
    confidence[:, W // 2 :] = 0
    return confidence


def test_only_what_no_keyframe_covers_is_kept() -> None:
    flat = np.full((H, W), 4.0)
    mask = look(half_known(), flat, flat).mask
    assert not mask[:, : W // 2].any() and mask[:, W // 2 :].all()
    assert not look(np.full((H, W), NEW, np.uint8), flat, flat).mask.any()


def test_an_estimate_is_scaled_to_what_is_known() -> None:
    known = np.full((H, W), 4.0)
    found = look(half_known(), known, known * 1.15)
    np.testing.assert_allclose(found.depth[found.mask] / 1000, 4.0, rtol=0.01)


@pytest.mark.parametrize("wrong", [{"unsure": 0.5}, {"moving": 0.9}])
def test_what_is_unsure_or_moves_is_left_out(wrong: dict[str, float]) -> None:
    flat = np.full((H, W), 4.0)
    assert not look(half_known(), flat, flat, **wrong).mask.any()


THING = crate(5, (3.0, 0.0, 0.0), (0.6, 0.6, 0.6))


@pytest.mark.parametrize("body", [THING, plank(5, (4.4, 0.0, 0.0), yaw=1.0), door(5, (2.5, -0.5, 0.0), yaw=1.4)])
def test_of_a_thing_that_could_move_nothing_is_kept_and_what_it_hid_is_kept_when_it_is_gone(body: Body) -> None:
    world = World.create("yard", "yard", 0, yard.XML, (yard.BEAST,), (0.0, 0.0, 0.0), bodies=(body,))
    h, w = world.motion.intrinsics.height, world.motion.intrinsics.width
    inverse, *_, movable = world.physics.proxy(world.motion, w, h)
    depth = (1 / np.maximum(inverse, 1 / FAR)).astype(np.float32)
    unknown = SimpleNamespace(confidence=np.zeros((1, h, w), np.uint8), depth=np.zeros((1, h, w), np.float32))
    rgb, still = np.zeros((h, w, 3), np.uint8), np.zeros((h, w), np.float32)

    def kept(world: World, depth: np.ndarray) -> np.ndarray:
        return notice(world, cast(Context, unknown), rgb, depth, still + 0.01, still).mask

    assert movable.sum() > 100
    # Depth that is a little off, and reaches beyond the outline, as an estimate does.
    soft = np.where(near(movable > 0, 2), 0.95 * depth[movable > 0].mean(), depth).astype(np.float32)
    for guess in (depth, 1.1 * depth, soft):
        assert not (kept(world, guess) & near(movable > 0, 2)).any()
    assert kept(world, depth)[~near(movable > 0, 12)].mean() > 0.8  # and all else is
    gone = world.edit(edit.remove(5))
    ground = (1 / np.maximum(gone.physics.proxy(gone.motion, w, h)[0], 1 / FAR)).astype(np.float32)
    assert kept(gone, ground)[movable > 0].mean() > 0.8


def test_nothing_is_kept_of_the_ground_that_a_thing_darkens() -> None:
    entity, body = props.prop("crate", 5, (4.2, 0.0, 0.0))
    world = World.create("yard", "yard", 0, yard.XML, entities=(entity,), movers=(yard.BEAST,), bodies=(body,))
    h, w = world.motion.intrinsics.height, world.motion.intrinsics.width
    depth = (1 / np.maximum(world.physics.proxy(world.motion, w, h)[0], 1 / FAR)).astype(np.float32)
    unknown = SimpleNamespace(confidence=np.zeros((1, h, w), np.uint8), depth=np.zeros((1, h, w), np.float32))
    still = np.zeros((h, w), np.float32)
    mask = notice(world, cast(Context, unknown), np.zeros((h, w, 3), np.uint8), depth, still + 0.01, still).mask
    dark = shaded(depth, world)
    assert dark.sum() > 100 and not (mask & dark).any() and mask.mean() > 0.5


def test_what_stands_before_a_thing_is_kept() -> None:
    world = World.create("yard", "yard", 0, yard.XML, (yard.BEAST,), (0.0, 0.0, 0.0), bodies=(THING,))
    wall = np.full((144, 256), 1.5, np.float32)
    assert not movable(world, wall).any() and movable(world, wall + 3.0).any()


def test_depth_edges_are_left_out_but_slopes_are_not() -> None:
    step = np.full((H, W), 3.0)
    step[:, 100:] = 6.0
    mask = look(half_known(), step, step).mask
    assert not mask[:, 99:101].any() and mask[:, 70:95].all() and mask[:, 105:].all()
    slope = np.broadcast_to(2.0 + 0.05 * np.arange(W), (H, W))
    assert not edge(slope.astype(np.float32)).any()


def test_the_sky_stands_at_its_own_depth() -> None:
    estimate = np.full((H, W), 4.0)
    estimate[: H // 3] = 52.0
    found = look(half_known(), estimate, estimate)
    assert (found.depth[: H // 3] == FAR * 1000).all()


def test_fitting_follows_an_error_that_varies_over_the_image() -> None:
    true = np.full((H, W), 5.0, np.float32)
    wrong = true * np.linspace(0.9, 1.1, W, dtype=np.float32)[None]
    known = np.ones((H, W), np.bool_)
    known[:, 80:] = False
    after = fitted(wrong, true, known)
    assert np.abs(after / true - 1)[:, :80].mean() < 0.02
    assert np.abs(after / true - 1).mean() < 0.6 * np.abs(wrong / true - 1).mean()
    few = np.zeros_like(known)
    assert np.array_equal(fitted(wrong, true, few), wrong)


def test_enlarging_keeps_a_ramp_and_growing_grows() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (6, 8))
    large = enlarged(ramp.copy(), H, W)
    np.testing.assert_allclose(
        large[:, 8:-8], np.broadcast_to((np.arange(W) + 0.5) / 16 - 0.5, (H, W))[:, 8:-8], atol=1e-5
    )
    dot = np.zeros((9, 9), np.bool_)
    dot[4, 4] = True
    assert near(dot, 2).sum() == 13


@pytest.mark.parametrize(("environment", "kept"), [({"hour": 22.0}, 1.0), ({"weather": "rain"}, 0.5),
                                                   ({"weather": "fog"}, 0.5), ({"style": "sepia"}, 0.0)])  # fmt: skip
def test_what_is_drawn_in_another_light_is_kept_as_it_is_at_noon_or_not_at_all(
    environment: dict[str, Any], kept: float
) -> None:
    """A wall, of which the right half is too far away to be known of in fog and rain."""
    depth = np.full((H, W), 1.5, np.float32)
    depth[:, W // 2 :] = 40.0
    noon = np.random.default_rng(1).integers(100, 220, (H, W, 3), dtype=np.uint8)
    world, context = given(np.zeros((H, W), np.uint8), np.zeros((H, W)), Environment(**environment))
    shines = light(world)
    assert shines is not None
    view = View(noon[None].copy(), np.full((1, H, W), 255, np.uint8), depth[None], np.zeros((1, H, W), np.bool_))
    lit(view, shines, world.motion.cameras, world.motion.intrinsics)
    zeros = np.zeros((H, W), np.float32)
    found = notice(world, context, view.rgb[0], depth, zeros, zeros)
    assert found.mask.mean() == pytest.approx(kept, abs=0.04)  # not about the edge between near and far
    if kept:
        assert np.abs(view.rgb[0].astype(int) - noon)[found.mask].mean() > 20
        assert np.abs(found.rgb.astype(int) - noon)[found.mask].mean() < 3
