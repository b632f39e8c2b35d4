"""A stand-in for the engine, for tests alone: a tiled box room, drawn by arithmetic, with the step's number on it.

It keeps the engine's contract (`open`, `step`, `timings`) and enough of a world for the server: step,
name, cameras, keyframes, and hands, which are real: physics stands still before a crate. `seconds` is how
long a step takes, so that pacing can be tested.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from perdure.camera import Intrinsics, look, rays, yaw_pitch
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, PITCH_LIMIT, TURN, WALK, Action, Keys
from perdure.world.body import crate
from perdure.world.geometry import Keyframe
from perdure.world.history import History
from perdure.world.identity import Entity
from perdure.world.physics import Motion, Physics
from tests.world import yard

LOW, HIGH = np.array([-6.0, -4.0, 0.0]), np.array([6.0, 4.0, 3.0])  # the corners of the room
TILES = np.array([[196, 120, 84], [88, 132, 168], [148, 140, 124]], np.float32)  # walls across x, across y; floor


@dataclass(frozen=True, eq=False)
class FakeGeometry:
    keyframes: tuple[Keyframe, ...] = ()


@dataclass(frozen=True, eq=False)
class FakeWorld:
    name: str
    motion: Motion
    geometry: FakeGeometry
    physics: Physics
    entities: tuple[Entity, ...] = (Entity(0, "player", "you", "player"), Entity(5, "crate", "crate", "crate5"))
    step: int = 0
    scene: tuple[str, int] = ("rooms", 7)
    history: History = History()


def fake_world(name: str = "room", width: int = 64, height: int = 36) -> FakeWorld:
    intrinsics = Intrinsics.from_fov(width, height, 75.0)
    cameras = np.repeat(look(np.array([-3.0, -1.0, 1.6]), 0.4, 0.0)[None], FRAMES_PER_CHUNK, 0)
    physics = Physics.from_xml(yard.XML, bodies=(crate(5, (1.4, 0.0, 0.0)),))
    return FakeWorld(name, Motion(cameras, intrinsics, {}), FakeGeometry(), replace(physics, pitch=-0.75))


def draw(camera: np.ndarray, intrinsics: Intrinsics, label: str) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 picture and (H, W) float depth along z of the room."""
    directions, origin = rays(intrinsics) @ camera[:3, :3].T, camera[:3, 3]
    safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    reach = (np.where(safe > 0, HIGH, LOW) - origin) / safe
    axis = reach.argmin(-1)
    depth = reach.min(-1)
    points = origin + directions * depth[..., None]
    tile = np.floor(points * 2.0 + 1e-6).astype(int).sum(-1) % 2
    shade = np.exp(-depth / 14.0) * (0.8 + 0.2 * tile)
    rgb = (TILES[axis] * shade[..., None]).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(rgb)
    ImageDraw.Draw(picture).text((4, 2), label, fill=(255, 255, 255))
    return np.asarray(picture), depth


class FakeEngine:
    def __init__(self, seconds: float = 0.0, jitter: float = 0.0, fail_at: int = -1) -> None:
        self.timings: dict[str, float] = {}
        self.actions: list[Action] = []
        self._seconds, self._jitter, self._fail_at = seconds, jitter, fail_at
        self._random = np.random.default_rng(0)

    def open(self, world: Any, store: Any = None) -> tuple[Any, dict[str, int], np.ndarray]:
        return world, {"steps": 0}, self._frames(world)

    def step(self, world: Any, action: Action, cache: dict[str, int], store: Any = None) -> tuple[Any, np.ndarray]:
        began = time.perf_counter()
        if world.step + 1 == self._fail_at:
            raise ArithmeticError("the model drew NaN")
        self.actions.append(action)
        cameras, intrinsics = self._walk(world.motion.cameras[-1], action), world.motion.intrinsics
        physics, done = world.physics.advance(Action(hand=action.hand))
        motion = Motion(cameras, intrinsics, {}, done.notes)
        world = replace(world, step=world.step + 1, motion=motion, physics=physics)
        cache["steps"] += 1
        frames = self._frames(world)
        if world.step % 8 == 1:
            rgb, depth = draw(cameras[-1], intrinsics, "")
            millimetres = (1000 * depth).astype(np.uint16)
            keyframe = Keyframe(world.step, cameras[-1], intrinsics, rgb, millimetres, np.ones(depth.shape, bool))
            world = replace(world, geometry=FakeGeometry((*world.geometry.keyframes, keyframe)))
        busy = self._seconds + self._jitter * self._random.uniform(-1, 1)
        time.sleep(max(0.0, began + busy - time.perf_counter()))
        spent = 1e3 * (time.perf_counter() - began)
        shares = {"advance": 0.04, "recall": 0.05, "view": 0.15, "encode": 0.1, "sample": 0.4}
        shares |= {"commit": 0.03, "remember": 0.13, "decode": 0.1}
        self.timings = {stage: share * spent for stage, share in shares.items()}
        return world, frames

    def _walk(self, camera: np.ndarray, action: Action) -> np.ndarray:
        position, (yaw, pitch) = camera[:3, 3].copy(), yaw_pitch(camera)
        held: Mapping[Keys, float] = {key: float(bool(action.keys & key)) for key in Keys}
        out = []
        for _ in range(FRAMES_PER_CHUNK):
            yaw += action.turn / FRAMES_PER_CHUNK
            yaw += (held[Keys.TURN_LEFT] - held[Keys.TURN_RIGHT]) * TURN / FRAMES_PER_SECOND
            pitch = float(np.clip(pitch + action.tilt / FRAMES_PER_CHUNK, -PITCH_LIMIT, PITCH_LIMIT))
            ahead, aside = held[Keys.FORWARD] - held[Keys.BACK], held[Keys.LEFT] - held[Keys.RIGHT]
            heading = np.array(
                [np.cos(yaw) * ahead - np.sin(yaw) * aside, np.sin(yaw) * ahead + np.cos(yaw) * aside, 0]
            )
            position = np.clip(position + heading * WALK / FRAMES_PER_SECOND, LOW + 0.5, HIGH - 0.5)
            out.append(look(position, yaw, pitch))
        return np.stack(out)

    def _frames(self, world: Any) -> np.ndarray:
        return np.stack(
            [
                draw(camera, world.motion.intrinsics, f"{world.step}.{i}")[0]
                for i, camera in enumerate(world.motion.cameras)
            ]
        )
