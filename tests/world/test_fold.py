"""Snapshots, branches and rewinds in any order: the store agrees with values that never left memory."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.world import tip as module
from perdure.world.action import Action
from perdure.world.body import crate
from perdure.world.edit import add, environment, rename
from perdure.world.fold import fold
from perdure.world.history import Note
from perdure.world.identity import Entity
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import yard
from tests.world.test_store import same

CRATE = crate(5, (1.0, -1.0, 0.0))


def replayed(worlds: list[World], branch: str) -> list[World]:
    return [world.fork(branch) for world in worlds]


class Programs(RuleBasedStateMachine):
    """Snapshots are made often, so that most of what is read is read from one."""

    @initialize(target_seed=st.integers(0, 3), often=st.sampled_from([2, 5, 256]))
    def begin(self, target_seed: int, often: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "SNAPSHOT_COMMITS", often)
        self.home = tempfile.TemporaryDirectory()
        world = yard.world(seed=target_seed)
        self.store = Store.create(Path(self.home.name), world)
        self.pasts: dict[str, list[World]] = {"main": [world]}  # a world for each commit
        self.live: dict[str, World] = {"main": world}

    def branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.live)))

    def agreed(self, branch: str, world: World) -> None:
        """A commit was made: by a world that may have come from the disk, and by one that never did."""
        self.pasts[branch].append(world)
        assert (self.live[branch].state, self.live[branch].head) == (world.state, world.head)

    @rule(data=st.data(), keys=st.integers(0, 255), turn=st.floats(-0.5, 0.5))
    def act(self, data: st.DataObject, keys: int, turn: float) -> None:
        branch, action = self.branch(data), Action(keys, turn)
        world = yard.step(self.pasts[branch][-1], action)
        self.live[branch] = yard.step(self.live[branch], action, self.store)
        self.agreed(branch, world)

    @rule(data=st.data(), name=st.sampled_from(["Ada", "Bo"]), hour=st.floats(0, 23))
    def edit(self, data: st.DataObject, name: str, hour: float) -> None:
        branch = self.branch(data)
        for asked in (rename(1, name), environment(hour=hour), add(Entity(5, "thing", "a crate", CRATE.name), CRATE)):
            if data.draw(st.booleans()) and not (asked.targets == (5,) and 5 in ids(self.pasts[branch][-1])):
                self.live[branch] = self.live[branch].edit(asked)
                self.store.commit(self.live[branch])
                self.agreed(branch, self.pasts[branch][-1].edit(asked))

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        with contextlib.suppress(ValueError):  # nothing to undo, or written over since
            world = self.pasts[branch][-1].undo()
            self.live[branch] = self.live[branch].undo()
            self.store.commit(self.live[branch])
            self.agreed(branch, world)

    @precondition(lambda self: len(self.pasts) < 5)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        source = self.branch(data)
        past = self.pasts[source]
        at = data.draw(st.sampled_from([None, *{world.step for world in past}]))
        name = f"branch{len(self.pasts)}"
        self.store.fork(source, at, name)
        end = len(past) if at is None else 1 + next(i for i, world in enumerate(past) if world.step == at)
        self.pasts[name] = replayed(past[:end], name)
        self.live[name] = yard.reopened(self.store, name)

    @precondition(lambda self: len(self.pasts) < 5)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        past = self.pasts[branch]
        number = data.draw(st.integers(0, len(past) - 1))
        event = len(past[number].history.events) - 1
        if number == len(past) - 1:
            with pytest.raises(ValueError, match="somewhere to go back to"):
                self.store.goto(branch, event=event)
            return
        known = set(self.store.branches())
        world = self.store.goto(branch, event=event)
        (left,) = set(self.store.branches()) - known
        assert left.startswith(f"{branch}@{past[-1].step}")
        note = Note("revert", "player", (), {"to": past[number].step, "left": left})
        self.pasts[left], self.pasts[branch] = (
            replayed(past, left),
            [
                *past[: number + 1],
                past[number].log(note, before=past[number].state),
            ],
        )
        assert (world.state, world.head) == (self.pasts[branch][-1].state, self.pasts[branch][-1].head)
        self.live[branch], self.live[left] = yard.reopened(self.store, branch), yard.reopened(self.store, left)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.store.folder)
        self.live = {branch: yard.reopened(self.store, branch) for branch in self.pasts}

    @rule(data=st.data(), writes=st.booleans())
    def look_back(self, data: st.DataObject, writes: bool) -> None:
        branch = self.branch(data)
        past = self.pasts[branch]
        number = data.draw(st.integers(0, len(past) - 1))
        made = next(world for world in past if world.step == past[number].step)
        with contextlib.ExitStack() as stack:
            store = self.store if writes else stack.enter_context(Store.open(self.store.folder, write=False))
            same(store.world_at(past[number].step, branch), made)
            seq = data.draw(st.integers(0, len(past[number].history.events) - 1))
            then = store.world_at_event(seq, branch)
            expected = next(world for world in past if len(world.history.events) > seq)
            assert (then.state, then.head) == (expected.state, expected.head)
            assert then.history.events[seq] == expected.history.events[seq]

    @rule(data=st.data())
    def fold_from_the_start(self, data: st.DataObject) -> None:
        """A snapshot is nothing but what the commits before it come to."""
        rows = self.store.rows
        lineage = rows.lineage(self.branch(data))
        (quick, _), (slow, _) = fold(rows, lineage, check=True), fold(rows, lineage, check=True, snapshots=False)
        assert quick.to_bytes() == slow.to_bytes()
        assert (quick.number, quick.step, quick.head) == (slow.number, slow.step, slow.head)

    @invariant()
    def branches_stand_where_they_should(self) -> None:
        if hasattr(self, "store"):
            assert self.store.branches() == {name: past[-1].step for name, past in self.pasts.items()}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.patch.undo()
            self.store.close()
            self.home.cleanup()


def ids(world: World) -> set[int]:
    return {entity.id for entity in world.entities}


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
