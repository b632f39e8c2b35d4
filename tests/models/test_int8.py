"""Graphs in int8 are the same graphs, nearly, in half the bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as ops
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perdure.models.graphs import read, write
from perdure.models.int8 import in_int8, layers, ranges, to_int8

F32 = NDArray[np.float32]
RANDOM = np.random.default_rng(0)
FIRST, SECOND, THIRD = (RANDOM.standard_normal((128, 64), dtype=np.float32) for _ in range(3))
STENCIL = RANDOM.standard_normal((32, 16, 3, 3), dtype=np.float32)
SAMPLES = [{"x": RANDOM.standard_normal((7, 64), dtype=np.float32)} for _ in range(4)]


def small() -> ov.Model:
    """Two layers that look at the same, one at what comes of both, and a product of two things that came in."""
    x = ops.parameter([7, 64], np.float32, "x")
    x.output(0).set_names({"x"})
    one, other = (ops.matmul(x, ops.constant(w), False, True) for w in (FIRST, SECOND))
    both = ops.tanh(ops.add(one, other))  # (7, 128)
    last = ops.matmul(both, ops.constant(np.ascontiguousarray(THIRD.T)), False, True)  # (7, 64)
    return whole(ops.matmul(last, x, False, True), x)


def whole(made: Any, x: Any) -> ov.Model:
    return ov.Model([made], [x], "small")  # pyright: ignore[reportGeneralTypeIssues]


def run(model: ov.Model, **inputs: F32) -> F32:
    # Else OpenVINO rounds what comes into layers of int8 weights by itself, group by group.
    exactly = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = ov.Core().compile_model(model, "CPU", exactly)
    return np.array(compiled(inputs)[0])


def apart(made: F32, exact: F32) -> float:
    return float(np.linalg.norm(made - exact) / np.linalg.norm(exact))


@given(st.integers(0, 2**32 - 1), st.floats(-20, 20))
@settings(max_examples=30, deadline=None)
def test_a_weight_is_off_by_half_a_step_of_its_row_at_most(seed: int, decades: float) -> None:
    random = np.random.default_rng(seed)
    weight = random.standard_normal((5, 3, 2, 2)) * 10.0 ** (decades * random.random((5, 1, 1, 1)))
    values, scale = in_int8(weight)
    assert (np.abs(values * scale - weight) <= 0.5001 * scale).all()
    assert (np.abs(values).max((1, 2, 3)) == 127).all()
    assert not in_int8(np.zeros((2, 3)))[0].any()


def test_weights_alone_are_those_of_the_graph_but_for_rounding() -> None:
    model = small()
    assert len(layers(model)) == 3  # the product that has no weights is none
    assert to_int8(model) == 3
    first, second, third = (np.multiply(*in_int8(w)) for w in (FIRST, SECOND, THIRD.T))
    x = SAMPLES[0]["x"]
    expected = np.tanh(x @ first.T + x @ second.T) @ third.T @ x.T
    np.testing.assert_allclose(run(model, x=x), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_what_comes_in_may_be_int8_too() -> None:
    exact, model = run(small(), **SAMPLES[3]), small()
    most = ranges(model, SAMPLES[:3])
    assert sorted(most.values())[1:] == [max(np.abs(s["x"]).max() for s in SAMPLES[:3])] * 2  # tanh's is the least
    assert to_int8(model, most) == 3
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert kinds.count("FakeQuantize") == 2  # what two layers look at is rounded once
    assert 0.002 < apart(run(model, **SAMPLES[3]), exact) < 0.05


def test_convolutions_too() -> None:
    x = ops.parameter([1, 16, 12, 12], np.float32, "x")
    x.output(0).set_names({"x"})
    at = [1, 1]
    model = whole(ops.convolution(x, ops.constant(STENCIL), at, at, at, at), x)
    sample = {"x": RANDOM.standard_normal((1, 16, 12, 12), dtype=np.float32)}
    exact = run(model, **sample)
    most = ranges(model, [sample])
    assert to_int8(model, most) == 1
    assert apart(run(model, **sample), exact) < 0.03


def test_kept_and_read_again_in_half_the_bytes(tmp_path: Path) -> None:
    model = small()
    write([("small", small()), ("again", small())], tmp_path / "half")
    to_int8(model)
    write([("small", model)], tmp_path / "int8")
    sizes = [(tmp_path / name / "weights.bin").stat().st_size for name in ("half", "int8")]
    assert sizes[1] < 0.6 * sizes[0]  # two equal graphs are kept once
    again = read(tmp_path / "int8", ["small"])["small"]
    assert apart(run(again, **SAMPLES[0]), run(model, **SAMPLES[0])) < 1e-3


def test_without_samples_nothing_is_known_of_ranges() -> None:
    with pytest.raises(ValueError, match="expected samples"):
        ranges(small(), [])
