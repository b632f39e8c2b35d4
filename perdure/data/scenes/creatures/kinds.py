"""The kinds of creature: what each is built from, and how it is called.

A creature is a function of its kind and a seed: coat, size, deeds. Its materials are called `KIND-SEED/LABEL`, so
that whoever meets one can ask `surfaces` how it looks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import biped, bird, cart, crab, frog, giant, lantern, serpent, strider
from perdure.data.scenes.creatures.figure import Figure
from perdure.data.scenes.creatures.motion import resized
from perdure.data.scenes.scene import Surface
from perdure.world.deed import Deed
from perdure.world.mover import Mover, Part


@dataclass(frozen=True)
class Kind:
    figure: Callable[[np.random.Generator], Figure]
    deeds: Callable[[Figure], tuple[Deed, ...]]
    coats: tuple[str, ...]  # words that tell one from another of its kind
    line: str  # what it looks like, for captions; {} is its coat, with an article
    height: float  # metres at scale 1, from the ground
    width: float  # metres across, about
    girth: float  # metres: as a disc
    grip: str = ""  # the part that holds what it carries
    health: float = 1.0
    floats: bool = False


def _words(looks: Sequence[tuple]) -> tuple[str, ...]:
    return tuple(look[0] for look in looks)


KINDS = {
    "knight": Kind(
        biped.knight, biped.deeds, _words(biped.ARMS),
        "{} knight with a plumed helm, a sword and a round shield", 1.8, 0.9, 0.4, "fore_l",
    ),
    "mage": Kind(
        biped.mage, biped.deeds, _words(biped.ROBES),
        "{} mage in a long robe and a pointed hat, with a staff that glows", 2.0, 0.9, 0.4, "fore_r",
    ),
    "strider": Kind(
        strider.strider, strider.deeds, _words(strider.COATS),
        "{} strider, a horned beast on four striped legs", 1.75, 1.9, 0.55,
    ),
    "lantern golem": Kind(
        lantern.lantern, lantern.deeds, _words(lantern.SHELLS),
        "{} lantern golem, a floating orb of stone with one glowing eye", 1.9, 1.4, 0.5, "arm1", floats=True,
    ),
    "serpent": Kind(
        serpent.serpent, serpent.deeds, _words(serpent.SCALES),
        "{} serpent, banded and hooded", 0.7, 1.7, 0.45, "head",
    ),
    "bird": Kind(
        bird.bird, bird.deeds, _words(bird.PLUMES),
        "{} bird, tall and long-legged, with a great beak", 1.3, 1.2, 0.35, "beak",
    ),
    "crab": Kind(
        crab.crab, crab.deeds, _words(crab.SHELLS),
        "{} crab with two great claws and eyes on stalks", 0.6, 1.1, 0.45, "hand_l",
    ),
    "golem": Kind(
        giant.golem, giant.deeds, _words(giant.STONES),
        "{} golem, a giant of boulders with huge fists and a glowing heart", 1.75, 1.6, 0.55, "fore_l", 1.6,
    ),
    "frog": Kind(
        frog.frog, frog.deeds, _words(frog.SKINS), "{} frog, as big as a dog, with bulging eyes", 0.65, 1.0, 0.4,
         "tongue",
    ),
    "cart": Kind(
        cart.cart, cart.deeds, _words(cart.PAINTS),
        "{} cart on four spoked wheels, with a driver in a broad hat", 1.75, 1.6, 0.7, "arm_r", 1.4,
    ),
}  # fmt: skip


def figure(kind: str, seed: int) -> Figure:
    """The body of one creature."""
    return _kind(kind).figure(np.random.default_rng([7, *kind.encode(), seed]))


@lru_cache(maxsize=64)
def deeds(kind: str, seed: int) -> tuple[Deed, ...]:
    """What it can do."""
    return acts(figure(kind, seed))


def acts(body: Figure) -> tuple[Deed, ...]:
    """The deeds of a figure. Those of one kind differ by size alone, so they are worked out once; but what floats
    has a height of its own."""
    kind = KINDS[body.kind]
    if kind.floats:
        return kind.deeds(body)
    return _of_size(body.kind, body.scale)


@lru_cache(maxsize=64)
def _of_size(kind: str, size: float) -> tuple[Deed, ...]:
    scale, known = _worked_out(kind)
    return tuple(resized(deed, size / scale) for deed in known)


@lru_cache(maxsize=16)
def _worked_out(kind: str) -> tuple[float, tuple[Deed, ...]]:
    body = figure(kind, 0)
    return body.scale, KINDS[kind].deeds(body)


def surfaces(kind: str, seed: int) -> dict[str, Surface]:
    """Its materials by name."""
    prefix = _prefix(kind, seed)
    return {prefix + label: surface for label, surface in figure(kind, seed).surfaces.items()}


def name(kind: str, seed: int) -> str:
    """What a person would call it: "the red knight"."""
    return f"the {figure(kind, seed).coat} {kind}"


def described(name: str) -> str:
    """How one of this name looks, in a line: what a caption can say of "the red knight"."""
    for kind, it in KINDS.items():
        for coat in it.coats:
            if name == f"the {coat} {kind}":
                return it.line.format(f"an {coat}" if coat[0] in "aeiou" else f"a {coat}")
    raise ValueError(f'expected a name such as "the red knight", got {name!r}; kinds are {", ".join(KINDS)}')


def built(
    kind: str, seed: int, entity: int, label: str, home: tuple[float, float], radius: float, ground: float = 0.0
) -> tuple[Mover, list[str]]:
    """One creature as physics knows it: its mover, and MJCF of its bodies, which are called `label/...`; `ground` is
    the height of the floor at its home."""
    body = figure(kind, seed)
    one = replace(mover(body, entity, label, home, radius), ground=ground)
    return one, body.bodies(label, _prefix(kind, seed), home, ground)


def mover(body: Figure, entity: int, label: str, home: tuple[float, float], radius: float) -> Mover:
    kind, can = KINDS[body.kind], acts(body)
    walk = next(deed for deed in can if deed.name == "walk")
    parts = tuple(
        Part(f"{label}/{part}", joint.pivot, joint.axis, joint.swing, joint.phase, joint.parent, part)
        for part, joint in body.joints.items()
        if part
    )
    return Mover(
        entity, f"{label}/body", parts, walk.pace, walk.pace * walk.seconds, body.hover, 0.0, home, radius, body.kind,
        can, kind.health, round(kind.girth * body.scale, 3), round(kind.height * body.scale, 3), kind.grip,
        tuple(f"{label}/bead{n}" for n in range(len(body.beads))),
    )  # fmt: skip


def populate(
    blocks: Blocks,
    rng: np.random.Generator,
    homes: list[tuple[float, float]],
    radius: float,
    kinds: Sequence[str] | None = None,
    grounds: Sequence[float] = (),
) -> None:
    """One creature at each home, entity ids from 1: all of `kinds` before any comes twice, no two of one name.
    Without kinds, striders and lantern golems in turn. `grounds` are the heights of the floors at the homes; 0 unless
    said."""
    if kinds is None:
        return _first_two(blocks, rng, homes, radius)
    if not kinds:
        raise ValueError(f"expected some kinds of creature out of {', '.join(KINDS)}, got none")
    order: list[str] = []
    for entity, (home, ground) in enumerate(zip(homes, grounds or [0.0] * len(homes), strict=True), 1):
        order = order or [str(kind) for kind in rng.permutation(list(kinds))]
        kind, seed = order.pop(), int(rng.integers(1 << 16))
        for _ in range(64):  # another coat, while there is one
            if name(kind, seed) not in blocks.names.values():
                break
            seed = (seed + 1) % (1 << 16)
        one, bodies = built(kind, seed, entity, f"creature{entity - 1}", home, radius, ground)
        for material, surface in surfaces(kind, seed).items():
            blocks.surface(material, surface)
        blocks.creature(name(kind, seed), one, bodies)
    return None


def _first_two(blocks: Blocks, rng: np.random.Generator, homes: list[tuple[float, float]], radius: float) -> None:
    """As the first scenes had them, and have them still."""
    first = int(rng.integers(2))
    for index, home in enumerate(homes):
        kind = "strider" if (first + index) % 2 == 0 else "lantern golem"
        body, label = KINDS[kind].figure(rng), f"creature{index}"
        for part, surface in body.surfaces.items():
            blocks.surface(f"{label}_{part}", surface)
        one = mover(body, index + 1, label, home, radius)
        if kind == "strider":
            one = replace(one, speed=0.7, stride=0.9 * body.scale, bob=0.03)
        else:
            one = replace(one, speed=0.55, stride=1.5, bob=0.09)
        blocks.creature(kind, one, body.bodies(label, f"{label}_", home))


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise ValueError(f"expected a kind of creature out of {', '.join(KINDS)}, got {kind!r}")
    return KINDS[kind]


def _prefix(kind: str, seed: int) -> str:
    return f"{kind.replace(' ', '-')}-{seed}/"
