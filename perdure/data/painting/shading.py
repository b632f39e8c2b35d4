"""Light on surfaces: what a ray's hit looks like, and what the sky looks like where there is none.

Everything that does not move is lit from what `baking` prepared: a shadow map seen from the sun, and a
coarse volume with the light that comes from all around and how much of each lamp is seen. What moves takes
its light from the same, and casts soft shadows as a few spheres.

Light is linear until `tone`. Shapes: H height, W width, L lamps, B spheres, K creatures, S surfaces.
"""

import numpy as np

from perdure.data.painting.grain import noise
from perdure.data.painting.lighting import between, cast_on, cell_of, clear_of, corners, darkened_by, sunlit, tone
from perdure.data.painting.skies import among_stars, exposed, heaven, mirrored, ripple, starred, starry
from perdure.data.painting.tables import (
    AROUND,
    CELL,
    COLOUR,
    FOG,
    GLOSS,
    GLOW,
    HORIZON,
    LAMP_COLOUR,
    LAMP_REACH,
    LAMPS,
    SCALE,
    SEED,
    SUN,
    SUNLIGHT,
    TEXTURE,
    TIME,
    WET,
    WHITE,
    ZENITH,
)
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
    texture,
)
from perdure.data.painting.tracer import (
    BOX,
    CAPSULE,
    CLOSEST,
    CYLINDER,
    DOWN,
    ENTITY,
    EYE,
    KIND,
    MISS,
    OFFSET,
    PLANE,
    RIGHT,
    SIZE,
    SPHERE,
    SURFACE,
    TILE_H,
    TILE_W,
    depth_of,
    directed,
    face_at,
    into,
    normal_of,
    out_of,
    within,
)
from perdure.kernels import inlined, kernel

# Columns of what a pixel's rays meet: the geom, its depth and flat side, the rays' mean direction, their number.
MET, DEEP, SIDE, WAY, RAYS, FEW_COLUMNS = 0, 1, 2, 3, 6, 7

# Columns of soft light, as `gather_soft` fills them; of the sky, as `heaven` tells it, where it lies among the stars,
# and 1 where that may be believed. CLEAR: 1 where no creature can stand before the sun, and where the sky is smooth.
CLEAR, SOFT_COLUMNS = 7, 8


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
def gather_soft(geoms, scene, lamps, volume, spheres, creatures, g, wx, wy, wz, mx, my, mz, soft):
    """Fill `soft` with what changes slowly along a surface: light from around (3), the share of it that creatures
    leave, and the light of the lamps (3)."""
    lift = 0.6 * scene[CELL]
    ci, cj, ck, fu, fv, fw = cell_of(scene, volume, wx + lift * mx, wy + lift * my, wz + lift * mz)
    weights = corners(volume, ci, cj, ck, fu, fv, fw)
    for q in range(3):
        soft[q] = between(volume, AROUND + q, ci, cj, ck, weights)
        soft[4 + q] = 0.0
    soft[3] = darkened_by(spheres, creatures, geoms[g, ENTITY], wx, wy, wz, mx, my, mz) * (0.8 + 0.2 * mz)
    for n in range(lamps.shape[0]):
        px, py, pz = lamps[n, 0] - wx, lamps[n, 1] - wy, lamps[n, 2] - wz
        square = px * px + py * py + pz * pz
        reach = lamps[n, LAMP_REACH] * lamps[n, LAMP_REACH]
        if square < reach:
            # A quarter of the light wraps around: a lamp is a globe, not a point.
            cosine = (px * mx + py * my + pz * mz) / np.sqrt(square) * 0.75 + 0.25
            if cosine <= 0.0:
                continue
            share = between(volume, LAMPS + n, ci, cj, ck, weights)
            if share <= 0.0:
                continue
            fall = (1.0 - square / reach) ** 2 / (0.35 + square) * cosine * share
            for q in range(3):
                soft[4 + q] += fall * lamps[n, LAMP_COLOUR + q]


@kernel
def soften(geoms, scene, lamps, volume, spheres, creatures, pose, rays_HW3, geom_HW, depth_HW, soft):
    """Fill `soft` (at least H / 2, W / 2, SOFT_COLUMNS) for every other pixel of every other row."""
    height, width = geom_HW.shape
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            g, t = geom_HW[i, j], depth_HW[i, j]
            here = soft[i // 2, j // 2]
            dx, dy, dz = directed(pose, rays_HW3[i, j, 0], rays_HW3[i, j, 1])
            if g < 0:
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                dx, dy, dz = dx / length, dy / length, dz / length
                here[0], here[1], here[2], here[3] = heaven(scene, dx, dy, dz)
                toward = dx * scene[SUN] + dy * scene[SUN + 1] + dz * scene[SUN + 2]
                here[CLEAR] = 1.0 if toward < 0.99 else 0.0
                here[4], here[5], here[6] = 0.0, 0.0, 0.0
                if starry(scene, dz):
                    here[4], here[5] = among_stars(dx, dy, dz)
                    here[6] = 1.0 if abs(here[4]) < 54.0 and dz < 0.95 else 0.0  # not where the cylinder closes
                continue
            lx, ly, lz = into(geoms, g, dx, dy, dz)
            x, y, z = geoms[g, EYE] + t * lx, geoms[g, EYE + 1] + t * ly, geoms[g, EYE + 2] + t * lz
            nx, ny, nz, _ = normal_of(
                int(geoms[g, KIND]), geoms[g, SIZE], geoms[g, SIZE + 1], geoms[g, SIZE + 2], x, y, z
            )
            mx, my, mz = out_of(geoms, g, nx, ny, nz)
            wx, wy, wz = pose[0, 3] + t * dx, pose[1, 3] + t * dy, pose[2, 3] + t * dz
            gather_soft(geoms, scene, lamps, volume, spheres, creatures, g, wx, wy, wz, mx, my, mz, here)
            here[CLEAR] = 1.0 if clear_of(scene, creatures, geoms[g, ENTITY], wx, wy, wz) else 0.0


@inlined
def soft_between(geoms, geom_HW, face_HW, soft, i, j, g, face, edge, out):
    """Put into `out` (SOFT_COLUMNS,) the soft light of a pixel that is of a geom's side, or of the sky, out of that of
    the pixels about it for which it is known. Returns whether it can be had so: on an edge as soon as one of them is
    of the same flat side, else where all of them are."""
    if edge and g >= 0 and geoms[g, KIND] != BOX and geoms[g, KIND] != PLANE:
        return False
    many, clear = 0, 1.0
    for s in range(4):
        a, b = (i + (s & 1)) // 2, (j + (s >> 1)) // 2
        if 2 * a >= geom_HW.shape[0] or 2 * b >= geom_HW.shape[1]:
            continue
        if geom_HW[2 * a, 2 * b] == g and face_HW[2 * a, 2 * b] == face:
            for q in range(CLEAR):
                out[q] = (out[q] if many else 0.0) + soft[a, b, q]
            clear = min(clear, soft[a, b, CLEAR])
            many += 1
    if many == 0 or (many < 4 and not edge):
        return False
    for q in range(CLEAR):
        out[q] /= many
    out[CLEAR] = clear if many == 4 or g < 0 else 0.0
    return True


@inlined
def seen(
    geoms, surfaces, scene, lamps, volume, shadow, spans, encode, spheres, creatures, air, roof, soft, known,
    pose, g, t, dx, dy, dz,
):  # fmt: skip
    """(3) sRGB, as floats in [0, 255], of a ray that meets geom g at depth t, or the sky if g is -1. Soft light is
    what `soft` (SOFT_COLUMNS,) holds if it is `known`; else it is worked out and put there."""
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    vx, vy, vz = dx / length, dy / length, dz / length
    if g < 0:
        r, gr, b, cover = soft[0], soft[1], soft[2], soft[3]
        if not (known and soft[CLEAR] > 0.0):
            r, gr, b, cover = heaven(scene, vx, vy, vz)
        if starry(scene, vz):
            u, v = soft[4], soft[5]
            if not (known and soft[6] == 1.0):
                u, v = among_stars(vx, vy, vz)
            r, gr, b = starred(scene, vz, u, v, r, gr, b, cover)
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
    if not known:
        gather_soft(geoms, scene, lamps, volume, spheres, creatures, g, wx, wy, wz, mx, my, mz, soft)
    ar, ag, ab, ambient = soft[0], soft[1], soft[2], soft[3]
    r, gr, b = ar * ambient, ag * ambient, ab * ambient
    facing = mx * scene[SUN] + my * scene[SUN + 1] + mz * scene[SUN + 2]
    sun, shine = 0.0, 0.0
    if facing > 0.0:
        sun = sunlit(scene, shadow, spans, wx + 0.05 * mx, wy + 0.05 * my, wz + 0.05 * mz)
    if sun > 0.0 and not (known and soft[CLEAR] > 0.0):
        sun *= cast_on(scene, spheres, creatures, geoms[g, ENTITY], wx, wy, wz)
    if sun > 0.0:
        r += sun * facing * scene[SUNLIGHT]
        gr += sun * facing * scene[SUNLIGHT + 1]
        b += sun * facing * scene[SUNLIGHT + 2]
        if gloss > 0.0:
            hx, hy, hz = scene[SUN] - vx, scene[SUN + 1] - vy, scene[SUN + 2] - vz
            half = (mx * hx + my * hy + mz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
            shine = sun * gloss * 0.6 * max(half, 0.0) ** 40
    r, gr, b = r + soft[4], gr + soft[5], b + soft[6]
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
def gathered(geoms, count, lists, tile, column, row, pose, x, y, fx, fy, few):
    """What four rays through a pixel on an edge meet, each flat side once: fills the first rows of `few` and returns
    how many; the last four are for the rays."""
    reach = MISS
    for s in range(4, 8):
        rx = x + ((0.125 if s & 1 else -0.125) + (0.25 if s & 2 else -0.25)) / fx
        ry = y + ((0.25 if s & 1 else -0.25) - (0.125 if s & 2 else -0.125)) / fy
        few[s, WAY], few[s, WAY + 1], few[s, WAY + 2] = directed(pose, rx, ry)
        few[s, MET], few[s, DEEP] = -1.0, MISS
    for n in range(count[tile]):
        g = lists[tile, n]
        if geoms[g, CLOSEST] > reach:
            break
        if not within(geoms, g, column, row):
            continue
        met = False
        for s in range(4, 8):
            if geoms[g, CLOSEST] <= few[s, DEEP]:
                t = depth_of(geoms, g, few[s, WAY], few[s, WAY + 1], few[s, WAY + 2])
                if t < few[s, DEEP]:
                    few[s, MET], few[s, DEEP], met = g, t, True
        if met:
            reach = max(max(few[4, DEEP], few[5, DEEP]), max(few[6, DEEP], few[7, DEEP]))
    many = 0
    for s in range(4, 8):
        dx, dy, dz = few[s, WAY], few[s, WAY + 1], few[s, WAY + 2]
        g, t = int(few[s, MET]), few[s, DEEP]
        face = face_at(geoms, g, t, dx, dy, dz)
        k = 0
        while k < many and not (few[k, MET] == g and few[k, SIDE] == face):
            k += 1
        if k < many:
            few[k, WAY] += dx
            few[k, WAY + 1] += dy
            few[k, WAY + 2] += dz
            few[k, RAYS] += 1.0
        else:
            few[k, WAY], few[k, WAY + 1], few[k, WAY + 2] = dx, dy, dz
            few[k, MET], few[k, DEEP], few[k, SIDE], few[k, RAYS] = g, t, face, 1.0
            many += 1
    for k in range(many):
        if few[k, RAYS] > 1.0:
            for q in range(3):
                few[k, WAY + q] /= few[k, RAYS]
            g = int(few[k, MET])
            if g >= 0:  # a geom is convex: between rays that meet it is one that does
                t = depth_of(geoms, g, few[k, WAY], few[k, WAY + 1], few[k, WAY + 2])
                if t < MISS:
                    few[k, DEEP] = t
    return many


@kernel
def shade(
    geoms, count, lists, surfaces, scene, lamps, volume, shadow, spans, encode, spheres, creatures, air, roof,
    pose, rays_HW3, fx, fy, far, geom_HW, depth_HW, face_HW, few, soft, rgb, depth, entity,
):  # fmt: skip
    """Fill rgb (H, W, 3), depth (H, W) and entity (H, W).

    A pixel on an edge is seen by four rays; those that meet the same flat side are shaded once. Soft light, and the
    sky, are worked out for one pixel of four, and for the others they are the mean of those about them. `few` (8,
    FEW_COLUMNS) and `soft` (H / 2 + 1, W / 2 + 1, SOFT_COLUMNS) are scratch; `air` and `roof` are None in fair
    weather."""
    height, width = geom_HW.shape
    own = soft[soft.shape[0] - 1, soft.shape[1] - 1]
    soften(geoms, scene, lamps, volume, spheres, creatures, pose, rays_HW3, geom_HW, depth_HW, soft)
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
            x, y = rays_HW3[i, j, 0], rays_HW3[i, j, 1]
            many, rays = 1, 1.0
            if edge:
                tile = i // TILE_H * columns + j // TILE_W
                many, rays = gathered(geoms, count, lists, tile, j, i, pose, x, y, fx, fy, few), 4.0
            else:
                few[0, WAY], few[0, WAY + 1], few[0, WAY + 2] = directed(pose, x, y)
                few[0, MET], few[0, DEEP], few[0, SIDE], few[0, RAYS] = g, t, face, 1.0
            r, gr, b = 0.0, 0.0, 0.0
            for s in range(many):
                g = int(few[s, MET])
                known = soft_between(geoms, geom_HW, face_HW, soft, i, j, g, few[s, SIDE], edge, own)
                p, q, w = seen(
                    geoms, surfaces, scene, lamps, volume, shadow, spans, encode, spheres, creatures, air, roof,
                    own, known, pose, g, few[s, DEEP], few[s, WAY], few[s, WAY + 1], few[s, WAY + 2],
                )  # fmt: skip
                share = few[s, RAYS] / rays
                r, gr, b = r + share * p, gr + share * q, b + share * w
            rgb[i, j, 0] = int(r + 0.5)
            rgb[i, j, 1] = int(gr + 0.5)
            rgb[i, j, 2] = int(b + 0.5)
