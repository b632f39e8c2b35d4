"""The model is what it says it is; and a check that finds nothing would have found what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from perdure.bench import differences, model, streams, wans
from perdure.models import attention, dit, streaming, taehv, vae, weights
from perdure.models.adapters import added
from perdure.models.config import TransformerConfig
from perdure.runtime import prompted

MP = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five ways of looking, two that differ most."""
    for each in (model, streams):
        monkeypatch.setattr(each, "KINDS", ("full", "chunk-causal", "block-diagonal"))


def found(name: str) -> dict[str, Any]:
    told = model.run(only=name, configs=4)
    assert told["checks"].keys() == {name} and told["passed"] == told["checks"][name]["passed"]
    return told["checks"][name]


def after(owner: Any, name: str, change: Callable[[Any], Any]) -> Callable[[MP], None]:
    """What a function gives, changed."""
    right = getattr(owner, name)
    return lambda patch: patch.setattr(owner, name, lambda *args, **named: change(right(*args, **named)))


def saved_a_little_off(patch: MP) -> None:
    right = weights.files.write

    def write(place: Any, stem: str, sizes: Any, get: Callable[[str], Tensor], shard: int) -> Any:
        return right(place, stem, sizes, lambda name: get(name).nextafter(get(name) + 1), shard)

    patch.setattr(weights.files, "write", write)


def other_clock(patch: MP) -> None:
    """Where memories stand depends on how often it was asked."""
    calls, right = iter(range(10**6)), streaming.reframed

    def late(*args: int) -> list[range]:
        return [range(at.start + by, at.stop + by) for at, by in zip(right(*args), calls)]

    patch.setattr(streaming, "reframed", late)


def narrow(patch: MP) -> None:
    """Layers of true size, but for what makes them large."""
    small = {name: replace(config, heads=2, ffn=64, text_dim=32) for name, config in wans.TRUE.items()}
    patch.setattr(wans, "TRUE", small)


def other_shares(patch: MP) -> None:
    narrow(patch)
    patch.setattr(TransformerConfig, "axes", property(lambda self: (48, 40, 40)))  # of 128, where Wan has 44, 42, 42


def fading(made: tuple[Tensor, taehv.Carried]) -> tuple[Tensor, taehv.Carried]:
    """What a decoder carries over grows fainter."""
    return made[0], taehv.Carried(tuple(0.9 * x for x in made[1].last))


WRONG: dict[str, list[Callable[[MP], None]]] = {
    "tiny_error": [
        after(dit, "modulated", lambda parts: (*parts[:-1], parts[-1] * 1.001)),
        lambda patch: patch.setattr(dit.Attention, "split", lambda self, x: x.unflatten(-1, (-1, self.heads)).mT),
    ],
    "true_shape_error": [other_shares],
    "zero_init_is_wan": [after(added.InBlock, "hear", lambda x: x * (1 + 2**-7))],
    "zero_init_is_diffusers": [after(added.InBlock, "look", lambda x: x * 1.001)],
    "stream_equals_full": [
        after(dit.Transformer, "remember", lambda kept: (kept[0], kept[1] * 1.001)),
        lambda patch: patch.setattr(dit, "readers", lambda kind, roles: None),
        after(streaming, "shift", lambda by: by + 1),  # all but the sink
    ],
    "decoders_stream_equals_full": [
        after(taehv.Taehv, "decode", fading),
        after(vae.WanVae, "decode", lambda made: (made[0] * 1.001, made[1])),
    ],
    "rebuild_bitwise": [
        other_clock,
        lambda patch: patch.setattr(taehv.Taehv, "lookback", property(lambda self: 7)),
    ],
    "prompt_path_equals_wan_pipeline": [after(prompted, "fitted", lambda picture: picture * 0.999)],
    "roundtrip": [saved_a_little_off],
    "taehv_formulas": [lambda patch: patch.setattr(taehv.SoftClamp, "forward", lambda self, x: x.clamp(-3, 3))],
    "attention_equal": [lambda patch: patch.setattr(attention, "by_head", lambda mask: None)],
}


@pytest.mark.parametrize("name", [it for it in model.CHECKS if it != "true_shape_error"])
def test_what_is_right_passes(name: str) -> None:
    check = found(name)
    assert check["passed"], check
    assert check["value"] <= check["bound"] and check["looked_at"] >= 4


@pytest.mark.parametrize(("name", "at"), [(name, at) for name, wrong in WRONG.items() for at in range(len(wrong))])
def test_what_is_wrong_is_found(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    WRONG[name][at](monkeypatch)
    check = found(name)
    assert not check["passed"] and check["value"] > check["bound"], check


def test_every_check_has_been_seen_to_fail() -> None:
    assert WRONG.keys() == model.CHECKS.keys()


def test_layers_of_true_size_go_through_the_same_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {(c.dim, c.ffn, c.in_channels, c.image_dim) for c in wans.TRUE.values()} == {
        (1536, 8960, 16, 0), (3072, 14336, 48, 0), (5120, 13824, 16, 0), (5120, 13824, 36, 0), (5120, 13824, 36, 1280)
    }  # fmt: skip
    narrow(monkeypatch)
    assert found("true_shape_error")["passed"]


def test_one_that_cannot_be_run_has_failed_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> differences.Figures:
        yield "one", 0.0
        raise RuntimeError("out of paper")

    def nothing() -> differences.Figures:
        yield "one", float("nan")

    checks = {"one": (broken, 1.0), "two": (nothing, 1.0), "three": (lambda: iter([("x", 0.5)]), 1.0)}
    monkeypatch.setattr(model, "CHECKS", checks)
    before = torch.random.get_rng_state()
    told = model.run()
    assert not told["passed"] and [it["passed"] for it in told["checks"].values()] == [False, False, True]
    assert told["checks"]["one"]["error"] == "RuntimeError: out of paper"
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ValueError, match="there are one, two, three"):
        model.run(only="four")
