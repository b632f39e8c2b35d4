"""Eight bits lose what the format says they lose, and no more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from perdure.models.adapters.lora import add_lora, loras, merge_lora
from perdure.models.attention import Roles, attend_plain
from perdure.models.conditions import Cameras, Given
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.dit import Transformer
from perdure.models.quantise import (
    FINEST,
    LARGEST,
    QUERIES,
    ROUNDING,
    Fp8Linear,
    attend_int8,
    in_fp8,
    in_int8,
    to_fp8,
)
from perdure.models.weights import save

TINY = TransformerConfig(heads=2, head_dim=32, layers=2, ffn=96, text_dim=32, text_length=8)


@given(st.integers(0, 2**32 - 1), st.floats(-6, 6), st.booleans())
@settings(max_examples=50, deadline=None)
def test_float8_is_near_for_large_and_small_alike(seed: int, decades: float, rows: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(5, 33, generator=random) * 10 ** (decades * torch.rand(5, 1, generator=random))
    kept = in_fp8(x, rows)
    bound = (ROUNDING * x.abs()).maximum(FINEST * kept.scale)
    assert bool(((kept.restored() - x).abs() <= 1.0001 * bound).all())
    assert kept.values.float().abs().max() == LARGEST  # nothing of its range is given away


def test_nothing_is_kept_as_nothing() -> None:
    x = torch.zeros(3, 16)
    assert in_fp8(x).restored().eq(0).all() and in_fp8(x, rows=False).restored().eq(0).all()
    assert in_int8(x[None, None], 4).restored().eq(0).all()


def test_a_row_is_not_spoilt_by_a_large_one() -> None:
    x = torch.stack([torch.randn(64), 1e6 * torch.randn(64)])
    error = [relative(in_fp8(x, rows).restored()[0], x[0]) for rows in (True, False)]
    assert error[0] < 0.04 and error[1] > 0.2


@torch.no_grad()
@pytest.mark.parametrize("rows", [True, False])
def test_a_layer_in_float8(rows: bool) -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(256, 96), torch.randn(2, 7, 256)
    layer = Fp8Linear(linear, rows)
    assert layer.weight.element_size() == 1 and layer(x).dtype == x.dtype
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    # Each factor is off by up to a sixteenth, by chance up or down: sums are off by a root mean square of that.
    assert 0.01 < relative(layer(x), linear(x)) < 0.05
    torch.testing.assert_close(layer(x[:, :1]), layer(x)[:, :1], atol=1e-5 if rows else 1, rtol=1e-5)


def test_channels_that_no_kernel_takes_are_refused_or_left() -> None:
    with pytest.raises(ValueError, match="in 16s"):
        Fp8Linear(nn.Linear(40, 32))
    model = Transformer(replace(TINY, ffn=40))
    assert to_fp8(model) == 16 and isinstance(model.get_submodule("blocks.0.ffn.net.2"), nn.Linear)


@torch.no_grad()
def test_a_transformer_in_float8_draws_nearly_the_same() -> None:
    model, inputs = drawn()
    exact = model(*inputs)
    before = sum(p.numel() for p in model.parameters())
    assert to_fp8(model) == 20
    assert relative(model(*inputs), exact) < 0.06
    assert sum(p.numel() for p in model.parameters()) < 0.5 * before


@torch.no_grad()
def test_lora_goes_into_float8_with_the_weights_or_not_at_all() -> None:
    torch.manual_seed(0)
    model, plain = Transformer(TINY), Transformer(TINY)
    add_lora(model, ["attn1.to_*"], 16)
    for lora in loras(model).values():
        nn.init.normal_(lora.lora_B.weight, std=0.1)
    before = {name: it.clone() for name, it in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"whose LoRA is merged, got 8 .* blocks\.0\.attn1\.to_q: call"):
        to_fp8(model)
    assert all(torch.equal(it, before[name]) for name, it in model.state_dict().items())
    merge_lora(model)
    merged = loras(model)["blocks.0.attn1.to_q"].weight.clone()
    assert to_fp8(model) == to_fp8(plain) and not loras(model)
    assert torch.equal(model.get_buffer("blocks.0.attn1.to_q.weight").float(), in_fp8(merged).values.float())


def test_what_nobody_could_open_is_not_saved(tmp_path: Path) -> None:
    model = Transformer(TINY)
    to_fp8(model)
    with pytest.raises(ValueError, match=r"layers in float8, .*blocks\.0\.attn1\.to_q: save the model before to_fp8"):
        save(model, tmp_path / "it")
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_another_kernel_takes_the_place_of_self_attention() -> None:
    model, inputs = drawn()
    exact = model(*inputs)
    model.attend = attend_int8
    assert 0 < relative(model(*inputs), exact) < 0.01
    model.attend = lambda q, k, v, mask: attend_plain(q, k, v, mask)
    torch.testing.assert_close(model(*inputs), exact, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_another_kernel_serves_cameras_too_and_does_not_pass_a_flex_mask_on() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(
        in_channels=4, out_channels=4, heads=2, head_dim=24, layers=2, ffn=48, text_dim=0, frequency_dim=16,
        history="chunk-causal", adapters=Adapters(camera="prope"),
    )  # fmt: skip
    model = Transformer(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    asked: list[int] = []

    def counted(*args: Any) -> Tensor:
        asked.append(1)
        return attend_int8(*args)

    latents, level, chunk = torch.randn(1, 4, 2, 4, 4), torch.full((1,), 500.0), torch.arange(2)
    given = Given(cameras=Cameras(*(torch.eye(4).expand(1, 2, 4, 4),) * 2))
    exact = model(latents, level, given=given)
    model.attend = counted
    assert 0 < relative(model(latents, level, given=given), exact) < 0.05
    assert len(asked) == 2 * config.layers
    with pytest.raises(ValueError, match="expected a mask as a tensor for attention in int8, got flex's"):
        model(latents, level, given=given, roles=Roles(chunk, chunk == 1), flex=True)


@given(st.integers(1, 300), st.integers(1, 200), st.booleans())
@settings(max_examples=25, deadline=None)
def test_attention_in_int8_is_near_the_exact_one(queries: int, keys: int, masked: bool) -> None:
    torch.manual_seed(queries * 1000 + keys)
    q, k, v = (torch.randn(2, n, 3, 64) for n in (queries, keys, keys))
    mask = torch.rand(2, queries, keys) > 0.5 if masked else None
    if mask is not None:
        mask[..., 0] = True
    exact = attend_plain(q, k, v, mask)
    assert relative(attend_int8(q, k, v, mask), exact) < 0.02


def test_what_all_keys_have_in_common_costs_nothing() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 200, 2, 64) for _ in range(3))
    common = 20 * torch.randn(1, 1, 2, 64)
    one, other = attend_int8(q, k, v), attend_int8(q, k + common, v)
    assert relative(other, one) < 0.01
    # Without taking it off, keys would be rounded to steps of its size.
    scores = q.transpose(1, 2) @ in_int8((k + common).transpose(1, 2), 64).restored().transpose(-1, -2) / 8
    rough = (scores.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2)
    assert relative(rough, attend_plain(q, k, v)) > 0.05


def test_blocks_have_scales_of_their_own() -> None:
    x = torch.ones(1, 1, 2 * QUERIES + 3, 8)
    x[:, :, QUERIES:] = 100
    kept = in_int8(x, QUERIES)
    assert kept.restored().equal(x) and kept.values.eq(127).all()


def drawn() -> tuple[Transformer, tuple[Tensor, ...]]:
    """A model that has learnt something, and what to ask it."""
    torch.manual_seed(0)
    model = Transformer(TINY).eval()
    nn.init.normal_(model.proj_out.weight, std=0.1)
    return model, (torch.randn(1, 16, 3, 8, 8), torch.full((1,), 500.0), torch.randn(1, 8, 32))


def relative(made: Tensor, exact: Tensor) -> float:
    return float((made - exact).norm() / exact.norm())
