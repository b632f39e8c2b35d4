"""The maze: ways between tall hedges or walls that fork and meet again, and something to find at every dead end."""

import math
from collections.abc import Callable

import numpy as np

from perdure.data.scenes import landmarks, plants
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface, plain

GRAVEL, SAND = ("#e0cfa8", "#c2aa80", "#7d6a4d"), ("#e3cf9f", "#cdb47e", "#b59a66")
COBBLES, FLAGS = ("#a9a498", "#87837a", "#56534c"), ("#c4b8a2", "#a09480", "#6b6252")

STYLES = (  # wall: texture, its three colours, its scale; floor: texture, colours, scale; words for both
    (None, "gravel", GRAVEL, 1.0, "hedges", "gravel"),
    (("ashlar", ("#c9b993", "#a8966e", "#75674a"), 1.2), "sand", SAND, 2.0, "sandstone walls", "sand"),
    (("moss", ("#9a978c", "#5f7f45", "#6f6c64"), 1.3), "cobble", COBBLES, 0.9, "mossy walls", "cobbles"),
    (("brick", ("#b5694c", "#96503a", "#d9c6a8"), 0.8), "stone", FLAGS, 0.8, "brick walls", "flagstones"),
    (None, "lawn", None, 1.0, "hedges", "grass"),
)

PITCH = 2.5  # metres from the middle of one way to that of the next
Cell = tuple[int, int]

CREATURES = ("knight", "mage", "serpent", "lantern golem", "frog")


def maze(seed: int) -> Scene:
    rng = np.random.default_rng([7, seed])
    blocks = Blocks()
    s = int(rng.integers(1 << 16))
    wall, floor, tones, scale, words, ground = STYLES[int(rng.integers(len(STYLES)))]
    plants.greens(blocks, s, int(rng.integers(4)))
    landmarks.common(blocks, s, ("#d9cfba", "#b3a88e", "#7d715e"))
    if tones is not None:
        blocks.surface(floor, Surface(floor, tones, scale, s + 40))
    if wall is None:
        material, thick, height = "hedge", 0.32, float(rng.uniform(1.9, 2.1))
    else:
        material, thick, height = blocks.surface("wall", Surface(*wall, s + 41)), 0.2, float(rng.uniform(2.0, 2.3))
        blocks.surface("cap", Surface("plaster", (wall[1][0], wall[1][1], wall[1][1]), 1.0, s + 42))
    if "wall" not in blocks.surfaces:
        blocks.surface("wall", Surface("ashlar", ("#d9cfba", "#b3a88e", "#7d715e"), 1.2, s + 43))
    columns, rows = (7, 6) if rng.integers(2) else (6, 7)
    half = 0.5 * columns * PITCH, 0.5 * rows * PITCH

    def middle(cell: Cell) -> tuple[float, float]:
        return (cell[0] + 0.5) * PITCH - half[0], (cell[1] + 0.5) * PITCH - half[1]

    centre = (columns // 2 - 1, rows // 2 - 1)
    open_ways = _dug(rng, columns, rows, centre)
    blocks.geom("plane", floor, (0, 0, 0), (60, 60, 1.0))
    _walls(blocks, columns, rows, open_ways, half, material, thick, height)

    def count(cell: Cell) -> int:
        return sum(cell in pair for pair in open_ways)

    cells = [(i, j) for i in range(columns) for j in range(rows)]
    clearing = {(centre[0] + a, centre[1] + b) for a in (0, 1) for b in (0, 1)}
    ends = [cell for cell in cells if count(cell) == 1 and cell not in clearing]
    colours = landmarks.palette(rng, 8)
    x, y = (centre[0] + 1) * PITCH - half[0], (centre[1] + 1) * PITCH - half[1]
    _clearing(blocks, rng, x, y, colours[0])
    marks = [landmarks.SMALL[int(n)] for n in rng.permutation(len(landmarks.SMALL))]
    for n, cell in enumerate(ends[:7]):
        x, y = middle(cell)
        toward = _toward(cell, open_ways)
        word = colours[n + 1]
        if n < len(marks):
            name = marks[n](blocks, x - 0.15 * toward[0], y - 0.15 * toward[1], word)
        else:
            name = _tree(blocks, x - 0.2 * toward[0], y - 0.2 * toward[1], word)
        blocks.spot(name, x, y, 0.8)
        blocks.take(x, y, 1.0)
    _signs(blocks, rng, [cell for cell in cells if count(cell) > 1], open_ways, middle, thick, colours, ends)
    fork = [cell for cell in cells if count(cell) >= 3 and cell not in clearing]
    for cell in [fork[int(n)] for n in rng.permutation(len(fork))[:4]]:
        x, y = middle(cell)
        corner = x + (0.5 * PITCH - thick - 0.1), y + (0.5 * PITCH - thick - 0.1)
        landmarks.lantern(blocks, *corner, tall=2.6)

    ways = [cell for cell in cells if count(cell) > 1 and cell not in clearing]
    first = ways[int(rng.integers(len(ways)))]
    spawn, toward = middle(first), _toward(first, open_ways)
    yaw = float(np.arctan2(toward[1], toward[0])) + float(rng.uniform(-0.1, 0.1))
    blocks.take(*spawn, 1.2)
    order = [ways[int(n)] for n in rng.permutation(len(ways))]
    homes = [middle(cell) for cell in order if blocks.free(*middle(cell), 1.6)][: int(rng.integers(2, 4))]
    populate(blocks, rng, homes, 1.2, CREATURES)
    for n, name in enumerate(("the south-west corner", "the north-east corner")):
        x, y = middle((0, 0) if n == 0 else (columns - 1, rows - 1))
        blocks.spot(name, x, y, 0.6)
    sky = Sky(
        zenith="#3f86c8", horizon=str(rng.choice(["#d6e6ec", "#f2dcb8", "#e6e8e0"])), ground="#8f8a6a",
        clouds=float(rng.uniform(0.3, 0.65)), sun_yaw=float(rng.uniform(-np.pi, np.pi)),
        sun_pitch=float(rng.uniform(0.65, 1.0)), sun_colour=str(rng.choice(["#ffe6bc", "#ffd79a", "#fff0d0"])),
        sun_strength=2.5, fill=1.05, fog=0.008, exposure=0.95, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += [f"a maze of {words} on {ground}", "ways that fork and meet again", "a landmark at every dead end"]
    extent = half[0] + 0.6, half[1] + 0.6, 6.4
    return blocks.finish("maze", seed, sky, (*spawn, math.remainder(yaw, 2 * math.pi)), extent, f"maze {seed}")


def _dug(rng: np.random.Generator, columns: int, rows: int, centre: Cell) -> set[frozenset[Cell]]:
    """Pairs of neighbours with a way between them: a tree dug from one cell, then opened where it makes loops."""
    ways: set[frozenset[Cell]] = set()
    seen, path = {(0, 0)}, [(0, 0)]
    while path:
        i, j = path[-1]
        near = [(i + a, j + b) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        fresh = [c for c in near if 0 <= c[0] < columns and 0 <= c[1] < rows and c not in seen]
        if not fresh:
            path.pop()
            continue
        there = fresh[int(rng.integers(len(fresh)))]
        ways.add(frozenset((path[-1], there)))
        seen.add(there)
        path.append(there)
    x, y = centre
    square = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
    ways |= {frozenset((square[n], square[(n + 1) % 4])) for n in range(4)}
    shut = [
        frozenset(((i, j), there))
        for i in range(columns) for j in range(rows) for there in ((i + 1, j), (i, j + 1))
        if there[0] < columns and there[1] < rows and frozenset(((i, j), there)) not in ways
    ]  # fmt: skip

    def dead(cell: Cell) -> bool:
        return sum(cell in pair for pair in ways) == 1

    for pair in [shut[int(n)] for n in rng.permutation(len(shut))][:7]:
        ends = sum(dead((i, j)) for i in range(columns) for j in range(rows))
        if ends - sum(dead(cell) for cell in pair) >= 4:  # enough of them stay
            ways.add(pair)
    return ways


def _walls(
    blocks: Blocks, columns: int, rows: int, ways: set[frozenset[Cell]], half: tuple[float, float],
    material: str, thick: float, height: float,
) -> None:  # fmt: skip
    """In runs as long as can be; one that crosses no other is a little lower, so that their tops do not flicker."""
    capped = "cap" in blocks.surfaces

    def run(along: int, line: int, start: int, end: int) -> None:
        a, b = start * PITCH - half[along], end * PITCH - half[along]
        across = line * PITCH - half[1 - along]
        at, size = [0.0, 0.0], [0.0, 0.0]
        at[along], at[1 - along] = 0.5 * (a + b), across
        size[along], size[1 - along] = 0.5 * (b - a) + thick, thick
        top = height - 0.02 * along
        blocks.box(material, (at[0], at[1], 0.5 * top), (size[0], size[1], 0.5 * top))
        if capped:
            blocks.box("cap", (at[0], at[1], top + 0.04), (size[0] + 0.05, size[1] + 0.05, 0.04))

    for along, (length, lines) in enumerate(((columns, rows), (rows, columns))):
        for line in range(lines + 1):
            start = None
            for n in range(length + 1):
                cell, other = ((n, line - 1), (n, line)) if along == 0 else ((line - 1, n), (line, n))
                solid = n < length and (line in (0, lines) or frozenset((cell, other)) not in ways)
                if solid and start is None:
                    start = n
                elif not solid and start is not None:
                    run(along, line, start, n)
                    start = None


def _signs(
    blocks: Blocks, rng: np.random.Generator, cells: list[Cell], ways: set[frozenset[Cell]],
    middle: Callable[[Cell], tuple[float, float]], thick: float, colours: list[str], ends: list[Cell],
) -> None:  # fmt: skip
    """Banners on the walls, in the colour of the landmark that is nearest."""
    emblem = int(rng.integers(6))
    for cell in [cells[int(n)] for n in rng.permutation(len(cells))[:10]]:
        shut = [
            (a, b)
            for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))
            if frozenset((cell, (cell[0] + a, cell[1] + b))) not in ways
        ]
        if not shut or not ends:
            continue
        a, b = shut[int(rng.integers(len(shut)))]
        near = min(range(min(len(ends), 7)), key=lambda n: abs(ends[n][0] - cell[0]) + abs(ends[n][1] - cell[1]))
        light, dark = landmarks.COLOURS[colours[near + 1]]
        cloth = Surface("emblem", (light, "#f3ead2", dark), 1.0, emblem, anchored=True)
        name = blocks.surface(f"{colours[near + 1]}_banner", cloth)
        x, y = middle(cell)
        off = 0.5 * PITCH - thick - 0.015
        size = (0.025, 0.36, 0.55) if a else (0.36, 0.025, 0.55)
        blocks.box(name, (x + a * off, y + b * off, 1.3), size)


def _toward(cell: Cell, ways: set[frozenset[Cell]]) -> Cell:
    """The direction of a way out of a cell."""
    pair = min(sorted(pair) for pair in ways if cell in pair)
    other = pair[0] if pair[1] == cell else pair[1]
    return other[0] - cell[0], other[1] - cell[1]


def _clearing(blocks: Blocks, rng: np.random.Generator, x: float, y: float, word: str) -> None:
    """In the middle, what is seen over the walls."""
    if rng.integers(2):
        blocks.spot(landmarks.tower(blocks, x, y, word, tall=4.0, radius=0.95), x, y, 1.2)
    else:
        blocks.spot(landmarks.fountain(blocks, x, y, word, radius=1.15), x, y, 1.4)


def _tree(blocks: Blocks, x: float, y: float, word: str) -> str:
    """A tree that blooms in one colour."""
    light, dark = landmarks.COLOURS[word]
    bloom = blocks.surface(f"{word}_bloom", Surface("leaf", (light, light, dark), 0.3, 3))
    blocks.limb("bark", (x, y, 0), (x, y, 1.6), 0.12)
    blocks.ball(bloom, (x, y, 2.4), 0.72)
    for n in range(3):
        a = 2.1 * n
        blocks.ball(bloom, (x + 0.45 * float(np.cos(a)), y + 0.45 * float(np.sin(a)), 2.0), 0.5)
    blocks.take(x, y, 0.7)
    blocks.surface(f"{word}_petal", plain(light))
    return f"the {word} tree"
