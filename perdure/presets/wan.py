"""Wan's sizes: models for GPUs, with weights of the user's own.

A live world asks at the few noise levels that a distilled model was taught; a prompt is painted by the undistilled one,
as its makers advise (`Prompting`). Memory is HY-WorldPlay's: 12 latents of what just was, 4 of what was seen from near
here and, but for the 5B, the first 4.
"""

from dataclasses import replace

from perdure.models.config import TAEW2_1, TAEW2_2, TaehvConfig, TransformerConfig
from perdure.presets.preset import Preset, Prompting
from perdure.sampling import LINGBOT, SELF_FORCING, WORLDPLAY

SMALL = TransformerConfig(history="memory-and-chunk", sink=4, recent=12, recalled=4)
MIDDLE = replace(SMALL, in_channels=48, out_channels=48, heads=24, layers=30, ffn=14336, sink=0)
LARGE = replace(SMALL, heads=40, layers=40, ffn=13824)

Wan = Preset[TaehvConfig]


def wan_1_3b() -> Wan:
    """Wan 2.1, words to video."""
    return Preset(
        "wan-1.3b", 832, 480, 75.0, TAEW2_1, SMALL, SELF_FORCING, latents=3, fps=16, text="umt5", prompting=Prompting()
    )


def wan_5b() -> Wan:
    """Wan 2.2, words or an image to video: an image is the first latent, held clean."""
    prompting = Prompting(frames=121, shift=5.0)
    latents = {"latents": 4, "channels": 48, "stride": (4, 16, 16)}
    return Preset("wan-5b", 1280, 704, 75.0, TAEW2_2, MIDDLE, WORLDPLAY, **latents, text="umt5", prompting=prompting)


def wan_2_1_14b() -> Wan:
    """Wan 2.1, words to video: one transformer, of the size of each of Wan 2.2's two."""
    prompting = Prompting(shift=5.0)
    return replace(wan_14b(), name="wan-2.1-14b", sigmas=SELF_FORCING, prompting=prompting)


def wan_2_1_14b_image() -> Wan:
    """Wan 2.1, an image to video: the image is read by CLIP as well."""
    dit, prompting = replace(LARGE, in_channels=36, image_dim=1280), Prompting(steps=40, shift=5.0)
    return replace(wan_2_1_14b(), name="wan-2.1-14b-image", dit=dit, prompting=prompting)


def wan_14b() -> Wan:
    """Wan 2.2, words to video: two experts."""
    prompting = Prompting(steps=40, shift=12.0, guidance=(4.0, 3.0), boundary=0.875)
    return Preset(
        "wan-14b", 1280, 720, 75.0, TAEW2_1, LARGE, LINGBOT, latents=3, fps=16, text="umt5", prompting=prompting
    )


def wan_14b_image() -> Wan:
    """Wan 2.2, an image to video: beside the noise come 4 channels that say which frames are known, and 16 of these."""
    prompting = Prompting(steps=40, shift=5.0, guidance=(3.5, 3.5), boundary=0.9)
    words = wan_14b()
    return replace(words, name="wan-14b-image", dit=replace(words.dit, in_channels=36), prompting=prompting)


WAN = wan_1_3b, wan_5b, wan_2_1_14b, wan_2_1_14b_image, wan_14b, wan_14b_image


def like(dit: TransformerConfig, experts: int = 1) -> Wan | None:
    """The preset of a transformer's size and number of experts: Wan 2.1's 14B is as large as each of 2.2's two."""
    for preset in (make() for make in WAN):
        size = preset.dit.layers, preset.dit.heads, preset.dit.in_channels
        two = preset.prompting is not None and preset.prompting.boundary is not None
        if size == (dit.layers, dit.heads, dit.in_channels) and two == (experts > 1):
            return preset
    return None
