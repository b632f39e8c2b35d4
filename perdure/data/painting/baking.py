"""Light that stands still, prepared once for a scene: the sun's shadow map, and a coarse volume of what
comes from all around (sky, and one bounce off lit surfaces) and of how much of each lamp is seen.

Kept in the world's own space, never in the image's, so that a place looks the same from wherever it is seen.

Shapes: G geoms, L lamps, D directions, X Y Z cells of the volume.
"""

from typing import NamedTuple

import numpy as np

from perdure.camera import Intrinsics, rays
from perdure.data.painting.lighting import sunlit
from perdure.data.painting.skies import sky
from perdure.data.painting.tables import (
    AROUND,
    CELL,
    COLOUR,
    CORNER,
    ENCODE_STEPS,
    GLOW,
    LAMP_COLOUR,
    LAMP_REACH,
    LAMPS,
    OPEN,
    SCENE_VALUES,
    SUN,
    SUN_FOCAL,
    SUN_POSE,
    SUNLIGHT,
)
from perdure.data.painting.tracer import (
    BOUND,
    KIND,
    POS,
    SIZE,
    SURFACE,
    inside,
    into,
    meet,
    nearest,
    normal_of,
    out_of,
    sort_into_tiles,
    trace,
)
from perdure.kernels import kernel, kernel_that_allocates

SHADOW_SIDE = 768
SUN_DISTANCE = 150.0
CELL_SIZE = 0.4  # metres
DIRECTIONS = 32
COLUMN = 0.25  # metres between the columns in which roofs are known
HOUSED = 0.5  # share of a scene under roofs from which it is indoors, skylights and all


@kernel
def _bake_lamps(geoms, scene, lamps, volume):
    """Which cells are in the open, and the share of each lamp that they see: 1, or 0 behind something."""
    for i in range(volume.shape[0]):
        for j in range(volume.shape[1]):
            for k in range(volume.shape[2]):
                x = scene[CORNER] + i * scene[CELL]
                y = scene[CORNER + 1] + j * scene[CELL]
                z = scene[CORNER + 2] + k * scene[CELL]
                if inside(geoms, x, y, z):
                    continue
                volume[i, j, k, OPEN] = 1.0
                for n in range(lamps.shape[0]):
                    dx, dy, dz = lamps[n, 0] - x, lamps[n, 1] - y, lamps[n, 2] - z
                    distance = np.sqrt(dx * dx + dy * dy + dz * dz)
                    if distance < lamps[n, LAMP_REACH] + 1.0:
                        # Stop short of the lamp, which hangs in a globe of its own.
                        reach = 1.0 - min(0.35 / distance, 1.0)
                        if nearest(geoms, x, y, z, dx, dy, dz, reach)[0] < 0:
                            volume[i, j, k, LAMPS + n] = 1.0


@kernel
def _cast_around(geoms, scene, volume, directions, off, hit, far):
    """What each open cell sees in each direction, and how far off. `off` (G, 5) is scratch: from the cell to a geom,
    the square of that less the square of its bound, and how near it can be at most."""
    for i in range(volume.shape[0]):
        for j in range(volume.shape[1]):
            for k in range(volume.shape[2]):
                if volume[i, j, k, OPEN] == 0.0:
                    continue
                x = scene[CORNER] + i * scene[CELL]
                y = scene[CORNER + 1] + j * scene[CELL]
                z = scene[CORNER + 2] + k * scene[CELL]
                for g in range(geoms.shape[0]):
                    ex, ey, ez = geoms[g, POS] - x, geoms[g, POS + 1] - y, geoms[g, POS + 2] - z
                    square = ex * ex + ey * ey + ez * ez
                    off[g, 0], off[g, 1], off[g, 2] = ex, ey, ez
                    off[g, 3] = square - geoms[g, BOUND] ** 2
                    off[g, 4] = np.sqrt(square) - geoms[g, BOUND] - 1e-3
                for n in range(directions.shape[0]):
                    dx, dy, dz = directions[n, 0], directions[n, 1], directions[n, 2]
                    square, best, found = dx * dx + dy * dy + dz * dz, 60.0, -1
                    for g in range(geoms.shape[0]):
                        if off[g, 4] > best:
                            continue
                        along = off[g, 0] * dx + off[g, 1] * dy + off[g, 2] * dz
                        if off[g, 3] * square > along * along:
                            continue
                        ox, oy, oz = into(geoms, g, -off[g, 0], -off[g, 1], -off[g, 2])
                        lx, ly, lz = into(geoms, g, dx, dy, dz)
                        t = meet(
                            int(geoms[g, KIND]), geoms[g, SIZE], geoms[g, SIZE + 1], geoms[g, SIZE + 2],
                            ox, oy, oz, lx, ly, lz,
                        )  # fmt: skip
                        if t < best:
                            best, found = t, g
                    hit[i, j, k, n], far[i, j, k, n] = found, best


@kernel_that_allocates
def _bake_around(geoms, surfaces, scene, lamps, shadow, spans, volume, directions, hit, far, fill, ground):
    """Light from all around each open cell: sky where a ray leaves, one bounce where it does not."""
    count = directions.shape[0]
    total, lamplight, skies = np.empty(3), np.empty(3), np.empty((count, 3))
    for n in range(count):
        skies[n, 0], skies[n, 1], skies[n, 2] = sky(scene, directions[n, 0], directions[n, 1], directions[n, 2])
    albedo = np.empty((surfaces.shape[0], 3))
    for row in range(surfaces.shape[0]):
        for q in range(3):
            albedo[row, q] = 0.5 * surfaces[row, COLOUR + q] + 0.4 * surfaces[row, COLOUR + 3 + q]
            albedo[row, q] += 0.1 * surfaces[row, COLOUR + 6 + q]
    for i in range(volume.shape[0]):
        for j in range(volume.shape[1]):
            for k in range(volume.shape[2]):
                if volume[i, j, k, OPEN] == 0.0:
                    continue
                x = scene[CORNER] + i * scene[CELL]
                y = scene[CORNER + 1] + j * scene[CELL]
                z = scene[CORNER + 2] + k * scene[CELL]
                total[:] = 0.0
                for n in range(count):
                    dx, dy, dz = directions[n, 0], directions[n, 1], directions[n, 2]
                    g, t = hit[i, j, k, n], far[i, j, k, n]
                    if g < 0:
                        if dz > 0.0:
                            for q in range(3):
                                total[q] += fill * min(skies[n, q], 1.5)
                        else:
                            for q in range(3):
                                total[q] += fill * ground[q]
                        continue
                    px, py, pz = x + t * dx, y + t * dy, z + t * dz
                    lx, ly, lz = into(geoms, g, px - geoms[g, POS], py - geoms[g, POS + 1], pz - geoms[g, POS + 2])
                    a, b, c, _ = normal_of(
                        int(geoms[g, KIND]), geoms[g, SIZE], geoms[g, SIZE + 1], geoms[g, SIZE + 2], lx, ly, lz
                    )
                    mx, my, mz = out_of(geoms, g, a, b, c)
                    facing = max(mx * scene[SUN] + my * scene[SUN + 1] + mz * scene[SUN + 2], 0.0)
                    if facing > 0.0:
                        facing *= sunlit(scene, shadow, spans, px + 0.05 * mx, py + 0.05 * my, pz + 0.05 * mz)
                    lamplight[:] = 0.0
                    for m in range(lamps.shape[0]):
                        if volume[i, j, k, LAMPS + m] == 0.0:
                            continue
                        lx, ly, lz = lamps[m, 0] - px, lamps[m, 1] - py, lamps[m, 2] - pz
                        square, reach = lx * lx + ly * ly + lz * lz, lamps[m, LAMP_REACH] ** 2
                        if square < reach:
                            # What this cell sees of the lamp stands for what the surface sees of it.
                            fall = (1.0 - square / reach) ** 2 / (0.35 + square) * volume[i, j, k, LAMPS + m]
                            for q in range(3):
                                lamplight[q] += fall * lamps[m, LAMP_COLOUR + q]
                    row = int(geoms[g, SURFACE])
                    glow = 0.3 * surfaces[row, GLOW]
                    for q in range(3):
                        total[q] += albedo[row, q] * (0.3 * fill + facing * scene[SUNLIGHT + q] + lamplight[q] + glow)
                for q in range(3):
                    volume[i, j, k, AROUND + q] = total[q] / count


def _sun_camera(sun: np.ndarray, extent: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """A camera far out toward the sun that sees the whole scene: (pose, focal length in pixels)."""
    aside = np.cross(sun, [0.0, 0.0, 1.0] if abs(sun[2]) < 0.99 else [1.0, 0.0, 0.0])
    aside /= np.linalg.norm(aside)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = aside, np.cross(-sun, aside), -sun
    pose[:3, 3] = SUN_DISTANCE * sun + [0.0, 0.0, 0.5 * extent[2]]
    radius = float(np.hypot(np.hypot(extent[0], extent[1]), 0.5 * extent[2]))
    return pose, 0.5 * SHADOW_SIDE * (SUN_DISTANCE - radius) / radius


def _directions() -> np.ndarray:
    """(D, 3) spread evenly over the sphere."""
    n = np.arange(DIRECTIONS) + 0.5
    z, turn = 1.0 - 2.0 * n / DIRECTIONS, n * np.pi * (3.0 - np.sqrt(5.0))
    return np.stack([np.cos(turn) * np.sqrt(1 - z * z), np.sin(turn) * np.sqrt(1 - z * z), z], -1)


def encode_table() -> np.ndarray:
    """(ENCODE_STEPS,) linear light in [0, 1] to sRGB bytes."""
    x = np.linspace(0.0, 1.0, ENCODE_STEPS)
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)


@kernel
def _span(shadow, out):
    side = shadow.shape[0]
    for i in range(side):
        for j in range(side):
            low, high = shadow[i, j], shadow[i, j]
            for a in range(j + 1, min(j + 4, side)):
                low, high = min(low, shadow[i, a]), max(high, shadow[i, a])
            out[i, j, 0], out[i, j, 1] = low, high
    for i in range(side):
        for a in range(i + 1, min(i + 4, side)):
            for j in range(side):
                out[i, j, 0] = min(out[i, j, 0], out[a, j, 0])
                out[i, j, 1] = max(out[i, j, 1], out[a, j, 1])


def _spans(shadow: np.ndarray) -> np.ndarray:
    """(SHADOW_SIDE, SHADOW_SIDE, 2) the least and the greatest of the four by four texels from each on."""
    out = np.empty((*shadow.shape, 2), np.float32)
    _span(shadow, out)
    return out


@kernel
def _bake_roof(geoms, corner_x, corner_y, cell, roof):
    """The height of the first thing that falling rain meets, in each column; how many have a ceiling."""
    housed = 0
    for i in range(roof.shape[0]):
        for j in range(roof.shape[1]):
            x, y = corner_x + i * cell, corner_y + j * cell
            g, t = nearest(geoms, x, y, 60.0, 0.0, 0.0, -1.0, 90.0)
            roof[i, j] = 60.0 - t if g >= 0 else -1e3
            if nearest(geoms, x, y, 1.6, 0.0, 0.0, 1.0, 60.0)[0] >= 0:
                housed += 1
    return housed


def bake_roof(still: np.ndarray, extent: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, bool]:
    """The roofs of a scene (X, Y), its first column's middle, and whether it lies indoors: then all of it does."""
    roof = np.zeros([int(np.ceil(2 * size / COLUMN)) + 1 for size in extent[:2]], np.float32)
    corner = np.array([-0.5 * COLUMN * (n - 1) for n in roof.shape])
    housed = _bake_roof(still, corner[0], corner[1], COLUMN, roof)
    indoor = bool(housed > HOUSED * roof.size)
    if indoor:
        roof[:] = 1e3
    return roof, corner, indoor


def lamp_share(still: np.ndarray, scene: np.ndarray, lamp: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(X, Y, Z) the share of one more lamp (7,) that each cell sees."""
    volume = np.zeros((*shape, LAMPS + 1), np.float32)
    _bake_lamps(still, scene, lamp[None], volume)
    return volume[..., LAMPS]


class Light(NamedTuple):
    scene: np.ndarray  # (SCENE_VALUES,) as `shading` numbers them
    lamps: np.ndarray  # (L, 7)
    volume: np.ndarray  # (X, Y, Z, 4 + L) float32
    shadow: np.ndarray  # (SHADOW_SIDE, SHADOW_SIDE) float32, depth seen from the sun
    spans: np.ndarray  # (SHADOW_SIDE, SHADOW_SIDE, 2) float32: least and greatest of the 4x4 texels from each on
    encode: np.ndarray  # (ENCODE_STEPS,) uint8


class Cast(NamedTuple):
    """What rays from the volume's cells meet, whatever the light: cast once for a scene, since that takes longest."""

    hit: np.ndarray  # (X, Y, Z, D) int16, -1 for nothing
    far: np.ndarray  # (X, Y, Z, D) metres
    shares: np.ndarray  # (X, Y, Z, 1 + L) float32: OPEN, then the share of each lamp of the scene


def cast(still: np.ndarray, lamps: np.ndarray, extent: tuple[float, float, float]) -> Cast:
    scene = np.zeros(SCENE_VALUES)
    shape = _volume(scene, extent)
    if len(still) >= 1 << 15:
        raise ValueError(f"expected a scene of fewer than {1 << 15} geoms, got {len(still)}")
    volume = np.zeros((*shape, LAMPS + len(lamps)), np.float32)
    _bake_lamps(still, scene, lamps, volume)
    hit, far = np.full((*shape, DIRECTIONS), -1, np.int16), np.zeros((*shape, DIRECTIONS))
    _cast_around(still, scene, volume, _directions(), np.empty((len(still), 5)), hit, far)
    return Cast(hit, far, np.concatenate([volume[..., OPEN : OPEN + 1], volume[..., LAMPS:]], axis=3))


def _volume(scene: np.ndarray, extent: tuple[float, float, float]) -> list[int]:
    """The number of cells along each axis; where they are is written into `scene`."""
    cells = [max(int(np.ceil(size / CELL_SIZE)), 2) for size in (2 * extent[0], 2 * extent[1], extent[2])]
    scene[CORNER : CORNER + 3] = [-0.5 * CELL_SIZE * (n - 1) for n in cells[:2]] + [0.5 * CELL_SIZE]
    scene[CELL] = CELL_SIZE
    return cells


def bake(
    still: np.ndarray,  # (G, GEOM_COLUMNS)
    surfaces: np.ndarray,  # (S, 14)
    scene: np.ndarray,  # (SCENE_VALUES,) complete but for the volume's place and the sun's camera
    lamps: np.ndarray,  # (L, 7) the first of those that were cast
    extent: tuple[float, float, float],
    known: Cast,
    fill: float,
    ground: np.ndarray,  # (3,)
) -> Light:
    """The light of a scene whose unmoving geoms are `still`."""
    scene = scene.copy()
    pose, focal = _sun_camera(scene[SUN : SUN + 3], extent)
    middle = 0.5 * SHADOW_SIDE
    camera = Intrinsics(SHADOW_SIDE, SHADOW_SIDE, focal, focal, middle, middle)
    count, lists = sort_into_tiles(still, pose, focal, focal, middle, middle, SHADOW_SIDE, SHADOW_SIDE)
    shape = (SHADOW_SIDE, SHADOW_SIDE)
    geom, depth, face = np.empty(shape, np.int32), np.empty(shape, np.float64), np.empty(shape, np.int32)
    trace(still, count, lists, pose, rays(camera), geom, depth, face)
    shadow = depth.astype(np.float32)
    spans = _spans(shadow)
    scene[SUN_POSE : SUN_POSE + 12] = pose[:3].ravel()
    scene[SUN_FOCAL] = focal

    cells = _volume(scene, extent)
    volume = np.zeros((*cells, LAMPS + len(lamps)), np.float32)
    volume[..., OPEN], volume[..., LAMPS:] = known.shares[..., 0], known.shares[..., 1 : 1 + len(lamps)]
    directions = _directions()
    _bake_around(still, surfaces, scene, lamps, shadow, spans, volume, directions, known.hit, known.far, fill, ground)
    return Light(scene, lamps, volume, shadow, spans, encode_table())
