"""P, the physics: a MuJoCo state as a value. `advance` is a pure function of the state and the action.

What is compiled is kept as bytes (MJB, exact) beside its source (XML, portable), since the same
XML compiled elsewhere need not give the same bits. The player is driven by velocity, without
inertia, so walls stop it by contact and a free walk can be retraced exactly.

Shapes: T frames of a chunk, H height, W width. Poses are 4x4 float64, camera or body to world.
"""

import copy
import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import msgspec
import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, invert, look, rays
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, PITCH_LIMIT, TURN, WALK, Action, Keys
from perdure.world.history import Note
from perdure.world.mover import BEARINGS, RAYS, REACH, Gait, Mover, Part, part_pose, root_pose, settle, wander

__all__ = ["EYE", "EYE_HEIGHT", "Gait", "Mechanism", "Motion", "Mover", "Part", "Physics"]

Array = NDArray[np.float64]
Observer = Callable[[mujoco.MjModel, mujoco.MjData, Array], None]

EYE_HEIGHT = 1.55  # metres above the origin of the player's body, which stands on the ground
EYE = Intrinsics.from_fov(256, 144, 75.0)
TICK = 1.0 / FRAMES_PER_SECOND
SUBSTEPS = 4
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_WORLD, _MOVER, _PLAYER = 0, 1, 2  # geom groups of the model that rays are cast in


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the eye and the creatures are in each of a chunk's frames; the last is where the chunk ends."""

    cameras: Array  # (T, 4, 4) camera to world
    intrinsics: Intrinsics
    bodies: Mapping[int, Array]  # entity -> (T, 4, 4) of its root body, body to world
    notes: tuple[Note, ...] = ()  # what happened that the log should tell


@dataclass(frozen=True, eq=False)
class Mechanism:
    """What physics is made of, and what does not change as it moves."""

    xml: str
    model: bytes  # MJB: the compiled model
    movers: tuple[Mover, ...]
    seed: int
    intrinsics: Intrinsics

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode((self.xml, self.model, self.movers, self.seed, self.intrinsics))

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes) -> "Mechanism":
        fields = tuple[str, bytes, tuple[Mover, ...], int, Intrinsics]
        mechanism = cls(*msgspec.msgpack.decode(payload, type=fields))
        mechanism.__dict__["digest"] = digest  # where cached_property looks first
        return mechanism

    @property
    def compiled(self) -> "_Compiled":
        return _compiled(self.model, self.xml, self.movers)


@dataclass(frozen=True, eq=False)
class _Compiled:
    """A loaded model, where to find the player and the creatures in it, and a scratch `MjData` a thread."""

    model: mujoco.MjModel
    sight: mujoco.MjModel  # the same, with geoms grouped as world, movers and player, for rays
    player: int
    slides: tuple[int, int]  # addresses of the player's joints in qpos
    dofs: tuple[int, int]  # the same in qvel
    mocap: Mapping[str, int]
    local: threading.local

    def scratch(self) -> mujoco.MjData:
        data = getattr(self.local, "data", None)
        if data is None:
            data = self.local.data = mujoco.MjData(self.model)
        return data


@lru_cache(maxsize=16)
def _compiled(model_bytes: bytes, xml: str, movers: tuple[Mover, ...]) -> _Compiled:
    try:
        model = mujoco.MjModel.from_binary_path("world.mjb", {"world.mjb": model_bytes})
    except ValueError:
        # Compiled by another version of MuJoCo, which this one does not read. The source is the same world;
        # what it does next may differ in the last bits, which the fingerprint says.
        model = mujoco.MjModel.from_xml_string(xml)
        _tame(model)
    names = [name for mover in movers for name in (mover.body, *(part.body for part in mover.parts))]
    mocap = {name: int(model.body(name).mocapid[0]) for name in names}
    joints = [model.joint(name) for name in ("player_x", "player_y")]
    player = int(model.body("player").id)
    sight = copy.copy(model)
    creatures = [int(model.body(name).id) for name in names]
    sight.geom_group[:] = np.where(np.isin(model.geom_bodyid, creatures), _MOVER, _WORLD)
    sight.geom_group[model.geom_bodyid == player] = _PLAYER
    slides = int(joints[0].qposadr[0]), int(joints[1].qposadr[0])
    dofs = int(joints[0].dofadr[0]), int(joints[1].dofadr[0])
    return _Compiled(model, sight, player, slides, dofs, mocap, threading.local())


@dataclass(frozen=True, eq=False)
class Physics:
    mechanism: Mechanism
    state: Array  # mjSTATE_INTEGRATION: all that MuJoCo needs to go on bit for bit
    gaits: tuple[Gait, ...]  # one for each mover
    yaw: float
    pitch: float
    tick: int  # 24 a second since the world began

    @classmethod
    def from_xml(
        cls,
        xml: str,
        movers: tuple[Mover, ...] = (),
        spawn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        seed: int = 0,
        intrinsics: Intrinsics = EYE,
    ) -> "Physics":
        """Physics as it begins; `spawn` is the player's x, y and yaw."""
        model = mujoco.MjModel.from_xml_string(xml)
        _check(model, movers)
        _tame(model)
        buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
        mujoco.mj_saveModel(model, None, buffer)
        mechanism = Mechanism(xml, buffer.tobytes(), tuple(movers), seed, intrinsics)
        mechanism = replace(Mechanism.from_bytes(mechanism.to_bytes(), b""))  # an int given for a float is one no more
        movers, compiled = mechanism.movers, mechanism.compiled
        data = mujoco.MjData(compiled.model)
        for axis in (0, 1):
            data.qpos[compiled.slides[axis]] = spawn[axis] - compiled.model.body_pos[compiled.player, axis]
        gaits = tuple(settle(mover, seed) for mover in movers)
        _place(compiled, data, movers, gaits)
        mujoco.mj_forward(compiled.model, data)
        return cls(mechanism, _state(compiled.model, data), gaits, float(spawn[2]), 0.0, 0)

    def advance(self, action: Action, observe: Observer | None = None) -> tuple["Physics", Motion]:
        """Four ticks. `observe(model, data, camera)`, if given, is called after each, and must change nothing."""
        compiled, movers = self.mechanism.compiled, self.mechanism.movers
        model, data = compiled.model, compiled.scratch()
        mujoco.mj_setState(model, data, self.state, _STATE)
        mujoco.mj_kinematics(model, data)
        forward, sideways = _axis(action.keys, Keys.FORWARD, Keys.BACK), _axis(action.keys, Keys.LEFT, Keys.RIGHT)
        pace = WALK / math.hypot(forward, sideways) if forward or sideways else 0.0
        turn = _axis(action.keys, Keys.TURN_LEFT, Keys.TURN_RIGHT) * TURN * TICK + action.turn / FRAMES_PER_CHUNK
        tilt = _axis(action.keys, Keys.LOOK_UP, Keys.LOOK_DOWN) * TURN * TICK + action.tilt / FRAMES_PER_CHUNK
        gaits, yaw, pitch = self.gaits, self.yaw, self.pitch
        cameras = np.empty((FRAMES_PER_CHUNK, 4, 4))
        bodies = {mover.entity: np.empty((FRAMES_PER_CHUNK, 4, 4)) for mover in movers}
        for i in range(FRAMES_PER_CHUNK):
            gaits = self._wander(compiled, data, gaits, self.tick + i)
            roots = _place(compiled, data, movers, gaits)
            # Half the turn before the step and half after it: so an action and its reverse cancel out.
            middle = yaw + 0.5 * turn
            velocity = (
                pace * (forward * math.cos(middle) - sideways * math.sin(middle)),
                pace * (forward * math.sin(middle) + sideways * math.cos(middle)),
            )
            for _ in range(SUBSTEPS):
                data.qvel[compiled.dofs[0]], data.qvel[compiled.dofs[1]] = velocity
                mujoco.mj_step(model, data)
            mujoco.mj_kinematics(model, data)  # mj_step leaves the frames of bodies where they were before it
            yaw = math.remainder(yaw + turn, 2 * math.pi)
            pitch = max(-PITCH_LIMIT, min(PITCH_LIMIT, pitch + tilt))
            cameras[i] = _camera(compiled, data, yaw, pitch)
            for mover, root in zip(movers, roots):
                bodies[mover.entity][i] = root
            if observe is not None:
                observe(model, data, cameras[i])
        for poses in (cameras, *bodies.values()):
            poses.setflags(write=False)
        moved = replace(
            self,
            state=_state(model, data),
            gaits=gaits,
            yaw=yaw,
            pitch=pitch,
            tick=self.tick + FRAMES_PER_CHUNK,
        )
        return moved, Motion(cameras, self.mechanism.intrinsics, bodies)

    def still(self) -> Motion:
        """The motion of a chunk in which nothing moves: what a world has before its first step."""
        _, data = self.posed()
        camera = _camera(self.mechanism.compiled, data, self.yaw, self.pitch)
        roots = {m.entity: root_pose(m, gait) for m, gait in zip(self.mechanism.movers, self.gaits)}
        held = {entity: np.broadcast_to(root, (FRAMES_PER_CHUNK, 4, 4)) for entity, root in roots.items()}
        return Motion(np.broadcast_to(camera, (FRAMES_PER_CHUNK, 4, 4)), self.mechanism.intrinsics, held)

    def posed(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """The model, which is shared and must not be changed, and data of your own, posed as the world now is."""
        compiled = self.mechanism.compiled
        data = mujoco.MjData(compiled.model)
        mujoco.mj_setState(compiled.model, data, self.state, _STATE)
        mujoco.mj_kinematics(compiled.model, data)
        return compiled.model, data

    def proxy(self, motion: Motion, width: int, height: int) -> NDArray[np.float32]:
        """(5, H, W) what physics knows of the motion's last frame, a ray through each cell's centre.

        Inverse depth along the camera's z (0 for the sky), the surface's normal in camera
        coordinates, and 1 where a creature is seen.
        """
        compiled = self.mechanism.compiled
        data = compiled.scratch()
        mujoco.mj_setState(compiled.model, data, self.state, _STATE)
        mujoco.mj_kinematics(compiled.model, data)
        pose, count = motion.cameras[-1], width * height
        # Rays have z = 1 in the camera and are not normalised, so the distance along them is the depth.
        vectors = rays(motion.intrinsics.scaled(width, height)).reshape(count, 3) @ pose[:3, :3].T
        geoms, depths, normals = np.empty(count, np.int32), np.empty(count), np.empty((count, 3))
        mujoco.mj_multiRay(
            compiled.sight, data, pose[:3, 3], vectors.ravel(), _groups(_WORLD, _MOVER), True, -1,
            geoms, depths, normals.reshape(-1), count, mujoco.mjMAXVAL,
        )  # fmt: skip
        hit = geoms >= 0
        out = np.zeros((5, count), np.float32)
        out[0, hit] = 1.0 / np.maximum(depths[hit], 0.05)
        out[1:4, hit] = invert(pose)[:3, :3] @ normals[hit].T
        out[4, hit] = compiled.sight.geom_group[geoms[hit]] == _MOVER
        return out.reshape(5, height, width)

    @cached_property
    def pages(self) -> tuple[bytes, ...]:
        """Digests of the parts of this state, the leaves that its world's hash is made of."""
        return self.mechanism.digest, hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """All but the mechanism, which is kept once and not at every step."""
        return msgspec.msgpack.encode((self.state.tobytes(), self.gaits, self.yaw, self.pitch, self.tick))

    @classmethod
    def from_bytes(cls, mechanism: Mechanism, payload: bytes) -> "Physics":
        fields = tuple[bytes, tuple[Gait, ...], float, float, int]
        state, gaits, yaw, pitch, tick = msgspec.msgpack.decode(payload, type=fields)
        return cls(mechanism, np.frombuffer(state, np.float64), gaits, yaw, pitch, tick)

    def _wander(self, compiled: _Compiled, data: mujoco.MjData, gaits: tuple[Gait, ...], tick: int) -> tuple[Gait, ...]:
        player = float(data.xpos[compiled.player, 0]), float(data.xpos[compiled.player, 1])
        seed, groups = self.mechanism.seed, _groups(_WORLD)
        out: list[Gait] = []
        for i, (mover, gait) in enumerate(zip(self.mechanism.movers, gaits)):
            others = [player, *((other.x, other.y) for j, other in enumerate(gaits) if j != i)]
            low = np.array([gait.x, gait.y, min(0.35, mover.hover)])  # whatever stands, stands on the floor
            ways = np.zeros((RAYS, 3))
            ways[:, 0], ways[:, 1] = np.cos(gait.heading + BEARINGS), np.sin(gait.heading + BEARINGS)
            geoms, felt = np.empty(RAYS, np.int32), np.empty(RAYS)
            mujoco.mj_multiRay(
                compiled.sight, data, low, ways.ravel(), groups, True, -1, geoms, felt, None, RAYS, 2 * REACH
            )
            felt = np.where(geoms >= 0, np.minimum(felt, REACH), REACH)
            out.append(wander(mover, gait, felt, others, seed, tick, TICK))
        return tuple(out)


def _axis(keys: int, positive: Keys, negative: Keys) -> int:
    return int(bool(keys & positive)) - int(bool(keys & negative))


def _groups(*wanted: int) -> NDArray[np.uint8]:
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[list(wanted)] = 1
    return groups


def _state(model: mujoco.MjModel, data: mujoco.MjData) -> Array:
    state = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, data, state, _STATE)
    state.setflags(write=False)
    return state


def _camera(compiled: _Compiled, data: mujoco.MjData, yaw: float, pitch: float) -> Array:
    return look(data.xpos[compiled.player] + (0.0, 0.0, EYE_HEIGHT), yaw, pitch)


def _place(compiled: _Compiled, data: mujoco.MjData, movers: tuple[Mover, ...], gaits: tuple[Gait, ...]) -> list[Array]:
    """Put each creature's bodies where its gait has them; returns the poses of the roots."""
    roots: list[Array] = []
    for mover, gait in zip(movers, gaits):
        root = root_pose(mover, gait)
        slot = compiled.mocap[mover.body]
        data.mocap_pos[slot] = root[:3, 3]
        data.mocap_quat[slot] = math.cos(0.5 * gait.heading), 0.0, 0.0, math.sin(0.5 * gait.heading)
        for part in mover.parts:
            slot = compiled.mocap[part.body]
            data.mocap_pos[slot], data.mocap_quat[slot] = part_pose(mover, gait, part, root)
        roots.append(root)
    return roots


def _check(model: mujoco.MjModel, movers: tuple[Mover, ...]) -> None:
    """Raise `ValueError` where the model is not one that can be played."""
    bodies = {model.body(i).name: i for i in range(model.nbody)}
    joints = {model.joint(i).name for i in range(model.njnt)}
    if "player" not in bodies or not {"player_x", "player_y"} <= joints:
        raise ValueError("expected a body 'player' with slide joints 'player_x' and 'player_y' in the scene's XML")
    if abs(model.opt.timestep * SUBSTEPS * FRAMES_PER_SECOND - 1) > 1e-6:
        expected = TICK / SUBSTEPS
        raise ValueError(f"expected a timestep of 1/96 s ({expected:.9f}) in the XML, got {model.opt.timestep:.9f}")
    for mover in movers:
        for name in (mover.body, *(part.body for part in mover.parts)):
            if name not in bodies or model.body_mocapid[bodies[name]] < 0:
                raise ValueError(f'expected a body {name!r} with mocap="true" for entity {mover.entity} in the XML')
    entities = [mover.entity for mover in movers]
    if len(set(entities)) != len(entities):
        raise ValueError(f"expected one mover for each entity, got entities {entities}")


def _tame(model: mujoco.MjModel) -> None:
    """Settle what the promise hangs on, whatever the XML says: no sleeping, and a player whom nothing but contact
    slows, frictionless so that it slides along walls. The contact stiffens over its first centimetres: were it stiff
    at once, pushing on against a wall would throw the player out and let it in again, a tremor of 2 cm."""
    model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    player = model.body("player").id
    geoms = np.flatnonzero(model.geom_bodyid == player)
    model.geom_priority[geoms] = 1 + model.geom_priority.max()
    model.geom_condim[geoms] = 1
    model.geom_solref[geoms] = 2 * model.opt.timestep, 1.0
    model.geom_solimp[geoms] = 0.5, 0.99, 0.03, 0.5, 2.0
    for name in ("player_x", "player_y"):
        joint = model.joint(name)
        model.jnt_stiffness[joint.id] = 0.0
        model.dof_damping[joint.dofadr] = 0.0
        model.dof_frictionloss[joint.dofadr] = 0.0
