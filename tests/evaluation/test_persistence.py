"""The return trip, on stand-ins whose figures are known beforehand."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import Intrinsics
from perdure.data.scenes import build
from perdure.evaluation import persistence
from perdure.evaluation.persistence import CLEAR, clear_walk, clearance, return_trip, returns
from perdure.evaluation.quality import IDENTICAL
from perdure.models.config import NANO
from perdure.presets.nano import Preset
from perdure.world.action import Action, Keys
from perdure.world.history import LATENT
from perdure.world.state import World

PRESET = Preset("stand-in", 256, 144, 75.0, dit=replace(NANO, heads=1, layers=1, recent=1, recalled=1))
KEYS = (1, 144, 1, 64)


class Parrot:
    """A backend that knows by heart what it encoded, and otherwise shows the view."""

    def __init__(self) -> None:
        self.heard: dict[bytes, NDArray[np.uint8]] = {}

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        match graph:
            case "encode":
                frames = inputs["frames"]
                seed = int.from_bytes(hashlib.sha256(frames.tobytes()).digest()[:8], "little")
                latent = np.random.default_rng(seed).standard_normal(LATENT).astype(np.float16)
                self.heard[latent.tobytes()] = frames
                return {"latent": latent.astype(np.float32)}
            case "remember":
                return {"keys": np.zeros(KEYS, np.float32), "values": np.zeros(KEYS, np.float32)}
            case "denoise":
                return {"velocity": np.zeros(LATENT, np.float32)}
            case _:
                frames = self.heard.get(inputs["latent"].astype(np.float16).tobytes(), inputs["view"])
                nowhere = np.ones((144, 256), np.float32)  # unsure of all depth: nothing is kept
                return {"frames": frames, "depth": nowhere, "unsure": nowhere, "moving": 0 * nowhere}

    def fingerprint(self) -> dict[str, str]:
        return {"weights": "by heart"}

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        return {}  # it takes any


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    sheets = tmp_path_factory.mktemp("sheets")
    made = return_trip(scenes=2, frames=24, preset=PRESET, backend=Parrot(), sheets=sheets)
    return made | {"sheets": sheets}


def test_each_row_has_the_figures_that_it_must_have(figures: dict[str, Any]) -> None:
    observed = figures["observed"]
    assert observed["codec"]["all"]["psnr"] == IDENTICAL
    assert observed["codec"]["all"]["ssim"] == pytest.approx(1, abs=1e-4)
    # This model shows the view as it is: the same where that was seen, and grey, not the mean, where it was not.
    assert observed["nano"]["covered"]["psnr"] == observed["view"]["covered"]["psnr"] > 20
    assert observed["nano"]["uncovered"]["psnr"] != observed["view"]["uncovered"]["psnr"]
    assert observed["no memory"]["all"]["psnr"] < observed["nano"]["all"]["psnr"]
    assert observed["no memory"]["all"]["sharpness"] == 0  # nothing but grey
    assert figures["imagined_to_truth"]["nano"] == observed["nano"]  # nothing was kept, so nothing was told


def test_mirrored_frames_show_the_same_place(figures: dict[str, Any]) -> None:
    """The truth against itself at mirrored poses: shadows of creatures are all that may differ."""
    codec = figures["imagined_to_way_out"]["codec"]
    assert codec["all"]["psnr"] > 38
    assert codec["all"]["share"] == 1.0
    assert codec["covered"]["share"] + codec["uncovered"]["share"] == pytest.approx(1.0, abs=1e-3)


def test_covered_and_uncovered_make_up_the_whole(figures: dict[str, Any]) -> None:
    for row in figures["observed"].values():
        assert row["covered"]["share"] + row["uncovered"]["share"] == pytest.approx(1.0, abs=1e-3)
    assert [each["kind"] for each in figures["each"]] == ["court", "hall"]
    assert all(set(each["observed"]) == set(persistence.ROWS) for each in figures["each"])


def test_people_can_look(figures: dict[str, Any]) -> None:
    sheets = sorted(Path(figures["sheets"]).glob("*.png"))
    assert [sheet.name for sheet in sheets] == ["return-00-court.png", "return-01-hall.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (7 * 260 - 4, 16 + 5 * 148 - 4)


def bare(kind: str, seed: int) -> World:
    """A scene's world, unpainted: walks need no more."""
    scene, eye = build(kind, seed), Intrinsics.from_fov(256, 144, 75.0)
    return World.create("bare", kind, seed, scene.xml, scene.movers, scene.spawn, intrinsics=eye, seed=seed)


def test_walks_keep_clear_and_come_back() -> None:
    world = bare("rooms", 2)
    _, actions = clear_walk(world, 32, 2)
    start = world.motion.cameras[-1]
    far, nearest = 0.0, np.inf
    for action in actions:
        world = world.advance(action)
        far = max(far, float(np.abs(world.motion.cameras[-1][:2, 3] - start[:2, 3]).max()))
        nearest = min(nearest, clearance(world))
    assert far > 1
    assert nearest >= CLEAR - 1e-6
    assert np.abs(world.motion.cameras[-1] - start).max() < 1e-4


def test_walks_into_walls_are_dropped() -> None:
    into = [Action(Keys.FORWARD)] * 90
    assert not returns(bare("court", 0), [*into, *[a.reversed() for a in into]])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"frames": 20}, "a multiple of 8"),
        ({"scenes": 0}, "1 to 1000 scenes"),
        ({"rows": ("view",)}, "expected nano"),
        ({"rows": ("nano", "dreams")}, "dreams"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        return_trip(**asked, preset=PRESET, backend=Parrot())
