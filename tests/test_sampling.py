"""The sampler: exact where it can be, the same for numpy and torch, and random by counter alone."""

import numpy as np
import pytest
import torch

from perdure.sampling import noise, sample, shifted


def test_a_straight_flow_is_followed_exactly() -> None:
    """If the velocity is noise minus latent everywhere, any number of steps ends at the latent."""
    latent, start = np.full(3, 2.0), np.array([0.5, -1.0, 4.0])
    for sigmas in ((1.0,), (1.0, 0.5), (1.0, 0.9, 0.3, 0.1)):
        np.testing.assert_allclose(sample(lambda x, sigma: start - latent, start, sigmas), latent)


def test_numpy_and_torch_agree() -> None:
    start = noise(7, (2, 3))
    there = sample(lambda x, sigma: x * sigma, start, (1.0, 0.6, 0.2))
    twin = sample(lambda x, sigma: x * sigma, torch.from_numpy(start), (1.0, 0.6, 0.2))
    np.testing.assert_allclose(there, twin.numpy(), rtol=1e-6)


def test_noise_is_a_function_of_its_seed() -> None:
    assert np.array_equal(noise(3, (4, 4)), noise(3, (4, 4)))
    assert not np.array_equal(noise(3, (4, 4)), noise(4, (4, 4)))
    many = noise(5, (100_000,))
    assert abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02


def test_noise_levels_must_fall_from_one() -> None:
    for bad in ((), (0.9, 0.1), (1.0, 0.5, 0.5)):
        with pytest.raises(ValueError, match="fall from 1"):
            sample(lambda x, sigma: x, 0.0, bad)


def test_shift_as_published() -> None:
    """Steps of 1000, 750, 500, 250 at shift 5."""
    assert [round(1000 * shifted(s, 5), 1) for s in (1.0, 0.75, 0.5, 0.25)] == [1000, 937.5, 833.3, 625.0]
