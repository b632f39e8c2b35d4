"""LoRA: zero at first, the same in peft by way of a file, merged and taken away again to the bit; what trains."""

from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import nn

from perdure.models.adapters.added import Added
from perdure.models.adapters.lora import (
    Lora,
    add_lora,
    drop_lora,
    load_lora,
    loras,
    merge_lora,
    save_lora,
    trainable,
    unmerge_lora,
)
from perdure.models.config import Adapters, TransformerConfig

WHERE = ["attn1.to_*", "blocks.1.ffn.net.2"]


@pytest.fixture
def wan() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, num_layers=2, ffn_dim=64, text_dim=16, freq_dim=32
    ).eval()


@torch.no_grad()
def drawn(model: nn.Module) -> torch.Tensor:
    torch.manual_seed(1)
    return model(torch.randn(1, 16, 2, 4, 6), torch.tensor([500.0]), torch.randn(1, 5, 16), return_dict=False)[0]


def learn(model: nn.Module) -> None:
    torch.manual_seed(2)
    for lora in loras(model).values():
        nn.init.normal_(lora.lora_B.weight, std=0.1)


def test_it_starts_at_nothing_and_keeps_the_names_of_the_base(wan: WanTransformer3DModel) -> None:
    before, names = drawn(wan), list(wan.state_dict())
    chosen = add_lora(wan, WHERE, rank=4, alpha=8)
    assert chosen == [f"blocks.{i}.attn1.{n}" for i in (0,) for n in ("to_q", "to_k", "to_v", "to_out.0")] + [
        *(f"blocks.1.attn1.{n}" for n in ("to_q", "to_k", "to_v", "to_out.0")),
        "blocks.1.ffn.net.2",
    ]
    assert torch.equal(drawn(wan), before)
    assert [name for name in wan.state_dict() if ".lora_" not in name] == names
    learn(wan)
    assert (drawn(wan) - before).abs().max() > 1e-3
    drop_lora(wan)
    assert torch.equal(drawn(wan), before) and list(wan.state_dict()) == names


def test_merging_gives_the_same_and_can_be_taken_back_to_the_bit(wan: WanTransformer3DModel) -> None:
    add_lora(wan, WHERE, rank=4, alpha=8)
    learn(wan)
    weights = {name: tensor.clone() for name, tensor in wan.state_dict().items()}
    apart = drawn(wan)
    merge_lora(wan)
    merge_lora(wan)  # once is enough
    torch.testing.assert_close(drawn(wan), apart, atol=1e-5, rtol=1e-4)
    assert not torch.equal(wan.state_dict()["blocks.0.attn1.to_q.weight"], weights["blocks.0.attn1.to_q.weight"])
    unmerge_lora(wan)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in wan.state_dict().items())
    assert torch.equal(drawn(wan), apart)
    merge_lora(wan)
    drop_lora(wan)
    assert not loras(wan)
    torch.testing.assert_close(drawn(wan), apart, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("alpha", [4.0, 10.0])
def test_diffusers_loads_what_we_save_and_we_what_peft_saves(
    wan: WanTransformer3DModel, alpha: float, tmp_path: Path
) -> None:
    theirs = WanTransformer3DModel(**dict(wan.config)).eval()  # type: ignore[arg-type]
    theirs.load_state_dict(wan.state_dict())
    ours = WanTransformer3DModel(**dict(wan.config)).eval()  # type: ignore[arg-type]
    ours.load_state_dict(wan.state_dict())
    add_lora(wan, WHERE, rank=4, alpha=alpha)
    learn(wan)
    save_lora(wan, tmp_path / "lora.safetensors")
    theirs.load_lora_adapter(tmp_path, weight_name="lora.safetensors", prefix="transformer", use_safetensors=True)
    torch.testing.assert_close(drawn(theirs), drawn(wan), atol=1e-5, rtol=1e-5)
    theirs.save_lora_adapter(tmp_path / "back", adapter_name=next(iter(theirs.peft_config)))
    (file,) = (tmp_path / "back").iterdir()
    assert load_lora(ours, file) == sorted(loras(wan))
    assert torch.equal(drawn(ours), drawn(wan))


@pytest.mark.parametrize("whose", ["blocks.0.attn1.to_q", "blocks.0.self_attn.q"])
def test_other_spellings(wan: WanTransformer3DModel, whose: str, tmp_path: Path) -> None:
    """`lora_down` and `lora_up`, with alpha beside them, as others write them; layers by Wan's own names, too."""
    torch.manual_seed(3)
    a, b = torch.randn(4, 48), torch.randn(48, 4)
    layer = f"diffusion_model.{whose}"
    tensors = {f"{layer}.lora_down.weight": a, f"{layer}.lora_up.weight": b, f"{layer}.alpha": torch.tensor(2.0)}
    save_file(tensors, tmp_path / "x.safetensors")
    weight = wan.state_dict()["blocks.0.attn1.to_q.weight"].clone()
    assert load_lora(wan, tmp_path / "x.safetensors") == ["blocks.0.attn1.to_q"]
    merge_lora(wan)
    torch.testing.assert_close(wan.state_dict()["blocks.0.attn1.to_q.weight"], weight + 0.5 * b @ a)


def test_one_whose_rank_is_under_a_root_is_as_strong_as_in_peft(wan: WanTransformer3DModel, tmp_path: Path) -> None:
    theirs = WanTransformer3DModel(**dict(wan.config)).eval()  # type: ignore[arg-type]
    theirs.load_state_dict(wan.state_dict())
    pattern = {"blocks.0.attn1.to_q": 9}
    config = LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=["to_q", "to_v"], rank_pattern=pattern)
    theirs.add_adapter(config)
    torch.manual_seed(2)
    for name, weight in theirs.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    theirs.save_lora_adapter(tmp_path)
    (file,) = tmp_path.iterdir()
    load_lora(wan, file)
    torch.testing.assert_close(drawn(wan), drawn(theirs), atol=1e-5, rtol=1e-5)
    save_lora(wan, tmp_path / "plain.safetensors")
    before = drawn(wan)
    drop_lora(wan)
    load_lora(wan, tmp_path / "plain.safetensors")
    assert torch.equal(drawn(wan), before)


@pytest.mark.parametrize("told", ["[1]", "{", '{"transformer.lora_alpha": null}', '{"alpha_pattern": {"to_q": []}}'])
def test_metadata_that_cannot_be_read_is_told_with_its_file(
    wan: WanTransformer3DModel, told: str, tmp_path: Path
) -> None:
    add_lora(wan, ["attn1.to_q"], rank=4)
    save_lora(wan, tmp_path / "x.safetensors")
    drop_lora(wan)
    save_file(load_file(tmp_path / "x.safetensors"), tmp_path / "x.safetensors", {"lora_adapter_metadata": told})
    with pytest.raises(ValueError, match=r"x\.safetensors: expected lora_adapter_metadata as peft writes it"):
        load_lora(wan, tmp_path / "x.safetensors")
    assert not loras(wan)


def test_what_does_not_fit_is_named(wan: WanTransformer3DModel, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="to_z"):
        add_lora(wan, ["to_q", "to_z"], rank=4)
    with pytest.raises(ValueError, match="got one without"):
        save_lora(wan, file)
    add_lora(wan, ["blocks.0.attn1.to_q"], rank=4)
    with pytest.raises(ValueError, match=r"blocks\.0\.attn1\.to_q, which has one"):
        add_lora(wan, ["attn1.to_q"], rank=4)
    save_lora(wan, file)
    with pytest.raises(ValueError, match="has one already"):
        load_lora(wan, file)
    drop_lora(wan)
    good = load_file(file)
    name = "transformer.blocks.0.attn1.to_q.lora_"
    for change, told in (
        ({f"{name}B.weight": torch.zeros(50, 4)}, r"\(48, 4\).*50, 4"),
        ({"transformer.blocks.7.attn1.to_q.lora_A.weight": torch.zeros(4, 48)}, r"blocks\.7.*none of that name"),
        ({"transformer.blocks.0.attn1.to_q.weight": torch.zeros(48, 48)}, r"lora_A\.weight.*to_q\.weight"),
    ):
        save_file(good | change, file)
        with pytest.raises(ValueError, match=told):
            load_lora(wan, file)
        assert not loras(wan)  # all or nothing
    save_file({f"{name}A.weight": good[f"{name}A.weight"]}, file)
    with pytest.raises(ValueError, match="only one of them"):
        load_lora(wan, file)
    file.write_bytes(b"PK\x03\x04 a pickle, say")
    with pytest.raises(ValueError, match=r"x\.safetensors.*got a pickle"):
        load_lora(wan, file)


def test_a_recipe_chooses_what_trains() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(
        heads=1, head_dim=24, layers=2, adapters=Adapters(keys="81-way", camera="prope", rays="rays", identity=8)
    )
    model = nn.ModuleDict({"base": nn.Linear(24, 24), "adapters": Added(config)})
    add_lora(model, ["base"], rank=2)
    every = {name for name, _ in model.named_parameters()}

    def on() -> set[str]:
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    chosen = {"lora": ["base.lora_A.weight", "base.lora_B.weight"], "adapters": [n for n in every if n[:4] == "adap"]}
    assert set(trainable(model, "lora")) == on() == set(chosen["lora"])
    assert set(trainable(model, "adapters")) == on() == set(chosen["adapters"])
    assert set(trainable(model, ["lora", "adapters"])) == on() == every - {"base.weight", "base.bias"}
    assert set(trainable(model, "all")) == on() == every
    assert on() != set(trainable(model, "adapters.blocks.1.camera.*")) == {f"adapters.blocks.1.camera.{p}" for p in
                                                                        ("weight", "bias")}  # fmt: skip
    with pytest.raises(ValueError, match="got none"):
        trainable(model, "no.such.*")


def test_it_learns_and_the_base_does_not() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"to_q": nn.Linear(8, 8)})
    add_lora(model, ["to_q"], rank=2)
    trainable(model, "lora")
    layer, x, y = model["to_q"], torch.randn(16, 8), torch.randn(16, 8)
    assert isinstance(layer, Lora)
    kept = layer.weight.clone()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.3)
    losses: list[float] = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0] and torch.equal(layer.weight, kept)
