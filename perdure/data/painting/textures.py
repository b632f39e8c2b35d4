"""Procedural textures, filtered by the size of a pixel on the surface, so that nothing shimmers far away.

A texture answers (a, b, tone): the colour is c0 mixed by `a` with c1, then by `b` with c2, times tone.
Coordinates u, v are in repeats; `fu`, `fv` are the extents of a pixel along them, `fw` the larger. Lines are
integrated exactly over the pixel (`lines`); differences between bricks, and noise, fade as they become smaller
than a pixel (`keep`).
Fitted textures take u, v in [-1, 1] over the face instead.
"""

import numpy as np

from perdure.data.painting.grain import keep, lines, mottle, noise, speck, step
from perdure.kernels import hashed, kernel

(
    PLAIN, PLASTER, BRICK, TILE, CHECKER, PLANK, MARBLE, GRASS, STONE, STRIPE, LEAF, METAL,
    RUG, EMBLEM, PICTURE, WATER, HEXAGON, CHEVRON, PANEL, ASHLAR, WINDOW,
    GRAVEL, COBBLE, SAND, SOIL, BARK, SHINGLE, THATCH, WEAVE, LATTICE, MOSS, MOSAIC, BOOKS, SNOW, ICE, CARPET,
    TERRAZZO, PARQUET, ROCK, ROSETTE, SHUTTER, POOL,
) = range(42)  # fmt: skip
"""In the order of `scene.TEXTURES`; a test holds the two together."""


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
def _cells(u, v, seed, share):
    """Voronoi: (distance between the two nearest centres' borders, hash of the nearest); nothing where none is kept."""
    if share <= 0.0:
        return 0.5, 0.5
    iu, iv = np.floor(u), np.floor(v)
    x0, y0 = u - iu, v - iv
    sx, sy = 1.0 if x0 > 0.5 else -1.0, 1.0 if y0 > 0.5 else -1.0
    first, second, tag = 9.0, 9.0, 0.0
    for n in range(3):  # the own cell, the nearer side, the farther one: most of the far ones cannot matter
        dj = 0.0 if n == 0 else (sy if n == 1 else -sy)
        low = 0.0 if n == 0 else (1.15 - y0 if dj > 0.0 else 0.15 + y0)
        if low * low >= second:
            continue
        for m in range(3):
            di = 0.0 if m == 0 else (sx if m == 1 else -sx)
            near = 0.0 if m == 0 else (1.15 - x0 if di > 0.0 else 0.15 + x0)
            if near * near + low * low >= second:
                continue
            a = hashed(iu + di, iv + dj, seed)
            x = iu + di + 0.15 + 0.7 * a - u
            if x * x + low * low >= second:
                continue
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
    if kind == ROSETTE:
        # Rings about a star of twelve points, and a fan in each corner.
        r, angle = np.sqrt(u * u + v * v), np.arctan2(v, u)
        rings = step(0.0, 0.95 - r, fw) - step(0.0, 0.86 - r, fw) + step(0.0, 0.2 - r, fw) - step(0.0, 0.12 - r, fw)
        fold = abs(angle / np.pi * 6.0 - np.round(angle / np.pi * 6.0))
        star = step(0.0, 0.8 - 0.9 * fold - r, fw)
        x, y = 1.0 - au, 1.0 - av
        fan = step(0.0, 0.34 - np.sqrt(x * x + y * y), fw) - step(0.0, 0.26 - np.sqrt(x * x + y * y), fw)
        return star, min(max(rings + fan + step(0.97, edge, fw), 0.0), 1.0), 1.0
    if kind == SHUTTER:
        # Two leaves of slats in frames.
        x = 1.0 - abs(2.0 * au - 1.0)
        slats = step(0.18, x, 2.0 * fw) * step(0.0, 0.86 - av, fw)
        gap = lines(6.0 * v, 0.22, 6.0 * fw) * slats
        sheen = (1.0 + 0.25 * (6.0 * v - np.floor(6.0 * v) - 0.5) * keep(6.0 * fw)) * slats + 1.0 - slats
        return slats, max(gap, step(0.0, 0.015 - au, fw)), sheen
    if kind == WINDOW:
        bars = max(step(0.0, 0.06 - au, fw), step(0.0, 0.05 - abs(av - 0.36), fw), step(0.88, edge, fw))
        return 0.5 - 0.5 * v, bars, 1.0
    # PANEL: a frame around two fields.
    x = 1.0 - abs(2.0 * au - 1.0) if kind == PANEL else au
    field = min(x, 1.0 - av)
    groove = step(0.16, field, fw) - step(0.24, field, fw)
    return step(0.24, field, fw), groove, 1.0


@kernel
def _grown(kind, u, v, fu, fv, fw, seed):
    """Ground, wood, roofs and cloth."""
    if kind == GRAVEL:
        fade = keep(7.0 * fw)
        border, tag = _cells(8.0 * u, 8.0 * v, seed, fade)
        dome = (min(border, 0.55) - 0.27) * fade
        patch = noise(0.8 * u, 0.8 * v, seed + 1) - 0.5
        pit = (1.0 - step(0.07, border, 8.0 * fw)) * fade * 0.6
        return (
            min(max(0.5 + (tag - 0.5) * 1.6 * fade + 0.3 * patch, 0.0), 1.0),
            pit + 0.12 * (1.0 - fade),
            1.0 + 0.7 * dome,
        )
    if kind == COBBLE:
        # Round heads in staggered rows.
        row = np.floor(3.0 * v)
        x = 3.0 * u + 0.5 * (int(row) & 1) + 0.25 * (hashed(row, 5, seed) - 0.5)
        tag = hashed(np.floor(x), row, seed)
        px, py = x - np.floor(x) - 0.5, 3.0 * v - row - 0.5
        fade = keep(3.6 * fw)
        round = px**4 + py**4
        size = 0.035 + 0.02 * tag
        joint = step(0.0, np.sqrt(np.sqrt(round)) - np.sqrt(np.sqrt(size)), 3.0 * fw) * fade + 0.25 * (1.0 - fade)
        dome = 1.0 - 2.2 * (px * px + py * py)
        return 0.5 + (tag - 0.5) * fade, joint, 1.0 + 0.3 * (dome - 0.7) * fade + 0.05 * py * fade
    if kind == SAND:
        w = noise(0.5 * u, 0.5 * v, seed)
        wave = np.sin(6.2832 * (2.2 * v + 0.35 * u + 1.7 * w)) * keep(3.0 * fw)
        grain = mottle(23.0 * u, 23.0 * v, seed + 1, keep(23.0 * fw))
        return min(max(w + 0.25 * wave, 0.0), 1.0), 0.0, 1.0 + 0.045 * wave + 0.10 * grain
    if kind == SOIL:
        clod = noise(2.0 * u, 2.0 * v, seed) + 0.5 * speck(5.0 * u, 5.0 * v, seed + 1, keep(5.0 * fw))
        fade = keep(7.0 * fw)
        border, tag = _cells(7.0 * u, 7.0 * v, seed, fade)
        bit = (step(0.86, tag, 0.02) * step(0.12, border, 7.0 * fw)) * fade
        grain = mottle(14.0 * u, 14.0 * v, seed + 2, keep(14.0 * fw))
        return min(max(1.3 * clod - 0.5, 0.0), 1.0), 0.7 * bit, 1.0 + 0.25 * grain
    if kind == BARK:
        # Ridges that run up, broken by cracks.
        x = 5.0 * u + 0.9 * noise(2.0 * u, 1.3 * v, seed)
        ridge = noise(2.0 * x, 0.9 * v, seed + 1)
        crack = noise(1.4 * x, 2.2 * v, seed + 2)
        fade = keep(9.0 * fu)
        groove = min(max((0.36 - ridge) * 5.0, 0.0), 1.0) * fade + 0.18 * (1.0 - fade)
        seam = min(max((0.24 - crack) * 6.0, 0.0), 1.0) * fade
        return (
            min(max(1.5 * noise(1.1 * u, 0.6 * v, seed + 3) - 0.25, 0.0), 1.0),
            max(groove, 0.8 * seam),
            0.9 + 0.3 * (ridge - 0.4) * fade,
        )
    if kind == SHINGLE:
        # Rows that overlap, each row's lower edge rounded and in the light, the one below in its shadow.
        row = np.floor(3.0 * v)
        x = 2.0 * u + 0.5 * (int(row) & 1)
        px, y = x - np.floor(x) - 0.5, 3.0 * v - row
        tag = hashed(np.floor(x), row, seed)
        fade = keep(3.4 * fw)
        lip = 0.32 * (1.0 - np.sqrt(max(1.0 - 3.2 * px * px, 0.0)))  # how high the tile's edge is here
        under = 1.0 - step(lip, y, 3.0 * fv)
        gap = lines(x + 0.02, 0.04, 2.0 * fu) * step(0.1, y, 3.0 * fv)
        other = hashed(np.floor(x + 0.5), row - 1.0, seed)
        tag = tag + (other - tag) * under
        shade = 0.62 * under + max(0.0, 0.3 - (y - lip)) * (1.0 - under) * -0.4
        return (
            0.5 + (tag - 0.5) * fade,
            gap * fade * 0.8 + 0.05 * (1.0 - fade),
            1.0 - (0.55 * shade + 0.12 * (y - 0.5)) * fade,
        )
    if kind == THATCH:
        row = np.floor(1.5 * v)
        ragged = 1.5 * v + 0.25 * noise(7.0 * u, 0.0, seed + int(row))
        y = ragged - np.floor(ragged)
        straw = mottle(26.0 * u, 2.2 * v, seed, keep(26.0 * fu))
        fine = mottle(61.0 * u, 4.0 * v, seed + 1, keep(61.0 * fu))
        edge = max(1.0 - 6.0 * y, 0.0) * keep(3.0 * fv)
        return (
            min(max(0.5 + 1.7 * straw, 0.0), 1.0),
            0.6 * edge,
            1.0 + 0.35 * fine + 0.2 * (y - 0.5) * keep(2.0 * fv),
        )
    if kind == WEAVE:
        # Threads over and under one another, in two colours.
        x, y = 14.0 * u, 14.0 * v
        i, j = np.floor(x), np.floor(y)
        fade = keep(14.0 * fw)
        over = (int(i) + int(j)) & 1
        p = x - i - 0.5 if over else y - j - 0.5
        along = y - j - 0.5 if over else x - i - 0.5
        bulge = 0.5 - 1.5 * p * p - 0.9 * along * along
        return 0.5 + (over - 0.5) * fade, 0.0, 1.0 + (0.5 * bulge - 0.12) * fade
    # LATTICE: slats crossing on the slant over what is behind.
    x, y = 2.0 * (u + v), 2.0 * (u - v)
    one, two = lines(x + 0.11, 0.22, 2.0 * (fu + fv)), lines(y + 0.11, 0.22, 2.0 * (fu + fv))
    fade = keep(3.0 * fw)
    px, py = x - np.round(x), y - np.round(y)
    front = 0.22 + (1.0 - step(0.11, abs(px), 2.0 * (fu + fv)) - 0.22) * fade
    sheen = 1.0 + (front * 0.5 * px + (1.0 - front) * (0.5 * py - 0.1)) * fade
    return 0.35 * two * (1.0 - front), (1.0 - one) * (1.0 - two), sheen


@kernel
def _laid(kind, u, v, fu, fv, fw, seed):
    """Stone, floors, shelves, snow and ice."""
    if kind == MOSS:
        cover = noise(0.9 * u, 0.9 * v, seed) + 0.6 * speck(2.4 * u, 2.4 * v, seed + 1, keep(2.4 * fw))
        tuft = mottle(9.0 * u, 9.0 * v, seed + 2, keep(9.0 * fw))
        fine = mottle(21.0 * u, 21.0 * v, seed + 3, keep(21.0 * fw))
        grow = min(max((cover + 0.35 * tuft - 0.72) * 4.0, 0.0), 1.0)
        worn = 0.25 * mottle(3.0 * u, 3.0 * v, seed + 4, keep(3.0 * fw))
        soft = 0.45 * tuft + 0.35 * fine
        return grow, 0.35 * (1.0 - grow) * noise(1.6 * u, 1.6 * v, seed + 5), 1.0 + soft * grow + worn * (1.0 - grow)
    if kind == MOSAIC:
        # Small stones; waves of one colour through the other, and single bright ones.
        x, y = 9.0 * u, 9.0 * v
        i, j = np.floor(x), np.floor(y)
        fade = keep(9.0 * fw)
        tag = hashed(i, j, seed)
        wave = noise(0.11 * i, 0.11 * j, seed + 1) * 3.0 + 0.08 * (tag - 0.5)
        band = wave - np.floor(wave)
        side = 1.0 if band < 0.5 else 0.0
        joint = max(lines(x + 0.06, 0.12, 9.0 * fu), lines(y + 0.06, 0.12, 9.0 * fv))
        bright = 0.75 if abs(band - 0.5) < 0.07 else 0.0
        return (
            0.5 + (side - 0.5) * fade,
            bright * (1.0 - joint) * fade,
            (1.0 - 0.5 * joint) * (1.0 + 0.35 * (tag - 0.5) * fade),
        )
    if kind == BOOKS:
        # A shelf a repeat; spines of their own width, height and colour, some with bands.
        shelf = np.floor(v)
        y = v - shelf
        x = 9.0 * u + hashed(shelf, 3, seed)
        i = np.floor(x)
        tag, tall = hashed(i, shelf, seed), 0.66 + 0.22 * hashed(i, shelf, seed + 1)
        px = x - i - 0.5
        fade = keep(7.0 * fu)
        board = 1.0 - step(0.08, y, fv)
        air = step(tall, y, fv) * step(0.08, y, fv)
        gap = lines(x + 0.05, 0.1, 9.0 * fu) * fade
        band = (step(tall - 0.16, y, fv) - step(tall - 0.11, y, fv)) * (1.0 if tag > 0.35 else 0.0) * fade
        dark = max(air, gap) * (1.0 - board)
        spine = 1.0 - 1.6 * px * px * fade
        bold = 0.55 + 0.9 * hashed(i, shelf, seed + 2)
        light = (1.0 + (bold - 1.0) * fade * (1.0 - board)) * spine
        return (
            0.5 + (np.round(2.0 * tag) * 0.5 - 0.5) * fade,
            max(0.55 * band, max(0.9 * dark, board)),
            (light * (1.0 - 0.8 * dark) + 0.25 * band),
        )
    if kind == SNOW:
        drift = noise(0.5 * u, 0.5 * v, seed) + 0.4 * noise(1.7 * u, 1.7 * v, seed + 1)
        grain = mottle(17.0 * u, 17.0 * v, seed + 2, keep(17.0 * fw))
        glint = 1.0 if hashed(np.floor(40.0 * u), np.floor(40.0 * v), seed) > 0.985 else 0.0
        return min(max(drift - 0.2, 0.0), 1.0), glint * keep(40.0 * fw), 1.0 + 0.06 * grain
    if kind == ICE:
        border, tag = _cells(0.9 * u + 0.3 * noise(2.0 * u, 2.0 * v, seed), 0.9 * v, seed, 1.0)
        fade = keep(1.2 * fw)
        crack = (1.0 - step(0.03, border, fw)) * fade
        cloud = noise(1.2 * u, 1.2 * v, seed + 1) + 0.4 * speck(4.0 * u, 4.0 * v, seed + 2, keep(4.0 * fw))
        scratch = max(noise(1.5 * u + 9.0 * v, 0.4 * v, seed + 3) - 0.78, 0.0) * 2.0 * keep(9.0 * fw)
        return min(max(1.2 * cloud - 0.35 + 0.15 * (tag - 0.5), 0.0), 1.0), max(0.8 * crack, scratch), 1.0
    if kind == CARPET:
        # Diamonds in a field, one a repeat, with small ones between, woven.
        x, y = abs(u - np.round(u)), abs(v - np.round(v))
        p, q = 0.5 - x, 0.5 - y
        one = step(0.0, 0.4 - x - y, fw) - step(0.0, 0.3 - x - y, fw) + step(0.0, 0.14 - x - y, fw)
        two = step(0.0, 0.2 - p - q, fw) - step(0.0, 0.1 - p - q, fw)
        inner = step(0.0, 0.3 - x - y, fw) - step(0.0, 0.14 - x - y, fw)
        pile = mottle(30.0 * u, 30.0 * v, seed, keep(30.0 * fw))
        fade = keep(1.6 * fw)
        return (
            min(inner + two, 1.0) * fade + 0.25 * (1.0 - fade),
            min(one, 1.0) * fade + 0.25 * (1.0 - fade),
            1.0 + 0.2 * pile,
        )
    if kind == TERRAZZO:
        fade = keep(4.0 * fw)
        border, tag = _cells(4.0 * u, 4.0 * v, seed, fade)
        chip = step(0.18 + 0.2 * hashed(tag * 977.0, 3, seed), border, 4.0 * fw) * (1.0 if tag < 0.72 else 0.0)
        chip = chip * fade + 0.3 * (1.0 - fade)
        dust = 0.08 * mottle(15.0 * u, 15.0 * v, seed + 1, keep(15.0 * fw))
        second = 1.0 if tag < 0.3 else 0.0
        return chip * (1.0 - second * fade), chip * second * fade + 0.12 * (1.0 - fade), 1.0 + dust
    if kind == PARQUET:
        # Squares of three staves, every second one turned.
        i, j = np.floor(u), np.floor(v)
        turned = (int(i) + int(j)) & 1
        x, y = (v - j, u - i) if turned else (u - i, v - j)
        fx, fy = (fv, fu) if turned else (fu, fv)
        stave = np.floor(3.0 * y)
        tag = hashed(3.0 * i + stave, j, seed + turned)
        fade = keep(3.0 * fw)
        grain = mottle(2.0 * x + 5.0 * tag, 22.0 * y, seed + int(stave), keep(14.0 * fw))
        gap = max(lines(3.0 * y + 0.02, 0.04, 3.0 * fy), lines(x + 0.008, 0.016, fx))
        return 0.5 + (0.75 * tag + 0.25 * turned - 0.5) * fade, 0.8 * gap, 1.0 + 0.16 * grain
    if kind == POOL:
        # What lies below: deep and shallow, and light that the waves gather on the ground.
        w = noise(0.45 * u, 0.45 * v, seed)
        x = 1.6 * u + 0.5 * noise(1.1 * u, 1.1 * v, seed + 1)
        fade = keep(1.8 * fw)
        border, _ = _cells(x, 1.6 * v + 0.5 * noise(1.1 * u, 1.1 * v, seed + 2), seed, fade)
        return min(max(1.5 * w - 0.25, 0.0), 1.0), 0.4 * max(1.0 - 7.0 * border, 0.0) * fade, 1.0
    # ROCK: layers that bend, and cracks.
    bend = noise(0.7 * u, 0.7 * v, seed) + 0.5 * noise(1.9 * u, 1.9 * v, seed + 1)
    layer = noise(0.3 * u, 3.2 * v + 1.6 * bend, seed + 2)
    rough = mottle(6.0 * u, 6.0 * v, seed + 3, keep(6.0 * fw))
    fade = keep(1.2 * fw)
    border, _ = _cells(0.8 * u + 0.25 * bend, 0.8 * v + 0.25 * rough, seed, fade)
    crack = (1.0 - step(0.012, border, fw)) * fade * min(1.6 * bend, 1.0)
    return (
        min(max(1.6 * layer - 0.3, 0.0), 1.0),
        0.85 * crack,
        1.0 + 0.3 * rough + 0.2 * (bend - 0.75) * fade,
    )


@kernel
def texture(kind, u, v, fu, fv, seed):
    fw = max(fu, fv)
    if kind == PLAIN:
        return 0.0, 0.0, 1.0
    if (
        kind == RUG
        or kind == EMBLEM
        or kind == PICTURE
        or kind == PANEL
        or kind == WINDOW
        or kind == ROSETTE
        or kind == SHUTTER
    ):
        return _fitted(kind, u, v, fw, seed)
    if kind >= MOSS:
        return _laid(kind, u, v, fu, fv, fw, seed)
    if kind >= GRAVEL:
        return _grown(kind, u, v, fu, fv, fw, seed)
    if kind == PLASTER:
        blotch = noise(0.7 * u, 0.7 * v, seed)
        fine = mottle(3.1 * u, 3.1 * v, seed + 1, keep(3.0 * fw))
        return min(max(1.6 * blotch - 0.3, 0.0), 1.0), 0.0, 1.0 + 0.07 * fine
    if kind == BRICK:
        tag, mortar, bevel = _courses(u, v, seed, fu, fv, 0.11, 0.0)
        fade = keep(1.5 * fw)
        return 0.5 + (tag - 0.5) * fade, mortar, 1.0 + 0.14 * bevel * fade
    if kind == ASHLAR:
        tag, mortar, bevel = _courses(u, v, seed, fu, fv, 0.06, 0.6)
        fade = keep(1.5 * fw)
        worn = 0.10 * mottle(2.3 * u, 2.3 * v, seed + 5, keep(2.3 * fw))
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
        grain = mottle(3.0 * x, 26.0 * v, seed + int(row), keep(14.0 * fw))
        tag = hashed(np.floor(x), row, seed)
        return 0.5 + (tag - 0.5) * fade, gap, 1.0 + 0.16 * grain
    if kind == MARBLE:
        w = noise(1.3 * u, 1.3 * v, seed) + 0.4 * noise(3.0 * u, 3.0 * v, seed + 1)
        vein = 1.0 - abs(np.sin(3.1416 * (0.55 * u + 0.8 * v + 2.2 * w)))
        vein = vein * vein * vein * keep(0.8 * fw)
        return min(w * 0.8, 1.0), 0.55 * vein, 1.0
    if kind == GRASS:
        patch = noise(0.6 * u, 0.6 * v, seed)
        tuft = mottle(4.0 * u, 4.0 * v, seed + 1, keep(4.0 * fw))
        blade = mottle(11.0 * u, 11.0 * v, seed + 2, keep(11.0 * fw))
        flower = hashed(np.floor(2.2 * u), np.floor(2.2 * v), seed + 9)
        x, y = 2.2 * u - np.floor(2.2 * u) - 0.5, 2.2 * v - np.floor(2.2 * v) - 0.5
        petal = step(0.0, 0.14 - np.sqrt(x * x + y * y), 2.2 * fw) * keep(2.2 * fw) if flower > 0.9 else 0.0
        return min(max(1.5 * patch - 0.25, 0.0), 1.0), petal, 1.0 + 0.22 * tuft + 0.12 * blade
    if kind == STONE:
        fade = keep(1.2 * fw)
        border, tag = _cells(u, v, seed, fade)
        joint = (1.0 - step(0.09, border, fw)) * fade + 0.16 * (1.0 - fade)
        dome = min(border, 0.5) - 0.25
        return 0.5 + (tag - 0.5) * fade, joint, 1.0 + 0.25 * dome * fade
    if kind == STRIPE:
        return lines(u, 0.5, fu), 0.0, 1.0
    if kind == LEAF:
        clump = noise(1.1 * u, 1.1 * v, seed)
        fade = keep(2.4 * fw)
        border, tag = _cells(2.0 * u, 2.0 * v, seed, fade)
        shade = 0.5 * (1.0 - min(4.0 * border, 1.0)) * fade
        return min(max(0.75 * clump + (tag - 0.5) * fade * 0.7 + 0.1, 0.0), 1.0), shade, 1.0
    if kind == METAL:
        brushed = mottle(1.2 * u, 9.0 * v, seed, keep(9.0 * fw))
        seam = max(lines(u + 0.02, 0.04, fu), lines(v + 0.02, 0.04, fv))
        return noise(u, v, seed + 2), seam, 1.0 + 0.1 * brushed
    if kind == WATER:
        w = noise(2.0 * u, 2.0 * v, seed) + 0.5 * speck(4.3 * u, 4.3 * v, seed + 1, keep(4.3 * fw))
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
