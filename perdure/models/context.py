"""All that the model may see when it draws one chunk.

This is the one window between the world and the models: `memory/recall.py` alone fills it, and
training and serving read the same fields. Arrays are numpy; a batch of contexts is the same
fields with a leading axis.

Shapes: M memory slots, T frames a chunk, C latent channels, h w latent size, H W frame size,
A action features, F features of the environment, P proxy channels, S tokens of a slot of words, E channels of a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

PROXY_CHANNELS = 5
"""What physics knows of the coming view: inverse depth, normal (3), whether a mover is there."""


ANCHOR = 5
"""Where in the coming view an entity is: right and down of the middle (the edges at -1 and 1), inverse depth, apparent
size (a share of the picture's height), and whether it is in the view at all; without a body, zeros."""


@dataclass(frozen=True, eq=False)
class Slot:
    """What one entity is told. Nothing in it depends on what others are told."""

    entity: int
    tokens: F32  # (S, E) its words, embedded
    anchor: F32  # (ANCHOR,)
    kind: str = ""  # "knight", and
    deed: str = ""  # "slam": the same for models that hear numbers instead of words


@dataclass(frozen=True, eq=False)
class Remembered:
    """A latent as it was made. Its keys and values depend on these two arrays and nothing else."""

    key: bytes  # digest of the fields below: names the memory in any cache
    latent: NDArray[np.float16]  # (C, h, w)
    action: F32  # (A,)


@dataclass(frozen=True, eq=False)
class Context:
    action: F32  # (A,)
    noise_seed: int  # counter that this chunk's randomness is keyed by
    # Memories, oldest first; slots past len(memories) are empty and masked out.
    memories: Sequence[Remembered]
    memory_cameras: F32  # (M, 4, 4) from each memory's clip space to the coming camera, lengths scaled
    memory_ages: F32  # (M,) in chunks, after reframing: never farther than the slots reach
    to_clip: F32  # (4, 4) from the coming camera to its clip space
    from_clip: F32  # (4, 4) its inverse
    # The state's own view of the coming frames.
    view: NDArray[np.uint8]  # (T, H, W, 3), grey where nothing is known
    confidence: NDArray[np.uint8]  # (T, H, W)
    depth: F32  # (T, H, W) metres, 0 where nothing is known
    view_latent: F32  # (C, h, w) the same view, encoded
    coverage: F32  # (1, h, w) mean confidence in each latent cell, 0..1
    proxy: F32  # (P, h, w)
    setting: F32  # (F,) hour, weather, season and style: zeros at clear noon
    words: Sequence[Slot] = ()  # by entity; none where the model has no ear for them

    def __post_init__(self) -> None:
        for name in (
            "action",
            "memory_cameras",
            "memory_ages",
            "to_clip",
            "from_clip",
            "view_latent",
            "proxy",
            "setting",
        ):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"expected finite numbers as {name} of a context, got NaN or infinity in it")


def lift(normalised: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) camera coordinates to clip space, where the image's edges lie at -1 and 1.

    `normalised` is fx, fy, cx, cy as fractions of the image.
    """
    fx, fy, cx, cy = normalised
    out = np.diag([2 * fx, 2 * fy, 1.0, 1.0])
    out[0, 2], out[1, 2] = 2 * cx - 1, 2 * cy - 1
    return out
