"""Quality, held to scikit-image and to what must be true of any measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from perdure.evaluation.quality import IDENTICAL, Score, compare

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def clip(seed: int, frames: int = 2, height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """Smooth pictures with an edge: noise alone would have no structure to lose."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = random.uniform(0.05, 0.5, (frames, 3, 2))
    out = 128 + 80 * np.sin(waves[..., 0, None, None] * x + waves[..., 1, None, None] * y)
    out[..., width // 2 :] += random.uniform(-40, 40)
    return np.moveaxis(out, 1, -1).clip(0, 255).astype(np.uint8)


def spoilt(frames: NDArray[np.uint8], amount: float, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, amount, frames.shape)
    return (frames + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("amount", [1, 8, 40])
def test_psnr_and_ssim_are_those_of_skimage(amount: int) -> None:
    true = clip(amount)
    made = spoilt(true, amount)
    score = Score.of(compare(made, true))
    assert score.psnr == pytest.approx(peak_signal_noise_ratio(true, made, data_range=255), abs=1e-4)
    grey = [(a.astype(np.float32) @ LUMA, b.astype(np.float32) @ LUMA) for a, b in zip(made, true, strict=True)]
    expected = np.mean([structural_similarity(a, b, data_range=255) for a, b in grey])
    assert score.ssim == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 2**31), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_parts_add_up_to_the_whole(seed: int, share: float) -> None:
    true = clip(seed)
    comparison = compare(spoilt(true, 9, seed), true)
    mask = np.random.default_rng(seed).random(true.shape[:3]) < share
    parts, whole = Score.of(comparison, mask) + Score.of(comparison, ~mask), Score.of(comparison)
    assert parts.pixels == whole.pixels
    assert parts.psnr == pytest.approx(whole.psnr, abs=1e-5)
    assert parts.ssim == pytest.approx(whole.ssim, abs=1e-5)
    assert parts.sharpness == pytest.approx(whole.sharpness, rel=1e-5)


def test_a_mask_sees_only_its_pixels() -> None:
    true = clip(3)
    made = true.copy()
    made[:, :, 20:] = 0
    left = np.zeros(true.shape[:3], bool)
    left[:, :, :16] = True  # a window's reach away from what differs
    score = Score.of(compare(made, true), left)
    assert score.psnr == IDENTICAL
    assert score.ssim == pytest.approx(1)
    assert score.sharpness == pytest.approx(1)
    rest = Score.of(compare(made, true), ~left).psnr
    assert rest is not None
    assert rest < 15


def test_blur_lowers_sharpness_and_noise_raises_it() -> None:
    true = spoilt(clip(5), 15, seed=1)  # a fine texture, for blur to take away
    blurred = np.mean([np.roll(true, by, axis=2) for by in range(-2, 3)], axis=0).astype(np.uint8)
    soft = Score.of(compare(blurred, true)).sharpness
    loud = Score.of(compare(spoilt(true, 20, seed=2), true)).sharpness
    assert soft is not None
    assert loud is not None
    assert soft < 0.9 < 1.1 < loud


def test_nothing_to_compare_is_no_figure() -> None:
    true = clip(0)
    score = Score.of(compare(true, true), np.zeros(true.shape[:3], bool))
    assert (score.psnr, score.ssim, score.sharpness) == (None, None, None)


def test_what_does_not_fit_is_refused() -> None:
    true = clip(0)
    with pytest.raises(ValueError, match="of one shape"):
        compare(true[:1], true)
    with pytest.raises(ValueError, match="uint8"):
        compare(true.astype(np.float32), true)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a mask"):
        Score.of(compare(true, true), np.ones((1, 2, 3), bool))
