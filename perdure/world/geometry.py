"""G, the geometry: posed RGB-D keyframes, splats and anchors. A keyframe never changes once it is written.

Shapes: H height, W width. RGB is uint8; depth is uint16 millimetres along the camera's z
(so the bytes that are stored are the bytes that are used); `mask` is True where the keyframe
has something to say, and only what is said there is kept: elsewhere colour and depth are zero. All arrays
of a keyframe are read-only, whether just made or read from the disk.
"""

import hashlib
import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, rays
from perdure.world.anchor import Anchor
from perdure.world.seen import Seen
from perdure.world.splats import Splats

MILLIMETRES = 1000.0
SAMPLES = 160  # points that stand for what a keyframe shows
_HEADER = struct.Struct("<q2q4d")  # step, width, height, fx, fy, cx, cy


@dataclass(frozen=True, eq=False)
class Keyframe:
    step: int  # the chunk it was seen in; -1 for a seed
    pose: NDArray[np.float64]  # (4, 4) camera to world
    intrinsics: Intrinsics
    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: NDArray[np.uint16]  # (H, W) millimetres
    mask: NDArray[np.bool_]  # (H, W)

    def __post_init__(self) -> None:
        size = self.intrinsics.height, self.intrinsics.width
        expected = {"pose": ((4, 4), "float64"), "rgb": ((*size, 3), "uint8")}
        expected |= {"depth": (size, "uint16"), "mask": (size, "bool")}
        for name, (shape, kind) in expected.items():
            array: NDArray[np.generic] = getattr(self, name)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"expected {name} {shape} {kind} in a keyframe, got {array.shape} {array.dtype}")
            if array.flags.writeable:  # its owner may write to it again: keep our own
                array = np.array(array, order="C")
                array.setflags(write=False)
            object.__setattr__(self, name, np.ascontiguousarray(array))
        if not self.mask.all():
            for name, kept in (("rgb", self.mask[..., None]), ("depth", self.mask)):
                object.__setattr__(self, name, np.where(kept, getattr(self, name), getattr(self, name).dtype.type(0)))
                getattr(self, name).setflags(write=False)

    def __getattr__(self, name: str) -> Any:
        """Its arrays, read when one of them is first asked for."""
        payload = self.__dict__.get("_payload")
        if payload is None or name not in ("rgb", "depth", "mask"):
            raise AttributeError(name)
        self.__dict__.update(_arrays(payload, self.intrinsics.height, self.intrinsics.width))
        return self.__dict__[name]

    @cached_property
    def metres(self) -> NDArray[np.float32]:
        return self.depth.astype(np.float32) / np.float32(MILLIMETRES)

    @cached_property
    def surface(self) -> tuple[NDArray[np.float32], float]:
        """(N, 3) up to `SAMPLES` points spread over what it shows, and how many pixels each stands for.

        A fixed stride over the valid pixels, so that the choice never depends on chance.
        """
        flat = np.flatnonzero(self.mask)
        if not len(flat):
            return np.empty((0, 3), np.float32), 0.0
        picked = flat[np.linspace(0, len(flat) - 1, min(SAMPLES, len(flat))).astype(int)]
        return self._points(picked).astype(np.float32), len(flat) / len(picked)

    def _points(self, flat: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, 3) what some pixels show, in the world; of them only, so that little is read from the disk."""
        metres = (self.depth.reshape(-1)[flat].astype(np.float32) / np.float32(MILLIMETRES)).astype(np.float64)
        return (rays(self.intrinsics).reshape(-1, 3)[flat] * metres[:, None]) @ self.pose[:3, :3].T + self.pose[:3, 3]

    def without_full(self, seen: Seen) -> "Keyframe":
        """What of it is news: without the pixels that show what is covered well from there already."""
        flat = np.flatnonzero(self.mask)
        full = seen.full(self._points(flat), self.pose[:3, 3])
        if not full.any():
            return self
        mask = self.mask.copy()
        mask.reshape(-1)[flat[full]] = False
        return replace(self, mask=mask)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the bytes as stored; computed once, or known from the store."""
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
        return digest.digest()

    def to_bytes(self) -> bytes:
        return b"".join(self._parts())

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes) -> "Keyframe":
        """A keyframe that looks into `payload` when it is looked at, so opening a world reads no picture."""
        step, width, height, *focal = _HEADER.unpack_from(payload)
        keyframe = cls.__new__(cls)
        # Where fields are, and where cached_property looks first.
        keyframe.__dict__.update(
            step=step,
            pose=np.frombuffer(payload, np.float64, 16, _HEADER.size).reshape(4, 4),
            intrinsics=Intrinsics(width, height, *focal),
            digest=digest,
            _payload=payload,
        )
        return keyframe

    def _parts(self) -> tuple[bytes | memoryview, ...]:
        """As it was read; or header, pose, a bit for each pixel, then depth and colour of those that say something."""
        payload = self.__dict__.get("_payload")
        if payload is not None:
            return (payload,)
        i = self.intrinsics
        header = _HEADER.pack(self.step, i.width, i.height, i.fx, i.fy, i.cx, i.cy)
        bits = np.packbits(self.mask, axis=None).tobytes()
        return header, self.pose.tobytes(), bits, self.depth[self.mask].tobytes(), self.rgb[self.mask].tobytes()


def _arrays(payload: bytes | memoryview, height: int, width: int) -> dict[str, NDArray[np.generic]]:
    """What a keyframe's bytes hold, as the first format wrote them, all of it, or as they are written now."""
    size, start = height * width, _HEADER.size + 128
    if len(payload) == start + 6 * size:
        depth, rgb, mask = (
            np.frombuffer(payload, kind, size * depth, start + at * size).reshape(height, width, *shape)
            for kind, depth, at, shape in ((np.uint16, 1, 0, ()), (np.uint8, 3, 2, (3,)), (np.bool_, 1, 5, ()))
        )
        return {"rgb": rgb, "depth": depth, "mask": mask}
    bits = -(-size // 8)
    packed = np.frombuffer(payload, np.uint8, bits, start)
    mask = np.unpackbits(packed, count=size).view(np.bool_).reshape(height, width)
    said = int(mask.sum())
    if len(payload) != start + bits + 5 * said:
        raise ValueError(f"expected a keyframe of {start + bits + 5 * said} bytes, got {len(payload)}")
    depth, rgb = np.zeros((height, width), np.uint16), np.zeros((height, width, 3), np.uint8)
    depth[mask] = np.frombuffer(payload, np.uint16, said, start + bits)
    rgb[mask] = np.frombuffer(payload, np.uint8, 3 * said, start + bits + 2 * said).reshape(-1, 3)
    for array in (mask, depth, rgb):
        array.setflags(write=False)
    return {"rgb": rgb, "depth": depth, "mask": mask}


@dataclass(frozen=True, eq=False)
class Geometry:
    """Keyframes in the order in which they were seen, splats, and anchors by name. Worlds share what they can."""

    keyframes: tuple[Keyframe, ...] = ()
    splats: Splats = Splats()
    anchors: tuple[Anchor, ...] = ()
    _sorted: tuple[tuple[Keyframe, ...], Seen] | None = None  # what `seen` gives, and of which keyframes

    @property
    def seen(self) -> Seen:
        """Which keyframes show what; made when it is first asked for, and then carried on."""
        if self._sorted is None or self._sorted[0] is not self.keyframes:
            seen = Seen()
            for number, keyframe in enumerate(self.keyframes):
                seen = seen.add(number, keyframe.surface[0], keyframe.pose[:3, 3])
            object.__setattr__(self, "_sorted", (self.keyframes, seen))
        assert self._sorted is not None
        return self._sorted[1]

    def append(self, *keyframes: Keyframe) -> "Geometry":
        """With what of these shows a place from where it was not yet seen often enough."""
        grown = self
        for keyframe in keyframes:
            news = keyframe.without_full(grown.seen)
            if news.mask.any():
                seen = grown.seen.add(len(grown.keyframes), news.surface[0], news.pose[:3, 3])
                more = (*grown.keyframes, news)
                grown = replace(grown, keyframes=more, _sorted=(more, seen))
        return grown

    def anchor(self, name: str) -> Anchor | None:
        return next((anchor for anchor in self.anchors if anchor.name == name), None)

    def with_anchor(self, name: str, anchor: Anchor | None) -> "Geometry":
        """With this anchor under its name, or with none."""
        if anchor is not None and anchor.name != name:
            raise ValueError(f"expected an anchor named {name!r}, got one named {anchor.name!r}")
        anchors = {held.name: held for held in self.anchors if held.name != name}
        if anchor is not None:
            anchors[name] = anchor
        return replace(self, anchors=tuple(anchors[name] for name in sorted(anchors)))

    @property
    def pages(self) -> tuple[bytes, ...]:
        """Digests of the keyframes."""
        return tuple(keyframe.digest for keyframe in self.keyframes)
