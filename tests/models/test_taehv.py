"""TAEHV is what its formulas say, however its stream is cut, and after a restart too."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from perdure.models.config import TAEW2_1, TAEW2_2, TaehvConfig
from perdure.models.decoding import resumed
from perdure.models.taehv import Taehv, load
from perdure.models.tensors import save

SMALL = TaehvConfig(channels=5, patch=2, encoder_width=6, decoder_widths=(8, 6, 4, 4))


def made(config: TaehvConfig, seed: int = 0) -> Taehv:
    torch.manual_seed(seed)
    model = Taehv(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith("weight"):  # so that signals neither die out nor grow on the way
            torch.nn.init.normal_(weight, std=(1.4 if "conv.4" not in name else 0.7) / weight[0].numel() ** 0.5)
    return model


class Plain:
    """The reference formulas, a frame at a time and with nothing but tensors by their public names."""

    def __init__(self, weights: dict[str, Tensor], side: str) -> None:
        self.weights = {name.removeprefix(side + "."): w for name, w in weights.items() if name.startswith(side + ".")}
        self.before: dict[int, Tensor] = {}

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        bias = self.weights.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[-1] // 2)

    def memory(self, at: int, x: Tensor) -> Tensor:
        both = torch.cat([x, self.before.get(at, torch.zeros_like(x))], 1)
        self.before[at] = x
        a = F.relu(self.conv(f"{at}.conv.0", both))
        return F.relu(self.conv(f"{at}.conv.4", F.relu(self.conv(f"{at}.conv.2", a))) + x)

    def decode(self, latents: list[Tensor], patch: int) -> list[Tensor]:
        def stage(x: Tensor, first: int, grow: int) -> list[Tensor]:
            for at in (first, first + 1, first + 2):
                x = self.memory(at, x)
            x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
            return [self.conv(f"{first + 5}", part) for part in self.conv(f"{first + 4}.conv", x).chunk(grow, 1)]

        shown = []
        for latent in latents:
            x = F.relu(self.conv("1", 3 * torch.tanh(latent / 3)))
            for a in stage(x, 3, 1):
                for b in stage(a, 9, 2):
                    for c in stage(b, 15, 2):
                        shown.append(F.pixel_shuffle(self.conv("22", F.relu(c)), patch).clamp(0, 1))
        return shown[3:]

    def encode(self, frames: list[Tensor], patch: int) -> list[Tensor]:
        def stage(xs: list[Tensor], first: int, pool: int) -> list[Tensor]:
            out = []
            for i in range(0, len(xs), pool):
                x = self.conv(f"{first + 1}", self.conv(f"{first}.conv", torch.cat(xs[i : i + pool], 1)), 2)
                for at in (first + 2, first + 3, first + 4):
                    x = self.memory(at, x)
                out.append(x)
            return out

        xs = [F.relu(self.conv("0", F.pixel_unshuffle(frame, patch))) for frame in frames]
        return [self.conv("17", x) for x in stage(stage(stage(xs, 2, 2), 7, 2), 12, 1)]


@pytest.mark.parametrize("config", [SMALL, TaehvConfig(channels=3, encoder_width=4, decoder_widths=(6, 4, 4, 4))])
def test_it_is_what_the_formulas_say(config: TaehvConfig) -> None:
    model = made(config)
    latents = torch.randn(2, config.channels, 5, 3, 4)
    frames, _ = model.decode(latents, model.start())
    plain = torch.stack(Plain(model.state_dict(), "decoder").decode(list(latents.unbind(2)), config.patch), 1)
    torch.testing.assert_close(frames, plain, atol=1e-5, rtol=0)
    assert ((frames > 0) & (frames < 1)).float().mean() > 0.2  # and not all cut off

    film = torch.rand(2, 12, 3, 16 * config.patch, 24 * config.patch)
    found, _ = model.encode(film, model.start())
    plain = torch.stack(Plain(model.state_dict(), "encoder").encode(list(film.unbind(1)), config.patch), 2)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_a_stream_may_be_cut_anywhere(sizes: list[int], seed: int) -> None:
    model = made(SMALL)
    latents = torch.randn(1, 5, sum(sizes), 2, 3, generator=torch.Generator().manual_seed(seed))
    whole, end = model.decode(latents, model.start())
    assert whole.shape == (1, 4 * sum(sizes) - 3, 3, 32, 48)
    state, parts = model.start(), []
    for part in latents.split(sizes, 2):
        frames, state = model.decode(part, state)
        parts.append(frames)
    assert torch.equal(torch.cat(parts, 1), whole)
    assert all(torch.equal(a, b) for a, b in zip(state.last, end.last, strict=True))

    film = torch.rand(1, sum(sizes), 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    whole, _ = model.encode(film, model.start(), end=True)
    assert whole.shape[2] == -(-sum(sizes) // 4)
    state, parts = model.start(), []
    for i, part in enumerate(film.split(sizes, 1)):
        found, state = model.encode(part, state, end=i == len(sizes) - 1)
        parts.append(found)
    assert torch.equal(torch.cat(parts, 2), whole)


def test_an_encoders_last_frame_stands_in_for_those_that_lack() -> None:
    model, film = made(SMALL), torch.rand(1, 5, 3, 16, 16)
    found, _ = model.encode(film, model.start(), end=True)
    filled, _ = model.encode(torch.cat([film, film[:, -1:], film[:, -1:], film[:, -1:]], 1), model.start())
    assert torch.equal(found, filled)
    kept, state = model.encode(film, model.start())
    assert kept.shape[2] == 1 and state.waiting is not None and state.waiting.shape[1] == 1


def test_what_it_looks_back_to_is_eight_latents_and_a_restart_gives_the_same_bytes() -> None:
    model = made(SMALL).double()
    assert model.lookback == Taehv(TAEW2_1).lookback == 8
    latents = torch.randn(1, 5, 14, 2, 3, dtype=torch.float64)
    frames, state = model.decode(latents[:, :, :12], model.start())
    again = resumed(model, latents[:, :, :12])
    assert len(again.last) == 9 and all(torch.equal(a, b) for a, b in zip(again.last, state.last, strict=True))
    coming, _ = model.decode(latents[:, :, 12:], state)
    assert torch.equal(model.decode(latents[:, :, 12:], again)[0], coming)
    # One latent fewer is not enough, so the figure is no larger than it must be.
    short = model.start()
    for t in range(5, 12):
        _, short = model.decode(latents[:, :, t : t + 1], short)
    assert not torch.equal(model.decode(latents[:, :, 12:], short)[0], coming)
    # And of a stream that only began, all there was.
    _, begun = model.decode(latents[:, :, :3], model.start())
    assert all(torch.equal(a, b) for a, b in zip(resumed(model, latents[:, :, :3]).last, begun.last, strict=True))


def test_a_state_is_a_value_that_forks_share() -> None:
    model = made(SMALL)
    latents = torch.randn(1, 5, 6, 2, 3)
    _, state = model.decode(latents[:, :, :2], model.start())
    kept = [x.clone() for x in state.last]
    one, _ = model.decode(latents[:, :, 2:4], state)
    model.decode(latents[:, :, 4:], state)
    assert all(torch.equal(a, b) for a, b in zip(state.last, kept, strict=True))
    assert torch.equal(model.decode(latents[:, :, 2:4], state)[0], one)


def test_tensors_are_named_and_shaped_as_the_published_files() -> None:
    """A sample from both ends and the middle, as read from the public code."""
    with torch.device("meta"):
        one, two = (dict(Taehv(c).state_dict()) for c in (TAEW2_1, TAEW2_2))
    shapes = {
        "encoder.0.weight": (64, 3, 3, 3),
        "encoder.2.conv.weight": (64, 128, 1, 1),
        "encoder.3.weight": (64, 64, 3, 3),
        "encoder.12.conv.weight": (64, 64, 1, 1),
        "encoder.16.conv.4.bias": (64,),
        "encoder.17.weight": (16, 64, 3, 3),
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.3.conv.0.weight": (256, 512, 3, 3),
        "decoder.7.conv.weight": (256, 256, 1, 1),
        "decoder.8.weight": (128, 256, 3, 3),
        "decoder.13.conv.weight": (256, 128, 1, 1),
        "decoder.19.conv.weight": (128, 64, 1, 1),
        "decoder.20.weight": (64, 64, 3, 3),
        "decoder.22.bias": (3,),
    }
    assert {name: tuple(one[name].shape) for name in shapes} == shapes
    assert one.keys() == two.keys() and len(one) == 64 + 64
    assert two["encoder.0.weight"].shape == (64, 12, 3, 3) and two["decoder.22.weight"].shape == (12, 64, 3, 3)
    assert two["decoder.1.weight"].shape == (256, 48, 3, 3)
    assert Taehv(SMALL).stride == (4, 16, 16) and Taehv(TAEW2_1).stride == (4, 8, 8)


def test_what_does_not_fit_is_told() -> None:
    model = made(SMALL)
    with pytest.raises(ValueError, match=r"expected latents \(B, 5, T, h, w\).*got \(1, 16, 1, 2, 3\)"):
        model.decode(torch.randn(1, 16, 1, 2, 3), model.start())
    with pytest.raises(ValueError, match=r"multiple of 16.*got \(1, 4, 3, 16, 20\)"):
        model.encode(torch.rand(1, 4, 3, 16, 20), model.start())


def test_a_file_is_read_by_its_published_names_and_what_is_wrong_with_it_told(tmp_path: Path) -> None:
    model, file = made(SMALL), tmp_path / "taew2_2.safetensors"
    weights = dict(model.state_dict())
    save(weights, file)
    read, latents = load(file, SMALL), torch.randn(1, 5, 2, 2, 3)
    assert read.config == SMALL
    assert torch.equal(read.decode(latents, read.start())[0], model.decode(latents, model.start())[0])
    half = load(file, dtype=torch.bfloat16)
    frames, _ = half.decode(latents, half.start())
    assert frames.dtype == torch.float32 and (frames - read.decode(latents, read.start())[0]).abs().max() < 0.1

    with pytest.raises(ValueError, match=r"expected a TAEHV for latents of 16 channels.*got one for 5.*taew2_2"):
        load(file, TAEW2_1)
    other = {name: it for name, it in weights.items() if name != "encoder.4.conv.2.bias"}
    save(other | {"decoder.3.skip.weight": torch.zeros(1), "decoder.5.conv.4.bias": torch.zeros(3)}, file)
    with pytest.raises(
        ValueError, match=r"missing: encoder\.4\.conv\.2\.bias; not known: decoder\.3\.skip.*another shape:"
    ):
        load(file)
    save({"blocks.0.self_attn.q.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(ValueError, match=r"expected TAEHV's tensors by their published names.*blocks\.0"):
        load(file)
    torch.save(weights, tmp_path / "taew2_2.pth")
    with pytest.raises(ValueError, match=r"pickle.*perdure weights convert"):
        load(tmp_path / "taew2_2.pth")
