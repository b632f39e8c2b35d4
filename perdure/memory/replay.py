"""Replay: what was done in a world is done again, and must lead to the same state and the same history.

Physics, edits and rules are computed anew from the actions in the log. What a model made, latents and
what the observer found, is taken as it was kept: it is what the world was told, and not what follows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perdure.memory.commit import commit
from perdure.world.edit import Change, Edit
from perdure.world.geometry import Keyframe
from perdure.world.history import Event, Note
from perdure.world.physics import Observer
from perdure.world.rows import Commit
from perdure.world.state import Finding, World
from perdure.world.store import Store


@dataclass(frozen=True)
class Replayed:
    number: int  # of the commit
    step: int
    state: bool  # whether the state is the same
    head: bool  # and all that happened


Watched = Callable[[World], Observer]
"""Given the world as a chunk begins, with its edits, who looks on at each of its ticks."""


def replay(store: Store, branch: str | None = None, start: int = 0) -> Iterator[Replayed]:
    """Do again all that was committed on a branch since a step; tells of each commit whether it came out the same.

    Each is replayed from the one before as replayed, so an error shows in all that follow it.
    """
    for made, world in again(store, branch, start):
        yield Replayed(made.number, made.step, world.state == made.state, world.head == made.head)


def again(
    store: Store, branch: str | None = None, start: int = 0, watched: Watched | None = None
) -> Iterator[tuple[Commit, World]]:
    """Each commit since a step, and the world that it leads to, done again."""
    told = store.world(branch)
    found = {keyframe.digest.hex(): keyframe for keyframe in told.geometry.keyframes}
    known = {*store.branches(), *store.rows.once}
    names = {name.split("@")[0] for name in known} | known
    world = store.world_at(start, branch)
    for made in store.commits(branch, start):
        world = _again(world, made, told, found, names, watched)
        yield made, world


def _again(
    world: World,
    made: Commit,
    told: World,
    found: Mapping[str, Keyframe],
    names: set[str],
    watched: Watched | None,
) -> World:
    events = made.events
    if events[-1].kind != "tick":
        return _edited(world, events, told)
    memory = told.history.memories[made.step - 1]
    # The edits that came with the action, or that its words led to, are done by the step itself; what was logged
    # before them is not. Words that were said before there were events led to none.
    act = next(i for i, event in enumerate(events) if event.kind == "act")
    done, action = memory.action, memory.action
    if not any("said" in event.args for event in events[:act]):
        done = replace(action, events=())
    broke = sum(event.actor == "physics" for event in events[:act])  # and of what broke the step makes pieces
    world = _edited(world, events[: act - len(done.edits) - len(done.events) - broke], told)
    keyframes = [found[str(event.args["keyframe"])] for event in events if event.kind == "ingest"]
    pending = tuple(Finding(k.step, k.pose, k.intrinsics, k.rgb, k.depth, k.mask) for k in keyframes)
    world = replace(world, pending=pending)
    world = world.advance(done, None if watched is None else watched(world.begun(done)))
    # A branch may have had another name when it came here, and chance is of the name.
    name = next((n for n in sorted(names) if world.fork(n).noise_seed == events[-1].seed), world.branch)
    return commit(world.fork(name), action, memory.latent.astype(np.float32))


def _edited(world: World, events: Sequence[Event], told: World) -> World:
    for event in events:
        args = event.args
        values = args.get("asked", args.get("new"))
        if "undoes" in args:
            world = world.undo(int(str(args["undoes"])))
        elif isinstance(values, tuple) and isinstance(args["slots"], tuple):
            kept = [None if value is None else told.history.record(bytes.fromhex(str(value))) for value in values]
            changes = tuple(Change(str(slot), value) for slot, value in zip(args["slots"], kept))
            world = world.edit(Edit(changes, event.kind, event.actor), str(args.get("said", "")))
        else:  # it changed nothing: a refusal, a going back, another model
            note = Note(event.kind, event.actor, event.targets, args, event.seed, event.verdict)
            world = world.log(note, before=event.before)
    return world
