"""What is seen again looks the same, in other light and from another distance; what is another thing does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, look, rays
from perdure.memory.appearance import PLAIN, Embedding, acquaint, colours, look_at, plain, quality, shares, sight
from perdure.memory.track import cut_patch, look_around
from perdure.world.bank import FINEST
from perdure.world.identity import Entity, Patch

LENS = Intrinsics.from_fov(160, 120, 60.0)
RED, BLUE, SAND = (0.5, 0.05, 0.04), (0.05, 0.1, 0.4), (0.6, 0.45, 0.25)

Colour = tuple[float, float, float]


def paint(
    camera: Array,
    lens: Intrinsics,
    top: Colour = RED,
    bottom: Colour = SAND,
    radius: float = 0.5,
    light: Colour = (1, 1, 1),
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """A ball about the origin in two halves, shaded from above: (rgb, depth, entity map)."""
    ahead = rays(lens) @ camera[:3, :3].T
    eye = camera[:3, 3]
    a, b, c = (ahead**2).sum(-1), ahead @ eye, eye @ eye - radius**2
    root = b * b - a * c
    near = (-b - np.sqrt(np.maximum(root, 0))) / a
    ball = (root > 0) & (near > 0)
    depth = np.where(ball, near, FAR)
    normal = (ahead * depth[..., None] + eye) / radius
    linear = np.where(normal[..., 2:] > 0, top, bottom) * light * (0.7 + 0.3 * normal[..., 2:])
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    rgb = np.where(ball[..., None], np.clip(255 * srgb, 0, 255), 90).astype(np.uint8)
    return rgb, depth.astype(np.float32), ball.astype(np.uint8)


def patch(yaw: float = 0.0, metres: float = 2.5, **more: object) -> Patch:
    camera = look(np.array([-metres * np.cos(yaw), -metres * np.sin(yaw), 0.3]), yaw, -0.1)
    out = cut_patch(*paint(camera, LENS, **more), 1, camera, np.eye(4), LENS)  # type: ignore[arg-type]
    assert out is not None
    return out


def off(one: Patch, other: Patch) -> float:
    return float(np.linalg.norm(plain(one) - plain(other))) / PLAIN.radius


@pytest.mark.parametrize("light", [0.3, 0.6, 1.5])
def test_brightness_drops_out(light: float) -> None:
    assert off(patch(), patch(light=(light,) * 3)) < 0.35


def test_warm_light_is_not_another_coat() -> None:
    assert off(patch(), patch(light=(1.1, 1.0, 0.85))) < 0.8


@pytest.mark.parametrize("yaw", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("metres", [1.5, 5.0])
def test_neither_side_nor_distance_matter_to_a_ball(yaw: float, metres: float) -> None:
    assert off(patch(), patch(yaw, metres)) < 0.5


def test_another_colour_is_another_thing() -> None:
    assert off(patch(), patch(top=BLUE)) > 1
    assert off(patch(), patch(bottom=BLUE)) > 1
    assert off(patch(top=RED, bottom=BLUE), patch(top=BLUE, bottom=RED)) > 1  # the same colours, the other way up
    assert off(patch(), patch(radius=1.3, metres=6.0)) > 1  # the same colours, larger


def test_numbers_are_the_same_each_time() -> None:
    assert plain(patch()).tobytes() == plain(patch()).tobytes()
    assert look_at(patch(), 3) == look_at(patch(), 3)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=30))
def test_shares_are_shares(chroma: list[tuple[float, float]]) -> None:
    row = shares(np.array(chroma))
    assert (row >= 0).all() and np.linalg.norm(row) == pytest.approx(1)
    np.testing.assert_allclose(row, shares(np.array(chroma + chroma)))


def test_quality_is_of_what_there_is_to_see() -> None:
    near, far = quality(patch(metres=2.0)), quality(patch(metres=5.0))
    assert 1.0 >= near > far > 0.05
    camera = look(np.array([-2.0, 0.0, 0.0]), 0.45, 0.0)  # half out of the picture
    cut = cut_patch(*paint(camera, LENS), 1, camera, np.eye(4), LENS)
    assert cut is not None and cut.mask[:, -1].any()
    assert quality(cut) < 0.6 * near


def test_a_sighting_says_where_from_where_and_what() -> None:
    camera = look(np.array([0.0, -2.5, 0.2]), np.pi / 2, 0.0)
    rgb, depth, ball = paint(camera, LENS)
    seen = sight(rgb, depth, ball == 1, camera, LENS, 4.0, 24)
    assert seen is not None
    assert np.linalg.norm(seen.position) < 0.5
    assert (seen.look.azimuth, seen.look.step, seen.time) == (270, 24, 4.0)
    assert 0 < seen.look.quality <= FINEST
    assert sight(rgb, depth, ball == 7, camera, LENS, 4.0, 24) is None
    few = np.zeros_like(ball, np.bool_)
    few[60, 75:80] = True
    assert sight(rgb, depth, few, camera, LENS, 4.0, 24) is None


def test_a_learned_embedding_can_take_its_place() -> None:
    mean = Embedding("mean colour", 10.0, lambda patch: patch.rgb[patch.mask].mean(0))
    one = look_at(patch(), 0, mean)
    assert (one.by, len(one.embedding)) == ("mean colour", 3)
    known = acquaint(Entity(1, "ball", "ball", "", (patch(), patch(2.0))), embedding=mean)
    assert {look.by for look in known.looks} == {"mean colour"}


def test_founding_looks_are_vouched_for() -> None:
    patches = look_around(lambda pose, lens: paint(pose, lens), 1, np.eye(4), 1.0, LENS)
    one = acquaint(Entity(1, "ball", "ball", "ball", patches))
    assert one.exemplar == look_at(patches[0], -1)
    assert len(one.bank) == len(patches) and {look.links for look in one.bank} == {0}
    assert len({look.bin for look in one.bank}) == 8
    assert acquaint(one).digest == one.digest
    assert acquaint(Entity(2, "ball", "ball", "")).exemplar is None
    with pytest.raises(ValueError, match="empty mask"):
        look_at(Patch(np.eye(4), LENS, patches[0].rgb, patches[0].depth, np.zeros((120, 160), np.bool_)), 0)


@pytest.mark.parametrize(
    ("linear", "word"),
    [
        (RED, "red"), (BLUE, "blue"), ((0.05, 0.3, 0.06), "green"), ((0.8, 0.65, 0.05), "yellow"),
        ((0.9, 0.9, 0.9), "white"), ((0.01, 0.01, 0.01), "black"), ((0.2, 0.2, 0.2), "grey"),
        ((0.8, 0.25, 0.02), "orange"), ((0.2, 0.06, 0.4), "purple"), ((0.08, 0.04, 0.01), "brown"),
        ((0.8, 0.25, 0.45), "pink"), ((0.05, 0.4, 0.4), "turquoise"),
    ],
)  # fmt: skip
def test_colours_have_names(linear: Colour, word: str) -> None:
    assert colours([patch(top=linear, bottom=linear)])[0] == word


def test_the_commonest_colour_is_named_first() -> None:
    assert colours([patch(top=RED, bottom=BLUE), patch(top=RED, bottom=RED)]) == ("red", "blue")
    assert colours([]) == ()
