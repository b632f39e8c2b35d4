"""What physics is made of, and what does not change as it moves: the scene it was founded on, and what was put
into it and taken out since.

The scene's model is kept as bytes (MJB, exact) beside its source (XML, portable), since the same XML compiled
elsewhere need not give the same bits. With bodies put in or taken out, the model is compiled from the source and
theirs: a function of both alone, so putting back what was taken out gives the same mechanism, and the same digest.

Things move by forces alone. The player does not: it has a velocity and next to no mass, so that walls and heavy
things stop it by contact, light ones give way, and a free walk can be retraced exactly.
"""

import copy
import hashlib
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from xml.etree import ElementTree

import msgspec
import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.action import FRAMES_PER_SECOND, STANDARD, Rates
from perdure.world.body import Body, Kind
from perdure.world.follow import Mount
from perdure.world.limbs import Rig, posed, rig
from perdure.world.mover import Gait, Mover, part_pose, root_pose
from perdure.world.roof import housed
from perdure.world.terrain import Terrain

Array = NDArray[np.float64]

TICK = 1.0 / FRAMES_PER_SECOND
SUBSTEPS = 4
STATE = mujoco.mjtState.mjSTATE_INTEGRATION
EYE_HEIGHT = 1.55  # metres above the origin of the player's body, where the scene has no site "eye" that says another
WORLD, MOVER, PLAYER, THING, AVATAR = 0, 1, 2, 3, 4  # geom groups of the model that rays are cast in

BURDEN = 2.0
"""Kilograms that the player weighs on what can be pushed. Its velocity is set anew each substep, so it pushes with
at most `BURDEN * speed / substep`: 460 N at a walk, and less the better the thing gives way."""

RISE = "player_z"
"""A slide joint that a scene with uneven ground has: the player's height, which follows from the ground. An armature of
many tons keeps contacts from lifting it, so that what it does not step over stops it."""

_TOUCHING = 2  # the bit of contype by which creatures, who pass through the player, push things


@dataclass(frozen=True)
class Seat:
    """Where an entity is found in a compiled model."""

    entity: int
    kind: Kind
    body: int  # the one that it is known by
    qpos: slice
    dofs: slice
    mocap: int  # -1: none
    aim: int  # the actuator of a door; -1: none
    mass: float
    geoms: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A loaded model, where to find the player, creatures and things in it, and a scratch `MjData` a thread."""

    model: mujoco.MjModel
    sight: mujoco.MjModel  # the same, with geoms grouped as world, movers, player and things, for rays
    player: int
    slides: tuple[int, int]  # addresses of the player's joints in qpos
    dofs: tuple[int, int]  # the same in qvel
    rise: tuple[int, int] | None  # of the joint by which the player follows the ground, in qpos and in qvel
    eye: float  # metres above the origin of the player's body
    mocap: Mapping[str, int]
    seats: Mapping[int, Seat]  # of all entities but the player, creatures first
    things: tuple[Seat, ...]  # of those that are not creatures
    brittle: tuple[Seat, ...]  # and of those that a blow breaks
    owners: NDArray[np.int32]  # body -> entity: 0 for the player, -1 for nobody
    rigs: Mapping[int, Rig]  # of creatures that have deeds
    avatar: int  # the root of the player's own body; -1: it has none
    moving: tuple[int, ...]  # groups of what the camera sees that does not stand still
    local: threading.local

    @cached_property
    def terrain(self) -> Terrain:
        return Terrain(self.model)

    @cached_property
    def housed(self) -> bool:
        """Whether it lies indoors."""
        return housed(self.sight, self.player, self.eye, WORLD)

    def scratch(self) -> mujoco.MjData:
        data = getattr(self.local, "data", None)
        if data is None:
            data = self.local.data = mujoco.MjData(self.model)
        return data

    def spare(self) -> mujoco.MjData:
        """Another, to try out what may not come to be."""
        data = getattr(self.local, "spare", None)
        if data is None:
            data = self.local.spare = mujoco.MjData(self.model)
        return data


@dataclass(frozen=True, eq=False)
class Mechanism:
    xml: str  # the scene that it was founded on
    model: bytes  # MJB: the same, compiled
    movers: tuple[Mover, ...]  # the scene's creatures
    seed: int
    intrinsics: Intrinsics
    bodies: tuple[Body, ...] = ()  # put in since, by entity
    gone: tuple[int, ...] = ()  # the scene's creatures that were taken out
    rates: Rates = STANDARD  # of the player
    mount: Mount | None = None  # how the camera follows the player; None: it is the player's eye

    @classmethod
    def found(
        cls,
        xml: str,
        movers: tuple[Mover, ...],
        seed: int,
        intrinsics: Intrinsics,
        bodies: tuple[Body, ...] = (),
        rates: Rates = STANDARD,
        mount: Mount | None = None,
    ) -> "Mechanism":
        model = mujoco.MjModel.from_xml_string(xml)
        check(model, movers)
        tame(model)
        buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
        mujoco.mj_saveModel(model, None, buffer)
        mechanism = cls(xml, buffer.tobytes(), tuple(movers), seed, intrinsics, rates=rates, mount=mount)
        mechanism = cls.from_bytes(mechanism.to_bytes())  # an int given for a float is one no more
        for body in bodies:
            mechanism = mechanism._with(body.entity, body)
        assert mechanism.compiled
        return mechanism

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Without bodies put in or taken out, at the standard rates, the five fields that the first format had."""
        movers = [mover.said() for mover in self.movers]
        fields = self.xml, self.model, movers, self.seed, self.intrinsics
        bodies = [(body.entity, body.mjcf, body.mover and body.mover.said()) for body in self.bodies]
        if self.mount is not None:
            return msgspec.msgpack.encode((*fields, bodies, self.gone, self.rates, self.mount))
        if self.rates != STANDARD:
            return msgspec.msgpack.encode((*fields, bodies, self.gone, self.rates))
        if self.bodies or self.gone:
            return msgspec.msgpack.encode((*fields, bodies, self.gone))
        return msgspec.msgpack.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes | None = None) -> "Mechanism":
        said = msgspec.msgpack.decode(payload, type=_Said)
        bodies = tuple(Body(*body) for body in said.bodies)
        mechanism = cls(
            said.xml, said.model, said.movers, said.seed, said.intrinsics, bodies, said.gone, said.rates, said.mount
        )  # fmt: skip
        if digest is not None:
            mechanism.__dict__["digest"] = digest  # where cached_property looks first
        return mechanism

    @cached_property
    def creatures(self) -> tuple[Mover, ...]:
        """The movers that there are now: the scene's, then those put in. That of entity 0 is the player's own body."""
        mine = [mover for mover in self.movers if mover.entity not in self.gone]
        return (*mine, *(body.mover for body in self.bodies if body.mover is not None))

    def body(self, entity: int) -> Body | None:
        """How an entity is built; the scene's things are all known by their creatures."""
        for body in self.bodies:
            if body.entity == entity:
                return body
        return None if entity in self.gone else self._founded(entity)

    def with_body(self, entity: int, body: Body | None) -> "Mechanism":
        """With an entity built like this, or without it. Raises `ValueError` for what cannot be compiled."""
        changed = self._with(entity, body)
        assert changed.compiled
        return changed

    @property
    def compiled(self) -> Compiled:
        found = self.__dict__.get("_compiled")
        if found is None:  # kept beside the fields, so that a step need not hash a model to find it
            found = self.__dict__["_compiled"] = _compiled(_Key(self))
        return found

    def _with(self, entity: int, body: Body | None) -> "Mechanism":
        if entity == 0:
            raise ValueError("the player's body cannot be changed or taken out")
        founded = self._founded(entity)
        bodies = [other for other in self.bodies if other.entity != entity]
        gone = [other for other in self.gone if other != entity]
        if founded is not None and body != founded:
            gone.append(entity)
        if body is not None and body != founded:
            body = Body.from_bytes(replace(body, pose=None).to_bytes())
            if body.entity != entity or (body.mover is not None and body.mover.entity != entity):
                raise ValueError(f"expected a body of entity {entity}, got one of entity {body.entity}")
            bodies.append(body)
        bodies.sort(key=lambda other: other.entity)
        return replace(self, bodies=tuple(bodies), gone=tuple(sorted(gone)))

    def _founded(self, entity: int) -> Body | None:
        """How one of the scene's creatures was built."""
        return next((body for body in _founded(self.xml, self.movers) if body.entity == entity), None)

    def source(self) -> str:
        """The XML of all that there is now."""
        if not (self.bodies or self.gone):
            return self.xml
        root = ElementTree.fromstring(self.xml)
        world = root.find("worldbody")
        if world is None:
            raise ValueError("expected a <worldbody> in the scene's XML, got none")
        absent = {n for m in self.movers if m.entity in self.gone for n in m.bodies}
        for parent in list(root.iter()):
            for element in [child for child in parent if child.tag == "body" and child.get("name") in absent]:
                parent.remove(element)
        compiler = root.find("compiler")
        degrees = compiler is None or compiler.get("angle") != "radian"
        known = {material.get("name") for material in root.iter("material")}
        assets, actuators = ElementTree.SubElement(root, "asset"), ElementTree.SubElement(root, "actuator")
        for body in self.bodies:
            for element in copy.deepcopy(body.elements):
                _fit(element, body, degrees)
                if element.tag == "actuator":
                    actuators.extend(element)
                else:
                    world.append(element)
                for material in (geom.get("material") for geom in element.iter("geom")):
                    if material is not None and material not in known:
                        known.add(material)
                        ElementTree.SubElement(assets, "material", name=material)
        if any(body.kind in ("free", "hinge") for body in self.bodies):
            self._lend_weight(root)
        return ElementTree.tostring(root, "unicode")

    def _lend_weight(self, root: ElementTree.Element) -> None:
        """Let the player push, and creatures too."""
        creatures = {name for mover in self.movers if mover.entity for name in mover.bodies}
        for body in root.iter("body"):
            geoms = body.findall("geom")
            if body.get("name") == "player":
                for geom in geoms:
                    geom.attrib.pop("density", None)
                    geom.set("mass", repr(BURDEN / len(geoms)))
            elif body.get("name") in creatures:
                for geom in geoms:
                    _touch(geom)


@lru_cache(maxsize=16)
def _founded(xml: str, movers: tuple[Mover, ...]) -> tuple[Body, ...]:
    """The creatures of a scene, each as a body that could be put in."""
    root, out = ElementTree.fromstring(xml), list[Body]()
    for element in root.iter("body"):
        element.tail = None
    for mover in movers:
        wanted = set(mover.bodies)
        pieces = [element for element in root.iter("body") if element.get("name") in wanted]
        out.append(Body(mover.entity, "".join(ElementTree.tostring(piece, "unicode") for piece in pieces), mover))
    return tuple(out)


class _Said(msgspec.Struct, array_like=True):
    """A mechanism as it is written down; fields at the end may be missing."""

    xml: str
    model: bytes
    movers: tuple[Mover, ...]
    seed: int
    intrinsics: Intrinsics
    bodies: tuple[tuple[int, str, Mover | None], ...] = ()
    gone: tuple[int, ...] = ()
    rates: Rates = STANDARD
    mount: Mount | None = None


class _Key:
    """A mechanism to look a model up by: equal digests, equal models."""

    def __init__(self, mechanism: Mechanism) -> None:
        self.mechanism = mechanism

    def __hash__(self) -> int:
        return hash(self.mechanism.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.mechanism.digest == other.mechanism.digest


@lru_cache(maxsize=32)
def _compiled(key: _Key) -> Compiled:
    mechanism = key.mechanism
    if mechanism.bodies or mechanism.gone:
        model = _from_source(mechanism)
    else:
        try:
            model = mujoco.MjModel.from_binary_path("world.mjb", {"world.mjb": mechanism.model})
        except ValueError:
            # Compiled by another version of MuJoCo, which this one does not read. The source is the same world;
            # what it does next may differ in the last bits, which the fingerprint says.
            model = mujoco.MjModel.from_xml_string(mechanism.xml)
            tame(model)
    movers = mechanism.creatures
    names = [name for mover in movers for name in mover.bodies]
    mocap = {name: int(model.body(name).mocapid[0]) for name in names}
    player = int(model.body("player").id)
    joints = [model.joint(name) for name in ("player_x", "player_y")]
    slides = int(joints[0].qposadr[0]), int(joints[1].qposadr[0])
    dofs = int(joints[0].dofadr[0]), int(joints[1].dofadr[0])
    rise = None
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, RISE) >= 0:
        rise = int(model.joint(RISE).qposadr[0]), int(model.joint(RISE).dofadr[0])
    eye = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "eye")
    height = float(model.site_pos[eye, 2]) if eye >= 0 and model.site_bodyid[eye] == player else EYE_HEIGHT
    owners = np.full(model.nbody, -1, np.int32)
    owners[player] = 0
    for mover in movers:
        for name in mover.bodies:
            owners[model.body(name).id] = mover.entity
    seats = {m.entity: _seat(model, owners, m.entity, "creature", m.body) for m in movers if m.entity}
    things: list[Seat] = []
    brittle = {body.entity for body in mechanism.bodies if body.kind == "free" and body.brittle}
    for body in mechanism.bodies:
        for name in body.names:
            owners[model.body(name).id] = body.entity
        if body.kind != "creature":
            things.append(_seat(model, owners, body.entity, body.kind, body.name))
            seats[body.entity] = things[-1]
    # Grouped for rays. What of a thing stands still, as a door's frame does, is part of the world.
    sight = copy.copy(model)
    creatures = [int(model.body(name).id) for mover in movers if mover.entity for name in mover.bodies]
    worn = [int(model.body(name).id) for mover in movers if not mover.entity for name in mover.bodies]
    moving = [b for b in range(model.nbody) if owners[b] > 0 and (model.body_weldid[b] or model.body_mocapid[b] >= 0)]
    sight.geom_group[:] = np.where(np.isin(model.geom_bodyid, moving), THING, WORLD)
    sight.geom_group[np.isin(model.geom_bodyid, creatures)] = MOVER
    sight.geom_group[model.geom_bodyid == player] = PLAYER
    sight.geom_group[np.isin(model.geom_bodyid, worn)] = AVATAR
    rigs = {mover.entity: rig(mover, model, mocap) for mover in movers if mover.deeds}
    return Compiled(
        model, sight, player, slides, dofs, rise, height, mocap, seats, tuple(things),
        tuple(seat for seat in things if seat.entity in brittle), owners, rigs,
        worn[0] if worn else -1, (MOVER, THING, *([] if mechanism.mount is None else [AVATAR])), threading.local(),
    )  # fmt: skip


def _from_source(mechanism: Mechanism) -> mujoco.MjModel:
    try:
        model = mujoco.MjModel.from_xml_string(mechanism.source())
        check(model, mechanism.creatures)
    except ValueError as error:
        put_in = ", ".join(str(body.entity) for body in mechanism.bodies) or "none"
        said = " ".join(str(error).split())
        raise ValueError(f"expected bodies that can be put into this world (entities {put_in}), got: {said}") from None
    tame(model)
    return model


def _seat(model: mujoco.MjModel, owners: NDArray[np.int32], entity: int, kind: Kind, name: str) -> Seat:
    body = model.body(name)
    qpos, dofs, aim = slice(0, 0), slice(0, 0), -1
    if kind in ("free", "hinge"):
        joint = model.joint(int(body.jntadr[0]))
        counts = (7, 6) if kind == "free" else (1, 1)
        qpos = slice(int(joint.qposadr[0]), int(joint.qposadr[0]) + counts[0])
        dofs = slice(int(joint.dofadr[0]), int(joint.dofadr[0]) + counts[1])
        driven = np.flatnonzero(model.actuator_trnid[:, 0] == joint.id)
        aim = int(driven[0]) if len(driven) else -1
    geoms = tuple(map(int, np.flatnonzero(owners[model.geom_bodyid] == entity)))
    mass = float(body.subtreemass[0])
    return Seat(entity, kind, int(body.id), qpos, dofs, int(body.mocapid[0]), aim, mass, geoms)


def _fit(element: ElementTree.Element, body: Body, degrees: bool) -> None:
    """Make a body's MJCF, with angles in radians, part of a scene's."""
    for joint in element.iter("joint"):
        if degrees and "range" in joint.attrib and joint.get("type", "hinge") == "hinge":
            joint.set("range", " ".join(repr(float(np.degrees(float(end)))) for end in joint.attrib["range"].split()))
    for geom in element.iter("geom"):
        if body.kind == "creature":
            _touch(geom)
        else:
            geom.set("contype", geom.get("contype", str(1 | _TOUCHING)))


def _touch(geom: ElementTree.Element) -> None:
    """Let a creature's geom, which passes through all, push things."""
    if geom.get("contype") == "0":
        geom.set("conaffinity", str(_TOUCHING))


def standing(compiled: Compiled, data: mujoco.MjData) -> float:
    """How high the player stands."""
    height = float(compiled.model.body_pos[compiled.player, 2])
    return height if compiled.rise is None else height + float(data.qpos[compiled.rise[0]])


def place(compiled: Compiled, data: mujoco.MjData, movers: tuple[Mover, ...], gaits: tuple[Gait, ...]) -> None:
    """Put each creature's bodies where its gait has them."""
    for mover, gait in zip(movers, gaits):
        if gait.act is not None:
            slots = compiled.rigs[mover.entity].slots
            data.mocap_pos[slots], data.mocap_quat[slots] = posed(compiled.rigs[mover.entity], gait)
            if mover.entity == 0:
                data.mocap_pos[slots, 2] += standing(compiled, data)
            continue
        root = root_pose(mover, gait)
        slot = compiled.mocap[mover.body]
        data.mocap_pos[slot] = root[:3, 3]
        data.mocap_quat[slot] = math.cos(0.5 * gait.heading), 0.0, 0.0, math.sin(0.5 * gait.heading)
        for part in mover.parts:
            slot = compiled.mocap[part.body]
            data.mocap_pos[slot], data.mocap_quat[slot] = part_pose(mover, gait, part, root)


def check(model: mujoco.MjModel, movers: tuple[Mover, ...]) -> None:
    """Raise `ValueError` where the model is not one that can be played."""
    bodies = {model.body(i).name: i for i in range(model.nbody)}
    joints = {model.joint(i).name for i in range(model.njnt)}
    if "player" not in bodies or not {"player_x", "player_y"} <= joints:
        raise ValueError("expected a body 'player' with slide joints 'player_x' and 'player_y' in the scene's XML")
    if abs(model.opt.timestep * SUBSTEPS * FRAMES_PER_SECOND - 1) > 1e-6:
        expected = TICK / SUBSTEPS
        raise ValueError(f"expected a timestep of 1/96 s ({expected:.9f}) in the XML, got {model.opt.timestep:.9f}")
    for mover in movers:
        for name in mover.bodies:
            if name not in bodies or model.body_mocapid[bodies[name]] < 0:
                raise ValueError(f'expected a body {name!r} with mocap="true" for entity {mover.entity} in the XML')
        if mover.entity == 0 and not mover.deeds:
            raise ValueError(f"expected deeds of the player's own body {mover.body!r}, which it is led by, got none")
    entities = [mover.entity for mover in movers]
    if len(set(entities)) != len(entities):
        raise ValueError(f"expected one mover for each entity, got entities {entities}")


def tame(model: mujoco.MjModel) -> None:
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
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, RISE) >= 0:
        joint = model.joint(RISE)
        model.jnt_stiffness[joint.id] = 0.0
        model.jnt_limited[joint.id] = 0
