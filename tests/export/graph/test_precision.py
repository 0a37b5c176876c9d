"""Strongly typed graphs: what is narrow, what stays float32 and why, and that the numbers survive; the opset gate."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cathrt.export.graph import precision
from cathrt.export.graph.fold import Layout, canonical
from cathrt.export.graph.precision import (
    ELEMENTS,
    OPSET_LIMIT,
    TYPED_TOLERANCE,
    CpuTarget,
    Element,
    check_opset,
    kept_nodes,
    typed,
)
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.bundle.onnx_file import OPSETS, check_onnx
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError

SIDE = 64
ALL = [
    pytest.param(layout, element, id=f"{layout}-{element}")
    for layout in get_args(Layout)
    for element in get_args(Element)
]


@pytest.fixture(scope="module")
def plain() -> ModelProto:
    torch.manual_seed(13)
    network = ConvNext(ARCHS["convnext_atto"], classes=6, layer_scale=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return onnx.load_from_string(onnx_from_state(network.state_dict(), height=SIDE, width=SIDE))


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(plain: ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
    return in_onnxruntime(plain, image)


def in_onnxruntime(model: ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {model.graph.input[0].name: image})[0]


def in_openvino(model: ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
    core = ov.Core()
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties)({"image": image})["logits"]


def in_reference(model: ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every operator in the type of its inputs, as ONNX defines it: the only one here that rounds after each."""
    return ReferenceEvaluator(model).run(None, {"image": image})[0]


def relative_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    assert found.dtype == np.float32
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def tensor_types(model: ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    ports = [*graph.input, *graph.output, *graph.value_info]
    return {port.name: port.type.tensor_type.elem_type for port in ports} | {
        tensor.name: tensor.data_type for tensor in graph.initializer
    }


def with_weight(model: ModelProto, name: str, value: float) -> ModelProto:
    """A copy with one element of one weight exchanged."""
    copy = ModelProto()
    copy.CopyFrom(model)
    (tensor,) = (tensor for tensor in copy.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return copy


@pytest.mark.parametrize(("layout", "element"), ALL)
def test_layers_are_narrow_and_kept_nodes_and_the_ports_are_float32(
    plain: ModelProto, layout: Layout, element: Element
) -> None:
    model = canonical(plain, layout)
    kept, narrow = kept_nodes(model), typed(model, element)
    types = tensor_types(narrow)
    floats = set(ELEMENTS.values())
    for node in narrow.graph.node:
        if node.op_type != "Cast":
            wanted = TensorProto.FLOAT if node.name in kept else ELEMENTS[element]
            assert {types[name] for name in (*node.input, *node.output)} & floats == {wanted}, node.name
    assert types["image"] == types["logits"] == TensorProto.FLOAT
    layers = {node.name for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gelu", "Transpose")}
    norms = {node.name for node in model.graph.node if ".norm" in node.name or node.op_type == "LayerNormalization"}
    assert not layers & kept
    assert norms <= kept
    assert {"head.pool", "head.fc"} <= kept
    assert not {node.name for node in model.graph.node if node.name.endswith(".residual")} & kept


@pytest.mark.parametrize(("layout", "element"), ALL)
def test_rounding_after_every_operator_stays_within_the_tolerance(
    plain: ModelProto, image: NDArray[np.float32], expected: NDArray[np.float32], layout: Layout, element: Element
) -> None:
    found = in_reference(typed(canonical(plain, layout), element), image)
    assert 0 < relative_error(found, expected) <= TYPED_TOLERANCE[element]


@pytest.mark.parametrize("layout", get_args(Layout))
def test_onnxruntime_runs_float16(
    plain: ModelProto, image: NDArray[np.float32], expected: NDArray[np.float32], layout: Layout
) -> None:
    found = in_onnxruntime(typed(canonical(plain, layout), "float16"), image)
    assert 0 < relative_error(found, expected) <= TYPED_TOLERANCE["float16"]


@pytest.mark.parametrize(("layout", "element"), ALL)
def test_openvino_reads_either_type(
    plain: ModelProto, image: NDArray[np.float32], expected: NDArray[np.float32], layout: Layout, element: Element
) -> None:
    found = in_openvino(typed(canonical(plain, layout), element), image)
    assert 0 < relative_error(found, expected) <= TYPED_TOLERANCE[element]


def test_kept_norms_survive_activations_whose_squares_overflow_half(
    plain: ModelProto, image: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = canonical(plain, "nchw")
    for tensor in model.graph.initializer:
        if tensor.name.startswith("stem.0."):  # before the first norm: 300 times the values, the same result
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(300), tensor.name))
    expected = in_onnxruntime(model, image)
    assert relative_error(in_reference(typed(model, "float16"), image), expected) <= TYPED_TOLERANCE["float16"]
    monkeypatch.setattr(precision, "KEPT", {})
    with np.errstate(all="ignore"):
        naive = in_reference(typed(model, "float16"), image)
    assert not np.abs(naive - expected).max() <= TYPED_TOLERANCE["float16"] * np.abs(expected).max()


@pytest.mark.parametrize("value", [7e4, np.inf, np.nan])
def test_a_weight_that_half_cannot_hold_is_refused_by_name(plain: ModelProto, value: float) -> None:
    model = canonical(with_weight(plain, "stages.1.downsample.1.weight", value), "nchw")
    with pytest.raises(EngineError, match=r"stages\.1\.downsample\.1\.weight: largest weight .* 65504"):
        typed(model, "float16")


def test_bfloat16_holds_what_half_cannot(plain: ModelProto) -> None:
    model = typed(canonical(with_weight(plain, "stages.1.downsample.1.weight", 7e4), "nchw"), "bfloat16")
    (weight,) = (t for t in model.graph.initializer if t.name == "stages.1.downsample.1.weight.bfloat16")
    assert float(np.abs(numpy_helper.to_array(weight)).max()) > 65_504


def test_a_large_weight_of_a_kept_layer_is_no_reason_to_refuse(plain: ModelProto) -> None:
    typed(canonical(with_weight(plain, "head.fc.bias", 7e4), "nchw"), "float16")


def test_a_graph_with_casts_is_refused(plain: ModelProto) -> None:
    with pytest.raises(ValueError, match="is a Cast"):
        typed(typed(canonical(plain, "nchw"), "float16"), "float16")


@pytest.mark.parametrize("element", get_args(Element))
def test_the_same_model_gives_the_same_bytes_that_the_runtime_lets_in(plain: ModelProto, element: Element) -> None:
    model = canonical(plain, "nchw")
    first, second = (typed(model, element).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert len(first) < 0.52 * model.ByteSize()
    assert "Conv" in check_onnx("model.onnx", first).operators


def quantised(scale: float = 0.02, last: str = "Conv") -> ModelProto:
    """image, QuantizeLinear, DequantizeLinear, one layer of int8 weights, logits."""
    rng = np.random.default_rng(5)
    shape = (4, 3, 1, 1) if last == "Conv" else (4, 3)
    weights: dict[str, NDArray[Any]] = {
        "x.scale": np.array(0.03, np.float32),
        "zero": np.zeros((), np.int8),
        "w": rng.integers(-127, 128, shape).astype(np.int8),
        "w.scale": np.array([scale, 0.01, 0.02, 0.03], np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
        "w.zero": np.zeros(4, np.int8),
    }
    layer: dict[str, Any] = {} if last == "Conv" else {"transB": 1}
    image, logits = ((1, 3, 2, 2), (1, 4, 2, 2)) if last == "Conv" else ((1, 3), (1, 4))
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "x.scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "x.scale", "zero"], ["dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["w.dq"], name="w.dq", axis=0),
        helper.make_node(last, ["dq", "w.dq", "bias"], ["logits"], name="layer", **layer),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize("element", get_args(Element))
@pytest.mark.parametrize("last", ["Conv", "Gemm"])
def test_int8_stays_int8_and_what_stands_around_it_is_narrow(last: str, element: Element) -> None:
    before = quantised(last=last)
    narrow = typed(before, element)
    types = tensor_types(narrow)
    assert types["q"] == types["w"] == TensorProto.INT8
    assert types["dq"] == types["w.dq"] == types[f"logits.{element}"] == ELEMENTS[element]
    assert [node.op_type for node in narrow.graph.node].count("Cast") == 2  # at the ports, none inside a pair
    shape = (1, 3, 2, 2) if last == "Conv" else (1, 3)
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    # Rounding the input may also move it to the next of 127 steps.
    found, expected = in_reference(narrow, image), in_onnxruntime(before, image)
    assert relative_error(found, expected) <= 1 / 127 + TYPED_TOLERANCE[element]


def test_a_scale_among_the_subnormal_halves_is_refused_by_name_but_not_in_bfloat16() -> None:
    with pytest.raises(EngineError, match=r"w\.scale: scale 1e-07 would become 1\.19e-07 in float16"):
        typed(quantised(scale=1e-7), "float16")
    typed(quantised(scale=1e-7), "bfloat16")


@pytest.mark.parametrize("target", get_args(CpuTarget))
def test_every_cpu_target_reads_our_opsets_and_refuses_a_newer_one_by_number(
    plain: ModelProto, target: CpuTarget
) -> None:
    model = canonical(plain, "nchw")
    assert check_opset(model, target) == 20
    assert check_opset(typed(model, "bfloat16"), target) == 22
    assert OPSET_LIMIT[target] in OPSETS
    model.opset_import[0].version = OPSET_LIMIT[target] + 1
    with pytest.raises(EngineError, match=rf"{target}: .* opset {OPSET_LIMIT[target] + 1}, .* {OPSET_LIMIT[target]}:"):
        check_opset(model, target)


def test_a_model_without_an_opset_is_refused(plain: ModelProto) -> None:
    model = ModelProto()
    model.CopyFrom(plain)
    model.opset_import[0].domain = "com.example"
    with pytest.raises(EngineError, match=r"imports no ai\.onnx opset"):
        check_opset(model, "openvino")
