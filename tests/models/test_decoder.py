"""The decoder: what it is told of hour and weather changes nothing until it is taught, and then lights the view."""

from dataclasses import replace

import pytest
import torch

from perdure.models.config import CodecConfig
from perdure.models.decoder import Decoder

PLAIN = CodecConfig(decoder_widths=(24, 16, 16), blocks=1)
TOLD = replace(PLAIN, setting=3)
B, T, H, W = 2, 4, 32, 48


def shown() -> tuple[torch.Tensor, ...]:
    """Latent, view, confidence, depth and proxy; every pixel is known."""
    torch.manual_seed(1)
    sharp = torch.rand(B, T, 3, H, W)
    return (
        torch.zeros(B, 16, H // 8, W // 8),
        sharp,
        torch.ones(B, T, H, W),
        torch.full((B, T, H, W), 3.0),
        torch.zeros(B, 5, H // 8, W // 8),
    )


@torch.no_grad()
def test_fresh_it_changes_nothing() -> None:
    torch.manual_seed(0)
    plain, told = Decoder(PLAIN), Decoder(TOLD)
    assert told.load_state_dict(plain.state_dict(), strict=False).unexpected_keys == []
    for setting in (torch.zeros(B, 3), torch.randn(B, 3)):
        assert torch.equal(plain(*shown()).frames, told(*shown(), setting).frames)


@torch.no_grad()
def test_whatever_it_learnt_of_the_setting_noon_stays_what_it_was() -> None:
    torch.manual_seed(0)
    plain, told = Decoder(PLAIN), Decoder(TOLD)
    told.load_state_dict(plain.state_dict(), strict=False)
    assert told.told is not None
    for parameter in told.told.parameters():
        parameter.normal_()
    noon, dusk = (told(*shown(), setting).frames for setting in (torch.zeros(B, 3), torch.ones(B, 3)))
    assert torch.equal(noon, plain(*shown()).frames) and (dusk - noon).abs().mean() > 0.05


def test_what_it_is_told_and_what_not_is_said() -> None:
    with pytest.raises(ValueError, match=r"expected of the setting 3 features for this decoder, got none"):
        Decoder(TOLD)(*shown())
    with pytest.raises(ValueError, match=r"expected of the setting none for this decoder, got shape \(2, 3\)"):
        Decoder(PLAIN)(*shown(), torch.zeros(B, 3))


def test_taught_night_it_darkens_the_view_and_keeps_it_sharp() -> None:
    """No drawing could do so: its colours are noise, finer than what features hold."""
    torch.manual_seed(0)
    decoder, given = Decoder(TOLD), shown()
    noon, night = torch.zeros(B, 3), torch.tensor([0.0, 1.0, 0.0]).expand(B, 3)
    pairs = (noon, given[1]), (night, 0.3 * given[1] + 0.05)
    optimizer = torch.optim.Adam(decoder.parameters(), 6e-3)
    for _ in range(60):
        for setting, true in pairs:
            loss = (decoder(*given, setting).frames - true).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        for setting, true in pairs:
            made = decoder(*given, setting)
            error = (made.frames - true).square().mean()
            assert error < 0.05 * (made.drawing - true).square().mean()
            assert error < 0.02 * true.var()
