"""A process that writes to a world until it is killed, and says what it does: before, and once it is acknowledged.

It plays a small yard with made-up latents in place of a model, so that nearly all its time goes into
the store: steps, edits, forks, going back, pruning, closing and opening again, as chance has it.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np

from perdure.bench.watch import watch
from perdure.camera import Intrinsics, look
from perdure.memory.commit import commit
from perdure.world import prune, tip
from perdure.world.action import Action
from perdure.world.edit import rename
from perdure.world.geometry import Keyframe
from perdure.world.history import LATENT
from perdure.world.identity import Entity
from perdure.world.mover import Mover
from perdure.world.state import Finding, World
from perdure.world.store import Store

# So that a short life has an old past: snapshots come often, and few steps count as recent.
tip.SNAPSHOT_COMMITS, prune.RECENT, prune.SPARSE = 16, 8, 128
KEEP = 12  # steps of each branch that pruning leaves exact
HOME, NAME = "home/worlds", "yard"  # below the folder given: the store makes it too
EYE = Intrinsics.from_fov(32, 24, 75.0)
BRANCHES = 5  # no more than these

XML = f"""<mujoco><option timestep="{1 / 96!r}"/><worldbody>
<geom name="floor" type="plane" size="10 10 .1"/>
<geom name="wall" type="box" size=".1 6 1.5" pos="3 0 1.5"/>
<body name="player">
  <joint name="player_x" type="slide" axis="1 0 0"/><joint name="player_y" type="slide" axis="0 1 0"/>
  <geom type="capsule" fromto="0 0 .3 0 0 1.4" size=".3" mass="70"/>
</body>
<body name="beast" mocap="true"><geom type="box" size=".3 .15 .15" contype="0" conaffinity="0"/></body>
</worldbody></mujoco>"""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What is about to be done, or was done and acknowledged; and where a branch is once it has been done."""

    what: str  # open, create, step, edit, fork, goto, prune, close
    done: bool
    branch: str = ""
    events: int = 0  # so many have happened on it: what names a commit
    state: str = ""
    head: str = ""  # not known before of a `goto` or a `prune`
    left: str = ""  # what a `goto` left the branch under

    @classmethod
    def of(cls, what: str, world: World, done: bool = False, left: str = "") -> "Word":
        return cls(what, done, world.branch, len(world.history.events), world.state, world.head, left)


Say = Callable[[Word], None]


@dataclass
class Life:
    folder: Path
    seed: int
    say: Say
    worlds: dict[str, World] = field(default_factory=dict[str, World])

    def live(self, acts: int) -> Store:
        """So many acts, which `seed` and what was there decide; the store, still open."""
        chance = random.Random(self.seed)
        store = self.begin()
        for _ in range(acts):
            roll = chance.random()
            if roll < 0.04:
                self.say(Word("close", False))
                store.close()
                self.say(Word("close", True))
                store = self.begin()
            elif roll < 0.1 and len(self.worlds) < BRANCHES:
                self.fork(store, chance)
            elif roll < 0.13 and len(self.worlds) < BRANCHES:
                self.go_back(store, chance)
            elif roll < 0.16:
                self.prune(store)
            elif roll < 0.27:
                self.edit(store, chance)
            else:
                self.step(store, chance)
        return store

    def begin(self) -> Store:
        folder = self.folder / HOME / NAME
        if folder.exists():
            self.say(Word("open", False))
            store = Store.open(folder)
            if prune.policy(store).keep_steps != KEEP:
                prune.set_policy(store, prune.Policy(keep_steps=KEEP))
            self.worlds = {name: reopened(store, name) for name in store.branches()}
            self.say(Word("open", True))
            return store
        world = founded(self.seed)
        self.say(Word.of("create", world))
        store = Store.create(folder.parent, world)
        self.say(Word.of("create", world, done=True))
        self.worlds = {world.branch: world}
        return store

    def step(self, store: Store, chance: random.Random) -> None:
        branch = chance.choice(sorted(self.worlds))
        action = Action(chance.randrange(256), chance.uniform(-0.2, 0.2))
        world = commit(self.worlds[branch].advance(action), action, drawn(chance))
        self.commit("step", store, world)
        self.worlds[branch] = world.expect(finding(world))

    def edit(self, store: Store, chance: random.Random) -> None:
        branch = chance.choice(sorted(self.worlds))
        self.worlds[branch] = self.worlds[branch].edit(rename(1, f"beast {chance.getrandbits(16)}"))
        self.commit("edit", store, self.worlds[branch])

    def commit(self, what: str, store: Store, world: World) -> None:
        self.say(Word.of(what, world))
        store.commit(world)
        self.say(Word.of(what, world, done=True))

    def fork(self, store: Store, chance: random.Random) -> None:
        source, name = chance.choice(sorted(self.worlds)), f"fork{chance.getrandbits(32)}"
        at = chance.randint(0, self.worlds[source].step)
        then = before(store, source, at)
        if then is None:
            return
        then = then.fork(name)
        self.say(Word.of("fork", then))
        store.fork(source, at, name)
        self.say(Word.of("fork", then, done=True))
        self.worlds[name] = reopened(store, name)

    def go_back(self, store: Store, chance: random.Random) -> None:
        branch = chance.choice(sorted(self.worlds))
        last = self.worlds[branch].step
        left = f"{branch}@{last}"  # the name that the store gives, where it is free
        if last and left not in self.worlds:
            at = chance.randrange(last)
            then = before(store, branch, at)
            if then is None:
                return
            soon = Word.of("goto", then, left=left)
            self.say(msgspec.structs.replace(soon, events=soon.events + 1, head=""))
            world = store.goto(branch, at)
            self.say(Word.of("goto", world, done=True, left=left))
            self.worlds = {name: reopened(store, name) for name in store.branches()}

    def prune(self, store: Store) -> None:
        if prune.plan(store).freed:
            soon = Word.of("prune", store.world())
            self.say(msgspec.structs.replace(soon, events=soon.events + 1, head=""))
            prune.prune(store)
            self.say(Word.of("prune", store.world(), done=True))
            self.worlds[store.branch] = reopened(store, store.branch)


def before(store: Store, branch: str, step: int) -> World | None:
    """The world as a step made it, if it can be gone on from."""
    try:
        for back in (1, 0):
            then = store.world_at(max(0, step - back), branch)
    except ValueError as error:
        if "was pruned" in str(error):
            return None
        raise
    return then


def founded(seed: int) -> World:
    entities = Entity(0, "player", "you", "player"), Entity(1, "creature", "the beast", "beast")
    first = Keyframe(-1, look(np.array([0, 0, 1.5]), 0, 0), EYE, *picture(seed))
    beast = Mover(1, "beast", (), home=(-2.0, 1.0), radius=2.5)
    return World.create(NAME, "yard", seed, XML, (beast,), (0.0, 0.0, 0.3), entities, (first,), EYE, seed)


def drawn(chance: random.Random) -> np.ndarray:
    return np.random.default_rng(chance.getrandbits(64)).standard_normal(LATENT, np.float32)


def picture(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = EYE.height, EYE.width
    rgb = rng.integers(0, 256, (*size, 3), np.uint8)
    return rgb, rng.integers(500, 9000, size, np.uint16), rng.random(size) < 0.3


def finding(world: World) -> Finding:
    rgb, depth, mask = picture(world.noise_seed)
    return Finding(world.step, world.motion.cameras[-1], EYE, rgb, depth, mask & (world.step % 3 == 0))


def reopened(store: Store, branch: str) -> World:
    """With what was found in the last steps found again, as the engine does."""
    world = store.world(branch)
    for back in (1, 0):
        if world.step > back:
            world = world.expect(finding(store.world_at(world.step - back, branch)))
    return world


def until_killed(folder: Path, seed: int, line: Connection) -> None:
    """Live for ever, saying it through `line`. Begun by `durability` in a process of its own."""
    encode = msgspec.msgpack.encode
    try:
        Life(folder, seed, lambda word: line.send_bytes(encode(word))).live(1_000_000)
    except BaseException as error:
        line.send_bytes(encode(failed(error)))
        os._exit(1)


def watched(folder: Path, seed: int, acts: int, log: Path) -> None:
    """Live for so many acts, with all that is written seen and kept in `log`."""
    seen = watch(folder)
    life = Life(folder, seed, lambda word: seen.say(msgspec.msgpack.encode(word)))
    try:
        life.live(acts)
    except BaseException as error:
        life.say(failed(error))
    log.write_bytes(msgspec.msgpack.encode(seen.ops))
    os._exit(0)  # as if the power went: nothing is closed


def failed(error: BaseException) -> Word:
    return Word(f"failed: {type(error).__name__}: {error}", True)
