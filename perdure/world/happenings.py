"""What events do: edits that they come to, each given the state and the bare words. `events.py` says what they
are called.

They are functions of these two alone, so that an event that is replayed changes the same.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import msgspec
import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.world import body as bodies
from perdure.world import breaking, player
from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.body import Body, Point, Pose
from perdure.world.edit import Change, Edit, add
from perdure.world.identity import Entity
from perdure.world.mechanism import AVATAR, PLAYER, Seat
from perdure.world.roster import next_id
from perdure.world.setting import SPECTACLES, Onset, Spectacle
from perdure.world.slots import State

FADE = 2.0  # seconds in which a fire that dies down does so
PIECES = 5  # that what breaks goes to
SHOAL = 0.7  # metres: half as wide has water to be for fish to leap from it
HIGH = 30.0  # metres above which nothing shelters


def sets(**fields: str | float) -> Callable[[State, str], Edit]:
    """The environment becomes this, softly."""

    def make(world: State, bare: str) -> Edit:
        changes: list[Change] = []
        for name, value in fields.items():
            was = getattr(world.setting.environment, name)
            changes.append(Change(f"environment/{name}", msgspec.json.encode(value)))
            if was != value:
                changes.append(Change(f"onset/{name}", Onset(world.physics.tick, was).to_bytes()))
        return Edit(tuple(changes), "event")

    return make


def shows(kind: str, seconds: float, ahead: float, up: float) -> Callable[[State, str], Edit]:
    """Something to be seen, before the player; under the open sky, if it is `up` in the air."""

    def make(world: State, bare: str) -> Edit:
        eye, yaw, free = _eye(world)
        sky = free(eye, np.array([0.0, 0.0, 1.0])) > HIGH
        if up and not sky:
            raise ValueError(f"{kind} need the open sky, and here is a roof")
        far = ahead
        if not up:
            level = np.array([eye[0], eye[1], eye[2] - 1.0])
            room = min(free(start, _way(yaw)) for start in (eye, level))
            far = max(min(ahead, room - 0.8), 0.0)
            if far < 1.0:
                raise ValueError(f"there is no room before the player for a {kind}")
        x, y = float(eye[0] + far * math.cos(yaw)), float(eye[1] + far * math.sin(yaw))
        drop = free(np.array([x, y, eye[2]]), np.array([0.0, 0.0, -1.0])) if not up else 0.0
        z = float(eye[2] + up - (drop if math.isfinite(drop) else eye[2]))
        return _spectacle(world, kind, (x, y, z), seconds)

    return make


def pools(model: mujoco.MjModel) -> Iterator[tuple[int, float, float]]:
    """Where fish can be: geoms of water that are no mere basins, their half width, and half their height."""
    for geom in range(model.ngeom):
        material = int(model.geom_matid[geom])
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material) if material >= 0 else None
        if name is None or not any(word in name for word in ("water", "pond", "pool")):
            continue
        kind, size = int(model.geom_type[geom]), model.geom_size[geom]
        if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            wide, half = float(size[0]), float(size[1])
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            wide, half = float(min(size[0], size[1])), float(size[2])
        else:
            continue
        if wide > SHOAL:
            yield geom, wide, half


def fish(world: State, bare: str) -> Edit:
    """Fish leap where there is water: that nearest to the player."""
    model, data = world.physics.posed()
    eye = _eye(world)[0]
    best: tuple[float, Point] | None = None
    for geom, wide, half in pools(model):
        x, y, z = (float(value) for value in data.geom_xpos[geom])
        far = math.hypot(x - eye[0], y - eye[1])
        if best is None or far < best[0]:
            # On the near side, for there may be something in the middle of it.
            near = min(0.62 * wide, 0.7 * far) / max(far, 1e-6)
            best = far, (x + near * (float(eye[0]) - x), y + near * (float(eye[1]) - y), z + half)
    if best is None:
        raise ValueError("fish need water, and here is none")
    return _spectacle(world, "fish", best[1], 20.0)


def dies_down(world: State, bare: str) -> Edit:
    tick = world.physics.tick
    burning = [s for s in world.setting.spectacles if s.kind == "fire" and not s.over(tick)]
    if not burning:
        raise ValueError("there is no fire that could go out")
    changes: list[Change] = []
    for fire in burning:
        seconds = (tick - fire.start) / FRAMES_PER_SECOND + FADE
        ended = Spectacle(fire.name, fire.kind, fire.place, fire.start, min(seconds, fire.seconds), fire.seed)
        changes.append(Change(f"spectacle/{fire.name}", ended.to_bytes()))
    return Edit(tuple(changes), "event")


def door(opens: bool) -> Callable[[State, str], Edit]:
    """The nearest door that is not so already swings, by its own motor."""

    def make(world: State, bare: str) -> Edit:
        compiled = world.physics.mechanism.compiled
        model, data = world.physics.posed()
        eye = _eye(world)[0]
        doors: list[tuple[float, Seat]] = []
        for seat in compiled.things:
            if seat.aim >= 0 and (data.ctrl[seat.aim] != 0) != opens:
                doors.append((float(np.linalg.norm(data.xpos[seat.body] - eye)), seat))
        if not doors:
            raise ValueError(f"there is no door that could {'open' if opens else 'close'}")
        seat = min(doors, key=lambda door: (door[0], door[1].entity))[1]
        aim = 0.0
        if opens:  # away from the player, as a hand would
            joint = int(model.actuator_trnid[seat.aim, 0])
            low, high = (float(edge) for edge in model.jnt_range[joint])
            frame = data.xmat[int(model.body_parentid[seat.body])].reshape(3, 3)
            aim = high if float((frame.T @ (eye - data.xanchor[joint]))[1]) < 0 else low
            aim = aim or low + high
        payload = world.physics.pose(seat.entity)
        assert payload is not None
        pose = Pose.from_bytes(payload)
        moved = Pose(pose.place, pose.motion, pose.warm, aim)
        return Edit((Change(f"pose/{seat.entity}", moved.to_bytes()),), "event")

    return make


THINGS: Mapping[str, Callable[[int, Point, str, float], Body]] = {
    "crate": lambda entity, at, material, yaw: bodies.crate(entity, at, (0.46, 0.46, 0.46), 6.2, material, yaw),
    "ball": lambda entity, at, material, yaw: bodies.ball(entity, at, 0.15, 0.51, material),
    "plank": lambda entity, at, material, yaw: bodies.plank(entity, at, 1.6, 4.8, material, yaw),
    "urn": lambda entity, at, material, yaw: bodies.urn(entity, at, 0.5, 0.16, 6.0, material, yaw),
    "statue": lambda entity, at, material, yaw: bodies.statue(entity, at, (0.5, 0.5, 1.2), material, yaw),
}
"""What can appear by words alone. Its material names its kind and a seed, so that a painter knows its looks."""

_CALLED = {"box": "crate", "vase": "urn", "pot": "urn", "board": "plank", "sculpture": "statue"}


def appears(world: State, bare: str) -> Edit:
    called = [_CALLED.get(word, word) for word in bare.split()]
    kind = next((word for word in called if word in THINGS), "crate")
    eye, yaw, free = _eye(world)
    for turn in (0.0, 0.5, -0.5, 1.0, -1.0):
        way = _way(yaw + turn)
        room = min(free(np.array([eye[0], eye[1], height]), way) for height in (eye[2] - 1.35, eye[2] - 0.75, eye[2]))
        far = min(2.2, room - 0.7)
        if far >= 0.9:
            break
    else:
        raise ValueError(f"there is no room before the player for a {kind}")
    x, y = float(eye[0] + far * way[0]), float(eye[1] + far * way[1])
    drop = free(np.array([x, y, eye[2]]), np.array([0.0, 0.0, -1.0]))
    z = float(eye[2] - drop) if math.isfinite(drop) else 0.0
    number = _free(world)
    body = THINGS[kind](number, (x, y, z), f"{kind}:{number}", yaw + 0.4)
    edit = add(Entity(number, kind, kind, body.name, ()), body)
    return Edit(edit.changes, "event")


def shattered(world: State, entity: int) -> Edit:
    """Its pieces in its place, flying apart from where it is: it is itself the first of them, and others are new.

    They are a function of the state. They look as it did; a painter finds in their material what they were of.
    """
    payload, known = world.physics.body(entity), next((e for e in world.entities if e.id == entity), None)
    if payload is None:
        raise ValueError(f"expected a thing that can break, got entity {entity}, which is not here")
    body = Body.from_bytes(payload)
    if not body.brittle or body.pose is None:
        raise ValueError(f"expected a thing that can break, got entity {entity}, which is not brittle")
    shape = next(geom for geom in body.main.iter("geom"))
    wide, high = (float(size) for size in shape.attrib["size"].split())
    _, _, seed = shape.attrib["material"].partition(":")
    name = known.name if known is not None else body.name
    rng = np.random.default_rng([17, world.physics.mechanism.seed % (1 << 63), world.physics.tick, entity])
    middle, turn = np.array(body.pose.place[:3]), np.array(body.pose.place[3:])
    speed = np.array(body.pose.motion[:3] or (0.0, 0.0, 0.0))
    free = _free(world)
    changes: list[Change] = []
    first = float(rng.uniform(-math.pi, math.pi))
    for n in range(PIECES):
        number = entity if n == 0 else free + n - 1
        around = first + 2 * math.pi * n / PIECES
        size = float(rng.uniform(0.7, 1.05)) * wide, 0.024, float(rng.uniform(0.35, 0.7)) * high
        aside = np.array((math.cos(around), math.sin(around), 0.0))
        local = 0.62 * wide * aside + (0.0, 0.0, (0.4, -0.4)[n % 2] * high)
        at, out, facing = np.empty(3), np.empty(3), np.empty(4)
        mujoco.mju_rotVecQuat(at, local, turn)
        mujoco.mju_rotVecQuat(out, aside, turn)
        quarter = 0.5 * (around + 0.5 * math.pi)
        mujoco.mju_mulQuat(facing, turn, np.array((math.cos(quarter), 0.0, 0.0, math.sin(quarter))))
        motion = 0.4 * speed + float(rng.uniform(0.5, 1.3)) * out + (0.0, 0.0, float(rng.uniform(0.2, 0.8)))
        spin = rng.uniform(-4.0, 4.0, 3)
        piece = bodies.shard(number, (0.0, 0.0, 0.0), size, 0.7, f"shard:{seed}" if seed else "shard")
        pose = Pose(tuple(map(float, (*(middle + at), *facing))), tuple(map(float, (*motion, *spin))))
        patches = () if known is None else breaking.looks(known.patches, n, size)
        kind = Entity(number, "shard", f"shard of {_the(name)}", piece.name, patches, attributes=("broken",))
        if n == 0 and known is not None:
            kind = replace(
                known, kind="shard", body=piece.name, patches=patches, attributes=(*known.attributes, "broken")
            )
        changes += add(kind, replace(piece, pose=pose)).changes
    return Edit(tuple(changes), "shatter", "physics")


def breaks(world: State, bare: str) -> Edit:
    """The nearest thing that can break goes to pieces."""
    eye = _eye(world)[0]
    data = world.physics.posed()[1]
    brittle = world.physics.mechanism.compiled.brittle
    if not brittle:
        raise ValueError("there is nothing here that could break: try it with an urn")
    nearest = min(brittle, key=lambda seat: (float(np.linalg.norm(data.xpos[seat.body] - eye)), seat.entity))
    return replace(shattered(world, nearest.entity), kind="event", actor="player")


def arrives(world: State, bare: str) -> Edit:
    raise ValueError("a creature has to be brought along: send the edit that adds it in the same action")


def _spectacle(world: State, kind: str, place: Point, seconds: float) -> Edit:
    """Under the first name that no other of its kind has while it lasts."""
    tick, number = world.physics.tick, 1
    while True:
        name = kind if number == 1 else f"{kind} {number}"
        other = world.setting.spectacle(name)
        if other is None or other.over(tick):
            break
        number += 1
    seed = (world.physics.mechanism.seed * 7919 + tick * 31 + 97 * SPECTACLES.index(kind) + number) % (1 << 31)
    spectacle = Spectacle(name, kind, place, tick, seconds, seed)
    return Edit((Change(f"spectacle/{name}", spectacle.to_bytes()),), "event")


def _free(world: State) -> int:
    """An id that nobody has or had, and nothing in the physics either."""
    return max(next_id(world.entities), 1 + max(world.physics.entities, default=0))


def _the(name: str) -> str:
    return name if name.startswith("the ") else f"the {name}"


def _way(yaw: float) -> NDArray[np.float64]:
    return np.array([math.cos(yaw), math.sin(yaw), 0.0])


def _eye(
    world: State,
) -> tuple[NDArray[np.float64], float, Callable[[NDArray[np.float64], NDArray[np.float64]], float]]:
    """The player's eye, its yaw, and how far it is free along a ray, whatever the player itself is. The eye is where
    its own is, whoever looks on.
    """
    physics = world.physics
    _, data = physics.posed()
    compiled = physics.mechanism.compiled
    groups = np.ones(mujoco.mjNGROUP, np.uint8)
    groups[[PLAYER, AVATAR]] = 0

    def free(start: NDArray[np.float64], way: NDArray[np.float64]) -> float:
        far = float(mujoco.mj_ray(compiled.sight, data, start, way, groups, True, -1, None))
        return math.inf if far < 0 else far

    return player.camera(compiled, data, physics.yaw, physics.pitch)[:3, 3], physics.yaw, free
