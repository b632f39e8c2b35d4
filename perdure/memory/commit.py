"""Commit: what was drawn becomes part of the world, durably, before anyone sees it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perdure.world.action import FRAMES_PER_SECOND, Action
from perdure.world.history import LATENT, Event, Memory
from perdure.world.state import World
from perdure.world.store import Store


def commit(world: World, action: Action, latents: NDArray[np.floating], store: Store | None = None) -> World:
    """The world with this chunk in its history. `latents` (16, 18, 32) are rounded to float16 here, and
    the rounded ones are what later steps remember: read them back from `history.memories[-1].latent`."""
    if latents.shape != LATENT:
        raise ValueError(f"expected one latent of shape {LATENT} to commit, got {latents.shape}")
    with np.errstate(over="ignore"):  # said below, with the step
        latent = latents.astype(np.float16)
    if not np.isfinite(latent).all():
        raise ValueError(f"expected finite latents at step {world.step}, got NaN or infinity from the model")
    latent.setflags(write=False)
    memory = Memory.of(world.step, latent, world.motion.cameras[-1], world.motion.intrinsics, action)
    history = world.history
    time, seq, before = world.physics.tick / FRAMES_PER_SECOND, len(history.events), world.before
    events = [Event(seq, time, "player", "act", (0,), action.said(), before=before, after=before)]
    for keyframe in world.geometry.keyframes[len(world.geometry.keyframes) - world.fresh :]:
        found = {"step": keyframe.step, "keyframe": keyframe.digest.hex()}
        events.append(Event(seq + len(events), time, "observer", "ingest", (), found, before=before, after=before))
    made = {"step": world.step, "memory": memory.key.hex()}
    events.append(Event(seq + len(events), time, "engine", "tick", (), made, world.noise_seed, before, world.state))
    world = replace(world, history=history.append([memory], events))
    if store is not None:
        store.commit(world)
    return world
