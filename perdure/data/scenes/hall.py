"""The hall: two rows of pillars under a roof with a long skylight, a carpet, and a throne at its end."""

import numpy as np

from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface, plain

PALETTES = (  # wall light, wall dark, mortar, floor light, floor dark, pillar light, pillar dark, ceiling
    ("#d8c6a4", "#bfa77f", "#93805f", "#efe4cc", "#7d3b32", "#e9dcc0", "#c9b48d", "#8a6a4a"),
    ("#9fb0b8", "#7d909b", "#5e6d77", "#e7e6df", "#2f5a6e", "#d9dcd8", "#aab4b6", "#56646c"),
    ("#c7a58f", "#a98470", "#7c604f", "#f0dfc6", "#3f5b45", "#d8b79b", "#b58f74", "#6e4c3a"),
    ("#b5a7c4", "#9486a8", "#6b5f7d", "#ece2ea", "#54406e", "#d3c7da", "#a898b8", "#5a4d66"),
    ("#d6c07e", "#b99d58", "#8a7440", "#f3e8c4", "#8a5a24", "#e6d59a", "#c2a75f", "#7a5a34"),
)

CARPETS = (
    ("#a8262c", "#c93b35", "#f0c75e"),
    ("#1f4f94", "#2d68b0", "#f2dfa0"),
    ("#2c6b46", "#3d8a5a", "#f0cf70"),
    ("#6a2a80", "#8240a0", "#f4c8dc"),
)

GLASS = (
    ("#f7a63c", "#d8443a", "#2b2320"),
    ("#58b7e8", "#3a5fc0", "#20242c"),
    ("#8fd86a", "#2f9a78", "#1f2a24"),
    ("#f08ac0", "#8a4fd0", "#2a2030"),
)


def hall(seed: int) -> Scene:
    rng = np.random.default_rng([2, seed])
    blocks = Blocks()
    s = int(rng.integers(1 << 16))
    light, dark, mortar, floor_light, floor_dark, pillar_light, pillar_dark, top = PALETTES[
        int(rng.integers(len(PALETTES)))
    ]
    carpet = CARPETS[int(rng.integers(len(CARPETS)))]
    wall = blocks.surface("wall", Surface("ashlar", (light, dark, mortar), 1.6, s))
    floor_texture = str(rng.choice(["checker", "hexagon", "checker", "tile"]))
    floor_scale = {"checker": 1.0, "hexagon": 0.9, "tile": 1.0}[floor_texture]
    floor_colours = (floor_light, floor_dark, mortar)
    floor = blocks.surface("floor", Surface(floor_texture, floor_colours, floor_scale, s + 1, gloss=0.25))
    pillar_texture = str(rng.choice(["marble", "ashlar", "plaster"]))
    pillar_colours = (pillar_light, pillar_dark, mortar)
    pillar = blocks.surface("pillar", Surface(pillar_texture, pillar_colours, 1.1, s + 2, gloss=0.2))
    trim = blocks.surface("trim", Surface("plaster", (pillar_light, light, mortar), 1.0, s + 3))
    ceiling = blocks.surface("ceiling", Surface("plank", (top, top, "#2a211a"), 1.6, s + 4))
    blocks.surface("gold", plain("#d6a63c", gloss=0.6))
    blocks.surface("flame", plain("#ffb45a", glow=1.5))
    blocks.surface("iron", plain("#2c2a2e", gloss=0.3))
    blocks.surface("carpet", Surface("stripe", (carpet[0], carpet[1], carpet[2]), 1.2, s + 5))
    blocks.surface("hem", plain(carpet[2]))
    blocks.surface("door", Surface("panel", ("#6b4428", "#8f5f38", "#33200f"), 1.0, s, anchored=True))
    blocks.surface("dado", Surface("tile", (floor_dark, floor_dark, carpet[2]), 0.5, s + 6))
    blocks.surface("tapestry", Surface("rug", (carpet[0], carpet[2], floor_dark), 1.0, s, anchored=True))
    blocks.surface("cushion", plain(carpet[0]))

    bays = int(rng.integers(4, 6))
    pitch = float(rng.uniform(3.2, 3.6))
    half = 0.5 * bays * pitch, float(rng.uniform(5.0, 6.0))
    height = float(rng.uniform(4.4, 5.2))
    aisle = float(rng.uniform(2.1, 2.5))  # from the middle to the pillars
    blocks.geom("plane", floor, (0, 0, 0), (half[0] + 1, half[1] + 1, 1.0))
    _shell(blocks, rng, half, height, bays, pitch, wall, trim, s)
    _roof(blocks, half, height, bays, pitch, ceiling, trim)
    round_pillars = bool(rng.integers(2))
    banner = blocks.surface(
        "banner", Surface("emblem", (carpet[0], carpet[2], carpet[2]), 1.0, int(rng.integers(6)), anchored=True)
    )
    for n in range(bays + 1):
        x = -half[0] + n * pitch
        if n in (0, bays):
            continue
        for side in (-1, 1):
            _pillar(blocks, x, side * aisle, height, round_pillars, pillar, trim)
            if n % 2 == 0:
                blocks.box(banner, (x, side * (aisle - 0.44), 2.7), (0.3, 0.03, 0.7))
    end = 1 if rng.integers(2) else -1
    _carpet(blocks, half, end)
    _gate(blocks, -end * half[0], trim)
    _throne(blocks, end * (half[0] - 1.3), end, trim)
    _braziers(blocks, half, aisle, end)

    spot = (-end * (half[0] - float(rng.uniform(1.6, 2.6))), float(rng.uniform(-0.6, 0.6)))
    blocks.take(*spot, 0.8)
    yaw = (0.0 if end > 0 else np.pi) + float(rng.uniform(-0.25, 0.25))
    homes = []
    for _ in range(int(rng.integers(1, 4))):
        home = blocks.place(rng, (half[0] - 1.5, half[1] - 0.7), 0.9)
        if home:
            homes.append(home)
    populate(blocks, rng, homes, 3.0)

    sky = Sky(
        zenith="#5f9ad6", horizon="#e6e6dc", ground=floor_dark, clouds=float(rng.uniform(0.2, 0.6)),
        sun_yaw=float(rng.choice([-1, 1])) * float(rng.uniform(1.1, 2.0)), sun_pitch=float(rng.uniform(0.8, 1.1)),
        sun_colour="#ffe3ad", sun_strength=3.4, fill=1.15, fog=0.012, exposure=1.25, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.spot("the gate", -end * (half[0] - 0.9), 0.0, 0.8)
    blocks.spot("the middle of the hall", 0.0, 0.0, 0.8)
    for n, side in enumerate((-1, 1)):
        blocks.spot(f"the {('south', 'north')[n]} aisle", 0.0, side * 0.5 * (aisle + half[1]), 0.5)
    shape = "round" if round_pillars else "square"
    blocks.words += [
        f"a hall between rows of {shape} pillars",
        "a carpet that leads to a golden throne",
        "coloured glass",
    ]
    blocks.ways += [("the gate", "the middle of the hall"), ("the middle of the hall", "the throne")]
    return blocks.finish("hall", seed, sky, (*spot, yaw), (half[0] + 0.8, half[1] + 0.8, height + 1.0), f"hall {seed}")


def _shell(
    blocks: Blocks, rng: np.random.Generator, half: tuple[float, float], height: float, bays: int, pitch: float,
    wall: str, trim: str, s: int,
) -> None:  # fmt: skip
    """The four walls: windows of coloured glass in the long ones, a gate and a round window in the short ones."""
    panes = rng.permutation(len(GLASS))
    for side in (-1, 1):
        y = side * (half[1] + 0.2)
        glass = blocks.surface(
            f"glass{side}", Surface("window", GLASS[int(panes[side])], 1.0, s, glow=1.5, anchored=True)
        )
        blocks.wall(wall, (-half[0] - 0.4, y), (half[0] + 0.4, y), height, 0.2)
        for n in range(bays):
            x = -half[0] + (n + 0.5) * pitch
            blocks.box(glass, (x, side * half[1], 0.56 * height), (0.55, 0.05, 0.24 * height))
            blocks.box(trim, (x, side * half[1], 0.32 * height - 0.08), (0.7, 0.12, 0.08))
            for edge in (-1, 1):
                blocks.box(trim, (x + edge * 0.62, side * half[1], 0.56 * height), (0.08, 0.09, 0.25 * height))
            blocks.box(trim, (x, side * half[1], 0.81 * height), (0.7, 0.1, 0.08))
        blocks.box("dado", (0, side * (half[1] - 0.02), 0.5), (half[0], 0.04, 0.5))
        blocks.box(trim, (0, side * (half[1] - 0.04), 1.04), (half[0], 0.07, 0.05))
    for end in (-1, 1):
        x = end * (half[0] + 0.2)
        blocks.wall(wall, (x, -half[1]), (x, half[1]), height, 0.2)
        for side in (-1, 1):
            middle, wide = side * 0.5 * (half[1] + 1.6), 0.5 * (half[1] - 1.6)  # beside the gate
            blocks.box("dado", (end * (half[0] - 0.02), middle, 0.5), (0.04, wide, 0.5))
            blocks.box(trim, (end * (half[0] - 0.04), middle, 1.04), (0.07, wide, 0.05))
            blocks.box("tapestry", (end * (half[0] - 0.03), side * 0.62 * half[1], 2.45), (0.05, 0.85, 1.1))
            rod = end * (half[0] - 0.08)
            blocks.limb("gold", (rod, side * 0.62 * half[1] - 1.0, 3.6), (rod, side * 0.62 * half[1] + 1.0, 3.6), 0.05)


def _roof(
    blocks: Blocks, half: tuple[float, float], height: float, bays: int, pitch: float, ceiling: str, trim: str
) -> None:
    """A wooden ceiling on beams, open along the middle."""
    gap = 1.1
    middle, width = 0.5 * (half[1] + gap), 0.5 * (half[1] + 0.4 - gap) + 0.1
    for side in (-1, 1):
        blocks.box(ceiling, (0, side * middle, height + 0.3), (half[0] + 0.4, width, 0.3))
        blocks.box(trim, (0, side * (gap + 0.05), height + 0.2), (half[0] + 0.4, 0.12, 0.4))
    for n in range(bays + 1):
        x = -half[0] + n * pitch
        blocks.box(trim, (x, 0, height - 0.15), (0.16, half[1], 0.18))


def _pillar(blocks: Blocks, x: float, y: float, height: float, rounded: bool, pillar: str, trim: str) -> None:
    blocks.box(trim, (x, y, 0.15), (0.48, 0.48, 0.15))
    blocks.box(trim, (x, y, height - 0.4), (0.46, 0.46, 0.12))
    if rounded:
        blocks.post(trim, x, y, 0.3, 0.46, 0.42)
        blocks.post(pillar, x, y, 0.3, height, 0.34)
        blocks.post(trim, x, y, height - 0.75, height - 0.5, 0.41)
    else:
        blocks.box(pillar, (x, y, 0.5 * height), (0.31, 0.31, 0.5 * height))
        blocks.box(pillar, (x, y, 0.5 * height), (0.31, 0.31, 0.5 * height), 0.25 * np.pi)
    blocks.take(x, y, 0.6)


def _carpet(blocks: Blocks, half: tuple[float, float], end: int) -> None:
    """A runner from the near end to the throne."""
    blocks.box("hem", (0.0, 0, 0.008), (half[0] - 1.2, 0.95, 0.008))
    blocks.box("carpet", (0.0, 0, 0.012), (half[0] - 1.2, 0.8, 0.012))


def _gate(blocks: Blocks, x: float, trim: str) -> None:
    """A pair of tall doors in a stone frame."""
    for side in (-1, 1):
        blocks.box("door", (x, side * 0.62, 1.45), (0.1, 0.6, 1.45))
        blocks.ball("gold", (x - 0.14 * float(np.sign(x)), side * 0.14, 1.2), 0.07)
        blocks.box(trim, (x, side * 1.4, 1.55), (0.2, 0.2, 1.55))
    blocks.box(trim, (x, 0, 3.2), (0.22, 1.75, 0.16))
    blocks.egg(trim, (x, 0, 3.36), (0.16, 1.3, 0.55))


def _throne(blocks: Blocks, x: float, end: int, trim: str) -> None:
    """Three steps, a high seat of gold with a cushion, and a sun of rays on the wall behind it."""
    for n in range(3):
        blocks.box(trim, (x + end * 0.15 * n, 0, 0.09 + 0.18 * n), (1.15 - 0.3 * n, 2.0 - 0.35 * n, 0.09))
    top = 0.54
    back = x + end * 0.75
    blocks.box("gold", (x + end * 0.4, 0, top + 0.25), (0.4, 0.5, 0.25))
    blocks.box("cushion", (x + end * 0.36, 0, top + 0.55), (0.36, 0.42, 0.06))
    blocks.box("gold", (back, 0, top + 1.0), (0.12, 0.68, 1.0))
    blocks.box("cushion", (back - end * 0.11, 0, top + 1.15), (0.04, 0.5, 0.62))
    for side in (-1, 1):
        blocks.box("gold", (x + end * 0.35, side * 0.5, top + 0.62), (0.42, 0.09, 0.12))
        blocks.ball("gold", (back, side * 0.62, top + 2.1), 0.18)
    wall = x + end * 1.22
    blocks.egg("gold", (wall, 0, 3.3), (0.14, 0.62, 0.62))
    for ray in range(12):
        tip = 0.88 + 0.24 * (ray % 2)
        c, s = float(np.cos(ray * np.pi / 6)), float(np.sin(ray * np.pi / 6))
        blocks.limb("gold", (wall, 0.7 * c, 3.3 + 0.7 * s), (wall, tip * c, 3.3 + tip * s), 0.06)
    blocks.take(x, 0, 2.0)
    blocks.spot("the throne", x, 0.0, 1.8)


def _braziers(blocks: Blocks, half: tuple[float, float], aisle: float, end: int) -> None:
    """Fires on stands: two beside the throne, and others along the aisles."""
    spots = [(end * (half[0] - 1.6), -aisle), (end * (half[0] - 1.6), aisle)]
    spots += [(-end * (half[0] - 1.0), -half[1] + 1.0), (-end * (half[0] - 1.0), half[1] - 1.0)]
    spots += [(0.0, -half[1] + 0.8), (0.0, half[1] - 0.8)]
    for x, y in spots:
        blocks.post("iron", x, y, 0.0, 1.0, 0.07)
        blocks.post("iron", x, y, 0.0, 0.08, 0.3)
        blocks.egg("iron", (x, y, 1.08), (0.32, 0.32, 0.16))
        blocks.egg("flame", (x, y, 1.3), (0.17, 0.17, 0.3))
        blocks.lamp((x, y, 1.75), "#ffac55", 3.2, 6.5)
        blocks.take(x, y, 0.5)
