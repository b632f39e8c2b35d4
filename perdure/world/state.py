"""The world: geometry, identity, physics and history as one frozen value.

`advance` moves it by a chunk; `memory/commit.py` then adds what the model drew. Nothing here reads a
clock or draws a random number, so the same actions and findings always lead to the same state.

Shapes: H height, W width.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.action import Action
from perdure.world.geometry import Geometry, Keyframe
from perdure.world.history import Event, History
from perdure.world.identity import Entity
from perdure.world.mover import Mover
from perdure.world.physics import EYE, Motion, Physics

FINDING_LAG = 2
"""What is found in chunk n enters the state with chunk n + FINDING_LAG, never sooner or later."""

PAGE = 64


@dataclass(frozen=True, eq=False)
class Finding:
    """What the observer found in a decoded chunk: a keyframe to be."""

    step: int
    pose: NDArray[np.float64]  # (4, 4) camera to world
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.uint16]  # (H, W) millimetres
    mask: NDArray[np.bool_]  # (H, W) what is new


@dataclass(frozen=True, eq=False)
class World:
    name: str
    branch: str
    step: int  # chunks made so far: 0 before the first
    seed: int
    scene: tuple[str, int]  # kind and seed of what it was made from
    physics: Physics
    geometry: Geometry
    entities: tuple[Entity, ...]
    history: History
    motion: Motion  # of the chunk that led here
    pending: tuple[Finding, ...] = ()  # found, not yet state; made anew when a world is opened
    fresh: int = 0  # how many of the last keyframes came in with this step
    before: str = ""  # the hash of the state that this step began from

    @classmethod
    def create(
        cls,
        name: str,
        scene_kind: str,
        scene_seed: int,
        xml: str,
        movers: tuple[Mover, ...] = (),
        spawn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        entities: Sequence[Entity] = (),
        keyframes: Sequence[Keyframe] = (),
        intrinsics: Intrinsics = EYE,
        seed: int = 0,
    ) -> "World":
        """A world as it begins. `keyframes` are its seeds: what is known before anything is drawn."""
        ids = [entity.id for entity in entities]
        if len(set(ids)) != len(ids):
            raise ValueError(f"expected entities with different ids, got {ids}")
        physics = Physics.from_xml(xml, movers, spawn, seed, intrinsics)
        world = cls(
            name=name,
            branch="main",
            step=0,
            seed=seed,
            scene=(scene_kind, scene_seed),
            physics=physics,
            geometry=Geometry(tuple(keyframes)),
            entities=tuple(entities),
            history=History(),
            motion=physics.still(),
        )
        event = Event(0, 0.0, "maker", "create", args={"kind": scene_kind, "seed": scene_seed}, seed=seed)
        return replace(world, history=world.history.append([], [event]))

    def advance(self, action: Action) -> "World":
        """The world moved on by a chunk, and what was found two chunks ago now part of it."""
        step = self.step + 1
        physics, motion = self.physics.advance(action)
        due = sorted((f for f in self.pending if f.step <= step - FINDING_LAG), key=lambda f: f.step)
        new = [Keyframe(f.step, f.pose, f.intrinsics, f.rgb, f.depth, f.mask) for f in due if f.mask.any()]
        return replace(
            self,
            step=step,
            physics=physics,
            motion=motion,
            geometry=self.geometry.append(*new),
            pending=tuple(f for f in self.pending if f.step > step - FINDING_LAG),
            fresh=len(new),
            before=self.state,
        )

    def expect(self, finding: Finding) -> "World":
        """The world with something found, that will be part of it when its time has come."""
        if not self.step - FINDING_LAG < finding.step <= self.step:
            raise ValueError(
                f"expected a finding of the last {FINDING_LAG} steps (world at step {self.step}), "
                f"got one of step {finding.step}: make the step wait for it"
            )
        return replace(self, pending=(*self.pending, finding))

    def fork(self, branch: str) -> "World":
        """The same world under another name, from here on with a chance of its own."""
        return replace(self, branch=branch)

    @property
    def noise_seed(self) -> int:
        """64 bits for the chunk of this step, a function of world, branch and step alone."""
        text = f"{self.seed}/{self.branch}/{self.step}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")

    @cached_property
    def state(self) -> str:
        """Merkle root of geometry, identity and physics, in hex: equal for equal worlds, whatever led to them."""
        roots = (
            merkle(self.geometry.pages),
            merkle(tuple(entity.digest for entity in self.entities)),
            merkle(self.physics.pages),
        )
        return merkle(roots).hex()

    @property
    def head(self) -> str:
        """The end of the chain of events, in hex: it names all that ever happened."""
        return self.history.head.hex()


def merkle(leaves: Sequence[bytes]) -> bytes:
    """The root over pages of 64 digests, pages of pages, and so on; the count is part of it."""
    level = list(leaves)
    while len(level) > 1:
        level = [hashlib.sha256(b"".join(level[i : i + PAGE])).digest() for i in range(0, len(level), PAGE)]
    return hashlib.sha256(len(leaves).to_bytes(8, "little") + b"".join(level)).digest()
