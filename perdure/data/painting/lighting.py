"""How much light reaches a point, out of what `baking` prepared and past what moves.

Shapes: B spheres, K creatures, X Y Z cells of the volume, L lamps.
"""

import numpy as np

from perdure.data.painting.tables import (
    CELL,
    CORNER,
    ENCODE_STEPS,
    EXPOSURE,
    OPEN,
    SHADOW_BIAS,
    SUN,
    SUN_FOCAL,
    SUN_POSE,
)
from perdure.kernels import inlined


@inlined
def sunlit(scene, shadow, spans, x, y, z):
    """Share of the sun seen from a point, softened over three texels of the shadow map. `spans` are the least and the
    greatest of the four by four texels from each on: most points lie in full light or shadow."""
    wx, wy, wz = x - scene[SUN_POSE + 3], y - scene[SUN_POSE + 7], z - scene[SUN_POSE + 11]
    depth = scene[SUN_POSE + 2] * wx + scene[SUN_POSE + 6] * wy + scene[SUN_POSE + 10] * wz
    side = shadow.shape[0]
    u = scene[SUN_POSE] * wx + scene[SUN_POSE + 4] * wy + scene[SUN_POSE + 8] * wz
    v = scene[SUN_POSE + 1] * wx + scene[SUN_POSE + 5] * wy + scene[SUN_POSE + 9] * wz
    u = u / depth * scene[SUN_FOCAL] + 0.5 * side - 2.0
    v = v / depth * scene[SUN_FOCAL] + 0.5 * side - 2.0
    if not (u >= 0.0 and v >= 0.0 and u < side - 4.0 and v < side - 4.0):
        return 1.0
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    depth -= SHADOW_BIAS
    if spans[j, i, 0] > depth:
        return 1.0
    if spans[j, i, 1] <= depth:
        return 0.0
    total = 0.0
    for b in range(4):
        wv = 1.0 - fv if b == 0 else (fv if b == 3 else 1.0)
        for a in range(4):
            wu = 1.0 - fu if a == 0 else (fu if a == 3 else 1.0)
            if shadow[j + b, i + a] > depth:
                total += wu * wv
    return total / 9.0


@inlined
def cell_of(scene, volume, x, y, z):
    """(3 + 3) the volume's cell below a point, and how far it lies into it along each axis."""
    nx, ny, nz, _ = volume.shape
    u = min(max((x - scene[CORNER]) / scene[CELL], 0.0), nx - 1.001)
    v = min(max((y - scene[CORNER + 1]) / scene[CELL], 0.0), ny - 1.001)
    w = min(max((z - scene[CORNER + 2]) / scene[CELL], 0.0), nz - 1.001)
    i, j, k = int(u), int(v), int(w)
    return i, j, k, u - i, v - j, w - k


@inlined
def corners(volume, i, j, k, fu, fv, fw):
    """(8) the weights of the cells about a point, of those that are open; they add up to 1."""
    gu, gv, gw = 1.0 - fu, 1.0 - fv, 1.0 - fw
    a = gu * gv * gw * volume[i, j, k, OPEN]
    b = fu * gv * gw * volume[i + 1, j, k, OPEN]
    c = gu * fv * gw * volume[i, j + 1, k, OPEN]
    d = fu * fv * gw * volume[i + 1, j + 1, k, OPEN]
    e = gu * gv * fw * volume[i, j, k + 1, OPEN]
    f = fu * gv * fw * volume[i + 1, j, k + 1, OPEN]
    g = gu * fv * fw * volume[i, j + 1, k + 1, OPEN]
    h = fu * fv * fw * volume[i + 1, j + 1, k + 1, OPEN]
    one = 1.0 / (1e-6 + a + b + c + d + e + f + g + h)
    return a * one, b * one, c * one, d * one, e * one, f * one, g * one, h * one


@inlined
def between(volume, channel, i, j, k, weights):
    """What a channel of the volume holds between the cells about a point: light from around, or a lamp's share."""
    a, b, c, d, e, f, g, h = weights
    return (
        a * volume[i, j, k, channel]
        + b * volume[i + 1, j, k, channel]
        + c * volume[i, j + 1, k, channel]
        + d * volume[i + 1, j + 1, k, channel]
        + e * volume[i, j, k + 1, channel]
        + f * volume[i + 1, j, k + 1, channel]
        + g * volume[i, j + 1, k + 1, channel]
        + h * volume[i + 1, j + 1, k + 1, channel]
    )


@inlined
def clear_of(scene, creatures, entity, x, y, z):
    """Whether no creature other than `entity` can stand between a point and the sun."""
    for k in range(creatures.shape[0]):
        cx, cy, cz = creatures[k, 0] - x, creatures[k, 1] - y, creatures[k, 2] - z
        along = cx * scene[SUN] + cy * scene[SUN + 1] + cz * scene[SUN + 2]
        reach = creatures[k, 3] + 0.4
        if creatures[k, 4] != entity and along > 0.0 and cx * cx + cy * cy + cz * cz - along * along < reach * reach:
            return False
    return True


@inlined
def cast_on(scene, spheres, creatures, entity, x, y, z):
    """Share of the sun that creatures other than `entity` leave to a point."""
    sun = 1.0
    for k in range(creatures.shape[0]):
        if creatures[k, 4] == entity:
            continue
        cx, cy, cz = creatures[k, 0] - x, creatures[k, 1] - y, creatures[k, 2] - z
        reach = creatures[k, 3] + 0.4
        along = cx * scene[SUN] + cy * scene[SUN + 1] + cz * scene[SUN + 2]
        if along <= 0.0 or cx * cx + cy * cy + cz * cz - along * along >= reach * reach:
            continue
        for s in range(int(creatures[k, 5]), int(creatures[k, 6])):
            radius = spheres[s, 3]
            cx, cy, cz = spheres[s, 0] - x, spheres[s, 1] - y, spheres[s, 2] - z
            along = cx * scene[SUN] + cy * scene[SUN + 1] + cz * scene[SUN + 2]
            soft = 0.05 + 0.05 * along
            square = cx * cx + cy * cy + cz * cz - along * along
            if along > 0.0 and square < 1.0001 * (radius + soft) * (radius + soft):
                off = np.sqrt(max(square, 0.0))
                sun = min(sun, min(max((off - radius + soft) / (2.0 * soft), 0.0), 1.0))
        if sun == 0.0:
            break
    return sun


@inlined
def darkened_by(spheres, creatures, entity, x, y, z, nx, ny, nz):
    """Share of the light around that creatures other than `entity` leave to a point."""
    ambient = 1.0
    for k in range(creatures.shape[0]):
        cx, cy, cz = creatures[k, 0] - x, creatures[k, 1] - y, creatures[k, 2] - z
        reach = creatures[k, 3]
        if creatures[k, 4] == entity or cx * cx + cy * cy + cz * cz >= (reach + 0.4 + 0.6) ** 2:
            continue
        if cx * nx + cy * ny + cz * nz < -reach:  # all of it is behind the surface
            continue
        strength = 0.8 * creatures[k, 8]
        for s in range(int(creatures[k, 5]), int(creatures[k, 7])):
            cx, cy, cz = spheres[s, 0] - x, spheres[s, 1] - y, spheres[s, 2] - z
            facing = cx * nx + cy * ny + cz * nz
            if facing > 0.0:
                across = spheres[s, 3] * spheres[s, 3]
                square = max(cx * cx + cy * cy + cz * cz, across)
                ambient *= 1.0 - min(strength * across * facing / (square * np.sqrt(square)), 0.8)
    return ambient


@inlined
def tone(scene, encode, value):
    """An sRGB byte, as float, of linear light: exposure, then a filmic shoulder."""
    x = max(value, 0.0) * scene[EXPOSURE]
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return float(encode[int(min(x, 1.0) * (ENCODE_STEPS - 1))])
