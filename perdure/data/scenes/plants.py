"""Plants: trees of kinds that can be told apart, hedges, and beds of flowers."""

from collections.abc import Sequence

import numpy as np

from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import Surface, plain

FLOWERS = (
    ("#d8323f", "#f2b5c4", "#f4efe0"),
    ("#6a4fb3", "#b79be0", "#f2e6b0"),
    ("#e8862a", "#f5cf4a", "#c23b2e"),
    ("#d860a0", "#f4b0cc", "#8a3a78"),
    ("#3f6fc0", "#9cc3ee", "#f6f0d8"),
    ("#f0c030", "#f7e9a0", "#e07a2a"),
)
FLOWER_WORDS = ("red", "violet", "orange", "pink", "blue", "yellow")


def greens(blocks: Blocks, s: int, tint: int = 0) -> None:
    """The surfaces that plants are made of: hedge, crown, needle, bark, birch, lawn, soil; `tint` varies the greens."""
    crowns = (
        ("#3f7d36", "#6fa946", "#1f4a25"),
        ("#4d8038", "#88b04e", "#274d22"),
        ("#2f7446", "#5fa35c", "#173f2c"),
        ("#5b8234", "#9ab552", "#34501f"),
    )
    lawns = (
        ("#64873f", "#7f9c4c", "#e9e0a0"),
        ("#6f8f48", "#8aa458", "#efe9b8"),
        ("#57834a", "#719a58", "#e6e8b4"),
        ("#768f4c", "#94a65c", "#eee2a0"),
    )
    blocks.surface("hedge", Surface("leaf", crowns[(tint + 2) % 4], 0.16, s))
    blocks.surface("crown", Surface("leaf", crowns[tint % 4], 0.22, s + 1))
    blocks.surface("needle", Surface("leaf", ("#2a5a40", "#427852", "#15362a"), 0.17, s + 2))
    blocks.surface("lawn", Surface("grass", lawns[tint % 4], 1.0, s + 3))
    blocks.surface("bark", Surface("bark", ("#6b4d36", "#84644a", "#35251a"), 0.8, s + 4))
    blocks.surface("birch", Surface("bark", ("#e9e4d8", "#cfc8b8", "#3b3733"), 0.9, s + 5))
    blocks.surface("soil", Surface("soil", ("#5d4331", "#7a5a40", "#2f2118"), 0.9, s + 6))


def oak(blocks: Blocks, x: float, y: float, tall: float, crown: str = "crown", z: float = 0.0) -> None:
    """A stout trunk that forks, and a broad crown of four lobes. 7 geoms."""
    r = 0.42 * tall
    blocks.limb("bark", (x, y, z), (x, y, z + 0.5 * tall), 0.075 * tall)
    for turn in (0.4, 2.6):
        c, s = float(np.cos(turn)), float(np.sin(turn))
        blocks.limb("bark", (x, y, z + 0.42 * tall), (x + 0.5 * r * c, y + 0.5 * r * s, z + 0.7 * tall), 0.04 * tall)
    blocks.egg(crown, (x, y, z + 0.86 * tall), (0.82 * r, 0.82 * r, 0.62 * r))
    for n in range(3):
        a = 0.7 + n * 2.1
        spot = x + 0.62 * r * float(np.cos(a)), y + 0.62 * r * float(np.sin(a)), z + (0.7 + 0.04 * n) * tall
        blocks.egg(crown, spot, (0.6 * r, 0.6 * r, 0.46 * r))
    blocks.take(x, y, 0.5)


def cypress(blocks: Blocks, x: float, y: float, tall: float, z: float = 0.0) -> None:
    """A dark flame of a tree. 3 geoms."""
    blocks.post("bark", x, y, z, z + 0.25 * tall, 0.04 * tall)
    blocks.egg("needle", (x, y, z + 0.5 * tall), (0.13 * tall, 0.13 * tall, 0.42 * tall))
    blocks.egg("needle", (x, y, z + 0.68 * tall), (0.085 * tall, 0.085 * tall, 0.34 * tall))
    blocks.take(x, y, 0.2 * tall)


def pine(blocks: Blocks, x: float, y: float, tall: float, z: float = 0.0) -> None:
    """A bare trunk that leans, under flat clouds of needles. 6 geoms."""
    lean = 0.09 * tall * float(np.cos(3.1 * x + 1.7 * y))
    blocks.limb("bark", (x, y, z), (x + lean, y, z + 0.8 * tall), 0.045 * tall)
    fork = x + 0.6 * lean
    blocks.limb("bark", (fork, y, z + 0.5 * tall), (fork, y + 0.2 * tall, z + 0.66 * tall), 0.025 * tall)
    for dx, dy, up, r in (
        (1.0, 0.0, 0.9, 0.3),
        (0.6, 0.24, 0.7, 0.2),
        (1.4, -0.16, 0.76, 0.22),
        (-0.9, 0.02, 0.8, 0.2),
    ):
        blocks.egg("needle", (x + dx * lean, y + dy * tall, z + up * tall), (r * tall, r * tall, 0.34 * r * tall))
    blocks.take(x, y, 0.4)


def birch(blocks: Blocks, x: float, y: float, tall: float, crown: str = "crown", z: float = 0.0) -> None:
    """Two white stems and a light, high crown. 5 geoms."""
    blocks.limb("birch", (x, y, z), (x + 0.05 * tall, y, z + 0.8 * tall), 0.03 * tall)
    blocks.limb("birch", (x, y + 0.03 * tall, z), (x - 0.06 * tall, y + 0.1 * tall, z + 0.72 * tall), 0.024 * tall)
    for dx, dy, up, r, h in ((0.05, 0, 0.8, 0.17, 0.26), (-0.07, 0.1, 0.68, 0.14, 0.2), (0.1, -0.08, 0.62, 0.12, 0.16)):
        blocks.egg(crown, (x + dx * tall, y + dy * tall, z + up * tall), (r * tall, r * tall, h * tall))
    blocks.take(x, y, 0.4)


def palm(blocks: Blocks, x: float, y: float, tall: float, z: float = 0.0) -> None:
    """A curved stem and a star of fronds. 10 geoms."""
    lean = 0.16 * tall * (1 if int(10 * x) % 2 else -1)
    knee, top = (x + 0.3 * lean, y, z + 0.5 * tall), (x + lean, y, z + 0.95 * tall)
    blocks.limb("bark", (x, y, z), knee, 0.05 * tall)
    blocks.limb("bark", knee, top, 0.04 * tall)
    for n in range(7):
        a = 0.3 + n * 0.9
        out = 0.24 * tall
        at = top[0] + out * float(np.cos(a)), top[1] + out * float(np.sin(a)), top[2] - 0.02 * tall
        blocks.geom("ellipsoid", "crown", at, (0.3 * tall, 0.075 * tall, 0.02 * tall), a, 0.42)
    blocks.ball("bark", top, 0.06 * tall)
    blocks.take(x, y, 0.4)


def topiary(blocks: Blocks, x: float, y: float, pot: str, z: float = 0.0, size: float = 1.0) -> None:
    """A clipped ball on a stem in a pot. 4 geoms."""
    blocks.box(pot, (x, y, z + 0.24 * size), (0.26 * size, 0.26 * size, 0.24 * size))
    blocks.post("bark", x, y, z + 0.4 * size, z + 0.95 * size, 0.045 * size)
    blocks.ball("hedge", (x, y, z + 1.2 * size), 0.36 * size)
    blocks.ball("hedge", (x, y, z + 1.68 * size), 0.22 * size)
    blocks.take(x, y, 0.4 * size)


def flowers(blocks: Blocks, name: str, which: int, s: int) -> str:
    """The surface of a bed in bloom: leaves with blossoms between."""
    bright, pale, _ = FLOWERS[which]
    return blocks.surface(name, Surface("gravel", (bright, pale, "#2f5f2a"), 0.8, s))


def bush(blocks: Blocks, x: float, y: float, r: float, colour: str, name: str, z: float = 0.0) -> None:
    """A low round bush with blossoms on it. 1 + 4 geoms."""
    blossom = blocks.surfaces.get(name) or plain(colour)
    blocks.surface(name, blossom)
    blocks.egg("hedge", (x, y, z + 0.6 * r), (r, r, 0.8 * r))
    for n in range(4):
        a = 0.5 + 1.6 * n
        at = x + 0.72 * r * float(np.cos(a)), y + 0.72 * r * float(np.sin(a)), z + (0.85 + 0.12 * (n % 2)) * r
        blocks.ball(name, at, 0.24 * r)
    blocks.take(x, y, r)


def hedge(blocks: Blocks, start: Sequence[float], end: Sequence[float], height: float, thick: float = 0.35) -> None:
    """A clipped hedge between two points; `thick` is half its thickness. 1 geom."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy))
    middle = 0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]), 0.5 * height
    blocks.box("hedge", middle, (0.5 * length, thick, 0.5 * height), float(np.arctan2(dy, dx)))
