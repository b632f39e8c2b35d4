"""OpenVINO against eager torch, on the same graphs: what `nano.py` starts, for it holds no torch itself.

python -m perdure.bench.race < PLAN.json
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import torch

from perdure.bench.nano import Race
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import examples, graphs
from perdure.models.weights import EXACT
from perdure.runtime.backends import OpenVINO

ASKED = {"encode": 1, "remember": 1, "decode": 1}
"""How often a chunk asks each graph; `denoise` once for each of the preset's noise levels."""


def race(plan: Race) -> dict[str, Any]:
    """How many times as fast OpenVINO is as eager torch in the same precision: each graph, and all that a chunk asks.

    Torch's weights are random, which costs the same. Best of some rounds, in turns. In bf16 torch does by itself
    what bears it (autocast), with weights that are in bf16 before it begins.
    """
    preset = plan.preset
    torch.set_num_threads(plan.threads)
    torch.manual_seed(0)
    modules = graphs(Encoder(preset.codec), Decoder(preset.codec), Transformer(preset.dit))
    backend = OpenVINO(Path(plan.weights), plan.precision, plan.threads)
    half = plan.precision == "bf16"
    if half:
        for module in modules.values():
            for name, weight in module.named_parameters():
                if weight.ndim > 1 and not EXACT.search(name):
                    weight.data = weight.data.bfloat16()
    best = {name: {"openvino": np.inf, "torch": np.inf} for name in modules}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        inputs = examples(preset.codec, preset.dit, preset.height, preset.width)
        for _ in range(plan.rounds):
            for name, module in modules.items():
                tensors = inputs[name]
                arrays = {key: value.numpy() for key, value in tensors.items()}
                works = {"openvino": lambda: backend(name, arrays), "torch": lambda: module.eval()(*tensors.values())}  # noqa: B023
                for who, work in works.items():
                    start = perf_counter()
                    work()
                    best[name][who] = min(best[name][who], 1000 * (perf_counter() - start))
    return ratios(best, dict(ASKED, denoise=len(preset.sigmas)))


def ratios(best: Mapping[str, Mapping[str, float]], asked: Mapping[str, int]) -> dict[str, Any]:
    whole = {who: sum(asked[name] * ms[who] for name, ms in best.items()) for who in ("openvino", "torch")}
    return {
        "chunk": whole["torch"] / whole["openvino"],
        **{name: ms["torch"] / ms["openvino"] for name, ms in best.items()},
        "openvino_ms": {name: ms["openvino"] for name, ms in best.items()},
        "torch_ms": {name: ms["torch"] for name, ms in best.items()},
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(race(msgspec.json.decode(sys.stdin.buffer.read(), type=Race))))
