"""A world that the first release's code wrote, kept in tests/data, opens, is what it was, and goes on."""

import json
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from perdure.world.action import Action, Keys
from perdure.world.store import Store, list_worlds
from tests.world import yard

DATA = yard.ROOT / "tests" / "data"
HASHES: dict[str, list[str]] = json.loads((DATA / "world-format-1.json").read_text())
ENDS = {"main": 6, "left": 6, "deep": 6, "bare": 3}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(DATA / "world-format-1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "old"


def check_pasts(store: Store) -> None:
    for branch, lines in HASHES.items():
        for step, state, head in map(str.split, lines):
            world = store.world_at(int(step), branch)
            assert (world.step, world.head) == (int(step), head)
            last = world.history.events[-1]
            assert last.after == (state if step != "0" else "")
            assert [event.seq for event in world.history.events] == list(range(len(world.history.events)))


def test_it_opens_for_reading_and_stays_as_it_is(old: Path):
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    with Store.open(old, write=False) as store:
        assert store.branches() == ENDS
        check_pasts(store)
        assert store.world().head == HASHES["main"][-1].split()[2]
        assert store.fingerprint["weights"] == "none"
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    assert [it.damage for it in list_worlds(old.parent)] == [""]


def test_it_is_upgraded_plays_on_and_forks(old: Path):
    with Store.open(old) as store:
        assert store.branches() == ENDS
        check_pasts(store)
        for branch, lines in HASHES.items():
            world = store.world(branch)
            said = world.history.events[-1]
            assert (said.kind, said.args) == ("migrate", {"from": 1, "to": 2})
            assert (said.before, said.after) == (lines[-1].split()[1], world.state)
        ends = {branch: yard.step(yard.reopened(store, branch), Action(Keys.FORWARD), store) for branch in ENDS}
        fork = yard.step(store.fork("left", 5, "new"), Action(Keys.BACK), store)
    assert not (old / "world.db.1").exists()
    with Store.open(old) as store:
        check_pasts(store)
        for branch, end in ends.items():
            assert (store.world(branch).state, store.world(branch).head) == (end.state, end.head)
        assert (store.world("new").state, store.world("new").head) == (fork.state, fork.head)


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from perdure.world import migrate, store as module
at = int(sys.argv[2])
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
if at == 0: migrate.os.replace = kill
if at == 1: migrate._say = kill
if at == 2: module.Segments.append = kill
if at == 3: migrate.tidy = kill
module.Store.open(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("at", range(4))
def test_killed_in_the_middle_it_opens(old: Path, at: int):
    done = subprocess.run([sys.executable, "-c", KILLED, str(old), str(at)], cwd=yard.ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert at == 0 or (old / "world.db.1").exists()
    with Store.open(old) as store:
        check_pasts(store)
        assert [event.kind for event in store.world().history.events[-2:]] == ["tick", "migrate"]
    assert not (old / "world.db.1").exists()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE steps SET events = replace(events, 'keys', 'kexs') WHERE step = 5", "events do not lead to its head"),
        ("UPDATE steps SET state = zeroblob(32) WHERE step = 5", "its parts do not give its state"),
        ("UPDATE steps SET moving = (SELECT moving FROM steps WHERE step = 4) WHERE step = 5", "parts do not give its"),
    ],
)
def test_a_damaged_one_is_left_as_it_is(old: Path, statement: str, message: str):
    with sqlite3.connect(old / "world.db") as db:
        db.execute(statement)
    db.close()
    for write in (False, True):
        with pytest.raises(ValueError, match=f"old is damaged in step 5: .*{message}"):
            Store.open(old, write=write)
    with sqlite3.connect(old / "world.db") as db:
        assert db.execute("SELECT count(*) FROM steps").fetchone() == (10,)
    db.close()


def test_a_newer_format_is_told_in_one_line(old: Path):
    Store.open(old).close()
    with sqlite3.connect(old / "world.db") as db:
        db.execute("UPDATE meta SET value = '3' WHERE key = 'format'")
    db.close()
    with pytest.raises(ValueError, match=r"format 2 at .*, or older; got 3, of a newer Perdure, which alone can"):
        Store.open(old)
    assert "newer Perdure" in list_worlds(old.parent)[0].damage
