"""The step: how a world goes on by one chunk. Read this first.

The engine holds the models and nothing else: a world is a value that it is given, and a cache can
be thrown away. So one engine serves many worlds, and a world that was killed at any instant and is
opened again goes on with the same bytes.

Shapes: T frames a chunk, H W frame size, C h w latent.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, check_pose
from perdure.memory.commit import commit
from perdure.memory.notice import notice
from perdure.memory.recall import recall
from perdure.models import graphs
from perdure.models.cache import Cache
from perdure.models.context import Context, Remembered
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import Backend, OpenVINO, fingerprint
from perdure.sampling import noise, sample
from perdure.world.action import Action
from perdure.world.state import FINDING_LAG, World
from perdure.world.store import Store

F32 = NDArray[np.float32]
Frames = NDArray[np.uint8]  # (T, H, W, 3)


class Engine:
    def __init__(self, preset: Preset, backend: Backend) -> None:
        wanted = graphs.inputs(preset.dit, preset.latent_shape, (preset.frames, preset.height, preset.width))
        graphs.check(backend.shapes(), wanted, f"{preset.name} at {preset.width}x{preset.height}")
        self.preset, self.backend = preset, backend
        self.timings: dict[str, float] = {}  # ms of each stage of the last step

    def step(self, world: World, action: Action, cache: Cache, store: Store | None = None) -> tuple[World, Frames]:
        with self._timed("advance"):
            world = world.advance(action)  # P moves; what was found two chunks ago enters G
        with self._timed("recall"):
            context = recall(world, action, self, self.preset)  # all that the model may see
        with self._timed("sample"):
            latent = self.sample(context, cache)  # a few steps, with the cache as it is
        with self._timed("commit"):
            world = commit(world, action, latent, store)  # durable before anyone sees a frame
        with self._timed("remember"):
            self.remember(world, cache)  # keys and values of what was just made
        with self._timed("decode"):
            world, frames = self.decode(world, context)
        return world, frames

    def open(self, world: World, store: Store | None = None) -> tuple[World, Cache, Frames | None]:
        """Bring a committed world back to where it was: what was pending is found again, from what was kept.

        Gives its last frames too, or None where nothing was drawn yet.
        """
        frames = None
        for step in range(max(1, world.step - FINDING_LAG + 1), world.step + 1):
            # As it was drawn: edits that came after are not in those frames.
            found, frames = self.redraw(_past(store, world, step))
            world = world.expect(found.pending[-1])
        return world, self.cache(), frames

    def redraw(self, then: World) -> tuple[World, Frames]:
        """The frames of a step that was made before, from what was kept; `then` is the world as the step made it."""
        return self.decode(then, recall(then, then.history.memories[-1].action, self, self.preset))

    def observe(self, world: World, camera: Array) -> Frames:
        """What a camera (4, 4) would see of the world as it is; four frames of which nothing is kept.

        A function of state and camera alone: looking changes nothing, and looking again shows the same bytes.
        """
        check_pose(camera)
        still = {entity: np.broadcast_to(poses[-1], poses.shape) for entity, poses in world.motion.bodies.items()}
        cameras = np.broadcast_to(camera, world.motion.cameras.shape)
        # As if the chunk to come were looked at from there: all memories there are may be recalled for it.
        looking = replace(world, step=world.step + 1, motion=replace(world.motion, cameras=cameras, bodies=still))
        seed = int.from_bytes(sha256(bytes.fromhex(world.state) + camera.tobytes()).digest()[:8], "little")
        context = replace(recall(looking, Action(), self, self.preset), noise_seed=seed)
        return self.draw(self.sample(context, self.cache()).astype(np.float16), context)["frames"]

    def cache(self) -> Cache:
        dit = self.preset.dit
        _, h, w = self.preset.latent_shape
        tokens = (h // dit.patch[1]) * (w // dit.patch[2])
        return Cache(dit.memories, (len(dit.memory_layers), tokens, dit.heads, dit.head_dim))

    # What the models do, as numpy in and numpy out.

    def encode(self, frames: Frames) -> F32:
        return self.backend("encode", {"frames": frames})["latent"]

    def keys_values(self, memory: Remembered) -> tuple[F32, F32]:
        clean = np.zeros(1, np.float32)
        inputs = {"latent": memory.latent.astype(np.float32), "sigma": clean, "action": memory.action}
        made = self.backend("remember", inputs)
        return made["keys"], made["values"]

    def sample(self, context: Context, cache: Cache) -> F32:
        keys, values, present = cache.gather(context.memories, self.keys_values)
        given = {
            "view": context.view_latent,
            "coverage": context.coverage,
            "proxy": context.proxy,
            "to_clip": context.to_clip,
            "from_clip": context.from_clip,
            "action": context.action,
            "keys": keys,
            "values": values,
            "present": present,
            "ages": context.memory_ages,
            "cameras": context.memory_cameras,
        }
        if self.preset.dit.adapters.setting:
            given["setting"] = context.setting

        def velocity(x: F32, sigma: float) -> F32:
            return self.backend("denoise", {"noisy": x, "sigma": np.array([sigma], np.float32), **given})["velocity"]

        return sample(velocity, noise(context.noise_seed, self.preset.latent_shape), self.preset.sigmas)

    def remember(self, world: World, cache: Cache) -> None:
        last = world.history.memories[-1]
        memory = Remembered(last.key, last.latent, last.action.features())
        cache.put(memory.key, *self.keys_values(memory))

    def decode(self, world: World, context: Context) -> tuple[World, Frames]:
        """The frames of the chunk that was just committed, and the world expecting what they show."""
        made = self.draw(world.history.memories[-1].latent, context)  # the stored bytes, not the sampler's
        frames = made["frames"]
        return world.expect(notice(world, context, frames[-1], made["depth"], made["unsure"], made["moving"])), frames

    def draw(self, latent: NDArray[np.floating], context: Context) -> dict[str, NDArray[Any]]:
        """All that the decoder says of a latent: frames, and depth, its uncertainty and what moves in the last one."""
        given = {
            "latent": latent.astype(np.float32),
            "view": context.view,
            "confidence": context.confidence,
            "view_depth": context.depth,
            "proxy": context.proxy,
        }
        return self.backend("decode", given)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.timings[stage] = (perf_counter() - start) * 1000


def load() -> Engine:
    """The models that come with Perdure, in the processor's best precision unless PERDURE_PRECISION asks for f32."""
    return Engine(nano(), OpenVINO(precision=os.environ.get("PERDURE_PRECISION")))


def drawn_by() -> dict[str, str]:
    """What frames depend on besides the world, if it is played here with what `load` loads."""
    return fingerprint(precision=os.environ.get("PERDURE_PRECISION"))


def _past(store: Store | None, world: World, step: int) -> World:
    if store is None and step == world.step:
        return world
    if store is None:
        raise ValueError("expected the store that this world lives in, to look at its last chunks again; got none")
    return store.world_at(step, world.branch)
