"""Plans built for real by TensorRT-RTX, which needs no GPU. Nothing here runs one: that needs a device."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from cathrt.export.graph.fold import canonical
from cathrt.export.graph.precision import Element, typed
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.export.quantize.int8 import Int8Settings, quantised
from cathrt.export.targets.tensorrt import build_plan, installed_version
from cathrt.export.targets.tensorrt_report import json_from_report, report_from_json
from cathrt.runtime.bundle.fingerprint import BuildOptions, ShapeProfile
from cathrt.runtime.errors import EngineError
from tests.export.tensorrt_requests import ADA, AMPERE, BLACKWELL, TURING, relu, request, rtx, small  # noqa: F401

pytestmark = pytest.mark.usefixtures("rtx")
PRODUCTS = 41  # of an Atto: the stem, 3 downsamplings, 12 blocks of 3, the head


def convnext(arch: str, side: int) -> bytes:
    """Random weights, moved off their first values so that none is far below what float16 holds."""
    torch.manual_seed(5)
    network = ConvNext(ARCHS[arch], classes=6, layer_scale=0.5).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return onnx_from_state(network.state_dict(), height=side, width=side)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return convnext("convnext_atto", 224)


@pytest.fixture(scope="module")
def folded(plain: bytes) -> onnx.ModelProto:
    return canonical(onnx.load_from_string(plain), "nchw")


@pytest.fixture(scope="module")
def int8(folded: onnx.ModelProto) -> onnx.ModelProto:
    frames = [np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32) for seed in (1, 2)]
    return quantised(folded, frames, Int8Settings(sensitivity_frames=1)).model


def with_convolution_as_head(model: onnx.ModelProto) -> bytes:
    """The same network with head.fc as a 1x1 convolution: the one matrix product left in the folded graph."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = list(result.graph.node)
    (at,) = (index for index, node in enumerate(nodes) if node.name == "head.fc")
    features, weight, bias = nodes[at].input
    (stored,) = (tensor for tensor in result.graph.initializer if tensor.name == weight)
    values = numpy_helper.to_array(stored)
    stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[:, :, None, None]), weight))
    for name, shape in (("head.in", [1, values.shape[1], 1, 1]), ("head.out", [1, values.shape[0]])):
        result.graph.initializer.append(numpy_helper.from_array(np.array(shape), f"{name}.shape"))
    nodes[at : at + 1] = [
        helper.make_node("Reshape", [features, "head.in.shape"], ["head.4d"], name="head.in"),
        helper.make_node("Conv", ["head.4d", weight, bias], ["head.logits"], name="head.fc"),
        helper.make_node("Reshape", ["head.logits", "head.out.shape"], [nodes[at].output[0]], name="head.out"),
    ]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString())


@pytest.mark.parametrize("sm", [AMPERE, ADA, BLACKWELL])
def test_the_float32_network_builds_for_each_device_from_ampere_on(plain: bytes, sm: int) -> None:
    plan = build_plan(plain, request(sm))
    assert len(plan.data) > len(plain)
    assert plan.report.products_by_precision() == {"float32": PRODUCTS}
    assert (plan.report.inputs, plan.report.outputs) == ({"image": "float32"}, {"logits": "float32"})
    assert plan.fingerprint.sm == (sm,)


def test_turing_refuses_float32_matrix_products_and_the_refusal_names_the_node_and_a_way_out(plain: bytes) -> None:
    with pytest.raises(EngineError, match=r"stages\.0\.blocks\.0\.mlp\.fc1\.matmul.*1x1 convolutions, or in float16"):
        build_plan(plain, request(TURING))


@pytest.mark.parametrize("element", [None, "float16"])
def test_the_folded_network_without_matrix_products_builds_for_turing(
    folded: onnx.ModelProto, element: Element | None
) -> None:
    model = typed(folded, element) if element else folded
    plan = build_plan(with_convolution_as_head(model), request(TURING))
    assert "MATRIX_MULTIPLY" not in {layer.type for layer in plan.report.layers}
    assert plan.fingerprint.sm == (TURING,)


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_a_typed_network_keeps_its_types_in_the_plan_and_halves_it(folded: onnx.ModelProto, element: Element) -> None:
    full = build_plan(folded.SerializeToString(), request(ADA))
    plan = build_plan(typed(folded, element).SerializeToString(), request(ADA))
    assert plan.report.products_by_precision() == {element: PRODUCTS - 1, "float32": 1}
    assert plan.report.names_of("float32") == ("head.fc",)
    assert len(plan.data) < 0.6 * len(full.data)


def test_turing_has_no_bfloat16_and_says_so(folded: onnx.ModelProto) -> None:
    with pytest.raises(EngineError, match=r"sm75.*datatypes: b16"):
        build_plan(typed(folded, "bfloat16").SerializeToString(), request(TURING))


@pytest.mark.parametrize("element", [None, "float16"])
def test_an_int8_network_builds_and_the_report_names_its_int8_layers(
    int8: onnx.ModelProto, element: Element | None
) -> None:
    model = typed(int8, element) if element else int8
    plan = build_plan(model.SerializeToString(), request(AMPERE, ADA, BLACKWELL))
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    quantised_layers = [node.name for node in model.graph.node if set(node.input[:2]) <= dequantised]
    assert len(quantised_layers) > 20
    assert sorted(plan.report.names_of("int8")) == sorted(quantised_layers)


def test_one_plan_serves_several_devices_and_is_no_larger_for_it(plain: bytes) -> None:
    one, several = build_plan(plain, request(ADA)), build_plan(plain, request(AMPERE, ADA, BLACKWELL))
    assert len(several.data) < 1.01 * len(one.data)
    assert several.fingerprint.sm == (AMPERE, ADA, BLACKWELL)


def test_the_same_request_gives_the_same_bytes_and_another_device_or_option_others(plain: bytes) -> None:
    first = build_plan(plain, request(ADA))
    assert build_plan(plain, request(ADA)) == first
    assert build_plan(plain, request(AMPERE)).data != first.data
    assert build_plan(plain, request(ADA, options=BuildOptions(tf32=True))).data != first.data


def test_a_plan_is_built_with_a_profile_for_each_bucket() -> None:
    model = relu(shape=("N", 4))
    buckets = tuple(ShapeProfile("x", (n, 4), (n, 4), (n, 4)) for n in (1, 4))
    both = build_plan(model, request(ADA, profiles=buckets))
    assert both.fingerprint.profiles == buckets
    assert both.data not in [build_plan(model, request(ADA, profiles=(bucket,))).data for bucket in buckets]


def test_the_fingerprint_says_what_the_plan_was_made_from() -> None:
    profile = ShapeProfile("x", (1, 4), (2, 4), (8, 4))
    model = relu(shape=("N", 4))
    found = build_plan(model, request(AMPERE, ADA, profiles=(profile,))).fingerprint
    assert found.target == "tensorrt-rtx"
    assert found.tensorrt_version == installed_version("tensorrt-rtx")
    assert found.onnx_sha256 == hashlib.sha256(model).hexdigest()
    assert (found.sm, found.profiles, found.options) == ((AMPERE, ADA), (profile,), BuildOptions())
    assert found.cuda_version is not None
    assert int(found.cuda_version) >= 12
    assert found.driver_version is None


def test_the_report_survives_its_json(int8: onnx.ModelProto) -> None:
    report = build_plan(int8.SerializeToString(), request(ADA)).report
    assert report_from_json(json_from_report(report)) == report


def test_a_matrix_product_counts_as_int8_only_if_both_operands_do() -> None:
    pair = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dq"),
    ]
    weights = {"s": np.float32(0.1), "z": np.int8(0), "w": np.ones((4, 4), np.int8), "f": np.ones((4, 4), np.float32)}
    stored = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], name="w.dq")
    products = [
        helper.make_node("MatMul", ["d", "v"], ["a"], name="both"),
        helper.make_node("MatMul", ["a", "f"], ["y"], name="neither"),
        helper.make_node("MatMul", ["d", "f"], ["unused"], name="one"),
    ]
    report = build_plan(small(*pair, stored, *products, **weights), request(ADA)).report
    assert report.names_of("int8") == ("both",)
    assert set(report.names_of("float32")) >= {"neither"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_base_network_builds_in_float32_and_float16() -> None:
    plain = convnext("convnext_base", 224)
    full = build_plan(plain, request(AMPERE, ADA, BLACKWELL))
    half = build_plan(
        typed(canonical(onnx.load_from_string(plain), "nchw"), "float16").SerializeToString(),
        request(AMPERE, ADA, BLACKWELL),
    )
    assert full.report.products_by_precision()["float32"] > 100
    assert len(half.data) < 0.6 * len(full.data)
