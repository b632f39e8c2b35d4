"""Decoders that stream: cut anyhow they are the whole, and TAEHV is what its formulas say."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from perdure.bench import wans
from perdure.bench.differences import Figures, error
from perdure.models.config import TAEW2_1, TAEW2_2, TaehvConfig
from perdure.models.decoding import StreamingDecoder
from perdure.models.taehv import Taehv
from perdure.models.vae import WanVae


def decoders() -> dict[str, StreamingDecoder[Any]]:
    """Each of the decoders that stream; Wan's own narrow, in its older and its newer build."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    narrow: Any = {"base_dim": 4, "z_dim": 4, "num_res_blocks": 1, "latents_mean": [0.1, -0.2, 0, 1]}
    narrow |= {"latents_std": [2, 1, 3, 1]}
    newer = narrow | {"decoder_base_dim": 6, "is_residual": True, "patch_size": 2, "in_channels": 12}
    newer |= {"out_channels": 12, "scale_factor_spatial": 16}
    return {
        "taehv 2.1": taehv(replace(TAEW2_1, decoder_widths=(24, 16, 12, 8))),
        "taehv 2.2": taehv(replace(TAEW2_2, decoder_widths=(24, 16, 12, 8))),
        "wan vae 2.1": WanVae(AutoencoderKLWan(**narrow)),
        "wan vae 2.2": WanVae(AutoencoderKLWan(**newer)),
    }


def taehv(config: TaehvConfig) -> Taehv:
    """With weights under which pictures neither fade nor are all cut off at black and white."""
    model = Taehv(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(weight, std=(0.7 if "conv.4" in name else 1.4) / weight[0].numel() ** 0.5)
    return model


def decoders_stream_equals_full() -> Figures:
    """Cut in ever other ways; Wan's own also against diffusers' decoding of the whole."""
    for name, decoder in decoders().items():
        for batch, cuts in ((1, (1, 1, 1, 1, 1)), (2, (2, 3)), (1, (4, 1)), (2, (3, 1, 1))):
            latents, state = torch.randn(batch, decoder.channels, sum(cuts), 2, 3), decoder.start()
            whole, _ = decoder.decode(latents, decoder.start())
            shown: list[Tensor] = []
            for part in latents.split(cuts, 2):
                frames, state = decoder.decode(part, state)
                shown.append(frames)
            yield name, error(torch.cat(shown, 1), whole)
            if isinstance(decoder, WanVae):
                theirs = decoder.vae.decode(latents * decoder.deviation + decoder.mean, return_dict=False)[0]
                yield f"{name}, diffusers", error(whole, theirs.transpose(1, 2) / 2 + 0.5)


def taehv_formulas() -> Figures:
    """Against the published formulas, a frame at a time; narrow, and one of each true width.

    In float64: thirty convolutions of random weights make much of how float32 rounds.
    """
    small = {"decoder_widths": (24, 16, 12, 8)}
    for name, config, batch, size in (
        ("taew2_1, narrow", replace(TAEW2_1, **small), 2, (4, 3, 5)),
        ("taew2_2, narrow", replace(TAEW2_2, **small), 1, (3, 1, 2)),
        ("taew2_1", TAEW2_1, 1, (2, 3, 2)),
        ("taew2_2", TAEW2_2, 1, (2, 2, 3)),
    ):
        model = taehv(config).double()
        latents = torch.randn(batch, config.channels, *size, dtype=torch.float64)
        made, _ = model.decode(latents, model.start())
        yield name, error(made, wans.Formulas(dict(model.state_dict()), config.patch)(latents).float())
