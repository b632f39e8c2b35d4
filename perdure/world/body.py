"""Bodies: what an entity is to physics, as plain data, and makers of simple ones.

A body is a piece of MJCF: one `<body>` that moves (or a few, of a creature), and where it is a door the
actuator that swings it. It can be put into a world while that runs, and taken out again. Every geom has
a `material`, so that whoever draws it knows its surface; physics does not care.

Positions are metres, angles radians, quaternions w, x, y, z. Sizes here are whole, not half as in MJCF.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from xml.etree import ElementTree

import msgspec

from perdure.world.follow import Chase
from perdure.world.mover import Gait, Mover

Point = tuple[float, float, float]
Kind = Literal["creature", "mocap", "free", "hinge"]

BRITTLE = ("urn",)
"""Kinds of material, as props are made of them, that a hard blow breaks."""

MOVING = 1
"""The geom group of what moves, as in scenes."""

# What someone leans on hardly sinks into the wall behind it, and what falls from high does not bounce back higher.
_FIRM = 'priority="1" solref="0.021 1.5" solimp="0.97 0.995 0.002"'

_TAGS = {"body", "geom", "joint", "freejoint", "inertial", "site", "actuator", "position"}


class Pose(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an entity is and how it moves: all of the physical state that is its own."""

    place: tuple[float, ...]
    """free, mocap: x, y, z and a quaternion. hinge: an angle. creature: x, y, heading. player: x, y, yaw, pitch."""
    motion: tuple[float, ...] = ()  # free: velocity in the world, spin in the body. hinge: its rate. Else nothing.
    warm: tuple[float, ...] = ()  # where the solver goes on from, so that what is put back goes on bit for bit
    aim: float | None = None  # the angle that a door swings to
    gait: Gait | None = None  # of the player: that of its own body, if it has one
    held: bool = False  # by the player
    chase: Chase | None = None  # of the player: where the camera is that follows it

    @classmethod
    def at(cls, x: float, y: float, z: float, yaw: float = 0.0, velocity: Point = (0.0, 0.0, 0.0)) -> "Pose":
        """Of something free, upright."""
        place = (x, y, z, math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw))
        return cls(tuple(map(float, place)), (*map(float, velocity), 0.0, 0.0, 0.0))

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self, enc_hook=float)  # numpy's are numbers too

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Pose":
        try:
            pose = msgspec.msgpack.decode(payload, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected the bytes of a pose, got {len(payload)} bytes that are none: {error}") from None
        if not all(map(math.isfinite, (*pose.place, *pose.motion, *pose.warm))):
            raise ValueError(f"expected a finite pose, got {pose.place} moving at {pose.motion}")
        return pose


@dataclass(frozen=True)
class Body:
    entity: int
    mjcf: str  # <body> elements, the one that the entity is known by first; <actuator>
    mover: Mover | None = None  # of a creature
    pose: Pose | None = field(default=None, compare=False)  # to begin with; where its MJCF says, unless given

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode((self.entity, self.mjcf, self.mover and self.mover.said(), self.pose))

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Body":
        try:
            fields = msgspec.msgpack.decode(payload, type=tuple[int, str, Mover | None, Pose | None])
        except (msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"expected the bytes of a body, got {len(payload)} bytes that are none: {error}") from None
        return cls(*fields)

    @cached_property
    def elements(self) -> tuple[ElementTree.Element, ...]:
        """The MJCF, read; not to be changed. Raises `ValueError` where it is not one that can be put into a world."""
        try:
            root = ElementTree.fromstring(f"<mujoco>{self.mjcf}</mujoco>")
        except ElementTree.ParseError as error:
            raise ValueError(f"expected MJCF for entity {self.entity}, got what is no XML: {error}") from None
        strange = sorted({element.tag for element in root.iter()} - _TAGS - {"mujoco"})
        if strange:
            raise ValueError(f"expected {', '.join(sorted(_TAGS))} in the MJCF of a body, got {', '.join(strange)}")
        if any(body.get("name") is None for body in root.iter("body")) or root.find("body") is None:
            raise ValueError(f"expected a <body> with a name for entity {self.entity}, and names for all in it")
        return tuple(root)

    @cached_property
    def main(self) -> ElementTree.Element:
        """The body that the entity is known by: the first that moves."""
        roots = [element for element in self.elements if element.tag == "body"]
        if self.mover is not None:
            found = [body for root in roots for body in root.iter("body") if body.get("name") == self.mover.body]
        else:
            found = [body for root in roots for body in root.iter("body") if _moves(body)]
        if not found:
            raise ValueError(f'expected a body that moves (mocap="true", freejoint or hinge) for entity {self.entity}')
        # A pose has to say all of where an entity is: one joint, or none where it is put in place.
        joints = [j for root in roots for body in root.iter("body") for j in body if j.tag in ("joint", "freejoint")]
        alone = self.mover is not None or len(roots) == 1
        if len(joints) != (self.mover is None and found[0].get("mocap") != "true") or not alone:
            raise ValueError(
                f"expected one body of entity {self.entity} to move, by one joint, got {len(joints)} joints"
            )
        mine = {joint.get("name") for joint in joints}
        driven = [d.get("joint") for e in self.elements if e.tag == "actuator" for d in e]
        if any(joint is None or joint not in mine for joint in driven):
            raise ValueError(f"expected actuators of entity {self.entity}'s own joint, got {driven}")
        return found[0]

    @property
    def name(self) -> str:
        return self.main.attrib["name"]

    @property
    def brittle(self) -> bool:
        """Whether it goes to pieces where it strikes hard: vessels do."""
        geoms = list(self.main.iter("geom"))
        made_of = {geom.get("material", "").partition(":")[0] for geom in geoms}
        vessel = bool(geoms) and geoms[0].get("type") == "cylinder" and len(geoms[0].get("size", "").split()) == 2
        return self.kind == "free" and vessel and not made_of.isdisjoint(BRITTLE)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its bodies."""
        return tuple(body.attrib["name"] for element in self.elements for body in element.iter("body"))

    @property
    def kind(self) -> Kind:
        if self.mover is not None:
            return "creature"
        if self.main.get("mocap") == "true":
            return "mocap"
        return "hinge" if self.main.find("joint") is not None else "free"


def _moves(body: ElementTree.Element) -> bool:
    hinges = [joint for joint in body.findall("joint") if joint.get("type", "hinge") == "hinge"]
    return body.get("mocap") == "true" or body.find("freejoint") is not None or len(hinges) == 1


# Makers


def crate(
    entity: int, at: Point, size: Point = (0.5, 0.5, 0.5), mass: float = 8.0, material: str = "crate", yaw: float = 0.0
) -> Body:
    """A box; `at` is the middle of its underside."""
    half = tuple(0.5 * side for side in size)
    shape = f'type="box" size="{_numbers(half)}" friction="0.6 0.005 0.0001" {_FIRM}'
    return _free(entity, "crate", at, half[2], shape, mass, material, yaw)


def plank(
    entity: int, at: Point, length: float = 1.6, mass: float = 5.0, material: str = "plank", yaw: float = 0.0
) -> Body:
    """A board that lies along its yaw; `at` is the middle of its underside."""
    shape = f'type="box" size="{_numbers((0.5 * length, 0.1, 0.02))}" friction="0.6 0.005 0.0001" {_FIRM}'
    return _free(entity, "plank", at, 0.02, shape, mass, material, yaw)


def ball(entity: int, at: Point, radius: float = 0.12, mass: float = 0.6, material: str = "ball") -> Body:
    """A ball that rolls to a stand; `at` is where it touches the ground."""
    shape = f'type="sphere" size="{_numbers((radius,))}" friction="0.7 0.005 0.006" condim="6" {_FIRM}'
    return _free(entity, "ball", at, radius, shape, mass, material, 0.0)


def urn(
    entity: int,
    at: Point,
    height: float = 0.5,
    radius: float = 0.16,
    mass: float = 6.0,
    material: str = "urn",
    yaw: float = 0.0,
) -> Body:
    """Something round that stands, and rolls once it has fallen; `at` is the middle of its underside."""
    half = 0.5 * height
    shape = f'type="cylinder" size="{_numbers((radius, half))}" friction="0.6 0.005 0.002" condim="6" {_FIRM}'
    return _free(entity, "urn", at, half, shape, mass, material, yaw)


def shard(entity: int, at: Point, size: Point, mass: float = 0.8, material: str = "shard", yaw: float = 0.0) -> Body:
    """A piece of something broken, on edge; `at` is the middle of its underside."""
    half = tuple(0.5 * side for side in size)
    shape = f'type="box" size="{_numbers(half)}" friction="0.7 0.005 0.0001" {_FIRM}'
    return _free(entity, "shard", at, half[2], shape, mass, material, yaw)


def door(
    entity: int,
    at: Point,
    yaw: float = 0.0,
    width: float = 0.9,
    height: float = 2.0,
    material: str = "door",
    frame: str | None = "frame",
) -> Body:
    """A door that gives way on both sides; pushed open by walking it falls shut again, opened by hand it stays.

    `at` is its hinge, on the ground; shut, it reaches from there along `yaw`. `frame` is the material of the
    posts and the lintel about it, None where it hangs in a wall's opening, whose edge should be 4 cm from `at`.
    """
    name, gap, thick = f"door{entity}", 0.04, 0.04
    posts = ""
    if frame is not None:
        for x in (-gap - 0.05, width + gap + 0.05):
            posts += _box(frame, (x, 0.0, 0.5 * height + 0.05), (0.05, 0.07, 0.5 * height + 0.05), 0)
        posts += _box(frame, (0.5 * width, 0.0, height + 0.13), (0.5 * width + gap + 0.1, 0.07, 0.05), 0)
    leaf = _box(material, (0.0, 0.0, 0.0), (0.5 * width, 0.5 * thick, 0.5 * height), MOVING, 18)
    middle, edge = (0.5 * width, 0.0, 0.5 * height + 0.02), (-0.5 * width, 0.0, 0.0)
    return Body(
        entity,
        f'<body name="{name}" pos="{_numbers(at)}" quat="{_upright(yaw)}">{posts}'
        f'<body name="{name}/leaf" pos="{_numbers(middle)}"><joint name="{name}/hinge" type="hinge" axis="0 0 1" '
        f'pos="{_numbers(edge)}" limited="true" range="-1.5 1.5" damping="9"/>{leaf}</body></body>'
        f'<actuator><position name="{name}/swing" joint="{name}/hinge" kp="30" forcelimited="true" '
        f'forcerange="-16 16"/></actuator>',
    )


def statue(entity: int, at: Point, size: Point = (0.5, 0.5, 1.2), material: str = "statue", yaw: float = 0.0) -> Body:
    """A block that nothing pushes, and that an edit can put elsewhere; `at` is the middle of its underside."""
    half = tuple(0.5 * side for side in size)
    shape = _box(material, (0.0, 0.0, 0.0), half, MOVING)
    place = _numbers((at[0], at[1], at[2] + half[2]))
    return Body(entity, f'<body name="statue{entity}" mocap="true" pos="{place}" quat="{_upright(yaw)}">{shape}</body>')


def _free(entity: int, noun: str, at: Point, lift: float, shape: str, mass: float, material: str, yaw: float) -> Body:
    if mass <= 0:
        raise ValueError(f"expected a mass above 0 kg for the {noun} {entity}, got {mass}")
    name, place = f"{noun}{entity}", _numbers((at[0], at[1], at[2] + lift))
    return Body(
        entity,
        f'<body name="{name}" pos="{place}" quat="{_upright(yaw)}"><freejoint name="{name}/free"/>'
        f'<geom {shape} mass="{mass:.6g}" material="{material}" group="{MOVING}"/></body>',
    )


def _box(material: str, pos: Point, half: tuple[float, ...], group: int, mass: float = 0.0) -> str:
    weight = f' mass="{mass:.6g}"' if mass else ""
    return (
        f'<geom type="box" material="{material}" pos="{_numbers(pos)}" size="{_numbers(half)}" '
        f'group="{group}"{weight}/>'
    )


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _upright(yaw: float) -> str:
    return f"{math.cos(0.5 * yaw)!r} 0 0 {math.sin(0.5 * yaw)!r}"
