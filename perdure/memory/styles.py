"""Styles: a whole picture as old games, pencils or old prints would have it. They are part of a world's setting, so its
view is shown in them as the playground's pictures are.

Shapes: H height, W width.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from perdure.kernels import hashed, kernel, kernel_that_allocates


def styled(
    styles: Iterable[tuple[str | float, float]],
    colour: NDArray[np.uint8],
    depth: NDArray[np.float32],
    entity: NDArray[np.uint8],
) -> None:
    """A picture (H, W, 3) in these styles, each by so much, in place; depth (H, W) and entities (H, W) stay."""
    for name, weight in styles:
        if name == "pixel":
            _pixels(colour, max(colour.shape[0] // 48, 2), weight)
        elif name == "sepia":
            _browned(colour, weight)
        elif name == "sketch":
            colour[:] = _sketched(colour, depth, entity, weight)


@kernel
def _browned(colour, weight):
    """An old print: browns, darker toward the corners."""
    height, width = colour.shape[:2]
    for i in range(height):
        y = 2.0 * i / max(height - 1, 1) - 1.0
        for j in range(width):
            x = 2.0 * j / max(width - 1, 1) - 1.0
            grey = 0.3 * colour[i, j, 0] + 0.59 * colour[i, j, 1] + 0.11 * colour[i, j, 2]
            grey = (grey * 0.92 + 14.0) * (1.0 - 0.16 * (x * x + y * y))
            for k in range(3):
                tint, lift = (1.08, 12.0) if k == 0 else ((0.92, 6.0) if k == 1 else (0.70, 0.0))
                brown = min(grey * tint + lift, 255.0)
                colour[i, j, k] = int(np.rint(colour[i, j, k] + (brown - colour[i, j, k]) * weight))


@kernel_that_allocates
def _pixels(colour, size, weight):
    """Blocks of a few colours, between which a pattern of four by four decides."""
    height, width = colour.shape[:2]
    bayer = np.array([0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5])
    for i in range(0, height, size):
        for j in range(0, width, size):
            end_i, end_j = min(i + size, height), min(j + size, width)
            nudge = (bayer[(i // size) % 4 * 4 + (j // size) % 4] + 0.5) / 16.0 - 0.5
            for k in range(3):
                total = 0.0
                for y in range(i, end_i):
                    for x in range(j, end_j):
                        total += colour[y, x, k]
                mean = total / ((end_i - i) * (end_j - j))
                level = min(max(np.floor(mean / 255.0 * 7.0 + 0.5 + 0.2 * nudge), 0.0), 7.0) / 7.0 * 255.0
                for y in range(i, end_i):
                    for x in range(j, end_j):
                        colour[y, x, k] = int(colour[y, x, k] + (level - colour[y, x, k]) * weight + 0.5)


@kernel_that_allocates
def _sketched(colour, depth, entity, weight):
    """Pencil on paper: outlines where depth or entities change, and hatching where it is dark."""
    height, width = depth.shape
    out = colour.copy()
    grey, close = np.empty((height, width)), np.empty((height, width))
    for i in range(height):
        for j in range(width):
            close[i, j] = 1.0 / depth[i, j]
            grey[i, j] = (0.3 * colour[i, j, 0] + 0.59 * colour[i, j, 1] + 0.11 * colour[i, j, 2]) / 255.0
    for i in range(height):
        up, low = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            here = close[i, j]
            bend = abs(close[up, j] + close[low, j] - 2.0 * here)
            bend += abs(close[i, left] + close[i, right] - 2.0 * here)
            line = min(max(bend / here * 9.0 - 0.25, 0.0), 1.0)
            if entity[i, right] != entity[i, j] or entity[low, j] != entity[i, j]:
                line = 1.0
            change = abs(grey[i, right] - grey[i, left]) + abs(grey[low, j] - grey[up, j])
            line = max(line, min(max(3.2 * change - 0.35, 0.0), 0.85))
            ink = 0.0
            wobble = 1.5 * hashed(i // 3, j // 3, 81)
            for layer in range(3):
                dark = min(max((0.62 - 0.19 * layer - grey[i, j]) * 5.0, 0.0), 1.0)
                if dark * 0.55 <= ink:
                    continue
                phase = (i + j if layer == 0 else (i - j if layer == 1 else 2.0 * i)) + wobble
                stroke = 0.5 + 0.5 * np.cos(6.2832 * phase / 5.0)
                ink = max(ink, dark * stroke * 0.55)
            paper = 244.0 - 9.0 * hashed(i, j, 82)
            tone = paper * (1.0 - max(0.82 * line, ink)) * (0.82 + 0.18 * min(1.4 * grey[i, j], 1.0))
            for k in range(3):
                value = tone * (1.0 if k == 0 else (0.985 if k == 1 else 0.95)) + 22.0 * max(line, ink)
                out[i, j, k] = int(colour[i, j, k] + (min(value, 255.0) - colour[i, j, k]) * weight + 0.5)
    return out
