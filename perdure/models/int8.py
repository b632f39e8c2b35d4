"""Exported graphs in int8: their weights alone, or what goes into each product as well.

Weights are int8 with a scale for each channel that they make, which is a constant beside them; half of what
float16 takes. Where the ranges of what comes in are known from samples, that is rounded to int8 too, and OpenVINO
then multiplies whole numbers. With f32 it does so even where only weights are int8, by ranges of groups of 32 that
it finds anew each time, unless DYNAMIC_QUANTIZATION_GROUP_SIZE is 0. No torch is needed: graphs go in and come out.

What it costs in quality was measured: `benchmarks/LOG.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from numpy.typing import NDArray

SMALLEST = 4096  # weights of a layer: fewer are not worth a scale
PRODUCTS = ("MatMul", "Convolution")
LEVELS = 255  # from -127 to 127: what is symmetric needs no offset


def in_int8(weight: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights (O, ...) and the scale of each of their rows, of a shape that spreads over them."""
    full = weight.astype(np.float32)
    most = np.abs(full).max(tuple(range(1, full.ndim)), keepdims=True)
    scale = np.maximum(most, np.float32(1e-30)) / np.float32(127)
    return np.rint(full / scale).astype(np.int8), scale.astype(np.float32)


def layers(model: ov.Model) -> dict[str, tuple[Any, NDArray[Any]]]:
    """Products of what comes in with weights, by name: the node, and its weights (O, ...)."""
    found: dict[str, tuple[Any, NDArray[Any]]] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in PRODUCTS:
            continue
        weight = node.input_value(1).get_node()
        if weight.get_type_name() == "Convert":  # kept in half precision
            weight = weight.input_value(0).get_node()
        rows = node.get_type_name() == "Convolution" or bool(node.get_attributes().get("transpose_b"))
        if weight.get_type_name() == "Constant" and weight.get_element_type().is_real() and rows:
            data = np.array(weight.data)
            if data.size >= SMALLEST:
                found[node.get_friendly_name()] = node, data
    return found


def ranges(model: ov.Model, samples: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, float]:
    """The largest number that comes into each layer over some inputs of a graph, in full precision."""
    watched = model.clone()
    came = {name: node.input_value(0) for name, (node, _) in layers(watched).items()}
    sources = {source_of(output): output for output in came.values()}  # several layers may look at the same
    watched.add_outputs(list(sources.values()))
    request = ov.Core().compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    most = np.zeros(len(sources))
    for sample in samples:
        request.infer(dict(sample))
        seen = [request.get_output_tensor(len(model.outputs) + i).data for i in range(len(sources))]
        most = np.maximum(most, [float(np.abs(x).max()) for x in seen])
    if not most.any():
        raise ValueError("expected samples of what comes into the graph, to see how large it gets, got none")
    largest = dict(zip(sources, most.tolist(), strict=True))
    return {name: largest[source_of(output)] for name, output in came.items()}


def to_int8(model: ov.Model, most: Mapping[str, float] | None = None) -> int:
    """Put int8 weights in the place of a graph's own, and say of how many layers.

    With `most` from `ranges`, what comes into the layers that it names is int8 too; else only weights are.
    """
    made = layers(model)
    rounded: dict[tuple[str, int], Any] = {}  # what several layers look at is rounded once
    for name, (node, data) in made.items():
        values, scale = in_int8(data)
        whole = ops.convert(ops.constant(values), "f32")
        node.input(1).replace_source_output(ops.multiply(whole, ops.constant(scale)).output(0))
        if most is not None and most.get(name, 0) > 0:
            source, top = node.input_value(0), most[name]
            key = source_of(source)
            if key not in rounded:
                low, high = (ops.constant(np.float32(end)) for end in (-top, top))
                rounded[key] = ops.fake_quantize(source, low, high, low, high, LEVELS)
            node.input(0).replace_source_output(rounded[key].output(0))
    model.validate_nodes_and_infer_types()
    return len(made)


def source_of(output: Any) -> tuple[str, int]:
    return output.get_node().get_friendly_name(), output.get_index()
