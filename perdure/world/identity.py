"""I, the identity: who and what is in the world, and how each looks.

An entity's look is kept as RGB-D patches in its body's frame, one for each direction it was
seen from, so that a creature can be drawn wherever physics says it stands now. It is told from
others by its exemplar, the first look that was ever had of it, which never changes, and by a bank
of looks since. What is done with entities, to find, join, part and ask for them, is in `roster.py`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.world.bank import Bank, Look, kept

UNKNOWN = "unknown"
"""The kind of what was seen and is not known to be anybody."""

FIRST = 5  # fields that the first release had, and that are always written
LENGTH = 200  # characters of a name, a tag, an attribute
WORDS = 64  # of each sort that an entity may have


@dataclass(frozen=True, eq=False)
class Patch:
    """One look at an entity. `pose` is camera to body, so the patch moves with the body."""

    pose: NDArray[np.float64]  # (4, 4)
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (h, w, 3)
    depth: NDArray[np.uint16]  # (h, w) millimetres
    mask: NDArray[np.bool_]  # (h, w)


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Where an entity without a body was last seen; one with a body is where physics has it."""

    position: tuple[float, float, float]  # metres, in the world
    time: float  # seconds of the world's own time
    speed: float  # metres a second: how fast it can have gone since


_Looks = tuple[tuple[bytes, Intrinsics, bytes, bytes, bytes], ...]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """An entity as stored. What is added here has a default and goes to the end: a row may stop early."""

    id: int
    kind: str
    name: str
    body: str
    patches: _Looks
    aliases: tuple[str, ...] = ()
    merged: tuple[int, ...] = ()
    attributes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    exemplar: Look | None = None
    bank: Bank = ()
    seen: Seen | None = None


_TEXTS = ("kind", "name", "body")
_LISTS = ("aliases", "attributes", "tags", "parts")
_TYPES: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_LISTS, tuple[str, ...]),
    "patches": _Looks,
    "merged": tuple[int, ...],
    "bank": Bank,
    "seen": Seen | None,
}
FIELDS = tuple(_TYPES)
"""What of an entity can be edited."""


@dataclass(frozen=True, eq=False)
class Entity:
    id: int  # stable, unique in its world; 0 is the player
    kind: str  # "player", "creature", ...; UNKNOWN for a stranger
    name: str
    body: str  # the MuJoCo body that it lives in, "" for none
    patches: tuple[Patch, ...] = ()
    aliases: tuple[str, ...] = ()  # what else it is called, or was
    merged: tuple[int, ...] = ()  # ids that turned out to be this one: what was said of them was said of it
    attributes: tuple[str, ...] = ()  # what it is like, in words
    tags: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()  # names of its parts, in the order that labels count them
    exemplar: Look | None = None  # the first look at it: once there is one, it stays
    bank: Bank = ()
    seen: Seen | None = None

    def __post_init__(self) -> None:
        if self.id < 0:
            raise ValueError(f"expected an entity's id to be 0 or more, got {self.id}")
        if not self.name.strip():
            raise ValueError(f"expected entity {self.id} to have a name, got {self.name!r}")
        for field in (*_TEXTS, *_LISTS):
            value: str | tuple[str, ...] = getattr(self, field)
            words = (value,) if isinstance(value, str) else value
            longest = max(map(len, words), default=0)
            if len(words) > WORDS or longest > LENGTH:
                raise ValueError(
                    f"expected the {field} of entity {self.id} to be at most {WORDS} of at most {LENGTH} characters, "
                    f"got {len(words)}, the longest of {longest}"
                )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the bytes as stored, computed once."""
        return hashlib.sha256(self.to_bytes()).digest()

    @property
    def known(self) -> bool:
        """Whether it is somebody, and not only something that was seen: who has a name given is somebody."""
        return self.kind != UNKNOWN or self.name != stranger(self.id)

    @property
    def looks(self) -> tuple[Look, ...]:
        """All looks at it, the exemplar first."""
        if self.exemplar is None:
            return self.bank
        return self.exemplar, *(look for look in self.bank if look != self.exemplar)

    def to_bytes(self) -> bytes:
        """Canonical. One that has only what the first release knew is written as that wrote it."""
        row = _Row(
            self.id, self.kind, self.name, self.body, _packed(self.patches), self.aliases, self.merged,
            self.attributes, self.tags, self.parts, self.exemplar, self.bank, self.seen,
        )  # fmt: skip
        values = list(msgspec.structs.astuple(row))
        while len(values) > FIRST and not values[-1]:
            values.pop()
        return msgspec.msgpack.encode(values)

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes | None = None) -> "Entity":
        """The entity that was stored; `digest`, where it is known, is taken over and not computed."""
        row = _decoded(payload, _Row, "an entity")
        fields: dict[str, Any] = {name: getattr(row, name) for name in row.__struct_fields__}
        fields["patches"] = _unpacked(row.patches)
        entity = cls(**fields)
        if digest is not None:
            entity.__dict__["digest"] = digest  # where cached_property looks first
        return entity

    def field(self, name: str) -> bytes | None:
        """One of its fields as bytes, None where it is empty: texts as UTF-8, all else as MessagePack."""
        if name == "exemplar":
            return None if self.exemplar is None else msgspec.msgpack.encode(self.exemplar)
        return field_bytes(name, getattr(self, _editable(name)))

    def with_field(self, name: str, value: bytes | None) -> "Entity":
        """The entity with this field as `field` gave it."""
        if name == "exemplar":
            raise ValueError(f"the exemplar of entity {self.id} never changes: edit its bank, or make another entity")
        kind = _TYPES[_editable(name)]
        if value is None:
            new: Any = "" if kind is str else None if name == "seen" else ()
        elif kind is str:
            try:
                new = value.decode()
            except UnicodeDecodeError:
                raise ValueError(f"expected the {name} of an entity as UTF-8, got other bytes") from None
        else:
            new = _decoded(value, kind, f"the {name} of an entity")
        changed = replace(self, **{name: _unpacked(new) if name == "patches" else new})
        if name == "bank" and changed.bank != kept(changed.bank):
            raise ValueError(f"expected a bank as `bank.kept` leaves it for entity {self.id}, got {len(new)} looks")
        if changed.field(name) != value:
            raise ValueError(f"expected the {name} of entity {self.id} as `field` gives it, None for nothing")
        return changed


def stranger(number: int) -> str:
    """What one is called that nobody has named."""
    return f"stranger {number}"


def field_bytes(name: str, value: Any) -> bytes | None:
    """What a slot "entity/ID/NAME" holds where the field is `value`: what an edit of it is to carry."""
    kind = _TYPES[_editable(name)]
    if not value:
        return None
    if kind is str:
        return str(value).encode()
    return msgspec.msgpack.encode(_packed(value) if name == "patches" else value)


def _editable(name: str) -> str:
    if name not in _TYPES:
        raise ValueError(f"expected a field of an entity out of {', '.join(_TYPES)}, got {name!r}")
    return name


def _decoded(payload: bytes | memoryview, kind: Any, what: str) -> Any:
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected {what} in bytes: {error}") from None


def _packed(patches: Sequence[Patch]) -> _Looks:
    return tuple(
        (p.pose.tobytes(), p.intrinsics, p.rgb.tobytes(), p.depth.tobytes(), p.mask.tobytes()) for p in patches
    )


def _unpacked(looks: _Looks) -> tuple[Patch, ...]:
    patches: list[Patch] = []
    for pose, intrinsics, rgb, depth, mask in looks:
        size = intrinsics.height, intrinsics.width
        try:
            patches.append(
                Patch(
                    np.frombuffer(pose, np.float64).reshape(4, 4),
                    intrinsics,
                    np.frombuffer(rgb, np.uint8).reshape(*size, 3),
                    np.frombuffer(depth, np.uint16).reshape(size),
                    np.frombuffer(mask, np.bool_).reshape(size),
                )
            )
        except ValueError as error:
            raise ValueError(f"expected a patch of {size[1]}x{size[0]} pixels: {error}") from None
    return tuple(patches)
