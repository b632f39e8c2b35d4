"""What a transformer may be given besides latents, time and text, as tensors.

Shapes: B batch, T latents, N tokens of a latent, M remembered latents, L layers that look back, H heads,
D head size, h w latent size, A features of an action, V R channels, I entities.
"""

from typing import NamedTuple

from torch import Tensor

from perdure.models.words import Words


class Cameras(NamedTuple):
    """Cameras of latents, lengths scaled, in any one frame: when streaming, that of the coming camera."""

    to_clip: Tensor  # (B, T, 4, 4) that frame to each latent's clip space: intrinsics and world-to-camera
    from_clip: Tensor  # (B, T, 4, 4) its inverse


class Given(NamedTuple):
    """One field for each adapter; what is None is not given."""

    keys: Tensor | None = None  # (B, A) or (B, T, A) features, or whole numbers (B,) or (B, T)
    cameras: Cameras | None = None
    rays: Tensor | None = None  # (B, R, T, h, w)
    view: Tensor | None = None  # (B, V, T, h, w)
    identity: Tensor | None = None  # (B, I, ...) features of each entity
    identity_present: Tensor | None = None  # (B, I) bool
    words: Words | None = None  # heard by what is drawn, and by nothing that is remembered
    hearing: Tensor | None = None  # (T,) bool: who hears them; None: all, or those with the role of a target


class Past(NamedTuple):
    """Remembered latents, as keys and values that know neither their age nor who looks."""

    keys: Tensor  # (B, L, M, N, H, D)
    values: Tensor  # (B, L, M, N, H, D)
    times: Tensor  # (B or 1, M) where each stands in time, on the scale of the coming latents' times
    present: Tensor | None = None  # (B or 1, M) bool; None: all of them
    from_clip: Tensor | None = None  # (B, M, 4, 4) clip space of each memory to the frame of the given cameras
