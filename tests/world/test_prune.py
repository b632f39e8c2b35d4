"""A world lets go of its old past, and its present does not change by a bit."""

import errno
import random
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.bench.disk import Disk, Op
from perdure.memory.recall import choose_memories
from perdure.world import prune as module
from perdure.world import tip
from perdure.world.action import Action, Keys
from perdure.world.anchor import Anchor
from perdure.world.check import check
from perdure.world.edit import Change, Edit
from perdure.world.prune import Policy, excess, growth, plan, policy, prune, set_policy
from perdure.world.segment import Place, Segments
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import lived, yard

WALK = [*[Action()] * 30, *[Action(Keys.FORWARD)] * 5, *[Action(Keys.TURN_LEFT)] * 5]  # much of it at one spot


@pytest.fixture(scope="module", autouse=True)
def often() -> Generator[None]:
    """Snapshots come often, and few steps count as recent: so that a short life has an old past."""
    patch = pytest.MonkeyPatch()
    patch.setattr(tip, "SNAPSHOT_COMMITS", 8)
    patch.setattr(module, "RECENT", 4)
    patch.setattr(module, "SPARSE", 64)
    patch.setattr(module, "FEWEST", 12)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to. Branches: main (step 80), left (from step 30, to 38), bare (from step 60)."""
    with Store.create(tmp_path_factory.mktemp("kept"), yard.world()) as store:
        now = store.world()
        for i in range(80):
            now = yard.step(now, WALK[i % len(WALK)], store)
            if i % 9 == 0:
                now = now.edit(lived.named(f"beast {i}"))
                store.commit(now)
        store.fork("main", 30, "left")
        now = yard.reopened(store, "left")
        for i in range(8):
            now = yard.step(now, WALK[-i], store)
        store.fork("main", 60, "bare")
        return store.folder


@pytest.fixture
def world(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "yard"))


def pruned(folder: Path, **kept: int) -> module.Plan:
    with Store.open(folder) as store:
        set_policy(store, Policy(**kept))
        return prune(store)


def recalled(world: World) -> list[bytes]:
    """The latents that a model would attend to."""
    found = choose_memories(world.history.trail, world.step, world.motion.cameras[-1], 3, 4)
    return [world.history.memories[index].latent.tobytes() for index in found]


def played(folder: Path, branch: str, steps: int = 12) -> list[object]:
    out: list[object] = []
    with Store.open(folder, branch) as store:
        now = yard.reopened(store, branch)
        for i in range(steps):
            now = yard.step(now, WALK[-i % len(WALK)], store)
            made = now.history.memories[-1].latent.tobytes(), now.history.trail.to_bytes()
            out.append((now.step, now.state, now.moving, *made, recalled(now)))
    return out


def test_a_plan_says_what_goes_and_changes_nothing(world: Path):
    with Store.open(world) as store:
        set_policy(store, Policy(keep_steps=10))
        assert policy(store) == Policy(keep_steps=10)
        before = lived.everything(world)
        told: list[float] = []
        found = plan(store, lambda share, _: told.append(share))
        assert told == sorted(told) and told[-1] == 1
        assert lived.everything(world) == before
        assert found.horizons.keys() == {"main", "left", "bare"} and found.keep_steps == 10
        assert 56 < found.horizons["main"] <= 70 and found.horizons["left"] <= 28
        assert found.frees["latents"] > 15 * 18432 and found.frees["moments"] > 0 and found.frees["snapshots"] > 0
        assert found.freed == sum(found.frees.values()) < found.size


def test_what_was_planned_is_freed_and_what_has_happened_stays(world: Path, kept: Path):
    before, old = lived.files(world), lived.everything(kept)
    done = pruned(world, keep_steps=10)
    assert check(world).faults == ()
    after = lived.files(world)
    segments = [sum(len(data) for name, data in it.items() if name.endswith(".segment")) for it in (before, after)]
    assert segments[0] - segments[1] >= done.freed - done.frees["moments"] - 4096
    with Store.open(world) as store:
        events = [event.to_bytes() for event in store.world().history.events]
        assert events[:-1] == old["main"][2]
        last = store.world().history.events[-1]
        assert (last.kind, last.args["keep_steps"], last.before) == ("prune", 10, last.after)
        assert plan(store).freed == 0  # and again there is nothing to do
        assert prune(store).freed == 0 and len(store.world().history.events) == len(events)
        for branch, horizon in done.horizons.items():
            for step in range(horizon, store.branches()[branch] + 1):
                then = store.world_at(step, branch)
                assert (then.state, then.head, then.moving, then.motion.cameras.tobytes()) == old[branch, step]
                assert recalled(then) == recalled_then(kept, branch, step)
        with pytest.raises(ValueError, match="the latent of step 9 is kept no more: it was pruned"):
            _ = store.world().history.memories[8]
        for event in store.world().history.events:
            for digest in event.records:
                assert store.world().history.record(digest)


def recalled_then(folder: Path, branch: str, step: int) -> list[bytes]:
    with Store.open(folder, write=False) as store:
        return recalled(store.world_at(step, branch))


def test_one_cannot_go_back_before_the_horizon_and_is_told_why(world: Path):
    horizons = pruned(world, keep_steps=10).horizons
    told = "step 45 of yard was pruned, and cannot be gone back to: `perdure prune` says from which step on one can"
    with Store.open(world) as store:
        for go in (store.world_at, lambda step: store.fork("main", step, "x"), lambda step: store.goto("main", step)):
            with pytest.raises(ValueError, match=told):
                go(45)
        assert "x" not in store.branches() and store.branches()["main"] == 80
        with pytest.raises(ValueError, match="was pruned"):
            store.goto("left", horizons["left"] - 1)  # it could be looked at, but not gone on from
        store.fork("left", horizons["left"], "again")
        yard.step(yard.reopened(store, "again"), WALK[0], store)
        store.goto("main", horizons["main"])
        yard.step(yard.reopened(store), WALK[0], store)
    assert check(world).whole


@pytest.mark.parametrize("branch", ["main", "left", "bare"])
def test_the_present_of_every_branch_is_drawn_as_ever(world: Path, kept: Path, tmp_path: Path, branch: str):
    twin = Path(shutil.copytree(kept, tmp_path / "twin"))
    pruned(world, keep_steps=1)
    assert played(world, branch) == played(twin, branch)


def test_a_milder_policy_brings_nothing_back_and_says_so(world: Path):
    first = pruned(world, keep_steps=10).horizons
    for milder in (Policy(keep_steps=60), Policy()):
        with Store.open(world) as store:
            set_policy(store, milder)
            assert plan(store).horizons == first
            store.world_at(first["main"])
            with pytest.raises(ValueError, match="was pruned"):
                store.world_at(first["main"] - 2)


def test_anchors_and_those_who_are_gone_are_kept(tmp_path: Path):
    with Store.create(tmp_path, yard.world()) as store:
        now = store.world()
        anchor = Anchor("gate", now.motion.cameras[-1].copy())
        now = now.edit(Edit((Change("anchor/gate", anchor.to_bytes()),), "anchor"))
        store.commit(now)
        exemplar = now.entities[1]
        now = now.edit(Edit((Change("entity/1", None), Change("anchor/gate", None))))
        store.commit(now)
        gone = len(now.history.events) - 1
        for i in range(40):
            now = yard.step(now, WALK[i], store)
        set_policy(store, Policy(keep_steps=3))
        assert prune(store).freed
        assert store.rows.known(exemplar.digest) and store.rows.known(anchor.digest)
        again = store.world().undo(gone)
        assert again.entities[1].digest == exemplar.digest and again.geometry.anchors[0].digest == anchor.digest
    assert check(tmp_path / "yard").whole


@pytest.mark.parametrize("goes", ["b", "main"])
def test_edits_made_where_another_branch_still_stands_stay_with_it(tmp_path: Path, goes: str):
    """Of two branches that part one goes far beyond: its edits there are of the moment that the other is at."""
    with Store.create(tmp_path, yard.world()) as store:
        now = store.world()
        for i in range(5):
            now = yard.step(now, WALK[i], store)
        store.fork("main", 5, "b")
        now = yard.reopened(store, goes)
        for name in ("Ada", "Eva", "Ida"):  # the first two are what it is called at no horizon, nor lastly before one
            now = now.edit(lived.named(name))
            store.commit(now)
        for i in range(40):
            now = yard.step(now, WALK[i], store)
            if i == 20:
                now = now.edit(lived.named("Una"))
                store.commit(now)
        set_policy(store, Policy(keep_steps=1))
        horizons = dict(prune(store).horizons)
        assert horizons.pop(goes) > 30 and list(horizons.values()) == [0]
        assert plan(store).freed == 0
    assert check(tmp_path / "yard").faults == ()


def test_a_quota_is_met_as_gently_as_can_be(world: Path):
    with Store.open(world) as store:
        assert excess(store) == 0
        size = store.summary().size
        set_policy(store, Policy(quota=size + 10**6))
        assert excess(store) == 0 and plan(store).freed == 0
        set_policy(store, Policy(quota=size - 200_000))
        gentle = plan(store)
        assert gentle.freed >= 200_000 and not gentle.over and gentle.keep_steps is not None
        set_policy(store, Policy(quota=1000))
        harsh = plan(store)
        assert harsh.keep_steps == 12 and harsh.over > 0 and harsh.freed >= gentle.freed
        assert excess(store) > 0
        now = yard.step(yard.reopened(store), WALK[0], store)  # it can be played all the same
        assert store.world().state == now.state


def test_a_policy_makes_sense():
    with pytest.raises(ValueError, match="expected keep_steps of at least 1, or none, got 0"):
        Policy(keep_steps=0)
    with pytest.raises(ValueError, match="expected quota of at least 1, or none, got -3"):
        Policy(quota=-3)


def test_a_reader_cannot_prune(world: Path):
    with Store.open(world, write=False) as store:
        assert plan(store).freed == 0
        with pytest.raises(ValueError, match="open for reading"):
            set_policy(store, Policy(keep_steps=10))


def test_a_reader_finds_what_was_moved(world: Path, kept: Path):
    with Store.open(world, write=False) as reader:
        before = reader.world("left")
        pruned(world, keep_steps=10)
        again = reader.world("left")
        assert again.state == before.state
        assert again.history.memories[-1].latent.tobytes() == before.history.memories[-1].latent.tobytes()


def test_growth_is_what_an_hour_takes(world: Path):
    with Store.open(world, write=False) as store:
        before, then, size = growth(store), store.branches()["main"], store.summary().size
    assert before > 18432 * 6 * 3600  # a latent each chunk, at least
    assert before < 2 * size / then * 6 * 3600


def test_damage_is_not_copied(world: Path):
    with Store.open(world, write=False) as store:
        place = store.rows.place(
            store.rows.row(store.rows.lineage("main"), store.rows.lineage("main").last).latent or b""
        )
    path = world / f"{place.segment:06d}.segment"
    payload = bytearray(path.read_bytes())
    payload[place.start + 3] ^= 1
    path.write_bytes(payload)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="yard is damaged in"):
        pruned(world, keep_steps=10)
    assert path.read_bytes()[: len(before)] == before


def test_on_a_full_disk_all_stays_as_it_was(world: Path, monkeypatch: pytest.MonkeyPatch):
    before = lived.everything(world)
    with Store.open(world) as store:
        set_policy(store, Policy(keep_steps=10))
        names, append = set(world.iterdir()), Segments.append

        def full(self: Segments, records: Sequence[tuple[bytes, bytes]]) -> list[Place]:
            if self is not store.rows.segments and records:
                raise OSError(errno.ENOSPC, "No space left on device")
            return append(self, records)

        monkeypatch.setattr(Segments, "append", full)
        with pytest.raises(ValueError, match=r"yard could not be written .* and stays as it was: free some space"):
            prune(store)
        assert set(world.iterdir()) == names
        monkeypatch.undo()
        assert store.world_at(3).state == before["main", 3][0]
        yard.step(yard.reopened(store), WALK[0], store)
    assert check(world).whole


def test_a_world_that_is_pruned_while_it_is_checked_is_whole(world: Path):
    freed: list[int] = []

    def prune_beside(_: float, __: str) -> None:
        if not freed:
            freed.append(pruned(world, keep_steps=10).freed)

    assert check(world, prune_beside).whole and freed[0]


PRUNER = """
import os, sys
from collections.abc import Generator, Sequence
from pathlib import Path
import msgspec
from perdure.bench.watch import watch
from perdure.world import prune as module, tip
from perdure.world.store import Store
tip.SNAPSHOT_COMMITS, module.RECENT, module.SPARSE = 8, 4, 64
log = watch(Path(sys.argv[1]))
store = Store.open(Path(sys.argv[1]) / "yard")
module.set_policy(store, module.Policy(keep_steps=10))
log.say(b"begin")
module.prune(store)
log.say(b"done")
Path(sys.argv[2]).write_bytes(msgspec.msgpack.encode(log.ops))
os._exit(0)
"""


def test_cut_short_at_any_instant_it_leaves_a_world_that_opens(kept: Path, tmp_path: Path):
    """By a kill, which leaves all that was written, or by the power, which leaves what was synced and perhaps more."""
    start, root = tmp_path / "start", tmp_path / "root"
    for folder in (start, root):
        shutil.copytree(kept, folder / "yard")
    command = [sys.executable, "-c", PRUNER, str(root), str(tmp_path / "log")]
    done = subprocess.run(command, cwd=yard.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ops = msgspec.msgpack.decode((tmp_path / "log").read_bytes(), type=list[Op])
    whole, chance = lived.everything(kept), random.Random(0)
    first = next(i for i, op in enumerate(ops) if op.data == b"begin")
    removed = [i for i, op in enumerate(ops) if op.kind == "remove"]
    assert removed  # old segments went
    moments = sorted({*chance.sample(range(first, len(ops)), 25), *removed, *(i + 1 for i in removed), len(ops)})
    disk, at = Disk(start), 0
    for moment in moments:
        for op in ops[at:moment]:
            disk.do(op)
        at = moment
        for kind in ("kill", "power"):
            left = tmp_path / "left"
            if kind == "power":
                disk.left(left, chance)
            else:
                for name, data in disk.whole().items():
                    (left / name).parent.mkdir(parents=True, exist_ok=True)
                    (left / name).write_bytes(data)
            assert check(left / "yard").faults == (), (moment, kind)
            with Store.open(left / "yard") as store:
                for branch, (state, _, _, trail) in ((b, whole[b]) for b in ("main", "left", "bare")):
                    now = store.world(branch)
                    assert (now.state, now.history.trail.to_bytes()) == (state, trail)
                    assert recalled(now)
                prune(store)
                held = {f"{segment:06d}.segment" for (segment,) in store.rows.ask("SELECT segment FROM records")}
                assert {path.name for path in store.folder.glob("*.segment")} == held
            assert check(left / "yard").faults == (), (moment, kind)
            shutil.rmtree(left)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_life_goes_on_as_if_it_had_not_been_pruned(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    home = tmp_path_factory.mktemp("any")
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    with Store.create(home, yard.world()) as store:
        live = {"main": store.world()}
        for _ in range(40):
            branch = chance.choice(sorted(live))
            roll = chance.random()
            if roll < 0.08 and len(live) < 4:
                name = f"b{len(live)}"
                store.fork(branch, chance.randint(0, live[branch].step), name)
                live[name] = yard.reopened(store, name)
            elif roll < 0.2:
                live[branch] = live[branch].edit(lived.named(f"n{chance.random()}"))
                store.commit(live[branch])
            else:
                live[branch] = yard.step(live[branch], chance.choice(WALK), store)
    folder = home / "yard"
    twin = Path(shutil.copytree(folder, home / "twin"))
    pruned(folder, keep_steps=data.draw(st.integers(1, 12)))
    assert check(folder).faults == ()
    for branch in live:
        assert played(folder, branch, 4) == played(twin, branch, 4)
    shutil.rmtree(home)
