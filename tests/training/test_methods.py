"""Both methods learn: a few steps on one batch bring the loss down, and every parameter is reached."""

from dataclasses import replace

import torch

from perdure.models.config import NANO, CodecConfig
from perdure.models.dit import Transformer
from perdure.training.codec import Codec, CodecBatch, codec_loss, holed
from perdure.training.flow import FlowBatch, Scene, flow_loss, hindsight

CODEC = CodecConfig(encoder_widths=(16, 24), decoder_widths=(24, 16, 16), blocks=1)
DIT = replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=2, ffn=128, recent=2, recalled=1)


def codec_batch() -> CodecBatch:
    torch.manual_seed(0)
    frames = torch.rand(2, 4, 3, 1, 1).expand(2, 4, 3, 48, 64).contiguous()
    depth = torch.full((2, 4, 48, 64), 3.0)
    confidence, moving = torch.rand(2, 4, 48, 64), torch.zeros(2, 48, 64)
    proxy = torch.randn(2, 5, 6, 8)
    return CodecBatch(frames, frames.clone(), confidence, depth, proxy, depth[:, 0], moving)


def flow_batch() -> FlowBatch:
    torch.manual_seed(0)
    eye = torch.eye(4).expand(4, 4, 4)
    maps = torch.randn(4, 16, 4, 6), torch.rand(4, 1, 4, 6), torch.randn(4, 5, 4, 6)
    scene = Scene(*maps, eye, eye, torch.randn(4, 10), torch.randn(4, 15))
    slots = torch.tensor([[[0, 1, -1], [1, 2, 0]], [[-1, -1, -1], [0, -1, -1]]])
    cameras = torch.eye(4).expand(2, 2, 3, 4, 4)
    return FlowBatch(
        torch.randn(2, 3, 16, 4, 6),
        torch.randn(2, 3, 10),
        slots,
        torch.rand(2, 2, 3),
        cameras,
        torch.randn(2, 2, 16, 4, 6),
        scene,
    )


def test_the_codec_learns_and_no_parameter_is_left_out() -> None:
    codec, batch = Codec(CODEC), codec_batch()
    optimizer = torch.optim.Adam(codec.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        loss, figures = codec_loss(codec, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.7 * losses[0]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in codec.parameters())
    assert figures["psnr"] > 10


def test_holes_are_grey_and_shut_the_gate() -> None:
    torch.manual_seed(3)
    batch = codec_batch()
    given = holed(batch)
    gone = given.confidence == 0
    assert gone.any()
    assert (given.view[gone.unsqueeze(2).expand_as(given.view)] == 0.5).all()
    out = Codec(CODEC).decoder(torch.zeros(2, 16, 6, 8), given.view, given.confidence, given.view_depth, given.proxy)
    assert (out.gate.squeeze(2)[gone] == 0).all()


def test_the_transformer_learns_to_draw_a_batch() -> None:
    model, batch = Transformer(DIT), flow_batch()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss, _ = flow_loss(model, batch, (1.0, 0.5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_each_chunk_gathers_its_own_memories() -> None:
    model, batch = Transformer(DIT), flow_batch()
    torch.manual_seed(0)
    past = hindsight(model, batch)
    assert past.keys.shape == (4, 1, 3, 6, 2, 32)  # one layer of the two looks back
    assert past.present is not None and not past.present[2].any()
    assert past.present[0, 2].item() is False
    # The same memory in two chunks' slots is the same tensor.
    torch.testing.assert_close(past.keys[0, :, 1], past.keys[1, :, 0])
