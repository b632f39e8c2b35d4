"""A clip: what was seen for 5 to 60 seconds, and all that its source knows of it.

Every source gives the same. What a source cannot know is None or absent, and never invented. `as_world` makes it the
world as it stood before the first frame, so that whoever learns from a clip steps and recalls just as serving does.

Shapes: N frames (four a chunk), S chunks, H W frame size.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, check_pose, invert, yaw_pitch
from perdure.data.painting.painter import Painter
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action, Path
from perdure.world.geometry import MILLIMETRES, Keyframe
from perdure.world.identity import Entity
from perdure.world.occupancy import occupied
from perdure.world.state import World
from perdure.world.trajectory import keys_from_poses

Agent = Callable[[World, NDArray[np.uint8] | None], Action]

STILL, SKY = 0, 255
"""Values of an entity map; an entity is 1 + its number."""
VIEWS = ("first", "third", "animal", "vehicle", "screen", "")
"""What a clip may be seen from; "screen" has no camera, "" is unknown."""
ROLES = ("player", "creature", "thing", "door")
SHORTEST, LONGEST = 5.0, 60.0  # seconds of a clip in a data set


def check_seconds(seconds: object) -> None:
    """Raise `ValueError` unless clips may be so long."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"expected clips of {SHORTEST:g} to {LONGEST:g} seconds, got {seconds!r}")


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # no dot: in a shard it ends the name


class Skipped(Exception):
    """Why a source gives no clip, or one less: raised it ends the job, yielded in a clip's place it only counts.

    The run goes on, and its report names `what`: the job itself unless said.
    """

    def __init__(self, why: str, what: str = "") -> None:
        super().__init__(why)
        self.what = what


@dataclass(frozen=True)
class Job:
    """What a source is to make: plain data, so that it means the same in any process."""

    source: str  # a module of perdure/data/sources, or any other by its dotted name
    number: int  # in the data set
    seed: int
    seconds: float
    options: Mapping[str, str | float | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Actor:
    """Somebody or something with a number in the entity map."""

    entity: int
    kind: str  # "strider"
    name: str  # "the striped strider"
    role: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"expected a role out of {', '.join(ROLES)} for {self.name}, got {self.role!r}")


@dataclass(frozen=True)
class Moment:
    """What happened, from frame `start` up to, not with, frame `end`."""

    start: int
    end: int
    kind: str  # "snow"
    words: str  # "it starts to snow"
    entity: int | None = None


@dataclass(frozen=True)
class Passage:
    """A part of a clip in words, from frame `start` up to, not with, frame `end`."""

    start: int
    end: int
    event: str
    caption: str


@dataclass(frozen=True)
class Captions:
    narrative: str  # the whole as a story
    scene: str  # the place alone: no motion, no action
    dense: tuple[Passage, ...]


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a start is made again: `found(data)`, and the state that it must come to."""

    data: Mapping[str, Any]  # plain: it is kept as JSON
    state: str
    found: Callable[[Mapping[str, Any]], World]

    def world(self) -> World:
        made = self.found(self.data)
        if made.state != self.state:
            raise ValueError(
                f"expected the recipe of this clip to found the state {self.state[:12]}, got {made.state[:12]}: "
                "the code that founds it has changed since; make the data set anew, or use the version that made it"
            )
        return made


@dataclass(frozen=True, eq=False)
class Clip:
    name: str  # unique in a data set
    source: str
    licence: str
    fps: float
    rgb: NDArray[np.uint8]  # (N, H, W, 3)
    seed: int | None = None
    view: str = ""
    intrinsics: Intrinsics | None = None
    poses: NDArray[np.float64] | None = None  # (N, 4, 4) camera to world
    depth: NDArray[np.float32] | None = None  # (N, H, W) metres along z; 0 where it is not known
    entity: NDArray[np.uint8] | None = None  # (N, H, W) STILL, SKY, else 1 + entity
    actions: tuple[Action, ...] | None = None  # S
    cast: tuple[Actor, ...] = ()
    commands: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # entity -> S of them in words, "" for none
    states: Mapping[int, Mapping[str, NDArray[Any]]] = field(default_factory=dict)  # entity -> name -> (N, ...)
    events: tuple[Moment, ...] = ()
    captions: Captions | None = None
    tags: Mapping[str, str] = field(default_factory=dict)  # whatever one may filter by
    start: World | None = None  # as it stood before the first frame
    recipe: Recipe | None = None  # how to make that again

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"expected letters, digits, '-' and '_' as the name of a clip, got {self.name!r}")
        if self.view not in VIEWS:
            raise ValueError(f"{self.name}: expected a view out of {', '.join(map(repr, VIEWS))}, got {self.view!r}")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"{self.name}: expected a positive number of frames a second, got {self.fps}")
        n, h, w = self.rgb.shape[:3] if self.rgb.ndim == 4 else (0, 0, 0)
        if n < FRAMES_PER_CHUNK or n % FRAMES_PER_CHUNK:
            raise ValueError(
                f"{self.name}: expected frames (N, H, W, 3), four for each chunk, got shape {self.rgb.shape}"
            )
        self._is("rgb", self.rgb, (n, h, w, 3), "uint8")
        self._is("poses", self.poses, (n, 4, 4), "float64")
        self._is("depth", self.depth, (n, h, w), "float32")
        self._is("entity", self.entity, (n, h, w), "uint8")
        if self.intrinsics is not None and (self.intrinsics.height, self.intrinsics.width) != (h, w):
            size = f"{self.intrinsics.width}x{self.intrinsics.height}"
            raise ValueError(f"{self.name}: expected intrinsics of frames {w}x{h}, got those of {size}")
        for i, pose in enumerate(self.poses if self.poses is not None else ()):
            try:
                check_pose(pose)
            except ValueError as error:
                raise ValueError(f"{self.name}, frame {i}: {error}") from None
        self._check_words(n)

    def _is(self, what: str, array: NDArray[Any] | None, shape: tuple[int, ...], kind: str) -> None:
        if array is not None and (array.shape != shape or array.dtype != kind):
            raise ValueError(f"{self.name}: expected {what} {shape} {kind}, got {array.shape} {array.dtype}")

    def _check_words(self, n: int) -> None:
        chunks = n // FRAMES_PER_CHUNK
        lines = [("actions", self.actions)] if self.actions is not None else []
        for what, said in [*lines, *((f"commands of entity {e}", said) for e, said in self.commands.items())]:
            if len(said) != chunks:
                raise ValueError(f"{self.name}: expected {chunks} {what}, one for each chunk, got {len(said)}")
        for entity, known in self.states.items():
            for what, values in known.items():
                if len(values) != n:
                    raise ValueError(
                        f"{self.name}: expected {n} values of {what!r} of entity {entity}, one for each frame, "
                        f"got {len(values)}"
                    )
        for part in (*self.events, *(self.captions.dense if self.captions else ())):
            if not 0 <= part.start < part.end <= n:
                raise ValueError(f"{self.name}: expected a moment within frames 0..{n}, got {part}")
        ids = [actor.entity for actor in self.cast]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.name}: expected a cast with different numbers, got {ids}")

    @property
    def seconds(self) -> float:
        return len(self.rgb) / self.fps

    @property
    def moving(self) -> NDArray[np.bool_]:
        """(N, H, W) where something that moves of itself is seen."""
        if self.entity is None:
            raise ValueError(f"{self.name} has no entity map: its source cannot tell what moves")
        return (self.entity > STILL) & (self.entity < SKY)

    def as_world(self) -> World:
        """The world as it stood before the first frame, which `way` leads along the clip.

        Where it is not known it is founded on the first frame: what that shows is its one keyframe, and what stands
        in the way is taken from its depth. Nobody in it has a body.
        """
        if self.start is not None:
            return self.start
        if self.recipe is not None:
            return self.recipe.world()
        if self.poses is None or self.intrinsics is None or self.depth is None:
            known = {"poses": self.poses, "intrinsics": self.intrinsics, "depth": self.depth}
            lacks = " and ".join(name for name, value in known.items() if value is None)
            raise ValueError(f"{self.name} cannot be made a world: its source does not know its {lacks}")
        seen = self.depth[0] > 0
        if self.entity is not None:
            seen &= ~self.moving[0]
        depth = np.rint(self.depth[0] * MILLIMETRES).astype(np.uint16)
        seed = Keyframe(-1, self.poses[0], self.intrinsics, self.rgb[0], depth, seen)
        yaw, _ = yaw_pitch(self.poses[0])
        return World.create(
            self.name,
            "clip",
            self.seed or 0,
            occupied([seed]).to_xml(),
            spawn=(float(self.poses[0, 0, 3]), float(self.poses[0, 1, 3]), yaw),
            entities=(Entity(0, "player", "you", "player"),),
            keyframes=(seed,),
            intrinsics=self.intrinsics,
            seed=self.seed or 0,
        )

    def way(self) -> tuple[Action, ...]:
        """The actions that lead `as_world()` along the clip, one for each chunk.

        Where its world is not known in full they are paths along its very poses, with its keys and mouse, or those
        of the nearest walk; hands, words and events are left out, for nobody there could follow them.
        """
        if (self.start or self.recipe) and self.actions is not None:
            return self.actions
        if self.poses is None:
            raise ValueError(f"{self.name} cannot be walked: its source does not know its poses")
        actions = self.actions
        if actions is None:  # the pose before the first frame: as if it had come on as it goes on
            before = self.poses[0] @ invert(self.poses[1]) @ self.poses[0]
            actions = tuple(keys_from_poses(np.concatenate([before[None], self.poses])))
        paths = self.poses.reshape(-1, FRAMES_PER_CHUNK, 4, 4)
        return tuple(Action(a.keys, a.turn, a.tilt, path=Path.of(path)) for a, path in zip(actions, paths))


def record(world: World, painter: Painter, agent: Agent, chunks: int, name: str = "walk") -> Clip:
    """Walk `chunks` chunks from `world` and paint every frame of the way. Nothing enters the world's memory."""
    start, pictures, poses, actions = world, [], [], []
    intrinsics = world.motion.intrinsics
    frames: NDArray[np.uint8] | None = None

    def observe(model: object, data: object, pose: NDArray[np.float64]) -> None:
        pictures.append(painter.paint(data, pose, intrinsics))  # type: ignore[arg-type]
        poses.append(pose.copy())

    for _ in range(chunks):
        action = agent(world, frames)
        # The observed physics and the world's own advance alike: advancing is a pure function.
        world.physics.advance(action, observe)
        world = world.advance(action)
        actions.append(action)
        frames = np.stack([p.rgb for p in pictures[-FRAMES_PER_CHUNK:]])
    rgb, depth, entity = (np.stack([getattr(p, name) for p in pictures]) for name in ("rgb", "depth", "entity"))
    return Clip(
        name,
        "playground",
        "Apache-2.0",
        FRAMES_PER_SECOND,
        rgb,
        seed=start.seed,
        view="first",
        intrinsics=intrinsics,
        poses=np.stack(poses),
        depth=depth,
        entity=entity,
        actions=tuple(actions),
        start=start,
    )
