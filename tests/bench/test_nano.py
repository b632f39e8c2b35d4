"""The bench of the small model: it measures a step whole, in processes that hold nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perdure.bench import nano
from perdure.bench.nano import run
from perdure.bench.race import ratios
from perdure.models.config import NANO, CodecConfig
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import examples, export, graphs
from perdure.presets.preset import Preset

CODEC = CodecConfig(encoder_widths=(16, 16), decoder_widths=(16, 16, 16), blocks=1)
DIT = replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=2, ffn=128, recent=1, recalled=2)
TINY = Preset("tiny", 256, 144, 75.0, CODEC, DIT)
STAGES = {"advance", "recall", "sample", "commit", "remember", "decode"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    modules = graphs(Encoder(CODEC), Decoder(CODEC), Transformer(DIT))
    export(modules, examples(CODEC, DIT, TINY.height, TINY.width), folder)
    return folder


def test_a_step_is_measured_whole(weights: Path) -> None:
    figures = run(chunks=3, timed=2, spots=1, rounds=2, weights=weights, preset=TINY)
    assert figures["memory"]["chunks"] == [1, 3]
    assert figures["memory"]["keyframes"][0] > 0
    for precision, fps in figures["fps"].items():
        step, stages = figures["action_to_first_frame_ms"][precision], figures["stages_ms"][precision]
        assert set(stages) == STAGES
        assert sum(stage["best"] for stage in stages.values()) <= step["best"]
        assert 4000 / step["p95"] <= 1.001 * fps <= 1.002 * 4000 / step["best"]
    assert figures["peak_memory_mb"] >= max(figures["memory"]["resident_mb"])
    for name in ("fps_f32", *(["fps_bf16"] if "bf16" in figures["fps"] else [])):
        check, fps = figures["checks"][name], figures["fps"][name.removeprefix("fps_")]
        assert check["value"] == fps and check["passed"] == (fps >= {"fps_f32": 16, "fps_bf16": 24}[name])
    assert "growth_mb_a_thousand" not in figures["checks"], "three chunks tell nothing of it"
    assert figures["passed"] == all(check["passed"] for check in figures["checks"].values())
    assert ("bf16" in figures["fps"]) == (figures["openvino_over_torch_bf16"] is not None)
    race = figures["openvino_over_torch"]
    assert set(race["torch_ms"]) == {"encode", "remember", "denoise", "decode"}
    assert race["denoise"] == pytest.approx(race["torch_ms"]["denoise"] / race["openvino_ms"]["denoise"])


@pytest.mark.parametrize(("grown", "chunks", "passed"), [(1.0, 2_000, True), (18.4, 2_000, False), (18.4, 1_999, True)])
def test_a_long_walk_is_held_to_what_it_grew_by(
    grown: float, chunks: int, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a latent a chunk, say, in the second."""

    def alone(module: str, plan: nano.Walk) -> dict:
        memory = {"growth_mb_a_thousand": grown if plan.chunks >= nano.LONG else None}
        return {"fps": 25.0, "step_ms": {}, "stages_ms": {}, "peak_mb": 900.0, "memory": memory}

    monkeypatch.setattr(nano, "alone", alone)
    monkeypatch.setattr(nano, "find_spec", lambda name: None)
    figures = run(chunks=chunks, spots=1, preset=TINY)
    assert figures["passed"] is passed and figures["openvino_over_torch"] is None
    assert ("growth_mb_a_thousand" in figures["checks"]) == (chunks >= nano.LONG)


def test_torch_is_not_in_a_process_whose_memory_is_measured() -> None:
    program = "import sys, perdure.bench.nano; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_chunk_counts_each_graph_as_often_as_it_asks_it() -> None:
    best = {"denoise": {"openvino": 2.0, "torch": 6.0}, "decode": {"openvino": 1.0, "torch": 1.0}}
    assert ratios(best, {"denoise": 2, "decode": 1})["chunk"] == 13 / 5


def test_resident_memory_is_what_was_written_to() -> None:
    """In a process of its own: in this one, what earlier tests gave back is taken again and adds nothing."""
    program = """
import numpy as np
from perdure.bench.nano import resident
before = resident()
held = np.ones(100_000_000 // 8)
print(resident() - before)
del held
print(resident(peak=True) - before)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    grown, most = map(float, told.split())
    assert 90 < grown < 130
    assert most >= 90


def test_no_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one chunk"):
        run(chunks=0)
