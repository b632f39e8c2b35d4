"""Wan as its makers publish it, through diffusers, small or of one layer: what our own is compared with.

Weights are random, and let everything count: a fresh model's zeros would hide what is wrong.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from perdure.models.config import TransformerConfig
from perdure.models.dit import Transformer
from perdure.presets.wan import LARGE, MIDDLE, SMALL

TEXT = 512  # diffusers tells text from an image by this number
TRUE = {  # one layer of each size, whole from latents to velocities
    "1.3b": replace(SMALL, layers=1),
    "5b": replace(MIDDLE, layers=1),
    "a14b": replace(LARGE, layers=1),
    "a14b_image": replace(LARGE, layers=1, in_channels=36),
    "14b_image": replace(LARGE, layers=1, in_channels=36, image_dim=1280),
}

TINY = TransformerConfig(
    heads=2, head_dim=24, layers=3, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4
)


class Asked(NamedTuple):
    latents: Tensor
    timestep: Tensor
    text: Tensor
    image: Tensor | None = None


def oracle(config: TransformerConfig) -> Any:
    """diffusers' transformer of that size."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    with torch.device("meta"):
        model = WanTransformer3DModel(
            patch_size=config.patch,
            num_attention_heads=config.heads,
            attention_head_dim=config.head_dim,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            text_dim=config.text_dim,
            freq_dim=config.frequency_dim,
            ffn_dim=config.ffn,
            num_layers=config.layers,
            eps=config.eps,
            image_dim=config.image_dim or None,
            added_kv_proj_dim=config.dim if config.image_dim else None,
            pos_embed_seq_len=config.image_tokens or None,
        )
    rope = type(model.rope)(config.head_dim, config.patch, 1024)  # has buffers that no file holds
    model = model.to_empty(device="cpu")
    model.rope = rope
    return stirred(model.eval().requires_grad_(False))


def pair(config: TransformerConfig) -> tuple[Transformer, Any]:
    """Ours, and theirs with the very same tensors: the weights are there once."""
    theirs = oracle(config)
    with torch.device("meta"):
        ours = Transformer(config)
    ours.load_state_dict(theirs.state_dict(), assign=True)  # strict: the same names, no more and no fewer
    return ours.eval().requires_grad_(False), theirs


def learnt(config: TransformerConfig) -> Transformer:
    """Ours alone, also with what Wan does not have."""
    return stirred(Transformer(config).eval().requires_grad_(False))


def stirred(module: Any) -> Any:
    """Weights that neither drown nor swell what goes through, norms about 1; as torch's seed has it."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim == 1:
                weight.uniform_(-0.3, 0.3).add_(float("norm" in name and name.endswith("weight")))
            else:
                bound = (3 / max(1, weight[0].numel())) ** 0.5 if weight.shape[0] > 1 else 0.5
                weight.uniform_(-bound, bound)
    return module


def asked(config: TransformerConfig, batch: int, size: tuple[int, int, int], by_token: bool) -> Asked:
    """Something to ask, of latents (T, h, w). By token: as TI2V-5B is asked, the first of them at timestep 0."""
    latents = torch.randn(batch, config.in_channels, *size)
    timestep = torch.rand(batch) * 1000
    if by_token:
        t, h, w = (length // patch for length, patch in zip(size, config.patch))
        timestep = torch.where(torch.arange(t * h * w) < h * w, 0.0, timestep.unsqueeze(1))
    image = None
    if config.image_dim:
        rows, tokens = (2 * batch, config.image_tokens // 2) if config.image_tokens else (batch, 5)
        image = torch.randn(rows, tokens, config.image_dim)
    return Asked(latents, timestep, torch.randn(batch, TEXT, config.text_dim), image)


def tiny(count: int, seed: int) -> Iterator[tuple[TransformerConfig, Asked]]:
    """Sizes and questions of all sorts: odd grids, single latents, batches, patches, images, heads of any even size."""
    random = Random(seed)
    for n in range(count):
        image = n % 3
        config = TransformerConfig(
            in_channels=random.choice([1, 4, 9, 16]),
            out_channels=random.choice([1, 4, 16]),
            heads=random.choice([1, 2, 3, 5]),
            head_dim=random.choice([8, 12, 20, 24, 26, 40, 64]),
            layers=random.choice([1, 2, 3]),
            ffn=random.choice([32, 100]),
            patch=random.choice([(1, 2, 2), (1, 2, 2), (1, 1, 1), (1, 2, 1), (2, 2, 2)]),
            frequency_dim=random.choice([16, 32, 64]),
            text_dim=random.choice([8, 20]),
            eps=random.choice([1e-6, 1e-5]),
            image_dim=12 if image else 0,
            image_tokens=10 if image == 2 else 0,
        )
        t, h, w = (random.choice(counts) for counts in ([1, 2, 3, 5], [1, 2, 3, 5], [1, 3, 4]))
        size = t * config.patch[0], h * config.patch[1], w * config.patch[2]
        yield config, asked(config, random.choice([1, 2, 3]), size, by_token=random.random() < 0.5)


# A pipeline, whole

WORDS = "a red fox walks through deep snow & waits"
CHANNELS, STATES, SEEN = 4, 16, 8  # of latents, of text, of images


def save_pipeline(folder: Path, image: str = "", euler: bool = False, experts: int = 1) -> Any:
    """A pipeline of diffusers, saved as users have it. `image`: "", "first" (TI2V-5B), "beside", or "read" as well."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline
    from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    config = TransformerConfig(
        in_channels=CHANNELS if image in ("", "first") else 2 * CHANNELS + 4,
        out_channels=CHANNELS,
        heads=2,
        head_dim=12,
        layers=2,
        ffn=24,
        frequency_dim=16,
        text_dim=STATES,
        image_dim=SEEN if image == "read" else 0,
    )
    numbers: Any = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    folded: Any = {"patch_size": 2, "in_channels": 12, "out_channels": 12, "is_residual": True}
    parts: dict[str, Any] = {
        "tokenizer": tokenizer(),
        "text_encoder": UMT5EncoderModel(
            UMT5Config(vocab_size=32, d_model=STATES, d_kv=4, d_ff=16, num_layers=2, num_heads=4)
        ).eval(),
        "vae": AutoencoderKLWan(
            base_dim=3, z_dim=CHANNELS, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, 0.2, -0.1, 0.3], latents_std=[1.0, 2.0, 0.5, 1.5],
            scale_factor_spatial=16 if image == "first" else 8, **(folded if image == "first" else {}),
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=5.0) if euler else UniPCMultistepScheduler(**numbers),
        "transformer": oracle(config),
    }  # fmt: skip
    if image == "first":
        parts["expand_timesteps"] = True
    if experts == 2:
        parts |= {"transformer_2": oracle(config), "boundary_ratio": 0.875}
    if image == "read":
        parts |= eyes()
    made: Any = (WanImageToVideoPipeline if image else WanPipeline)(**parts)
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder)
    return made


def tokenizer(known: str = WORDS) -> Any:
    """One that knows these words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *known.split()))}
    made: Any = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def eyes() -> dict[str, Any]:
    import transformers

    config: Any = transformers.CLIPVisionConfig(
        hidden_size=SEEN, projection_dim=4, num_hidden_layers=3, num_attention_heads=2, image_size=8, patch_size=4,
        intermediate_size=8,
    )  # fmt: skip
    pil = hasattr(transformers, "CLIPImageProcessorPil")  # the one that needs no torchvision, where there are two
    kind: Any = transformers.CLIPImageProcessorPil if pil else transformers.CLIPImageProcessor
    prepare = kind(crop_size={"height": 8, "width": 8}, size={"shortest_edge": 8})
    return {"image_encoder": transformers.CLIPVisionModel(config).eval(), "image_processor": prepare}


class Formulas(nn.Module):
    """TAEHV's decoder as its formulas say: a frame at a time, with nothing but tensors by their published names."""

    def __init__(self, weights: dict[str, Tensor], patch: int) -> None:
        super().__init__()
        self.weights, self.patch = weights, patch
        self.before: dict[int, Tensor] = {}

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"decoder.{name}.weight"]
        return nn.functional.conv2d(x, weight, self.weights.get(f"decoder.{name}.bias"), padding=weight.shape[-1] // 2)

    def stage(self, x: Tensor, first: int, grow: int) -> list[Tensor]:
        for at in range(first, first + 3):
            both = torch.cat([x, self.before.get(at, torch.zeros_like(x))], 1)
            self.before[at] = x
            for inner in (0, 2):
                both = self.conv(f"{at}.conv.{inner}", both).relu()
            x = (self.conv(f"{at}.conv.4", both) + x).relu()
        x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return [self.conv(f"{first + 5}", part) for part in self.conv(f"{first + 4}.conv", x).chunk(grow, 1)]

    def forward(self, latents_BCThw: Tensor) -> Tensor:
        """(B, F, 3, H, W), less the three frames that come before the first."""
        shown: list[Tensor] = []
        for latent in latents_BCThw.unbind(2):
            for a in self.stage(self.conv("1", 3 * (latent / 3).tanh()).relu(), 3, 1):
                for b in self.stage(a, 9, 2):
                    shown += [self.conv("22", c.relu()) for c in self.stage(b, 15, 2)]
        return torch.stack([nn.functional.pixel_shuffle(x, self.patch).clamp(0, 1) for x in shown[3:]], 1)
