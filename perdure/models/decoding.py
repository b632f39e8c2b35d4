"""Streaming decoders: latents to frames, as many latents at a time as there are.

A decoder that looks back carries a state from call to call. The state is a value: a call gives a new one
and leaves the old one as it was, so forks may go on from the same one. It is disposable as well: it depends on the
last `lookback` latents and nothing else, so `resumed` makes it anew from what the history keeps, to the same bytes.

The `nano` decoder is none of these: it looks at one latent and at the state's own view of the same chunk.

Shapes: B batch, C latent channels, T latents, F frames, h w latent size, H W frame size. Frames are in [0, 1].
"""

from typing import Protocol, TypeVar

import torch
from torch import Tensor

State = TypeVar("State")


class StreamingDecoder(Protocol[State]):
    @property
    def channels(self) -> int:
        """C"""
        ...

    @property
    def stride(self) -> tuple[int, int, int]:
        """Frames a latent, and pixels a latent cell, down and across. The first latent of a stream is one frame."""
        ...

    @property
    def lookback(self) -> int:
        """How many latents before it the frames of a latent depend on."""
        ...

    def start(self) -> State: ...

    def decode(self, latents: Tensor, state: State) -> tuple[Tensor, State]:
        """Frames (B, F, 3, H, W) of latents (B, C, T, h, w)."""
        ...


def resumed(decoder: StreamingDecoder[State], latents: Tensor) -> State:
    """The state after a stream whose last latents these are (B, C, T, h, w): `lookback` of them, or all there were."""
    state = decoder.start()
    last = latents[:, :, max(0, latents.shape[2] - decoder.lookback) :]
    with torch.no_grad():
        for t in range(last.shape[2]):  # one at a time: what is drawn meanwhile is thrown away
            _, state = decoder.decode(last[:, :, t : t + 1], state)
    return state


def check_latents(latents: Tensor, channels: int, of: str) -> None:
    if latents.ndim != 5 or latents.shape[1] != channels or not latents.shape[2]:
        raise ValueError(
            f"expected latents (B, {channels}, T, h, w) for {of}, got {tuple(latents.shape)}: "
            "Wan 2.1's have 16 channels, as Wan 2.2's 14B, and Wan 2.2's 5B has 48"
        )


def check_frames(frames: Tensor, down: int, across: int, of: str) -> None:
    if frames.ndim != 5 or frames.shape[2] != 3 or frames.shape[3] % down or frames.shape[4] % across:
        raise ValueError(
            f"expected frames (B, F, 3, H, W) for {of}, H a multiple of {down} and W of {across}, "
            f"got {tuple(frames.shape)}"
        )
