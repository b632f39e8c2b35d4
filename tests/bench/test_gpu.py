"""The benchmark for GPUs runs through on a processor, small: so it surely does where there is a GPU for minutes."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch

from perdure.presets.wan import Wan, wan_1_3b, wan_5b

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def script() -> Any:
    spec = spec_from_file_location("gpu", SCRIPT)
    assert spec and spec.loader
    module = module_from_spec(spec)

    sys.modules["gpu"] = module  # as dataclasses ask for it
    spec.loader.exec_module(module)
    return module


gpu = script()
MACHINE = gpu.Machine("cpu", "eager", repeats=1)


def tiny(make: Callable[[], Wan]) -> Wan:
    """The preset with all that makes it large made small."""
    preset = make()
    config = replace(preset.dit, heads=2, head_dim=32, layers=2, ffn=64, text_dim=16)
    codec = replace(preset.codec, encoder_width=4, decoder_widths=(8, 8, 4, 4))
    return replace(preset, width=64, height=64, dit=config, codec=codec)


@pytest.mark.parametrize("make", [wan_1_3b, wan_5b])
@pytest.mark.parametrize("way", gpu.WAYS)
def test_a_chunk_is_drawn_and_decoded(make: Any, way: str) -> None:
    preset = tiny(make)
    figures = gpu.chunk(preset, way, MACHINE)
    assert figures["finite"] and figures["frames_a_chunk"] == preset.frames == 4 * preset.latents
    assert {"context", "step", "steps", "clean", "decode"} <= figures["stages_ms"].keys()
    assert figures["tflop"]["steps"] == pytest.approx(4 * figures["tflop"]["step"], abs=1e-5)
    for memory in ("whole", "roll"):
        for order in ("sequential", "overlapped"):
            told = figures[f"{memory}, {order}"]
            assert told["ms"] > 0 and told["fps"] == pytest.approx(1e3 * preset.frames / told["ms"], rel=0.01)
            assert told["real_time"] == pytest.approx(told["fps"] / preset.fps, rel=0.05, abs=2e-3)


def test_what_is_drawn_is_what_the_model_draws() -> None:
    """The buffers hold what the stages were to make of each other."""
    one = gpu.Chunk(tiny(wan_5b), MACHINE, "eager")
    before = one.keys.clone()
    one.context()
    assert not torch.equal(one.keys, before) and one.keys.isfinite().all()
    one.steps()
    first = one.latents.clone()
    assert first.std() > 0.1 and not torch.equal(first, one.noise[0])
    one.steps()
    assert torch.equal(one.latents, first)
    assert torch.equal(one.masked_step(), one.step())  # all of memory is there
    one.clean()
    assert one.new[0].abs().sum() > 0 and one.new[1].shape[2] == one.preset.latents
    one.kept.zero_()
    one.context()
    one.steps()
    assert not torch.equal(one.latents, first)  # memory counts


def test_bf16_is_compared_with_float32_and_diffusers() -> None:
    told = gpu.parity(replace(tiny(wan_1_3b).dit), MACHINE)
    assert told["passed"] and 0 < told["ours"] < 0.05 and told["float32_against_diffusers"] < 1e-5


def test_kernels_are_compared_and_one_that_is_not_there_is_told() -> None:
    told = gpu.attention(tiny(wan_5b), MACHINE)
    assert told["step: math"]["ms"] > 0 and isinstance(told["step: cudnn"], str)


def test_every_part_has_its_turn_and_is_not_run_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = list(gpu.parts(MACHINE))
    assert names[:3] == ["parity", "wan-5b attention", "wan-5b graphs"] and names[-1] == "wan-1.3b vae"
    assert len(names) == 2 + 2 * 4 + 2
    calls: list[str] = []

    def part(name: str) -> dict[str, Any]:
        calls.append(name)
        if name == "b" and calls.count("b") == 1:
            raise RuntimeError("CUDA out of memory")
        return {"whole, sequential": {"ms": 10.0, "fps": 1600.0, "real_time": 66.7}, "peak_gb": 1.0}

    todo = {name: (lambda name=name: part(name)) for name in "abc"}
    out = tmp_path / "gpu.json"
    first = gpu.run(todo, out, only="")
    assert calls == ["a", "b", "c"] and first["b"] == {"error": "RuntimeError: CUDA out of memory"}
    assert "failed: RuntimeError" in gpu.table(first) and "| a, whole, sequential | 10.0 | 1600.0" in gpu.table(first)
    assert json.loads(out.read_text()) == first
    assert "error" not in gpu.run(todo, out)["b"] and calls == ["a", "b", "c", "b"]
    assert gpu.run({"d": dict}, out, minutes=-1)["d"] == {"error": gpu.SPENT}
    assert "e" not in gpu.run({"e": dict}, out, only="x")


def test_without_a_gpu_it_says_so_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main(["--out", str(tmp_path / "gpu.json")])
    assert "no GPU here" in capsys.readouterr().out and not list(tmp_path.iterdir())
