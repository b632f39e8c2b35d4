"""Presets are the sizes that were published, and their transformers are Wan's."""

from collections.abc import Callable

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

from perdure.models.dit import Transformer
from perdure.presets.nano import nano
from perdure.presets.preset import Preset
from perdure.presets.wan import WAN, Wan, like, wan_1_3b, wan_2_1_14b, wan_2_1_14b_image, wan_5b, wan_14b, wan_14b_image

PUBLISHED = {  # millions of parameters; tokens a latent; noise and what is given with it
    wan_1_3b: (1419, 1560, 16),
    wan_5b: (5000, 880, 48),
    wan_2_1_14b: (14288, 3600, 16),
    wan_2_1_14b_image: (16395, 3600, 36),
    wan_14b: (14288, 3600, 16),
    wan_14b_image: (14289, 3600, 36),
}


@pytest.mark.parametrize("make", WAN)
def test_sizes_are_those_that_were_published(make: Callable[[], Wan]) -> None:
    preset = make()
    millions, tokens, taken = PUBLISHED[make]
    dit, (channels, h, w) = preset.dit, preset.latent_shape
    assert channels == dit.out_channels and taken == dit.in_channels
    assert h * w // (dit.patch[1] * dit.patch[2]) == tokens
    with torch.device("meta"):
        ours = Transformer(dit)
        theirs = WanTransformer3DModel(
            in_channels=taken,
            out_channels=channels,
            num_layers=dit.layers,
            num_attention_heads=dit.heads,
            ffn_dim=dit.ffn,
            image_dim=dit.image_dim or None,
            added_kv_proj_dim=dit.dim if dit.image_dim else None,
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()} == shapes
    assert round(sum(p.numel() for p in ours.parameters()) / 1e6) == millions


def test_experts_meet_where_the_makers_say() -> None:
    for preset, boundary, scales in ((wan_14b(), 0.875, 2), (wan_14b_image(), 0.9, 2), (wan_1_3b(), None, 1)):
        assert preset.prompting and preset.prompting.boundary == boundary and len(preset.prompting.guidance) == scales


@pytest.mark.parametrize("make", WAN)
def test_two_of_a_size_are_told_apart_by_their_experts(make: Callable[[], Wan]) -> None:
    preset = make()
    assert preset.prompting
    guided = len(preset.prompting.guidance)
    assert like(preset.dit, guided) == preset, "one scale of guidance for each expert"
    other = like(preset.dit, 3 - guided)
    assert (other is not None) == (preset.dit.layers == 40)
    assert other is None or (other.prompting and len(other.prompting.guidance) == 3 - guided)


def test_a_chunk_of_nano_is_one_latent() -> None:
    preset = nano()
    assert preset.frames == preset.codec.frames == 4 and preset.latent_shape == (16, 18, 32)
    assert preset.channels == preset.codec.latent_channels == preset.dit.in_channels


def test_what_a_preset_cannot_be() -> None:
    with pytest.raises(ValueError, match="1 to 4 latents"):
        Preset("long", 256, 144, 75.0, latents=5)
    with pytest.raises(ValueError, match="whole cells"):
        Preset("crooked", 250, 144, 75.0)
