"""Procedural textures, filtered by the size of a pixel on the surface, so that nothing shimmers far away.

A texture answers (a, b, tone): the colour is c0 mixed by `a` with c1, then by `b` with c2, times tone.
Coordinates u, v are in repeats; `fu`, `fv` are the extents of a pixel along them, `fw` the larger. Lines are
integrated exactly over the pixel (`lines`); differences between bricks, and noise, fade as they become smaller
than a pixel (`keep`).
Fitted textures take u, v in [-1, 1] over the face instead.
"""

import numpy as np

from perdure.data.painting.kernels import kernel

(
    PLAIN, PLASTER, BRICK, TILE, CHECKER, PLANK, MARBLE, GRASS, STONE, STRIPE, LEAF, METAL,
    RUG, EMBLEM, PICTURE, WATER, HEXAGON, CHEVRON, PANEL, ASHLAR, WINDOW,
) = range(21)  # fmt: skip
"""In the order of `scene.TEXTURES`; a test holds the two together."""


@kernel
def hashed(i, j, seed):
    """A number in [0, 1) for a cell."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(seed) * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 1103515245) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@kernel
def noise(u, v, seed):
    """Smooth value noise in [0, 1], one blob a unit."""
    i, j = np.floor(u), np.floor(v)
    x, y = u - i, v - j
    x, y = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y)
    a = hashed(i, j, seed) * (1.0 - x) + hashed(i + 1.0, j, seed) * x
    b = hashed(i, j + 1.0, seed) * (1.0 - x) + hashed(i + 1.0, j + 1.0, seed) * x
    return a * (1.0 - y) + b * y


@kernel
def keep(fw):
    """How much of a detail one unit wide is left when a pixel is `fw` units wide."""
    return min(max(1.4 - 1.6 * fw, 0.0), 1.0)


@kernel
def lines(x, width, fw):
    """Share of the pixel covered by lines `width` wide, one a unit, starting at each integer: an exact box filter."""
    fw = max(fw, 1e-4)
    p, q = x + 0.5 * fw, x - 0.5 * fw
    fp, fq = np.floor(p), np.floor(q)
    return (fp * width + min(p - fp, width) - fq * width - min(q - fq, width)) / fw


@kernel
def step(edge, x, fw):
    """0 below the edge, 1 above, a ramp one pixel wide between."""
    return min(max((x - edge) / max(fw, 1e-4) + 0.5, 0.0), 1.0)


@kernel
def _courses(u, v, seed, fu, fv, joint, ragged):
    """Blocks two to one, in courses that are staggered: (hash of the block, mortar, bevel)."""
    row = np.floor(2.0 * v)
    shift = 0.5 * (int(row) & 1) + ragged * hashed(row, 7, seed)
    x, y = u + shift, 2.0 * v
    mortar = max(lines(x + 0.25 * joint, 0.5 * joint, fu), lines(y + 0.5 * joint, joint, 2.0 * fv))
    bevel = lines(y + 2.0 * joint, joint, 2.0 * fv) - lines(y - 0.8 * joint, joint, 2.0 * fv)
    return hashed(np.floor(x), row, seed), mortar, bevel


@kernel
def _cells(u, v, seed):
    """Voronoi: (distance between the two nearest centres' borders, hash of the nearest)."""
    iu, iv = np.floor(u), np.floor(v)
    first, second, tag = 9.0, 9.0, 0.0
    for dj in range(-1, 2):
        for di in range(-1, 2):
            a = hashed(iu + di, iv + dj, seed)
            x = iu + di + 0.15 + 0.7 * a - u
            y = iv + dj + 0.15 + 0.7 * hashed(iu + di, iv + dj, seed + 31) - v
            d = x * x + y * y
            if d < first:
                second, first, tag = first, d, a
            elif d < second:
                second = d
    return np.sqrt(second) - np.sqrt(first), tag


@kernel
def _fitted(kind, u, v, fw, seed):
    """Textures of one whole face, u and v in [-1, 1], v upward."""
    au, av = abs(u), abs(v)
    edge = max(au, av)
    if kind == RUG:
        bands = step(0.72, edge, fw) - step(0.84, edge, fw) + step(0.94, edge, fw)
        diamond = step(0.0, 0.62 - au - av, fw) - step(0.0, 0.40 - au - av, fw) + step(0.0, 0.2 - au - av, fw)
        return step(0.6, edge, fw), min(bands + diamond, 1.0), 1.0
    if kind == EMBLEM:
        sign = seed % 6
        if sign == 0:
            r = np.sqrt(u * u + v * v)
            mark = step(0.0, 0.58 - r, fw) - step(0.0, 0.34 - r, fw) + step(0.0, 0.16 - r, fw)
        elif sign == 1:
            mark = max(step(0.0, 0.2 - au, fw), step(0.0, 0.2 - av, fw))
        elif sign == 2:
            w = v + 0.75 * au
            mark = step(-0.1, w, fw) - step(0.3, w, fw)
        elif sign == 3:
            mark = step(0.0, 0.62 - au - av, fw) - step(0.0, 0.28 - au - av, fw)
        elif sign == 4:
            angle = np.arctan2(v, u)
            mark = step(0.0, 0.42 + 0.2 * np.cos(5.0 * angle - 1.5708) - np.sqrt(u * u + v * v), fw)
        else:
            mark = step(0.0, 0.5 - lines(1.5 * v + 0.25, 0.5, 1.5 * fw), 0.5) * 0.9
        return mark * step(0.0, 0.85 - edge, fw), step(0.86, edge, fw), 1.0
    if kind == PICTURE:
        frame = step(0.84, edge, fw)
        s = 0.37 * (seed % 17)
        hills = 0.02 + 0.22 * np.sin(2.6 * u + s) + 0.1 * np.sin(5.3 * u + 2.0 * s)
        near = -0.42 + 0.16 * np.sin(3.4 * u + 3.0 * s)
        x, y = u - 0.5 * np.sin(5.0 * s), v - 0.42
        disc = step(0.0, 0.2 - np.sqrt(x * x + y * y), fw) * step(hills, v, fw)
        land = 1.0 - step(hills, v, fw)
        front = 1.0 - step(near, v, fw)
        tone = (1.0 + 0.18 * v) * (1.0 - 0.45 * front) * (1.0 - 0.8 * frame)
        return land, disc, tone
    if kind == WINDOW:
        bars = max(step(0.0, 0.06 - au, fw), step(0.0, 0.05 - abs(av - 0.36), fw), step(0.88, edge, fw))
        return 0.5 - 0.5 * v, bars, 1.0
    # PANEL: a frame around two fields.
    x = 1.0 - abs(2.0 * au - 1.0) if kind == PANEL else au
    field = min(x, 1.0 - av)
    groove = step(0.16, field, fw) - step(0.24, field, fw)
    return step(0.24, field, fw), groove, 1.0


@kernel
def texture(kind, u, v, fu, fv, seed):
    fw = max(fu, fv)
    if kind == PLAIN:
        return 0.0, 0.0, 1.0
    if kind == RUG or kind == EMBLEM or kind == PICTURE or kind == PANEL or kind == WINDOW:
        return _fitted(kind, u, v, fw, seed)
    if kind == PLASTER:
        blotch = noise(0.7 * u, 0.7 * v, seed)
        fine = (noise(3.1 * u, 3.1 * v, seed + 1) - 0.5) * keep(3.0 * fw)
        return min(max(1.6 * blotch - 0.3, 0.0), 1.0), 0.0, 1.0 + 0.07 * fine
    if kind == BRICK:
        tag, mortar, bevel = _courses(u, v, seed, fu, fv, 0.11, 0.0)
        fade = keep(1.5 * fw)
        return 0.5 + (tag - 0.5) * fade, mortar, 1.0 + 0.14 * bevel * fade
    if kind == ASHLAR:
        tag, mortar, bevel = _courses(u, v, seed, fu, fv, 0.06, 0.6)
        fade = keep(1.5 * fw)
        worn = 0.10 * (noise(2.3 * u, 2.3 * v, seed + 5) - 0.5) * keep(2.3 * fw)
        return 0.5 + (tag - 0.5) * fade, mortar, 1.0 + 0.16 * bevel * fade + worn
    if kind == TILE:
        fade = keep(1.5 * fw)
        tag = hashed(np.floor(u), np.floor(v), seed)
        grout = max(lines(u + 0.025, 0.05, fu), lines(v + 0.025, 0.05, fv))
        return 0.5 + (tag - 0.5) * fade, grout, 1.0
    if kind == CHECKER:
        a, b = lines(0.5 * u, 0.5, 0.5 * fu), lines(0.5 * v, 0.5, 0.5 * fv)
        grout = max(lines(u + 0.02, 0.04, fu), lines(v + 0.02, 0.04, fv))
        tag = (hashed(np.floor(u), np.floor(v), seed) - 0.5) * keep(1.5 * fw)
        return a + b - 2.0 * a * b, grout, 1.0 + 0.1 * tag
    if kind == PLANK:
        row = np.floor(4.0 * v)
        x = u + hashed(row, 3, seed)
        fade = keep(4.0 * fw)
        gap = max(lines(4.0 * v + 0.04, 0.08, 4.0 * fv), lines(x + 0.008, 0.016, fu))
        grain = (noise(3.0 * x, 26.0 * v, seed + int(row)) - 0.5) * keep(14.0 * fw)
        tag = hashed(np.floor(x), row, seed)
        return 0.5 + (tag - 0.5) * fade, gap, 1.0 + 0.16 * grain
    if kind == MARBLE:
        w = noise(1.3 * u, 1.3 * v, seed) + 0.4 * noise(3.0 * u, 3.0 * v, seed + 1)
        vein = 1.0 - abs(np.sin(3.1416 * (0.55 * u + 0.8 * v + 2.2 * w)))
        vein = vein * vein * vein * keep(0.8 * fw)
        return min(w * 0.8, 1.0), 0.55 * vein, 1.0
    if kind == GRASS:
        patch = noise(0.6 * u, 0.6 * v, seed)
        tuft = (noise(4.0 * u, 4.0 * v, seed + 1) - 0.5) * keep(4.0 * fw)
        blade = (noise(11.0 * u, 11.0 * v, seed + 2) - 0.5) * keep(11.0 * fw)
        flower = hashed(np.floor(2.2 * u), np.floor(2.2 * v), seed + 9)
        x, y = 2.2 * u - np.floor(2.2 * u) - 0.5, 2.2 * v - np.floor(2.2 * v) - 0.5
        petal = step(0.0, 0.14 - np.sqrt(x * x + y * y), 2.2 * fw) * keep(2.2 * fw) if flower > 0.9 else 0.0
        return min(max(1.5 * patch - 0.25, 0.0), 1.0), petal, 1.0 + 0.22 * tuft + 0.12 * blade
    if kind == STONE:
        border, tag = _cells(u, v, seed)
        fade = keep(1.2 * fw)
        joint = (1.0 - step(0.09, border, fw)) * fade + 0.16 * (1.0 - fade)
        dome = min(border, 0.5) - 0.25
        return 0.5 + (tag - 0.5) * fade, joint, 1.0 + 0.25 * dome * fade
    if kind == STRIPE:
        return lines(u, 0.5, fu), 0.0, 1.0
    if kind == LEAF:
        clump = noise(1.1 * u, 1.1 * v, seed)
        border, tag = _cells(2.0 * u, 2.0 * v, seed)
        fade = keep(2.4 * fw)
        shade = 0.5 * (1.0 - min(4.0 * border, 1.0)) * fade
        return min(max(0.75 * clump + (tag - 0.5) * fade * 0.7 + 0.1, 0.0), 1.0), shade, 1.0
    if kind == METAL:
        brushed = (noise(1.2 * u, 9.0 * v, seed) - 0.5) * keep(9.0 * fw)
        seam = max(lines(u + 0.02, 0.04, fu), lines(v + 0.02, 0.04, fv))
        return noise(u, v, seed + 2), seam, 1.0 + 0.1 * brushed
    if kind == WATER:
        w = noise(2.0 * u, 2.0 * v, seed) + 0.5 * noise(4.3 * u, 4.3 * v, seed + 1) * keep(4.3 * fw)
        crest = 1.0 - abs(2.0 * w - 1.5)
        return min(max(w - 0.3, 0.0), 1.0), 0.6 * max(crest - 0.75, 0.0) * 4.0 * keep(2.0 * fw), 1.0
    if kind == HEXAGON:
        # Two interleaved lattices of centres; the nearer one owns the point.
        x, y = u, v / 1.7320508
        ax, ay = np.floor(x + 0.5), np.floor(y + 0.5)
        bx, by = np.floor(x) + 0.5, np.floor(y) + 0.5
        da = (x - ax) ** 2 + 3.0 * (y - ay) ** 2
        db = (x - bx) ** 2 + 3.0 * (y - by) ** 2
        cx, cy = (ax, ay) if da < db else (bx, by)
        px, py = abs(x - cx), abs(y - cy) * 1.7320508
        border = 0.5 - max(px, 0.5 * px + 0.8660254 * py)
        fade = keep(1.5 * fw)
        tag = hashed(2.0 * cx, 2.0 * cy, seed)
        grout = (1.0 - step(0.03, border, fw)) * fade + 0.1 * (1.0 - fade)
        return 0.5 + ((1.0 if tag > 0.62 else 0.0) - 0.5) * fade, grout, 1.0
    # CHEVRON
    zig = v + abs(2.0 * (0.5 * u - np.floor(0.5 * u)) - 1.0)
    return lines(zig, 0.5, 1.5 * fw), 0.0, 1.0
