"""INT8 graphs: the form TensorRT takes, the kernels the CPU engines run it with, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from cathrt.export.graph.fold import Layout
from cathrt.export.graph.precision import typed
from cathrt.export.quantize.int8 import Int8Settings, Quantised, quantised
from cathrt.export.quantize.layers import weighted_layers
from cathrt.export.quantize.sensitivity import answers_of, output_error
from cathrt.export.targets.tensorrt import PlanRequest, build_plan
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.engines.silent_openvino import ov
from tests.export.quantised_atto import Frames, float_atto, noise_frames

BLOCKS, HALVINGS = 12, 3
QUANTISED = 2 * BLOCKS + HALVINGS
SETTINGS = Int8Settings(sensitivity_frames=1)
BOTH = pytest.mark.parametrize("layout", get_args(Layout))


@pytest.fixture(scope="module")
def floats() -> dict[str, onnx.ModelProto]:
    return {layout: float_atto(layout) for layout in get_args(Layout)}


@pytest.fixture(scope="module")
def results(floats: dict[str, onnx.ModelProto]) -> dict[str, Quantised]:
    return {layout: quantised(model, noise_frames(3), SETTINGS) for layout, model in floats.items()}


def constants(model: onnx.ModelProto) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@BOTH
def test_every_zero_point_is_int8_and_zero(results: dict[str, Quantised], layout: Layout) -> None:
    model = results[layout].model
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [constants(model)[node.input[2]] for node in pairs]
    assert len(pairs) == 3 * QUANTISED
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)


@BOTH
def test_activations_have_one_scale_and_weights_one_for_each_output_channel(
    results: dict[str, Quantised], layout: Layout
) -> None:
    model = results[layout].model
    stored = constants(model)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            assert stored[node.input[1]].shape == ()
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            axis = onnx.helper.get_node_attr_value(node, "axis")
            assert axis == (1 if layout == "nhwc" and "downsample" not in node.name else 0)
            assert stored[node.input[1]].shape == (stored[node.input[0]].shape[axis],)


@BOTH
def test_weights_are_stored_as_int8_in_the_full_range(results: dict[str, Quantised], layout: Layout) -> None:
    stored = constants(results[layout].model)
    for layer in weighted_layers(results[layout].model):
        assert stored[layer.weight].dtype == (np.int8 if layer.quantised else np.float32)
        assert not layer.quantised or np.abs(stored[layer.weight].astype(int)).max() == 127


@BOTH
def test_biases_stay_float(results: dict[str, Quantised], layout: Layout) -> None:
    graph = results[layout].model.graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    read = [
        (node.op_type, place) for node in graph.node for place, name in enumerate(node.input) if name in dequantised
    ]
    assert len(read) == 2 * QUANTISED
    assert {place for _, place in read} == {0, 1}
    assert {op for op, _ in read} <= {"Conv", "MatMul"}
    assert {tensor.data_type for tensor in graph.initializer} == {
        TensorProto.FLOAT,
        TensorProto.INT8,
        TensorProto.INT64,
    }


@BOTH
def test_input_and_output_stay_float32(results: dict[str, Quantised], layout: Layout) -> None:
    graph = results[layout].model.graph
    assert [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)] == [TensorProto.FLOAT] * 2


@BOTH
def test_stem_depthwise_layers_and_head_stay_float(results: dict[str, Quantised], layout: Layout) -> None:
    result = results[layout]
    kinds = Counter((layer.kind, layer.quantised) for layer in weighted_layers(result.model))
    assert kinds == {
        ("stem", False): 1,
        ("depthwise", False): BLOCKS,
        ("head", False): 1,
        ("pointwise", True): 2 * BLOCKS,
        ("downsample", True): HALVINGS,
    }
    assert {layer.name for layer in result.report.layers} == {
        layer.name for layer in weighted_layers(result.model) if layer.quantised
    }
    assert set(result.report.kept) == {layer.name for layer in weighted_layers(result.model) if not layer.quantised}


def test_a_layer_can_be_kept_float_by_name(floats: dict[str, onnx.ModelProto]) -> None:
    name = "stages.2.blocks.3.mlp.fc2"
    result = quantised(floats["nchw"], noise_frames(1), Int8Settings(keep_layers=(name,), sensitivity_frames=1))
    assert name in result.report.kept
    assert len(result.report.layers) == QUANTISED - 1


@BOTH
def test_logits_stay_near_those_of_the_float_graph(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout
) -> None:
    frames = noise_frames(8)
    error = output_error(answers_of(floats[layout], frames), answers_of(results[layout].model, frames))
    assert 35.0 < error.sqnr_db < 100.0  # 47 dB were seen; 100 would mean that nothing was rounded


@BOTH
def test_the_report_tells_what_each_layer_costs_alone(results: dict[str, Quantised], layout: Layout) -> None:
    report = results[layout].report
    for layer in report.layers:
        assert layer.activation_scale > 0.0
        assert 0.002 < layer.weight_error < 0.02  # of a normal distribution at 127 steps to its largest of hundreds
        assert 0.0 <= layer.clipped < 0.01
        assert layer.alone.largest > 0.0
        assert layer.alone.sqnr_db > report.whole.sqnr_db
    assert report.calibration_frames == 3


@BOTH
def test_the_same_inputs_give_the_same_bytes(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout
) -> None:
    before = floats[layout].SerializeToString(deterministic=True)
    again = quantised(floats[layout], noise_frames(3), SETTINGS)
    assert again.serialised() == results[layout].serialised()
    assert floats[layout].SerializeToString(deterministic=True) == before


def test_the_order_of_frames_does_not_matter(floats: dict[str, onnx.ModelProto], results: dict[str, Quantised]) -> None:
    backwards = quantised(floats["nchw"], noise_frames(3)[::-1], SETTINGS)
    assert backwards.serialised() == results["nchw"].serialised()


@pytest.mark.parametrize(("layout", "factors"), [("nhwc", BLOCKS + HALVINGS), ("nchw", 2 * BLOCKS + HALVINGS)])
def test_balancing_moves_scale_into_the_weights_and_the_network_stays_the_same(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout, factors: int
) -> None:
    result = quantised(floats[layout], noise_frames(3), Int8Settings(balance=0.5, sensitivity_frames=1))
    muls = [node for node in result.model.graph.node if node.op_type == "Mul" and node.name.endswith(".balanced")]
    # channels-last norms take the factor into their own scale, all others get a Mul
    assert len(muls) == factors
    frames = noise_frames(4)
    plain, balanced = (
        output_error(answers_of(floats[layout], frames), answers_of(model, frames)).sqnr_db
        for model in (results[layout].model, result.model)
    )
    assert balanced > plain - 6.0
    assert [layer.activation_scale for layer in result.report.layers] != [
        layer.activation_scale for layer in results[layout].report.layers
    ]


@BOTH
@pytest.mark.skipif(not sums_int8_exactly(), reason="this CPU has no VNNI: OpenVINO would not compute int8 exactly")
def test_openvino_computes_the_quantised_layers_in_int8(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout
) -> None:
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(results[layout].serialised()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    run = Counter()
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kind, precision = info["layerType"].astype(str), info["runtimePrecision"].astype(str)
        if kind in ("Convolution", "FullyConnected"):
            run[precision in ("i8", "u8")] += 1
    assert run == {True: QUANTISED, False: 14}  # stem, depthwise layers and head
    frames = noise_frames(2)
    found = [compiled({"image": frame})["logits"].copy() for frame in frames]
    assert output_error(answers_of(results[layout].model, frames), found).sqnr_db > 25.0


@pytest.mark.skipif(not sums_int8_exactly(), reason="this CPU has no VNNI: ONNX Runtime would clip int8 sums")
def test_onnxruntime_multiplies_channels_last_layers_in_int8(results: dict[str, Quantised], tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(results["nhwc"].serialised(), options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert operators["MatMulIntegerToFloat"] == 2 * BLOCKS


@BOTH
@pytest.mark.parametrize("others", ["float32", "float16"])
def test_tensorrt_takes_the_graph_and_sees_the_quantised_layers_in_int8(
    results: dict[str, Quantised], layout: Layout, others: str
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")
    model = results[layout].model if others == "float32" else typed(results[layout].model, "float16")
    plan = build_plan(model.SerializeToString(), PlanRequest("tensorrt-rtx", (89,)))
    products = plan.report.products_by_precision()
    assert products.pop("int8") == QUANTISED
    assert products == ({"float32": 14} if others == "float32" else {"float16": 13, "float32": 1})


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, frames: Frames) -> None:
        self._feeds = iter([{"image": frame} for frame in frames])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def test_scales_and_weights_agree_with_onnxruntimes_own_quantiser(
    floats: dict[str, onnx.ModelProto], tmp_path: Path
) -> None:
    onnx.save(floats["nhwc"], tmp_path / "float.onnx")  # its layers are MatMuls and Convs
    layers = [layer for layer in weighted_layers(floats["nhwc"]) if layer.kind in ("pointwise", "downsample")]
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "theirs.onnx",
        _Reader(noise_frames(2)),
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "MatMul"],
        nodes_to_quantize=[layer.name for layer in layers],
        extra_options={
            "ActivationSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "MatMul"],
        },
    )
    theirs = onnx.load(tmp_path / "theirs.onnx")
    ours = quantised(floats["nhwc"], noise_frames(2), Int8Settings(observer="minmax", sensitivity_frames=1)).model
    stored, expected = constants(ours), constants(theirs)
    scales = {node.input[0]: expected[node.input[1]] for node in theirs.graph.node if node.op_type == "QuantizeLinear"}
    for layer in layers:
        # ours are rounded up to 8 significant bits
        assert 1.0 <= stored[f"{layer.activation}.scale"] / scales[layer.activation] * (1 + 1e-6) < 1.008
        shape = [-1 if axis == layer.output_axis else 1 for axis in range(stored[f"{layer.weight}.int8"].ndim)]
        step = expected[f"{layer.weight}_scale"].reshape(shape)
        found = stored[f"{layer.weight}.int8"] * stored[f"{layer.weight}.scale"].reshape(shape)
        difference = np.abs(found - expected[f"{layer.weight}_quantized"] * step) / step
        assert difference.max() < 1.02  # a weight between two steps
        assert difference.mean() < 0.5
