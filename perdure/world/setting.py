"""The setting: what holds everywhere in a world. Its hour, weather and look in words, and the rules of its physics."""

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cached_property

import msgspec

from perdure.world.rules import Rule


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
class Setting:
    environment: Environment = Environment()
    rules: tuple[Rule, ...] = ()  # by name

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self, order="deterministic")  # not JSON, which has no infinity

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


def _check(name: str) -> None:
    known = [field.name for field in fields(Environment)]
    if name not in known:
        raise ValueError(f"expected one of {', '.join(known)} of the environment, got {name!r}")
