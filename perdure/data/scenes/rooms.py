"""The rooms: a house of six rooms along a corridor, each with walls, floor and furniture of its own."""

from dataclasses import dataclass

import numpy as np

from perdure.data.scenes.blocks import Blocks, Opening
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Doorway, Scene, Sky, Surface, plain

HEIGHT = 2.8
WALL = 0.08  # half the thickness of one room's side of a wall
DOOR_WIDTH, DOOR_HEIGHT = 1.4, 2.2
LAMP = "#ffd9a0"

THEMES = (  # wall texture, light, dark, mark; floor texture, light, dark, joint
    ("stripe", "#d9694f", "#e8a07c", "#d9694f", "plank", "#a5754a", "#8a5f3b", "#4a311f"),
    ("plaster", "#4f93a8", "#6db0bd", "#4f93a8", "checker", "#f1ead8", "#3d6474", "#8a8577"),
    ("chevron", "#e3b64a", "#f0d48a", "#e3b64a", "plank", "#7b5236", "#69442c", "#352216"),
    ("plaster", "#7fa660", "#9cbf7a", "#7fa660", "tile", "#d8c3a0", "#c07f5a", "#8d7358"),
    ("stripe", "#8a6fb0", "#b09ccb", "#8a6fb0", "hexagon", "#efe6ee", "#6f5a90", "#9a8ca8"),
    ("brick", "#c8775a", "#a95b45", "#e0ccb0", "stone", "#b8ae9c", "#8f8676", "#5f584c"),
    ("plaster", "#e8dcc0", "#d8c49c", "#e8dcc0", "checker", "#efe4cc", "#a8442f", "#8a6a52"),
    ("chevron", "#c06a8a", "#e0a5b8", "#c06a8a", "plank", "#c09a6a", "#a9814f", "#5a4026"),
)

WORDS = ("red", "blue", "yellow", "green", "violet", "brick", "cream", "pink")
"""What the themes are called."""

ARTS = (
    ("#f2d9a8", "#3f7a6a", "#e2562f"),
    ("#8fc7e8", "#2f5f9a", "#fff3c4"),
    ("#f4a58a", "#6a3a6a", "#ffe08a"),
    ("#d7e8b8", "#4a7a34", "#f2c23a"),
)

PAPERS = (
    ("#c9a86c", "#b8935a"),
    ("#7f9fa6", "#6c8d96"),
    ("#b98a7a", "#a87868"),
    ("#95a67a", "#84966a"),
    ("#a696b4", "#9585a5"),
)

CLOTHS = (("#b3282d", "#f0dcb8", "#e9b64a"), ("#245f9a", "#f0e6d0", "#d9a84a"), ("#2f7a5a", "#f4ead0", "#e08a4a"))


CRATE = ("#7c5633", "#b0824f", "#4a311f")

Links = dict[tuple[int, int], bool]
"""Whether there is a door between two neighbouring rooms."""


@dataclass(frozen=True)
class Room:
    west: float
    east: float
    near: float  # the side of the corridor
    far: float  # the side of the window
    index: int

    @property
    def x(self) -> float:
        return 0.5 * (self.west + self.east)

    @property
    def y(self) -> float:
        return 0.5 * (self.near + self.far)

    @property
    def out(self) -> float:
        """+1 if the room lies to the north of the corridor, -1 if to the south."""
        return 1.0 if self.far > self.near else -1.0


def rooms(seed: int) -> Scene:
    rng = np.random.default_rng([3, seed])
    blocks = Blocks()
    s = int(rng.integers(1 << 16))
    half = float(rng.uniform(7.5, 8.5)), float(rng.uniform(5.4, 6.2))
    aisle = float(rng.uniform(1.15, 1.35))
    blocks.surface("wood", Surface("plank", ("#8a5f3b", "#a5754a", "#4a311f"), 1.0, s))
    blocks.surface("pale", Surface("plank", ("#d9b98a", "#c9a674", "#8a6a45"), 1.0, s + 1))
    blocks.surface("frame", plain("#f3ead8"))
    blocks.surface("ceiling", Surface("plaster", ("#f3ecdc", "#e6dcc6", "#cfc3aa"), 1.5, s + 2))
    blocks.surface("globe", plain("#ffe6b8", glow=1.2))
    blocks.surface("linen", plain("#f4efe4"))
    blocks.surface("pot", plain("#b8623c"))
    blocks.surface("leaves", Surface("leaf", ("#2f7a3f", "#5fa64a", "#1c4a28"), 0.4, s + 3))
    blocks.surface("ground", Surface("grass", ("#6f9a3c", "#8fb04a", "#f4e7a0"), 1.0, s + 4))
    paper = PAPERS[int(rng.integers(len(PAPERS)))]
    blocks.surface("passage", Surface("stripe", (paper[0], paper[1], paper[1]), 0.8, s + 5))
    runner = CLOTHS[int(rng.integers(len(CLOTHS)))]
    blocks.surface("runner", Surface("chevron", (runner[0], runner[2], runner[1]), 0.7, s + 6))
    blocks.surface("boards", Surface("plank", ("#b98a58", "#a3764a", "#553820"), 1.4, s + 7))
    blocks.surface("dado", Surface("plank", ("#9c6e44", "#8f6440", "#5a3d24"), 0.9, s + 8))

    blocks.geom("plane", "ground", (0, 0, -0.02), (half[0] + 8, half[1] + 8, 1.0))
    blocks.box("boards", (0, 0, -0.01), (half[0], aisle, 0.01))
    blocks.box("runner", (0, 0, 0.006), (half[0] - 0.6, 0.55, 0.006))
    blocks.box("ceiling", (0, 0, HEIGHT + 0.3), (half[0] + 0.3, half[1] + 0.3, 0.3))

    plan = _plan(rng, half, aisle)
    themes = rng.permutation(len(THEMES))
    furnish = rng.permutation(len(FURNITURE))
    links = {(a, a + 1): bool(rng.random() < 0.6) for a in (0, 1, 3, 4)}
    for room in plan:
        _room(blocks, rng, room, THEMES[int(themes[room.index])], s, links)
        FURNITURE[int(furnish[room.index])](blocks, rng, room, s + 20 * room.index)
    _corridor(blocks, rng, half, aisle, plan)
    names = [f"the {WORDS[int(themes[room.index])]} room" for room in plan]
    for room, name in zip(plan, names, strict=True):
        blocks.spot(name, room.x, room.near + room.out * 1.2, 0.5)
        blocks.ways.append(("the corridor", name))
    blocks.spot("the corridor", 0.0, 0.0, 0.6)
    blocks.ways += [(names[a], names[b]) for (a, b), linked in links.items() if linked]
    blocks.words += ["a house of six rooms along a corridor", "each room of its own colour", "windows, lamps, pictures"]

    spawn_x = float(rng.uniform(-half[0] + 1.5, half[0] - 1.5))
    yaw = (0.0 if spawn_x < 0 else np.pi) + float(rng.uniform(-0.3, 0.3))
    spawn = (spawn_x, float(rng.uniform(-0.2, 0.2)), yaw)
    chosen = rng.permutation(len(plan))[: int(rng.integers(2, 4))]
    populate(blocks, rng, [(plan[int(n)].x, plan[int(n)].y) for n in chosen], 0.9)
    sky = Sky(
        zenith="#4a8fd0", horizon="#dfe8e6", ground="#8a9a5a", clouds=float(rng.uniform(0.3, 0.6)),
        sun_yaw=float(rng.choice([-1, 1])) * float(rng.uniform(1.0, 2.1)), sun_pitch=float(rng.uniform(0.5, 0.75)),
        sun_colour="#ffdca0", sun_strength=3.2, fill=1.05, fog=0.006, exposure=1.05, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    return blocks.finish("rooms", seed, sky, spawn, (half[0] + 0.8, half[1] + 0.8, HEIGHT + 1.0), f"rooms {seed}")


def _plan(rng: np.random.Generator, half: tuple[float, float], aisle: float) -> list[Room]:
    """Three rooms of unequal width on either side of the corridor."""
    plan: list[Room] = []
    for side in (1, -1):
        shares = rng.uniform(0.85, 1.15, 3)
        cuts = -half[0] + np.concatenate([[0.0], np.cumsum(shares / shares.sum())]) * 2 * half[0]
        for n in range(3):
            plan.append(Room(float(cuts[n]), float(cuts[n + 1]), side * aisle, side * half[1], len(plan)))
    return plan


def _room(blocks: Blocks, rng: np.random.Generator, room: Room, theme: tuple[str, ...], s: int, links: Links) -> None:
    """Walls with a door to the corridor, a window, perhaps a door to the next room; floor, lamp, pictures."""
    n = room.index
    scale = {"stripe": 0.6, "chevron": 0.6, "brick": 0.8, "plaster": 1.3}[theme[0]]
    wall = blocks.surface(f"wall{n}", Surface(theme[0], (theme[1], theme[2], theme[3]), scale, s + n))
    floor_scale = {"plank": 1.3, "checker": 0.7, "tile": 0.7, "hexagon": 0.6, "stone": 0.6}[theme[4]]
    floor = blocks.surface(f"floor{n}", Surface(theme[4], (theme[5], theme[6], theme[7]), floor_scale, s + 40 + n))
    west, east, near, far, out = room.west, room.east, room.near, room.far, room.out
    blocks.box(floor, (room.x, room.y, -0.01), (0.5 * (east - west), 0.5 * abs(far - near), 0.01))
    door = Opening(0.5 * (east - west), DOOR_WIDTH, 0.0, DOOR_HEIGHT)
    window = Opening(0.5 * (east - west), 1.7, 0.9, 2.2)
    blocks.wall(wall, (west, near + out * WALL), (east, near + out * WALL), HEIGHT, WALL, (door,))
    blocks.wall(wall, (west, far - out * WALL), (east, far - out * WALL), HEIGHT, WALL, (window,))
    for bar in (-0.9, 0.0, 0.9):
        blocks.box("frame", (room.x + bar, far - out * WALL, 1.55), (0.05, 0.12, 0.7))
    for z in (0.86, 2.24):
        blocks.box("frame", (room.x, far - out * WALL, z), (0.95, 0.14, 0.05))
    for side in (-1, 1):
        jamb = room.x + side * (0.5 * DOOR_WIDTH + 0.04)
        blocks.box("frame", (jamb, near, 0.5 * DOOR_HEIGHT), (0.06, 0.2, 0.5 * DOOR_HEIGHT))
    blocks.box("frame", (room.x, near, DOOR_HEIGHT + 0.04), (0.5 * DOOR_WIDTH + 0.1, 0.2, 0.06))
    clear = 0.5 * DOOR_WIDTH - 0.02  # between the jambs
    blocks.doorways.append(Doorway((room.x - clear, near), 0.0, 2 * clear, DOOR_HEIGHT - 0.02))
    for x, key in ((west + WALL, (n - 1, n)), (east - WALL, (n, n + 1))):
        depth = abs(far - near)
        passage = (Opening(0.5 * depth, DOOR_WIDTH, 0.0, DOOR_HEIGHT),) if links.get(key) else ()
        blocks.wall(wall, (x, min(near, far)), (x, max(near, far)), HEIGHT, WALL, passage)
        if not passage:
            art = ARTS[int(rng.integers(len(ARTS)))]
            name = f"art{n}_{key[0]}"
            picture = blocks.surface(name, Surface("picture", art, 1.0, int(rng.integers(64)), anchored=True))
            inward = WALL if x < room.x else -WALL
            blocks.box(picture, (x + 1.3 * inward, room.y, 1.55), (0.03, 0.62, 0.44))
    blocks.ball("globe", (room.x, room.y, HEIGHT - 0.32), 0.17)
    blocks.post("wood", room.x, room.y, HEIGHT - 0.2, HEIGHT, 0.03)
    blocks.lamp((room.x, room.y, HEIGHT - 0.32), LAMP, 3.0, 6.0)


def _corridor(
    blocks: Blocks, rng: np.random.Generator, half: tuple[float, float], aisle: float, plan: list[Room]
) -> None:
    """Its own side of the walls with a dado, an end wall with a picture at either end, three lamps."""
    for side in (1, -1):
        y = side * (aisle - WALL)
        doors = [Opening(room.x + half[0], DOOR_WIDTH, 0.0, DOOR_HEIGHT) for room in plan if room.out == side]
        blocks.wall("passage", (-half[0], y), (half[0], y), HEIGHT, WALL, tuple(doors))
        starts = [-half[0], *(door.middle - half[0] + 0.8 for door in doors)]
        ends = [*(door.middle - half[0] - 0.8 for door in doors), half[0]]
        for a, b in zip(starts, ends, strict=True):
            middle = 0.5 * (a + b)
            blocks.box("dado", (middle, y, 0.45), (0.5 * (b - a), WALL + 0.02, 0.45))
            blocks.box("frame", (middle, y, 0.93), (0.5 * (b - a), WALL + 0.04, 0.03))
            name = f"gallery{side}_{len(blocks.surfaces)}"
            art = ARTS[int(rng.integers(len(ARTS)))]
            picture = blocks.surface(name, Surface("picture", art, 1.0, int(rng.integers(64)), anchored=True))
            if b - a > 1.2:
                blocks.box(picture, (middle, y - side * 0.1, 1.65), (min(0.3 * (b - a), 0.6), 0.03, 0.36))
    for end in (-1, 1):
        x = end * (half[0] - WALL)
        blocks.wall("passage", (x, -aisle), (x, aisle), HEIGHT, WALL)
        art = ARTS[int(rng.integers(len(ARTS)))]
        picture = blocks.surface(f"end{end}", Surface("picture", art, 1.0, int(rng.integers(64)), anchored=True))
        blocks.box(picture, (x - end * 0.1, 0, 1.55), (0.03, 0.6, 0.5))
        blocks.post("pot", end * (half[0] - 0.6), 0.75 * end * aisle - end * 0.2, 0.0, 0.4, 0.2)
        blocks.ball("leaves", (end * (half[0] - 0.6), 0.75 * end * aisle - end * 0.2, 0.8), 0.38)
    for x in (-0.6 * half[0], 0.0, 0.6 * half[0]):
        blocks.ball("globe", (x, 0, HEIGHT - 0.2), 0.15)
        blocks.lamp((x, 0.0, HEIGHT - 0.3), LAMP, 2.6, 6.0)


def _rug(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    colours = CLOTHS[int(rng.integers(len(CLOTHS)))]
    rug = blocks.surface(f"rug{room.index}", Surface("rug", colours, 1.0, s, anchored=True))
    blocks.box(rug, (room.x, room.y, 0.008), (1.25, 0.9, 0.008))


def _bedroom(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """A bed with a patterned cover along one wall, a bedside table with a lamp."""
    cloth = CLOTHS[int(rng.integers(len(CLOTHS)))]
    cover = blocks.surface(f"cover{room.index}", Surface("checker", (cloth[0], cloth[1], cloth[2]), 0.4, s))
    x, y = room.west + 0.8, room.far - room.out * 1.35
    blocks.box("wood", (x, y, 0.2), (0.6, 1.05, 0.2))
    blocks.box("linen", (x, y, 0.46), (0.56, 1.0, 0.08))
    blocks.box(cover, (x, y - room.out * 0.3, 0.5), (0.6, 0.72, 0.08))
    blocks.box("wood", (x, y + room.out * 1.05, 0.55), (0.62, 0.06, 0.55))
    blocks.egg("linen", (x, y + room.out * 0.75, 0.6), (0.4, 0.22, 0.1))
    _wardrobe(blocks, room, s)
    _rug(blocks, rng, room, s)


def _wardrobe(blocks: Blocks, room: Room, s: int) -> None:
    panel = blocks.surface(f"panel{room.index}", Surface("panel", CRATE, 1.0, s, anchored=True))
    blocks.box(panel, (room.east - 0.5, room.near + room.out * 0.95, 1.0), (0.3, 0.6, 1.0))


def _study(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """A desk by the window, a chair, and shelves of books."""
    x, y = room.east - 1.2, room.far - room.out * 0.75
    _table(blocks, x, y, 0.75, 0.4)
    _chair(blocks, x, y - room.out * 0.8, -room.out)
    _shelves(blocks, rng, room.west + 0.36, room.near + room.out * 1.1, s, room.index)
    earth = Surface("marble", ("#2f7fb0", "#5aa66a", "#e8dfb0"), 0.25, s, anchored=True)
    globe = blocks.surface(f"world{room.index}", earth)
    blocks.ball(globe, (x + 0.4, y, 0.98), 0.2)
    _rug(blocks, rng, room, s)


def _shelves(blocks: Blocks, rng: np.random.Generator, x: float, y: float, s: int, index: int) -> None:
    blocks.box("wood", (x, y, 1.05), (0.16, 0.7, 1.05))
    books = blocks.surface(f"books{index}", Surface("stripe", ("#b8442f", "#2f5f8a", "#e0b050"), 0.16, s))
    other = blocks.surface(f"tomes{index}", Surface("stripe", ("#3f7a4f", "#e0b050", "#b8442f"), 0.2, s + 1))
    for n, z in enumerate((0.4, 0.85, 1.3, 1.75)):
        blocks.box(books if n % 2 else other, (x + 0.08, y, z), (0.12, 0.6, 0.15))


def _table(blocks: Blocks, x: float, y: float, length: float, width: float) -> None:
    blocks.box("pale", (x, y, 0.74), (length, width, 0.04))
    for dx in (-1, 1):
        for dy in (-1, 1):
            blocks.box("pale", (x + dx * (length - 0.07), y + dy * (width - 0.07), 0.35), (0.05, 0.05, 0.35))


def _chair(blocks: Blocks, x: float, y: float, back: float) -> None:
    """`back` is the direction along y in which its back stands."""
    blocks.box("wood", (x, y, 0.43), (0.23, 0.23, 0.04))
    blocks.box("wood", (x, y + back * 0.22, 0.75), (0.23, 0.03, 0.3))
    for dx in (-0.18, 0.18):
        for dy in (-0.18, 0.18):
            blocks.box("wood", (x + dx, y + dy, 0.2), (0.03, 0.03, 0.2))


def _dining(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """A laid table with chairs on one side of the room, fruit on it."""
    x, y = room.west + 1.25, room.far - room.out * 1.25
    _table(blocks, x, y, 0.85, 0.5)
    for dx in (-0.45, 0.45):
        _chair(blocks, x + dx, y - room.out * 0.75, -room.out)
    for n, colour in enumerate(("#d8392f", "#e9a52c", "#7fae3a")):
        ball = blocks.surface(f"fruit{room.index}_{n}", plain(colour, gloss=0.3))
        blocks.ball(ball, (x + 0.2 * (n - 1), y, 0.88), 0.11)
    _plant(blocks, room.east - 0.6, room.far - room.out * 0.6)
    _rug(blocks, rng, room, s)


def _plant(blocks: Blocks, x: float, y: float) -> None:
    blocks.post("pot", x, y, 0.0, 0.5, 0.25)
    for dx, dy, z, r in ((0, 0, 1.0, 0.38), (0.16, 0.1, 1.35, 0.28), (-0.14, -0.08, 1.4, 0.26)):
        blocks.ball("leaves", (x + dx, y + dy, z), r)


def _greenhouse(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """Plants in pots along the walls, and a bench."""
    for x in (room.west + 0.6, room.east - 0.6):
        for y in (room.far - room.out * 0.6, room.near + room.out * 0.7):
            _plant(blocks, x, y)
    blocks.box("pale", (room.x, room.far - room.out * 0.55, 0.42), (0.8, 0.25, 0.05))
    for dx in (-0.6, 0.6):
        blocks.box("pale", (room.x + dx, room.far - room.out * 0.55, 0.2), (0.06, 0.2, 0.2))
    _rug(blocks, rng, room, s)


def _store(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """Crates in a stack, and barrels."""
    crate = blocks.surface(f"crate{room.index}", Surface("panel", CRATE, 1.0, s, anchored=True))
    barrel = blocks.surface(f"barrel{room.index}", Surface("plank", ("#9a6a3e", "#b07c4c", "#4f3420"), 0.6, s + 1))
    x, y = room.west + 0.75, room.far - room.out * 0.75
    blocks.box(crate, (x, y, 0.4), (0.4, 0.4, 0.4), 0.1)
    blocks.box(crate, (x + 0.95, y, 0.35), (0.35, 0.35, 0.35), -0.2)
    blocks.box(crate, (x + 0.4, y, 1.12), (0.32, 0.32, 0.32), 0.4)
    for n in range(2):
        blocks.post(barrel, room.east - 0.6, room.far - room.out * (0.65 + 0.85 * n), 0.0, 0.95, 0.36)
    blocks.box(crate, (room.east - 0.7, room.near + room.out * 0.8, 0.4), (0.4, 0.4, 0.4))


def _gallery(blocks: Blocks, rng: np.random.Generator, room: Room, s: int) -> None:
    """A bust on a pedestal, a vase on another."""
    veined = Surface("marble", ("#f2eee4", "#d9d2c2", "#9a9488"), 0.8, s, gloss=0.2)
    banded = Surface("stripe", ("#2f6fa8", "#f2e6c8", "#2f6fa8"), 0.18, s + 1, gloss=0.4, anchored=True)
    marble = blocks.surface(f"marble{room.index}", veined)
    vase = blocks.surface(f"vase{room.index}", banded)
    x, y = room.west + 0.75, room.far - room.out * 0.75
    blocks.box(marble, (x, y, 0.5), (0.3, 0.3, 0.5))
    blocks.egg(marble, (x, y, 1.15), (0.3, 0.3, 0.22))
    blocks.post(marble, x, y, 1.2, 1.5, 0.09)
    blocks.egg(marble, (x, y, 1.62), (0.16, 0.16, 0.21))
    x = room.east - 0.75
    blocks.box(marble, (x, y, 0.4), (0.3, 0.3, 0.4))
    blocks.egg(vase, (x, y, 1.1), (0.26, 0.26, 0.32))
    blocks.post(vase, x, y, 1.3, 1.55, 0.1)
    _rug(blocks, rng, room, s)


FURNITURE = (_bedroom, _study, _dining, _greenhouse, _store, _gallery)
