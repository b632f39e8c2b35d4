"""A small world for tests: a walled yard with a pillar, a crate that can be pushed, and a creature."""

from pathlib import Path

import numpy as np

from perdure.camera import Intrinsics, look
from perdure.memory.commit import commit
from perdure.world.action import Action
from perdure.world.geometry import Keyframe
from perdure.world.history import LATENT
from perdure.world.identity import Entity, Patch
from perdure.world.mover import Mover, Part
from perdure.world.state import Finding, World
from perdure.world.store import Store

ROOT = Path(__file__).parents[2]
HALF = 5.0  # metres from the middle to the face of each wall
SMALL = Intrinsics.from_fov(16, 12, 75.0)

XML = f"""<mujoco><option timestep="{1 / 96!r}"/><worldbody>
<geom name="floor" type="plane" size="10 10 .1"/>
<geom name="east" type="box" size=".1 6 1.5" pos="{HALF + 0.1} 0 1.5"/>
<geom name="west" type="box" size=".1 6 1.5" pos="{-HALF - 0.1} 0 1.5"/>
<geom name="north" type="box" size="6 .01 1.5" pos="0 {HALF + 0.01} 1.5"/>
<geom name="south" type="box" size="6 .01 1.5" pos="0 {-HALF - 0.01} 1.5"/>
<geom name="pillar" type="cylinder" size=".4 1.5" pos="-2 2.5 1.5"/>
<body name="player">
  <joint name="player_x" type="slide" axis="1 0 0"/><joint name="player_y" type="slide" axis="0 1 0"/>
  <geom type="capsule" fromto="0 0 .3 0 0 1.4" size=".3" mass="70"/>
</body>
<body name="beast" mocap="true"><geom type="box" size=".3 .15 .15" contype="0" conaffinity="0"/></body>
<body name="leg" mocap="true"><geom type="capsule" size=".05 .2" contype="0" conaffinity="0"/></body>
<body name="crate" pos="-3 -3 .25"><freejoint/><geom type="box" size=".25 .25 .25" mass="5"/></body>
</worldbody></mujoco>"""

BEAST = Mover(1, "beast", (Part("leg", (0.2, 0.1, -0.1), (0, 1, 0), 0.5),), home=(-2.0, 1.0), radius=2.5, bob=0.02)


def picture(step: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, depth and mask that depend on step and seed alone."""
    rng = np.random.default_rng((step + 1, seed))
    size = SMALL.height, SMALL.width
    rgb = rng.integers(0, 256, (*size, 3), np.uint8)
    return rgb, rng.integers(500, 9000, size, np.uint16), rng.random(size) < 0.3


def world(name: str = "yard", seed: int = 7) -> World:
    patch = Patch(look(np.array([2.0, 0, 0]), np.pi, 0), SMALL, *picture(0, 99))
    entities = Entity(0, "player", "you", "player"), Entity(1, "creature", "the beast", "beast", (patch,))
    seeds = [Keyframe(-1, look(np.array([0, 0, 1.5]), yaw, 0), SMALL, *picture(-1, i)) for i, yaw in enumerate((0, 2))]
    return World.create(name, "yard", 3, XML, (BEAST,), (0.0, 0.0, 0.3), entities, seeds, SMALL, seed)


def finding(now: World) -> Finding:
    rgb, depth, mask = picture(now.step, 5)
    return Finding(now.step, now.motion.cameras[-1], SMALL, rgb, depth, mask & (now.step % 3 != 0))


def step(now: World, action: Action, store: Store | None = None) -> World:
    """What the engine does, with a made-up latent in place of the model: a function of seed and past."""
    now = now.advance(action)
    last = now.history.memories[-1].latent if len(now.history) else np.zeros(LATENT, np.float16)
    drawn = 0.9 * last + np.random.default_rng(now.noise_seed).standard_normal(LATENT, np.float32)
    now = commit(now, action, drawn.astype(np.float32), store)
    return now.expect(finding(now))


def reopened(store: Store, branch: str = "main", at: int | None = None) -> World:
    """A world from the store, with the findings that were pending made anew, as the engine does."""
    now = store.world(branch) if at is None else store.world_at(at, branch)
    for back in (1, 0):
        if now.step > back:
            seen = store.world_at(now.step - back, branch)
            now = now.expect(finding(seen))
    return now
