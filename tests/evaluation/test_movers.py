"""Creatures out of view and back, with stand-ins for the model that draw what physics says, nothing, or lies."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import Intrinsics, project
from perdure.data.scenes import build
from perdure.evaluation.movers import ASIDE, GONE, around, carry, centroid, difference, draw, reappear
from perdure.evaluation.outing import Outing, bare, plan, silhouette
from perdure.models.config import NANO
from perdure.presets.nano import Preset
from perdure.runtime.engine import Engine
from perdure.world.action import Action
from perdure.world.history import LATENT
from perdure.world.state import World

PRESET = Preset("stand-in", 256, 144, 75.0, dit=replace(NANO, heads=1, layers=1, recent=1, recalled=1))
LENS = Intrinsics.from_fov(256, 144, 75.0)
KEYS = (1, 144, 1, 64)


class Window:
    """A backend that shows the state's own view, moved to the right by `shift` pixels."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        match graph:
            case "encode":
                return {"latent": np.zeros(LATENT, np.float32)}
            case "remember":
                return {"keys": np.zeros(KEYS, np.float32), "values": np.zeros(KEYS, np.float32)}
            case "denoise":
                return {"velocity": np.zeros(LATENT, np.float32)}
            case _:
                unsure = np.ones((144, 256), np.float32)  # of all depth: nothing is kept
                frames = np.roll(inputs["view"], self.shift, axis=2)
                return {"frames": frames, "depth": unsure, "unsure": unsure, "moving": 0 * unsure}

    def fingerprint(self) -> dict[str, str]:
        return {"weights": "a window"}

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        return {}  # it takes any


class Blind(Window):
    """One that draws what is still, and never a creature: grey all over, with some grain from the latent."""

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        made = super().__call__(graph, inputs)
        if "frames" in made:
            grain = np.resize(inputs["latent"], (144, 256, 1))
            made["frames"] = np.broadcast_to(128 + 4 * grain, (4, 144, 256, 3)).astype(np.uint8)
        return made


@pytest.fixture(scope="module")
def ended() -> tuple[World, int]:
    """An outing's world as it ends, unpainted, and the creature."""
    planned = plan("court", 0, 40, LENS)
    assert isinstance(planned, Outing)
    world = bare(replace(build(planned.kind, planned.seed), spawn=planned.spawn), LENS)
    for action in planned.actions:
        world = world.advance(action)
    return world, planned.entity


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("sheets")
    return reappear(1, 40, spots=1, folder=folder, preset=PRESET, backend=Window()) | {"folder": folder}


def test_what_is_drawn_where_physics_says_is_found_there(figures: dict[str, Any]) -> None:
    assert (figures["cases"], figures["within_5_percent"], figures["no_detection"]) == (1, 1, 0)
    assert figures["error_median"] < 0.02
    assert figures["overlap_median"] > 0.6
    assert (figures["control_false_hits"], figures["control_absent_found"]) == (0, 0)
    assert figures["control_elsewhere_followed"] == figures["control_elsewhere"] == 1


def test_people_can_look(figures: dict[str, Any]) -> None:
    with Image.open(Path(figures["folder"]) / "movers.png") as sheet:
        assert sheet.size == (5 * 260 - 4, 16 + 144)


def test_a_model_that_draws_it_elsewhere_is_caught() -> None:
    figures = reappear(1, 4, spots=1, preset=PRESET, backend=Window(shift=26))
    assert figures["within_5_percent"] == 0
    assert figures["error_median"] == pytest.approx(26 / 256, abs=0.02)
    assert figures["control_elsewhere_followed"] == 0


def test_a_model_that_draws_no_creature_is_caught() -> None:
    figures = reappear(1, 4, spots=1, preset=PRESET, backend=Blind())
    assert (figures["within_5_percent"], figures["no_detection"]) == (0, 1)
    assert figures["error_median"] is None
    assert figures["control_false_hits"] == 0


def test_a_creature_is_carried_aside_and_away(ended: tuple[World, int]) -> None:
    world, entity = ended
    here = centroid(silhouette(world, entity, LENS))
    assert here is not None
    there = here[0] + ASIDE * 256 * (1 if here[0] < 128 else -1)
    aside = carry(world, entity, around(world.motion.cameras[-1], LENS, here[0], there))
    found = centroid(silhouette(aside, entity, LENS))
    assert found is not None and abs(found[0] - there) < 6
    # What it is drawn by is carried as its geoms are.
    before, after = (
        project(it.motion.bodies[entity][-1, :3, 3][None], LENS, it.motion.cameras[-1])[0][0, 0]
        for it in (world, aside)
    )
    assert after - there == pytest.approx(before - here[0], abs=6)
    gone = carry(world, entity, GONE)
    assert not silhouette(gone, entity, LENS).any()
    proxies = [it.physics.proxy(it.motion, 64, 36)[4].sum() for it in (world, gone)]
    assert proxies[1] < proxies[0]


def test_what_is_examined_is_what_the_engine_draws() -> None:
    engine, action = Engine(PRESET, Window()), Action(turn=0.1)
    world = bare(build("court", 1), LENS)
    cache = engine.cache()
    again = draw(world.advance(action), action, engine, cache)
    assert np.array_equal(again, engine.step(world, action, cache)[1][-1])


@given(
    x=st.integers(4, 200), y=st.integers(4, 100), width=st.integers(12, 50), height=st.integers(12, 40),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_largest_blob_is_where_the_frames_differ(x: int, y: int, width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(90, 110, (144, 256, 3), np.uint8)
    other = rng.integers(90, 110, (144, 256, 3), np.uint8)  # grain alone is no blob
    assert centroid(difference(frame, other)) is None
    other[: 9 if y > 20 else 0, :9] = 255  # a smaller blob
    shown = other.copy()
    shown[y : y + height, x : x + width] += 100
    found = centroid(difference(shown, frame))
    assert found is not None
    assert found == pytest.approx((x + min(width, 256 - x) / 2, y + min(height, 144 - y) / 2), abs=0.6)


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"cases": 0}, "1 to 1000 cases"), ({"away": 0}, "1 frame or more"), ({"jobs": 0}, "1 process or more")],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reappear(**asked, preset=PRESET, backend=Window())
