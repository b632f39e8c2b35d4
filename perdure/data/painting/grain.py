"""What textures are made of: noise, lines and edges, each filtered by the size of a pixel."""

import numpy as np

from perdure.kernels import hashed, kernel


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
def speck(u, v, seed, share):
    """Noise, of which so much is kept."""
    return noise(u, v, seed) * share if share > 0.0 else 0.0


@kernel
def mottle(u, v, seed, share):
    """Noise about 0, of which so much is kept."""
    return (noise(u, v, seed) - 0.5) * share if share > 0.0 else 0.0


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
