"""TAEHV: a tiny autoencoder of video, here for Wan's latents, fast enough to decode as they come.

Everything but the memory is a picture at a time. A memory block sees the frame before, at its own rate, so each
carries one frame of features from call to call, and frames depend on eight latents before theirs (`lookback`). Latents
are taken as the transformer makes them: no mean, no deviation. A latent becomes four frames; of a stream's first one
the last alone is shown, as in Wan's own autoencoder.

Latents go through one at a time, however many come at once: then a frame's bytes do not depend on how a stream was
cut. Tensors are named as in the files `taew2_1` and `taew2_2` that its author publishes.

Shapes: B batch, T latents, F frames, N frames in time order of one picture batch (B * frames), C channels, H W size.
"""

from collections.abc import Sequence
from math import isqrt, prod
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import TaehvConfig
from perdure.models.decoding import check_frames, check_latents
from perdure.models.tensors import Tensors, open_tensors


def conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)


class SoftClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


class Memory(nn.Module):
    """A residual over a frame and the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv(2 * width, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, x_NCHW: Tensor, before_NCHW: Tensor) -> Tensor:
        return F.relu(self.conv(torch.cat([x_NCHW, before_NCHW], 1)) + x_NCHW)


class Pool(nn.Module):
    """So many frames into one."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width * frames, width, 1, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.conv(x_NCHW.reshape(-1, self.conv.in_channels, *x_NCHW.shape[2:]))


class Grow(nn.Module):
    """One frame into so many."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * frames, 1, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.conv(x_NCHW).reshape(-1, x_NCHW.shape[1], *x_NCHW.shape[2:])


class Carried(NamedTuple):
    """What goes from call to call: the last frame that each memory block saw, in order; none before the first."""

    last: tuple[Tensor, ...] = ()
    waiting: Tensor | None = None  # (B, F, 3, H, W) frames that are not yet enough for a latent


class Taehv(nn.Module):
    def __init__(self, config: TaehvConfig) -> None:
        super().__init__()
        self.config = config
        colours, narrow = 3 * config.patch**2, config.encoder_width
        encoder: list[nn.Module] = [conv(colours, narrow), nn.ReLU()]
        for frames in config.pool:
            encoder += [Pool(narrow, frames), conv(narrow, narrow, 2, bias=False), *(Memory(narrow) for _ in range(3))]
        self.encoder = nn.Sequential(*encoder, conv(narrow, config.channels))
        widths = config.decoder_widths
        decoder: list[nn.Module] = [SoftClamp(), conv(config.channels, widths[0]), nn.ReLU()]
        for frames, width, narrower in zip(config.grow, widths, widths[1:]):
            decoder += [Memory(width) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2), Grow(width, frames), conv(width, narrower, bias=False)]
        self.decoder = nn.Sequential(*decoder, nn.ReLU(), conv(widths[-1], colours))

    @property
    def channels(self) -> int:
        return self.config.channels

    @property
    def stride(self) -> tuple[int, int, int]:
        side = self.config.patch * 2 ** len(self.config.grow)
        return prod(self.config.grow), side, side

    @property
    def lookback(self) -> int:
        back = 0  # from the first frame of a latent, at the rate of the stage
        for frames in reversed(self.config.grow):
            back = -(-back // frames) + 3  # three memory blocks before it grows
        return back

    def start(self) -> Carried:
        return Carried()

    def decode(self, latents: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        """Frames (B, F, 3, H, W) in [0, 1] of latents (B, C, T, h, w): four each, and one of a stream's first."""
        check_latents(latents, self.channels, "this TAEHV")
        shown: list[Tensor] = []
        last = state.last
        for t in range(latents.shape[2]):
            first = not last
            made, last = through(self.decoder, latents[:, :, t].to(self.dtype).unsqueeze(1), last)
            made = F.pixel_shuffle(made, self.config.patch).float().clamp(0, 1)
            shown.append(made[:, -1:] if first else made)
        return torch.cat(shown, 1), Carried(last)

    def encode(self, frames: Tensor, state: Carried, end: bool = False) -> tuple[Tensor, Carried]:
        """Latents (B, C, T, h, w) of frames (B, F, 3, H, W): one for each four, counted from a stream's first.

        Frames that are not yet enough for a latent wait in the state; at the `end` the last one stands in for
        those that lack. There may be no latent yet: then T is 0.
        """
        rate, down, across = prod(self.config.pool), *self.stride[1:]
        check_frames(frames, down, across, "this TAEHV")
        if state.waiting is not None:
            frames = torch.cat([state.waiting, frames], 1)
        if end and frames.shape[1] % rate:
            frames = torch.cat([frames, frames[:, -1:].expand(-1, -frames.shape[1] % rate, -1, -1, -1)], 1)
        b, count, _, height, width = frames.shape
        latents, last = [frames.new_zeros(b, 0, self.channels, height // down, width // across)], state.last
        for t in range(0, count - rate + 1, rate):
            folded = F.pixel_unshuffle(frames[:, t : t + rate].to(self.dtype), self.config.patch)
            made, last = through(self.encoder, folded, last)
            latents.append(made.float())
        left = frames[:, count - count % rate :].clone() if count % rate else None
        return torch.cat(latents, 1).transpose(1, 2), Carried(last, left)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


def through(layers: nn.Sequential, x_BFCHW: Tensor, last: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Some frames of a stream through layers, and what the memory blocks are to see next time."""
    b = x_BFCHW.shape[0]
    x, seen = x_BFCHW.flatten(0, 1), []
    for layer in layers:
        if isinstance(layer, Memory):
            now = x.unflatten(0, (b, -1))
            earlier = last[len(seen)] if last else torch.zeros_like(now[:, 0])
            before = torch.cat([earlier.unsqueeze(1), now[:, :-1]], 1)
            seen.append(now[:, -1].clone())  # not a view: the other frames need not be held
            x = layer(x, before.flatten(0, 1))
        else:
            x = layer(x)
    return x.unflatten(0, (b, -1)), tuple(seen)


def load(
    path: Path | str,
    expected: TaehvConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Taehv:
    """A TAEHV from a safetensors file, by its published names; of which latents, the file tells by its shapes.

    With `expected` a file for other latents is refused.
    """
    with open_tensors(path) as held:
        config = described(held)
        if expected is not None and config != expected:
            raise ValueError(
                f"{path}: expected a TAEHV for latents of {expected.channels} channels and patches of "
                f"{expected.patch}, got one for {config.channels} and {config.patch}: "
                "Wan 2.1 needs taew2_1, Wan 2.2's 5B needs taew2_2"
            )
        with torch.device("meta"):
            model = Taehv(config)
        wanted = {name: tuple(it.shape) for name, it in model.state_dict().items()}
        missing = [name for name in wanted if name not in held]
        extra = [name for name in held if name not in wanted]
        odd = [f"{name} {held.shapes[name]} for {it}" for name, it in wanted.items() if held.shapes.get(name, it) != it]
        faults = {"missing": missing, "not known": extra, "of another shape": odd}
        told = [f"{what}: {', '.join(names[:4])}" for what, names in faults.items() if names]
        if told:
            raise ValueError(f"{path} is no whole TAEHV: tensors {'; '.join(told)}")
        model.load_state_dict({name: held.read(name, device, dtype) for name in wanted}, assign=True)
    return model.eval().requires_grad_(False)


def described(held: Tensors) -> TaehvConfig:
    """The sizes of the TAEHV that is in a file."""
    first, narrow, last = (held.shapes.get(f"{name}.weight", ()) for name in ("decoder.1", "encoder.0", "decoder.22"))
    widths = [held.shapes.get(f"decoder.{at}.weight", (0,))[0] for at in (1, 8, 14, 20)]
    if not (len(first) == len(narrow) == len(last) == 4 and all(widths)):
        some = ", ".join(list(held)[:3])
        raise ValueError(
            f"{held.path}: expected TAEHV's tensors by their published names, encoder.0.weight to decoder.22.bias, "
            f"got {len(held)} others: {some}, …"
        )
    return TaehvConfig(
        channels=first[1], patch=isqrt(narrow[1] // 3), encoder_width=narrow[0], decoder_widths=tuple(widths)
    )
