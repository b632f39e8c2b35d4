"""An empty home, and models and scenes that cost nothing; a world with a past to copy from."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from perdure.data import founding
from perdure.presets.nano import Preset
from perdure.runtime import engine as runtime
from perdure.world.action import Action
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import lived, yard
from tests.world.yard import XML

MADE_WITH = {"weights": "abc"}


class Engine:
    """Draws pictures that tell what was asked for: as it was seen is red, from a camera green; blue is the step."""

    preset = None
    backend = SimpleNamespace(fingerprint=lambda: dict(MADE_WITH))

    def redraw(self, then: World) -> tuple[World, np.ndarray]:
        return then, self._picture(200, 0, then)

    def observe(self, now: World, pose: np.ndarray) -> np.ndarray:
        return self._picture(0, 100 + int(pose[0, 3]), now)

    def open(self, world: World, store: Store) -> tuple[World, None, None]:
        return world, None, None

    def step(self, world: World, action: Action, cache: None) -> tuple[World, np.ndarray]:
        world = yard.step(world, action)
        return world, self._picture(100, 0, world)

    def _picture(self, red: int, green: int, now: World) -> np.ndarray:
        return np.full((4, 144, 256, 3), (red, green, now.step), np.uint8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def found_kind(kind: str, seed: int, preset: Preset, name: str, spots: int, view: str, avatar: str) -> World:
        if kind not in ("court", "hall", "rooms"):
            raise ValueError(f"expected a scene out of court, hall, rooms, got {kind!r}")
        return World.create(name, kind, seed, XML, seed=seed)

    monkeypatch.setattr(runtime, "load", Engine)
    monkeypatch.setattr(runtime, "drawn_by", lambda: dict(MADE_WITH))
    monkeypatch.setattr(founding, "found_kind", found_kind)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("PERDURE_HOME", str(home))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return home


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to. Branches: main (9 steps, Ada named after the 6th), main@10, left (from 7, to 11)."""
    return lived.live(tmp_path_factory.mktemp("kept"))


@pytest.fixture(name="yard")
def copied(home: Path, kept: Path) -> Path:
    """The folder of a world called yard."""
    return Path(shutil.copytree(kept, home / "yard"))
