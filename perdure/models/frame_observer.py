"""An observer for decoders that have no features to share: it looks at the frames themselves.

For TAEHV and Wan's autoencoder, and for films. It sees the last frames of a chunk, as many as it was made for, and
says what `Observer` says, of the last one.

Shapes: B batch, F frames, H W frame size, h w size of physics' map, whatever it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import FrameObserverConfig
from perdure.models.decoder import blocks
from perdure.models.decoding import check_frames
from perdure.models.observer import Asked, Observation, Observer

COARSEST = 16  # pixels a cell, where it has the widest look around


class FrameObserver(nn.Module):
    def __init__(self, config: FrameObserverConfig) -> None:
        super().__init__()
        self.config = config
        half, *coarser = config.widths
        self.stem = nn.Conv2d(4 * 3 * config.frames, half, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(config.widths, coarser))
        self.on_the_way = nn.ModuleList(blocks(width, config.blocks) for width in coarser)
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in zip(config.widths, coarser))
        self.after = nn.ModuleList(blocks(width, config.blocks) for width in config.widths[:-1])
        self.observer = Observer(half, config.heads)

    def forward(
        self, frames_BFCHW: Tensor, inverse_depth_Bhw: Tensor | None = None, asked: Asked | None = None
    ) -> Observation:
        """Frames in [0, 1]. Fewer than it was made for stand as if the first had stood still before."""
        check_frames(frames_BFCHW, COARSEST, COARSEST, "this observer")
        last = frames_BFCHW[:, -self.config.frames :]
        still = last[:, :1].expand(-1, self.config.frames - last.shape[1], -1, -1, -1)
        seen = torch.cat([still, last], 1) * 2 - 1
        # The last frame, and how it differs from those before: what moves stands out from the start.
        seen = torch.cat([seen[:, -1:], seen[:, -1:] - seen[:, :-1]], 1)
        x = self.stem(F.pixel_unshuffle(seen.flatten(1, 2), 2))
        passed = []
        for down, mix in zip(self.down, self.on_the_way, strict=True):
            passed.append(x)
            x = mix(down(F.silu(x)))
        for up, mix in zip(reversed(self.up), reversed(self.after), strict=True):
            x = mix(F.pixel_shuffle(up(x), 2) + passed.pop())
        if inverse_depth_Bhw is None:
            inverse_depth_Bhw = x.new_zeros(x.shape[0], 1, 1)
        return self.observer(F.silu(x), inverse_depth_Bhw, asked)
