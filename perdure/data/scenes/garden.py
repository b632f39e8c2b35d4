"""The garden: gravel paths that cross at a pond, four quarters planted each in its own way, a pavilion, a pergola."""

import math
from collections.abc import Callable

import numpy as np

from perdure.data.scenes import landmarks, plants
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface, plain

PALETTES = (  # gravel light, dark, pit; stone light, dark, joint; hills
    ("#e3d2ab", "#c4ad84", "#7d6a4d", "#d9cdb6", "#b5a78d", "#7d715e", "#6f8f5f"),
    ("#d8cfc4", "#b5aba0", "#6d655c", "#c9c6bd", "#9f9c92", "#6c6a63", "#6a8a72"),
    ("#dfb98f", "#c3966c", "#7a5638", "#e3d3b4", "#c0aa84", "#84714f", "#7d9456"),
    ("#e6dcc8", "#cbbfa6", "#8a7f6a", "#d8b79b", "#b38d70", "#7c5f49", "#648a5a"),
)
PALETTE_WORDS = ("golden gravel", "grey gravel", "red gravel", "pale gravel")

SKIES = (  # zenith, horizon, sun colour, pitch of the sun, exposure
    ("#3d84cc", "#d6e8ee", "#ffe9c4", 0.8, 0.86),
    ("#4a8fd0", "#f0e2c4", "#ffd79a", 0.6, 0.96),
    ("#5a94c8", "#f5d6b4", "#ffc27a", 0.48, 1.04),
    ("#3f86c4", "#e2eeea", "#fff0d2", 0.95, 0.82),
)

PATH = 0.9  # half the width of the paths

CREATURES = ("knight", "mage", "strider", "bird", "frog", "serpent")


def garden(seed: int) -> Scene:
    rng = np.random.default_rng([4, seed])
    blocks = Blocks()
    s, look = int(rng.integers(1 << 16)), int(rng.integers(len(PALETTES)))
    gravel, gravel_dark, pit, stone, stone_dark, joint, hill = PALETTES[look]
    plants.greens(blocks, s, int(rng.integers(4)))
    landmarks.common(blocks, s, (stone, stone_dark, joint))
    blocks.surface("gravel", Surface("gravel", (gravel, gravel_dark, pit), 1.0, s + 40))
    blocks.surface("rim", Surface("ashlar", (stone, stone_dark, joint), 0.9, s + 41))
    blocks.surface("pot", Surface("plaster", ("#b8623c", "#a3522f", "#7a3a20"), 0.6, s + 42))
    blocks.surface("white", plain("#f4f0e6"))
    blocks.surface("hill", Surface("moss", (hill, "#8aa078", "#4d6b4a"), 9.0, s + 43))
    colours = landmarks.palette(rng, 6)

    half = float(rng.uniform(10.5, 12.0)), float(rng.uniform(8.5, 9.5))
    blocks.geom("plane", "lawn", (0, 0, 0), (60, 60, 1.0))
    centre = float(rng.uniform(2.6, 3.1))  # half the side of the square about the pond
    for axis in (0, 1):
        size = (half[0] - 0.6, PATH, 0.008) if axis == 0 else (PATH, half[1] - 0.6, 0.009)
        blocks.box("gravel", (0, 0, size[2]), size)
    blocks.box("gravel", (0, 0, 0.012), (centre, centre, 0.012))
    _pond(blocks, rng, centre, colours[0])
    _border(blocks, half)

    end = 1 if rng.integers(2) else -1
    x_pavilion = end * (half[0] - 3.0)
    blocks.box("gravel", (x_pavilion, 0, 0.011), (2.6, 2.6, 0.011))
    blocks.spot(landmarks.pavilion(blocks, x_pavilion, 0.0, colours[1]), x_pavilion, 0.0, 1.6, 0.32)
    side = 1 if rng.integers(2) else -1
    _pergola(blocks, rng, side * (half[1] - 1.75), int(rng.integers(len(plants.FLOWERS))))

    quarters = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    kinds = [QUARTERS[int(n)] for n in rng.permutation(len(QUARTERS))[:4]]
    for (sx, sy), colour, kind in zip(quarters, colours[2:], kinds, strict=True):
        near = PATH + 0.5
        x, y = sx * 0.5 * (centre + half[0] - 2.0), sy * (0.5 * (centre + half[1] - 1.0) - 0.8 * (sy == side))
        kind(blocks, rng, x + 0.2 * sx * near, y, sx, sy, colour, s)
    for n, (sx, sy) in enumerate(quarters):
        blocks.take(sx * (centre - 0.4), sy * (centre - 0.4), 0.3)
        if n % 2 == int(seed % 2):
            landmarks.lantern(blocks, sx * (centre - 0.4), sy * (centre - 0.4))
    landmarks.bench(blocks, 0.3 * end, -side * (half[1] - 1.5), side * 0.5 * float(np.pi))

    spawn = -end * (half[0] - float(rng.uniform(1.6, 2.6))), float(rng.uniform(-0.3, 0.3))
    yaw = (0.0 if end > 0 else float(np.pi)) + float(rng.uniform(-0.2, 0.2))
    blocks.take(*spawn, 1.0)
    blocks.take(spawn[0] + 2.8 * math.cos(yaw), spawn[1] + 2.8 * math.sin(yaw), 2.2)  # the view, and things to handle
    found = [blocks.place(rng, (half[0] - 2.0, half[1] - 2.0), 0.9) for _ in range(int(rng.integers(2, 4)))]
    homes = [home for home in found if home]
    grounds = [0.0] * len(homes)
    if rng.integers(2):  # someone is in the pavilion
        homes, grounds = [*homes[:2], (x_pavilion, 0.0)], [*grounds[:2], 0.32]
    populate(blocks, rng, homes, 2.6, CREATURES, grounds)

    zenith, horizon, sun, pitch, exposure = SKIES[int(rng.integers(len(SKIES)))]
    sky = Sky(
        zenith=zenith, horizon=horizon, ground="#7f8a58", clouds=float(rng.uniform(0.3, 0.65)),
        sun_yaw=float(rng.uniform(-np.pi, np.pi)), sun_pitch=pitch, sun_colour=sun, sun_strength=2.5,
        fill=0.95, fog=0.007, exposure=exposure, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += [
        f"paths of {PALETTE_WORDS[look]} cross at a pond", "clipped hedges and flower beds", "hills beyond the hedge"
    ]  # fmt: skip
    extent = half[0] + 0.6, half[1] + 0.6, 6.2
    return blocks.finish(
        "garden", seed, sky, (*spawn, math.remainder(yaw, 2 * math.pi)), extent, f"garden {seed}", ground=0.016
    )


def _border(blocks: Blocks, half: tuple[float, float]) -> None:
    """A hedge all around, taller at its corners, and hills beyond."""
    for side in (-1, 1):
        plants.hedge(blocks, (-half[0], side * half[1]), (half[0], side * half[1]), 1.5, 0.4)
        plants.hedge(blocks, (side * half[0], -half[1]), (side * half[0], half[1]), 1.5, 0.4)
        for other in (-1, 1):
            blocks.box("hedge", (side * half[0], other * half[1], 1.05), (0.62, 0.62, 1.05))
    for n, (far, wide, tall) in enumerate(((44, 20, 9), (50, 26, 12), (42, 17, 7), (48, 24, 10))):
        a = 0.6 + 1.57 * n
        blocks.egg("hill", (far * float(np.cos(a)), far * float(np.sin(a)), -1.0), (wide, 0.8 * wide, tall), a + 1.57)


def _pond(blocks: Blocks, rng: np.random.Generator, centre: float, colour: str) -> None:
    """In the middle, a square pond with a rim to sit on and lilies, or a fountain."""
    if rng.integers(3) == 0:
        blocks.spot(landmarks.fountain(blocks, 0.0, 0.0, colour), 0.0, 0.0, 1.8)
        return
    a = centre - 1.25
    blocks.box("pool", (0, 0, 0.13), (a, a, 0.13))
    for side in (-1, 1):
        blocks.box("rim", (side * a, 0, 0.19), (0.2, a + 0.2, 0.19))
        blocks.box("rim", (0, side * a, 0.19), (a - 0.2, 0.2, 0.19))
    blocks.surface("lily", plain("#4f8f4a", gloss=0.2))
    blossom = landmarks.coat(blocks, colour, "plain")
    for n in range(5):
        out, turn = (0.35 + 0.4 * float(rng.random())) * a, 1.3 * n + float(rng.uniform(0, 0.5))
        x, y = out * float(np.cos(turn)), out * float(np.sin(turn))
        blocks.post("lily", x, y, 0.2, 0.28, 0.24)
        if n < 3:
            blocks.egg(blossom, (x + 0.05, y, 0.31), (0.11, 0.11, 0.09))
    landmarks.coat(blocks, colour, "metal", 0.6, gloss=0.5)
    blocks.post("stone", 0, 0, 0, 0.55, 0.24)
    blocks.limb(f"{colour}_metal", (0, 0, 0.65), (0.05, 0, 1.15), 0.07)
    blocks.egg(f"{colour}_metal", (0.06, 0, 0.9), (0.34, 0.16, 0.16))
    blocks.limb(f"{colour}_metal", (0.3, 0, 0.95), (0.46, 0, 1.5), 0.05)
    blocks.egg(f"{colour}_metal", (0.52, 0, 1.56), (0.13, 0.07, 0.07))
    blocks.take(0, 0, a + 0.6)
    blocks.spot(f"the pond with the {colour} heron", 0.0, 0.0, a + 0.2)


def _pergola(blocks: Blocks, rng: np.random.Generator, y: float, which: int) -> None:
    """A walk between posts under beams, overgrown and in bloom."""
    long, wide, tall = float(rng.uniform(3.4, 4.4)), 1.15, 2.35
    x0 = float(rng.choice([-1.0, 1.0])) * 3.6
    bloom = plants.flowers(blocks, "bloom", which, 5)
    blocks.box("gravel", (x0, y, 0.010), (long + 0.5, wide, 0.010))
    for side in (-1, 1):
        for n in range(3):
            px = x0 + long * (n - 1)
            blocks.box("white", (px, y + side * wide, 0.5 * tall), (0.08, 0.08, 0.5 * tall))
            blocks.take(px, y + side * wide, 0.25)
        blocks.box("white", (x0, y + side * wide, tall), (long + 0.3, 0.07, 0.09))
        blocks.egg(bloom, (x0 + side * 0.3 * long, y + side * wide, tall + 0.1), (0.62 * long, 0.36, 0.32))
    for n in range(5):
        blocks.box("white", (x0 + long * (n / 2 - 1), y, tall + 0.13), (0.05, wide + 0.4, 0.06))
    blocks.egg("crown", (x0 - 0.45 * long, y, tall + 0.24), (0.5 * long, 0.9, 0.22))
    blocks.take(x0, y, 1.2)
    word = plants.FLOWER_WORDS[which]
    blocks.spot(f"the pergola in {word} bloom", x0, y, 1.0)


Quarter = Callable[[Blocks, np.random.Generator, float, float, int, int, str, int], None]


def _parterre(
    blocks: Blocks, rng: np.random.Generator, x: float, y: float, sx: int, sy: int, word: str, s: int
) -> None:
    """Flowers within low hedges about an urn or a globe."""
    which = int(rng.integers(len(plants.FLOWERS)))
    bed = plants.flowers(blocks, f"bed{sx}{sy}", which, s)
    blocks.box("gravel", (x, y, 0.013), (2.7, 2.2, 0.013))
    for dx in (-1, 1):
        for dy in (-1, 1):
            cx, cy = x + 1.45 * dx, y + 1.15 * dy
            blocks.box("hedge", (cx, cy, 0.2), (0.82, 0.62, 0.2))
            blocks.box(bed, (cx, cy, 0.24), (0.62, 0.44, 0.2))
            blocks.take(cx, cy, 0.8)
    mark = (landmarks.urn, landmarks.globes)[int(rng.integers(2))]
    blocks.spot(mark(blocks, x, y, word), x, y, 0.8)


def _orchard(blocks: Blocks, rng: np.random.Generator, x: float, y: float, sx: int, sy: int, word: str, s: int) -> None:
    """Fruit trees on a lawn, one hung with fruit of the quarter's colour."""
    fruit = landmarks.coat(blocks, word, "plain", gloss=0.4)
    tall = float(rng.uniform(2.9, 3.4))
    plants.oak(blocks, x, y, tall)
    for n in range(7):
        a = 0.9 * n + 0.3
        at = x + 0.41 * tall * float(np.cos(a)), y + 0.41 * tall * float(np.sin(a)), (0.62 + 0.1 * (n % 3)) * tall
        blocks.ball(fruit, at, 0.13)
    plants.oak(blocks, x + 2.1 * sx, y + 1.3 * sy, 2.6)
    blocks.spot(f"the tree with {word} fruit", x, y, 0.7)


def _statuary(
    blocks: Blocks, rng: np.random.Generator, x: float, y: float, sx: int, sy: int, word: str, s: int
) -> None:
    """A figure before a clipped niche, a topiary on either side."""
    yaw = float(np.arctan2(-sy, -sx))
    blocks.spot(landmarks.statue(blocks, x, y, word, yaw=yaw), x, y, 0.9)
    plants.hedge(blocks, (x - 1.6, y + sy * 1.4), (x + 1.6, y + sy * 1.4), 1.9, 0.35)
    for dx in (-1.3, 1.3):
        plants.topiary(blocks, x + dx, y - 0.2 * sy, "pot")


def _copse(blocks: Blocks, rng: np.random.Generator, x: float, y: float, sx: int, sy: int, word: str, s: int) -> None:
    """Birches and a cypress over bushes in bloom."""
    plants.birch(blocks, x - 0.4, y + 0.5 * sy, float(rng.uniform(3.8, 4.4)))
    plants.birch(blocks, x + 1.9 * sx, y - 0.6 * sy, 3.4)
    light = landmarks.COLOURS[word][0]
    for dx, dy, r in ((-1.6, -0.8, 0.6), (0.9, -1.3, 0.5)):
        plants.bush(blocks, x + dx * sx, y + dy * sy, r, light, f"{word}_blossom")
    blocks.spot(f"the birches by the {word} bushes", x, y, 0.8)


def _cypresses(
    blocks: Blocks, rng: np.random.Generator, x: float, y: float, sx: int, sy: int, word: str, s: int
) -> None:
    """A well, and cypresses behind it."""
    blocks.spot(landmarks.well(blocks, x - 0.6 * sx, y - 0.3 * sy, word), x - 0.6 * sx, y - 0.3 * sy, 0.9)
    for dx, dy, tall in ((1.6, 1.0, 4.6), (0.2, 1.4, 4.0), (2.1, -0.4, 3.7)):
        plants.cypress(blocks, x + dx * sx, y + dy * sy, tall)


QUARTERS: tuple[Quarter, ...] = (_parterre, _orchard, _statuary, _copse, _cypresses)
