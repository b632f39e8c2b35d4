"""Looks: what an entity was seen to look like, as points in the space of an embedding, and banks of them.

A bank keeps the best few looks from each side, so its size is bounded for ever. What it keeps of some
looks does not depend on the order that they came in, nor on how banks were joined on the way.

Shapes: D length of an embedding.
"""

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

SIDES = 8  # bins of azimuth; the first is centred on straight ahead
TIERS = (-20, 35)  # degrees of elevation between seen from below, level and above
PER_BIN = 3
FINEST = 7  # the best quality: few grades, so that a bank comes to rest soon
SAME_SIDE = 45.0  # degrees between two views that should look alike
LONGEST = 1024  # numbers in an embedding


class Look(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One appearance. `azimuth` and `elevation` say from where it was seen, in the frame of the body."""

    by: str  # which embedding made it: others cannot be compared with it
    code: bytes  # (D,) float16, little-endian
    azimuth: int  # degrees in 0..359, 0 from ahead, growing to the left
    elevation: int  # degrees in -90..90, up is positive
    quality: int  # 0..FINEST
    step: int  # when
    links: int = 0  # how many looks lie between it and one that was vouched for

    def __post_init__(self) -> None:
        if not (0 <= self.azimuth < 360 and -90 <= self.elevation <= 90):
            raise ValueError(f"expected a view of 0..359 by -90..90 degrees, got {self.azimuth} by {self.elevation}")
        if not (0 <= self.quality <= FINEST and self.links >= 0):
            raise ValueError(f"expected a quality in 0..{FINEST} and no less than 0 links, got {self}")
        if not 0 < len(self.code) <= 2 * LONGEST or len(self.code) % 2:
            raise ValueError(f"expected an embedding of 1..{LONGEST} half floats, got {len(self.code)} bytes")
        if not np.isfinite(np.frombuffer(self.code, "<f2")).all():
            raise ValueError("expected finite numbers in an embedding, got NaN or infinity")

    @classmethod
    def of(
        cls,
        by: str,
        embedding: NDArray[np.floating],
        view: Sequence[float] | NDArray[np.floating],
        quality: float,
        step: int,
    ) -> "Look":
        """A look from an embedding (D,), the direction (3,) from the body to the eye, and a quality in [0, 1]."""
        azimuth, elevation = angles(view)
        with np.errstate(over="ignore"):  # said when it is checked
            code = np.asarray(embedding, np.float64).astype("<f2").tobytes()
        return cls(by, code, azimuth, elevation, round(FINEST * min(1.0, max(0.0, quality))), step)

    @property
    def embedding(self) -> NDArray[np.float64]:
        """(D,)"""
        return np.frombuffer(self.code, "<f2").astype(np.float64)

    @property
    def bin(self) -> tuple[int, int]:
        """Which of the bank's bins it belongs to: tier and side."""
        return sum(self.elevation >= tier for tier in TIERS), (self.azimuth * SIDES + 180) // 360 % SIDES

    @property
    def view(self) -> tuple[float, float, float]:
        """Unit vector from the body to the eye, in the body's frame."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        flat = math.cos(elevation)
        return flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)


Bank = tuple[Look, ...]
"""Looks as `kept` leaves them: sorted, none twice, the best few of each bin."""

BOUND = (len(TIERS) + 1) * SIDES * PER_BIN
"""A bank never has more looks than this."""


def angles(view: Sequence[float] | NDArray[np.floating]) -> tuple[int, int]:
    """Azimuth and elevation of a direction (3,), in whole degrees."""
    x, y, z = (float(value) for value in view)
    length = math.sqrt(x * x + y * y + z * z)
    if not (0 < length < math.inf):
        raise ValueError(f"expected a direction to look from, got ({x}, {y}, {z})")
    return round(math.degrees(math.atan2(y, x))) % 360, round(math.degrees(math.asin(max(-1.0, min(1.0, z / length)))))


def apart(one: Look, other: Look) -> float:
    """Degrees between the directions that two looks were seen from."""
    cosine = sum(a * b for a, b in zip(one.view, other.view))
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def distance(one: Look, other: Look) -> float:
    """Between two appearances; infinite if different embeddings made them."""
    if one.by != other.by or len(one.code) != len(other.code):
        return math.inf
    return math.dist(one.embedding.tolist(), other.embedding.tolist())


def kept(looks: Iterable[Look]) -> Bank:
    """Of these looks, what a bank keeps: in each bin the vouched for first, then the best, then the oldest."""
    best: dict[Look, Look] = {}
    for look in looks:
        same = msgspec.structs.replace(look, links=0)
        best[same] = min(look, best.get(same, look), key=_rank)
    bins: dict[tuple[int, int], list[Look]] = {}
    for look in sorted(best.values(), key=_rank):
        bins.setdefault(look.bin, []).append(look)
    return tuple(look for number in sorted(bins) for look in bins[number][:PER_BIN])


def _rank(look: Look) -> tuple[bool, int, int, Look]:
    return look.links > 0, -look.quality, look.step, look
