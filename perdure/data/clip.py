"""A clip: what was seen along a walk, and the world that it was seen in.

`as_world` gives the world as it stood before the first frame, so that whoever learns from a clip
steps and recalls just as serving does.

Shapes: N frames (four a chunk), S chunks, H W frame size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.data.painting.painter import Painter
from perdure.world.action import FRAMES_PER_CHUNK, Action
from perdure.world.state import World

Agent = Callable[[World, NDArray[np.uint8] | None], Action]


@dataclass(frozen=True, eq=False)
class Clip:
    start: World
    actions: tuple[Action, ...]  # S
    rgb: NDArray[np.uint8]  # (N, H, W, 3)
    depth: NDArray[np.float32]  # (N, H, W) metres along z
    entity: NDArray[np.uint8]  # (N, H, W) 0 still, 255 sky, else 1 + id
    poses: NDArray[np.float64]  # (N, 4, 4) camera to world

    def as_world(self) -> World:
        return self.start

    @property
    def moving(self) -> NDArray[np.bool_]:
        """(N, H, W) where something that moves of itself is seen."""
        return (self.entity > 0) & (self.entity < 255)


def record(world: World, painter: Painter, agent: Agent, chunks: int) -> Clip:
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
    return Clip(start, tuple(actions), rgb, depth, entity, np.stack(poses))
