"""The painter: what a camera sees of a scene, with depth and entity map.

    painter = Painter(scene, model)
    picture = painter.paint(data, pose, intrinsics)

Shapes: H height, W width, G drawn geoms, B spheres.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, Intrinsics, check_pose, rays
from perdure.data.painting.baking import bake
from perdure.data.painting.shading import (
    CLOUDS,
    EXPOSURE,
    FOG,
    HORIZON,
    SCENE_VALUES,
    SKY_SEED,
    SUN,
    SUNLIGHT,
    ZENITH,
    shade,
)
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
from perdure.data.scenes.scene import MOVING, PLAYER, TEXTURES, Scene, Sky, Surface, rgb

STATIC, SKY = 0, 255
"""Values of the entity map; a creature is 1 + its entity's id."""

DRAWN = (PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX)


@dataclass(frozen=True, eq=False)
class Picture:
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.float32]  # (H, W) metres along the camera's z; the sky at FAR
    entity: NDArray[np.uint8]  # (H, W) STATIC, SKY, or 1 + entity id


class Painter:
    """Draws one scene. It keeps what does not change: light that was baked, and scratch images."""

    def __init__(self, scene: Scene, model: mujoco.MjModel) -> None:
        names = list(scene.surfaces)
        self._surfaces = np.stack([_surface_row(scene.surfaces[name]) for name in names])
        self._drawn = np.flatnonzero(model.geom_group != PLAYER)
        unknown = set(model.geom_type[self._drawn]) - set(DRAWN)
        if unknown:
            kinds = ", ".join(mujoco.mjtGeom(int(kind)).name for kind in sorted(unknown))
            raise ValueError(f"expected planes, spheres, capsules, ellipsoids, cylinders and boxes, got {kinds}")
        rows = [_material(model, int(geom), names) for geom in self._drawn]
        roots = model.body_rootid[model.geom_bodyid[self._drawn]]
        entity = np.zeros(len(self._drawn), np.uint8)
        for mover in scene.movers:
            if not 0 <= mover.entity < SKY - 1:
                raise ValueError(f"expected entity ids in 0..{SKY - 2} to fit the entity map, got {mover.entity}")
            for body in mover.bodies:
                entity[roots == model.body(body).id] = 1 + mover.entity

        # Where everything stands in the model's own rest pose: right for all that never moves.
        rest = mujoco.MjData(model)
        mujoco.mj_kinematics(model, rest)
        anchored = np.array([scene.surfaces[names[row]].anchored for row in rows])
        moves = (roots != 0) | (model.geom_group[self._drawn] == MOVING)
        self._geoms = np.zeros((len(self._drawn), GEOM_COLUMNS))
        self._geoms[:, KIND] = model.geom_type[self._drawn]
        self._geoms[:, SIZE : SIZE + 3] = model.geom_size[self._drawn]
        self._geoms[:, SURFACE] = rows
        bound = model.geom_rbound[self._drawn]
        self._geoms[:, BOUND] = np.where(bound > 0, bound, 1e6)  # MuJoCo gives 0 for planes
        self._geoms[:, ENTITY] = entity
        pos, rot = self._place(rest)
        offset = np.einsum("gji,gj->gi", rot, pos)
        self._geoms[:, OFFSET : OFFSET + 3] = np.where((anchored | moves)[:, None], 0.0, offset)
        lamps = [[*lamp.position, *(rgb(lamp.colour) * lamp.strength), lamp.reach] for lamp in scene.lamps]
        self._light = bake(
            self._geoms[~moves],
            self._surfaces,
            _sky_values(scene.sky),
            np.array(lamps, np.float64).reshape(-1, 7),
            scene.extent,
            scene.sky.fill,
            rgb(scene.sky.ground),
        )
        self._work = np.empty(self._light.volume.shape[3])
        self._spheres = _Spheres(self._geoms)
        self._scratch: dict[tuple[int, int], tuple[NDArray, NDArray, NDArray]] = {}

    def paint(self, data: mujoco.MjData, pose: NDArray[np.float64], intrinsics: Intrinsics) -> Picture:
        """What a camera at `pose` (4, 4, camera to world) sees. `data` must be up to date (`mj_kinematics`)."""
        check_pose(pose)
        pose = np.ascontiguousarray(pose, np.float64)
        height, width = intrinsics.height, intrinsics.width
        pos, rot = self._place(data)
        fx, fy = intrinsics.fx, intrinsics.fy
        count, lists = sort_into_tiles(self._geoms, pose, fx, fy, intrinsics.cx, intrinsics.cy, width, height)
        shape = (height, width)
        if shape not in self._scratch:
            self._scratch[shape] = np.empty(shape, np.int32), np.empty(shape, np.float64), np.empty(shape, np.int32)
        geom, far, face = self._scratch[shape]
        trace(self._geoms, count, lists, pose, rays(intrinsics), geom, far, face)
        colour = np.empty((height, width, 3), np.uint8)
        depth, entity = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        shade(
            self._geoms, count, lists, self._surfaces, *self._light, *self._spheres.placed(pos, rot),
            pose, rays(intrinsics), fx, fy, FAR, geom, far, face, colour, depth, entity, self._work,
        )  # fmt: skip
        return Picture(colour, depth, entity)

    def _place(self, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take over where the drawn geoms are: (G, 3) and (G, 3, 3)."""
        pos, rot = data.geom_xpos[self._drawn], data.geom_xmat[self._drawn]
        self._geoms[:, POS : POS + 3], self._geoms[:, ROT : ROT + 9] = pos, rot
        return pos, rot.reshape(-1, 3, 3)


class _Spheres:
    """Moving geoms as spheres that cast soft shadows: up to three along a geom's longest axis."""

    def __init__(self, geoms: NDArray[np.float64]) -> None:
        at, offsets, radii, first = [], [], [], [0]
        owners = sorted(set(geoms[:, ENTITY].tolist()) - {STATIC})
        for owner in owners:
            for g in np.flatnonzero(geoms[:, ENTITY] == owner):
                kind, half = geoms[g, KIND], geoms[g, SIZE : SIZE + 3].copy()
                if kind == SPHERE:
                    half[:] = half[0]
                elif kind in (CAPSULE, CYLINDER):
                    half[:] = half[0], half[0], half[1] + (half[0] if kind == CAPSULE else 0.0)
                small, middle, long = np.argsort(half)
                radius = float(np.sqrt(half[small] * half[middle]))
                number = int(np.clip(np.round(half[long] / radius), 1, 3))
                for share in np.linspace(-1, 1, number) if number > 1 else [0.0]:
                    offset = np.zeros(3)
                    offset[long] = share * max(half[long] - radius, 0.0)
                    at.append(g)
                    offsets.append(offset)
                    radii.append(radius)
            first.append(len(at))
        self._geom = np.array(at, np.int64)
        self._offset = np.array(offsets, np.float64).reshape(-1, 3)
        self._radius = np.array(radii, np.float64)
        self._first = first
        self._owners = owners

    def placed(
        self, pos: NDArray[np.float64], rot: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The spheres (B, 4): centre, radius; and the creatures (K, 7): a sphere around each, its value in the
        entity map, its first sphere and the one after its last. The geoms are at `pos` (G, 3), `rot` (G, 3, 3)."""
        spheres = np.empty((len(self._geom), 4))
        spheres[:, :3] = pos[self._geom] + np.einsum("bij,bj->bi", rot[self._geom], self._offset)
        spheres[:, 3] = self._radius
        creatures = np.empty((len(self._owners), 7))
        for k, owner in enumerate(self._owners):
            mine = spheres[self._first[k] : self._first[k + 1]]
            middle = mine[:, :3].mean(0)
            reach = (np.linalg.norm(mine[:, :3] - middle, axis=1) + mine[:, 3]).max()
            creatures[k] = *middle, reach, owner, self._first[k], self._first[k + 1]
        return spheres, creatures


def _sky_values(sky: Sky) -> NDArray[np.float64]:
    """The vector of what holds for the whole scene; baking adds the rest."""
    values = np.zeros(SCENE_VALUES)
    values[SUN : SUN + 3] = sky.sun()
    values[SUNLIGHT : SUNLIGHT + 3] = rgb(sky.sun_colour) * sky.sun_strength
    values[ZENITH : ZENITH + 3], values[HORIZON : HORIZON + 3] = rgb(sky.zenith), rgb(sky.horizon)
    values[FOG], values[EXPOSURE], values[CLOUDS], values[SKY_SEED] = sky.fog, sky.exposure, sky.clouds, sky.seed
    return values


def _surface_row(surface: Surface) -> NDArray[np.float64]:
    """(14,) a surface as the kernels read it."""
    colours = np.concatenate([rgb(colour) for colour in surface.colours])
    head = [TEXTURES.index(surface.texture), surface.scale, surface.seed, surface.gloss, surface.glow]
    return np.concatenate([np.array(head, np.float64), colours])


def _material(model: mujoco.MjModel, geom: int, names: list[str]) -> int:
    """The row of a geom's surface."""
    material = int(model.geom_matid[geom])
    name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material) if material >= 0 else None
    if name not in names:
        label = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, geom) or f"number {geom}"
        raise ValueError(f"expected geom {label} to have a material out of the scene's surfaces, got {name!r}")
    return names.index(name)
