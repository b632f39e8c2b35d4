"""Light on surfaces: what a ray's hit looks like, and what the sky looks like where there is none.

Everything that does not move is lit from what `baking` prepared: a shadow map seen from the sun, and a
coarse volume with the light that comes from all around and how much of each lamp is seen. What moves takes
its light from the same, and casts soft shadows as a few spheres.

Light is linear until `tone`. Shapes: H height, W width, L lamps, B spheres, K creatures, S surfaces.
"""

import numpy as np

from perdure.data.painting.kernels import inlined, kernel
from perdure.data.painting.textures import (
    EMBLEM,
    PANEL,
    PICTURE,
    POOL,
    ROSETTE,
    RUG,
    SHUTTER,
    STRIPE,
    WINDOW,
    hashed,
    noise,
    texture,
)
from perdure.data.painting.tracer import (
    BOX,
    CAPSULE,
    CYLINDER,
    DOWN,
    ENTITY,
    EYE,
    KIND,
    OFFSET,
    PLANE,
    RIGHT,
    SIZE,
    SPHERE,
    SURFACE,
    TILE_H,
    TILE_W,
    into,
    nearest_in_tile,
    normal_of,
    out_of,
)

# Columns of the surface table (S, 14); three colours of three follow COLOUR.
TEXTURE, SCALE, SEED, GLOSS, GLOW, COLOUR = 0, 1, 2, 3, 4, 5

# Places in the vector of what holds for the whole scene.
SUN = 0  # 3: toward the sun
SUNLIGHT = 3  # 3
ZENITH = 6  # 3
HORIZON = 9  # 3
FOG, EXPOSURE, CLOUDS, SKY_SEED = 12, 13, 14, 15
CORNER = 16  # 3: world position of the volume's first cell centre
CELL = 19  # metres
SUN_POSE = 20  # 12: the sun's camera, camera to world, three rows of four
SUN_FOCAL = 32
CLOUDLIGHT = 33  # 3: of the clouds, 1 by day
STARS = 36  # 0 by day, 1 at night
SCENE_VALUES = 37

# Places in the vector of what the weather does now; where there is none, `air` is None and costs nothing.
WET, WHITE, TIME = 0, 1, 2  # how wet and how white with snow what lies open is, 0 to 1; seconds
ROOF_CORNER, ROOF_CELL = 3, 5  # where the first column of the roofs has its middle, and how far apart they are
AIR_VALUES = 6

# Columns of the lamp table (L, 7): position, colour times strength, reach.
LAMP_COLOUR, LAMP_REACH = 3, 6

# Channels of the volume (X, Y, Z, 4 + L): 1 where there is no solid, light from around, the share of each lamp.
OPEN, AROUND, LAMPS = 0, 1, 4

ENCODE_STEPS = 4096
SHADOW_BIAS = 0.03  # metres


@inlined
def colour_of(geoms, g, surfaces, row, x, y, z, nx, ny, nz, ex, ey, ez):
    """(3) albedo at a local point with local normal; ex, ey, ez is the extent of the pixel there."""
    kind, tex, across = int(geoms[g, KIND]), int(surfaces[row, TEXTURE]), 1.0 / surfaces[row, SCALE]
    sx, sy, sz = geoms[g, SIZE], geoms[g, SIZE + 1], geoms[g, SIZE + 2]
    if kind == SPHERE:
        sy, sz = sx, sx
    px, py, pz = x + geoms[g, OFFSET], y + geoms[g, OFFSET + 1], z + geoms[g, OFFSET + 2]
    fitted = (
        tex == RUG
        or tex == EMBLEM
        or tex == PICTURE
        or tex == PANEL
        or tex == WINDOW
        or tex == ROSETTE
        or tex == SHUTTER
    )
    if kind == CYLINDER or kind == CAPSULE:
        if abs(nz) > 0.9:
            u, v, fu, fv = px * across, py * across, ex * across, ey * across
            if fitted:
                u, v, fu, fv = x / sx, y / sx, ex / sx, ey / sx
        else:
            # A whole, even number of repeats around, so that the pattern closes on itself.
            around = 2.0 * max(np.round(np.pi * sx * across), 1.0)
            u, v = np.arctan2(y, x) / (2.0 * np.pi) * around, pz * across
            fu, fv = (abs(ny) * ex + abs(nx) * ey) / sx / (2.0 * np.pi) * around, ez * across
            if tex == STRIPE:
                u, fu = v, fv
    elif kind != BOX and kind != PLANE and tex == STRIPE:
        u, v, fu, fv = x * across, y * across, ex * across, ey * across
    else:
        ax, ay, az = abs(nx), abs(ny), abs(nz)
        if az >= ax and az >= ay:
            u, v, fu, fv, su, sv = px, py, ex, ey, sx, sy
        elif ax >= ay:
            u, v, fu, fv, su, sv = py, pz, ey, ez, sy, sz
        else:
            u, v, fu, fv, su, sv = px, pz, ex, ez, sx, sz
        if fitted:
            su, sv = max(su, 1e-6), max(sv, 1e-6)  # a plane without end has none
            u, v, fu, fv = u / su, v / sv, fu / su, fv / sv
        else:
            u, v, fu, fv = u * across, v * across, fu * across, fv * across
    a, b, tone = texture(tex, u, v, fu, fv, int(surfaces[row, SEED]))
    p, q = (1.0 - a) * (1.0 - b), a * (1.0 - b)
    return (
        (surfaces[row, COLOUR] * p + surfaces[row, COLOUR + 3] * q + surfaces[row, COLOUR + 6] * b) * tone,
        (surfaces[row, COLOUR + 1] * p + surfaces[row, COLOUR + 4] * q + surfaces[row, COLOUR + 7] * b) * tone,
        (surfaces[row, COLOUR + 2] * p + surfaces[row, COLOUR + 5] * q + surfaces[row, COLOUR + 8] * b) * tone,
    )


@kernel
def starlight(dx, dy, dz):
    """One star in some cells of the sky, no smaller than a pixel of an ordinary picture."""
    # Cells of a cylinder's side, squeezed toward its top so that stars are as dense everywhere.
    u, v = np.arctan2(dy, dx) * 18.0, np.arcsin(min(dz, 1.0)) * 18.0
    light = 0.0
    i, j = np.floor(u), np.floor(v)
    size = 1.0 / max(np.sqrt(max(1.0 - dz * dz, 0.0)), 0.08)
    tag = hashed(i, j, 71)
    if tag * size > 0.42 * size * size:
        return 0.0
    x = (u - i - 0.15 - 0.7 * hashed(i, j, 72)) / size
    y = v - j - 0.15 - 0.7 * hashed(i, j, 73)
    near = (x * x + y * y) * 450.0
    if near < 6.0:
        light = np.exp(-near) * (0.15 + 1.1 * hashed(i, j, 74) ** 3)
    return light * min(6.0 * dz, 1.0)


@inlined
def exposed(air, roof, x, y, z):
    """Whether a point lies under the open sky, 0 to 1, softened over the four columns about it."""
    u, v = (x - air[ROOF_CORNER]) / air[ROOF_CELL], (y - air[ROOF_CORNER + 1]) / air[ROOF_CELL]
    if not (u >= 0.0 and v >= 0.0 and u < roof.shape[0] - 1.0 and v < roof.shape[1] - 1.0):
        return 1.0
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    z += 0.16
    total = (1.0 - fu) * (1.0 - fv) * (1.0 if z > roof[i, j] else 0.0)
    total += fu * (1.0 - fv) * (1.0 if z > roof[i + 1, j] else 0.0)
    total += (1.0 - fu) * fv * (1.0 if z > roof[i, j + 1] else 0.0)
    return total + fu * fv * (1.0 if z > roof[i + 1, j + 1] else 0.0)


@kernel
def ripple(x, y, time):
    """(2) how rings of raindrops tilt a water's surface."""
    tx, ty = 0.0, 0.0
    for layer in range(2):
        u, v = x / 0.42 + 0.5 * layer, y / 0.42 + 0.37 * layer
        i, j = np.floor(u), np.floor(v)
        phase = 1.6 * time + hashed(i, j, 31 + layer)
        beat = np.floor(phase)
        age = phase - beat
        px = u - i - 0.3 - 0.4 * hashed(i + 57.0 * beat, j, 33 + layer)
        py = v - j - 0.3 - 0.4 * hashed(i, j + 57.0 * beat, 35 + layer)
        far = np.sqrt(px * px + py * py) + 1e-4
        off = (far - 0.34 * age) * 14.0
        if abs(off) < 3.0:
            tilt = 0.5 * np.sin(3.0 * off) * (1.0 - age) * (1.0 - abs(off) / 3.0)
            tx += tilt * px / far
            ty += tilt * py / far
    return tx, ty


@inlined
def mirrored(scene, vx, vy, vz, tx, ty, clouds):
    """(share, 3) how much a level water mirrors along a unit ray, and what of the sky, with its clouds or without; its
    surface tilts by tx, ty."""
    length = 1.0 / np.sqrt(1.0 + tx * tx + ty * ty)
    nx, ny, nz = tx * length, ty * length, length
    cosine = -(vx * nx + vy * ny + vz * nz)
    rx, ry, rz = vx + 2.0 * cosine * nx, vy + 2.0 * cosine * ny, vz + 2.0 * cosine * nz
    if clouds:
        r, g, b = sky(scene, rx, ry, max(rz, 0.02))
    else:
        mix = np.sqrt(max(rz, 0.0))
        r = scene[HORIZON] + (scene[ZENITH] - scene[HORIZON]) * mix
        g = scene[HORIZON + 1] + (scene[ZENITH + 1] - scene[HORIZON + 1]) * mix
        b = scene[HORIZON + 2] + (scene[ZENITH + 2] - scene[HORIZON + 2]) * mix
    share = 0.04 + 0.9 * max(1.0 - max(cosine, 0.0), 0.0) ** 4
    return min(share, 0.85), min(r, 2.5), min(g, 2.5), min(b, 2.5)


@inlined
def sky(scene, dx, dy, dz):
    """(3) the sky along a unit direction."""
    up = max(dz, 0.0)
    mix = np.sqrt(up)
    r = scene[HORIZON] + (scene[ZENITH] - scene[HORIZON]) * mix
    g = scene[HORIZON + 1] + (scene[ZENITH + 1] - scene[HORIZON + 1]) * mix
    b = scene[HORIZON + 2] + (scene[ZENITH + 2] - scene[HORIZON + 2]) * mix
    toward = dx * scene[SUN] + dy * scene[SUN + 1] + dz * scene[SUN + 2]
    if scene[CLOUDS] > 0.0 and dz > 0.01:
        u, v = 1.1 * dx / (dz + 0.22), 1.1 * dy / (dz + 0.22)
        seed = int(scene[SKY_SEED])
        puff = noise(u, v, seed) + 0.5 * noise(2.1 * u, 2.1 * v, seed + 1) + 0.22 * noise(4.4 * u, 4.4 * v, seed + 2)
        cover = min(max((puff - 1.35 + 0.75 * scene[CLOUDS]) * 2.6, 0.0), 1.0)
        cover = cover * cover * (3.0 - 2.0 * cover) * min(5.0 * dz, 1.0) * 0.85
        thick = 1.0 - 0.3 * max(cover - 0.4, 0.0)
        r += (thick * (0.86 + 0.1 * scene[SUNLIGHT]) * scene[CLOUDLIGHT] - r) * cover
        g += (thick * (0.86 + 0.1 * scene[SUNLIGHT + 1]) * scene[CLOUDLIGHT + 1] - g) * cover
        b += (thick * (0.88 + 0.1 * scene[SUNLIGHT + 2]) * scene[CLOUDLIGHT + 2] - b) * cover
        if scene[STARS] > 0.0:
            star = (1.0 - cover) * starlight(dx, dy, dz) * scene[STARS]
            r, g, b = r + 0.95 * star, g + star, b + 1.1 * star
    if toward > 0.0:
        halo = toward**6 * 0.10 + toward**48 * 0.35
        halo += 3.0 * min(max((toward - 0.9985) * 1500.0, 0.0), 1.0)
        r, g, b = r + halo * scene[SUNLIGHT], g + halo * scene[SUNLIGHT + 1], b + halo * scene[SUNLIGHT + 2]
    return r, g, b


@inlined
def sunlit(scene, shadow, x, y, z):
    """Share of the sun seen from a point, softened over three texels of the shadow map."""
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
def around(volume, i, j, k, fu, fv, fw):
    """(3 + 1) light from all around, between eight cells, and the weight of those that are open."""
    r, g, b = 0.0, 0.0, 0.0
    total = 1e-6
    for c in range(8):
        a, o, d = c & 1, (c >> 1) & 1, c >> 2
        weight = (fu if a else 1.0 - fu) * (fv if o else 1.0 - fv) * (fw if d else 1.0 - fw)
        weight *= volume[i + a, j + o, k + d, OPEN]
        total += weight
        r += weight * volume[i + a, j + o, k + d, AROUND]
        g += weight * volume[i + a, j + o, k + d, AROUND + 1]
        b += weight * volume[i + a, j + o, k + d, AROUND + 2]
    return r / total, g / total, b / total, total


@inlined
def share_of(volume, channel, i, j, k, fu, fv, fw, total):
    """The share of a lamp that is seen, between the same cells."""
    out = 0.0
    for c in range(8):
        a, o, d = c & 1, (c >> 1) & 1, c >> 2
        weight = (fu if a else 1.0 - fu) * (fv if o else 1.0 - fv) * (fw if d else 1.0 - fw)
        weight *= volume[i + a, j + o, k + d, OPEN]
        out += weight * volume[i + a, j + o, k + d, channel]
    return out / total


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


@inlined
def seen(
    geoms, surfaces, scene, lamps, volume, shadow, encode, spheres, creatures, air, roof, pose, g, t, dx, dy, dz
):  # fmt: skip
    """(3) sRGB, as floats in [0, 255], of a ray that meets geom g at depth t, or the sky if g is -1."""
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    vx, vy, vz = dx / length, dy / length, dz / length
    if g < 0:
        r, gr, b = sky(scene, vx, vy, vz)
        return tone(scene, encode, r), tone(scene, encode, gr), tone(scene, encode, b)
    lx, ly, lz = into(geoms, g, dx, dy, dz)
    x, y, z = geoms[g, EYE] + t * lx, geoms[g, EYE + 1] + t * ly, geoms[g, EYE + 2] + t * lz
    nx, ny, nz, _ = normal_of(int(geoms[g, KIND]), geoms[g, SIZE], geoms[g, SIZE + 1], geoms[g, SIZE + 2], x, y, z)
    # How far the hit moves along the surface, from one pixel to the next.
    facing = min(nx * lx + ny * ly + nz * lz, -0.02 * length)
    a = (nx * geoms[g, RIGHT] + ny * geoms[g, RIGHT + 1] + nz * geoms[g, RIGHT + 2]) / facing
    b = (nx * geoms[g, DOWN] + ny * geoms[g, DOWN + 1] + nz * geoms[g, DOWN + 2]) / facing
    ex = t * (abs(geoms[g, RIGHT] - a * lx) + abs(geoms[g, DOWN] - b * lx))
    ey = t * (abs(geoms[g, RIGHT + 1] - a * ly) + abs(geoms[g, DOWN + 1] - b * ly))
    ez = t * (abs(geoms[g, RIGHT + 2] - a * lz) + abs(geoms[g, DOWN + 2] - b * lz))
    row = int(geoms[g, SURFACE])
    cr, cg, cb = colour_of(geoms, g, surfaces, row, x, y, z, nx, ny, nz, ex, ey, ez)

    wx, wy, wz = pose[0, 3] + t * dx, pose[1, 3] + t * dy, pose[2, 3] + t * dz
    mx, my, mz = out_of(geoms, g, nx, ny, nz)
    gloss, puddle = surfaces[row, GLOSS], 0.0
    if air is not None and geoms[g, ENTITY] == 0.0:
        open_sky = exposed(air, roof, wx + 0.2 * mx, wy + 0.2 * my, wz + 0.2 * mz)
        if open_sky > 0.0 and air[WET] > 0.0:
            wet = air[WET] * open_sky * (0.35 + 0.65 * max(mz, 0.0))
            cr, cg, cb, gloss = (
                cr * (1.0 - 0.4 * wet),
                cg * (1.0 - 0.4 * wet),
                cb * (1.0 - 0.36 * wet),
                max(gloss, 0.5 * wet),
            )
            if mz > 0.95:
                low = noise(0.8 * wx, 0.8 * wy, 5) + 0.35 * noise(2.6 * wx, 2.6 * wy, 6)
                puddle = min(max((low - 0.7) * 4.0, 0.0), 1.0) * air[WET] * open_sky
        if open_sky > 0.0 and air[WHITE] > 0.0 and mz > 0.1:
            rough = 0.65 * noise(1.4 * wx, 1.4 * wy + 0.7 * wz, 7) + 0.35 * noise(5.5 * wx, 5.5 * wy + 2.0 * wz, 8)
            lies = min(max((1.75 * air[WHITE] - 0.95 * rough - 0.7 * (1.0 - mz)) * 3.2, 0.0), 1.0) * open_sky
            lies *= min(2.0 * air[WHITE], 1.0)
            cr, cg, cb = cr + (0.86 - cr) * lies, cg + (0.89 - cg) * lies, cb + (0.94 - cb) * lies
            gloss *= 1.0 - lies
    lift = 0.6 * scene[CELL]
    ci, cj, ck, fu, fv, fw = cell_of(scene, volume, wx + lift * mx, wy + lift * my, wz + lift * mz)
    ar, ag, ab, total = around(volume, ci, cj, ck, fu, fv, fw)
    ambient = darkened_by(spheres, creatures, geoms[g, ENTITY], wx, wy, wz, mx, my, mz)
    ambient *= 0.8 + 0.2 * mz
    r, gr, b = ar * ambient, ag * ambient, ab * ambient
    facing = mx * scene[SUN] + my * scene[SUN + 1] + mz * scene[SUN + 2]
    sun, shine = 0.0, 0.0
    if facing > 0.0:
        sun = sunlit(scene, shadow, wx + 0.05 * mx, wy + 0.05 * my, wz + 0.05 * mz)
    if sun > 0.0:
        sun *= cast_on(scene, spheres, creatures, geoms[g, ENTITY], wx, wy, wz)
    if sun > 0.0:
        r += sun * facing * scene[SUNLIGHT]
        gr += sun * facing * scene[SUNLIGHT + 1]
        b += sun * facing * scene[SUNLIGHT + 2]
        if gloss > 0.0:
            hx, hy, hz = scene[SUN] - vx, scene[SUN + 1] - vy, scene[SUN + 2] - vz
            half = (mx * hx + my * hy + mz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
            shine = sun * gloss * 0.6 * max(half, 0.0) ** 40
    for n in range(lamps.shape[0]):
        px, py, pz = lamps[n, 0] - wx, lamps[n, 1] - wy, lamps[n, 2] - wz
        square = px * px + py * py + pz * pz
        reach = lamps[n, LAMP_REACH] * lamps[n, LAMP_REACH]
        if square < reach:
            share = share_of(volume, LAMPS + n, ci, cj, ck, fu, fv, fw, total)
            if share <= 0.0:
                continue
            # A quarter of the light wraps around: a lamp is a globe, not a point.
            cosine = max((px * mx + py * my + pz * mz) / np.sqrt(square) * 0.75 + 0.25, 0.0)
            fall = (1.0 - square / reach) ** 2 / (0.35 + square) * cosine * share
            r += fall * lamps[n, LAMP_COLOUR]
            gr += fall * lamps[n, LAMP_COLOUR + 1]
            b += fall * lamps[n, LAMP_COLOUR + 2]
    glow = surfaces[row, GLOW]
    r, gr, b = cr * (r + glow), cg * (gr + glow), cb * (b + glow)
    if gloss > 0.0:
        grazing = 1.0 + (vx * mx + vy * my + vz * mz)
        mirror = gloss * (0.06 + 0.75 * max(grazing, 0.0) ** 5) * ambient
        r += mirror * ar + shine * scene[SUNLIGHT]
        gr += mirror * ag + shine * scene[SUNLIGHT + 1]
        b += mirror * ab + shine * scene[SUNLIGHT + 2]
    if puddle > 0.0:
        tx, ty = ripple(wx, wy, air[TIME]) if air is not None and t < 10.0 else (0.0, 0.0)
        share, p, q, w = mirrored(scene, vx, vy, vz, tx, ty, False)
        share *= puddle * ambient
        r, gr, b = r + (p - r) * share, gr + (q - gr) * share, b + (w - b) * share
    elif int(surfaces[row, TEXTURE]) == POOL and mz > 0.9:
        # Waves run along; where rain falls, rings too.
        time = air[TIME] if air is not None else 0.0
        fine = 1.0 / (1.0 + 0.15 * t)
        tx = (
            0.11
            * fine
            * (noise(1.7 * wx + 0.5 * time, 1.7 * wy, 21) + noise(4.1 * wx, 4.1 * wy - 0.7 * time, 22) - 1.0)
        )
        ty = (
            0.11
            * fine
            * (noise(1.7 * wx, 1.7 * wy + 0.4 * time, 23) + noise(4.1 * wx - 0.8 * time, 4.1 * wy, 24) - 1.0)
        )
        if air is not None and air[WET] > 0.0:
            ax, ay = ripple(wx, wy, time)
            tx, ty = tx + air[WET] * ax, ty + air[WET] * ay
        share, p, q, w = mirrored(scene, vx, vy, vz, tx, ty, True)
        # Of the sky as much as is open above the water.
        open_up = min((ar + ag + ab) / max(scene[ZENITH] + scene[ZENITH + 1] + scene[ZENITH + 2], 0.05), 1.0)
        share = min(share + 0.08, 0.9) * ambient
        r += (p * open_up - r) * share
        gr += (q * open_up - gr) * share
        b += (w * open_up - b) * share
    haze = 1.0 - np.exp(-scene[FOG] * t * length)
    warm = max(vx * scene[SUN] + vy * scene[SUN + 1] + vz * scene[SUN + 2], 0.0) ** 4 * 0.12
    r += (scene[HORIZON] + warm * scene[SUNLIGHT] - r) * haze
    gr += (scene[HORIZON + 1] + warm * scene[SUNLIGHT + 1] - gr) * haze
    b += (scene[HORIZON + 2] + warm * scene[SUNLIGHT + 2] - b) * haze
    return tone(scene, encode, r), tone(scene, encode, gr), tone(scene, encode, b)


@kernel
def shade(
    geoms, count, lists, surfaces, scene, lamps, volume, shadow, encode, spheres, creatures, air, roof,
    pose, rays_HW3, fx, fy, far, geom_HW, depth_HW, face_HW, rgb, depth, entity,
):  # fmt: skip
    """Fill rgb (H, W, 3), depth (H, W) and entity (H, W). A pixel on an edge is the mean of four rays.
    `air` and `roof` are None in
    fair weather."""
    height, width = geom_HW.shape
    columns = (width + TILE_W - 1) // TILE_W
    for i in range(height):
        up, low = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            g, t, face = geom_HW[i, j], depth_HW[i, j], face_HW[i, j]
            depth[i, j] = min(t, far)
            entity[i, j] = 255 if g < 0 or t >= far else int(geoms[g, ENTITY])
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            edge = (
                geom_HW[up, j] != g or geom_HW[low, j] != g or geom_HW[i, left] != g or geom_HW[i, right] != g
                or face_HW[up, j] != face or face_HW[low, j] != face
                or face_HW[i, left] != face or face_HW[i, right] != face
            )  # fmt: skip
            tile = i // TILE_H * columns + j // TILE_W
            samples = 4 if edge else 1
            r, gr, b = 0.0, 0.0, 0.0
            for s in range(samples):
                x, y = rays_HW3[i, j, 0], rays_HW3[i, j, 1]
                if edge:
                    x += ((0.125 if s & 1 else -0.125) + (0.25 if s & 2 else -0.25)) / fx
                    y += ((0.25 if s & 1 else -0.25) - (0.125 if s & 2 else -0.125)) / fy
                dx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2]
                dy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2]
                dz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2]
                if edge:
                    g, t = nearest_in_tile(geoms, count, lists, tile, dx, dy, dz)
                p, q, w = seen(
                    geoms, surfaces, scene, lamps, volume, shadow, encode, spheres, creatures, air, roof,
                    pose, g, t, dx, dy, dz,
                )  # fmt: skip
                r, gr, b = r + p, gr + q, b + w
            rgb[i, j, 0] = int(r / samples + 0.5)
            rgb[i, j, 1] = int(gr / samples + 0.5)
            rgb[i, j, 2] = int(b / samples + 0.5)
