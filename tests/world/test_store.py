import errno
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from perdure.world import tip as module
from perdure.world.action import Action, Keys
from perdure.world.edit import Change, Edit
from perdure.world.splats import blank, pack
from perdure.world.state import World
from perdure.world.store import Store, home, list_worlds
from tests.world import yard

PATH = [Action(Keys.FORWARD | (Keys.TURN_LEFT if i % 4 else 0), 0.02 * (i % 3), 0.01) for i in range(12)]


def same(a: World, b: World) -> None:
    """All of it, and not only the hashes."""
    assert (a.name, a.branch, a.step, a.seed, a.scene, a.fresh, a.before) == (
        b.name, b.branch, b.step, b.seed, b.scene, b.fresh, b.before,
    )  # fmt: skip
    assert (a.state, a.head, a.noise_seed) == (b.state, b.head, b.noise_seed)
    assert a.physics.to_bytes() == b.physics.to_bytes()
    assert a.physics.mechanism.to_bytes() == b.physics.mechanism.to_bytes()
    assert [k.to_bytes() for k in a.geometry.keyframes] == [k.to_bytes() for k in b.geometry.keyframes]
    assert [e.to_bytes() for e in a.entities] == [e.to_bytes() for e in b.entities]
    assert list(a.history.events) == list(b.history.events)
    for one, two in zip(a.history.memories, b.history.memories, strict=True):
        assert (one.step, one.action, one.intrinsics, one.key) == (two.step, two.action, two.intrinsics, two.key)
        assert one.latent.tobytes() == two.latent.tobytes()
        assert one.pose.tobytes() == two.pose.tobytes()
    assert a.history.trail.to_bytes() == b.history.trail.to_bytes()
    assert a.motion.cameras.tobytes() == b.motion.cameras.tobytes()
    assert a.motion.intrinsics == b.motion.intrinsics
    assert {k: v.tobytes() for k, v in a.motion.bodies.items()} == {k: v.tobytes() for k, v in b.motion.bodies.items()}


def played(store: Store | None, world: World, path: list[Action] = PATH) -> list[World]:
    out = [world]
    for action in path:
        out.append(yard.step(out[-1], action, store))
    return out


def test_a_world_is_found_as_it_was_left_at_every_step(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(store, yard.world())
        same(store.world(), worlds[-1])
    with Store.open(tmp_path / "yard", write=False) as store:
        for world in worlds:
            same(store.world_at(world.step), world)


def test_it_goes_on_as_if_it_had_never_been_closed(tmp_path: Path):
    straight = played(None, yard.world())[-1]
    with Store.create(tmp_path, yard.world()) as store:
        played(store, yard.world(), PATH[:5])
    with Store.open(tmp_path / "yard") as store:
        same(played(store, yard.reopened(store), PATH[5:])[-1], straight)


def test_forks_go_their_own_way_and_copy_nothing(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        main = played(store, yard.world())
        files = {path.name: path.stat().st_size for path in store.folder.glob("*.segment")}
        left = store.fork("main", 6, "left")
        same(left, main[6].fork("left"))
        assert {path.name: path.stat().st_size for path in store.folder.glob("*.segment")} == files
        other = [a.reversed() for a in PATH]
        lefts = played(store, yard.reopened(store, "left"), other)
        store.fork("left", 9, "deep")
        store.fork("left", 3, "early")  # before `left` was: its steps are main's
        deeps = played(store, yard.reopened(store, "deep"), PATH[:2])
        assert store.branches() == {"main": 12, "left": 18, "deep": 11, "early": 3}
        same(store.world("main"), main[-1])
        same(store.world("left"), lefts[-1])
        same(store.world("deep"), deeps[-1])
        same(store.world("early"), main[3].fork("early"))
        same(store.world_at(7, "deep"), lefts[1].fork("deep"))
    alone = played(None, main[6].fork("left"), other)[-1]
    assert (alone.state, alone.head) == (lefts[-1].state, lefts[-1].head)


def test_worlds_of_one_store_share_their_keyframes(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        last = played(store, yard.world())[-1]
        assert all(a is b for a, b in zip(store.world().geometry.keyframes[2:], last.geometry.keyframes[2:]))


def test_what_is_committed_is_held_by_the_disk_and_not_in_memory(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        kept = played(store, yard.world())[-1]
        alone = played(None, yard.world())[-1]
        seen = [keyframe for keyframe in kept.geometry.keyframes if keyframe.step >= 0]
        assert seen and all(isinstance(keyframe.payload, memoryview) for keyframe in seen)
        with pytest.raises(ValueError, match=r"expected the \d+ bytes of this keyframe, got 3"):
            seen[0].rest_on(b"123")
    same(kept, alone)  # closed since


def test_a_world_founded_in_pieces_is_kept_whole(tmp_path: Path):
    full = yard.world()
    bare = World.create("yard", "yard", 3, yard.XML, (yard.BEAST,), (0.0, 0.0, 0.3), intrinsics=yard.SMALL, seed=7)
    founded = replace(bare, entities=full.entities, geometry=full.geometry)
    with Store.create(tmp_path, founded) as store:
        same(store.world(), full)


def test_the_fingerprint_is_kept(tmp_path: Path):
    with Store.create(tmp_path, yard.world(), {"weights": "abc", "precision": "f32"}) as store:
        assert store.fingerprint == {"weights": "abc", "precision": "f32"}


def test_a_world_outlives_its_model_and_says_so(tmp_path: Path):
    old, new = {"weights": "abc", "precision": "f32"}, {"weights": "def", "precision": "f32", "cpu": "x"}
    with Store.create(tmp_path, yard.world(), old) as store:
        assert store.changed == {}
        first = played(store, store.world(), PATH[:3])[-1]
    with Store.open(tmp_path / "yard", fingerprint=old) as store:
        same(store.world(), first)
    with Store.open(tmp_path / "yard", fingerprint=new) as store:
        assert store.changed == {"cpu": ("", "x"), "weights": ("abc", "def")}
        world = yard.reopened(store)
        said = world.history.events[-1]
        assert (said.kind, said.actor, said.after) == ("model", "engine", first.state)
        assert said.args == {"changed": ("cpu", "weights"), "was": ("", "abc"), "now": ("x", "def")}
        assert store.fingerprint == old  # until something is drawn by it
        last = played(store, world, PATH[3:5])[-1]
        assert (store.changed, store.fingerprint) == ({}, new)
        store.fork("main", 3, "early")  # from before
        assert set(store._changed("early")) == {"cpu", "weights"}
    assert [event.kind for event in last.history.events].count("model") == 1
    with Store.open(tmp_path / "yard", fingerprint=new) as store:
        same(store.world(), last)
        assert store.world_at(3).head == first.head
    with Store.open(tmp_path / "yard", "early", write=False) as store:
        assert store.fingerprint == old


def test_going_back_keeps_what_it_leaves(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(store, yard.world())
        segments = {path: path.stat().st_size for path in store.folder.glob("*.segment")}
        world = store.goto("main", 5)
        assert {path: path.stat().st_size for path in store.folder.glob("*.segment")} == segments
        assert (world.step, world.state, world.branch) == (5, worlds[5].state, "main")
        said = world.history.events[-1]
        assert (said.kind, said.args, len(world.history.events)) == (
            "revert", {"to": 5, "left": "main@12"}, len(worlds[5].history.events) + 1,
        )  # fmt: skip
        same(store.world("main@12"), worlds[-1].fork("main@12"))
        again = played(store, yard.reopened(store), PATH[5:])
        assert again[-1].state == worlds[-1].state  # the same chance, the same acts
        store.goto("main", 5)
        assert store.branches() == {"main@12": 12, "main@12-2": 12, "main": 5}
        for _ in range(20):  # a branch of a branch of a branch
            played(store, yard.reopened(store), [PATH[5]])
            store.goto("main", 5)
        assert len(store.branches()) == 23
        with pytest.raises(ValueError, match="somewhere to go back to, got where 'main' of yard is"):
            store.goto("main", event=len(store.world().history.events) - 1)
        with pytest.raises(ValueError, match=r"expected a step in 0\.\..* of branch 'main' of yard, got 99"):
            store.goto("main", 99)
        with pytest.raises(ValueError, match=r"expected an event in 0\.\..* of branch 'main' of yard, got 999"):
            store.world_at_event(999)
    with Store.open(tmp_path / "yard", "main@12", write=False) as store:
        same(store.world(), worlds[-1].fork("main@12"))


def test_a_goto_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.create(tmp_path, yard.world()) as store:
        last = played(store, yard.world(), PATH[:4])[-1]
        with monkeypatch.context() as patch:
            patch.setattr(module, "packed", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space left")))
            with pytest.raises(ValueError, match="could not be written"):
                store.goto("main", 2)
        assert store.branches() == {"main": 4}
        same(played(store, yard.reopened(store), PATH[4:5])[-1], yard.step(last, PATH[4]))


def test_the_past_is_read_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SNAPSHOT_COMMITS", 4)
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(store, yard.world(), PATH * 3)
    asked: list[str] = []
    with Store.open(tmp_path / "yard", write=False) as store:
        store.rows.connection().set_trace_callback(asked.append)
        world = store.world()
        rows = [statement for statement in asked if "FROM commits WHERE branch = 0 AND number BETWEEN" in statement]
        assert len(rows) <= 2 and len(asked) < 60  # not one for each step
        asked.clear()
        assert world.history.memories[3].key == worlds[-1].history.memories[3].key
        assert world.history.events[10] == worlds[-1].history.events[10]
        assert 0 < len(asked) < 20
        asked.clear()
        assert world.history.memories[3].latent.any()
        assert asked == []  # it is at hand now
    # The store is closed, yet a world that came from it is whole.
    same(world, worlds[-1])


def test_a_long_session_may_rest_on_the_disk(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        world = played(store, yard.world(), PATH[:6])[-1]
        rested = replace(world, history=world.history.resting_on(store.past()))
        assert (rested.history.held, world.history.held) == (0, 6)
        same(rested, world)
        same(played(store, rested, PATH[6:8])[-1], played(None, world, PATH[6:8])[-1])


def test_threads_read_while_it_is_played(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(store, yard.world(), PATH[:4])
        past = store.world().history

        def look(n: int) -> bool:
            return [store.world_at(n % 5).head, past.events[n % 6].seq, past.memories[n % 4].key] == [
                worlds[n % 5].head, n % 6, worlds[4].history.memories[n % 4].key,
            ]  # fmt: skip

        with ThreadPoolExecutor(4) as pool:
            looks = pool.map(look, range(40))
            played(store, worlds[-1], PATH[4:])
            assert all(looks)


def test_many_commits_are_one_transaction(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(None, yard.world())
        store.commit_all(worlds[1:5])
        with pytest.raises(ValueError, match="expected step 7"):
            store.commit_all([*worlds[5:7], worlds[9]])
        assert store.branches() == {"main": 4}
        store.commit_all(iter(worlds[5:]))
        same(store.world(), worlds[-1])


def test_worlds_are_listed(tmp_path: Path):
    assert list_worlds(tmp_path / "nowhere") == []
    for name in ("b", "a"):
        Store.create(tmp_path, yard.world(name)).close()
    with Store.open(tmp_path / "b") as store:
        played(store, store.world(), PATH[:2])
        store.fork("main", 1, "side")
        found = list_worlds(tmp_path)  # while one of them is being played
    assert [(w.name, w.scene, dict(w.branches)) for w in found] == [
        ("a", ("yard", 3), {"main": 0}),
        ("b", ("yard", 3), {"main": 2, "side": 1}),
    ]
    assert found[0].size > 0


def test_home_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PERDURE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("PERDURE_HOME")
    assert home() == Path.home() / ".perdure" / "worlds"


@pytest.mark.parametrize("ours", [True, False])
def test_a_lock_is_given_back_by_who_took_it_whoever_has_its_file(
    tmp_path: Path, ours: bool, monkeypatch: pytest.MonkeyPatch
):
    """As a process has that is being started meanwhile; and as one has, and closes, that was forked from us."""
    store = Store.create(tmp_path, yard.world())
    assert store._lock is not None
    same_file = os.dup(store._lock)
    if not ours:
        monkeypatch.setattr(os, "getpid", lambda: -1)
    store.close()
    monkeypatch.undo()
    if ours:
        Store.open(store.folder).close()
    else:
        with pytest.raises(ValueError, match="open for writing"):
            Store.open(store.folder)
    os.close(same_file)
    Store.open(store.folder).close()


def test_a_second_writer_is_told_who_has_it_and_readers_are_let_in(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        who = re.escape(f"process {os.getpid()} ({' '.join(sys.argv)[:300]})")
        with pytest.raises(ValueError, match=f"yard is open for writing in {who}"):
            Store.open(store.folder)
        code = "import sys, perdure.world.store as s, pathlib; s.Store.open(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", code, str(store.folder)]
        other = subprocess.run(command, cwd=yard.ROOT, capture_output=True, text=True)
        assert f"ValueError: yard is open for writing in process {os.getpid()}" in other.stderr
        with Store.open(store.folder, write=False) as reader:
            world = played(store, yard.world(), PATH[:3])[-1]
            same(reader.world(), world)  # committed after the reader had come
            with pytest.raises(ValueError, match="open for reading"):
                reader.commit(world)
            with pytest.raises(ValueError, match="open for reading"):
                reader.fork("main", 1, "x")
    Store.open(tmp_path / "yard").close()  # and after it has gone, the next may write


def test_mistakes_are_told_in_one_line(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no world at .*/mars: make one with `perdure new mars`"):
        Store.open(tmp_path / "mars")
    with Store.create(tmp_path, yard.world()) as store:
        with pytest.raises(ValueError, match="a world named 'yard' exists already in"):
            Store.create(tmp_path, yard.world())
        with pytest.raises(ValueError, match="no branch 'side' in yard: it has main"):
            store.world("side")
        with pytest.raises(ValueError, match=r"expected a step in 0\.\.0 of branch 'main' of yard, got 4"):
            store.world_at(4)
        with pytest.raises(ValueError, match="a branch 'main' of yard exists already"):
            store.fork("main", 0, "main")
        with pytest.raises(ValueError, match="letters, digits"):
            store.fork("main", 0, "../out")
        worlds = played(None, yard.world(), PATH[:3])
        with pytest.raises(ValueError, match="expected step 1 of branch 'main', or edits of step 0, got step 3"):
            store.commit(worlds[3])
        store.commit(worlds[1])
        stranger = played(None, yard.world(seed=8), PATH[:2])
        with pytest.raises(ValueError, match="expected a world that follows step 1 of 'main', got another past"):
            store.commit(stranger[2])
    with pytest.raises(ValueError, match="letters, digits"):
        Store.create(tmp_path, yard.world("a/b"))
    with pytest.raises(ValueError, match="expected a world as it begins"):
        Store.create(tmp_path, worlds[2])
    with pytest.raises(ValueError, match="no branch 'side'"):
        Store.open(tmp_path / "yard", "side")


def test_a_making_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Store, "_write", fail)
    with pytest.raises(ValueError, match=r"yard could not be written .*no space left.*: free some space"):
        Store.create(tmp_path, yard.world())
    assert list(tmp_path.iterdir()) == []


def test_a_commit_that_fails_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.create(tmp_path, yard.world()) as store:
        worlds = played(store, yard.world(), PATH[:2])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
            with pytest.raises(ValueError, match=r"could not be written .* then go on from there"):
                played(store, worlds[-1], PATH[2:3])
        worlds = played(store, worlds[-1], PATH[2:4])
        same(store.world(), worlds[-1])


def test_records_are_on_the_disk_before_the_row_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    sync = os.fdatasync
    with Store.create(tmp_path, yard.world()) as store:
        assert store._db is not None
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        monkeypatch.setattr(os, "fdatasync", lambda file: (said.append("SYNC"), sync(file)))
        store._db.set_trace_callback(lambda statement: said.append(statement.split()[0]))
        played(store, yard.world(), PATH[:1])
    order = [word for word in said if word in ("SYNC", "BEGIN", "INSERT", "COMMIT")]
    assert order == ["BEGIN", "SYNC", "INSERT", "INSERT", "COMMIT"]


def damage(folder: Path, statement: str) -> None:
    db = sqlite3.connect(folder / "world.db")
    db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE commits SET events = x'00' WHERE number = 10", "yard is damaged in commit 10, step 10"),
        (
            "UPDATE commits SET events = (SELECT events FROM commits WHERE number = 9) WHERE number = 10",
            "commit 10, step 10: its events do not lead to its head",
        ),
        ("UPDATE commits SET moving = x'00' WHERE number = 12", "yard is damaged in commit 12, step 12"),
        ("UPDATE commits SET state = zeroblob(32) WHERE number = 12", "step 12 .*: its parts do not give its state"),
        ("UPDATE commits SET parts = x'81a161930101c400' WHERE number = 7", "step 7: it keeps 2 pieces of a list of 0"),
        ("DELETE FROM commits WHERE number = 7", "commit 7 is missing"),
        ("UPDATE commits SET step = 3 WHERE number = 7", "it does not follow the one before it"),
        ("DELETE FROM records WHERE digest = (SELECT latent FROM commits WHERE number = 9)", "step 9: .* not there"),
        ("UPDATE records SET offset = offset + 64", "yard is damaged in commit 0, step 0: .* another record at byte"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, statement: str, message: str):
    with Store.create(tmp_path, yard.world()) as store:
        played(store, yard.world())
    damage(tmp_path / "yard", statement)
    with Store.open(tmp_path / "yard", write=False) as store, pytest.raises(ValueError, match=message):
        store.world()


def test_a_damaged_latent_is_named(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        latent = played(store, yard.world())[-1].history.memories[-1].latent.tobytes()
    path = tmp_path / "yard" / "000000.segment"
    whole = bytearray(path.read_bytes())
    whole[whole.index(latent) + 9] ^= 1
    path.write_bytes(whole)
    message = r"step 12: .*segment has a changed record at byte"
    with Store.open(tmp_path / "yard", write=False) as store, pytest.raises(ValueError, match=message):
        store.world()


def test_a_database_that_is_none_is_named(tmp_path: Path):
    Store.create(tmp_path, yard.world()).close()
    (tmp_path / "yard" / "world.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(ValueError, match="yard is damaged in its tables"):
        Store.open(tmp_path / "yard", write=False)


PLAYER = """
import sys
from pathlib import Path
from perdure.world.store import Store
from tests.world import yard
from tests.world.test_store import PATH
with Store.open(Path(sys.argv[1])) as store:
    world = yard.reopened(store)
    while True:
        world = yard.step(world, PATH[world.step % len(PATH)], store)
        print(world.step, world.state, world.head, flush=True)
"""


def test_a_kill_at_any_instant_loses_nothing_acknowledged(tmp_path: Path):
    Store.create(tmp_path, yard.world()).close()
    folder, chance = tmp_path / "yard", random.Random(4)
    acknowledged = 0
    for _ in range(4):
        command = [sys.executable, "-c", PLAYER, str(folder)]
        child = subprocess.Popen(command, cwd=yard.ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.08))
        child.send_signal(signal.SIGKILL)
        last = ([first, *child.stdout.read().splitlines()])[-1].split()
        child.wait()
        child.stdout.close()
        assert len(last) == 3
        assert int(last[0]) > acknowledged
        acknowledged = int(last[0])
        with Store.open(folder, write=False) as store:
            found = store.world_at(acknowledged)
            assert (found.state, found.head) == (last[1], last[2])
    straight = yard.world()
    with Store.open(folder) as store:
        stood = store.world()
        for _ in range(stood.step):
            straight = yard.step(straight, PATH[straight.step % len(PATH)])
        assert (stood.state, stood.head) == (straight.state, straight.head)
        same(yard.step(yard.reopened(store), PATH[0], store), yard.step(straight, PATH[0]))


def test_a_list_that_has_become_empty_is_kept_so(tmp_path: Path):
    """A world opened, and a list of pieces emptied by the first commit after that."""
    rows = blank(3)
    with Store.create(tmp_path, yard.world()) as store:
        store.commit(store.world().edit(Edit((Change("splats", pack(rows)),))))
    with Store.open(tmp_path / "yard") as store:
        store.commit(store.world().undo())
        assert store.world().state == yard.world().state
