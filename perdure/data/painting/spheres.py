"""What moves as spheres that cast soft shadows.

Shapes: G geoms, B spheres, K creatures.
"""

import numpy as np
from numpy.typing import NDArray

from perdure.data.painting.tracer import BOUND, CAPSULE, CYLINDER, ENTITY, KIND, POS, ROT, SIZE, SPHERE
from perdure.kernels import kernel
from perdure.world.kinematics import BURIED

CASTING = 6
"""Shapes of something worn that cast its shadow."""

MANY, ENOUGH = 40, 24
"""A body of more spheres than so many darkens what is about it by its largest only, as much as all of them."""


class Spheres:
    """Moving geoms as spheres: up to three along a geom's longest axis."""

    def __init__(self, geoms: NDArray[np.float64], plain: int) -> None:
        """The first `plain` geoms all cast; of finer ones, those of an entity that matter most."""
        at, offsets, radii = list[int](), list[NDArray[np.float64]](), list[float]()
        owners: list[tuple[float, int, int, int, float]] = []
        for owner in sorted(set(geoms[:, ENTITY].tolist()) - {0.0}):
            mine, first = np.flatnonzero(geoms[:, ENTITY] == owner), len(at)
            finer = mine[mine >= plain]
            largest = finer[np.argsort(-geoms[finer, BOUND], kind="stable")[:CASTING]]
            for g in (*mine[mine < plain], *largest):
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
                    at.append(int(g))
                    offsets.append(offset)
                    radii.append(radius)
            all_of_it, end, strength = slice(first, len(at)), len(at), 1.0
            if len(at) - first > MANY:
                order = np.argsort([-radius for radius in radii[all_of_it]], kind="stable")
                for some in (at, offsets, radii):
                    some[all_of_it] = [some[all_of_it][n] for n in order]
                areas, end = np.square(radii[all_of_it]), first + ENOUGH
                strength = float(areas.sum() / areas[:ENOUGH].sum())
            owners.append((owner, first, len(at), end, strength))
        self._geom = np.array(at, np.int64)
        self._offset = np.array(offsets, np.float64).reshape(-1, 3)
        self._radius = np.array(radii, np.float64)
        self._owners = np.array(owners, np.float64).reshape(-1, 5)

    def placed(self, geoms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The spheres (B, 4): centre, radius; and the creatures (K, 9): a sphere around each, its value in the
        entity map, its first sphere and the one after its last, the one after the last that darkens what is about it,
        and how strongly those do. `geoms` (G, GEOM_COLUMNS) are as they stand now."""
        spheres, creatures = np.empty((len(self._geom), 4)), np.empty((len(self._owners), 9))
        _place(geoms, self._geom, self._offset, self._radius, self._owners, spheres, creatures)
        return spheres, creatures


@kernel
def _place(geoms, geom, offset, radius, owners, spheres, creatures):
    for b in range(len(geom)):
        g = geom[b]
        for q in range(3):
            turned = geoms[g, ROT + 3 * q] * offset[b, 0]
            turned += geoms[g, ROT + 3 * q + 1] * offset[b, 1]
            turned += geoms[g, ROT + 3 * q + 2] * offset[b, 2]
            spheres[b, q] = geoms[g, POS + q] + turned
        spheres[b, 3] = radius[b]
    for k in range(len(owners)):
        first, last = int(owners[k, 1]), int(owners[k, 2])
        x, y, z, many = 0.0, 0.0, 0.0, 0
        for b in range(first, last):
            if spheres[b, 2] > 0.5 * BURIED:  # beads that show nothing are far below all else
                x, y, z, many = x + spheres[b, 0], y + spheres[b, 1], z + spheres[b, 2], many + 1
        x, y, z, reach = x / many, y / many, z / many, 0.0
        for b in range(first, last):
            if spheres[b, 2] > 0.5 * BURIED:
                dx, dy, dz = spheres[b, 0] - x, spheres[b, 1] - y, spheres[b, 2] - z
                reach = max(reach, np.sqrt(dx * dx + dy * dy + dz * dz) + spheres[b, 3])
        creatures[k, 0], creatures[k, 1], creatures[k, 2], creatures[k, 3] = x, y, z, reach
        for q in range(5):
            creatures[k, 4 + q] = owners[k, q]
