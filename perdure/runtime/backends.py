"""The models, running: exported graphs in OpenVINO, or the torch modules that they came from.

Both answer to the same verbs on numpy arrays. Playing needs only OpenVINO; torch is the twin that
training and tests compare with.

Shapes: T frames a chunk, H W frame size, h w latent size, C latent channels, A action features,
M memory slots, L layers, N tokens, D head size.
"""

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import mujoco
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from perdure.models.graphs import Shapes, names_of, read

F32 = NDArray[np.float32]
GRAPHS = ("encode", "remember", "denoise", "decode")
WEIGHTS = Path(__file__).parent.parent / "weights" / "nano"


class Backend(Protocol):
    """One set of weights. It holds no world: the same backend serves many."""

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...

    def fingerprint(self) -> dict[str, str]: ...

    def shapes(self) -> Shapes:
        """What its graphs take, by graph and name; nothing of those that take any shape."""
        ...


class OpenVINO:
    """The exported graphs, compiled for this processor. `threads` and `precision` are part of the fingerprint."""

    def __init__(self, folder: Path = WEIGHTS, precision: str | None = None, threads: int = 1) -> None:
        self._fingerprint = fingerprint(folder, precision, threads)
        core = ov.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": self._fingerprint["precision"],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        # Names and shapes are those of the graphs as they were read: compiled, a port has its tracer's names as well.
        models = read(folder, GRAPHS)
        self.outputs = {name: [names_of(port) for port in model.outputs] for name, model in models.items()}
        self.inputs = {
            name: {names_of(port): tuple(port.shape) for port in model.inputs} for name, model in models.items()
        }
        self.graphs = {name: core.compile_model(model, "CPU", settings) for name, model in models.items()}
        # One request a graph: its input and output buffers are allocated once.
        self.requests = {name: graph.create_infer_request() for name, graph in self.graphs.items()}

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if inputs.keys() != self.inputs[graph].keys():  # else it would take what memory happens to hold
            odd = ", ".join(sorted(inputs.keys() ^ self.inputs[graph].keys()))
            raise ValueError(
                f"expected {', '.join(self.inputs[graph])} for the graph {graph!r}, missing or too much: {odd}"
            )
        result = self.requests[graph].infer(dict(inputs), share_inputs=True)
        return {name: np.array(result[name]) for name in self.outputs[graph]}

    def fingerprint(self) -> dict[str, str]:
        return dict(self._fingerprint)

    def shapes(self) -> Shapes:
        return self.inputs


def fingerprint(folder: Path = WEIGHTS, precision: str | None = None, threads: int = 1) -> dict[str, str]:
    """What frames depend on besides the world if it is played with these; no model is loaded to say it."""
    missing = [n for n in (*(f"{g}.xml.gz" for g in GRAPHS), "weights.bin") if not (folder / n).exists()]
    if missing:
        raise ValueError(
            f"expected exported graphs in {folder}, found no {', '.join(missing)}: "
            "train and export them with `python -m perdure.recipes.nano`"
        )
    core = ov.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    # A processor without bf16 emulates it, fifty times slower.
    precision = precision or ("bf16" if "BF16" in able else "f32")
    if precision not in ("bf16", "f32"):
        raise ValueError(f"expected a precision of bf16 or f32, got {precision!r}")
    if precision == "bf16" and "BF16" not in able:
        raise ValueError("expected a processor with bf16 for that precision, this one has none: use f32")
    return {
        "weights": hashlib.sha256((folder / "weights.bin").read_bytes()).hexdigest()[:16],
        "precision": precision,
        "threads": str(threads),
        "openvino": ov.__version__,
        "numpy": np.__version__,
        "mujoco": mujoco.__version__,
        "processor": f"{platform.machine()} {core.get_property('CPU', 'FULL_DEVICE_NAME')}",
    }
