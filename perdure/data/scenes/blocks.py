"""Blocks: a scene under construction. Shapes are added one by one; the result is MJCF and its surfaces.

Positions are centres in metres, sizes are half sizes (as in MJCF), yaw is radians to the left.
"""

from dataclasses import dataclass

import numpy as np

from perdure.data.scenes.scene import EYE, MOVING, PLAYER, STILL, Doorway, Lamp, Place, Scene, Sky, Surface
from perdure.world.mover import Mover

PLAYER_RADIUS = 0.3
PLAYER_HALF = 0.55  # of the cylinder between the capsule's ends
CLEARANCE = 0.05  # between the player and the floor, so that walking is free of friction
STRIDE = 0.25  # the same where the ground is uneven: what is lower than a step passes under the player

Point = tuple[float, float, float]

_MJCF = """<mujoco model="{name}">
  <compiler angle="radian"/>
  <option timestep="{step}" gravity="0 0 -9.81"/>
  <asset>
{materials}
  </asset>
  <worldbody>
{geoms}
    <body name="player" pos="{x} {y} {z}">
      <joint name="player_x" type="slide" axis="1 0 0"/>
      <joint name="player_y" type="slide" axis="0 1 0"/>
{rise}      <geom name="player" type="capsule" pos="0 0 {centre}" size="{radius} {half}" mass="70"
            friction="0 0 0" priority="1" group="{player}" material="player"/>
      <site name="eye" pos="0 0 {eye}" group="{player}"/>
    </body>
{bodies}
  </worldbody>
</mujoco>
"""

_RISE = """      <joint name="player_z" type="slide" axis="0 0 1" armature="1e6"/>
"""


@dataclass(frozen=True)
class Opening:
    """A hole in a wall, `middle` metres along it."""

    middle: float
    width: float
    bottom: float
    top: float


def _numbers(values: tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


class Blocks:
    def __init__(self) -> None:
        self.surfaces: dict[str, Surface] = {"player": Surface("stripe", ("#d8433b", "#f1e6d0", "#222222"), 0.5)}
        self.lamps: list[Lamp] = []
        self.movers: list[Mover] = []
        self.names: dict[int, str] = {}
        self.doorways: list[Doorway] = []
        self.places: dict[str, Place] = {}
        self.ways: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._geoms: list[str] = []
        self._bodies: list[str] = []
        self._taken: list[tuple[float, float, float]] = []  # x, y, radius of what stands on the ground

    def surface(self, name: str, surface: Surface) -> str:
        """Declare a material; the name is what geoms refer to."""
        self.surfaces[name] = surface
        return name

    def geom(
        self, kind: str, material: str, pos: Point, size: tuple[float, ...], yaw: float = 0.0, tilt: float = 0.0
    ) -> None:
        """A shape that stands still; `tilt` leans it about its own y axis, after the yaw."""
        self._geoms.append(geom(kind, material, pos, size, turned(yaw, tilt), STILL))

    def box(self, material: str, pos: Point, size: Point, yaw: float = 0.0, tilt: float = 0.0) -> None:
        self.geom("box", material, pos, size, yaw, tilt)

    def post(self, material: str, x: float, y: float, bottom: float, top: float, radius: float) -> None:
        """An upright cylinder."""
        self.geom("cylinder", material, (x, y, 0.5 * (bottom + top)), (radius, 0.5 * (top - bottom)))

    def ball(self, material: str, pos: Point, radius: float) -> None:
        self.geom("sphere", material, pos, (radius,))

    def egg(self, material: str, pos: Point, size: Point, yaw: float = 0.0) -> None:
        self.geom("ellipsoid", material, pos, size, yaw)

    def limb(self, material: str, start: Point, end: Point, radius: float) -> None:
        """A capsule from one point to another."""
        self._geoms.append(limb(material, start, end, radius, STILL))

    def wall(
        self,
        material: str,
        start: tuple[float, float],
        end: tuple[float, float],
        height: float,
        thick: float,
        openings: tuple[Opening, ...] = (),
    ) -> None:
        """An upright wall between two points on the ground, with openings; `thick` is half its thickness."""
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        yaw = float(np.arctan2(uy, ux))

        def piece(a: float, b: float, bottom: float, top: float) -> None:
            if b - a > 1e-3 and top - bottom > 1e-3:
                m = 0.5 * (a + b)
                centre = (start[0] + ux * m, start[1] + uy * m, 0.5 * (bottom + top))
                self.box(material, centre, (0.5 * (b - a), thick, 0.5 * (top - bottom)), yaw)

        at = 0.0
        for opening in sorted(openings, key=lambda o: o.middle):
            a, b = opening.middle - 0.5 * opening.width, opening.middle + 0.5 * opening.width
            piece(at, a, 0.0, height)
            piece(a, b, 0.0, opening.bottom)
            piece(a, b, opening.top, height)
            at = b
        piece(at, length, 0.0, height)

    def stairs(
        self, material: str, x: float, y: float, yaw: float, width: float, bottom: float, top: float, tread: float = 0.3
    ) -> float:
        """Steps that rise along `yaw` from their foot, and how far they reach; each is solid down to `bottom`."""
        count = max(1, round((top - bottom) / 0.17))
        rise, length = (top - bottom) / count, count * tread
        c, s = float(np.cos(yaw)), float(np.sin(yaw))
        for n in range(count):
            middle = 0.5 * (n * tread + length)
            size = 0.5 * (length - n * tread), 0.5 * width, 0.5 * rise
            self.box(material, (x + c * middle, y + s * middle, bottom + (n + 0.5) * rise), size, yaw)
        return length

    def ramp(
        self, material: str, x: float, y: float, yaw: float, width: float, bottom: float, top: float, length: float
    ) -> None:
        """A slope that rises along `yaw` from its foot, `length` metres on the level."""
        angle, thick = float(np.arctan2(top - bottom, length)), 0.12
        c, s, along = float(np.cos(yaw)), float(np.sin(yaw)), float(np.hypot(top - bottom, length))
        middle = 0.5 * length + thick * float(np.sin(angle))
        z = 0.5 * (bottom + top) - thick * float(np.cos(angle))
        self.box(material, (x + c * middle, y + s * middle, z), (0.5 * along, 0.5 * width, thick), yaw, -angle)

    def spot(self, name: str, x: float, y: float, radius: float, z: float = 0.0) -> None:
        """Name a place: what stands there and is walked round, or the free ground that one stands on."""
        if name in self.places:
            raise ValueError(f"expected places of different names, got {name!r} twice")
        self.places[name] = (x, y, z, radius)

    def lamp(self, position: Point, colour: str, strength: float, reach: float = 8.0, dusk: bool = False) -> None:
        self.lamps.append(Lamp(position, colour, strength, reach, dusk))

    def creature(self, name: str, mover: Mover, bodies: list[str]) -> None:
        self.names[mover.entity] = name
        self.movers.append(mover)
        self._bodies.extend(bodies)

    def take(self, x: float, y: float, radius: float) -> None:
        """Keep this circle of the ground for what stands there."""
        self._taken.append((x, y, radius))

    def free(self, x: float, y: float, radius: float) -> bool:
        return all(np.hypot(x - a, y - b) >= radius + r for a, b, r in self._taken)

    def place(self, rng: np.random.Generator, half: tuple[float, float], radius: float) -> tuple[float, float] | None:
        """A free circle within the rectangle of half sizes `half`, taken from now on; None if none was found."""
        for _ in range(60):
            x, y = rng.uniform(-half[0] + radius, half[0] - radius), rng.uniform(-half[1] + radius, half[1] - radius)
            if self.free(x, y, radius):
                self.take(x, y, radius)
                return float(x), float(y)
        return None

    def finish(
        self,
        kind: str,
        seed: int,
        sky: Sky,
        spawn: tuple[float, float, float],
        extent: tuple[float, float, float],
        title: str,
        ground: float | None = None,
        eye: float = EYE,
    ) -> Scene:
        """The scene, complete with the player. Where the ground is uneven, `ground` is its height at the start."""
        even = ground is None
        half = PLAYER_HALF if even else PLAYER_HALF + 0.5 * (CLEARANCE - STRIDE)  # as tall in either
        centre = (CLEARANCE if even else STRIDE) + PLAYER_RADIUS + half
        xml = _MJCF.format(
            name=f"{kind}-{seed}",
            step=1 / 96,
            materials="\n".join(f'    <material name="{name}"/>' for name in self.surfaces),
            geoms="\n".join(f"    {line}" for line in self._geoms),
            bodies="\n".join(f"    {line}" for line in self._bodies),
            x=f"{spawn[0]:.5g}",
            y=f"{spawn[1]:.5g}",
            centre=f"{centre:.5g}",
            radius=PLAYER_RADIUS,
            half=f"{half:.5g}",
            z=f"{ground or 0:.5g}",
            rise="" if even else _RISE,
            eye=eye,
            player=PLAYER,
        )
        lamps, movers, doorways = tuple(self.lamps), tuple(self.movers), tuple(self.doorways)
        return Scene(
            title, kind, seed, xml, self.surfaces, sky, lamps, movers, self.names, spawn, extent, doorways,
            self.places, tuple(self.ways), tuple(self.words),
        )  # fmt: skip


def turned(yaw: float, tilt: float = 0.0) -> tuple[float, float, float, float]:
    """The quaternion (w, x, y, z) of a yaw to the left, then a lean about the turned y axis."""
    a, b = 0.5 * yaw, 0.5 * tilt
    return (
        float(np.cos(a) * np.cos(b)),
        float(-np.sin(a) * np.sin(b)),
        float(np.cos(a) * np.sin(b)),
        float(np.sin(a) * np.cos(b)),
    )


def geom(
    kind: str, material: str, pos: Point, size: tuple[float, ...], quat: tuple[float, float, float, float], group: int
) -> str:
    """One line of MJCF. What moves by itself does not push: creatures pass through the player."""
    ghost = ' contype="0" conaffinity="0"' if group == MOVING else ""
    return (
        f'<geom type="{kind}" material="{material}" pos="{_numbers(pos)}" size="{_numbers(size)}" '
        f'quat="{_numbers(quat)}" group="{group}"{ghost}/>'
    )


def limb(material: str, start: Point, end: Point, radius: float, group: int = MOVING) -> str:
    """A capsule from one point to another, as a line of MJCF."""
    ghost = ' contype="0" conaffinity="0"' if group == MOVING else ""
    return (
        f'<geom type="capsule" material="{material}" fromto="{_numbers((*start, *end))}" size="{radius:.5g}" '
        f'group="{group}"{ghost}/>'
    )
