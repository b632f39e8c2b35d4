"""Worlds for agents: Gymnasium's rules over a world of your home, or over one founded for the occasion.

    import gymnasium
    import perdure.env

    env = gymnasium.make("perdure/World-v0", world="court")
    observation, info = env.reset(seed=3)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

Gymnasium since 1.0 looks for no plugins, so nobody finds this environment before it is imported: write
`import perdure.env`, or name the module with it, `make("perdure.env:perdure/World-v0", ...)`, which
`AsyncVectorEnv` and its processes need. Installed or not makes no difference.

A step is a chunk: four frames, a sixth of a second. An episode is played on a fork of its own, in memory
(up to 0.4 MB more with each step), and dropped; the world that it left is never changed. `keep="name"` keeps
episodes in the world's folder, as the forks name, name-2, and so on.

What a seed decides is what the model imagines: the same seed and actions give the same bytes (a kept
episode has the chance that belongs to its name). Creatures wander as the world has it, whatever the seed.

`serve=8700`, or `watch(8700)` on the environment, shows the run in a browser, frame by frame as the agent
gets them and at their true pace. The agent drives; people watch, and cannot stop it.

One set of weights serves all environments of a process, so `make_vec(..., num_envs=n)` steps n worlds one
after the other at the memory of n caches; `vectorization_mode="async"` uses more cores, a process each.

Shapes: T frames of a chunk, H height, W width, N entities.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from perdure.camera import FAR
from perdure.data.founding import SPOTS, found_kind
from perdure.models.cache import Cache
from perdure.presets.nano import nano
from perdure.runtime.driven import Driven
from perdure.runtime.engine import Engine, Frames, load
from perdure.server.watch import Watch, open_browser
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, TURN_LIMIT, Action, Hand, Keys
from perdure.world.state import FINDING_LAG, World
from perdure.world.store import Store, home

Reward = Callable[[World, World, Action], float]  # (before, after, what was done between)
Done = Callable[[World], bool]

SEEN = ("rgb", "depth", "pose", "entities")  # what can be observed
WIDEST = 1e6  # metres: a pose is somewhere within them
LONGEST = 200  # characters of words
FIRST = "court"  # founded where nothing is asked for
PORT = 8700
PLACES = 16  # starting points that are remembered

DISCRETE = (
    Action(),
    *map(Action, Keys),
    *(Action(hand=hand) for hand in Hand if hand),
)
"""What the numbers of `actions="discrete"` mean: nothing, each of the eight keys, use, place, throw."""


@dataclass(frozen=True, eq=False)
class _Start:
    """Where episodes begin: an open world, and what is seen of it before its first step."""

    world: World
    frames: Frames


class WorldEnv(gymnasium.Env[Any, Any]):
    """A world that an agent acts in. `world` on it is the world as it is now.

    world    the name of a world of the home, a fork as world/fork, or a `World` as an engine gave it
    scene, seed, spots    where no world is named: one founded on such a scene, as `perdure new` does
    actions  "keys": a Dict of keys, look (turn and tilt, -1 to 1 of the most that a chunk may turn) and hand;
             "discrete": the numbers of `DISCRETE`. An `Action` may be given to `step` with either
    words    adds text to the Dict: what is to happen
    frames   1: the chunk's last frame; 4: all of them
    observe  any of "rgb", "depth", "pose", "entities": a Dict of them instead of frames alone. Depth is what physics
             knows, in metres (and takes as long as half a step); poses lead to the world, and are of the last frame
    reward, done    (before, after, action) -> float and (world) -> bool; 0 and never unless given
    keep     keeps episodes, as forks with this name
    serve    a port on which people may watch; 0 is any that is free
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own)
        "render_modes": ["human", "rgb_array", "rgb_array_list"],
        "render_fps": FRAMES_PER_SECOND // FRAMES_PER_CHUNK,  # a frame a step; of "rgb_array_list" 24, all four of each
        "frames_per_step": FRAMES_PER_CHUNK,
        "frames_per_second": FRAMES_PER_SECOND,
    }

    def __init__(
        self,
        world: str | World | None = None,
        *,
        scene: str | None = None,
        seed: int = 0,
        spots: int = SPOTS,
        actions: str = "keys",
        words: bool = False,
        frames: int = 1,
        observe: Sequence[str] | None = None,
        reward: Reward | None = None,
        done: Done | None = None,
        keep: str | None = None,
        serve: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if world is not None and scene is not None:
            raise ValueError(f"expected a world or a scene to found one on, got both {world!r} and {scene!r}")
        if keep is not None and not isinstance(world, str):
            raise ValueError("expected a world of your home to keep episodes in: name one, `perdure ls` lists them")
        if actions not in ("keys", "discrete"):
            raise ValueError(f"expected actions to be 'keys' or 'discrete', got {actions!r}")
        if words and actions == "discrete":
            raise ValueError("expected words with actions='keys' only: a number has no room for them")
        if frames not in (1, FRAMES_PER_CHUNK):
            raise ValueError(f"expected frames to be 1 or {FRAMES_PER_CHUNK}, got {frames!r}")
        if observe is not None and (isinstance(observe, str) or not observe or not set(observe) <= set(SEEN)):
            raise ValueError(f"expected observe to be some of {SEEN}, got {observe!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"expected a render_mode of {self.metadata['render_modes']}, got {render_mode!r}")
        self.render_mode = render_mode
        if render_mode == "rgb_array_list":
            self.metadata = {**self.metadata, "render_fps": FRAMES_PER_SECOND}
        self._all_frames, self._observe = frames == FRAMES_PER_CHUNK, observe
        self._reward, self._done, self._keep = reward, done, keep
        self._serve = 0 if serve is None and render_mode == "human" else serve

        self.world: World | None = None
        self._frames: Frames | None = None
        self._shown: list[Frames] = []  # since the last `render`, where it gives all of them
        self._starts: dict[tuple[str, int] | None, _Start] = {}
        self._cache: Cache | None = None  # of keys and values; what it holds fits every episode
        self._player: _Alone | Driven | None = None
        self._watch: Watch | None = None
        self._store: Store | None = None
        if isinstance(world, str):
            self.name, (folder, _, branch) = world, world.partition("/")
            self._store = _stores.open(home() / folder, write=keep is not None)
            try:
                self._began = self._store.world(branch or None)
            except BaseException:
                self.close()
                raise
        else:
            self._began = world or _founded(scene or FIRST, seed, spots)
            self.name = self._began.name
        self.entities = tuple(sorted(self._began.motion.bodies))  # whose poses are observed, in this order
        self.observation_space = self._observation_space()
        self.action_space = spaces.Discrete(len(DISCRETE)) if actions == "discrete" else _keys_space(words)

    # Gymnasium's verbs

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new episode, from where the world was when this environment was made.

        options={"event": n} begins right after event n of the world's history, {"step": n} right after its step n.
        """
        super().reset(seed=seed)
        start = self._start(options or {})
        chance = int(self.np_random.integers(2**63))
        self.world = self._fork(start.world) if self._keep else start.world.fork(f"episode-{chance:016x}")
        self._frames, self._shown = start.frames, []
        if self._serve is not None and self._watch is None:
            self._begin_watch(self._serve)
        else:
            self._play().begin(self.world, self._frames)
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.world is None:
            raise ResetNeeded("expected reset() before the first step()")
        asked, before = self.read(action), self.world
        self.world, self._frames = self._play().step(asked)
        if self.render_mode == "rgb_array_list":
            self._shown.append(self._frames)
        reward = 0.0 if self._reward is None else float(self._reward(before, self.world, asked))
        done = False if self._done is None else bool(self._done(self.world))
        return self._observation(), reward, done, False, self._info()

    def render(self) -> Any:
        if self._frames is None:
            raise ResetNeeded("expected reset() before render()")
        if self.render_mode == "rgb_array":
            return self._frames[-1].copy()
        if self.render_mode == "rgb_array_list":
            shown, self._shown = self._shown, []
            return [frame.copy() for frames in shown for frame in frames]
        return None  # "human" is what the page shows

    def close(self) -> None:
        player, watch, store = self._player, self._watch, self._store
        self._player = self._watch = self._store = self.world = self._frames = None
        if isinstance(player, Driven):
            player.close()
        if watch is not None:
            watch.close()
        if store is not None:
            _stores.close(store)

    def watch(self, port: int = PORT) -> str:
        """Let people watch from now on; the address of the page."""
        if self._watch is None:
            if self.world is None:
                raise ResetNeeded("expected reset() before watch()")
            self._begin_watch(port)
        assert self._watch is not None
        return self._watch.url

    def read(self, action: Any) -> Action:
        """The `Action` that an element of the action space means."""
        if isinstance(action, Action):
            return action
        if isinstance(self.action_space, spaces.Discrete):
            if not self.action_space.contains(action):
                raise ValueError(f"expected an action in 0..{len(DISCRETE) - 1}, got {action!r}")
            return DISCRETE[int(action)]
        assert isinstance(self.action_space, spaces.Dict)
        wanted = set(self.action_space)
        if not isinstance(action, Mapping) or set(action) != wanted:
            came = sorted(action) if isinstance(action, Mapping) else type(action).__name__
            raise ValueError(f"expected an action with {', '.join(sorted(wanted))}, got {came}")
        keys, look = _row("keys", action["keys"], len(Keys)), _row("look", action["look"], 2)
        if not np.isin(keys, (0, 1)).all():
            raise ValueError(f"expected keys of 0 and 1, got {keys}")
        hand = np.asarray(action["hand"])
        if hand.shape != () or hand not in tuple(Hand):
            raise ValueError(f"expected a hand in 0..{len(Hand) - 1}, got {action['hand']!r}")
        bits = sum(1 << i for i, held in enumerate(keys) if held)
        turn, tilt = (float(part) * TURN_LIMIT for part in look)
        words = action.get("words", "")
        if not isinstance(words, str):
            raise ValueError(f"expected words as a string, got {words!r}")
        return Action(bits, turn, tilt, Hand(int(hand)), events=(words.strip(),) if words.strip() else ())

    # Where episodes begin

    def _start(self, options: Mapping[str, Any]) -> _Start:
        place = next(((kind, number) for kind, number in options.items()), None)
        if place and (len(options) > 1 or place[0] not in ("event", "step") or not isinstance(place[1], Integral)):
            raise ValueError(f'expected options {{"event": n}} or {{"step": n}}, got {dict(options)}')
        if place not in self._starts:
            world, engine = self._at(place), _engine()
            with _turn:
                if len(world.pending) < min(world.step, FINDING_LAG):
                    world, _, _ = engine.open(world, self._store)
                frames = engine.observe(world, world.motion.cameras[-1])
            while len(self._starts) >= PLACES:
                del self._starts[next(iter(self._starts))]
            self._starts[place] = _Start(world, frames)
        return self._starts[place]

    def _at(self, place: tuple[str, int] | None) -> World:
        """The world as it was there."""
        if place is None:
            return self._began
        kind, number = place
        if self._store is None:
            here = self._began.step if kind == "step" else len(self._began.history.events) - 1
            if number != here:
                raise ValueError(
                    f"expected {kind} {here}, where this world is (only a kept one goes back), got {number}"
                )
            return self._began
        at = self._store.world_at if kind == "step" else self._store.world_at_event
        return at(number, self._began.branch)

    def _fork(self, world: World) -> World:
        """The same world, as a kept fork that nobody has been in."""
        assert self._store is not None and self._keep is not None
        taken = self._store.branches()
        names = (self._keep, *(f"{self._keep}-{i}" for i in range(2, len(taken) + 3)))
        name = next(name for name in names if name not in taken)
        fork = self._store.fork_of(world, name)
        return replace(fork, pending=world.pending)

    # Who plays

    def _play(self) -> "_Alone | Driven":
        if self._player is None:
            self._player = _Alone(_engine(), self._memories(), self._store if self._keep else None)
        return self._player

    def _memories(self) -> Cache:
        self._cache = self._cache or _engine().cache()
        return self._cache

    def _begin_watch(self, port: int) -> None:
        assert self.world is not None and self._frames is not None
        driven = Driven(_engine(), self._memories(), self._store if self._keep else None, _turn)
        driven.begin(self.world, self._frames)
        try:
            self._watch = Watch(driven.session, self.name, port)
        except BaseException:
            driven.close()
            raise
        self._player = driven
        print(f"watch {self.name} at {self._watch.url}", file=sys.stderr)
        if self.render_mode == "human":
            open_browser(self._watch.url)

    # What is seen

    def _observation_space(self) -> spaces.Space[Any]:
        lens, count = self._began.motion.intrinsics, len(self.entities)
        frames = (FRAMES_PER_CHUNK,) if self._all_frames else ()
        every: dict[str, spaces.Space[Any]] = {
            "rgb": spaces.Box(0, 255, (*frames, lens.height, lens.width, 3), np.uint8),
            "depth": spaces.Box(0.0, FAR, (lens.height, lens.width), np.float32),
            "pose": spaces.Box(-WIDEST, WIDEST, (4, 4), np.float64),
            "entities": spaces.Box(-WIDEST, WIDEST, (count, 4, 4), np.float64),
        }
        return every["rgb"] if self._observe is None else spaces.Dict({name: every[name] for name in self._observe})

    def _observation(self) -> Any:
        if self._observe is None:
            return self._see("rgb")
        return {name: self._see(name) for name in self._observe}

    def _see(self, what: str) -> NDArray[Any]:
        """An array of its own: what was handed out is not touched again."""
        assert self.world is not None and self._frames is not None
        motion = self.world.motion
        match what:
            case "rgb":
                return self._frames.copy() if self._all_frames else self._frames[-1].copy()
            case "depth":
                inverse = self.world.physics.proxy(motion, motion.intrinsics.width, motion.intrinsics.height)[0]
                return np.minimum(1.0 / np.maximum(inverse, np.float32(1.0 / FAR)), np.float32(FAR))
            case "pose":
                return motion.cameras[-1].copy()
            case _:
                poses = np.zeros((len(self.entities), 4, 4))  # zeros for one that is gone
                for row, entity in enumerate(self.entities):
                    if entity in motion.bodies:
                        poses[row] = motion.bodies[entity][-1]
                return poses

    def _info(self) -> dict[str, Any]:
        assert self.world is not None
        motion = self.world.motion
        return {
            "step": self.world.step,
            "branch": self.world.branch,
            "state": self.world.state,
            "head": self.world.head,
            "camera": motion.cameras[-1].copy(),
            "entities": {entity: poses[-1].copy() for entity, poses in motion.bodies.items()},
        }


class _Alone:
    """Plays with nobody watching, as fast as it goes."""

    def __init__(self, engine: Engine, cache: Cache, store: Store | None) -> None:
        self._engine, self._cache, self._store = engine, cache, store
        self._world: World | None = None

    def begin(self, world: World, frames: Frames) -> None:
        self._world = world

    def step(self, action: Action) -> tuple[World, Frames]:
        assert self._world is not None
        with _turn:
            self._world, frames = self._engine.step(self._world, action, self._cache, self._store)
        return self._world, frames


# What the environments of a process share

_turn: AbstractContextManager[Any] = threading.Lock()  # held while the engine works


@cache
def _engine() -> Engine:
    return load()


@lru_cache(maxsize=4)
def _founded(scene: str, seed: int, spots: int) -> World:
    return found_kind(scene, seed, nano(), scene, spots)


class _Stores:
    """Folders that are open here, each once, however many environments play there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[Path, bool], tuple[Store, int]] = {}  # how many have it open

    def open(self, folder: Path, write: bool) -> Store:
        with self._lock:
            drawn_by = _engine().backend.fingerprint() if write else None
            store, count = self._open.get((folder, write)) or (Store.open(folder, write=write, fingerprint=drawn_by), 0)
            self._open[folder, write] = store, count + 1
            return store

    def close(self, store: Store) -> None:
        with self._lock:
            place, count = next((place, count) for place, (it, count) in self._open.items() if it is store)
            self._open[place] = store, count - 1
            if count == 1:
                del self._open[place]
                store.close()


_stores = _Stores()


def _begin_anew() -> None:
    """In a process that was forked off: what its parent has open is not its own."""
    global _turn, _stores
    _turn, _stores = threading.Lock(), _Stores()
    _engine.cache_clear()


os.register_at_fork(after_in_child=_begin_anew)


def _keys_space(words: bool) -> spaces.Dict:
    parts: dict[str, spaces.Space[Any]] = {
        "keys": spaces.MultiBinary(len(Keys)),
        "look": spaces.Box(-1.0, 1.0, (2,), np.float32),  # turn to the left, tilt upward
        "hand": spaces.Discrete(len(Hand)),
    }
    if words:
        printable = "".join(map(chr, range(32, 127)))
        parts["words"] = spaces.Text(LONGEST, min_length=0, charset=printable)
    return spaces.Dict(parts)


def _row(name: str, value: Any, length: int) -> NDArray[np.float64]:
    try:
        row = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        row = np.empty(0)  # of words, or of rows that differ in length
    if row.shape != (length,) or not np.isfinite(row).all():
        raise ValueError(f"expected {length} finite numbers as {name!r} of an action, got {value!r}")
    return row


gymnasium.register(id="perdure/World-v0", entry_point="perdure.env:WorldEnv")
