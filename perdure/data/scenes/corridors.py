"""The corridors: a building of rooms along two passages that cross, with long views, windows, lamps and doors."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from perdure.data.scenes import landmarks
from perdure.data.scenes.blocks import Blocks, Opening
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Doorway, Scene, Sky, Surface, plain

HEIGHT = 3.0
WALL = 0.1  # half the thickness of a wall
DOOR, LINTEL = 1.5, 2.25  # width and height of an opening
AISLE = 1.3  # half the width of a passage

ROOMS = (  # word, its walls: texture, light, dark, mark; floor: texture, light, dark, joint
    ("red", "stripe", "#c9584a", "#b3473b", "#e8c8a8", "parquet", "#a5754a", "#8a5f3b", "#4a311f"),
    ("blue", "plaster", "#4f82a8", "#6a9bbd", "#3d6a8c", "checker", "#f1ead8", "#3d6474", "#8a8577"),
    ("yellow", "chevron", "#e3b64a", "#f0d48a", "#d2a238", "plank", "#7b5236", "#69442c", "#352216"),
    ("green", "plaster", "#6f9a5c", "#8ab273", "#587f48", "tile", "#d8c3a0", "#b98a63", "#8d7358"),
    ("violet", "stripe", "#8a6fb0", "#a58ac6", "#dccfe8", "carpet", "#5b4682", "#d9c27a", "#b3282d"),
    ("pink", "plaster", "#d991a4", "#e6abba", "#c97a90", "terrazzo", "#efe4e0", "#c98a94", "#7d8a80"),
    ("white", "ashlar", "#eeeae0", "#e0dacb", "#c3bba8", "hexagon", "#e8e2d4", "#8f8a80", "#a8a294"),
    ("orange", "brick", "#d08a56", "#bb7340", "#ecd8bc", "stone", "#c4b096", "#a48f74", "#6b5a46"),
    ("turquoise", "weave", "#3f9a97", "#57b0aa", "#2f7f7d", "plank", "#d9b98a", "#c9a674", "#8a6a45"),
)

PASSAGES = (  # walls light, dark; floor texture, light, dark, joint; dado; words
    ("#e6dcc4", "#d9ccb0", "checker", "#efe8d8", "#6a7f86", "#8a8577", "#7f9a94", "cream walls and a chequered floor"),
    ("#c7d2d0", "#b7c4c2", "terrazzo", "#e6e2d8", "#8fa09c", "#c07a5a", "#5f7a80", "grey walls and a terrazzo floor"),
    ("#e8c9a4", "#dbb88e", "parquet", "#b98a58", "#9c6e44", "#553820", "#9c5f44", "ochre walls and a parquet floor"),
    ("#dfe2cf", "#d0d4bc", "tile", "#d9a078", "#bd7d56", "#7d5a40", "#6f8a5c", "pale green walls and a tiled floor"),
)

Furnish = Callable[[Blocks, np.random.Generator, "Room", str, int], str]


@dataclass(frozen=True)
class Room:
    west: float
    east: float
    near: float  # y of the wall to the long passage
    far: float  # y of the outer wall
    index: int

    @property
    def x(self) -> float:
        return 0.5 * (self.west + self.east)

    @property
    def y(self) -> float:
        return 0.5 * (self.near + self.far)

    @property
    def out(self) -> int:
        return 1 if self.far > self.near else -1


CREATURES = ("knight", "mage", "lantern golem", "frog", "bird")


def corridors(seed: int) -> Scene:
    rng = np.random.default_rng([8, seed])
    blocks = Blocks()
    s = int(rng.integers(1 << 16))
    half = float(rng.uniform(10.5, 11.5)), float(rng.uniform(6.0, 6.8))
    landmarks.common(blocks, s, ("#d9cfba", "#b3a88e", "#7d715e"))
    light, dark, floor, floor_light, floor_dark, joint, dado, words = PASSAGES[int(rng.integers(len(PASSAGES)))]
    scale = {"checker": 0.9, "terrazzo": 1.2, "parquet": 0.9, "tile": 0.8}[floor]
    blocks.surface("hall_wall", Surface("plaster", (light, dark, dark), 1.6, s + 40))
    blocks.surface("hall_floor", Surface(floor, (floor_light, floor_dark, joint), scale, s + 41, gloss=0.2))
    blocks.surface("dado", Surface("panel", (dado, light, dark), 1.0, s + 42, anchored=True))
    blocks.surface("ceiling", Surface("plaster", ("#f3ecdc", "#e8dfca", "#cfc3aa"), 1.5, s + 43))
    blocks.surface("frame", plain("#f6efe0"))
    blocks.surface("wood", Surface("plank", ("#8a5f3b", "#a5754a", "#4a311f"), 1.0, s + 44))
    blocks.surface("ground", Surface("grass", ("#64873f", "#7f9c4c", "#e9e0a0"), 1.0, s + 45))
    blocks.surface("shelf", Surface("books", ("#9c3f34", "#2f5f8a", "#e2c890"), 0.55, s + 46))
    blocks.surface("leaves", Surface("leaf", ("#2f7a3f", "#5fa64a", "#1c4a28"), 0.25, s + 47))
    blocks.surface("pot", plain("#b8623c"))
    blocks.surface("linen", plain("#f4efe4"))

    blocks.geom("plane", "ground", (0, 0, -0.02), (60, 60, 1.0))
    cross = float(rng.uniform(-2.5, 2.5))  # x of the passage that crosses
    blocks.box("hall_floor", (0, 0, -0.01), (half[0], half[1], 0.01))
    blocks.box("ceiling", (0, 0, HEIGHT + 0.15), (half[0] + 0.3, half[1] + 0.3, 0.15))
    plan = _plan(rng, half, cross)
    themes = [ROOMS[int(n)] for n in rng.permutation(len(ROOMS))]
    furnish = [FURNITURE[int(n)] for n in rng.permutation(len(FURNITURE))]
    links = {(a.index, b.index) for a, b in pairwise(plan) if a.east == b.west and rng.random() < 0.7}
    for room in plan:
        theme = themes[room.index]
        _room(blocks, rng, room, theme, links, s)
        what = furnish[room.index % len(furnish)](blocks, rng, room, theme[0], s + 3 * room.index)
        blocks.spot(f"the {theme[0]} room with {what}", room.x, room.near + room.out * 1.2, 0.5)
    _passages(blocks, rng, half, cross, plan, themes)

    names = list(blocks.places)
    blocks.ways += [("the crossing", names[room.index]) for room in plan]
    blocks.ways += [(names[a], names[b]) for a, b in sorted(links)]
    blocks.spot("the crossing", cross, 0.0, 0.6)
    for name, x in (("the west end of the passage", -half[0] + 1.6), ("the east end of the passage", half[0] - 1.6)):
        blocks.spot(name, x, 0.0, 0.5)
        blocks.ways.append((name, "the crossing"))

    end = 1 if rng.integers(2) else -1
    spawn = end * (half[0] - float(rng.uniform(1.4, 2.2))), float(rng.uniform(-0.3, 0.3))
    yaw = (0.0 if end < 0 else float(np.pi)) + float(rng.uniform(-0.12, 0.12))
    chosen = [plan[int(n)] for n in rng.permutation(len(plan))[: int(rng.integers(1, 3))]]
    populate(blocks, rng, [(cross, 0.0), *((room.x, room.y - 0.3 * room.out) for room in chosen)], 1.2, CREATURES)
    sky = Sky(
        zenith="#4a8fd0", horizon="#dfe8e6", ground="#8a9a5a", clouds=float(rng.uniform(0.3, 0.6)),
        sun_yaw=float(rng.choice([-1, 1])) * float(rng.uniform(0.9, 2.2)), sun_pitch=float(rng.uniform(0.45, 0.7)),
        sun_colour="#ffdca0", sun_strength=3.2, fill=1.1, fog=0.006, exposure=1.05, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += [f"a building of {len(plan)} rooms along two passages", words, "doors' openings, windows and lamps"]
    extent = half[0] + 0.8, half[1] + 0.8, HEIGHT + 0.8
    return blocks.finish(
        "corridors", seed, sky, (*spawn, math.remainder(yaw, 2 * math.pi)), extent, f"corridors {seed}"
    )


def _plan(rng: np.random.Generator, half: tuple[float, float], cross: float) -> list[Room]:
    """On either side of the long passage, and of the one that crosses it, one or two rooms."""
    plan: list[Room] = []
    for side in (1, -1):
        for west, east in ((-half[0], cross - AISLE), (cross + AISLE, half[0])):
            cuts = [west, east]
            if east - west > 6.6:
                cuts.insert(1, west + (east - west) * float(rng.uniform(0.44, 0.56)))
            for a, b in pairwise(cuts):
                plan.append(Room(a, b, side * AISLE, side * half[1], len(plan)))
    return plan


def _room(
    blocks: Blocks, rng: np.random.Generator, room: Room, theme: tuple[str, ...], links: set[tuple[int, int]], s: int
) -> None:
    """Floor and walls of its own colour, a door to the long passage, a window, perhaps a door to the next room."""
    n, out = room.index, room.out
    scale = {"stripe": 0.6, "chevron": 0.6, "brick": 0.8, "plaster": 1.4, "ashlar": 1.2, "weave": 0.8}[theme[1]]
    wall = blocks.surface(f"wall{n}", Surface(theme[1], (theme[2], theme[3], theme[4]), scale, s + n))
    size = {"plank": 1.3, "checker": 0.7, "tile": 0.7, "hexagon": 0.6, "stone": 0.6}.get(theme[5], 0.9)
    floor = blocks.surface(f"floor{n}", Surface(theme[5], (theme[6], theme[7], theme[8]), size, s + 50 + n))
    wide, deep = room.east - room.west, abs(room.far - room.near)
    blocks.box(floor, (room.x, room.y, 0.002), (0.5 * wide, 0.5 * deep, 0.002))
    door = Opening(0.5 * wide, DOOR, 0.0, LINTEL)
    window = Opening(0.5 * wide, min(2.4, wide - 1.6), 0.85, 2.35)
    thin = 0.5 * WALL
    blocks.wall(wall, (room.west, room.near + out * thin), (room.east, room.near + out * thin), HEIGHT, thin, (door,))
    blocks.wall(wall, (room.west, room.far - out * WALL), (room.east, room.far - out * WALL), HEIGHT, WALL, (window,))
    for bar in (-0.5, 0.0, 0.5):
        x = room.x + bar * window.width
        blocks.box("frame", (x, room.far - out * WALL, 1.6), (0.04, 0.08, 0.75))
    blocks.box("frame", (room.x, room.far - out * 1.6 * WALL, 0.83), (0.5 * window.width + 0.1, 0.14, 0.04))
    for side, x, key in ((1, room.west + thin, (n - 1, n)), (-1, room.east - thin, (n, n + 1))):
        open_to = key in links
        ways = (Opening(0.5 * deep, DOOR, 0.0, LINTEL),) if open_to else ()
        low, high = sorted((room.near, room.far))
        blocks.wall(wall, (x, low), (x, high), HEIGHT, thin, ways)
        if not open_to:
            light, dark = landmarks.COLOURS[theme[0]]
            art = Surface("picture", ("#f2dcae", dark, light), 1.0, int(rng.integers(64)), anchored=True)
            name = blocks.surface(f"art{n}_{side}", art)
            blocks.box(name, (x + side * (thin + 0.02), room.y, 1.65), (0.025, 0.7, 0.5))
    blocks.ball("lamplight", (room.x, room.y, HEIGHT - 0.4), 0.17)
    blocks.post("iron", room.x, room.y, HEIGHT - 0.3, HEIGHT, 0.02)
    blocks.lamp((room.x, room.y, HEIGHT - 0.4), "#ffd9a0", 2.8, 6.0)
    blocks.doorways.append(Doorway((room.x - 0.5 * DOOR + 0.08, room.near), 0.0, DOOR - 0.16, LINTEL - 0.02))


def _passages(
    blocks: Blocks, rng: np.random.Generator, half: tuple[float, float], cross: float, plan: list[Room],
    themes: list[tuple[str, ...]],
) -> None:  # fmt: skip
    """Their own side of the walls, a dado, frames in the colours of the rooms, lamps, a landmark at each end."""
    thin = 0.5 * WALL
    for side in (1, -1):
        y = side * (AISLE - thin)
        for room in (room for room in plan if room.out == side):
            wide = room.east - room.west
            door = Opening(0.5 * wide, DOOR, 0.0, LINTEL)
            blocks.wall("hall_wall", (room.west, y), (room.east, y), HEIGHT, thin, (door,))
            light, dark = landmarks.COLOURS[themes[room.index][0]]
            frame = blocks.surface(f"frame{room.index}", plain(light))
            for edge in (-1, 1):
                x = room.x + edge * (0.5 * DOOR - 0.02)
                blocks.box(frame, (x, y + side * thin, 0.5 * LINTEL), (0.06, WALL + 0.04, 0.5 * LINTEL))
                a = room.x + edge * 0.5 * DOOR
                b = room.west if edge < 0 else room.east
                blocks.box("dado", (0.5 * (a + b), y - side * thin, 0.5), (0.5 * abs(b - a), 0.03, 0.5))
            blocks.box(frame, (room.x, y + side * thin, LINTEL + 0.04), (0.5 * DOOR + 0.08, WALL + 0.04, 0.06))
        for edge in (-1, 1):
            x = cross + edge * (AISLE - thin)
            low, high = sorted((side * AISLE, side * half[1]))
            blocks.wall("hall_wall", (x, low), (x, high), HEIGHT, thin)
        x, y = cross, side * (half[1] - WALL)
        blocks.wall("hall_wall", (x - AISLE, y), (x + AISLE, y), HEIGHT, WALL, (Opening(AISLE, 1.5, 0.85, 2.35),))
        blocks.box("frame", (x, y, 1.6), (0.04, 0.07, 0.75))
    used = {theme[0] for theme in themes[: len(plan)]}
    left = [word for word in landmarks.palette(rng, len(landmarks.COLOURS)) if word not in used]
    for n, mark in enumerate((landmarks.urn, landmarks.globes)):
        x, y = (1 - 2 * n) * (half[0] - 0.7), 0.75 - 1.5 * n
        near = (1 - 2 * n) * (half[0] - WALL)
        blocks.wall("hall_wall", (near, -AISLE), (near, AISLE), HEIGHT, WALL, (Opening(AISLE, 1.6, 0.9, 2.4),))
        blocks.box("frame", (near, 0, 1.65), (0.07, 0.04, 0.75))
        blocks.spot(mark(blocks, x, y, left[n]), x, y, 0.7)
    for name, side in (("the tall plant at the north window", 1), ("the round plant at the south window", -1)):
        y = side * (half[1] - 0.8)
        blocks.post("pot", cross, y, 0.0, 0.6, 0.34)
        blocks.ball("leaves", (cross, y, 1.05), 0.48)
        blocks.ball("leaves", (cross, y, 1.7 if side > 0 else 1.15), 0.34 if side > 0 else 0.5)
        if side > 0:
            blocks.ball("leaves", (cross, y, 2.2), 0.24)
        blocks.spot(name, cross, y, 0.5)
    for x in (-0.62 * half[0], cross, 0.62 * half[0]):
        blocks.ball("lamplight", (x, 0, HEIGHT - 0.22), 0.15)
        blocks.lamp((x, 0.0, HEIGHT - 0.3), "#ffd9a0", 2.6, 6.5)


def _table(blocks: Blocks, x: float, y: float, long: float, wide: float) -> None:
    blocks.box("wood", (x, y, 0.74), (long, wide, 0.04))
    for dx in (-1, 1):
        blocks.box("wood", (x + dx * (long - 0.1), y, 0.35), (0.05, wide - 0.08, 0.35))


def _library(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """Shelves of books on one wall, a reading table."""
    x, y = room.west + 0.35, room.y + 0.5 * room.out
    blocks.box("shelf", (x, y, 1.15), (0.2, 1.2, 1.15))
    blocks.box("wood", (x - 0.02, y, 2.33), (0.24, 1.25, 0.04))
    _table(blocks, room.east - 1.3, room.far - 1.0 * room.out, 0.8, 0.4)
    earth = Surface("marble", ("#2f7fb0", "#5aa66a", "#e8dfb0"), 0.25, s, anchored=True)
    blocks.ball(blocks.surface(f"earth{room.index}", earth), (room.east - 1.6, room.far - 1.0 * room.out, 1.02), 0.22)
    return "books"


def _bedroom(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """A bed under the window's side, with a cover in the room's colour."""
    light, dark = landmarks.COLOURS[word]
    cover = blocks.surface(f"cover{room.index}", Surface("checker", (light, "#f4ead6", dark), 0.4, s))
    x, y = room.west + 0.95, room.far - 1.5 * room.out
    blocks.box("wood", (x, y, 0.2), (0.65, 1.1, 0.2))
    blocks.box("linen", (x, y, 0.46), (0.6, 1.05, 0.08))
    blocks.box(cover, (x, y - 0.3 * room.out, 0.5), (0.64, 0.75, 0.08))
    blocks.egg("linen", (x, y + 0.75 * room.out, 0.62), (0.42, 0.24, 0.1))
    blocks.box("wood", (x, y + 1.12 * room.out, 0.55), (0.68, 0.06, 0.55))
    return "a bed"


def _parlour(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """A sofa, a low table, a rug."""
    light, dark = landmarks.COLOURS[word]
    cloth = blocks.surface(f"cloth{room.index}", Surface("weave", (light, dark, dark), 0.6, s))
    rug = Surface("rug", ("#f0e2c4", dark, light), 1.0, s, anchored=True)
    x, y = room.east - 0.75, room.y + 0.3 * room.out
    blocks.box(blocks.surface(f"rug{room.index}", rug), (room.x - 0.2, y, 0.012), (1.2, 1.0, 0.008))
    blocks.box(cloth, (x, y, 0.25), (0.42, 0.95, 0.25))
    blocks.box(cloth, (x + 0.35, y, 0.55), (0.14, 0.95, 0.4))
    for side in (-1, 1):
        blocks.box(cloth, (x, y + 0.98 * side, 0.36), (0.42, 0.13, 0.36))
    blocks.box("wood", (x - 1.1, y, 0.36), (0.32, 0.55, 0.04))
    blocks.post("wood", x - 1.1, y, 0.0, 0.34, 0.09)
    return "a sofa"


def _workshop(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """Crates and barrels in a corner."""
    crate = Surface("panel", ("#7c5633", "#b0824f", "#4a311f"), 1.0, s, anchored=True)
    name = blocks.surface(f"crate{room.index}", crate)
    x, y = room.west + 0.85, room.far - 0.85 * room.out
    blocks.box(name, (x, y, 0.4), (0.4, 0.4, 0.4), 0.1)
    blocks.box(name, (x + 0.95, y, 0.35), (0.35, 0.35, 0.35), -0.2)
    blocks.box(name, (x + 0.4, y, 1.12), (0.32, 0.32, 0.32), 0.4)
    barrel = landmarks.coat(blocks, word, "plank", 0.6)
    blocks.post(barrel, room.east - 0.8, room.far - 0.8 * room.out, 0.0, 0.95, 0.38)
    blocks.post("iron", room.east - 0.8, room.far - 0.8 * room.out, 0.62, 0.7, 0.39)
    return "crates"


def _winter_garden(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """Plants in pots."""
    for n, x in enumerate((room.west + 0.7, room.x, room.east - 0.7)):
        y = room.far - 0.75 * room.out
        blocks.post("pot", x, y, 0.0, 0.5, 0.27)
        blocks.ball("leaves", (x, y, 0.95 + 0.2 * (n % 2)), 0.4)
        blocks.ball("leaves", (x + 0.12, y - 0.05, 1.4 + 0.2 * (n % 2)), 0.28)
    return "plants"


def _dining(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """A laid table with stools."""
    x, y = room.x, room.y + 0.5 * room.out
    _table(blocks, x, y, 1.0, 0.5)
    bowl = landmarks.coat(blocks, word, "plain", gloss=0.4)
    blocks.egg(bowl, (x, y, 0.84), (0.3, 0.3, 0.1))
    for n, colour in enumerate(("#d8392f", "#e9a52c", "#7fae3a")):
        fruit = blocks.surface(f"fruit{n}", plain(colour, gloss=0.3))
        blocks.ball(fruit, (x + 0.13 * (n - 1), y + 0.05 * (n % 2), 0.97), 0.1)
    for dx in (-0.5, 0.5):
        blocks.post("wood", x + dx, y + 0.75 * room.out, 0.0, 0.45, 0.2)
    return "a laid table"


def _gallery(blocks: Blocks, rng: np.random.Generator, room: Room, word: str, s: int) -> str:
    """A bust and a vase on pedestals."""
    stone = landmarks.coat(blocks, word, "marble", 0.6, gloss=0.3)
    x, y = room.west + 0.9, room.far - 0.9 * room.out
    blocks.box("pillar", (x, y, 0.5), (0.3, 0.3, 0.5))
    blocks.egg(stone, (x, y, 1.15), (0.3, 0.26, 0.22))
    blocks.post(stone, x, y, 1.2, 1.5, 0.09)
    blocks.egg(stone, (x, y, 1.64), (0.16, 0.15, 0.21))
    x = room.east - 0.9
    blocks.box("pillar", (x, y, 0.4), (0.3, 0.3, 0.4))
    blocks.egg(stone, (x, y, 1.1), (0.26, 0.26, 0.32))
    blocks.post(stone, x, y, 1.3, 1.55, 0.1)
    return "a bust"


FURNITURE: tuple[Furnish, ...] = (_library, _bedroom, _parlour, _workshop, _winter_garden, _dining, _gallery)
