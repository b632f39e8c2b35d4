"""Appearance: what a thing looks like as a row of numbers, so that it is known when it is seen again.

`PLAIN` is an embedding that nobody had to train: how much of the thing has which colour, which colours
are above and which below, and how large it is. Colour is taken as chroma, relative to brightness, and
brightness relative to the thing's own, so most of what the light does drops out. A learned embedding
can stand in its place: an `Embedding` is a name, a function of a patch, and the radius of its space.

Shapes: P pixels of the thing, D length of the embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, unproject
from perdure.memory.track import cut_patch
from perdure.world.bank import Look
from perdure.world.geometry import MILLIMETRES
from perdure.world.identity import Entity, Patch
from perdure.world.roster import Sighting, acquainted

SIDE = 8  # bins of chroma, each way
CHROMA = 0.16  # chroma, relative to brightness, that the bins reach to
EVEN = 0.4  # the power that small shares of colour are raised to, so that they count
LAYOUT = 0.8  # weight of which colours are above and which below
HEIGHT, WIDTH = 0.7, 0.2  # weights of the size, in units of its logarithm
GREY = 0.25  # relative light at the middle of the thing's own
ENOUGH = 4000  # pixels that show all there is to see

# To Oklab (Ottosson 2020): from linear light to what cones answer, and from their cube roots to lightness and chroma.
_CONES = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
_OKLAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722])
_SRGB = np.arange(256) / 255.0
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Embedding:
    """A way to make numbers of what is seen."""

    name: str  # kept with each look: those of another cannot be compared
    radius: float  # how far apart two looks at the same thing may be, from about the same side
    of: Callable[[Patch], NDArray[np.floating]]  # (D,)


def plain(patch: Patch) -> Array:
    """(D,) colours, layout and size of what a patch shows. Its frame must have z up."""
    lightness_P, chroma_P2 = oklab(patch)
    points = unproject(patch.depth / MILLIMETRES, patch.intrinsics, patch.pose)[patch.mask]
    across = points @ patch.pose[:3, 0]
    tall, wide = (float(np.subtract(*np.percentile(along, (97, 3)))) for along in (points[:, 2], across))
    out = [shares(chroma_P2), np.log(np.maximum((tall, wide), 0.05)) * (HEIGHT, WIDTH)]
    above = points[:, 2] > np.median(points[:, 2])
    for half in (above, ~above):
        if half.any():
            out.append(LAYOUT * np.array([*(4.0 * chroma_P2[half].mean(0)), lightness_P[half].mean()]))
        else:
            out.append(np.zeros(3))
    return np.concatenate(out)


PLAIN = Embedding("plain-1", 0.5, plain)


def oklab(patch: Patch) -> tuple[Array, Array]:
    """(P,) lightness and (P, 2) chroma: relative, as they would be in a light that makes the thing's middle GREY."""
    light_P3 = _LINEAR[patch.rgb[patch.mask]]
    usual = float(np.median(light_P3 @ _BRIGHTNESS)) + 1e-4
    lab_P3 = np.cbrt(light_P3 * (GREY / usual) @ _CONES.T) @ _OKLAB.T
    return lab_P3[:, 0], lab_P3[:, 1:] / (lab_P3[:, :1] + 0.1)


def shares(chroma_P2: Array) -> Array:
    """(SIDE * SIDE,) how much there is of each chroma, of length 1. A pixel counts in the four bins about it."""
    at = np.clip((chroma_P2 + CHROMA) * ((SIDE - 1) / (2 * CHROMA)), 0, SIDE - 1 - 1e-9)
    low = at.astype(np.int64)
    high = at - low
    out = np.zeros(SIDE * SIDE)
    for i in (0, 1):
        for j in (0, 1):
            weight = np.where(i, high[:, 0], 1 - high[:, 0]) * np.where(j, high[:, 1], 1 - high[:, 1])
            out += np.bincount((low[:, 0] + i) * SIDE + low[:, 1] + j, weight, SIDE * SIDE)
    out = (out / out.sum()) ** EVEN
    return out / np.linalg.norm(out)


def quality(patch: Patch) -> float:
    """How much a look is worth, in [0, 1]: by how many pixels it has, and whether all of the thing is in it."""
    mask = patch.mask
    cut = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    return min(1.0, float(np.sqrt(mask.sum() / ENOUGH))) * (0.5 if cut else 1.0)


def look_at(patch: Patch, step: int, embedding: Embedding = PLAIN) -> Look:
    """A patch as a look at the body in whose frame it is."""
    if not patch.mask.any():
        raise ValueError("expected a patch that shows something, got an empty mask")
    return Look.of(embedding.name, embedding.of(patch), patch.pose[:3, 3], quality(patch), step)


def sight(
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    mask: NDArray[np.bool_],
    camera: Array,
    intrinsics: Intrinsics,
    time: float,
    step: int,
    embedding: Embedding = PLAIN,
) -> Sighting | None:
    """What a picture shows under `mask` (H, W), as a sighting; None if that is too little.

    `camera` is the pose of the eye; `time` is in seconds of the world's own time.
    """
    if not mask.any():
        return None
    body = np.eye(4)
    body[:3, 3] = unproject(np.asarray(depth, np.float64), intrinsics, camera)[mask].mean(0)
    patch = cut_patch(rgb, depth, mask.astype(np.uint8), 1, camera, body, intrinsics)
    if patch is None:
        return None
    x, y, z = (float(value) for value in body[:3, 3])
    return Sighting(look_at(patch, step, embedding), (x, y, z), time)


def acquaint(entity: Entity, step: int = -1, embedding: Embedding = PLAIN) -> Entity:
    """The entity with its patches as looks that are vouched for; the first is its exemplar unless it has one."""
    return acquainted(entity, [look_at(patch, step, embedding) for patch in entity.patches if patch.mask.any()])


_HUES = ((10, "pink"), (42, "red"), (72, "orange"), (115, "yellow"), (165, "green"), (215, "turquoise"), (290, "blue"),
         (330, "purple"), (360, "pink"))  # fmt: skip
"""Where each hue of Oklab ends, in degrees."""


def colours(patches: Sequence[Patch], least: float = 0.15) -> tuple[str, ...]:
    """The colours of at least this share of what patches show, in words, the commonest first."""
    counts: dict[str, int] = {}
    for patch in patches:
        lab = np.cbrt(_LINEAR[patch.rgb[patch.mask]] @ _CONES.T) @ _OKLAB.T
        strength, hue = np.hypot(lab[:, 1], lab[:, 2]), np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
        named = np.array([name for _, name in _HUES])[np.searchsorted([end for end, _ in _HUES], hue)]
        named = np.where((lab[:, 0] < 0.5) & np.isin(named, ("orange", "yellow")), "brown", named)
        tones = np.array(["black", "grey", "white"])[np.searchsorted((0.3, 0.85), lab[:, 0])]
        named = np.where((strength < 0.04) | (lab[:, 0] < 0.2), tones, named)
        for name, count in zip(*np.unique(named, return_counts=True)):
            counts[str(name)] = counts.get(str(name), 0) + int(count)
    often = sorted((-count, name) for name, count in counts.items() if count >= least * sum(counts.values()))
    return tuple(name for _, name in often)
