"""Anchors: places that have a name, and what is to be known of them in words."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from perdure.camera import Array, check_pose


@dataclass(frozen=True, eq=False)
class Anchor:
    """A piece. Where it is fixed to an entity, its pose is to the entity's body, and it goes where the body goes."""

    name: str  # unique in its world
    pose: Array  # (4, 4) to the world, or to a body
    text: str = ""
    entity: int | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"expected a name without a slash for an anchor, got {self.name!r}")
        pose = np.array(self.pose, np.float64)
        check_pose(pose)
        pose.setflags(write=False)
        object.__setattr__(self, "pose", pose)

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode((self.name, self.pose.tobytes(), self.text, self.entity))

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes | None = None) -> "Anchor":
        """`digest` is known where it comes from the store, and not where it comes from an edit."""
        name, pose, text, entity = msgspec.msgpack.decode(payload, type=tuple[str, bytes, str, int | None])
        if len(pose) != 128:
            raise ValueError(f"expected the pose of an anchor in 128 bytes, got {len(pose)}")
        anchor = cls(name, np.frombuffer(pose, np.float64).reshape(4, 4), text, entity)
        if digest is not None:
            anchor.__dict__["digest"] = digest  # where cached_property looks first
        return anchor
