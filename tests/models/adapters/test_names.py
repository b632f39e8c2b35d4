"""Published names of adapters: each of theirs is a parameter of ours, and all of ours have one."""

import torch

from perdure.models.adapters.added import Added
from perdure.models.adapters.names import adapter_name
from perdure.models.config import Adapters, TransformerConfig


def parameters(on: Adapters) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = Added(TransformerConfig(heads=1, head_dim=24, layers=2, adapters=on))
    return {f"adapters.{name}": parameter.shape for name, parameter in model.named_parameters()}


def with_weight_and_bias(*names: str) -> list[str]:
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


def test_worldplay() -> None:
    theirs = with_weight_and_bias(
        *(f"condition_embedder.action_embedder.linear_{i}" for i in (1, 2)),
        *(f"blocks.{i}.attn1.to_out_prope.0" for i in range(2)),
    )
    ours = parameters(Adapters(keys="81-way", camera="fx_fy"))
    assert sorted(map(adapter_name, theirs)) == sorted(ours)
    assert ours["adapters.keys.linear_1.weight"] == (24, 256)


def test_lingbot() -> None:
    theirs = with_weight_and_bias(
        "patch_embedding_wancamctrl",
        *(f"c2ws_hidden_states_layer{i}" for i in (1, 2)),
        *(f"blocks.{b}.cam_injector_layer{i}" for b in range(2) for i in (1, 2)),
        *(f"blocks.{b}.cam_{what}_layer" for b in range(2) for what in ("scale", "shift")),
    )
    ours = parameters(Adapters(rays="rays"))
    assert sorted(map(adapter_name, theirs)) == sorted(ours)
    assert ours["adapters.rays.patch_embedding.weight"] == (24, 6 * 64 * 4)
    act = parameters(Adapters(rays="directions-keys", key_features=4))
    assert act["adapters.rays.patch_embedding.weight"] == (24, 7 * 64 * 4)


def test_the_base_keeps_its_names() -> None:
    names = "blocks.0.attn1.to_out.0.weight", "condition_embedder.time_embedder.linear_1.bias", "patch_embedding.weight"
    for name in names:
        assert adapter_name(name) == name
