"""Deeds: what a creature can be asked to do, as plain data. How each part moves while it does it, where that takes
the whole body, and what it can strike meanwhile.

Time within a deed is a share of it, 0 to 1. Angles are radians, lengths metres; x is forward, y left, z up.
A curve's keys are joined smoothly and never overshoot: between two keys it stays between their values, at a peak it
is level, along keys on a line it is that line. A deed that loops repeats its curves; any other begins and ends level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import pairwise
from typing import Any

import msgspec

Curve = tuple[tuple[float, ...], ...]
"""Keys (share, value, ...), by rising share."""

TURNED, MOVED, BORNE = 3, 3, 6  # values in a key of `parts`, `shifts` and `root`


@dataclass(frozen=True)
class Stroke:
    """What a deed can strike: a slice of a cylinder about the root, ahead of it, while some of the deed goes by."""

    start: float  # share of the deed from which it can strike
    end: float
    reach: float  # metres from the root's axis
    arc: float  # radians to either side of straight ahead
    low: float = 0.0  # metres above the ground
    high: float = 2.0
    harm: float = 0.2  # of health, of which there is 1 unless a creature says otherwise
    push: float = 0.3  # metres that it sends whom it strikes

    def __post_init__(self) -> None:
        if not (0 <= self.start < self.end <= 1 and self.reach > 0 and 0 < self.arc <= math.pi):
            raise ValueError(
                f"expected a stroke with 0 <= start < end <= 1, reach > 0 and arc in (0, pi], got start {self.start}, "
                f"end {self.end}, reach {self.reach}, arc {self.arc}"
            )
        if not (self.low < self.high and self.harm >= 0 and self.push >= 0):
            raise ValueError(
                f"expected a stroke with low < high, harm >= 0 and push >= 0, got {self.low}, {self.high}, "
                f"{self.harm}, {self.push}"
            )


@dataclass(frozen=True)
class Deed:
    name: str  # unique in a creature
    words: tuple[str, ...]  # how it is asked for, the plainest first: "slam", "slam the ground"; plain forms of verbs
    seconds: float  # of one run, or of one cycle
    loops: bool = False  # goes on while asked for
    parts: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    """A part's label -> (share, rx, ry, rz), a rotation vector in its rest frame; absent parts stay at rest."""
    shifts: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    """A part's label -> (share, x, y, z), how far its pivot is off its place, in its parent's frame."""
    root: Curve = ()
    """(share, forward, left, up, yaw, pitch, roll) of the whole body, off where it stood when the deed began.

    Forward, left and yaw stay at the end. Up, pitch (positive lifts what is in front) and roll (positive lowers the
    right side) turn it about the root's origin, and are given up by the next deed.
    """
    pace: float = 0.0  # metres a second forward while it loops; its clock then goes by distance
    turn: float = 0.0  # radians a second to the left while it loops
    holds: bool = False  # stays in its last pose until something else is asked for
    guard: bool = False  # keeps off strokes from ahead
    strokes: tuple[Stroke, ...] = ()
    trail: str = ""  # the label of a part whose path glows meanwhile, by its creature's beads
    when: float = 0.5  # share at which a deed named grab, drop, throw or open comes to what it is for

    def __post_init__(self) -> None:
        if not self.name or not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"expected a deed with a name and a positive length, got {self.name!r}, {self.seconds} s")
        for kind, curves, width in (("parts", self.parts, TURNED), ("shifts", self.shifts, MOVED)):
            plain = {label: _checked(self.name, label, curves[label], width) for label in sorted(curves)}
            object.__setattr__(self, kind, plain)  # in an order of their own: equal deeds, equal bytes
        object.__setattr__(self, "root", _checked(self.name, "root", self.root, BORNE) if self.root else ())
        if self.loops and self.root and any(self.root[0][i] != self.root[-1][i] for i in (1, 2, 4)):
            raise ValueError(
                f"expected the root of the deed {self.name!r}, which loops, to end where it began: use pace"
            )
        if (self.pace or self.turn) and not self.loops:
            raise ValueError(f"expected the deed {self.name!r}, which has a pace or a turn, to loop")

    def __hash__(self) -> int:
        return hash((self.name, self.words, self.seconds))


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a creature is in its deeds: all that has to be kept of it between ticks. Deeds are told by number; -1 is
    none, when its parts but swing as it goes."""

    deed: int = -1
    clock: float = 0.0  # share of the deed that has gone by
    was: int = -1  # the deed before, and its clock, out of whose pose it still comes
    was_clock: float = 0.0
    blend: float = 0.0  # seconds left of that
    order: tuple[int, ...] = ()  # what it was asked to do, in turn
    step: int = 0  # which of them it is at
    asked: float = 0.0  # seconds for which it goes on with what loops, or waits for more
    ran: float = 0.0  # seconds that the present deed has gone on
    health: float = 1.0
    stagger: float = 0.0  # seconds left in which it can do nothing
    shove: tuple[float, float] = (0.0, 0.0)  # metres a second at which it is being pushed
    struck: tuple[tuple[int, int], ...] = ()  # by this run: number of the stroke, entity
    held: int = -1  # the thing that it carries

    @property
    def alive(self) -> bool:
        return self.health > 0


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a creature is to be, as an edit writes it: healed, hurt or killed. With an `act`, exactly as it was."""

    health: float
    act: Act | None = None

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Vitals":
        try:
            vitals = msgspec.msgpack.decode(payload, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected the bytes of a creature's condition, got {len(payload)}: {error}") from None
        if not (math.isfinite(vitals.health) and vitals.health >= 0):
            raise ValueError(f"expected a health of 0 or more, got {vitals.health}")
        return vitals


@dataclass(frozen=True)
class Condition:
    """What can be said of a creature that acts, at one instant."""

    deed: str  # "": none
    clock: float
    health: float
    staggered: bool
    alive: bool
    commanded: bool  # it does what it was asked to, and nothing of its own
    held: int = -1


def said(value: Any, *always: str) -> dict[str, Any]:
    """A dataclass as it is written down: fields that hold their default left out, but for those named."""
    out: dict[str, Any] = {}
    for known in fields(value):
        held = getattr(value, known.name)
        default = known.default_factory() if known.default_factory is not MISSING else known.default
        if known.name in always or held != default:
            out[known.name] = held
    return out


def at(curve: Curve, share: float, loops: bool = False) -> tuple[float, ...]:
    """The values of a curve at a share of its deed."""
    times, values, slopes = knots(curve, loops)
    if share <= times[0]:
        return values[0]
    if share >= times[-1]:
        return values[-1]
    i = next(n for n in range(len(times) - 1) if share < times[n + 1])
    h = times[i + 1] - times[i]
    s = (share - times[i]) / h
    a, b = (1 + 2 * s) * (1 - s) ** 2, s * s * (3 - 2 * s)
    c, d = s * (1 - s) ** 2 * h, s * s * (s - 1) * h
    before, after = zip(values[i], slopes[i]), zip(values[i + 1], slopes[i + 1])
    return tuple(a * p + c * m + b * q + d * n for (p, m), (q, n) in zip(before, after))


def knots(curve: Curve, loops: bool) -> tuple[list[float], list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Times, values and slopes of a curve's cubics; a curve that loops is carried over both ends of its deed."""
    times, values = [key[0] for key in curve], [key[1:] for key in curve]
    if len(times) == 1:
        return times, values, [(0.0,) * len(values[0])]
    if loops:
        drift = (0.0,) * len(values[0])  # a wheel that turned once ends where it began, yet at 2 pi
        if times[0] == 0.0 and times[-1] == 1.0:
            drift = tuple(b - a for a, b in zip(values[0], values[-1]))
            times, values = times[:-1], values[:-1]
        span = (-1.0, 0.0, 1.0, 2.0)
        values = [tuple(v + n * d for v, d in zip(key, drift)) for n in span for key in values]
        times = [t + n for n in span for t in times]
    flat = (0.0,) * len(values[0])
    slopes = [flat, *(_slope(times, values, i) for i in range(1, len(times) - 1)), flat]
    return times, values, slopes


def _slope(times: Sequence[float], values: Sequence[tuple[float, ...]], i: int) -> tuple[float, ...]:
    """None at a peak, else the harmonic mean of the slopes on both sides, weighed by length (Fritsch and Butland)."""
    before, after = times[i] - times[i - 1], times[i + 1] - times[i]
    out: list[float] = []
    for a, b, c in zip(values[i - 1], values[i], values[i + 1]):
        rise, fall = (b - a) / before, (c - b) / after
        near, far = 2 * after + before, after + 2 * before
        out.append((near + far) / (near / rise + far / fall) if rise * fall > 0 else 0.0)
    return tuple(out)


def _checked(name: str, label: str, curve: Sequence[Sequence[float]], width: int) -> Curve:
    plain = tuple(tuple(float(value) + 0.0 for value in key) for key in curve)
    shares = [key[0] for key in plain if key]
    if (
        not plain
        or any(len(key) != 1 + width for key in plain)
        or not all(map(math.isfinite, (v for k in plain for v in k)))
    ):
        raise ValueError(f"expected keys of 1 + {width} finite numbers for {label!r} in the deed {name!r}, got {curve}")
    if shares[0] < 0 or shares[-1] > 1 or any(b <= a for a, b in pairwise(shares)):
        raise ValueError(f"expected rising shares in 0..1 for {label!r} in the deed {name!r}, got {shares}")
    return plain
