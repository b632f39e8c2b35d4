"""The island: ruins on a round island in the sea, steps up to what is left of a temple, and a horizon all around."""

import math

import numpy as np

from perdure.data.scenes import landmarks, plants
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface

PALETTES = (  # sand light, dark; stone light, dark, joint; sea deep, light; words
    ("#ecd9aa", "#d8be86", "#e3d6ba", "#c2b28f", "#8a7b5e", "#2180a6", "#4fb0c4", "pale sand and honey stone"),
    ("#e8cdb0", "#d3ad8a", "#d8b79b", "#b38d70", "#7c5f49", "#246f9c", "#56a0bd", "pink sand and rosy stone"),
    ("#d8d0bc", "#bdb49e", "#c4c6c0", "#9c9f98", "#696d68", "#1f6f8c", "#4c9aa8", "grey sand and white stone"),
    ("#f0dca0", "#dcc078", "#efe8d8", "#d2c8b2", "#a09580", "#1c8a9c", "#54b8ba", "golden sand and marble"),
)

SKIES = (  # zenith, horizon, sun colour, pitch of the sun, exposure
    ("#2c7ac8", "#cfe6f0", "#fff0d0", 0.9, 0.82),
    ("#4a80c0", "#f8cfa0", "#ffb870", 0.4, 1.06),
    ("#3a86c8", "#f2dcc0", "#ffd49a", 0.55, 0.96),
    ("#3f7ab8", "#e8c8c8", "#ffc0a0", 0.42, 1.04),
)

SHORE = 9.5  # metres from the middle to the quay

CREATURES = ("crab", "serpent", "bird", "golem", "mage", "strider")


def island(seed: int) -> Scene:
    rng = np.random.default_rng([10, seed])
    blocks = Blocks()
    s, look = int(rng.integers(1 << 16)), int(rng.integers(len(PALETTES)))
    sand, sand_dark, stone, stone_dark, joint, deep, shallow, words = PALETTES[look]
    plants.greens(blocks, s, int(rng.integers(4)))
    landmarks.common(blocks, s, (stone, stone_dark, joint))
    blocks.surface("wall", Surface("ashlar", (stone, stone_dark, joint), 1.1, s + 40))
    blocks.surface("sand", Surface("sand", (sand, sand_dark, sand_dark), 2.2, s + 41))
    blocks.surface("sea", Surface("water", (deep, shallow, "#e2f4f4"), 2.2, s + 42, gloss=0.7))
    blocks.surface("shallows", Surface("water", (shallow, "#8fd0cc", "#f0faf6"), 1.4, s + 43, gloss=0.5))
    blocks.surface("paving", Surface("stone", (stone, stone_dark, joint), 0.9, s + 44))
    blocks.surface("far", Surface("moss", ("#6f8a70", "#8aa088", "#55705c"), 6.0, s + 45))
    colours = landmarks.palette(rng, 6)
    colours = [word for word in colours if word != "white"][:5]

    blocks.geom("plane", "sea", (0, 0, -0.04), (60, 60, 1.0))
    blocks.post("shallows", 0, 0, -0.3, -0.02, SHORE + 1.6)
    blocks.post("sand", 0, 0, -0.3, 0.0, SHORE + 0.3)
    sides = 14
    for n in range(sides):
        a = 2 * math.pi * n / sides
        long = (SHORE + 0.25) * math.tan(math.pi / sides)
        broken = 0.56 + 0.16 * float(rng.random())
        blocks.box("wall", (SHORE * math.cos(a), SHORE * math.sin(a), 0.5 * broken), (0.25, long, 0.5 * broken), a)
    for _ in range(5):
        a = 2 * math.pi * float(rng.random())
        far = SHORE + 2.5 + 3.0 * float(rng.random())
        blocks.egg("stone", (far * math.cos(a), far * math.sin(a), 0.0), (0.9, 0.7, 0.5 + 0.4 * float(rng.random())), a)
    for n in range(3):
        a, far = 0.7 + 2.2 * n + float(rng.uniform(-0.4, 0.4)), 42.0 + 3 * n
        blocks.egg("far", (far * math.cos(a), far * math.sin(a), -0.5), (9 + 3 * n, 6, 3.5 + 1.5 * n), a + 1.57)

    turn = float(rng.uniform(-math.pi, math.pi))
    height, front = _temple(blocks, rng, turn, colours)
    _ruins(blocks, rng, turn, colours, s)

    a = turn + math.pi + float(rng.uniform(-0.35, 0.35))
    spawn = (SHORE - 2.0) * math.cos(a), (SHORE - 2.0) * math.sin(a)
    yaw = a + math.pi + float(rng.uniform(-0.15, 0.15))
    blocks.take(*spawn, 1.0)
    blocks.take(spawn[0] + 2.8 * math.cos(yaw), spawn[1] + 2.8 * math.sin(yaw), 2.2)  # the view, and things to handle
    for _ in range(3):
        spot = blocks.place(rng, (6.8, 6.8), 0.8)
        if spot and math.hypot(*spot) < SHORE - 1.6:
            plants.palm(blocks, *spot, float(rng.uniform(3.4, 4.6)))
    homes = [blocks.place(rng, (5.8, 5.8), 0.9) for _ in range(int(rng.integers(2, 4)))]
    kept = [home for home in homes if home] or [(6.0 * math.cos(a + 1.1), 6.0 * math.sin(a + 1.1))]
    populate(blocks, rng, [*kept[:2], front], 1.8, CREATURES, [*[0.0] * len(kept[:2]), height + 0.012])
    blocks.spot("the landing place", *spawn, 0.8)
    blocks.ways.append(("the landing place", "the temple"))
    zenith, horizon, sun, pitch, exposure = SKIES[int(rng.integers(len(SKIES)))]
    sky = Sky(
        zenith=zenith, horizon=horizon, ground=sand_dark, clouds=float(rng.uniform(0.3, 0.7)),
        sun_yaw=float(rng.uniform(-np.pi, np.pi)), sun_pitch=pitch, sun_colour=sun, sun_strength=2.5,
        fill=0.95, fog=0.005, exposure=exposure, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    blocks.words += ["ruins on an island in the sea", words, "steps up to a broken temple", "the horizon all around"]
    extent = SHORE + 1.0, SHORE + 1.0, height + 5.4
    return blocks.finish(
        "island", seed, sky, (*spawn, math.remainder(yaw, 2 * math.pi)), extent, f"island {seed}", ground=0.0
    )


def _temple(
    blocks: Blocks, rng: np.random.Generator, turn: float, colours: list[str]
) -> tuple[float, tuple[float, float]]:
    """A platform with columns, some broken, stairs in front and a ramp of rubble at one side.

    How high it is, and where on it someone can be at home."""
    c, s = math.cos(turn), math.sin(turn)
    x, y = 3.6 * c, 3.6 * s
    deep, wide, height = 2.7, 3.4, float(rng.uniform(0.8, 1.25))

    def at(along: float, across: float) -> tuple[float, float]:
        return x + c * along - s * across, y + s * along + c * across

    blocks.box("wall", (x, y, 0.5 * height), (deep, wide, 0.5 * height), turn)
    blocks.box("paving", (x, y, height + 0.006), (deep - 0.05, wide - 0.05, 0.006), turn)
    reach = round(height / 0.17) * 0.3
    foot = at(-deep - reach, 0.0)
    blocks.stairs("step" if "step" in blocks.surfaces else "stone", *foot, turn, 2.6, 0.0, height)
    long = height / 0.45
    side = 1 if rng.integers(2) else -1
    low = at(0.6, side * (wide + long))
    blocks.ramp("paving", *low, turn - side * 0.5 * math.pi, 1.8, 0.0, height, long)
    for n in range(5):
        blocks.take(*at(-deep - 0.3 * n, 0.0), 1.6)
        blocks.take(*at(0.6, side * (wide + 0.25 * n * long)), 1.2)
    for along in (-1, 1):
        for n in range(4):
            px, py = at(along * (deep - 0.45), (n - 1.5) * 2 * (wide - 0.5) / 3)
            whole = rng.random() < 0.6 or (along > 0 and n in (1, 2))  # those carry what is left of the lintel
            top = height + (2.9 if whole else float(rng.uniform(0.7, 1.9)))
            blocks.post("pillar", px, py, height, top, 0.24)
            blocks.post("stone", px, py, height, height + 0.2, 0.34)
            if whole:
                blocks.box("stone", (px, py, top + 0.08), (0.34, 0.34, 0.1), turn)
    px, py = at(deep - 0.45, 0.0)
    blocks.box("wall", (px, py, height + 3.2), (0.3, 0.62 * wide, 0.14), turn)
    mark = (landmarks.statue, landmarks.obelisk, landmarks.urn)[int(rng.integers(3))]
    cx, cy = at(0.7, 0.0)
    blocks.spot(mark(blocks, cx, cy, colours[0], height), cx, cy, 0.9, height)
    blocks.take(x, y, 3.6)
    blocks.spot("the temple", *at(-1.0, 0.0), 0.8, height)
    return height, at(-0.8, -1.5 * side)


def _ruins(blocks: Blocks, rng: np.random.Generator, turn: float, colours: list[str], s: int) -> None:
    """About the island: an arch, a beacon, a fallen column, a boat, a lantern."""
    round_ = [turn + math.pi + off for off in (-2.05, -1.25, 0.75, 1.5, 2.15)]
    far = SHORE - 2.3
    spots = [(far * math.cos(a), far * math.sin(a)) for a in round_]
    x, y = spots[0]
    blocks.spot(landmarks.arch(blocks, x, y, colours[1], yaw=round_[0] + 0.5 * math.pi), x, y, 0.7)
    x, y = spots[4]
    blocks.spot(landmarks.tower(blocks, x, y, colours[2], tall=3.8, radius=0.85), x, y, 1.1)
    blocks.ball("glass", (x, y, 5.75), 0.3)
    x, y = spots[3]
    mark = (landmarks.globes, landmarks.well)[int(rng.integers(2))]
    blocks.spot(mark(blocks, x, y, colours[3]), x, y, 0.9)
    x, y = spots[1]
    a = round_[1] + 0.9
    c, k = math.cos(a), math.sin(a)
    for n, (near, out) in enumerate(((-1.3, -0.25), (-0.1, 0.5), (0.75, 1.35))):
        tip = x + out * c, y + out * k + 0.1 * n, 0.27
        blocks.limb("pillar", (x + near * c, y + near * k + 0.1 * n, 0.27), tip, 0.27)
    blocks.take(x, y, 1.6)
    x, y = spots[2]
    light, dark = landmarks.COLOURS[colours[4]]
    hull = blocks.surface("hull", Surface("plank", (light, light, dark), 0.5, s + 60))
    a = round_[2] + 0.4
    blocks.geom("ellipsoid", hull, (x, y, 0.22), (1.5, 0.6, 0.42), a, 0.06)
    blocks.geom("ellipsoid", "timber", (x, y, 0.5), (1.25, 0.44, 0.14), a, 0.06)
    blocks.limb("timber", (x + 0.3 * math.cos(a), y + 0.3 * math.sin(a), 0.4), (x + 0.4 * math.cos(a), y, 2.6), 0.05)
    blocks.take(x, y, 1.5)
    blocks.spot(f"the {colours[4]} boat", x, y, 1.4)
    landmarks.lantern(blocks, 0.45 * spots[1][0], 0.45 * spots[1][1], tall=2.3)
