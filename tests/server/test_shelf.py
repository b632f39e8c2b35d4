"""The shelf: worlds on the disk, found again by name, their forks sharing one store."""

from pathlib import Path
from typing import Any

import pytest

from perdure.server.shelf import Shelf
from perdure.world.state import World
from perdure.world.store import Store
from tests.server.fake_engine import FakeEngine
from tests.world.yard import XML


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    engines: list[Any] = []

    def make_engine() -> Any:
        assert not engines, "the engine is made once"
        engines.append(FakeEngine())
        return engines[0]

    def make_world(name: str, scene: str, seed: int) -> None:
        Store.create(tmp_path, World.create(name, scene, seed, XML)).close()

    return Shelf(tmp_path, make_engine, make_world)


def silent(stage: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


def test_a_world_is_made_listed_and_opened(shelf: Shelf):
    assert shelf.list() == []
    assert shelf.new("court-7", "court", 7) == "court-7"
    (info,) = shelf.list()
    assert (info.name, info.scene, info.seed, info.step, info.parent) == ("court-7", "court", 7, 0, None)
    stages: list[str] = []
    _, world, store = shelf.open("court-7", lambda stage, fraction: stages.append(stage))
    assert (world.name, world.branch, world.step) == ("court-7", "main", 0)
    assert stages == ["waking the model", "reading the world", "remembering the last frames"]
    assert store.folder.name == "court-7"
    shelf.close(world)


def test_worlds_are_listed_while_files_of_theirs_go(shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    shelf.new("court-7", "court", 7)
    was = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*was(folder), folder / "world.db-shm"])
    (info,) = shelf.list()
    assert info.modified


def test_a_fork_is_opened_beside_its_world_and_the_store_closed_after_both(shelf: Shelf):
    shelf.new("court-7", "court", 7)
    engine, world, store = shelf.open("court-7", silent)
    assert shelf.fork(world, "other") == "court-7/other"
    same_engine, fork, same_store = shelf.open("court-7/other", silent)
    assert same_engine is engine
    assert same_store is store
    assert fork.branch == "other"
    assert {info.name: info.parent for info in shelf.list()} == {"court-7": None, "court-7/other": "court-7"}
    shelf.close(world)
    assert shelf.fork(fork, "third") == "court-7/third"
    shelf.close(fork)
    Store.open(store.folder).close()  # nobody holds it any more


@pytest.mark.parametrize("name", ["nowhere", "../court-7", "court-7/none", "court-7/a/b", "", "/etc", "court-7/"])
def test_what_is_not_there_does_not_open_and_leaves_nothing_held(shelf: Shelf, name: str):
    shelf.new("court-7", "court", 7)
    with pytest.raises(ValueError, match=r".+"):
        shelf.open(name, silent)
    _, world, _ = shelf.open("court-7", silent)
    shelf.close(world)


def test_a_taken_name_is_refused(shelf: Shelf):
    shelf.new("court-7", "court", 7)
    with pytest.raises(ValueError, match="take another name"):
        shelf.new("court-7", "hall", 1)
    _, world, _ = shelf.open("court-7", silent)
    shelf.fork(world, "other")
    with pytest.raises(ValueError, match="take another name"):
        shelf.fork(world, "other")
    shelf.close(world)


def test_a_world_is_told_of_another_model(tmp_path: Path, shelf: Shelf):
    shelf.new("court-7", "court", 7)
    other = Shelf(tmp_path, FakeEngine, lambda *_: None, {"weights": "other"})  # type: ignore[arg-type]
    _, world, _ = other.open("court-7", silent)
    assert (event := world.history.events[-1]).kind == "model" and event.args["now"] == ("other",)
    assert other.fork(world, "twin") == "court-7/twin"  # though that event is not in the store yet
    _, twin, _ = other.open("court-7/twin", silent)
    assert (twin.state, twin.history.events[-1].kind) == (world.state, "model")
    other.close(twin)
    other.close(world)
