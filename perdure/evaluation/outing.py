"""Outings: a creature is seen, is left alone for a while, and is looked for again, all by physics: nothing is drawn.

The player sees a creature, turns its back on it and strolls while it wanders on, out of every frame; then the player
turns to where it is by then. An outing ends with the first chunk whose last frame has nearly all of it.

Shapes: H W picture size.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.agents.player import clearance
from perdure.camera import Array, Intrinsics, rays, yaw_pitch
from perdure.data.founding import SPOTS, survey
from perdure.data.scenes import MEASURED, build
from perdure.data.scenes.scene import MOVING, STILL, Scene
from perdure.world.action import FRAMES_PER_CHUNK, Action, Keys
from perdure.world.state import World

Mask = NDArray[np.bool_]  # (H, W)

HELD_OUT = 1000  # scene seeds below this were never trained on

FIRST = 6  # chunks that the creature is seen for at first
LOOK = 0.25  # radians that the player turns in a chunk, at most
SWAY = 0.6  # radians to either side of straight away that it looks while it strolls
STRIDES = 12  # chunks that it walks on, and then back
ROOM = 1.3  # metres that must be free ahead to walk on
BEHIND = 2.5  # metres to the creature below which it does not back up any more
SPAN = 1.5  # metres about the root that hold all of a creature
REACH = 2.5, 7.0  # metres off at which a look at it may begin
PATIENCE = 600  # frames beyond those asked for that the player waits until nothing is in between
TURNING = 24  # chunks in which it must have come into the frame
INSIDE = 0.9  # of its silhouette that must lie within the frame
SHOWN = 0.5  # of that, what nothing may hide
LEAST = 1 / 256  # of the picture that must show it


@dataclass(frozen=True)
class Outing:
    """A scene, a creature in it, and what the player does until the creature is looked at again."""

    kind: str
    seed: int
    entity: int
    spawn: tuple[float, float, float]
    actions: tuple[Action, ...]
    away: int  # frames on end that it was out of view
    turning: int  # chunks from then until it is in the frame


def choose(cases: int, away: int, intrinsics: Intrinsics) -> tuple[list[Outing], Counter[str]]:
    """The first outings that come to an end, in scenes of each kind in turn, and why the others do not."""
    seeds = dict.fromkeys(MEASURED, 0)
    chosen, skipped, kinds = list[Outing](), Counter[str](), MEASURED
    while len(chosen) < cases:
        kind = kinds[len(chosen) % len(kinds)]
        if seeds[kind] == HELD_OUT:
            raise ValueError(f"the held-out scenes of {kind} have no more cases, after {len(chosen)}: ask for less")
        planned = plan(kind, seeds[kind], away, intrinsics)
        seeds[kind] += 1
        if isinstance(planned, Outing):
            chosen.append(planned)
        else:
            skipped[planned] += 1
    return chosen, skipped


def plan(kind: str, seed: int, away: int, intrinsics: Intrinsics) -> Outing | str:
    """What the player does in this scene, or why it cannot be examined."""
    scene = build(kind, seed)
    begun = place(bare(scene, intrinsics))
    if begun is None:
        return "no place from which to see a creature"
    entity, spawn = begun
    world, actions = bare(replace(scene, spawn=spawn), intrinsics), list[Action]()

    def act(action: Action) -> None:
        nonlocal world
        world = world.advance(action)
        actions.append(action)

    for _ in range(FIRST):
        act(Action(turn=toward(world, bearing(world, entity))))
    if not shows(world, entity):
        return "hidden at first"
    unseen, strolled = 0, 0
    while unseen < away or not within_reach(world, entity):
        if strolled * FRAMES_PER_CHUNK > away + PATIENCE:
            return "hidden or out of reach afterwards" if unseen >= away else "never out of view for so long"
        act(stroll(world, entity, strolled))
        strolled += 1
        unseen = unseen + FRAMES_PER_CHUNK if out_of_view(world, entity) else 0
    for turning in range(1, TURNING + 1):
        act(Action(turn=toward(world, bearing(world, entity))))
        if shows(world, entity):
            return Outing(kind, seed, entity, spawn, tuple(actions), unseen, turning)
    return "hidden when looked for"


def bare(scene: Scene, intrinsics: Intrinsics) -> World:
    """A scene's world with nothing known of how it looks."""
    return World.create(
        scene.kind, scene.kind, scene.seed, scene.xml, scene.movers, scene.spawn, intrinsics=intrinsics, seed=scene.seed
    )


def place(world: World) -> tuple[int, tuple[float, float, float]] | None:
    """A creature, and where to stand so as to see it: of all places, the one most in the middle of the reach."""
    model, data = world.physics.posed()
    best, chosen = np.inf, None
    for eye in survey(model, data, world.motion.cameras[-1][:3, 3], SPOTS):
        for mover in world.physics.mechanism.movers:
            x, y, z = world.motion.bodies[mover.entity][-1, :3, 3] - eye
            off = abs(float(np.hypot(x, y)) - sum(REACH) / 2)
            if off < best and off < (REACH[1] - REACH[0]) / 2 and is_free(world, eye, np.array([x, y, z])):
                best, chosen = off, (mover.entity, (float(eye[0]), float(eye[1]), float(np.arctan2(y, x))))
    return chosen


def is_free(world: World, eye: Array, way: Array) -> bool:
    """Whether nothing that stands still is between the eye and the end of a way."""
    model, data = world.physics.posed()
    hit = mujoco.mj_ray(model, data, eye, way, groups(STILL), True, -1, None)
    return not 0 <= hit < 1  # in lengths of the way


def groups(*wanted: int) -> NDArray[np.uint8]:
    out = np.zeros(mujoco.mjNGROUP, np.uint8)
    out[list(wanted)] = 1
    return out


def way_to(world: World, entity: int) -> Array:
    """(3,) metres from the eye to a creature's root."""
    return world.motion.bodies[entity][-1, :3, 3] - world.motion.cameras[-1][:3, 3]


def bearing(world: World, entity: int) -> float:
    """The yaw at which a creature is straight ahead."""
    x, y, _ = way_to(world, entity)
    return float(np.arctan2(y, x))


def toward(world: World, yaw: float) -> float:
    """The turn of a chunk that looks toward a yaw."""
    off = np.remainder(yaw - yaw_pitch(world.motion.cameras[-1])[0] + np.pi, 2 * np.pi) - np.pi
    return float(np.clip(off, -LOOK, LOOK))


def within_reach(world: World, entity: int) -> bool:
    """Whether it is worth while to turn and look for a creature."""
    way = way_to(world, entity)
    return REACH[0] < np.hypot(*way[:2]) < REACH[1] and is_free(world, world.motion.cameras[-1][:3, 3], way)


def stroll(world: World, entity: int, chunk: int) -> Action:
    """On and back with its back to the creature, looking to the left and to the right."""
    yaw = bearing(world, entity) + np.pi + SWAY * np.sin(2 * np.pi * chunk / 40)
    keys = Keys(0)
    if chunk // STRIDES % 2 == 0:
        keys = Keys.FORWARD if clearance(world) > ROOM else keys
    elif np.hypot(*way_to(world, entity)[:2]) > BEHIND:
        keys = Keys.BACK
    return Action(keys, turn=toward(world, yaw))


def out_of_view(world: World, entity: int) -> bool:
    """Whether nothing of a creature is in any of a chunk's frames, even if walls were of glass."""
    lens = world.motion.intrinsics
    for camera, root in zip(world.motion.cameras, world.motion.bodies[entity]):
        x, _, z = (root[:3, 3] - camera[:3, 3]) @ camera[:3, :3]
        # Signed distances to the planes through the eye and the left and the right edge of the picture; z is that to
        # the plane between what is ahead and what is behind.
        left = (x * lens.fx + z * lens.cx) / np.hypot(lens.fx, lens.cx)
        right = (z * (lens.width - lens.cx) - x * lens.fx) / np.hypot(lens.fx, lens.width - lens.cx)
        if min(left, right, z) > -SPAN:
            return False
    return True


def shows(world: World, entity: int) -> bool:
    """Whether nearly all of a creature is within the last frame, large enough, and most of it is not hidden."""
    lens = world.motion.intrinsics.scaled(64, 36)
    # Three times as wide and as high, so that what is outside the frame shows too.
    wide = Intrinsics(3 * 64, 3 * 36, lens.fx, lens.fy, lens.cx + 64, lens.cy + 36)
    seen, whole = silhouette(world, entity, lens), silhouette(world, entity, wide, (MOVING,))
    inside = whole[36:-36, 64:-64]
    return bool(
        seen.mean() > LEAST and inside.sum() > INSIDE * whole.sum() and (seen & inside).sum() > SHOWN * inside.sum()
    )


def silhouette(world: World, entity: int, lens: Intrinsics, drawn: Sequence[int] = (STILL, MOVING)) -> Mask:
    """The pixels of the chunk's last frame that physics has a creature in, by rays at the geoms of these groups."""
    model, data = world.physics.posed()
    pose, count = world.motion.cameras[-1], lens.width * lens.height
    ways = rays(lens).reshape(count, 3) @ pose[:3, :3].T
    geoms, depths = np.empty(count, np.int32), np.empty(count)
    mujoco.mj_multiRay(
        model, data, pose[:3, 3], ways.ravel(), groups(*drawn), True, -1,
        geoms, depths, None, count, mujoco.mjMAXVAL,
    )  # fmt: skip
    own = [model.body(name).id for name in bodies(world, entity)]
    return ((geoms >= 0) & np.isin(model.geom_bodyid[geoms], own)).reshape(lens.height, lens.width)


def bodies(world: World, entity: int) -> list[str]:
    """The names of all that a creature is made of."""
    mover = next(mover for mover in world.physics.mechanism.movers if mover.entity == entity)
    return list(mover.bodies)
