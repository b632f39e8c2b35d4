"""From noise to a latent in a few steps: the only sampler there is, for serving and training.

Flow matching: x(sigma) = (1 - sigma) * latent + sigma * noise, velocity = noise - latent. The
arithmetic is the same on numpy arrays and torch tensors.

A noise level is a number, or an array that spreads over x: (T, 1, 1) gives each latent of (B, C, T, h, w)
a level of its own, (T, h, w) each token. Levels are float32 whatever x is: in bf16 0.8889 would be 0.8906.
So does the scale of guidance spread.

`sample` takes Euler's steps or, given fresh noise, those of a distilled model: to leave after k of them
is to sample with `sigmas[:k]`. `solve` is UniPC, for models that were not distilled.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

X = TypeVar("X", bound=Any)  # a numpy array or a torch tensor
TIMESTEPS = 1000
"""What a level is multiplied by for Wan's time embedding."""


def shifted(sigma: float, shift: float) -> float:
    """Spend more of the steps at high noise, as larger images want."""
    return shift * sigma / (1 + (shift - 1) * sigma)


# Levels at which distilled models were taught to be asked.
FOURTHS = (1.0, 0.75, 0.5, 0.25)
SELF_FORCING = tuple(shifted(sigma, 5) for sigma in FOURTHS)
WORLDPLAY = tuple(shifted(sigma, 8) for sigma in FOURTHS)
LINGBOT = (1.0, 0.979, 0.947, 0.826)  # shift 10
MATRIX_GAME = (1.0, 0.667, 0.333)


class Levels(NamedTuple):
    """Where an undistilled model is asked: falling noise levels, and what its time embedding is told of each."""

    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]


def euler_levels(steps: int, shift: float) -> Levels:
    """What diffusers' FlowMatchEulerDiscreteScheduler settles on; its lowest level is shifted twice."""
    lowest = shifted(1 / TIMESTEPS, shift)
    sigmas = [np.float32(shifted(sigma, shift)) for sigma in np.linspace(1, lowest, steps)]
    return Levels(tuple(map(float, sigmas)), tuple(float(sigma * np.float32(TIMESTEPS)) for sigma in sigmas))


def unipc_levels(steps: int, shift: float) -> Levels:
    """What diffusers' UniPCMultistepScheduler settles on for flows: just below 1 at first, and whole timesteps."""
    sigmas = [shifted(sigma, shift) for sigma in np.linspace(1, 1 / TIMESTEPS, steps + 1)[:-1]]
    sigmas[0] = min(sigmas[0], 1 - 1e-6)  # UniPC takes the logarithm of what is not noise
    return Levels(tuple(float(np.float32(sigma)) for sigma in sigmas), tuple(float(int(1000 * s)) for s in sigmas))


def noise(seed: int, shape: tuple[int, ...], draw: int = 0) -> NDArray[np.float32]:
    """Standard normal noise that depends on `seed` and `draw` alone: a counter, not a stream."""
    key = seed + (draw << 64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)


def keyed(seed: int) -> Callable[[int, X], X]:
    """New noise for each step after the first, of the kind of x, keyed by `seed` and the step's number."""
    return lambda step, x: alike(noise(seed, tuple(x.shape), draw=step), x)


def alike(array: NDArray[np.floating[Any]], x: Any) -> Any:
    """The array as what x is: of its type, on its device."""
    return array.astype(x.dtype) if isinstance(x, np.ndarray) else x.new_tensor(array)


def _levels(array: NDArray[np.floating[Any]], x: Any) -> Any:
    """The array as noise levels for x: where x is, in float32."""
    array = array.astype(np.float32)
    return array if isinstance(x, np.ndarray) else x.new_empty(0).float().new_tensor(array)


def noised(latent: X, noise: X, sigma: Any) -> X:
    return (1 - sigma) * latent + sigma * noise


def cleaned(x: X, velocity: X, sigma: Any) -> X:
    """The latent that a velocity points at, worked out in float64: near 0 and 1 little is left of float32."""
    return _back(_double(x) - sigma * _double(velocity), x)


def velocity_to(x: X, latent: X, sigma: Any) -> X:
    """The velocity at x that points at `latent`: `cleaned`, the other way."""
    return _back((_double(x) - _double(latent)) / sigma, x)


def guided(asked: X, unasked: X, scale: Any) -> X:
    """Away from what the model would do unasked, by `scale`: a number, or one for each latent."""
    return unasked + scale * (asked - unasked)


def holding(velocity: Callable[[X, Any], X], known: X, free: X) -> Callable[[X, Any], X]:
    """Where `free` is 0 the model is shown `known`, at noise level 0, whatever x is there; where it is 1, x.

    So is an image given to TI2V-5B, as the first latent. What comes of sampling goes through `held` once more.
    """
    return lambda x, sigma: velocity(held(x, known, free), free * sigma)


def held(x: X, known: X, free: X) -> X:
    return _back((1 - free) * known + free * x, x)


def staggered(sigmas: Sequence[float], chunks: int, lag: int, x: X) -> list[X]:
    """Levels for diffusion forcing: each of several chunks begins to fall `lag` steps after the one before.

    One array for each step, where x is and of shape (chunks, 1, 1). A chunk waits at its first level, and is
    done at 0.
    """
    _check(sigmas)
    falling = np.array([*sigmas, 0.0])
    steps = len(sigmas) + lag * (chunks - 1)
    at = np.clip(np.arange(steps)[:, None] - lag * np.arange(chunks), 0, len(sigmas))
    return [_levels(falling[row].reshape(-1, 1, 1), x) for row in at]


def sample(
    velocity: Callable[[X, Any], X],
    start: X,
    sigmas: Sequence[Any],
    fresh: Callable[[int, X], X] | None = None,
) -> X:
    """From `start` (pure noise) through `sigmas` to zero; `velocity(x, sigma)` is the model.

    Euler steps; or, with `fresh(step, x)` for new noise, each step goes to the clean latent and is noised anew.
    """
    _check(sigmas)
    x = start
    for step, (here, there) in enumerate(zip(sigmas, [*sigmas[1:], 0.0], strict=True), 1):
        if fresh is None:
            x = _back(x - (here - there) * velocity(x, here), x)
            continue
        clean = cleaned(x, velocity(x, here), here)
        if step == len(sigmas):
            return clean
        stays = here == there  # as a chunk's level does that waits
        x = _back(stays * x + (here > there) * noised(clean, fresh(step, x), there), x)
    return x


def solve(velocity: Callable[[X, float], X], start: X, sigmas: Sequence[float], order: int = 2) -> X:
    """The same by UniPC: what earlier steps said of the clean latent is carried on as a polynomial.

    Zhao et al. 2023, predicting data, with B(h) = exp(-h) - 1; `sigmas` fall from just below 1, as `unipc_levels` do.
    At each level the model is asked at the point that was predicted; its answer then corrects that point.
    """
    if not sigmas or sigmas[0] >= 1 or not all(a > b for a, b in itertools.pairwise([*sigmas, 0.0])):
        raise ValueError(f"expected noise levels between 1 and 0 that fall, got {tuple(sigmas)}")
    x, before, known = start, start, []  # known: (level, clean latent), the latest first
    reached = 0  # order of the step that led here
    for step, (here, there) in enumerate(zip(sigmas, [*sigmas[1:], 0.0], strict=True)):
        clean = cleaned(x, velocity(x, here), here)
        if known:
            x = _carried(before, known[:reached], here, clean)
        known = [(here, clean), *known][:order]
        reached = min(order, len(sigmas) - step, step + 1)
        before = x
        x = _carried(x, known[:reached], there) if there else clean
    return x


def _carried(x: Any, known: Sequence[tuple[float, Any]], there: float, found: Any = None) -> Any:
    """x from the first of the `known` levels to the level `there`, at which `found` may be known as well."""
    (here, clean), *earlier = known
    span = _log_ratio(there) - _log_ratio(here)
    places = [(_log_ratio(level) - _log_ratio(here)) / span for level, _ in earlier]
    slopes = [(other - clean) / place for place, (_, other) in zip(places, earlier)]
    if found is not None:
        places, slopes = [*places, 1.0], [*slopes, found - clean]
    for weight, slope in zip(_weights(places, span), slopes):
        clean = clean + weight * slope
    return there / here * x - (1 - there) * float(np.expm1(-span)) * clean


def _weights(places: Sequence[float], span: float) -> list[float]:
    """How slopes towards several places along a step add up over it, so that polynomials are followed exactly."""
    if len(places) <= 1:
        return [0.5] * len(places)  # as the paper has it: exact in the limit of small steps
    powers, wanted, term, factorial = [], [], -np.expm1(-span) / span - 1, 1.0
    for i in range(len(places)):
        powers.append([place**i for place in places])
        wanted.append(term * factorial / np.expm1(-span))
        factorial *= i + 2
        term = -term / span - 1 / factorial
    return np.linalg.solve(np.array(powers), np.array(wanted)).tolist()


def _log_ratio(sigma: float) -> float:
    return float(np.log1p(-sigma) - np.log(sigma))


def _check(sigmas: Sequence[Any]) -> None:
    """Numbers fall from 1; arrays never rise, and lie between 1 and 0. Those on a device are not looked at, so that
    nobody has to wait for it: `staggered` has looked at what it made them of.
    """
    numbers = [sigma for sigma in sigmas if isinstance(sigma, int | float)]
    falls = all(a > b for a, b in itertools.pairwise(numbers)) and numbers[:1] in ([], [1])
    seen = [np.float64(1), *(level for sigma in sigmas if (level := _host(sigma)) is not None), np.float64(0)]
    if not sigmas or not falls or not all(np.all(a >= b) for a, b in itertools.pairwise(seen)):
        raise ValueError(f"expected noise levels that fall from 1, got {tuple(sigmas)}")


def _host(sigma: Any) -> Any:
    """A level as numpy has it, or None if it is on a device."""
    if isinstance(sigma, int | float | np.ndarray | np.number):
        return np.asarray(sigma, np.float64)
    return sigma.detach().double().numpy() if sigma.device.type == "cpu" else None


def _double(x: Any) -> Any:
    return x.astype(np.float64) if isinstance(x, np.ndarray) else x.double()


def _back(x: Any, like: Any) -> Any:
    return x.astype(like.dtype, copy=False) if isinstance(x, np.ndarray) else x.to(like.dtype)
