"""Filters: numbers that say what a piece of film is like, and which of them are no good to learn from.

Each number goes into the clip's tags, so that one may filter by it again; `Limits` says what is dropped at once,
and `verdict` why. Motion is measured by phase correlation of blocks: how far each moved between two frames.

Shapes: N frames, H height, W width, B blocks, P pairs of frames, K moments of a film.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.data.video.reading import Frames
from perdure.world.action import FRAMES_PER_SECOND

F32 = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
BLOCK = 32  # pixels either way of what motion is measured in, at `LOOK` pixels across
LOOK = 128
APART = 3  # frames between the two of a pair
PEAK = 0.08  # how clearly a block must be found again
SAMPLES = 24  # frames that stand for all
STILL = 6  # levels by which a pixel that never changes may differ, for the codec's sake
DARK = 20  # a level that a bar does not exceed
EDGE = 12  # levels to a neighbour that make an edge
ALIKE = 6  # bits of 64 by which two hashes of one picture may differ


@dataclass(frozen=True)
class Profile:
    """What a piece of film is like."""

    height: int  # of the source
    kept: float  # share of the source's picture that is left after cropping
    seconds: float
    brightness: float  # mean level, 0..255
    sharpness: float  # variance of the Laplacian, of the median frame
    motion: float  # share of the width that the median block moves in a second
    stillness: float  # share of pixels that never change
    bars: float  # share of the picture that is dark bars along its borders
    overlay: float  # share of the picture that is edges which stay where they are while the rest changes
    hashes: tuple[int, ...] = ()  # of a few frames

    def tags(self) -> dict[str, str]:
        """As a clip carries it."""
        names = ("brightness", "sharpness", "motion", "stillness", "bars", "overlay", "kept")
        words = {name: f"{getattr(self, name):.4g}" for name in names}
        return words | {"source_height": str(self.height), "hashes": " ".join(f"{h:016x}" for h in self.hashes)}


@dataclass(frozen=True)
class Limits:
    """What is taken. Each is named as the number that it holds."""

    height: int = 144
    kept: float = 0.5
    seconds: float = 5.0
    brightness: tuple[float, float] = (18.0, 237.0)
    sharpness: float = 12.0
    motion: tuple[float, float] = (0.004, 3.0)
    stillness: float = 0.97
    bars: float = 0.02
    overlay: float = 0.002


def verdict(it: Profile, limits: Limits = Limits()) -> str | None:
    """Why a piece of film is dropped; None if it is not."""
    if it.height < limits.height:
        return f"resolution: {it.height} rows, below {limits.height}"
    if it.kept < limits.kept:
        return f"resolution: cropping leaves {it.kept:.0%} of the picture, below {limits.kept:.0%}"
    if it.seconds < limits.seconds:
        return f"length: {it.seconds:.1f} s, below {limits.seconds:g} s"
    if not limits.brightness[0] <= it.brightness <= limits.brightness[1]:
        return f"brightness: {it.brightness:.0f} of 255, outside {limits.brightness[0]:g} to {limits.brightness[1]:g}"
    if it.sharpness < limits.sharpness:
        return f"sharpness: {it.sharpness:.1f}, below {limits.sharpness:g}"
    if it.stillness > limits.stillness:
        return f"motion: {it.stillness:.0%} of the picture never changes"
    if not limits.motion[0] <= it.motion <= limits.motion[1]:
        return f"motion: {it.motion:.3f} of the width a second, outside {limits.motion[0]:g} to {limits.motion[1]:g}"
    if it.bars > limits.bars:
        return f"static overlay: bars cover {it.bars:.0%} of the picture"
    if it.overlay > limits.overlay:
        return f"static overlay: edges that never move cover {it.overlay:.1%} of the picture"
    return None


def profile(frames: Frames, height: int, kept: float = 1.0) -> Profile:
    """The numbers of a piece of film whose source had so many rows."""
    some = frames[np.linspace(0, len(frames) - 1, min(SAMPLES, len(frames))).astype(int)]
    gray = luma(some)
    spread = (some.max(0).astype(np.int16) - some.min(0)).max(-1)
    fixed = spread <= STILL
    return Profile(
        height=height,
        kept=kept,
        seconds=len(frames) / FRAMES_PER_SECOND,
        brightness=float(gray.mean()),
        sharpness=float(np.median(laplacian(gray).var((1, 2)))),
        motion=motion(frames),
        stillness=float(fixed.mean()),
        bars=bars(gray),
        overlay=overlay(gray, fixed),
        hashes=tuple(fingerprint(frame) for frame in frames[[len(frames) * k // 6 for k in (1, 3, 5)]]),
    )


def luma(frames: Frames) -> F32:
    """(N, H, W) levels 0..255."""
    return frames.astype(np.float32) @ _LUMA


def laplacian(gray: F32) -> F32:
    middle = gray[:, 1:-1, 1:-1]
    return gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:] - 4 * middle


def motion(frames: Frames) -> float:
    """The share of the width that the median block moves in a second: the median over pairs of frames."""
    first = np.arange(0, max(1, len(frames) - APART), max(APART, len(frames) // 64))
    pairs = np.stack([np.minimum(first, len(frames) - 1), np.minimum(first + APART, len(frames) - 1)], 1)
    moved = [step(small(frames[[i, j]])) for i, j in pairs if j > i]
    return float(np.median(moved)) * FRAMES_PER_SECOND / APART if moved else 0.0


def small(frames: Frames) -> F32:
    """(N, h, 128) levels of frames, shrunk by averages."""
    gray = luma(frames)
    factor = max(1, gray.shape[2] // LOOK)
    h, w = gray.shape[1] // factor * factor, gray.shape[2] // factor * factor
    return gray[:, :h, :w].reshape(len(gray), h // factor, factor, w // factor, factor).mean((2, 4))


def step(pair: F32) -> float:
    """How far the median block moves between two frames (2, h, w), as a share of the width."""
    moved, sure = shifts(pair[0], pair[1])
    lengths = np.hypot(moved[:, 0], moved[:, 1])[sure]
    return float(np.median(lengths)) / pair.shape[2] if len(lengths) else 0.0


def shifts(one: F32, other: F32) -> tuple[F32, NDArray[np.bool_]]:
    """(B, 2) how many pixels right and down each block of one picture is found in the other, and (B,) whether it is."""
    h, w = one.shape
    side = min(BLOCK, h, w)
    tops = np.linspace(0, h - side, max(1, 2 * h // side - 1)).astype(int)
    lefts = np.linspace(0, w - side, max(1, 2 * w // side - 1)).astype(int)
    window = np.hanning(side + 2)[1:-1, None] * np.hanning(side + 2)[1:-1]
    cut = [np.stack([p[y : y + side, x : x + side] for y in tops for x in lefts]) for p in (one, other)]
    parts = [np.fft.rfft2((c - c.mean((1, 2), keepdims=True)) * window) for c in cut]
    cross = parts[1] * parts[0].conj()
    plane = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6), (side, side)).reshape(len(cross), -1)
    best = plane.argmax(1)
    y, x = best // side, best % side
    moved = np.stack([np.where(x > side // 2, x - side, x), np.where(y > side // 2, y - side, y)], 1)
    textured = cut[0].std((1, 2)) > 2.0
    return moved.astype(np.float32), textured & (plane.max(1) > PEAK)


def bars(gray: F32) -> float:
    """The share of the picture that is rows and columns along its borders which are dark in every frame."""
    dark = gray.max(0) <= DARK
    if dark.all():
        return 0.0  # a dark film, not bars
    rows, columns = dark.all(1), dark.all(0)
    ends = [int(np.argmin(line)) for line in (rows, rows[::-1], columns, columns[::-1])]
    h, w = dark.shape
    return 1 - (h - ends[0] - ends[1]) * (w - ends[2] - ends[3]) / (h * w)


def overlay(gray: F32, fixed: NDArray[np.bool_]) -> float:
    """The share of the picture that is edges which never move, where most of the rest does: logos and captions."""
    if fixed.mean() > 0.4:
        return 0.0  # the camera stands: edges stay where they are
    still = gray.mean(0)
    edge = np.zeros_like(fixed)
    edge[:, :-1] |= np.abs(np.diff(still, axis=1)) > EDGE
    edge[:-1] |= np.abs(np.diff(still, axis=0)) > EDGE
    return float((edge & fixed).mean())


def fingerprint(frame: NDArray[np.uint8]) -> int:
    """64 bits that copies of a picture share, whatever their size and codec: where it grows lighter to the right."""
    gray = luma(frame[None])[0]
    rows = np.array_split(np.arange(gray.shape[0]), 8)
    columns = np.array_split(np.arange(gray.shape[1]), 9)
    cells = np.array([[gray[r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean() for c in columns] for r in rows])
    bits = (np.diff(cells, axis=1) > 0).ravel()
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


def copies(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether most moments of one piece of film are moments of another."""
    if not one or not other:
        return False
    near = [min((a ^ b).bit_count() for b in other) <= ALIKE for a in one]
    return sum(near) > len(near) / 2
