"""From noise to a latent in a few steps: the only sampler there is, for serving and training.

Flow matching: x(sigma) = (1 - sigma) * latent + sigma * noise, velocity = noise - latent. The
arithmetic is the same on numpy arrays and torch tensors.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

X = TypeVar("X")  # a numpy array or a torch tensor


def shifted(sigma: float, shift: float) -> float:
    """Spend more of the steps at high noise, as larger images want."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal noise that depends on `seed` alone: a counter, not a stream."""
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, dtype=np.float32)


def sample(velocity: Callable[[X, float], X], start: X, sigmas: Sequence[float]) -> X:
    """Euler steps from `start` (pure noise) through `sigmas` to zero; `velocity(x, sigma)` is the model."""
    if not sigmas or sigmas[0] != 1 or any(a <= b for a, b in itertools.pairwise(sigmas)):
        raise ValueError(f"expected noise levels that fall from 1, got {tuple(sigmas)}")
    x = start
    for here, there in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        x = x - (here - there) * velocity(x, here)  # type: ignore[operator]
    return x
