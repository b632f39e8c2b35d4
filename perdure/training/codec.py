"""Training the codec: encoder, decoder with its gated view, and observer, together.

The decoder is asked for every pixel twice: as shown, and as it draws it alone, so that the gate
does not starve the drawing where the view is good. Views are dropped and holed at random, so that
it learns to fill what was never seen.

Shapes: B batch, T frames, H W frame size, h w latent size, P proxy channels.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.config import CodecConfig
from perdure.models.decoder import Decoded, Decoder, Encoder
from perdure.models.observer import observer_loss


class Codec(nn.Module):
    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)


@dataclass(frozen=True)
class CodecBatch:
    frames: Tensor  # (B, T, 3, H, W) in [0, 1]
    view: Tensor  # (B, T, 3, H, W) in [0, 1]
    confidence: Tensor  # (B, T, H, W) in [0, 1]
    view_depth: Tensor  # (B, T, H, W) metres, 0 unknown
    proxy: Tensor  # (B, P, h, w)
    depth: Tensor  # (B, H, W) metres, of the last frame
    moving: Tensor  # (B, H, W) 0 or 1, of the last frame

    def to(self, device: torch.device) -> "CodecBatch":
        return CodecBatch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


GREY = 0.5
LATENT_NOISE = 0.15  # most noise in a latent while both learn: a smooth space is easier to draw in
DRAWN_NOISE = 0.45  # and when only the decoder learns: about what the transformer gets wrong


def holed(batch: CodecBatch) -> CodecBatch:
    """The batch with some views gone, some with rectangles cut out, and some proxies gone."""
    b, _, h, w = batch.confidence.shape
    device = batch.frames.device
    keep = torch.ones(b, 1, h, w, device=device)
    for i in range(b):
        if torch.rand(()) < 0.12:
            keep[i] = 0
        elif torch.rand(()) < 0.5:
            for _ in range(int(torch.randint(1, 4, ()))):
                height, width = (int(torch.randint(12, size * 2 // 3, ())) for size in (h, w))
                top, left = int(torch.randint(0, h - height, ())), int(torch.randint(0, w - width, ()))
                keep[i, :, top : top + height, left : left + width] = 0
    proxy = batch.proxy * (torch.rand(b, 1, 1, 1, device=device) > 0.15)
    view = batch.view * keep.unsqueeze(2) + GREY * (1 - keep.unsqueeze(2))
    return CodecBatch(
        batch.frames, view, batch.confidence * keep, batch.view_depth * keep, proxy, batch.depth, batch.moving
    )  # fmt: skip


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def picture_loss(made: Tensor, true: Tensor) -> Tensor:
    """Absolute and squared error, and the absolute error of edges, which blur would lose."""
    error = made - true
    edge = sum((a - b).abs().mean() for a, b in zip(edges(made), edges(true), strict=True))
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edge


def psnr(made: Tensor, true: Tensor) -> float:
    return float(-10 * torch.log10((made.detach().clamp(0, 1) - true).square().mean() + 1e-10))


def codec_loss(codec: nn.Module, batch: CodecBatch) -> tuple[Tensor, dict[str, float]]:
    assert isinstance(codec, Codec)
    given = holed(batch)
    device = given.frames.device
    with torch.autocast(device.type, torch.bfloat16):
        # A frozen encoder costs no backward pass: the decoder goes on learning while others use its latents.
        joint = next(codec.encoder.parameters()).requires_grad
        with torch.set_grad_enabled(joint):
            latent = codec.encoder(given.frames)
        noisy = latent + (LATENT_NOISE if joint else DRAWN_NOISE) * torch.randn_like(latent) * torch.rand(
            latent.shape[0], 1, 1, 1, device=device
        )
        out: Decoded = codec.decoder(noisy, given.view, given.confidence, given.view_depth, given.proxy)
    # Latents of about unit variance, for the transformer's noise to be measured against.
    spread = (latent.var((0, 2, 3)) - 1).square().mean() + latent.mean((0, 2, 3)).square().mean()
    drawing = picture_loss(out.drawing, given.frames)
    shown = picture_loss(out.frames, given.frames)
    seen = observer_loss(out.observation, given.depth, given.moving)
    loss = shown + 0.7 * drawing + 0.03 * spread + 0.05 * seen
    with torch.no_grad():
        depth_error = float((out.observation.log_depth - given.depth.clamp_min(0.05).log()).abs().mean())
    figures = {
        "psnr": psnr(out.frames, given.frames),
        "drawing_psnr": psnr(out.drawing, given.frames),
        "view_psnr": psnr(given.view, given.frames),
        "depth_error": depth_error,
        "gate": out.gate.detach().mean().item(),
        "latent_std": float(latent.detach().std()),
        "moving": float(F.binary_cross_entropy_with_logits(out.observation.moving.detach(), given.moving)),
    }
    return loss, figures
