"""The sky: how it looks along a ray, what water mirrors of it, and what lies open to it."""

import numpy as np

from perdure.data.painting.grain import noise
from perdure.data.painting.tables import (
    CLOUDLIGHT,
    CLOUDS,
    HORIZON,
    ROOF_CELL,
    ROOF_CORNER,
    SKY_SEED,
    STARS,
    SUN,
    SUNLIGHT,
    ZENITH,
)
from perdure.kernels import hashed, inlined, kernel


@inlined
def among_stars(dx, dy, dz):
    """(2) where a direction leads to on a cylinder's side, in cells of at most a star each."""
    return np.arctan2(dy, dx) * 18.0, np.arcsin(min(dz, 1.0)) * 18.0


@kernel
def starlight(u, v, dz):
    """One star in some cells of the sky, no smaller than a pixel of an ordinary picture."""
    # The cells are squeezed toward the top so that stars are as dense everywhere.
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
def heaven(scene, dx, dy, dz):
    """(3 + 1) the sky along a unit direction but for its stars, and the share of it that clouds cover."""
    mix = np.sqrt(max(dz, 0.0))
    r = scene[HORIZON] + (scene[ZENITH] - scene[HORIZON]) * mix
    g = scene[HORIZON + 1] + (scene[ZENITH + 1] - scene[HORIZON + 1]) * mix
    b = scene[HORIZON + 2] + (scene[ZENITH + 2] - scene[HORIZON + 2]) * mix
    toward = dx * scene[SUN] + dy * scene[SUN + 1] + dz * scene[SUN + 2]
    cover = 0.0
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
    if toward > 0.0:
        halo = toward**6 * 0.10 + toward**48 * 0.35
        halo += 3.0 * min(max((toward - 0.9985) * 1500.0, 0.0), 1.0)
        r, g, b = r + halo * scene[SUNLIGHT], g + halo * scene[SUNLIGHT + 1], b + halo * scene[SUNLIGHT + 2]
    return r, g, b, cover


@inlined
def starred(scene, dz, u, v, r, g, b, cover):
    """(3) the sky with its stars, where clouds leave them to be seen; u, v is where it lies among them."""
    star = (1.0 - cover) * starlight(u, v, dz) * scene[STARS]
    return r + 0.95 * star, g + star, b + 1.1 * star


@inlined
def starry(scene, dz):
    """Whether there may be stars so high."""
    return scene[STARS] > 0.0 and scene[CLOUDS] > 0.0 and dz > 0.01


@inlined
def sky(scene, dx, dy, dz):
    """(3) the sky along a unit direction."""
    r, g, b, cover = heaven(scene, dx, dy, dz)
    if starry(scene, dz):
        u, v = among_stars(dx, dy, dz)
        r, g, b = starred(scene, dz, u, v, r, g, b, cover)
    return r, g, b


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
