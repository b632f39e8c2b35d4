"""Commit: what was drawn becomes part of the world, durably, before anyone sees it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perdure.world.action import Action
from perdure.world.history import LATENT, Memory, Note
from perdure.world.state import World
from perdure.world.store import Store

HELD = 512
"""Memories that a world holds before it leaves them to its store, so that no session fills the memory."""


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
    notes = [Note("act", "player", (0,), action.said()), *world.motion.notes]
    for keyframe in world.geometry.keyframes[len(world.geometry.keyframes) - world.fresh :]:
        notes.append(Note("ingest", "observer", (), {"step": keyframe.step, "keyframe": keyframe.digest.hex()}))
    notes.append(Note("tick", "engine", (), {"step": world.step, "memory": memory.key.hex()}, world.noise_seed))
    world = world.log(*notes, before=world.before, memories=[memory])
    if store is not None:
        store.commit(world)
        if world.history.held >= HELD:
            world = replace(world, history=world.history.resting_on(store.past(world.branch)))
    return world
