"""Two kinds of creature: the strider, which walks on four striped legs, and the lantern golem, which floats.

A creature is a mocap root body and mocap parts that hang on it; its frame has +x forward and z up.
"""

import numpy as np

from perdure.data.scenes.blocks import Blocks, Point, geom, limb, turned
from perdure.data.scenes.scene import MOVING, Surface, plain
from perdure.world.mover import Mover, Part

UPRIGHT = (1.0, 0.0, 0.0, 0.0)

COATS = (  # body, stripes, mane: strong contrasts, so that a coat is recognised from far
    ("#e8832a", "#3a2014", "#f4e3c1"),
    ("#f2ead8", "#20242c", "#c23b2e"),
    ("#3f8f8a", "#f3e2b3", "#e2683c"),
    ("#d4a93a", "#5b2a6b", "#efe7d6"),
    ("#c9485b", "#f6d9c0", "#2d3350"),
)

SHELLS = (  # stone, light, band
    ("#5d6b82", "#7fe3ff", "#d9a441"),
    ("#4e5a48", "#b8ff7a", "#c77f3a"),
    ("#6a5578", "#ff9ae6", "#e0c060"),
    ("#7a5a48", "#ffc65c", "#4f8f9f"),
)


def _ball(material: str, pos: Point, radius: float) -> str:
    return geom("sphere", material, pos, (radius,), UPRIGHT, MOVING)


def _egg(material: str, pos: Point, size: Point, tilt: float = 0.0) -> str:
    return geom("ellipsoid", material, pos, size, turned(0.0, tilt), MOVING)


def _body(name: str, home: tuple[float, float], hover: float, pivot: Point, geoms: list[str]) -> str:
    """A mocap body where it hangs when the creature stands at home, facing +x."""
    x, y, z = home[0] + pivot[0], home[1] + pivot[1], hover + pivot[2]
    inner = "".join(geoms)
    return f'<body name="{name}" mocap="true" pos="{x:.5g} {y:.5g} {z:.5g}">{inner}</body>'


def add_strider(
    blocks: Blocks, rng: np.random.Generator, index: int, entity: int, home: tuple[float, float], radius: float
) -> None:
    """A four-legged walker with a striped coat, a maned neck, horns and a tail, as tall as a pony."""
    coat = COATS[int(rng.integers(len(COATS)))]
    name = f"creature{index}"
    seed = int(rng.integers(1 << 16))
    hide = blocks.surface(f"{name}_hide", Surface("stripe", coat, 0.26, seed, anchored=True))
    leg = blocks.surface(f"{name}_leg", Surface("stripe", coat, 0.24, seed, anchored=True))
    mane = blocks.surface(f"{name}_mane", plain(coat[2], anchored=True))
    face = blocks.surface(f"{name}_face", plain(coat[0], anchored=True))
    dark = blocks.surface(f"{name}_dark", plain("#17151a", gloss=0.5, anchored=True))
    scale = float(rng.uniform(0.9, 1.1))
    s = scale
    hover = 0.92 * s
    root = [
        _egg(hide, (0.0, 0.0, 0.0), (0.60 * s, 0.25 * s, 0.28 * s)),
        _egg(hide, (0.30 * s, 0.0, 0.05 * s), (0.28 * s, 0.24 * s, 0.29 * s)),
        limb(hide, (0.42 * s, 0, 0.12 * s), (0.68 * s, 0, 0.50 * s), 0.13 * s),
        limb(mane, (0.30 * s, 0, 0.26 * s), (0.56 * s, 0, 0.62 * s), 0.07 * s),
    ]
    head = [
        _egg(face, (0.10 * s, 0.0, 0.06 * s), (0.24 * s, 0.15 * s, 0.16 * s)),
        _egg(mane, (0.31 * s, 0.0, 0.0), (0.12 * s, 0.11 * s, 0.10 * s)),
        _ball(dark, (0.18 * s, 0.12 * s, 0.12 * s), 0.045 * s),
        _ball(dark, (0.18 * s, -0.12 * s, 0.12 * s), 0.045 * s),
        limb(mane, (0.0, 0.09 * s, 0.18 * s), (-0.08 * s, 0.20 * s, 0.40 * s), 0.035 * s),
        limb(mane, (0.0, -0.09 * s, 0.18 * s), (-0.08 * s, -0.20 * s, 0.40 * s), 0.035 * s),
    ]
    tail = [limb(hide, (0, 0, 0), (-0.30 * s, 0, 0.10 * s), 0.05 * s), _ball(mane, (-0.38 * s, 0, 0.14 * s), 0.10 * s)]
    shapes: list[tuple[str, Point, Point, float, float, list[str]]] = [
        ("head", (0.68 * s, 0.0, 0.52 * s), (0.0, 1.0, 0.0), 0.10, 0.8, head),
        ("tail", (-0.56 * s, 0.0, 0.10 * s), (0.0, 0.0, 1.0), 0.5, 0.0, tail),
    ]
    for n, (x, y) in enumerate(((0.36, 0.16), (0.36, -0.16), (-0.38, 0.16), (-0.38, -0.16))):
        bones = [
            limb(leg, (0, 0, 0), (0, 0, -0.62 * s), 0.085 * s),
            _ball(dark, (0.03 * s, 0, -0.68 * s), 0.10 * s),
        ]
        phase = 0.0 if n in (0, 3) else float(np.pi)
        shapes.append((f"leg{n}", (x * s, y * s, -0.13 * s), (0.0, 1.0, 0.0), 0.5, phase, bones))
    bodies, parts = [_body(f"{name}/body", home, hover, (0, 0, 0), root)], []
    for label, pivot, axis, swing, phase, geoms in shapes:
        bodies.append(_body(f"{name}/{label}", home, hover, pivot, geoms))
        parts.append(Part(f"{name}/{label}", pivot, axis, swing, phase))
    mover = Mover(
        entity, f"{name}/body", tuple(parts), speed=0.7, stride=0.9 * s, hover=hover, bob=0.03, home=home, radius=radius
    )
    blocks.creature("strider", mover, bodies)


def add_golem(
    blocks: Blocks, rng: np.random.Generator, index: int, entity: int, home: tuple[float, float], radius: float
) -> None:
    """A floating stone orb with one glowing eye, a belt of beads about it, a crown, and two hanging arms."""
    stone, light, band = SHELLS[int(rng.integers(len(SHELLS)))]
    name = f"creature{index}"
    seed = int(rng.integers(1 << 16))
    shell = blocks.surface(f"{name}_shell", Surface("stone", (stone, "#8d93a0", "#2a2c33"), 0.34, seed, anchored=True))
    glow = blocks.surface(f"{name}_glow", plain(light, glow=0.8, anchored=True))
    gold = blocks.surface(f"{name}_gold", plain(band, gloss=0.6, anchored=True))
    dark = blocks.surface(f"{name}_dark", plain("#1d1a22", gloss=0.4, anchored=True))
    hover = float(rng.uniform(1.15, 1.35))
    root = [
        _ball(shell, (0, 0, 0), 0.42),
        _ball(dark, (0.25, 0, 0.08), 0.22),
        _ball(glow, (0.36, 0, 0.09), 0.145),
        _egg(glow, (0, 0, -0.40), (0.16, 0.16, 0.22)),
        *(
            limb(gold, (0.26 * np.cos(a), 0.26 * np.sin(a), 0.34), (0.34 * np.cos(a), 0.34 * np.sin(a), 0.60), 0.05)
            for a in np.arange(5) * 2 * np.pi / 5
        ),
    ]
    ring = [
        _ball(glow if n % 2 else gold, (0.66 * np.cos(a), 0.66 * np.sin(a), 0.0), 0.075)
        for n, a in enumerate(np.arange(8) * 2 * np.pi / 8)
    ]
    arm = [
        limb(gold, (0, 0, 0), (0.05, 0, -0.36), 0.06),
        _ball(shell, (0.08, 0, -0.48), 0.14),
    ]
    shapes: list[tuple[str, Point, Point, float, float, list[str]]] = [
        ("ring", (0.0, 0.0, -0.06), (1.0, 0.0, 0.0), 0.22, 0.0, ring),
        ("arm0", (0.0, 0.50, 0.02), (0.0, 1.0, 0.0), 0.55, 0.0, arm),
        ("arm1", (0.0, -0.50, 0.02), (0.0, 1.0, 0.0), 0.55, float(np.pi), arm),
    ]
    bodies, parts = [_body(f"{name}/body", home, hover, (0, 0, 0), root)], []
    for label, pivot, axis, swing, phase, geoms in shapes:
        bodies.append(_body(f"{name}/{label}", home, hover, pivot, geoms))
        parts.append(Part(f"{name}/{label}", pivot, axis, swing, phase))
    mover = Mover(
        entity, f"{name}/body", tuple(parts), speed=0.55, stride=1.5, hover=hover, bob=0.09, home=home, radius=radius
    )
    blocks.creature("lantern golem", mover, bodies)


def populate(blocks: Blocks, rng: np.random.Generator, homes: list[tuple[float, float]], radius: float) -> None:
    """One creature at each home, the kinds in turn, entity ids from 1."""
    first = int(rng.integers(2))
    for index, home in enumerate(homes):
        add = add_strider if (first + index) % 2 == 0 else add_golem
        add(blocks, rng, index, index + 1, home, radius)
