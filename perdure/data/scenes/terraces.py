"""The terraces: three levels above the sea, joined by stairs and by ramps, with parapets and a view over all of it."""

import math

import numpy as np

from perdure.data.scenes import landmarks, plants
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface

PALETTES = (  # wall texture, light, dark, joint; floor texture, light, dark, joint; cap; stone words
    ("ashlar", "#e6d3ae", "#cbb083", "#94794f", "cobble", "#d9c7a4", "#b39b74", "#6f5c42", "#f0e4c8", "sandstone"),
    ("plaster", "#f2ece0", "#e4dac8", "#cbbfa8", "tile", "#d9986e", "#bd7850", "#8b5538", "#f6f1e6", "whitewash"),
    ("rock", "#a8aba4", "#84887f", "#5a5e58", "hexagon", "#c9c2b2", "#a59c8a", "#6d665a", "#dcdad0", "grey rock"),
    ("brick", "#c98a66", "#a8674a", "#e0ccb0", "terrazzo", "#e6d8c2", "#b9866a", "#7d8a80", "#efe2cc", "red brick"),
)

SKIES = (
    ("#2f7cc8", "#d2e8f0", "#fff0d0", 0.85, 0.84),
    ("#3f86c8", "#f4dcb8", "#ffcf90", 0.55, 0.98),
    ("#5b8cc0", "#f6cfa8", "#ffb878", 0.45, 1.06),
    ("#3a88c0", "#e0eeee", "#fff4dc", 1.0, 0.8),
)

PARAPET = 0.85  # metres above its level
WIDE = 2.4  # of stairs and ramps

CREATURES = ("knight", "mage", "strider", "bird", "cart", "golem")


def terraces(seed: int) -> Scene:
    rng = np.random.default_rng([5, seed])
    blocks = Blocks()
    s, look = int(rng.integers(1 << 16)), int(rng.integers(len(PALETTES)))
    texture, light, dark, joint, floor, floor_light, floor_dark, floor_joint, cap, word = PALETTES[look]
    plants.greens(blocks, s, int(rng.integers(4)))
    landmarks.common(blocks, s, (cap, floor_dark, floor_joint))
    scale = {"ashlar": 1.3, "plaster": 1.6, "rock": 1.8, "brick": 0.8}[texture]
    blocks.surface("wall", Surface(texture, (light, dark, joint), scale, s + 40))
    for n in range(3):
        tones = (floor_light, floor_dark) if n != 1 else (floor_dark, floor_light)
        kind = floor if n != 1 else ("checker" if floor in ("tile", "hexagon") else floor)
        size = {"cobble": 1.0, "tile": 0.9, "hexagon": 0.7, "terrazzo": 1.2, "checker": 1.2}[kind]
        blocks.surface(f"floor{n}", Surface(kind, (*tones, floor_joint), size, s + 41 + n))
    blocks.surface("step", Surface("plaster", (cap, floor_light, floor_joint), 0.7, s + 45))
    blocks.surface("cap", Surface("plaster", (cap, light, joint), 1.0, s + 46))
    blocks.surface("planter", Surface("plaster", ("#b8623c", "#a3522f", "#7a3a20"), 0.6, s + 47))
    blocks.surface("sea", Surface("water", ("#2a7fa0", "#4fa6bc", "#d6eef0"), 2.4, s + 48, gloss=0.7))
    blocks.surface("coast", Surface("moss", ("#7a9468", "#93a583", "#5f7050"), 7.0, s + 49))
    colours = landmarks.palette(rng, 6)

    m, half = 1 if rng.integers(2) else -1, (float(rng.uniform(11.5, 12.5)), float(rng.uniform(7.0, 8.0)))
    edges = [float(rng.uniform(-3.4, -2.4)), float(rng.uniform(4.4, 5.6))]  # where the levels begin, along m * x
    first = float(rng.uniform(1.0, 1.4))
    heights = [0.0, first, first + float(rng.uniform(1.0, 1.4))]
    blocks.geom("plane", "coast", (0, 0, 0), (60, 60, 1.0))
    x0, x1 = -half[0], edges[0] + 0.1
    blocks.box("floor0", (m * 0.5 * (x0 + x1), 0, 0.006), (0.5 * (x1 - x0), half[1], 0.006))
    blocks.box("sea", (-m * (half[0] + 31.2), 0, 0.02), (30, 60, 0.02))
    for n, (far, wide, tall) in enumerate(((38, 13, 5), (46, 18, 9))):
        a = float(np.pi) * (m > 0) + 0.5 * (2 * n - 1)
        blocks.egg("coast", (far * float(np.cos(a)), far * float(np.sin(a)), 0.0), (wide, wide, tall), a)
    for n, (x, y) in enumerate(((m * 44.0, 22.0), (m * 50.0, -16.0), (m * 10.0, 46.0), (m * 8.0, -48.0))):
        blocks.egg("coast", (x, y, -1.0), (20 + 3 * n, 18, 11 - n), 0.4 * n)
    for n in (1, 2):
        x0, x1 = edges[n - 1], half[0] + 0.4
        blocks.box(
            "wall", (m * 0.5 * (x0 + x1), 0, 0.5 * heights[n]), (0.5 * (x1 - x0), half[1] + 0.4, 0.5 * heights[n])
        )
        end = edges[1] if n == 1 else half[0]
        x0 += 0.05
        blocks.box(f"floor{n}", (m * 0.5 * (x0 + end), 0, heights[n] + 0.006), (0.5 * (end - x0), half[1], 0.006))

    sides = [float(side) for side in rng.permutation([1, -1])]
    for n in (1, 2):
        rise = heights[n] - heights[n - 1]
        up, slope = sides[n - 1] * half[1] * 0.42, -sides[n - 1] * half[1] * 0.55
        reach = round(rise / 0.17) * 0.3
        yaw = 0.0 if m > 0 else float(np.pi)
        blocks.stairs("step", m * (edges[n - 1] - reach), up, yaw, WIDE, heights[n - 1], heights[n])
        long = rise / 0.42
        blocks.ramp("step", m * (edges[n - 1] - long), slope, yaw, WIDE - 0.4, heights[n - 1], heights[n], long)
        for y, wide, length in ((up, WIDE, reach), (slope, WIDE - 0.4, long)):
            for side in (-1, 1):
                _cheek(blocks, m, edges[n - 1], y + side * (0.5 * wide + 0.12), length, heights[n - 1], heights[n])
            blocks.take(m * (edges[n - 1] - 0.5 * length), y, 0.5 * wide + 0.9)
        _parapet(blocks, m, edges[n - 1], half[1], heights[n], ((up, WIDE), (slope, WIDE - 0.4)))
    for n, (x0, x1) in enumerate(((-half[0], edges[0]), (edges[0], edges[1]), (edges[1], half[0]))):
        for side in (-1, 1):
            at = m * 0.5 * (x0 + x1), side * (half[1] + 0.2)
            blocks.box("wall", (*at, heights[n] + 0.4), (0.5 * (x1 - x0), 0.2, 0.4))
            blocks.box("cap", (*at, heights[n] + PARAPET), (0.5 * (x1 - x0), 0.26, 0.05))
    blocks.box("wall", (-m * (half[0] + 0.2), 0, 0.4), (0.2, half[1] + 0.4, 0.4))
    blocks.box("cap", (-m * (half[0] + 0.2), 0, PARAPET), (0.26, half[1] + 0.4, 0.05))
    blocks.box("wall", (m * (half[0] + 0.2), 0, heights[2] + 1.1), (0.2, half[1] + 0.4, 1.1))
    blocks.box("cap", (m * (half[0] + 0.2), 0, heights[2] + 2.25), (0.3, half[1] + 0.5, 0.06))

    _lower(blocks, rng, m, half, edges, colours, s, sides[0])
    _middle(blocks, rng, m, half, edges, heights[1], colours, s, sides)
    _upper(blocks, rng, m, half, edges, heights[2], colours, s)
    names = "the lower terrace", "the middle terrace", "the upper terrace"
    spots = (-half[0] + 2.0, 0.5 * (edges[0] + edges[1]) - 0.6, edges[1] + 1.6)
    for name, x, height in zip(names, spots, heights, strict=True):
        blocks.spot(name, m * x, 0.0, 0.8, height)
    blocks.ways += [(names[0], names[1]), (names[1], names[2])]

    spawn = -m * (half[0] - float(rng.uniform(1.2, 1.6))), float(rng.choice([-1.0, 1.0])) * float(rng.uniform(1.8, 3.0))
    yaw = float(np.arctan2(-0.8 * spawn[1], m * edges[1] - spawn[0])) + float(rng.uniform(-0.1, 0.1))
    blocks.take(*spawn, 1.0)
    blocks.take(spawn[0] + 2.8 * math.cos(yaw), spawn[1] + 2.8 * math.sin(yaw), 2.2)  # the view, and things to handle
    levels = ((1.4 - half[0], edges[0] - 2.2), (edges[0] + 1.0, edges[1] - 1.4), (edges[1] + 1.0, half[0] - 1.4))
    homes, grounds = [], []
    for n in (0, *(int(level) for level in rng.permutation((1, 2))))[: int(rng.integers(2, 4))]:
        for _ in range(40):
            x, y = m * float(rng.uniform(*levels[n])), float(rng.uniform(1.4 - half[1], half[1] - 1.4))
            if blocks.free(x, y, 0.9):
                blocks.take(x, y, 1.2)
                homes.append((x, y))
                grounds.append(heights[n] + 0.012)
                break
    populate(blocks, rng, homes, 1.8, CREATURES, grounds)
    zenith, horizon, sun, pitch, exposure = SKIES[int(rng.integers(len(SKIES)))]
    sky = Sky(
        zenith=zenith, horizon=horizon, ground=floor_dark, clouds=float(rng.uniform(0.25, 0.6)),
        sun_yaw=float(rng.uniform(-np.pi, np.pi)), sun_pitch=pitch, sun_colour=sun, sun_strength=2.5,
        fill=0.95, fog=0.006, exposure=exposure, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += [f"three terraces of {word} above the sea", "joined by stairs and ramps", "parapets with a view"]
    extent = half[0] + 0.8, half[1] + 0.8, heights[2] + 6.8
    return blocks.finish(
        "terraces", seed, sky, (*spawn, math.remainder(yaw, 2 * math.pi)), extent, f"terraces {seed}", ground=0.012
    )


def _cheek(blocks: Blocks, m: int, edge: float, y: float, length: float, bottom: float, top: float) -> None:
    """A sloping wall along stairs or a ramp, with a post at its foot. 2 geoms."""
    angle = float(np.arctan2(top - bottom, length))
    along, lift = float(np.hypot(length, top - bottom)), 0.28
    yaw = 0.0 if m > 0 else float(np.pi)
    x = m * (edge - 0.5 * length)
    blocks.box("cap", (x, y, 0.5 * (bottom + top) + lift), (0.5 * along, 0.12, 0.32), yaw, -angle)
    blocks.box("cap", (m * (edge - length), y, bottom + 0.38), (0.2, 0.2, 0.38))


def _parapet(
    blocks: Blocks, m: int, edge: float, half: float, height: float, gaps: tuple[tuple[float, float], ...]
) -> None:
    """Along the edge of a level, open where one comes up."""
    at = -half
    for middle, wide in sorted(gaps):
        for a, b in ((at, middle - 0.5 * wide),):
            if b - a > 0.1:
                blocks.box("wall", (m * (edge + 0.15), 0.5 * (a + b), height + 0.4), (0.15, 0.5 * (b - a), 0.4))
                blocks.box("cap", (m * (edge + 0.15), 0.5 * (a + b), height + PARAPET), (0.21, 0.5 * (b - a), 0.05))
        at = middle + 0.5 * wide
    if half - at > 0.1:
        blocks.box("wall", (m * (edge + 0.15), 0.5 * (at + half), height + 0.4), (0.15, 0.5 * (half - at), 0.4))
        blocks.box("cap", (m * (edge + 0.15), 0.5 * (at + half), height + PARAPET), (0.21, 0.5 * (half - at), 0.05))


def _planter(blocks: Blocks, x: float, y: float, z: float, bed: str, long: float, wide: float) -> None:
    blocks.box("planter", (x, y, z + 0.25), (long, wide, 0.25))
    blocks.egg(bed, (x, y, z + 0.5), (long - 0.06, wide - 0.04, 0.28))
    blocks.take(x, y, max(long, wide))


def _lower(
    blocks: Blocks, rng: np.random.Generator, m: int, half: tuple[float, float], edges: list[float],
    colours: list[str], s: int, side: float,
) -> None:  # fmt: skip
    """A fountain, palms or pines at the corners, planters under the wall, lanterns."""
    x = m * (0.55 * (edges[0] - half[0]))
    blocks.spot(landmarks.fountain(blocks, x, 0.0, colours[0], radius=1.3), x, 0.0, 1.6)
    tree = (plants.palm, plants.pine)[int(rng.integers(2))]
    for y in (-1, 1):
        tree(blocks, -m * (half[0] - 1.3), y * (half[1] - 1.4), float(rng.uniform(3.8, 4.6)))
    which = int(rng.integers(len(plants.FLOWERS)))
    bed = plants.flowers(blocks, "bed", which, s)
    _planter(blocks, m * (edges[0] - 0.5), -0.06 * side * half[1], 0.0, bed, 0.4, 0.95)
    y = side * (half[1] - 1.5)
    x = -m * (half[0] - 3.8)
    mark = (landmarks.globes, landmarks.urn, landmarks.well)[int(rng.integers(3))]
    blocks.spot(mark(blocks, x, -y, colours[1]), x, -y, 0.9)
    landmarks.lantern(blocks, m * (edges[0] - 4.2), y + 0.6 * side)


def _middle(
    blocks: Blocks, rng: np.random.Generator, m: int, half: tuple[float, float], edges: list[float], z: float,
    colours: list[str], s: int, sides: list[float],
) -> None:  # fmt: skip
    """A statue or an obelisk in the open, cypresses at one end, a bench with a view."""
    mark = (landmarks.statue, landmarks.obelisk)[int(rng.integers(2))]
    x = m * (edges[0] + 2.6)
    blocks.spot(mark(blocks, x, -0.1 * half[1] * sides[0], colours[2], z), x, -0.1 * half[1] * sides[0], 0.9, z)
    for n in range(3):
        plants.cypress(blocks, m * (edges[0] + 1.0 + 1.1 * n), sides[0] * (half[1] - 0.7), 3.4 + 0.4 * (n % 2), z)
    blocks.spot(
        landmarks.arch(blocks, m * (edges[0] + 1.8), -sides[0] * 0.55 * half[1], colours[3], z),
        m * (edges[0] + 1.8), -sides[0] * 0.55 * half[1], 0.6, z,
    )  # fmt: skip
    landmarks.bench(blocks, m * (edges[1] - 0.6), 0.0, 0.0 if m < 0 else float(np.pi), z)
    landmarks.lantern(blocks, m * (edges[0] + 0.9), 0.12 * half[1] * sides[0] + 0.0, z)


def _upper(
    blocks: Blocks, rng: np.random.Generator, m: int, half: tuple[float, float], edges: list[float], z: float,
    colours: list[str], s: int,
) -> None:  # fmt: skip
    """A pavilion or a tower at one end, a tree at the other, banners on the wall behind."""
    end = 1 if rng.integers(2) else -1
    x, y = m * (half[0] - 2.6), end * (half[1] - 2.8)
    if rng.integers(2):
        blocks.spot(landmarks.pavilion(blocks, x, y, colours[4], z), x, y, 1.6, z + 0.32)
    else:
        blocks.spot(landmarks.tower(blocks, x, y, colours[4], z, 4.2), x, y, 1.4, z)
    plants.oak(blocks, m * (half[0] - 2.4), -end * (half[1] - 2.4), float(rng.uniform(3.4, 4.0)), z=z)
    fruit = landmarks.coat(blocks, colours[5], "plain", gloss=0.4)
    for n in range(6):
        a = 1.05 * n
        at = m * (half[0] - 2.4) + 1.5 * float(np.cos(a)), -end * (half[1] - 2.4) + 1.5 * float(np.sin(a))
        blocks.ball(fruit, (*at, z + 2.2 + 0.3 * (n % 3)), 0.13)
    blocks.spot(f"the tree with {colours[5]} fruit", m * (half[0] - 2.4), -end * (half[1] - 2.4), 0.7, z)
    light, dark = landmarks.COLOURS[colours[4]]
    emblem = Surface("emblem", (light, "#f3ead2", dark), 1.0, int(rng.integers(6)), anchored=True)
    blocks.surface("banner", emblem)
    for share in (-0.25, 0.1, 0.45):
        blocks.box("banner", (m * (half[0] - 0.03), -end * share * half[1], z + 1.2), (0.03, 0.45, 0.75))
    landmarks.lantern(blocks, m * (edges[1] + 1.0), 0.0, z)
