"""A scene: geometry as portable MJCF, and how it looks, as plain data.

Every drawn geom has a `material` whose name is a key of `Scene.surfaces`. Geom groups say what a
geom is: 0 stands still, 1 belongs to a creature, 2 is the player, who is never drawn in first person.
Colours are sRGB as "#rrggbb"; lengths are metres; angles are radians; directions are as in
`perdure.camera` (z up, yaw 0 along +x).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perdure.world.mover import Mover

STILL, MOVING, PLAYER = 0, 1, 2
"""Geom groups."""

EYE = 1.55
"""Metres from the floor to the player's eye."""

TEXTURES = (
    "plain", "plaster", "brick", "tile", "checker", "plank", "marble", "grass", "stone", "stripe", "leaf", "metal",
    "rug", "emblem", "picture", "water", "hexagon", "chevron", "panel", "ashlar", "window",
    "gravel", "cobble", "sand", "soil", "bark", "shingle", "thatch", "weave", "lattice", "moss", "mosaic", "books",
    "snow", "ice", "carpet", "terrazzo", "parquet", "rock", "rosette", "shutter", "pool",
)  # fmt: skip
"""Procedural textures, in the order that the renderer's kernels number them."""

FITTED = ("rug", "emblem", "picture", "window", "panel", "rosette", "shutter")
"""Textures that are stretched over one face of a geom instead of being repeated."""


def rgb(colour: str) -> NDArray[np.float64]:
    """(3,) linear light, from "#rrggbb"."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(f'expected a colour as "#rrggbb", got {colour!r}')
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Surface:
    """What a material looks like: a texture that mixes three colours."""

    texture: str
    colours: tuple[str, str, str]
    scale: float = 1.0  # metres a repeat
    seed: int = 0
    gloss: float = 0.0  # 0 is chalk, 1 is polished
    glow: float = 0.0  # light of its own, in units of its colour
    anchored: bool = False  # textured in the geom's own frame, so that it moves with the geom
    lit: str = ""  # the colour that it glows in when it is dark, as a lantern's glass does; "": it does not

    def __post_init__(self) -> None:
        if self.texture not in TEXTURES:
            raise ValueError(f"expected a texture out of {', '.join(TEXTURES)}, got {self.texture!r}")
        if self.scale <= 0:
            raise ValueError(f"expected a scale above 0 metres, got {self.scale}")
        for colour in (*self.colours, *([self.lit] if self.lit else [])):
            rgb(colour)


def plain(colour: str, gloss: float = 0.0, glow: float = 0.0, anchored: bool = False) -> Surface:
    """One colour all over."""
    return Surface("plain", (colour, colour, colour), gloss=gloss, glow=glow, anchored=anchored)


@dataclass(frozen=True)
class Lamp:
    """A light that reaches `reach` metres in all directions."""

    position: tuple[float, float, float]
    colour: str
    strength: float
    reach: float = 8.0
    dusk: bool = False  # lit only when it is dark


@dataclass(frozen=True)
class Sky:
    """Sun, sky and air."""

    zenith: str = "#3f7fc4"
    horizon: str = "#cfe0ea"
    ground: str = "#8a7f6c"  # what little light comes from below
    clouds: float = 0.5  # 0 clear, 1 covered
    sun_yaw: float = 0.8
    sun_pitch: float = 0.8
    sun_colour: str = "#ffe2b0"
    sun_strength: float = 2.6
    fill: float = 0.75  # strength of the sky's own light
    fog: float = 0.008  # a metre
    exposure: float = 1.0
    seed: int = 0

    def sun(self) -> NDArray[np.float64]:
        """(3,) unit vector toward the sun."""
        flat = np.cos(self.sun_pitch)
        return np.array([np.cos(self.sun_yaw) * flat, np.sin(self.sun_yaw) * flat, np.sin(self.sun_pitch)])


@dataclass(frozen=True)
class Doorway:
    """An opening that one can walk through: a door hung at `hinge`, on the ground, reaches along `yaw` when shut."""

    hinge: tuple[float, float]
    yaw: float
    width: float  # of the way that is free
    height: float


Place = tuple[float, float, float, float]
"""x, y of its middle, z of what it stands on, and the radius of the circle that it takes up."""


@dataclass(frozen=True, eq=False)
class Scene:
    name: str
    kind: str
    seed: int
    xml: str
    surfaces: Mapping[str, Surface]
    sky: Sky
    lamps: tuple[Lamp, ...]
    movers: tuple[Mover, ...]
    names: Mapping[int, str]  # entity id to what a person would call it
    spawn: tuple[float, float, float]  # x, y, yaw of the player
    extent: tuple[float, float, float]  # half sizes of the box around the origin that holds everything
    doorways: tuple[Doorway, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)  # "the fountain", "the north room"
    ways: tuple[tuple[str, str], ...] = ()  # places that open into one another: rooms by a door, levels by stairs
    words: tuple[str, ...] = ()  # what a caption can say of it: materials, colours, landmarks; nothing that moves
