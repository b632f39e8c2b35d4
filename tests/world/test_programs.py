"""Random programs of acts, edits, undos, forks, returns and restarts, against a store.

What must hold of every one of them, whatever its order: what was committed is found again, branches leave one
another alone, an undone edit restores what it wrote, and doing all of it again leads to the same state and history.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.memory.replay import replay
from perdure.world import edit as edits
from perdure.world.action import Action, Hand, Keys
from perdure.world.anchor import Anchor
from perdure.world.body import Pose, ball, crate
from perdure.world.edit import Edit
from perdure.world.identity import Entity
from perdure.world.rules import Rule
from perdure.world.slots import read
from perdure.world.splats import blank, pack
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import yard

PROGRAMS = 200
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is kept on a real disk is tested elsewhere

keys = st.sampled_from([0, Keys.FORWARD, Keys.BACK | Keys.TURN_LEFT, Keys.LEFT, Keys.TURN_RIGHT])
number = st.integers(2, 5)
place = st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.just(0.0))


def splats(seed: int) -> Edit:
    rng = np.random.default_rng(seed)
    rows = blank(8, first=int(rng.integers(500)))
    rows["mean"] = rng.normal(size=(8, 3))
    return Edit((edits.Change("splats", pack(rows, gone=[int(rows["id"][-1]) + 1])),))


asked = st.one_of(
    st.builds(lambda text: edits.environment(weather=text), st.sampled_from(["snow", "rain", "clear"])),
    st.builds(lambda hour: edits.environment(hour=hour), st.floats(0, 23)),
    st.builds(lambda name: edits.rename(1, name), st.sampled_from(["Ada", "Bo"])),
    st.builds(lambda at, name: edits.anchor(Anchor(name, moved(at))), place, st.sampled_from("ab")),
    st.builds(lambda n, at: edits.add(Entity(n, "crate", "crate", f"crate{n}"), crate(n, at)), number, place),
    st.builds(lambda n, at: edits.add(Entity(n, "ball", "ball", f"ball{n}"), ball(n, at)), number, place),
    st.builds(lambda n, at: edits.move(n, Pose.at(at[0], at[1], 1.0)), number, place),
    st.builds(edits.remove, st.integers(1, 5)),
    st.builds(lambda hard: edits.rule(Rule("fence", "bounds", hard, low=(-2, -2, -9), high=(2, 2, 9))), st.booleans()),
    st.builds(edits.lift, st.just("fence")),
    st.builds(splats, st.integers(0, 9)),
)
acts = st.builds(
    lambda keys, hand, wish: Action(keys, hand=hand, edits=(wish,) if wish else ()),
    keys,
    st.sampled_from([Hand.NONE, Hand.NONE, Hand.USE, Hand.THROW, Hand.PLACE]),
    st.one_of(st.none(), st.none(), asked),
)
operations = st.one_of(
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("edit"), asked),
    st.tuples(st.sampled_from(["undo", "fork", "goto", "restart", "switch"]), st.integers(0, 99)),
)


def moved(at: tuple[float, float, float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = at
    return pose


def stands(world: World) -> tuple[str, str]:
    return world.state, world.head


def undone(world: World) -> World:
    """After an undo that is checked: its slots hold what they held before the edit."""
    back = world.undo()
    told = back.history.events[-1]
    event = world.history.events[int(str(told.args["undoes"]))]
    assert isinstance(event.args["slots"], tuple) and isinstance(event.args["old"], tuple)
    for slot, old in zip(event.args["slots"], event.args["old"]):
        was = None if old is None else back.history.record(bytes.fromhex(str(old)))
        assert read(back, str(slot), was) == was
    if world.history.events[-1] == event:  # nothing came between
        assert back.state == event.before
    return back


@settings(max_examples=PROGRAMS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, min_size=3, max_size=14))
def test_any_program_is_kept_undone_and_replayed(program: list[tuple[str, object]]) -> None:
    with TemporaryDirectory(dir=MEMORY) as folder:
        store = Store.create(Path(folder), yard.world())
        try:
            store = run(store, program)
            for branch in store.branches():
                assert all(it.state and it.head for it in replay(store, branch))
        finally:
            store.close()


def run(store: Store, program: list[tuple[str, object]]) -> Store:
    world, tips = store.world(), {"main": stands(store.world())}
    for number, (what, how) in enumerate(program):
        before, head = world.state, world.head
        if what == "act":
            assert isinstance(how, Action)
            world = yard.step(world, how, store)
        elif what == "edit":
            assert isinstance(how, Edit)
            try:
                edited = world.edit(how)
            except ValueError:  # it makes no sense here: nothing may have changed
                assert (replace(world).state, world.head) == (before, head)
                continue
            store.commit(edited)
            assert (replace(world).state, world.head) == (before, head)
            world = edited
        elif what == "undo":
            try:
                world = undone(world)
            except ValueError as error:
                if not any(said in str(error) for said in ("no edit to undo", "changed since", "forbid", "no entity")):
                    raise
                continue
            store.commit(world)
        elif what == "restart":
            folder, branch = store.folder, world.branch
            store.close()
            store = Store.open(folder, branch)
            world = yard.reopened(store, branch)
            assert stands(world) == tips[branch]
        elif what in ("fork", "goto"):
            step = int(str(how)) % (world.step + 1)
            then = store.world_at(step, world.branch)
            if what == "fork":
                store.fork(world.branch, step, f"fork{number}")
                world = yard.reopened(store, f"fork{number}")
                assert world.state == then.state
            elif stands(then) != stands(world):
                known = set(store.branches())
                store.goto(world.branch, step)
                (left,) = set(store.branches()) - known
                tips[left] = tips[world.branch]
                world = yard.reopened(store, world.branch)
                assert world.state == then.state
        else:
            names = sorted(tips)
            world = yard.reopened(store, names[int(str(how)) % len(names)])
        tips[world.branch] = stands(world)
        for branch, stood in tips.items():
            if branch != world.branch:
                assert stands(store.world(branch)) == stood, f"{what} on {world.branch} changed {branch}"
    return store


def test_a_replay_that_differs_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = yard.world()
    with Store.create(tmp_path, world) as store:
        for _ in range(6):
            world = yard.step(world, Action(Keys.FORWARD), store)
        assert [it.state for it in replay(store, start=2)] == [True] * 4
        advance = World.advance
        slip = Action(Keys.BACK)
        monkeypatch.setattr(
            World, "advance", lambda self, action, *more: advance(self, slip if self.step == 3 else action, *more)
        )
        assert [it.state for it in replay(store)] == [True, True, True, False, False, False]
