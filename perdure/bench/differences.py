"""How far what was made is off what is true: figures, by what was looked at."""

from collections.abc import Iterator

from torch import Tensor

Figures = Iterator[tuple[str, float]]  # what was looked at, and how far it is off


def error(made: Tensor, true: Tensor) -> float:
    if made.shape != true.shape:
        raise ValueError(f"expected shape {tuple(true.shape)}, got {tuple(made.shape)}")
    return float((made - true).abs().max() / true.abs().max())


def differing(made: Tensor, true: Tensor) -> float:
    """How many numbers are not the very same."""
    if made.shape != true.shape or made.dtype != true.dtype:
        raise ValueError(f"expected {true.dtype} {tuple(true.shape)}, got {made.dtype} {tuple(made.shape)}")
    return float((made != true).sum())
