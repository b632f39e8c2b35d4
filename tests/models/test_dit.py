"""The transformer is Wan's: diffusers' weights load as they are, and give what they give there."""

import re
from dataclasses import replace

import pytest
import torch

from perdure.bench.wans import oracle as theirs
from perdure.models.config import TransformerConfig
from perdure.models.dit import Transformer

TINY = TransformerConfig(
    heads=2, head_dim=24, layers=2, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4
)
KINDS = {
    "2.1 text-to-video": TINY,
    "2.1 image-to-video": replace(TINY, in_channels=9, image_dim=12),
    "2.1 first-and-last-frame": replace(TINY, in_channels=9, image_dim=12, image_tokens=14),
    "2.2 TI2V-5B": replace(TINY, in_channels=12, out_channels=12),
    "2.2 A14B image-to-video": replace(TINY, in_channels=9, heads=3, head_dim=32),
}


def error(ours: torch.Tensor, true: torch.Tensor) -> float:
    return float((ours - true).abs().max() / true.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_wans(kind: str) -> None:
    torch.manual_seed(0)
    config = KINDS[kind]
    oracle, model = theirs(config), Transformer(config)
    model.load_state_dict(oracle.state_dict())  # strict: the same names, no more and no fewer
    b, t, h, w = 2, 3, 6, 8
    latents, text = torch.randn(b, config.in_channels, t, h, w), torch.randn(b, 512, config.text_dim)
    tokens, rows = (7, 2 * b) if config.image_tokens else (7, b)
    image = torch.randn(rows, tokens, config.image_dim) if config.image_dim else None
    timestep = torch.tensor([999.0, 431.0])
    if kind == "2.2 TI2V-5B":  # a timestep for each token: the first latent is clean
        timestep = timestep[:, None].repeat(1, t * h * w // 4)
        timestep[:, : h * w // 4] = 0
    true = oracle(latents, timestep, text, image, return_dict=False)[0]
    assert error(model(latents, timestep, text, image), true) <= 1e-5


@torch.no_grad()
def test_a_timestep_may_be_given_for_each_latent() -> None:
    torch.manual_seed(0)
    model = Transformer(TINY)
    model.load_state_dict(theirs(TINY).state_dict())
    latents, text = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 5, 20)
    levels = torch.tensor([[0.0, 300.0, 999.0], [1.0, 2.0, 3.0]])
    by_token = model(latents, levels.repeat_interleave(4, 1), text)
    torch.testing.assert_close(model(latents, levels, text), by_token, rtol=1e-5, atol=1e-5)
    alike = torch.full((2, 3), 500.0)
    torch.testing.assert_close(model(latents, alike, text), model(latents, alike[:, 0], text), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["2.1 text-to-video", "2.1 image-to-video"])
def test_a_prompt_is_listened_to_once_for_any_number_of_passes(kind: str) -> None:
    torch.manual_seed(0)
    model = Transformer(KINDS[kind])
    model.load_state_dict(theirs(KINDS[kind]).state_dict())
    latents, texts = torch.randn(1, model.config.in_channels, 2, 4, 4), torch.randn(2, 1, 5, 20)
    image = torch.randn(1, 7, 12) if model.config.image_dim else None
    level, asked = torch.tensor([500.0]), list[bool]()
    model.get_submodule("blocks.0.attn2.to_k").register_forward_hook(lambda *_: asked.append(True))
    heard = [model.listen(text, image) for text in texts]
    made = [model(latents, level, text) for text in heard for _ in range(3)]
    assert len(asked) == 2
    for each, text in zip(made[::3], texts):
        assert torch.equal(each, model(latents, level, text, image))
    assert error(made[3], made[0]) > 1e-3  # another prompt, another film


def test_a_fresh_model_moves_nothing() -> None:
    made = Transformer(TINY)(torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0]), torch.randn(1, 5, 20))
    assert made.shape == (1, 4, 2, 4, 4) and not made.any()


def test_what_does_not_fit_is_named() -> None:
    model = Transformer(TINY)
    with pytest.raises(ValueError, match="expected latents with 4 channels, got shape"):
        model(torch.zeros(1, 5, 2, 4, 4), torch.zeros(1))
    with pytest.raises(ValueError, match="that patches of"):
        model(torch.zeros(1, 4, 2, 5, 4), torch.zeros(1))
    with pytest.raises(ValueError, match="an image beside the text"):
        Transformer(KINDS["2.1 image-to-video"])(torch.zeros(1, 9, 1, 4, 4), torch.zeros(1), torch.zeros(1, 5, 20))
    with pytest.raises(ValueError, match="to leave a multiple of four, got 8 left"):
        TransformerConfig(head_dim=64, rotary=(16, 20, 20))


@torch.no_grad()
def test_what_is_of_another_shape_than_latents_is_named() -> None:
    """Some of it would run, and modulate one sample by what was said of another."""
    model = Transformer(TINY)
    latents, text, level = torch.zeros(2, 4, 4, 4, 6), torch.zeros(2, 5, 20), torch.tensor([500.0, 600.0])
    for fits in ((1,), (2,), (2, 4), (2, 24)):
        model(latents, torch.zeros(fits), text)
    for odd in ((), (4,), (2, 3), (2, 8), (1, 4), (2, 4, 1)):
        said = r"\(2,\), \(2, 4\) for each latent or \(2, 24\) for each token, got " + re.escape(str(odd))
        with pytest.raises(ValueError, match=said):
            model(latents, torch.zeros(odd), text)
    with pytest.raises(ValueError, match=r"expected times of shape \(2 or 1, 4\), got \(1, 3\)"):
        model(latents, level, text, times=torch.arange(3.0)[None])
    with pytest.raises(ValueError, match=r"expected text of shape \(any, any, 20\), got \(2, 5, 21\)"):
        model(latents, level, torch.zeros(2, 5, 21))
    with pytest.raises(ValueError, match=r"expected text of shape \(2 or 1, any, 48\), got \(3, 5, 48\)"):
        model(latents, level, torch.zeros(3, 5, 20))
