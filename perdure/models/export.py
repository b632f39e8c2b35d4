"""Export: the torch models as OpenVINO graphs with static shapes, for playing without torch.

Four graphs: `encode` (frames to a latent), `remember` (a latent to keys and values), `denoise`
(one velocity), `decode` (a latent and its view to frames and what the observer found). Bytes go in
and come out as bytes, so that no conversion is left to the caller.

Shapes: T frames a chunk, H W frame size, h w latent size, C latent channels, A action features, F of the setting,
L layers, M memory slots, N tokens, D head size (heads are written out), P proxy channels.
"""

import warnings
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor, nn

from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import CodecConfig, TransformerConfig
from perdure.models.context import PROXY_CHANNELS
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.graphs import OUTPUTS, untold, write
from perdure.models.words import Words


class Encode(nn.Module):
    """(T, H, W, 3) uint8 to (C, h, w)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Tensor:
        return self.encoder(frames.permute(0, 3, 1, 2).unsqueeze(0).float() / 255)[0]


class Remember(nn.Module):
    """A latent (C, h, w), noise level 0 (1,) and its action (A,) to keys and values (L, N, heads, D).

    The level is an input because OpenVINO 2026.4 folds a constant one into the action's bias and
    then ignores the action.
    """

    def __init__(self, dit: Transformer) -> None:
        super().__init__()
        self.dit = dit

    def forward(self, latent: Tensor, sigma: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        timestep, given = sigma * self.dit.config.timesteps, Given(keys=action[None])
        keys, values = self.dit.remember(latent[None, :, None], timestep, given=given)
        return keys[0, :, 0], values[0, :, 0]


class Denoise(nn.Module):
    def __init__(self, dit: Transformer) -> None:
        super().__init__()
        self.dit = dit
        self.told = tuple(untold(dit.config))

    def forward(
        self,
        noisy: Tensor,  # (C, h, w)
        sigma: Tensor,  # (1,)
        view: Tensor,  # (C, h, w)
        coverage: Tensor,  # (1, h, w)
        proxy: Tensor,  # (P, h, w)
        to_clip: Tensor,  # (4, 4)
        from_clip: Tensor,  # (4, 4)
        action: Tensor,  # (A,)
        keys: Tensor,  # (M, L, N, heads, D)
        values: Tensor,  # (M, L, N, heads, D)
        present: Tensor,  # (M,) bool
        ages: Tensor,  # (M,)
        cameras: Tensor,  # (M, 4, 4)
        *more: Tensor,  # what else the model is told, as `graphs.untold` names it
    ) -> Tensor:
        said = {name: tensor[None] for name, tensor in zip(self.told, more, strict=True)}
        setting = said.pop("setting", None)
        given = Given(
            keys=action[None],
            cameras=Cameras(to_clip[None, None], from_clip[None, None]),
            view=torch.cat([view, coverage, proxy])[None, :, None],
            setting=setting,
            words=Words(**{name: said.get(name) for name in Words._fields}) if said else None,
        )
        # The coming latent stands at time 0, its memories before.
        past = Past(keys.transpose(0, 1)[None], values.transpose(0, 1)[None], -ages[None], present[None], cameras[None])
        timestep = sigma * self.dit.config.timesteps
        return self.dit.denoise(noisy[None, :, None], timestep, past, given=given)[0, :, 0]


class Decode(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        latent: Tensor,  # (C, h, w)
        view: Tensor,  # (T, H, W, 3) uint8
        confidence: Tensor,  # (T, H, W) uint8
        view_depth: Tensor,  # (T, H, W) metres
        proxy: Tensor,  # (P, h, w)
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames (T, H, W, 3) uint8; depth, its relative uncertainty and the moving share, (H, W)."""
        out = self.decoder(
            latent.unsqueeze(0),
            view.permute(0, 3, 1, 2).unsqueeze(0).float() / 255,
            confidence.unsqueeze(0).float() / 255,
            view_depth.unsqueeze(0),
            proxy.unsqueeze(0),
        )
        frames = (out.frames[0].clamp(0, 1) * 255).round().permute(0, 2, 3, 1).to(torch.uint8)
        seen = out.observation
        return frames, seen.log_depth[0].exp(), seen.log_spread[0].exp(), seen.moving[0].sigmoid()


def examples(codec: CodecConfig, dit: TransformerConfig, height: int, width: int) -> dict[str, dict[str, Tensor]]:
    """Inputs of the exported shapes, by graph and by name."""
    c, h, w, t, m = codec.latent_channels, height // 8, width // 8, codec.frames, dit.memories
    n = (h // dit.patch[1]) * (w // dit.patch[2])
    latent, proxy = torch.randn(c, h, w), torch.randn(PROXY_CHANNELS, h, w)
    action = torch.zeros(dit.adapters.key_features)
    frames = torch.randint(0, 256, (t, height, width, 3), dtype=torch.uint8)
    kv = (m, len(dit.memory_layers), n, dit.heads, dit.head_dim)
    return {
        "encode": {"frames": frames},
        "remember": {"latent": latent, "sigma": torch.zeros(1), "action": action},
        "denoise": {
            "noisy": latent,
            "sigma": torch.ones(1),
            "view": latent,
            "coverage": torch.rand(1, h, w),
            "proxy": proxy,
            "to_clip": torch.eye(4),
            "from_clip": torch.eye(4),
            "action": action,
            "keys": torch.randn(kv),
            "values": torch.randn(kv),
            "present": torch.ones(m, dtype=torch.bool),
            "ages": torch.arange(m, 0, -1).float(),
            "cameras": torch.eye(4).repeat(m, 1, 1),
            **{name: torch.from_numpy(it) for name, it in untold(dit).items()},
        },
        "decode": {
            "latent": latent,
            "view": frames,
            "confidence": frames[..., 0].contiguous(),
            "view_depth": torch.rand(t, height, width) * 9 + 0.5,
            "proxy": proxy,
        },
    }


def check(dit: TransformerConfig) -> None:
    """Raise `ValueError` unless the graphs' inputs are what this transformer takes."""
    on, channels = dit.adapters, dit.in_channels + 1 + PROXY_CHANNELS
    needs = {
        "adapters.keys='multi-hot'": on.keys == "multi-hot",
        "adapters.camera on": on.camera != "",
        f"adapters.view={channels}": on.view == channels,
        "no adapters.rays": not on.rays,
        "no adapters.identity": not on.identity,
        "text_dim=0": not dit.text_dim,
        "history='block-diagonal'": dit.history == "block-diagonal",
    }
    if lacking := [need for need, met in needs.items() if not met]:
        raise ValueError(
            f"expected a transformer as nano is, with {', '.join(needs)}, to make graphs of: "
            f"this one is not with {', '.join(lacking)}"
        )


def graphs(encoder: Encoder, decoder: Decoder, dit: Transformer) -> dict[str, nn.Module]:
    check(dit.config)
    return {"encode": Encode(encoder), "remember": Remember(dit), "denoise": Denoise(dit), "decode": Decode(decoder)}


def convert(module: nn.Module, example: dict[str, Tensor], outputs: tuple[str, ...]) -> ov.Model:
    with torch.no_grad(), warnings.catch_warnings():
        # OpenVINO traces by torch.jit, which torch has begun to deprecate.
        warnings.simplefilter("ignore")
        shapes = [tuple(value.shape) for value in example.values()]
        model = ov.convert_model(module.eval(), example_input=tuple(example.values()), input=shapes)
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})
    model.validate_nodes_and_infer_types()
    return model


def export(modules: dict[str, nn.Module], inputs: dict[str, dict[str, Tensor]], folder: Path) -> None:
    write(((name, convert(module, inputs[name], OUTPUTS[name])) for name, module in modules.items()), folder)
