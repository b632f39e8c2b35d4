"""The setting: what holds everywhere in a world. Its hour, weather and look in words, since when, what is to be
seen in the air and on the ground that nobody bumps into, and the rules of its physics."""

import hashlib
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.world.action import FRAMES_PER_SECOND
from perdure.world.rules import Rule

WEATHERS = ("clear", "rain", "snow", "fog", "storm")
SEASONS = ("", "spring", "summer", "autumn", "winter")
STYLES = ("", "pixel", "sketch", "sepia")
"""What the painter knows how to show; an environment may say something else."""

SPECTACLES = ("fireworks", "birds", "fish", "fire")
SOFT = 2.0  # seconds in which what sets in does so

WORDS = {"weather": WEATHERS[1:], "season": SEASONS[1:], "style": STYLES[1:]}
FEATURES = 4 + sum(map(len, WORDS.values()))
"""Length of `Setting.features`."""


@dataclass(frozen=True)
class Environment:
    hour: float = 12.0  # of the day, 0 to 24
    weather: str = "clear"
    season: str = ""
    style: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.hour < 24:
            raise ValueError(f"expected an hour of the day from 0 up to 24, got {self.hour}")

    def field(self, name: str) -> bytes:
        _check(name)
        return msgspec.json.encode(getattr(self, name))

    def with_field(self, name: str, value: bytes | None) -> "Environment":
        """The same but for one field, given as JSON; None is how a world begins."""
        _check(name)
        try:
            if value is None:
                new = getattr(Environment(), name)
            else:
                new = msgspec.json.decode(value, type=float if name == "hour" else str)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected a {'number' if name == 'hour' else 'text'} as {name}: {error}") from None
        return replace(self, **{name: new})


@dataclass(frozen=True)
class Onset:
    """Since when the environment is as it is, and how it was before: so that what sets in does so softly."""

    tick: int
    was: str | float

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Onset":
        try:
            return msgspec.msgpack.decode(payload, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected the bytes of an onset: {error}") from None


@dataclass(frozen=True)
class Spectacle:
    """Something to be seen that has no body: how it looks at a tick follows from this alone."""

    name: str
    kind: str
    place: tuple[float, float, float]
    start: int  # tick
    seconds: float = math.inf  # inf: it lasts
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in SPECTACLES:
            raise ValueError(f"expected a spectacle out of {', '.join(SPECTACLES)}, got {self.kind!r}")
        if not self.name or "/" in self.name:
            raise ValueError(f"expected a name without slashes for the {self.kind}, got {self.name!r}")
        if self.seed < 0:
            raise ValueError(f"expected a seed from 0 for the {self.kind}, got {self.seed}")
        if not (all(map(math.isfinite, self.place)) and self.seconds > 0):
            raise ValueError(f"expected the {self.kind} somewhere and to last, got {self.place}, {self.seconds} s")

    def over(self, tick: int) -> bool:
        return (tick - self.start) / FRAMES_PER_SECOND >= self.seconds

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Spectacle":
        try:
            return msgspec.msgpack.decode(payload, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"expected the bytes of a spectacle: {error}") from None


@dataclass(frozen=True)
class Setting:
    environment: Environment = Environment()
    rules: tuple[Rule, ...] = ()  # by name
    spectacles: tuple[Spectacle, ...] = ()  # by name
    onsets: tuple[tuple[str, Onset], ...] = ()  # by field of the environment

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Not JSON, which has no infinity. Where there is none of what came later, as it was without."""
        said: dict[str, object] = {"environment": self.environment, "rules": self.rules}
        later: dict[str, object] = {"spectacles": self.spectacles, "onsets": self.onsets}
        said |= {name: value for name, value in later.items() if value}
        return msgspec.msgpack.encode(said, order="deterministic")

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes) -> "Setting":
        setting = msgspec.msgpack.decode(payload, type=Setting)
        setting.__dict__["digest"] = digest  # where cached_property looks first
        return setting

    def rule(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.name == name), None)

    def with_rule(self, name: str, rule: Rule | None) -> "Setting":
        """The same with this rule in place of the one of that name, or without it."""
        rules = {other.name: other for other in self.rules if other.name != name}
        if rule is not None:
            rules[name] = rule
        return replace(self, rules=tuple(rules[key] for key in sorted(rules)))

    def spectacle(self, name: str) -> Spectacle | None:
        return next((spectacle for spectacle in self.spectacles if spectacle.name == name), None)

    def with_spectacle(self, name: str, spectacle: Spectacle | None) -> "Setting":
        """The same with this spectacle in place of the one of that name, or without it."""
        spectacles = {other.name: other for other in self.spectacles if other.name != name}
        if spectacle is not None:
            if spectacle.name != name:
                raise ValueError(f"expected a spectacle named {name!r} in this slot, got {spectacle.name!r}")
            spectacles[name] = spectacle
        return replace(self, spectacles=tuple(spectacles[key] for key in sorted(spectacles)))

    def held(self, field: str, tick: float, seconds: float = SOFT) -> list[tuple[str | float, float]]:
        """What a field of the environment holds, and how much: the one value, or while it sets in, that and the one
        before."""
        now, onset = getattr(self.environment, field), self.onset(field)
        if onset is None:
            return [(now, 1.0)]
        share = min(max((tick - onset.tick) / FRAMES_PER_SECOND / seconds, 0.0), 1.0)
        share = share * share * (3.0 - 2.0 * share)
        return [(value, weight) for value, weight in ((onset.was, 1.0 - share), (now, share)) if weight > 0]

    def features(self, tick: float) -> NDArray[np.float32]:
        """(FEATURES,) what a model is told of the environment: all 0 where it is as worlds begin, clear noon."""
        hours = np.zeros(4)
        for hour, much in self.held("hour", tick):
            turn = 2 * math.pi * (float(hour) - 12) / 24
            hours += much * np.array([1 - math.cos(turn), math.sin(turn), 1 - math.cos(2 * turn), math.sin(2 * turn)])
        words = [
            sum(much for value, much in self.held(field, tick) if value == word)
            for field, listed in WORDS.items()
            for word in listed
        ]
        return np.array([*hours, *words], np.float32)

    def onset(self, field: str) -> Onset | None:
        _check(field)
        return dict(self.onsets).get(field)

    def with_onset(self, field: str, onset: Onset | None) -> "Setting":
        _check(field)
        onsets = {name: other for name, other in self.onsets if name != field}
        if onset is not None:
            onsets[field] = onset
        return replace(self, onsets=tuple((name, onsets[name]) for name in sorted(onsets)))


def _check(name: str) -> None:
    known = [field.name for field in fields(Environment)]
    if name not in known:
        raise ValueError(f"expected one of {', '.join(known)} of the environment, got {name!r}")
