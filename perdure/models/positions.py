"""Where latents stand in time while attention runs: never farther than the model has seen in training.

Nothing of this is stored. What a latent is called (its number, counted from the world's first) may grow for
ever; where it stands is worked out anew for each chunk, so no session is too long.

Shapes: M remembered latents, T latents to come.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def reframed(memories: int, coming: int) -> tuple[range, range]:
    """M and T times as WorldPlay has them: one after the other, whatever lies between.

    So a memory that is recalled from long ago stands near, and its age is never seen.
    """
    return range(memories), range(memories, memories + coming)


def windowed(numbers: Sequence[int], first: int, coming: int, sink: int, cap: int) -> tuple[F32, F32]:
    """(M,) and (T,) times as Incantation has them: the first `sink` latents of the world stand where they stood;
    of the coming ones, the first of which is number `first`, the last stands at `cap` at most; what came
    before them, of these `numbers`, stands as far back from them as it is old.
    """
    moved = shift(numbers, first, coming, sink, cap)
    times = [n if n < sink else n - moved for n in numbers]
    return np.array(times, np.float32), np.arange(first - moved, first - moved + coming, dtype=np.float32)


def shift(numbers: Sequence[int], first: int, coming: int, sink: int, cap: int) -> int:
    """How far `windowed` moves what is not of the sink."""
    moved = max(0, first + coming - 1 - cap)
    near = [n - moved for n in numbers if n >= sink]
    if near and min(near) < sink:
        raise ValueError(
            f"expected a cap of at least {cap + int(sink - min(near))}, so that a window of {len(near)} and {coming} "
            f"to come stand after a sink of {sink}, got {cap}"
        )
    return moved
