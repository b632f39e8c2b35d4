"""The benchmark for GPUs runs through on a processor, small: so it surely does where there is a GPU for minutes."""

import json
import time
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch

from perdure.bench.chunks import Chunk, Lived, counted, needed, worldplay
from perdure.presets.wan import wan_1_3b, wan_5b

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def script() -> Any:
    spec = spec_from_file_location("gpu", SCRIPT)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gpu = script()
SMALL, LARGE = gpu.tiny(wan_1_3b()), gpu.tiny(wan_5b())


def test_a_dry_run_goes_through_all_parts_and_loses_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "gpu.json"
    assert gpu.main(["--out", str(out), "--dry", "--only", "wan-5b"]) == 0
    done = json.loads(out.read_text())
    assert set(done) == {name for name in gpu.parts(gpu.DRY, SMALL, LARGE) if "wan-5b" in name}
    for name, figures in done.items():
        assert "error" not in figures, name
        assert figures.get("passed") is True or name == "wan-5b attention"
    for name, memories in (("wan-5b worldplay live fp8", ["whole"]), ("wan-5b fp8", ["whole", "roll"])):
        figures = done[name]
        assert figures["stages_ms"].keys() >= {"context", "step", "steps", "decode"} and figures["frames_a_chunk"] == 16
        for memory in memories:
            for order in ("sequential", "overlapped"):
                told = figures[f"{memory}, {order}"]
                assert told["ms"] > 0 and told["fps"] == pytest.approx(1e3 * 16 / told["ms"], rel=0.01)
                assert told["real_time"] == pytest.approx(told["fps"] / 24, rel=0.05, abs=2e-3)
    assert "clean" not in done["wan-5b worldplay live fp8"]["stages_ms"]
    eight = done["wan-5b quality"]
    assert 15 < eight["fp8 and int8 attention"]["db"] < eight["int8 attention"]["db"] < 70
    assert eight["fp8"]["relative"] < 0.2 and eight["layers_in_fp8"] == 2 * 10
    assert done["wan-5b attention"]["step: math"]["ms"] > 0
    assert isinstance(done["wan-5b attention"]["step: cudnn"], str), "a kernel that is not there is told"
    assert "| wan-5b worldplay live compiled, whole, overlapped |" in capsys.readouterr().out


def test_the_small_one_is_drawn_too() -> None:
    figures = gpu.chunk(SMALL, "eager", gpu.DRY)
    assert figures["passed"] and figures["frames_a_chunk"] == 12 and "step_with_a_mask" in figures["stages_ms"]
    assert gpu.live(worldplay(SMALL), "eager", gpu.DRY)["passed"]
    told = gpu.parity(SMALL.dit, gpu.DRY)
    assert told["passed"] and 0 < told["ours"] < 0.05 and told["float32_against_diffusers"] < 1e-5


def test_what_is_drawn_is_what_the_model_draws() -> None:
    """The buffers hold what the stages were to make of each other."""
    one = Chunk(LARGE, gpu.DRY, "eager")
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


def test_the_library_draws_the_same_as_the_bare_model() -> None:
    bare, lived = Chunk(LARGE, gpu.DRY, "eager"), Lived(LARGE, gpu.DRY, "eager")
    bare.model.load_state_dict(lived.model.state_dict())
    bare.heard, bare.noise = lived.heard, lived.noise
    bare.kept.copy_(torch.stack(lived.kept, 1)[None])
    for one in (bare, lived):
        one.context()
        one.steps()
    assert torch.equal(bare.latents, lived.latents)


@pytest.mark.parametrize("what", ["kept", "keys", "poses"])
def test_all_that_worldplay_is_told_counts(what: str) -> None:
    one = Lived(worldplay(LARGE), gpu.DRY, "eager")
    gpu.wans.stirred(one.model)
    first = gpu.velocity(one)
    assert torch.equal(gpu.velocity(one), first)
    if what == "kept":
        one.kept[0].zero_()
    elif what == "keys":
        one.keys[:, -1] = (one.keys[:, -1] + 40) % 81
    else:
        one.poses[:, 0, :3, 3] += 3.0  # where the oldest of memory was seen from
    assert not torch.equal(gpu.velocity(one), first)


def test_operations_are_counted() -> None:
    preset, config, asking, known = LARGE, LARGE.dit, 4 * 4, 16 * 4  # four tokens a latent
    work, higher = counted(preset), counted(replace(preset, dit=replace(config, layers=config.layers + 2)))
    a_layer = 2 * asking * (6 * config.dim**2 + 2 * config.dim * config.ffn)
    a_layer += 4 * asking * (asking + known) * config.dim + 4 * asking * 512 * config.dim
    assert 1e12 * (higher["step"] - work["step"]) == pytest.approx(2 * a_layer, rel=1e-6)
    assert work["steps"] == pytest.approx(4 * work["step"]) and work["clean"] < work["step"] < work["context"]
    more = counted(worldplay(preset))
    assert more["step"] > 1.1 * work["step"] and more["decode"] == work["decode"], "cameras are a second attention"
    paces = needed(preset, work, fps=30)
    assert paces["whole"] == pytest.approx((work["context"] + work["steps"] + work["decode"]) * 30 / 16)
    assert paces["roll"] == pytest.approx((work["steps"] + work["clean"] + work["decode"]) * 30 / 16)


def test_every_part_has_its_turn_and_is_not_run_twice(tmp_path: Path) -> None:
    names = list(gpu.parts(gpu.DRY, SMALL, LARGE))
    assert names[2] == "wan-5b worldplay live compiled" and names[-1] == "wan-1.3b vae"
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


def test_a_part_that_takes_too_long_is_stopped_and_the_next_has_its_turn(tmp_path: Path) -> None:
    done = gpu.run({"a": lambda: time.sleep(60), "b": dict}, tmp_path / "gpu.json", longest=0.05)
    assert done["a"]["error"].startswith("Late: stopped") and done["b"] == {}


@pytest.mark.parametrize(("part", "code"), [({"passed": True}, 0), ({"passed": False}, 1), ({"error": "x"}, 1)])
def test_what_does_not_pass_makes_the_exit_code(
    part: dict[str, Any], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "parts", lambda *_: {"a": lambda: part})
    assert gpu.main(["--out", str(tmp_path / "gpu.json"), "--dry"]) == code


def test_without_a_gpu_it_says_so_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 0
    assert "no GPU here" in capsys.readouterr().out and not list(tmp_path.iterdir())
