"""The table: a studio by a great window, and in its middle a table crowded with things, to be walked round closely.

The eye is low, as a child's: so that what stands on the table stands against the room.
"""

import math
from collections.abc import Callable

import numpy as np

from perdure.data.scenes import landmarks
from perdure.data.scenes.blocks import Blocks, Opening
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface, plain

HEIGHT, WALL = 3.6, 0.12
TOP = 0.72  # height of the table
EYE = 1.2

ROOMS = (  # wall texture, light, dark, mark, scale; floor texture, light, dark, joint, scale; cloth
    ("plaster", "#e9dcc2", "#dccdaf", "#c9b893", 1.6, "plank", "#a5754a", "#8a5f3b", "#4a311f", 1.3, "#2f6f8a"),
    ("plaster", "#b9cdd0", "#a8bfc4", "#8fa9b0", 1.6, "parquet", "#b98a58", "#9c6e44", "#553820", 0.9, "#c9584a"),
    ("brick", "#c98a66", "#a8674a", "#e0ccb0", 0.8, "terrazzo", "#e2d8c8", "#8fa09c", "#b9744f", 1.2, "#e9dfc6"),
    ("stripe", "#d9c9a0", "#c9b684", "#b09a68", 0.7, "checker", "#efe8d8", "#5f7a80", "#8a8577", 0.9, "#7a3f5c"),
    ("plaster", "#c9d3b4", "#b9c5a0", "#9fae84", 1.6, "hexagon", "#e0d2bc", "#b08a6a", "#8a7a66", 0.7, "#e3b64a"),
)
ROOM_WORDS = ("cream plaster", "pale blue plaster", "brick", "striped paper", "pale green plaster")

Still = Callable[[Blocks, np.random.Generator, float, float, float, str, int], str]
"""Puts a thing on a top of that height, in that colour, and says what it is."""

CREATURES = ("bird", "frog", "crab", "lantern golem", "knight")


def table(seed: int) -> Scene:
    rng = np.random.default_rng([9, seed])
    blocks = Blocks()
    s, look = int(rng.integers(1 << 16)), int(rng.integers(len(ROOMS)))
    wall, light, dark, mark, scale, floor, floor_light, floor_dark, joint, size, cloth = ROOMS[look]
    landmarks.common(blocks, s, ("#d9cfba", "#b3a88e", "#7d715e"))
    blocks.surface("wall", Surface(wall, (light, dark, mark), scale, s + 40))
    blocks.surface("floor", Surface(floor, (floor_light, floor_dark, joint), size, s + 41, gloss=0.15))
    blocks.surface("wood", Surface("plank", ("#94653e", "#a97a4e", "#5a3c24"), 0.9, s + 42, gloss=0.15))
    blocks.surface("cloth", Surface("weave", (cloth, cloth, "#f2e8d4"), 0.5, s + 43))
    blocks.surface("hem", plain("#f2e8d4"))
    blocks.surface("ceiling", Surface("plank", ("#efe6d2", "#e4d8be", "#bfae8c"), 1.4, s + 44))
    blocks.surface("frame", plain("#f6efe0"))
    blocks.surface("shelf", Surface("books", ("#9c3f34", "#2f5f8a", "#e2c890"), 0.5, s + 45))
    blocks.surface("leaves", Surface("leaf", ("#2f7a3f", "#5fa64a", "#1c4a28"), 0.16, s + 46))
    blocks.surface("clay", plain("#b8623c"))
    blocks.surface("lawn", Surface("grass", ("#64873f", "#7f9c4c", "#e9e0a0"), 1.0, s + 47))
    rug = Surface("rug", (cloth, "#f0e2c4", "#b3453a"), 1.0, s + 48, anchored=True)
    blocks.surface("rug", rug)

    half = float(rng.uniform(4.6, 5.4)), float(rng.uniform(3.8, 4.4))
    blocks.geom("plane", "lawn", (0, 0, -0.02), (60, 60, 1.0))
    blocks.box("floor", (0, 0, -0.01), (half[0] + 0.2, half[1] + 0.2, 0.01))
    blocks.box("ceiling", (0, 0, HEIGHT + 0.1), (half[0] + 0.3, half[1] + 0.3, 0.1))
    blocks.box("rug", (0, 0, 0.006), (2.3, 1.9, 0.006))
    _studio(blocks, rng, half, s)

    words = landmarks.palette(rng, 10)
    long, wide = float(rng.uniform(1.05, 1.3)), float(rng.uniform(0.62, 0.75))
    _board(blocks, 0.0, 0.0, long, wide, bool(rng.integers(2)))
    order = [STILLS[int(n)] for n in rng.permutation(len(STILLS))]
    at = [
        (-0.76, 0.4),
        (-0.26, 0.52),
        (0.26, 0.5),
        (0.76, 0.38),
        (-0.74, -0.42),
        (-0.24, -0.5),
        (0.28, -0.48),
        (0.76, -0.4),
    ]
    for (u, v), word, still in zip(at, words, order, strict=False):
        x, y = u * long + float(rng.uniform(-0.05, 0.05)), v * wide + float(rng.uniform(-0.05, 0.05))
        blocks.spot(still(blocks, rng, x, y, TOP, word, s), x, y, 0.2, TOP)
    blocks.take(0, 0, float(np.hypot(long, wide)) + 0.25)
    blocks.spot("the table", 0.0, 0.0, long)

    side = 1 if rng.integers(2) else -1
    x, y = side * (half[0] - 1.0), -0.25 * half[1] * side
    blocks.post("wood", x, y, 0.0, 0.6, 0.1)
    blocks.post("wood", x, y, 0.6, 0.66, 0.55)
    blocks.spot(order[8](blocks, rng, x, y, 0.66, words[8], s), x, y, 0.5, 0.66)
    blocks.take(x, y, 0.7)

    a = float(rng.uniform(-np.pi, np.pi))
    spawn = 2.5 * math.cos(a), 2.2 * math.sin(a)
    for turn in np.arange(24) * np.pi / 12:
        spot = 2.5 * math.cos(a + float(turn)), 2.25 * math.sin(a + float(turn))
        if blocks.free(*spot, 0.5):
            spawn = spot
            break
    yaw = math.atan2(-spawn[1], -spawn[0])
    blocks.take(*spawn, 0.8)
    homes = [blocks.place(rng, (half[0] - 0.8, half[1] - 0.8), 0.6) for _ in range(int(rng.integers(1, 3)))]
    populate(blocks, rng, [home for home in homes if home] or [(-spawn[0], -spawn[1])], 1.2, CREATURES)
    sky = Sky(
        zenith="#4a8fd0", horizon="#e6e8e0", ground="#8a9a5a", clouds=float(rng.uniform(0.3, 0.6)),
        sun_yaw=float(np.pi / 2 + rng.uniform(-0.7, 0.7)), sun_pitch=float(rng.uniform(0.45, 0.7)),
        sun_colour=str(rng.choice(["#ffdca0", "#ffe8c0", "#ffd090"])), sun_strength=3.2, fill=1.2, fog=0.004,
        exposure=1.05, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += [f"a studio of {ROOM_WORDS[look]}", "a table crowded with things", "light from a great window"]
    extent = half[0] + 0.6, half[1] + 0.6, HEIGHT + 0.6
    return blocks.finish("table", seed, sky, (*spawn, yaw), extent, f"table {seed}", eye=EYE)


def _studio(blocks: Blocks, rng: np.random.Generator, half: tuple[float, float], s: int) -> None:
    """Walls with a great window to the north, shelves, an easel, pictures, a lamp."""
    x, y = half
    glass = Opening(x, 2 * x - 2.4, 0.7, 3.0)
    blocks.wall("wall", (-x, y + WALL), (x, y + WALL), HEIGHT, WALL, (glass,))
    blocks.wall("wall", (-x, -y - WALL), (x, -y - WALL), HEIGHT, WALL)
    for side in (-1, 1):
        pane = (Opening(y, 1.5, 0.9, 2.5),) if side < 0 else ()
        blocks.wall("wall", (side * (x + WALL), -y), (side * (x + WALL), y), HEIGHT, WALL, pane)
    for n in range(5):
        blocks.box("frame", ((n / 2 - 1) * (x - 1.2), y + WALL, 1.85), (0.04, 0.06, 1.15))
    for z in (0.7, 1.9, 3.0):
        blocks.box("frame", (0, y + WALL, z), (x - 1.2, 0.1, 0.04))
    blocks.box("frame", (0, y - 0.08, 0.66), (x - 1.0, 0.16, 0.04))
    for n, share in enumerate((-0.62, 0.0, 0.62)):
        colours = (
            ("#f2d9a8", "#3f7a6a", "#e2562f"),
            ("#8fc7e8", "#2f5f9a", "#fff3c4"),
            ("#f4a58a", "#6a3a6a", "#ffe08a"),
        )
        art = Surface("picture", colours[n], 1.0, int(rng.integers(64)), anchored=True)
        blocks.box(blocks.surface(f"art{n}", art), (share * x, 0.03 - y, 1.75), (0.62, 0.03, 0.46))
    blocks.box("shelf", (x - 0.2, 0.35 * y, 1.25), (0.18, 1.1, 1.25))
    blocks.box("wood", (x - 0.2, 0.35 * y, 2.53), (0.22, 1.16, 0.05))
    blocks.take(x - 0.2, 0.35 * y, 1.2)
    blocks.spot("the bookshelf", x - 0.2, 0.35 * y, 1.1)
    ex, ey = 1.1 - x, 0.45 * y
    for dy in (-0.4, 0.4):
        blocks.limb("wood", (ex - 0.1, ey + dy, 0.03), (ex + 0.1, ey + 0.25 * dy, 2.1), 0.03)
    blocks.limb("wood", (ex - 0.55, ey, 0.03), (ex + 0.08, ey, 2.0), 0.03)
    canvas = Surface("picture", ("#d7e8b8", "#4a7a34", "#f2c23a"), 1.0, int(rng.integers(64)), anchored=True)
    blocks.box(blocks.surface("canvas", canvas), (ex + 0.1, ey, 1.25), (0.03, 0.6, 0.45), 0.0, -0.1)
    blocks.take(ex, ey, 0.8)
    blocks.spot("the easel", ex, ey, 0.7)
    for n in (-0.55, 0.55):
        blocks.ball("lamplight", (n * x, 0, HEIGHT - 0.7), 0.2)
        blocks.limb("iron", (n * x, 0, HEIGHT - 0.5), (n * x, 0, HEIGHT), 0.015)
        blocks.lamp((n * x, 0.0, HEIGHT - 0.7), "#ffdcaa", 2.2, 6.0)
    for sx in (-1, 1):
        blocks.post("clay", sx * (x - 0.45), 0.5 - y, 0.0, 0.45, 0.24)
        blocks.ball("leaves", (sx * (x - 0.45), 0.5 - y, 0.85), 0.38)
        blocks.ball("leaves", (sx * (x - 0.5), 0.55 - y, 1.3), 0.26)
        blocks.take(sx * (x - 0.45), 0.5 - y, 0.45)


def _board(blocks: Blocks, x: float, y: float, long: float, wide: float, clothed: bool) -> None:
    """A table; with a cloth that hangs over its edge, or bare with a runner."""
    blocks.box("wood", (x, y, TOP - 0.05), (long, wide, 0.04))
    for dx in (-1, 1):
        for dy in (-1, 1):
            blocks.box(
                "wood", (x + dx * (long - 0.1), y + dy * (wide - 0.1), 0.5 * TOP - 0.04), (0.06, 0.06, 0.5 * TOP - 0.05)
            )
    if clothed:
        blocks.box("cloth", (x, y, TOP - 0.13), (long + 0.02, wide + 0.02, 0.125))
        blocks.box("hem", (x, y, TOP - 0.245), (long + 0.024, wide + 0.024, 0.02))
    else:
        blocks.box("cloth", (x, y, TOP - 0.006), (long + 0.01, 0.36 * wide, 0.008))


def _vase(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """With three flowers in it."""
    skin = landmarks.coat(blocks, word, "stripe", 0.12, gloss=0.5)
    blocks.egg(skin, (x, y, z + 0.14), (0.12, 0.12, 0.15))
    blocks.post(skin, x, y, z + 0.24, z + 0.36, 0.055)
    for n in range(3):
        a = 2.1 * n + float(rng.uniform(0, 1))
        tip = x + 0.12 * math.cos(a), y + 0.12 * math.sin(a), z + 0.56 + 0.05 * n
        blocks.limb("leaves", (x, y, z + 0.34), tip, 0.012)
        blocks.ball(blocks.surface(f"bloom{n}", plain(("#e8506a", "#f2c23a", "#f4efe4")[n])), tip, 0.055)
    return f"the {word} vase of flowers"


def _books(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """Four in a pile, the top one of the colour."""
    up = z
    for n, colour in enumerate(("#7a3b34", "#3d5a80", "#c9a34f", "")):
        skin = landmarks.coat(blocks, word, "plain") if not colour else blocks.surface(f"cover{n}", plain(colour))
        h = 0.03 + 0.008 * (n % 2)
        blocks.box(skin, (x, y, up + h), (0.19 - 0.015 * n, 0.14 - 0.01 * n, h), float(rng.uniform(-0.4, 0.4)))
        up += 2 * h
    return f"the pile of books with the {word} cover"


def _cups(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A pot with a spout and two cups."""
    skin = landmarks.coat(blocks, word, "plain", gloss=0.6)
    blocks.egg(skin, (x, y, z + 0.13), (0.14, 0.14, 0.13))
    blocks.limb(skin, (x + 0.1, y, z + 0.12), (x + 0.24, y, z + 0.22), 0.028)
    blocks.ball(skin, (x, y, z + 0.28), 0.035)
    for dx, dy in ((0.2, -0.17), (-0.14, -0.2)):
        blocks.post(skin, x + dx, y + dy, z, z + 0.1, 0.055)
        blocks.post("hem", x + dx, y + dy, z + 0.098, z + 0.102, 0.045)
    return f"the {word} teapot"


def _fruit(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A bowl of fruit."""
    skin = landmarks.coat(blocks, word, "marble", 0.3, gloss=0.4)
    blocks.post(skin, x, y, z, z + 0.05, 0.09)
    blocks.egg(skin, (x, y, z + 0.1), (0.22, 0.22, 0.07))
    for n, colour in enumerate(("#d8392f", "#e9a52c", "#7fae3a", "#c9485b")):
        a = 1.57 * n
        fruit = blocks.surface(f"fruit{n}", plain(colour, gloss=0.3))
        blocks.ball(fruit, (x + 0.09 * math.cos(a), y + 0.09 * math.sin(a), z + 0.2 + 0.015 * (n % 2)), 0.075)
    return f"the {word} bowl of fruit"


def _lamp(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A lamp with a shade."""
    light, dark = landmarks.COLOURS[word]
    shade = blocks.surface(f"{word}_shade", Surface("plain", (light, light, dark), glow=0.5))
    blocks.post("gold", x, y, z, z + 0.03, 0.12)
    blocks.post("gold", x, y, z, z + 0.4, 0.02)
    blocks.post(shade, x, y, z + 0.36, z + 0.54, 0.16)
    blocks.lamp((x, y, z + 0.62), "#ffd9a0", 1.0, 3.0)
    return f"the {word} lamp"


def _boxes(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """Three boxes stacked, the lowest of the colour."""
    light, dark = landmarks.COLOURS[word]
    skin = blocks.surface(f"{word}_box", Surface("panel", (dark, light, dark), 1.0, s, anchored=True))
    kraft = blocks.surface("kraft", Surface("panel", ("#7c5633", "#b0824f", "#4a311f"), 1.0, s, anchored=True))
    blocks.box(skin, (x, y, z + 0.12), (0.16, 0.14, 0.12), 0.2)
    blocks.box(kraft, (x + 0.02, y, z + 0.32), (0.11, 0.1, 0.08), -0.3)
    blocks.box("cloth", (x, y + 0.01, z + 0.45), (0.07, 0.07, 0.05), 0.5)
    return f"the {word} box under two others"


def _globe(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A globe on a foot."""
    skin = landmarks.coat(blocks, word, "marble", 0.25, gloss=0.4)
    blocks.post("gold", x, y, z, z + 0.025, 0.11)
    blocks.post("gold", x, y, z, z + 0.12, 0.018)
    blocks.ball(skin, (x, y, z + 0.28), 0.17)
    return f"the {word} globe"


def _candles(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """Three candles of different heights in the colour."""
    wax = landmarks.coat(blocks, word, "plain", gloss=0.2)
    flame = blocks.surface("flame", plain("#ffc266", glow=1.4))
    for dx, dy, h in ((0.0, 0.0, 0.34), (0.13, 0.05, 0.24), (0.04, -0.13, 0.17)):
        blocks.post("gold", x + dx, y + dy, z, z + 0.03, 0.06)
        blocks.post(wax, x + dx, y + dy, z, z + h, 0.034)
        blocks.egg(flame, (x + dx, y + dy, z + h + 0.035), (0.016, 0.016, 0.036))
    return f"the {word} candles"


def _figure(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A little horse on a stand."""
    skin = landmarks.coat(blocks, word, "metal", 0.3, gloss=0.5)
    blocks.box("wood", (x, y, z + 0.02), (0.2, 0.1, 0.02))
    blocks.egg(skin, (x, y, z + 0.24), (0.16, 0.07, 0.075))
    for dx in (-0.1, 0.1):
        for dy in (-0.04, 0.04):
            blocks.limb(skin, (x + dx, y + dy, z + 0.05), (x + dx, y + dy, z + 0.2), 0.018)
    blocks.limb(skin, (x + 0.12, y, z + 0.27), (x + 0.19, y, z + 0.4), 0.035)
    blocks.egg(skin, (x + 0.23, y, z + 0.41), (0.07, 0.032, 0.035))
    return f"the {word} horse"


def _plant(blocks: Blocks, rng: np.random.Generator, x: float, y: float, z: float, word: str, s: int) -> str:
    """A round plant in a pot of the colour."""
    skin = landmarks.coat(blocks, word, "plaster", 0.3)
    blocks.post(skin, x, y, z, z + 0.16, 0.1)
    blocks.ball("leaves", (x, y, z + 0.28), 0.15)
    blocks.ball("leaves", (x + 0.06, y + 0.03, z + 0.42), 0.09)
    return f"the plant in the {word} pot"


STILLS: tuple[Still, ...] = (_vase, _books, _cups, _fruit, _lamp, _boxes, _globe, _candles, _figure, _plant)
