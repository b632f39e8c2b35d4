"""A damaged world is cut back to what is whole, once that is agreed to; nothing is thrown away."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.bench.disk import Disk, Op
from perdure.world import repair as module
from perdure.world.check import check
from perdure.world.repair import Cut, Remedy, repair
from perdure.world.store import Store
from tests.world import lived, yard


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return lived.live(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def world(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "yard"))


def damage(folder: Path, statement: str) -> None:
    db = sqlite3.connect(folder / "world.db")
    db.execute(statement)
    db.commit()
    db.close()


def flip(folder: Path, digest: bytes) -> None:
    """One bit of a record."""
    with Store.open(folder, write=False) as store:
        place = store.rows.place(digest)
    path = folder / f"{place.segment:06d}.segment"
    payload = bytearray(path.read_bytes())
    payload[place.start + place.length // 2] ^= 4
    path.write_bytes(payload)


def agreed(_: Remedy) -> bool:
    return True


def test_a_whole_world_is_left_alone(world: Path):
    before = lived.files(world)
    assert repair(world, lambda _: pytest.fail("nothing was to be asked")) == Remedy()
    after = lived.files(world)
    assert {name: after[name] for name in before if name != "lock"} == {n: before[n] for n in before if n != "lock"}


def test_branches_are_cut_back_and_what_was_cut_is_kept(world: Path, kept: Path):
    damage(world, "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 10")
    damaged = lived.files(world)
    asked: list[Remedy] = []
    told: list[float] = []
    done = repair(world, lambda it: bool(asked.append(it)) or True, lambda share, _: told.append(share))
    assert asked[0].cuts == (Cut("main@10", 8, 2, 2),)  # left goes on from step 7, main from step 8: they are whole
    assert done.done and done.kept == world / "cut-1" and told == sorted(told)
    assert check(world).faults == ()
    assert lived.files(world / "cut-1") == {
        name: data for name, data in damaged.items() if name.startswith(("world.db", "0"))
    }
    now, before = lived.everything(world), lived.everything(kept)
    assert {key: now[key] for key in now if key[0] in ("left", "main")} == {
        key: before[key] for key in before if key[0] in ("left", "main")
    }
    with Store.open(world, "main@10") as store:
        assert store.branches() == {"main@10": 8, "left": 11, "main": 9}
        yard.step(yard.reopened(store, "main@10"), lived.PATH[0], store)
    assert check(world).whole
    damage(world, "UPDATE commits SET head = zeroblob(32) WHERE branch = 1 AND number = 10")
    assert repair(world, agreed).kept == world / "cut-2"


def test_what_is_not_agreed_to_is_not_done(world: Path):
    damage(world, "DELETE FROM commits WHERE branch = 0 AND number = 5")
    before = lived.files(world)
    refused = repair(world, lambda it: False)
    assert {it.branch: it.step for it in refused.cuts} == {"main@10": 4, "left": 4, "main": 4} and not refused.done
    after = lived.files(world)
    assert {name: after[name] for name in before if name != "lock"} == {n: before[n] for n in before if n != "lock"}
    assert after.keys() <= before.keys() | {"lock", "world.db-wal", "world.db-shm"}


def test_a_repair_that_fails_leaves_the_world_as_it_was(world: Path, monkeypatch: pytest.MonkeyPatch):
    damage(world, "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 9")
    before = lived.files(world)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ValueError, match="yard cannot be repaired, and is as it was: no space left"):
        repair(world, agreed)
    after = lived.files(world)
    assert {name: after[name] for name in before if name != "lock"} == {n: before[n] for n in before if n != "lock"}
    assert not list(world.glob("cut-*"))


def test_an_old_latent_goes_alone_and_a_new_one_with_its_end(world: Path, kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RECENT", 4)
    with Store.open(kept, write=False) as store:
        latents = [row.latent for row in store.rows.rows(store.rows.lineage("main@10"), 0, 11)]
    old, new = latents[2], latents[11]
    assert old and new
    flip(world, old)
    flip(world, new)
    done = repair(world, agreed)
    assert (done.cuts, done.latents) == ((Cut("main@10", 9, 1, 1),), 1)
    assert check(world).whole
    with Store.open(world) as store:
        with pytest.raises(ValueError, match="the latent of step 2 is kept no more"):
            _ = store.world().history.memories[1]
        assert store.world().history.memories[2].latent.any()
        yard.step(yard.reopened(store), lived.PATH[0], store)


def test_what_cannot_be_mended_is_told(world: Path):
    damage(world, "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 0")
    with pytest.raises(ValueError, match="nothing whole is left to cut it back to; import an export of it"):
        repair(world, agreed)
    (world / "world.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(ValueError, match="yard cannot be repaired, and is as it was: yard is damaged in its tables"):
        repair(world, agreed)
    with pytest.raises(ValueError, match="no world at"):
        repair(world / "mars", agreed)


def test_a_world_that_is_being_played_is_not_repaired(world: Path):
    with Store.open(world), pytest.raises(ValueError, match="yard is open for writing in process"):
        repair(world, agreed)


REPAIRER = """
import os, sys
from pathlib import Path
import msgspec
from perdure.bench.watch import watch
from perdure.world.repair import repair
log = watch(Path(sys.argv[1]))
assert repair(Path(sys.argv[1]) / "yard", lambda _: True).done
Path(sys.argv[2]).write_bytes(msgspec.msgpack.encode(log.ops))
os._exit(0)
"""


def test_cut_short_at_any_instant_it_can_be_done_again(world: Path, kept: Path, tmp_path: Path):
    """By a kill or by the power: what was whole before is there, in the old tables or in the new."""
    start, root = tmp_path / "start", tmp_path / "root"
    db = sqlite3.connect(world / "world.db")
    db.execute("UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 10")
    db.commit()
    for folder in (start, root):  # while it is open: so the damage lies in the log
        shutil.copytree(world, folder / "yard")
        (folder / "yard" / "world.db-shm").unlink()
    db.close()
    command = [sys.executable, "-c", REPAIRER, str(root), str(tmp_path / "log")]
    done = subprocess.run(command, cwd=yard.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ops = msgspec.msgpack.decode((tmp_path / "log").read_bytes(), type=list[Op])
    disk, chance, truth = Disk(start), random.Random(1), lived.everything(kept)
    moved = [i for i, op in enumerate(ops) if op.kind in ("rename", "remove", "link")]
    moments = {*chance.sample(range(len(ops)), 10), *moved, *(i + 1 for i in moved)}
    for at, op in enumerate(ops, 1):
        disk.do(op)
        if at in moments:
            left = tmp_path / "left"
            disk.left(left, chance)
            repair(left / "yard", agreed)
            assert check(left / "yard").faults == ()
            found = lived.everything(left / "yard")
            assert found["main"] == truth["main"] and found["left"] == truth["left"]
            shutil.rmtree(left)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), where=st.sampled_from(["world.db", "000000.segment"]), bits=st.integers(1, 3))
def test_whatever_was_flipped_what_is_left_is_true(
    tmp_path_factory: pytest.TempPathFactory, kept: Path, data: st.DataObject, where: str, bits: int
):
    folder = Path(shutil.copytree(kept, tmp_path_factory.mktemp("flipped") / "yard"))
    payload = bytearray((folder / where).read_bytes())
    for _ in range(bits):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / where).write_bytes(payload)
    with contextlib.suppress(ValueError):  # some damage cannot be mended
        repair(folder, agreed)
        assert check(folder).whole
        truth, found = lived.everything(kept), lived.everything(folder)
        steps = [key for key in found if isinstance(key, tuple) and isinstance(key[1], int)]
        assert steps and all(found[key] == truth[key] for key in steps if key[0] in truth)
    shutil.rmtree(folder)
