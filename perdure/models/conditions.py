"""What a transformer may be given besides latents, time and text, as tensors.

Shapes: B batch, T latents, N tokens of a latent, M remembered latents, L layers that look back, H heads,
D head size, h w latent size, A features of an action, F of an environment, V R channels, I entities.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perdure.models.words import Words


class Cameras(NamedTuple):
    """Cameras of latents, lengths scaled, in any one frame, and a stream's past in the same: that of the coming camera
    keeps numbers small; a `Roll` needs one that stays, such as the world's.
    """

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
    setting: Tensor | None = None  # (B, F) features of hour, weather, season and style; as words, to what is drawn
    hearing: Tensor | None = None  # (T,) bool: who is told these two; None: all, or those with the role of a target

    def each(self, change: Callable[[Tensor, int], Tensor]) -> "Given":
        """With what differs between latents changed: `change(tensor, the axis of its latents)`."""

        def changed(tensor: Tensor | None, axis: int) -> Tensor | None:
            return None if tensor is None else change(tensor, axis)

        keys = self.keys
        if keys is not None and keys.ndim == 2 + keys.is_floating_point():  # else those of the whole clip
            keys = change(keys, 1)
        cameras = self.cameras and Cameras(*(change(x, 1) for x in self.cameras))
        rays, view, hearing = changed(self.rays, 2), changed(self.view, 2), changed(self.hearing, 0)
        return self._replace(keys=keys, cameras=cameras, rays=rays, view=view, hearing=hearing)

    def cut(self, first: int, last: int) -> "Given":
        """What is given for the latents from `first` to before `last`."""
        return self.each(lambda x, axis: x.narrow(axis, first, last - first))

    def led_by(self, count: int) -> "Given":
        """With nothing, as zeros, for so many latents before these."""

        def led(x: Tensor, axis: int) -> Tensor:
            return torch.cat([x.new_zeros(*x.shape[:axis], count, *x.shape[axis + 1 :]), x], axis)

        return self.each(led) if count else self


class Past(NamedTuple):
    """Remembered latents, as keys and values that know neither their age nor who looks."""

    keys: Tensor  # (B, L, M, N, H, D)
    values: Tensor  # (B, L, M, N, H, D)
    times: Tensor  # (B or 1, M) where each stands in time, on the scale of the coming latents' times
    present: Tensor | None = None  # (B or 1, M) bool; None: all of them
    from_clip: Tensor | None = None  # (B, M, 4, 4) clip space of each memory to the frame of the given cameras


def fitting(name: str, tensor: Tensor | None, *axes: int | tuple[int, ...] | None) -> None:
    """Raise `ValueError` unless a tensor that is given has these axes, each of one length, one of several, or any."""
    if tensor is None:
        return
    several = [axis if isinstance(axis, tuple) else (axis,) for axis in axes]
    if tensor.ndim == len(axes) and all(None in it or size in it for it, size in zip(several, tensor.shape)):
        return
    said = ", ".join("any" if None in it else " or ".join(map(str, dict.fromkeys(it))) for it in several)
    raise ValueError(f"expected {name} of shape ({said}), got {tuple(tensor.shape)}")


def readable(tensor: Tensor) -> bool:
    """Whether its numbers can be looked at: not where that would wait for a GPU, nor while a graph is traced."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" and not traced
