"""Keyframes: what was seen at one moment, posed, in colour and depth. A keyframe never changes once it is written.

It keeps only the pixels that its mask says something of: most bring a strip of news, an eighth of a picture.
Pictures are unpacked when they are asked for, and forgotten again, so neither a long walk nor opening a
world that has thousands of keyframes fills the memory.

Shapes: H height, W width, N pixels of the mask. RGB is uint8; depth is uint16 millimetres along the camera's
z (so the bytes that are stored are the bytes that are used). Both are 0 where the mask is False. All arrays of
a keyframe are read-only.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, rays

MILLIMETRES = 1000.0
SAMPLES = 160  # points that stand for what a keyframe shows
UNPACKED = 48  # keyframes whose pictures are held in memory

_HEADER = struct.Struct("<q2q4d")  # step, width, height, fx, fy, cx, cy
_START = _HEADER.size + 128  # after the pose; then a bit for each pixel, and depth and colour of those that count

Rgb, Depth, Mask = NDArray[np.uint8], NDArray[np.uint16], NDArray[np.bool_]


@dataclass(frozen=True, eq=False, init=False)
class Keyframe:
    step: int  # the chunk it was seen in; -1 for a seed
    pose: Array  # (4, 4) camera to world
    intrinsics: Intrinsics
    payload: bytes | memoryview = field(repr=False)  # as stored, and all that is held

    def __init__(self, step: int, pose: Array, intrinsics: Intrinsics, rgb: Rgb, depth: Depth, mask: Mask) -> None:
        size = intrinsics.height, intrinsics.width
        expected = {"pose": (pose, (4, 4), "float64"), "rgb": (rgb, (*size, 3), "uint8")}
        expected |= {"depth": (depth, size, "uint16"), "mask": (mask, size, "bool")}
        for name, (array, shape, kind) in expected.items():
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"expected {name} {shape} {kind} in a keyframe, got {array.shape} {array.dtype}")
        i = intrinsics
        header = _HEADER.pack(step, i.width, i.height, i.fx, i.fy, i.cx, i.cy)
        pixels = np.packbits(mask).tobytes(), depth[mask].tobytes(), rgb[mask].tobytes()
        self._hold(b"".join((header, pose.tobytes(), *pixels)))

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, digest: bytes) -> "Keyframe":
        """A keyframe that looks into `payload` without copying it, so opening a world reads no picture."""
        keyframe = cls.__new__(cls)
        keyframe._hold(payload)
        keyframe.__dict__["digest"] = digest  # where cached_property looks first
        return keyframe

    def rest_on(self, stored: bytes | memoryview) -> None:
        """Look into the same bytes where they are stored from now on, so that a long walk does not fill the memory."""
        if len(stored) != len(self.payload):
            raise ValueError(f"expected the {len(self.payload)} bytes of this keyframe, got {len(stored)}")
        self._hold(stored)

    def _hold(self, payload: bytes | memoryview) -> None:
        step, *lens = _HEADER.unpack_from(payload)
        pose = np.frombuffer(payload, np.float64, 16, _HEADER.size).reshape(4, 4)
        pose.setflags(write=False)
        fields = {"step": step, "pose": pose, "intrinsics": Intrinsics(*lens), "payload": payload}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def rgb(self) -> Rgb:
        """(H, W, 3)"""
        return _unpacked(self)[0]

    @property
    def depth(self) -> Depth:
        """(H, W) millimetres"""
        return _unpacked(self)[1]

    @property
    def mask(self) -> Mask:
        """(H, W) True where it has something to say"""
        return _unpacked(self)[2]

    @property
    def metres(self) -> NDArray[np.float32]:
        """(H, W)"""
        return self.depth.astype(np.float32) / np.float32(MILLIMETRES)

    @cached_property
    def surface(self) -> tuple[NDArray[np.float32], float]:
        """(N, 3) up to `SAMPLES` points spread over what it shows, and how many pixels each stands for.

        A fixed stride over the valid pixels, so that the choice never depends on chance.
        """
        flat, depth = _valid(self)
        if not len(flat):
            return np.empty((0, 3), np.float32), 0.0
        picked = np.linspace(0, len(flat) - 1, min(SAMPLES, len(flat))).astype(int)
        return self._points(flat[picked], depth[picked]).astype(np.float32), len(flat) / len(picked)

    def points(self) -> tuple[NDArray[np.int64], Array]:
        """Which pixels it shows something in, counted along the rows, and (N, 3) where that is in the world."""
        flat, depth = _valid(self)
        return flat, self._points(flat, depth)

    def masked(self, mask: Mask) -> "Keyframe":
        """The same look, of which only these pixels count."""
        return Keyframe(self.step, self.pose, self.intrinsics, self.rgb, self.depth, mask)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the bytes as stored; computed once, or known from the store."""
        return hashlib.sha256(self.payload).digest()

    def to_bytes(self) -> bytes:
        return bytes(self.payload)

    def _points(self, flat: NDArray[np.int64], depth: Depth) -> Array:
        metres = (depth.astype(np.float32) / np.float32(MILLIMETRES)).astype(np.float64)
        return (rays(self.intrinsics).reshape(-1, 3)[flat] * metres[:, None]) @ self.pose[:3, :3].T + self.pose[:3, 3]


def _whole(keyframe: Keyframe) -> bool:
    """Whether its bytes are of the first format, which kept depth, colour and a byte of mask for every pixel."""
    return len(keyframe.payload) == _START + 6 * keyframe.intrinsics.width * keyframe.intrinsics.height


def _valid(keyframe: Keyframe) -> tuple[NDArray[np.int64], Depth]:
    """(N,) the pixels of the mask, and their depths; no picture is unpacked for it."""
    size = keyframe.intrinsics.width * keyframe.intrinsics.height
    if _whole(keyframe):
        flat = np.flatnonzero(keyframe.mask)
        return flat, keyframe.depth.reshape(-1)[flat]
    bits = np.frombuffer(keyframe.payload, np.uint8, offset=_START)[: -(-size // 8)]
    flat = np.flatnonzero(np.unpackbits(bits, count=size))
    expected = _START + -(-size // 8) + 5 * len(flat)
    if len(keyframe.payload) != expected:
        raise ValueError(f"expected a keyframe of {expected} bytes, got {len(keyframe.payload)}")
    return flat, np.frombuffer(keyframe.payload, np.uint16, len(flat), _START + len(bits))


@lru_cache(maxsize=UNPACKED)
def _unpacked(keyframe: Keyframe) -> tuple[Rgb, Depth, Mask]:
    payload, shape = keyframe.payload, (keyframe.intrinsics.height, keyframe.intrinsics.width)
    size = shape[0] * shape[1]
    if _whole(keyframe):
        depth = np.frombuffer(payload, np.uint16, size, _START)
        rgb = np.frombuffer(payload, np.uint8, 3 * size, _START + 2 * size).reshape(size, 3)
        mask = np.frombuffer(payload, np.bool_, size, _START + 5 * size)
    else:
        flat, depths = _valid(keyframe)
        rgb, depth, mask = np.zeros((size, 3), np.uint8), np.zeros(size, np.uint16), np.zeros(size, np.bool_)
        depth[flat], mask[flat] = depths, True
        rgb[flat] = np.frombuffer(payload, np.uint8, offset=len(payload) - 3 * len(flat)).reshape(-1, 3)
    arrays = rgb.reshape(*shape, 3), depth.reshape(shape), mask.reshape(shape)
    for array in arrays:
        array.setflags(write=False)
    return arrays
