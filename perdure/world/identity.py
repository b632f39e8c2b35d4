"""I, the identity: who and what is in the world, and how each looks.

An entity's look is kept as RGB-D patches in its body's frame, one for each direction it was
seen from, so that a creature can be drawn wherever physics says it stands now.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics


@dataclass(frozen=True, eq=False)
class Patch:
    """One look at an entity. `pose` is camera to body, so the patch moves with the body."""

    pose: NDArray[np.float64]  # (4, 4)
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (h, w, 3)
    depth: NDArray[np.uint16]  # (h, w) millimetres
    mask: NDArray[np.bool_]  # (h, w)


@dataclass(frozen=True, eq=False)
class Entity:
    id: int  # stable, unique in its world; 0 is the player
    kind: str  # "player", "creature", ...
    name: str
    body: str  # the MuJoCo body that it lives in
    patches: tuple[Patch, ...] = ()

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the bytes as stored, computed once."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        looks = [
            (p.pose.tobytes(), p.intrinsics, p.rgb.tobytes(), p.depth.tobytes(), p.mask.tobytes()) for p in self.patches
        ]
        return msgspec.msgpack.encode((self.id, self.kind, self.name, self.body, looks))

    @classmethod
    def from_bytes(cls, payload: bytes, digest: bytes) -> "Entity":
        look = tuple[bytes, Intrinsics, bytes, bytes, bytes]
        fields = tuple[int, str, str, str, list[look]]
        number, kind, name, body, looks = msgspec.msgpack.decode(payload, type=fields)
        patches: list[Patch] = []
        for pose, intrinsics, rgb, depth, mask in looks:
            size = intrinsics.height, intrinsics.width
            patches.append(
                Patch(
                    np.frombuffer(pose, np.float64).reshape(4, 4),
                    intrinsics,
                    np.frombuffer(rgb, np.uint8).reshape(*size, 3),
                    np.frombuffer(depth, np.uint16).reshape(size),
                    np.frombuffer(mask, np.bool_).reshape(size),
                )
            )
        entity = cls(number, kind, name, body, tuple(patches))
        entity.__dict__["digest"] = digest  # where cached_property looks first
        return entity
