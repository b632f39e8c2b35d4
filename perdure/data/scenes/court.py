"""The court: a walled courtyard under the sky, with landmarks that tell its corners apart."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perdure.data.scenes.blocks import Blocks, Point
from perdure.data.scenes.creatures import populate
from perdure.data.scenes.scene import Scene, Sky, Surface, plain

PALETTES = (  # wall light, wall dark, mortar, roof, floor light, floor dark
    ("#d9b48a", "#b98a63", "#8d7358", "#a8452f", "#cdb99a", "#a58e70"),
    ("#d8cfc0", "#b3aa9c", "#857d72", "#3e6a80", "#c5b9a4", "#968b79"),
    ("#c98a66", "#a3614a", "#d9c6a8", "#4d6b4a", "#d6c3a2", "#a99277"),
    ("#e3d3ae", "#cbb386", "#9a8562", "#7b3f5c", "#bfae94", "#8e7f6a"),
    ("#a9b0b5", "#858d95", "#666b70", "#c0662f", "#b9b09f", "#8a8377"),
)

BANNERS = (
    ("#b3282d", "#f3d27a", "#f3d27a"),
    ("#1f5fa8", "#f4efe0", "#f4efe0"),
    ("#2d7a46", "#f0c94d", "#f0c94d"),
    ("#6b2f86", "#f2b8d0", "#f2b8d0"),
    ("#e08a1e", "#3a2440", "#3a2440"),
    ("#17828a", "#fbe9c6", "#fbe9c6"),
)

SKIES = (  # zenith, horizon, sun colour, pitch of the sun, exposure
    ("#3877c2", "#cfe3ee", "#ffe6bc", 0.85, 0.86),
    ("#3a6fb5", "#f1d9b8", "#ffcf8a", 0.62, 0.98),
    ("#4f86bd", "#f4cfae", "#ffb56b", 0.52, 1.1),
    ("#2f78b8", "#d9ecec", "#fff0d0", 1.0, 0.8),
)


def court(seed: int) -> Scene:
    rng = np.random.default_rng([1, seed])
    blocks = Blocks()
    light, dark, mortar, roof, floor_light, floor_dark = PALETTES[int(rng.integers(len(PALETTES)))]
    s = int(rng.integers(1 << 16))
    wall_texture = str(rng.choice(["brick", "ashlar"]))
    wall_scale = 0.9 if wall_texture == "brick" else 1.4
    wall = blocks.surface("wall", Surface(wall_texture, (light, dark, mortar), wall_scale, s))
    stone = blocks.surface("stone", Surface("ashlar", (floor_light, floor_dark, mortar), 1.1, s + 1))
    cap = blocks.surface("cap", Surface("plaster", (floor_light, light, mortar), 1.2, s + 2))
    tiles = blocks.surface("roof", Surface("brick", (roof, roof, "#3a2a26"), 0.7, s + 3))
    floor_texture = str(rng.choice(["stone", "tile", "hexagon", "checker"]))
    floor_scale = {"stone": 0.75, "tile": 1.0, "hexagon": 0.8, "checker": 1.1}[floor_texture]
    floor = blocks.surface("floor", Surface(floor_texture, (floor_light, floor_dark, mortar), floor_scale, s + 4))
    blocks.surface("lawn", Surface("grass", ("#6f9a3c", "#8fb04a", "#f4e7a0"), 1.0, s + 5))
    blocks.surface("hedge", Surface("leaf", ("#3d7a37", "#6ba545", "#1f4a25"), 0.5, s + 6))
    blocks.surface("bark", Surface("plank", ("#6b4a33", "#7d5a3d", "#3f2a1d"), 0.6, s + 7))
    blocks.surface("timber", Surface("plank", ("#8a5f3b", "#a5754a", "#4a311f"), 1.2, s + 8))
    blocks.surface("water", Surface("water", ("#2b7f96", "#58b3bd", "#d8f2f0"), 0.9, s + 9, gloss=0.8))
    blocks.surface("bronze", Surface("metal", ("#5f8a78", "#7aa08a", "#3c5a50"), 0.8, s + 10, gloss=0.5))
    blocks.surface("door", Surface("panel", ("#6b4428", "#8f5f38", "#33200f"), 1.0, s, anchored=True))
    for n, colour in enumerate(("#e0503c", "#f2c23a", "#d86fa8")):
        blocks.surface(f"flower{n}", plain(colour))
    blocks.surface("night", replace(plain("#2b2630"), lit="#ffb765"))

    half = float(rng.uniform(7.0, 9.0)), float(rng.uniform(6.5, 8.0))
    height = float(rng.uniform(2.6, 3.4))
    blocks.geom("plane", floor, (0, 0, 0), (half[0] + 6, half[1] + 6, 1.0))
    _walls(blocks, rng, half, height, wall, cap, stone)
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    first = int(rng.integers(4))
    sign = corners[first]
    _tower(blocks, rng, sign[0] * (half[0] - 1.3), sign[1] * (half[1] - 1.3), wall, stone, tiles)
    _fountain(blocks, float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-1.0, 1.0)), stone)
    lawn = corners[(first + 2) % 4]
    _garden(blocks, rng, lawn[0] * (half[0] - 2.4), lawn[1] * (half[1] - 2.2))
    corner = corners[(first + 1) % 4]
    _statue(blocks, corner[0] * (half[0] - 2.2), corner[1] * (half[1] - 2.2), stone)
    corner = corners[(first + 3) % 4]
    _stall(blocks, rng, corner[0] * (half[0] - 2.0), corner[1] * (half[1] - 2.0), s)

    spawn = _open_spot(blocks, rng, half)
    yaw = float(np.arctan2(-spawn[1], -spawn[0]) + rng.uniform(-0.3, 0.3))
    found = [blocks.place(rng, (half[0] - 1, half[1] - 1), 0.9) for _ in range(int(rng.integers(2, 4)))]
    populate(blocks, rng, [home for home in found if home], 3.5)

    zenith, horizon, sun, pitch, exposure = SKIES[int(rng.integers(len(SKIES)))]
    sky = Sky(
        zenith=zenith, horizon=horizon, ground=floor_dark, clouds=float(rng.uniform(0.35, 0.75)),
        sun_yaw=float(rng.uniform(-np.pi, np.pi)), sun_pitch=pitch, sun_colour=sun, sun_strength=2.4,
        fill=0.95, fog=0.006, exposure=exposure, seed=int(rng.integers(1 << 16)),
    )  # fmt: skip
    word = "brick" if wall_texture == "brick" else "cut stone"
    blocks.words += [f"a courtyard within walls of {word}", "banners and battlements", "a round tower in one corner"]
    return blocks.finish("court", seed, sky, (*spawn, yaw), (half[0] + 1.2, half[1] + 1.2, 7.2), f"court {seed}")


def _walls(
    blocks: Blocks, rng: np.random.Generator, half: tuple[float, float], height: float, wall: str, cap: str, stone: str
) -> None:
    """Four walls with a coping and merlons, banners on them, and an arched gate in one."""
    gate = int(rng.integers(4))
    for side in range(4):
        along = half[0] if side % 2 == 0 else half[1]
        away = half[1] if side % 2 == 0 else half[0]
        sign = 1.0 if side < 2 else -1.0

        def at(t: float, out: float, z: float, side: int = side, edge: float = sign * away) -> Point:
            out = edge + np.sign(edge) * out
            return (t, out, z) if side % 2 == 0 else (out, t, z)

        def size(t: float, out: float, z: float, side: int = side) -> Point:
            return (t, out, z) if side % 2 == 0 else (out, t, z)

        blocks.box(wall, at(0.0, 0.25, 0.5 * height), size(along + 0.5, 0.25, 0.5 * height))
        blocks.box(cap, at(0.0, 0.25, height + 0.06), size(along + 0.56, 0.33, 0.06))
        for t in np.arange(-along + 0.6, along, 1.5):
            blocks.box(wall, at(float(t), 0.25, height + 0.35), size(0.38, 0.22, 0.24))
        if side == gate:
            _gate(blocks, at, size, stone)
        spots = (-0.55, 0.55) if side == gate else ((-0.45, 0.45) if side % 2 else (0.0, -0.6, 0.6))
        colours = BANNERS[int(rng.integers(len(BANNERS)))]
        banner = blocks.surface(f"banner{side}", Surface("emblem", colours, 1.0, int(rng.integers(6)), anchored=True))
        for share in spots[: int(rng.integers(1, 4))]:
            blocks.box(banner, at(share * along, -0.03, 0.62 * height), size(0.5, 0.03, 0.32 * height))


def _gate(blocks: Blocks, at: Callable[..., Point], size: Callable[..., Point], stone: str) -> None:
    """A round arch about a pair of doors; `at` and `size` turn along, out and up into the wall's own axes."""
    for sign in (-1, 1):
        blocks.box("door", at(sign * 0.44, 0.0, 1.1), size(0.42, 0.06, 1.1))
    blocks.geom("ellipsoid", "night", at(0.0, 0.02, 2.1), size(0.9, 0.05, 0.65))
    for sign in (-1, 1):
        blocks.box(stone, at(sign * 1.05, -0.05, 1.0), size(0.22, 0.2, 1.0))
    for angle in np.linspace(0, np.pi, 7):
        x, z = 1.05 * np.cos(angle), 2.0 + 0.75 * np.sin(angle)
        blocks.box(stone, at(float(x), -0.05, float(z)), size(0.24, 0.2, 0.2))


def _tower(blocks: Blocks, rng: np.random.Generator, x: float, y: float, wall: str, stone: str, roof: str) -> None:
    """A round tower in a corner: battlements, a domed cap, and dark windows that face the court."""
    radius, top = float(rng.uniform(1.5, 1.8)), float(rng.uniform(4.6, 5.4))
    blocks.post(wall, x, y, 0.0, top, radius)
    blocks.post(stone, x, y, 0.0, 0.4, radius + 0.15)
    blocks.post(stone, x, y, top, top + 0.25, radius + 0.22)
    blocks.egg(roof, (x, y, top + 0.25), (radius + 0.05, radius + 0.05, 1.7))
    blocks.ball("bronze", (x, y, top + 2.0), 0.16)
    toward = float(np.arctan2(-y, -x))
    for turn, z in ((0.0, 0.5 * top + 1.0), (0.7, 0.5 * top + 0.4), (-0.7, 0.5 * top + 0.4)):
        a = toward + turn
        spot = (x + (radius - 0.02) * float(np.cos(a)), y + (radius - 0.02) * float(np.sin(a)), z)
        blocks.box("night", spot, (0.08, 0.22, 0.42), a)
        blocks.box(stone, (spot[0], spot[1], z + 0.48), (0.14, 0.32, 0.08), a)
    door = (x + (radius - 0.02) * float(np.cos(toward)), y + (radius - 0.02) * float(np.sin(toward)), 0.95)
    blocks.box("door", door, (0.1, 0.45, 0.95), toward)
    blocks.take(x, y, radius + 0.4)
    blocks.spot("the tower", x, y, radius + 0.3)


def _fountain(blocks: Blocks, x: float, y: float, stone: str) -> None:
    """An octagonal basin, a column, a bowl and a ball of water."""
    for angle in np.arange(8) * np.pi / 4:
        spot = x + 1.45 * float(np.cos(angle)), y + 1.45 * float(np.sin(angle)), 0.27
        blocks.box(stone, spot, (0.14, 0.66, 0.27), float(angle))
    blocks.post("water", x, y, 0.0, 0.4, 1.4)
    blocks.post(stone, x, y, 0.0, 1.35, 0.2)
    blocks.egg(stone, (x, y, 1.4), (0.72, 0.72, 0.2))
    blocks.egg("water", (x, y, 1.52), (0.56, 0.56, 0.12))
    blocks.egg("water", (x, y, 1.7), (0.12, 0.12, 0.42))
    blocks.take(x, y, 1.75)
    blocks.spot("the fountain", x, y, 1.6)


def _garden(blocks: Blocks, rng: np.random.Generator, x: float, y: float) -> None:
    """A square of lawn with a hedge on two sides and a round tree in the middle."""
    blocks.box("lawn", (x, y, 0.03), (1.9, 1.7, 0.03))
    blocks.box("hedge", (x, y + float(np.sign(y)) * 1.55, 0.45), (1.9, 0.28, 0.45))
    blocks.box("hedge", (x + float(np.sign(x)) * 1.75, y, 0.45), (0.28, 1.7, 0.45))
    tall = float(rng.uniform(1.7, 2.3))
    blocks.limb("bark", (x, y, 0.0), (x, y, tall + 0.4), 0.17)
    crown = float(rng.uniform(0.95, 1.2))
    blocks.ball("hedge", (x, y, tall + crown * 0.8), crown)
    for angle in rng.uniform(0, 1) + np.arange(3) * 2 * np.pi / 3:
        lobe = x + 0.75 * crown * float(np.cos(angle)), y + 0.75 * crown * float(np.sin(angle)), tall + 0.5 * crown
        blocks.ball("hedge", lobe, 0.68 * crown)
    for n in range(9):
        along = x + float(np.sign(x)) * -1.7, y + (n - 4) * 0.38
        blocks.ball(f"flower{n % 3}", (*along, 0.14), 0.13)
    blocks.take(x, y, 2.3)
    blocks.spot("the lawn with the tree", x, y, 1.8)


def _statue(blocks: Blocks, x: float, y: float, stone: str) -> None:
    """A bronze figure with a raised arm on a pedestal."""
    blocks.box(stone, (x, y, 0.15), (0.75, 0.75, 0.15))
    blocks.box(stone, (x, y, 0.75), (0.5, 0.5, 0.5))
    a = float(np.arctan2(-y, -x))
    c, sn = float(np.cos(a)), float(np.sin(a))

    def p(forward: float, left: float, up: float) -> Point:
        return x + c * forward - sn * left, y + sn * forward + c * left, 1.25 + up

    for side in (-1, 1):
        blocks.limb("bronze", p(0.0, 0.13 * side, 0.1), p(0.0, 0.15 * side, 0.75), 0.12)
    blocks.limb("bronze", p(0.0, 0.0, 0.9), p(0.0, 0.0, 1.25), 0.25)
    blocks.ball("bronze", p(0.04, 0.0, 1.72), 0.19)
    blocks.limb("bronze", p(0.0, 0.3, 1.35), p(0.25, 0.45, 1.95), 0.08)
    blocks.limb("bronze", p(0.0, -0.3, 1.35), p(0.2, -0.42, 0.9), 0.08)
    blocks.limb("bronze", p(0.2, 0.42, 1.6), p(0.36, 0.54, 2.6), 0.04)
    blocks.take(x, y, 1.1)
    blocks.spot("the bronze statue", x, y, 0.9)


def _stall(blocks: Blocks, rng: np.random.Generator, x: float, y: float, s: int) -> None:
    """A market stall with a striped awning, and crates and barrels about it."""
    cloth = BANNERS[int(rng.integers(len(BANNERS)))][0]
    awning = blocks.surface("awning", Surface("stripe", ("#f4ead6", cloth, cloth), 0.5, s + 20))
    blocks.surface("barrel", Surface("plank", ("#9a6a3e", "#b07c4c", "#4f3420"), 0.7, s + 21))
    blocks.surface("crate", Surface("panel", ("#7c5633", "#a87a4b", "#4a311f"), 1.0, s + 22, anchored=True))
    for dx in (-1.1, 1.1):
        for dy in (-0.75, 0.75):
            blocks.post("timber", x + dx, y + dy, 0.0, 2.1, 0.06)
    blocks.box("timber", (x, y, 0.45), (0.95, 0.5, 0.45))
    blocks.box(awning, (x, y, 2.2), (1.35, 1.0, 0.09))
    fruit = ("#d8392f", "#e9a52c", "#7fae3a")
    for n, colour in enumerate(fruit):
        ball = blocks.surface(f"fruit{n}", plain(colour, gloss=0.3))
        for dy in (-0.22, 0.14):
            blocks.ball(ball, (x + 0.55 * (n - 1), y + dy, 1.0), 0.17)
    blocks.take(x, y, 1.75)
    blocks.spot("the market stall", x, y, 1.4)
    for n in range(3):
        spot = blocks.place(rng, (abs(x) + 1.2, abs(y) + 1.2), 0.55)
        if spot is None:
            continue
        if n == 0:
            blocks.post("barrel", *spot, 0.0, 0.9, 0.36)
            blocks.post("bronze", *spot, 0.2, 0.3, 0.37)
            blocks.post("bronze", *spot, 0.6, 0.7, 0.37)
        else:
            blocks.box("crate", (*spot, 0.4), (0.4, 0.4, 0.4), float(rng.uniform(0, 1.5)))


def _open_spot(blocks: Blocks, rng: np.random.Generator, half: tuple[float, float]) -> tuple[float, float]:
    """Where the player starts: free ground, away from the walls."""
    spot = blocks.place(rng, (half[0] - 1.0, half[1] - 1.0), 0.9)
    if spot is None:
        raise AssertionError("a court of this size always has free ground")
    return spot
