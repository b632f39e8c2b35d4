"""Landmarks: what one finds one's way by. Each is of one colour that no other in the scene has.

All of them know their colour by its word, so that a place can be called "the red obelisk".
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.scene import Surface, plain

COLOURS = {  # light and dark of each
    "red": ("#cf3b32", "#8e2420"),
    "blue": ("#2f6cb8", "#1c4276"),
    "yellow": ("#efc23a", "#b98a1e"),
    "white": ("#f0ece2", "#c6beae"),
    "green": ("#3f9a5c", "#246a3e"),
    "violet": ("#7d52b0", "#4f2f7a"),
    "orange": ("#e8822c", "#a9561a"),
    "turquoise": ("#35a7a4", "#1f6f72"),
    "pink": ("#e07fa6", "#a94f78"),
    "black": ("#4b4955", "#2c2a33"),
}


def palette(rng: np.random.Generator, count: int) -> list[str]:
    """So many words of colours, no two the same."""
    return [str(word) for word in rng.permutation(list(COLOURS))[:count]]


def coat(blocks: Blocks, word: str, texture: str = "plaster", scale: float = 0.8, gloss: float = 0.0) -> str:
    """The surface of a landmark of that colour."""
    light, dark = COLOURS[word]
    return blocks.surface(f"{word}_{texture}", Surface(texture, (light, dark, dark), scale, len(word), gloss=gloss))


def statue(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, yaw: float = 0.0) -> str:
    """A figure with a raised arm and a staff, on a pedestal. 9 geoms."""
    skin = coat(blocks, word, "metal", 0.7, gloss=0.4)
    c, s = float(np.cos(yaw)), float(np.sin(yaw))

    def at(dx: float, dy: float, up: float) -> tuple[float, float, float]:
        return x + c * dx - s * dy, y + s * dx + c * dy, z + up

    blocks.box("stone", at(0, 0, 0.2), (0.6, 0.6, 0.2), yaw)
    blocks.box("stone", at(0, 0, 0.65), (0.42, 0.42, 0.35), yaw)
    blocks.limb(skin, at(0, -0.12, 1.05), at(0, -0.1, 1.65), 0.12)
    blocks.limb(skin, at(0.12, 0.14, 1.05), at(0, 0.1, 1.65), 0.12)
    blocks.limb(skin, at(0, 0, 1.75), at(0, 0, 2.1), 0.24)
    blocks.ball(skin, at(0.03, 0, 2.56), 0.19)
    blocks.limb(skin, at(0, 0.28, 2.15), at(0.25, 0.42, 2.7), 0.08)
    blocks.limb(skin, at(0, -0.28, 2.15), at(0.22, -0.4, 1.7), 0.08)
    blocks.limb(skin, at(0.24, 0.42, 1.6), at(0.27, 0.42, 3.3), 0.035)
    blocks.take(x, y, 0.9)
    return f"the {word} statue"


def obelisk(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, tall: float = 3.6) -> str:
    """A needle of stone on two steps. 6 geoms."""
    skin = coat(blocks, word, "marble", 0.9, gloss=0.2)
    blocks.box("stone", (x, y, z + 0.18), (0.62, 0.62, 0.18))
    blocks.box("stone", (x, y, z + 0.45), (0.44, 0.44, 0.12))
    for n, (half, low, high) in enumerate(((0.32, 0.5, 0.6), (0.27, 0.55, 0.8), (0.22, 0.75, 0.97))):
        low, high = (low * tall if n else 0.55), high * tall
        blocks.box(skin, (x, y, z + 0.5 * (low + high)), (half, half, 0.5 * (high - low)))
    blocks.geom("box", "gold", (x, y, z + 0.97 * tall), (0.155, 0.155, 0.155), 0.0, 0.25 * float(np.pi))
    blocks.take(x, y, 0.9)
    return f"the {word} obelisk"


def well(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, yaw: float = 0.0) -> str:
    """A round well under a little roof. 8 geoms."""
    roof = coat(blocks, word, "shingle", 0.5)
    c, s = float(np.cos(yaw)), float(np.sin(yaw))
    blocks.post("stone", x, y, z, z + 0.75, 0.72)
    blocks.post("pool", x, y, z + 0.72, z + 0.77, 0.55)
    for side in (-1, 1):
        blocks.post("timber", x + side * 0.68 * c, y + side * 0.68 * s, z, z + 2.0, 0.07)
        tip = x - side * 0.36 * s, y + side * 0.36 * c, z + 2.2
        blocks.box(roof, tip, (0.5, 0.95, 0.05), yaw + 0.5 * float(np.pi) * 1, side * 0.62)
    blocks.limb("timber", (x - 0.7 * c, y - 0.7 * s, z + 1.55), (x + 0.7 * c, y + 0.7 * s, z + 1.55), 0.07)
    blocks.post("timber", x, y, z + 0.95, z + 1.25, 0.14)
    blocks.take(x, y, 1.0)
    return f"the {word} well"


def urn(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0) -> str:
    """A great vase on a pedestal. 6 geoms."""
    skin = coat(blocks, word, "stripe", 0.3, gloss=0.5)
    blocks.box("stone", (x, y, z + 0.45), (0.42, 0.42, 0.45))
    blocks.box("stone", (x, y, z + 0.94), (0.5, 0.5, 0.05))
    blocks.post(skin, x, y, z + 0.98, z + 1.15, 0.16)
    blocks.egg(skin, (x, y, z + 1.55), (0.46, 0.46, 0.5))
    blocks.post(skin, x, y, z + 1.9, z + 2.1, 0.22)
    blocks.post(skin, x, y, z + 2.08, z + 2.16, 0.34)
    blocks.take(x, y, 0.8)
    return f"the {word} urn"


def globes(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0) -> str:
    """Three globes, each smaller than that under it. 5 geoms."""
    skin = coat(blocks, word, "plain", 1.0, gloss=0.6)
    blocks.post("stone", x, y, z, z + 0.5, 0.62)
    for r, up in ((0.62, 1.0), (0.44, 1.95), (0.28, 2.6)):
        blocks.ball(skin, (x, y, z + up), r)
    blocks.ball("gold", (x, y, z + 2.98), 0.13)
    blocks.take(x, y, 0.9)
    return f"the {word} globes"


def arch(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, yaw: float = 0.0) -> str:
    """A gate that leads from nowhere to nowhere, to be walked through. 9 geoms."""
    skin = coat(blocks, word, "ashlar", 0.6)
    c, s = float(np.cos(yaw)), float(np.sin(yaw))
    for side in (-1, 1):
        blocks.box(skin, (x - side * 0.95 * s, y + side * 0.95 * c, z + 1.1), (0.24, 0.24, 1.1), yaw)
        blocks.take(x - side * 0.95 * s, y + side * 0.95 * c, 0.4)
    for turn in np.linspace(0.2, np.pi - 0.2, 6):
        out, up = 0.95 * float(np.cos(turn)), 2.15 + 0.75 * float(np.sin(turn))
        blocks.box(skin, (x - out * s, y + out * c, z + up), (0.23, 0.27, 0.2), yaw)
    blocks.box("gold", (x, y, z + 3.15), (0.12, 0.12, 0.12), yaw, 0.6)
    return f"the {word} arch"


def pavilion(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, radius: float = 1.9) -> str:
    """A round temple: two steps, six columns, a dome. Its floor is 0.32 m above the ground. 13 geoms."""
    dome = coat(blocks, word, "shingle", 0.6)
    blocks.post("stone", x, y, z, z + 0.16, radius + 0.35)
    blocks.post("stone", x, y, z + 0.16, z + 0.32, radius + 0.05)
    for n in range(6):
        a = (n + 0.5) * np.pi / 3
        px, py = x + (radius - 0.3) * float(np.cos(a)), y + (radius - 0.3) * float(np.sin(a))
        blocks.post("pillar", px, py, z + 0.32, z + 2.6, 0.15)
        blocks.take(px, py, 0.35)
    blocks.post("pillar", x, y, z + 2.55, z + 3.0, radius + 0.08)
    blocks.egg(dome, (x, y, z + 3.0), (radius - 0.02, radius - 0.02, 0.36 * radius))
    blocks.post("pillar", x, y, z + 3.0, z + 3.2 + 0.36 * radius, 0.34)
    blocks.egg(dome, (x, y, z + 3.2 + 0.36 * radius), (0.4, 0.4, 0.24))
    blocks.ball("gold", (x, y, z + 3.5 + 0.36 * radius), 0.1)
    blocks.take(x, y, radius + 0.5)
    return f"the {word} pavilion"


def tower(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, tall: float = 5.4, radius: float = 1.2) -> str:
    """A round tower with a gallery and a dome of its colour. 7 geoms."""
    roof = coat(blocks, word, "shingle", 0.6)
    blocks.post("stone", x, y, z, z + 0.45, radius + 0.18)
    blocks.post("wall", x, y, z, z + tall, radius)
    blocks.post("stone", x, y, z + tall, z + tall + 0.25, radius + 0.2)
    blocks.egg(roof, (x, y, z + tall + 0.2), (radius + 0.08, radius + 0.08, 1.7))
    blocks.ball("gold", (x, y, z + tall + 1.95), 0.15)
    toward = float(np.arctan2(-y, -x))
    c, s = float(np.cos(toward)), float(np.sin(toward))
    blocks.box("door", (x + radius * c, y + radius * s, z + 1.0), (0.08, 0.45, 1.0), toward)
    blocks.box("dark", (x + radius * c, y + radius * s, z + 0.68 * tall), (0.06, 0.22, 0.4), toward)
    blocks.take(x, y, radius + 0.4)
    return f"the {word} tower"


def fountain(blocks: Blocks, x: float, y: float, word: str, z: float = 0.0, radius: float = 1.5) -> str:
    """An eight-sided basin, a column, a bowl. 13 geoms."""
    rim = coat(blocks, word, "marble", 0.8, gloss=0.3)
    side = radius * float(np.tan(np.pi / 8))
    for n in range(8):
        a = n * np.pi / 4
        spot = x + radius * float(np.cos(a)), y + radius * float(np.sin(a)), z + 0.25
        blocks.box(rim, spot, (0.14, side + 0.05, 0.25), float(a))
    blocks.post("pool", x, y, z, z + 0.36, radius)
    bowl = 0.42 * radius
    blocks.post(rim, x, y, z, z + 1.1, 0.15)
    blocks.egg(rim, (x, y, z + 1.12), (bowl, bowl, 0.17))
    blocks.egg("pool", (x, y, z + 1.22), (0.78 * bowl, 0.78 * bowl, 0.1))
    blocks.egg("pool", (x, y, z + 1.4), (0.08, 0.08, 0.36))
    blocks.take(x, y, radius + 0.4)
    return f"the {word} fountain"


def lantern(blocks: Blocks, x: float, y: float, z: float = 0.0, tall: float = 2.5, strength: float = 4.5) -> None:
    """A lamp on a post, lit when it is dark. 4 geoms and a light."""
    blocks.post("iron", x, y, z, z + tall, 0.05)
    blocks.post("iron", x, y, z, z + 0.35, 0.1)
    blocks.ball("glass", (x, y, z + tall + 0.12), 0.16)
    blocks.post("iron", x, y, z + tall + 0.24, z + tall + 0.3, 0.19)
    blocks.lamp((x, y, z + tall + 0.12), "#ffcf8a", strength, 8.0, dusk=True)
    blocks.take(x, y, 0.3)


def bench(blocks: Blocks, x: float, y: float, yaw: float, z: float = 0.0) -> None:
    """A seat with a back toward -x of its own. 4 geoms."""
    c, s = float(np.cos(yaw)), float(np.sin(yaw))
    for side in (-0.6, 0.6):
        blocks.box("stone", (x - s * side, y + c * side, z + 0.2), (0.2, 0.07, 0.2), yaw)
    blocks.box("timber", (x, y, z + 0.43), (0.24, 0.8, 0.04), yaw)
    blocks.box("timber", (x - 0.22 * c, y - 0.22 * s, z + 0.72), (0.035, 0.8, 0.2), yaw)
    blocks.take(x, y, 0.85)


def common(blocks: Blocks, s: int, stone: tuple[str, str, str]) -> None:
    """The surfaces that landmarks share."""
    blocks.surface("stone", Surface("ashlar", stone, 0.8, s + 30))
    blocks.surface("pillar", Surface("marble", ("#efe8da", "#d8cfbd", "#a49a88"), 1.1, s + 31, gloss=0.15))
    blocks.surface("timber", Surface("plank", ("#8a5f3b", "#a5754a", "#4a311f"), 1.0, s + 32))
    blocks.surface("gold", plain("#d6a63c", gloss=0.6))
    blocks.surface("iron", plain("#2b2c30", gloss=0.3))
    blocks.surface("dark", plain("#2b2630"))
    blocks.surface("door", Surface("panel", ("#6b4428", "#8f5f38", "#33200f"), 1.0, s, anchored=True))
    blocks.surface("lamplight", plain("#ffe0a8", glow=0.9))
    blocks.surface("glass", replace(plain("#cfc6ae", gloss=0.7), lit="#ffd99a"))
    blocks.surface("pool", Surface("water", ("#2b7f96", "#58b3bd", "#d8f2f0"), 0.9, s + 33, gloss=0.8))


SMALL: tuple[Callable[[Blocks, float, float, str], str], ...] = (statue, obelisk, well, urn, globes)
"""Those that stand on less than a metre around, and can stand anywhere."""
