"""The painter: what a camera sees of a scene, with depth and entity map.

    painter = Painter(scene, model)
    picture = painter.paint(data, pose, intrinsics)

Shapes: H height, W width, G drawn geoms, B spheres.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Intrinsics, check_pose, rays
from perdure.data.painting.baking import COLUMN, Light, bake, bake_roof, cast, lamp_share
from perdure.data.painting.scenery import DEFAULT, Key, Scenery, mixed, sky_at, surface_table
from perdure.data.painting.shading import FEW_COLUMNS, SOFT_COLUMNS, shade
from perdure.data.painting.spectacles import LOOKS, glow, seen
from perdure.data.painting.spheres import Spheres
from perdure.data.painting.tracer import (
    BOUND,
    BOX,
    CAPSULE,
    CYLINDER,
    ELLIPSOID,
    ENTITY,
    GEOM_COLUMNS,
    KIND,
    OFFSET,
    PLANE,
    POS,
    ROT,
    SIZE,
    SPHERE,
    SURFACE,
    sort_into_tiles,
    trace,
)
from perdure.data.painting.weather import fall, wetness, whiteness, with_flash
from perdure.data.scenes.scene import MOVING, PLAYER, TEXTURES, Scene, Surface, rgb
from perdure.memory.styles import styled
from perdure.world.mechanism import Mechanism

STATIC, SPECTACLE, SKY = 0, 254, 255
"""Values of the entity map: what stands still, what moves and is nobody (birds, fish, flames), and the sky. Everyone
else is 1 + the entity's id."""

NIGHTLY = 1.2
"""How much brighter lamps out of doors are at night."""

KEPT = 8
"""Lights of different hours and weathers that a painter keeps."""

DRAWN = (PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX)


def _surface_row(surface: Surface) -> NDArray[np.float64]:
    """(14,) a surface as the kernels read it."""
    colours = np.concatenate([rgb(colour) for colour in surface.colours])
    head = [TEXTURES.index(surface.texture), surface.scale, surface.seed, surface.gloss, surface.glow]
    return np.concatenate([np.array(head, np.float64), colours])


LOOKED = np.stack([_surface_row(look) for look in LOOKS.values()])
"""Surfaces of spectacles, which come after a scene's own."""


@dataclass(frozen=True, eq=False)
class Picture:
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.float32]  # (H, W) metres along the camera's z; the sky at FAR
    entity: NDArray[np.uint8]  # (H, W) STATIC, SKY, or 1 + entity id


@dataclass(frozen=True, eq=False)
class Worn:
    """How a body looks, where that is finer than what physics collides: shapes in the body's frame."""

    body: str
    kinds: NDArray[np.int64]  # (N,) MuJoCo's geom types
    sizes: NDArray[np.float64]  # (N, 3)
    pos: NDArray[np.float64]  # (N, 3)
    rot: NDArray[np.float64]  # (N, 3, 3)
    surfaces: tuple[Surface, ...]  # N


class Painter:
    """Draws one scene. It keeps what does not change: light that was baked, and scratch images."""

    def __init__(self, scene: Scene, model: mujoco.MjModel) -> None:
        for mover in scene.movers:
            if not 0 <= mover.entity < SPECTACLE - 1:
                raise ValueError(f"expected entity ids in 0..{SPECTACLE - 2} to fit the entity map, got {mover.entity}")
        self._scene = scene
        entity = np.zeros(model.nbody, np.uint8)
        for mover in scene.movers:
            for body in (mover.body, *(part.body for part in mover.parts)):
                entity[model.body_rootid == model.body(body).id] = 1 + mover.entity
        moves = self._bind(model, entity, scene.surfaces)
        self._still = self._geoms[~moves].copy()
        self._lights: dict[Key, Light] = {}
        self._more: dict[tuple[float, float, float], NDArray[np.float32]] = {}
        self._roof: tuple[NDArray[np.float32], NDArray[np.float64], bool] | None = None
        every = sorted(scene.lamps, key=lambda lamp: lamp.dusk)
        where = np.array([[*lamp.position, 0.0, 0.0, 0.0, lamp.reach] for lamp in every], np.float64).reshape(-1, 7)
        self._cast = cast(self._still, where, scene.extent)
        self._light = self._baked(DEFAULT)
        self._few = np.empty((8, FEW_COLUMNS))
        self._scratch: dict[tuple[int, int], tuple[NDArray, NDArray, NDArray, NDArray]] = {}

    def _baked(self, key: Key) -> Light:
        """The light of an hour and a weather; kept, and made anew when many others were."""
        if key not in self._lights:
            scene = self._scene
            air = sky_at(scene.sky, key, key != DEFAULT and self._roofs()[2])
            by_day = key == DEFAULT
            # Those that are lit at dusk come last, and are not there at all by day.
            lamps = [lamp for lamp in scene.lamps if not lamp.dusk]
            lamps += [] if by_day else [lamp for lamp in scene.lamps if lamp.dusk]
            # Out of doors a lamp that is weak by day is bright to the eye at night.
            bright = 1.0 if by_day or self._roofs()[2] else 1.0 + NIGHTLY * air.dark
            strength = [lamp.strength * bright * (air.dark if lamp.dusk else 1.0) for lamp in lamps]
            rows = [[*lamp.position, *(rgb(lamp.colour) * s), lamp.reach] for lamp, s in zip(lamps, strength)]
            surfaces = self._base if by_day else surface_table(self._base_looks, self._base, air.dark, ())
            table = np.array(rows, np.float64).reshape(-1, 7)
            while len(self._lights) >= KEPT:  # the oldest but the first, which is that of noon
                del self._lights[[*self._lights][1]]
            parts = air.values, table, scene.extent, self._cast, air.fill, air.ground
            self._lights[key] = bake(self._still, surfaces, *parts)
        return self._lights[key]

    def _roofs(self) -> tuple[NDArray[np.float32], NDArray[np.float64], bool]:
        if self._roof is None:
            self._roof = bake_roof(self._still, self._scene.extent)
        return self._roof

    def onto(
        self,
        mechanism: Mechanism,
        surfaces: Mapping[str, Surface] | None = None,
        worn: Mapping[int, Worn] | None = None,
    ) -> "Painter":
        """The same scene with all that there is now: what was put into it is drawn, what was taken out is not.

        `surfaces` are those of materials that the scene does not know, `worn` says how entities look that physics
        knows as plain shapes. No light is baked again, for what moves takes no part in it.
        """
        self._roofs()  # baked once for all
        other, compiled = copy.copy(self), mechanism.compiled
        model = compiled.model
        moves = (model.body_weldid != 0) | (model.body_mocapid >= 0)
        owners = np.where(moves, compiled.owners, -1)
        if owners.max(initial=0) >= SPECTACLE - 1:
            raise ValueError(f"expected entity ids in 0..{SPECTACLE - 2} to fit the entity map, got {owners.max()}")
        other._bind(model, (1 + owners).astype(np.uint8), {**self._scene.surfaces, **(surfaces or {})}, worn or {})
        return other

    def _bind(
        self,
        model: mujoco.MjModel,
        entity: NDArray[np.uint8],
        surfaces: Mapping[str, Surface],
        worn: Mapping[int, Worn] = MappingProxyType({}),
    ) -> NDArray[np.bool_]:
        """Make the tables of what is drawn. `entity` (model.nbody,) is the value of each body in the entity map.
        Returns which geoms move."""
        self._lasting: tuple[Any, Light, NDArray] | None = None  # what holds in a scenery, and what came of it
        looks = list(surfaces.values())
        names = list(surfaces)
        dressed = [model.body(wear.body).id for wear in worn.values()]
        self._drawn = np.flatnonzero((model.geom_group != PLAYER) & ~np.isin(model.geom_bodyid, dressed))
        unknown = set(model.geom_type[self._drawn]) - set(DRAWN)
        if unknown:
            kinds = ", ".join(mujoco.mjtGeom(int(kind)).name for kind in sorted(unknown))
            raise ValueError(f"expected planes, spheres, capsules, ellipsoids, cylinders and boxes, got {kinds}")
        rows = [_material(model, int(geom), names) for geom in self._drawn]
        for wear in worn.values():
            for look in wear.surfaces:
                rows.append(len(looks))
                looks.append(replace(look, anchored=True))
        self._looks = tuple(looks)
        self._surfaces = np.stack([_surface_row(look) for look in looks])
        if not worn:
            self._base_looks, self._base = self._looks, self._surfaces
        self._worn_body = np.repeat(np.array(dressed, np.int64), [len(wear.kinds) for wear in worn.values()])
        self._worn_pos = np.concatenate([np.zeros((0, 3)), *(wear.pos for wear in worn.values())])
        self._worn_rot = np.concatenate([np.zeros((0, 3, 3)), *(wear.rot for wear in worn.values())])
        bodies = np.concatenate([model.geom_bodyid[self._drawn], self._worn_body])
        groups = np.concatenate([model.geom_group[self._drawn], np.full(len(self._worn_body), MOVING)])

        # Where everything stands in the model's own rest pose: right for all that never moves.
        rest = mujoco.MjData(model)
        mujoco.mj_kinematics(model, rest)
        anchored = np.array([looks[row].anchored for row in rows])
        moves = (model.body_rootid[bodies] != 0) | (groups == MOVING)
        self._geoms = np.zeros((len(rows), GEOM_COLUMNS))
        self._geoms[:, KIND] = np.concatenate([model.geom_type[self._drawn], *(wear.kinds for wear in worn.values())])
        sizes = np.concatenate([model.geom_size[self._drawn], *(wear.sizes for wear in worn.values())])
        self._geoms[:, SIZE : SIZE + 3] = sizes
        self._geoms[:, SURFACE] = rows
        bound = np.concatenate([model.geom_rbound[self._drawn], np.linalg.norm(sizes[len(self._drawn) :], axis=1)])
        self._geoms[:, BOUND] = np.where(bound > 0, bound, 1e6)  # MuJoCo gives 0 for planes
        self._geoms[:, ENTITY] = entity[bodies]
        pos, rot = self._place(rest)
        offset = np.einsum("gji,gj->gi", rot, pos)
        self._geoms[:, OFFSET : OFFSET + 3] = np.where((anchored | moves)[:, None], 0.0, offset)
        self._spheres = Spheres(self._geoms, len(self._drawn))
        return moves

    def paint(
        self,
        data: mujoco.MjData,
        pose: NDArray[np.float64],
        intrinsics: Intrinsics,
        scenery: Scenery | None = None,
        hide: Collection[int] = (),
        into: Picture | None = None,
    ) -> Picture:
        """What a camera at `pose` (4, 4, camera to world) sees. `data` must be up to date (`mj_kinematics`).

        `scenery` is the hour, weather and so on; noon of a clear day unless given. Entities to `hide` are not drawn,
        yet cast their shadows. With `into` it is drawn over that picture.
        """
        check_pose(pose)
        pose = np.ascontiguousarray(pose, np.float64)
        height, width = intrinsics.height, intrinsics.width
        self._place(data)
        fx, fy = intrinsics.fx, intrinsics.fy
        geoms = self._geoms
        if hide:
            there = np.ones(len(geoms), np.bool_)
            for entity in hide:
                there &= geoms[:, ENTITY] != 1 + entity
            geoms = geoms[there]
        light, surfaces, air, roof = self._scenery(scenery)
        shows = seen(scenery.spectacles, scenery.tick) if scenery is not None and scenery.spectacles else None
        if shows is not None:
            more = shows.geoms.copy()
            more[:, SURFACE] += len(surfaces)
            geoms, surfaces = np.concatenate([geoms, more]), np.concatenate([surfaces, LOOKED])
            light = self._with_lamps(light, shows.lamps)
        count, lists = sort_into_tiles(geoms, pose, fx, fy, intrinsics.cx, intrinsics.cy, width, height)
        shape = (height, width)
        if shape not in self._scratch:
            self._scratch[shape] = (
                np.empty(shape, np.int32), np.empty(shape, np.float64), np.empty(shape, np.int32),
                np.empty((height // 2 + 2, width // 2 + 2, SOFT_COLUMNS)),
            )  # fmt: skip
        geom, far, face, soft = self._scratch[shape]
        trace(geoms, count, lists, pose, rays(intrinsics), geom, far, face)
        if into is None:
            into = Picture(np.empty((*shape, 3), np.uint8), np.empty(shape, np.float32), np.empty(shape, np.uint8))
        colour, depth, entity = into.rgb, into.depth, into.entity
        if colour.shape != (*shape, 3) or depth.shape != shape or entity.shape != shape:
            raise ValueError(f"expected a picture of the camera's size {shape} to draw into, got {colour.shape}")
        shade(
            geoms, count, lists, surfaces, *light, *self._spheres.placed(self._geoms), air, roof,
            pose, rays(intrinsics), fx, fy, FAR, geom, far, face, self._few, soft, colour, depth, entity,
        )  # fmt: skip
        if shows is not None:
            glow(shows.sparks, pose, fx, fy, intrinsics.cx, intrinsics.cy, depth, colour)
        if scenery is not None:
            fall(scenery, self._roofs(), pose, intrinsics, depth, colour)
            styled(scenery.held("style"), colour, depth, entity)
        return into

    def _scenery(self, scenery: Scenery | None) -> tuple[Light, NDArray, NDArray | None, NDArray | None]:
        """The light, the surfaces, and what the weather does to them: None and None in fair weather."""
        if scenery is None:
            return self._light, self._surfaces, None, None
        keys = scenery.keys()
        lasts = tuple(keys.items()), tuple(scenery.held("season"))
        if self._lasting is None or self._lasting[0] != lasts:
            self._lasting = lasts, *self._mixed(keys, scenery.held("season"))
        _, light, surfaces = self._lasting
        light = with_flash(light, scenery)
        wet, white = wetness(scenery), whiteness(scenery)
        roof, corner, indoor = self._roofs()
        if indoor or wet == white == 0.0:
            return light, surfaces, None, None
        return light, surfaces, np.array([wet, white, scenery.seconds, *corner, COLUMN]), roof

    def _mixed(self, keys: Mapping[Key, float], seasons: Sequence[tuple[str | float, float]]) -> tuple[Light, NDArray]:
        """The light and the surfaces between hours, weathers and seasons."""
        lights = [(self._baked(key), key, weight) for key, weight in keys.items()]
        light = lights[0][0] if len(lights) == 1 else mixed(lights)
        dark = sum(sky_at(self._scene.sky, key).dark * weight for key, weight in keys.items())
        return light, surface_table(self._looks, self._surfaces, dark, seasons)

    def _with_lamps(self, light: Light, lamps: NDArray[np.float64]) -> Light:
        """Lit by more lamps. What is seen of each from where is baked once for its place."""
        lit = lamps[lamps[:, 3:6].max(1, initial=0.0) > 1e-4]
        if not len(lit):
            return light
        shares = []
        for lamp in lit:
            place = float(lamp[0]), float(lamp[1]), float(lamp[2])
            if place not in self._more:
                while len(self._more) >= KEPT:
                    del self._more[next(iter(self._more))]
                self._more[place] = lamp_share(self._still, light.scene, lamp, light.volume.shape[:3])
            shares.append(self._more[place][..., None])
        return light._replace(
            lamps=np.concatenate([light.lamps, lit]), volume=np.concatenate([light.volume, *shares], axis=3)
        )

    def _place(self, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take over where the drawn geoms are: (G, 3) and (G, 3, 3)."""
        pos, rot = data.geom_xpos[self._drawn], data.geom_xmat[self._drawn].reshape(-1, 3, 3)
        if len(self._worn_body):
            turn = data.xmat[self._worn_body].reshape(-1, 3, 3)
            worn = data.xpos[self._worn_body] + np.einsum("gij,gj->gi", turn, self._worn_pos)
            pos, rot = np.concatenate([pos, worn]), np.concatenate([rot, turn @ self._worn_rot])
        self._geoms[:, POS : POS + 3], self._geoms[:, ROT : ROT + 9] = pos, rot.reshape(-1, 9)
        return pos, rot


def _material(model: mujoco.MjModel, geom: int, names: list[str]) -> int:
    """The row of a geom's surface."""
    material = int(model.geom_matid[geom])
    name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material) if material >= 0 else None
    if name not in names:
        label = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, geom) or f"number {geom}"
        raise ValueError(f"expected geom {label} to have a material out of the scene's surfaces, got {name!r}")
    return names.index(name)
