"""How alike two pictures are: PSNR, SSIM and sharpness, over any part of the picture.

`compare` gives a value for each pixel, `Score` sums them over the pixels of a mask. Scores add up,
so the same few sums give a frame, a walk, or all walks pooled. No scikit-image: SSIM is its
default (7x7 windows, sample covariance) on luma, and the tests hold it to that.

Shapes: T frames, H height, W width.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Frames = NDArray[np.uint8]  # (T, H, W, 3)
Mask = NDArray[np.bool_]  # (T, H, W)

WINDOW = 7
MARGIN = WINDOW // 2  # pixels at the border that are no window's centre
IDENTICAL = 99.0
"""Decibels given to equal pictures, whose true PSNR has no end: a figure that JSON and a mean can hold."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Comparison:
    error: Values  # (T, H, W) squared difference, mean over the colours, of values in 0..1
    structure: Values  # (T, H-6, W-6) SSIM of the window about each pixel
    edges_made: Values  # (T, H-1, W-1) gradient energy
    edges_true: Values  # (T, H-1, W-1)


def compare(made: Frames, true: Frames) -> Comparison:
    """Pixel by pixel, how `made` differs from `true`."""
    if made.shape != true.shape or made.ndim != 4 or made.shape[-1] != 3:
        raise ValueError(f"expected two clips (T, H, W, 3) of one shape, got {made.shape} and {true.shape}")
    if made.dtype != np.uint8 or true.dtype != np.uint8:
        raise ValueError(f"expected clips in uint8, got {made.dtype} and {true.dtype}")
    x, y = made.astype(np.float32), true.astype(np.float32)
    apart = x - y
    error = np.einsum("thwc,thwc->thw", apart, apart) / np.float32(3 * 255**2)
    x, y = x @ _LUMA, y @ _LUMA
    return Comparison(error, structure(x, y), gradients(x), gradients(y))


def structure(x_THW: Values, y_THW: Values) -> Values:
    """SSIM of the 7x7 window about each pixel that has a whole one; values are in 0..255."""
    x, y = x_THW - 128, y_THW - 128  # about zero, squares keep more of their digits
    mean_x, mean_y = box(x), box(y)
    sample = np.float32(WINDOW**2 / (WINDOW**2 - 1))
    var_x, var_y = sample * (box(x * x) - mean_x**2), sample * (box(y * y) - mean_y**2)
    both = sample * (box(x * y) - mean_x * mean_y)
    mean_x, mean_y = mean_x + 128, mean_y + 128
    c1, c2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)
    alike = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return alike / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))


def box(x_THW: Values) -> Values:
    """Means over all whole 7x7 windows: each axis in four additions, 2, 4 and then 7 at a time."""
    for _ in range(2):
        x_THW = x_THW.swapaxes(-1, -2)
        two = x_THW[..., :-1, :] + x_THW[..., 1:, :]
        four = two[..., :-2, :] + two[..., 2:, :]
        x_THW = four[..., :-3, :] + two[..., 4:-1, :] + x_THW[..., 6:, :]
    return x_THW / np.float32(WINDOW**2)


def gradients(x_THW: Values) -> Values:
    """Squared step to the right plus squared step downward."""
    across, down = np.diff(x_THW, axis=-1)[:, :-1], np.diff(x_THW, axis=-2)[..., :-1]
    return across**2 + down**2


@dataclass(frozen=True)
class Score:
    """Sums over pixels, from which every figure follows."""

    pixels: float = 0.0
    error: float = 0.0
    windows: float = 0.0
    structure: float = 0.0
    edges_made: float = 0.0
    edges_true: float = 0.0

    @classmethod
    def of(cls, comparison: Comparison, mask: Mask | None = None) -> "Score":
        """The sums over the pixels of a mask; over all of them without one."""
        c = comparison
        if mask is None:
            mask = np.ones(c.error.shape, np.bool_)
        if mask.shape != c.error.shape:
            raise ValueError(f"expected a mask of the frames' shape {c.error.shape}, got {mask.shape}")
        weight = mask.astype(np.float32)
        inner, corner = weight[:, MARGIN:-MARGIN, MARGIN:-MARGIN].ravel(), weight[:, :-1, :-1].ravel()
        return cls(
            float(np.count_nonzero(mask)),
            float(weight.ravel() @ c.error.ravel()),
            float(np.count_nonzero(inner)),
            float(inner @ c.structure.ravel()),
            float(corner @ c.edges_made.ravel()),
            float(corner @ c.edges_true.ravel()),
        )

    def __add__(self, other: "Score") -> "Score":
        return Score(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def psnr(self) -> float | None:
        """Decibels; None where there was nothing to compare."""
        if not self.pixels:
            return None
        return min(IDENTICAL, -10 * float(np.log10(max(self.error / self.pixels, 1e-12))))

    @property
    def ssim(self) -> float | None:
        return self.structure / self.windows if self.windows else None

    @property
    def sharpness(self) -> float | None:
        """Gradient energy made, to that of the truth: below 1 is blur, above 1 is noise or false edges."""
        return self.edges_made / self.edges_true if self.edges_true else None
