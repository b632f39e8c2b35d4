"""Wan pipelines small enough to run in a test, with random weights: saved, they are folders as users have them."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from perdure.bench.wans import tokenizer

WORDS = "a red dog runs over the green hill & sleeps"
CHANNELS, TEXT, CLIP = 4, 16, 8


def transformer(seed: int, **changes: Any) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "in_channels": CHANNELS, "out_channels": CHANNELS, "text_dim": TEXT, "freq_dim": 8, "ffn_dim": 24,
        "num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "rope_max_seq_len": 32,
    }  # fmt: skip
    return WanTransformer3DModel(**(settings | changes))


def pipeline(kind: Callable[..., Any], euler: bool = False, patch: int | None = None, **others: Any) -> Any:
    torch.manual_seed(0)
    text = UMT5EncoderModel(UMT5Config(vocab_size=32, d_model=TEXT, d_kv=4, d_ff=16, num_layers=2, num_heads=4))
    picture = 3 * (patch or 1) ** 2
    vae = AutoencoderKLWan(
        base_dim=3,
        z_dim=CHANNELS,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1, 0.2, -0.1, 0.3],
        latents_std=[1.0, 2.0, 0.5, 1.5],
        **(
            {"patch_size": patch, "in_channels": picture, "out_channels": picture, "is_residual": True} if patch else {}
        ),
        scale_factor_spatial=8 * (patch or 1),
    )
    unipc: Any = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    text.eval()  # no dropout
    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0) if euler else unipc
    made = kind(tokenizer=tokenizer(WORDS), text_encoder=text, vae=vae, scheduler=scheduler, **others)
    made.set_progress_bar_config(disable=True)
    return made


def clip() -> dict[str, Any]:
    torch.manual_seed(5)
    config: Any = CLIPVisionConfig(
        hidden_size=CLIP, projection_dim=4, num_hidden_layers=3, num_attention_heads=2, image_size=8, patch_size=4,
        intermediate_size=8,
    )  # fmt: skip
    from transformers import CLIPImageProcessorPil

    prepare = CLIPImageProcessorPil(crop_size={"height": 8, "width": 8}, size={"shortest_edge": 8})
    return {"image_encoder": CLIPVisionModel(config).eval(), "image_processor": prepare}
