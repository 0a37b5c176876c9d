"""Faults planted in graphs: each is refused before TensorRT's parser sees it, by the name of the node or tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.targets.tensorrt_graph import checked_graph
from cathrt.runtime.bundle.fingerprint import ShapeProfile
from cathrt.runtime.errors import EngineError

FLOAT = TensorProto.FLOAT
TENTH, ZERO = np.float32(0.1), np.int8(0)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Any] | None = None,
    shape: Sequence[int | str] = (1, 4),
    dtype: int = FLOAT,
    opset: int = 21,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "planted",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def pair(scale: Any = TENTH, zero: Any = ZERO, **attributes: Any) -> onnx.ModelProto:
    """x through one Q/DQ pair to y; node names are "quantise" and "dequantise"."""
    inputs = ["s"] if zero is None else ["s", "z"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *inputs], ["q"], name="quantise", **attributes),
        helper.make_node("DequantizeLinear", ["q", *inputs], ["y"], name="dequantise"),
    ]
    return model(nodes, {"s": scale} | ({} if zero is None else {"z": zero}))


def refusal(planted: onnx.ModelProto, profiles: Sequence[ShapeProfile] = (), max_opset: int = 25) -> str:
    with pytest.raises(EngineError) as caught:
        checked_graph(planted.SerializeToString(), "tensorrt-rtx 1.7.1", max_opset, profiles)
    return str(caught.value)


def accepts(planted: onnx.ModelProto, profiles: Sequence[ShapeProfile] = ()) -> bool:
    checked = checked_graph(planted.SerializeToString(), "tensorrt-rtx 1.7.1", 25, profiles)
    return checked.SerializeToString() == planted.SerializeToString()


def relu() -> onnx.NodeProto:
    return helper.make_node("Relu", ["x"], ["y"], name="act")


def test_a_symmetric_int8_pair_is_accepted() -> None:
    assert accepts(pair())


def test_weights_in_int8_with_a_scale_for_each_channel_are_accepted() -> None:
    dequantise = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], name="weights", axis=0)
    product = helper.make_node("MatMul", ["x", "d"], ["y"], name="product")
    weights = {"w": np.ones((4, 4), np.int8), "s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}
    assert accepts(model([dequantise, product], weights))


def test_float_weights_quantised_in_the_graph_with_a_scale_for_each_channel_are_accepted() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], name="weights.q", axis=0),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="weights.dq", axis=0),
        helper.make_node("MatMul", ["x", "d"], ["y"], name="product"),
    ]
    weights = {"w": np.ones((4, 4), np.float32), "s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}
    assert accepts(model(nodes, weights))


def test_an_int32_bias_behind_a_dequantise_is_refused_by_name() -> None:
    bias = helper.make_node("DequantizeLinear", ["b", "s"], ["d"], name="head.bias.dequantise")
    add = helper.make_node("Add", ["x", "d"], ["y"], name="head")
    text = refusal(model([bias, add], {"b": np.zeros(4, np.int32), "s": np.float32(0.1)}))
    assert "node 'head.bias.dequantise' (DequantizeLinear): 'b' is INT32, expected INT8" in text


def test_a_uint8_zero_point_is_refused_even_at_zero() -> None:
    text = refusal(pair(zero=np.uint8(0)))
    assert "node 'quantise' (QuantizeLinear): zero point 'z' is UINT8, expected INT8" in text
    assert "node 'dequantise' (DequantizeLinear): zero point 'z' is UINT8" in text


def test_a_zero_point_beside_zero_is_refused_with_its_value() -> None:
    assert "node 'quantise' (QuantizeLinear): zero point 'z' is 3, expected 0" in refusal(pair(zero=np.int8(3)))


def test_one_zero_point_beside_zero_among_many_is_refused() -> None:
    weights = {"w": np.ones((4, 4), np.int8), "s": np.ones(4, np.float32), "z": np.array([0, 0, -2, 0], np.int8)}
    dequantise = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], name="weights", axis=0)
    assert "node 'weights' (DequantizeLinear): zero point 'z' is -2" in refusal(model([dequantise, relu()], weights))


def test_a_missing_zero_point_is_refused_since_onnx_means_uint8_by_it() -> None:
    assert "node 'quantise' (QuantizeLinear): no zero point, which in ONNX means uint8" in refusal(pair(zero=None))


def test_a_missing_zero_point_with_the_output_type_int8_is_accepted_and_uint8_refused() -> None:
    assert accepts(pair(zero=None, output_dtype=TensorProto.INT8))
    assert "output_dtype UINT8, expected INT8" in refusal(pair(zero=None, output_dtype=TensorProto.UINT8))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_positive_number_is_refused(scale: float) -> None:
    assert "node 'quantise' (QuantizeLinear): scale 's' is" in refusal(pair(scale=np.float32(scale)))


def test_a_computed_scale_is_refused() -> None:
    planted = pair()
    planted.graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["live"], name="live", keepdims=0))
    planted.graph.node[1].input[1] = "live"
    assert "node 'quantise' (QuantizeLinear): scale 'live' is computed, expected a constant" in refusal(planted)


def test_a_scale_from_a_constant_node_is_accepted() -> None:
    planted = pair()
    tensor = numpy_helper.from_array(np.float32(0.2), "value")
    planted.graph.node.insert(0, helper.make_node("Constant", [], ["fixed"], name="fixed", value=tensor))
    planted.graph.node[1].input[1] = "fixed"
    assert accepts(planted)


def test_activations_with_a_scale_for_each_channel_are_refused() -> None:
    text = refusal(pair(scale=np.ones(4, np.float32), zero=np.zeros(4, np.int8)))
    assert "node 'quantise' (QuantizeLinear): 4 scales for the activation 'x', expected one" in text


@pytest.mark.parametrize("operator", ["QLinearMatMul", "DynamicQuantizeLinear", "ConvInteger"])
def test_integer_operators_outside_the_pair_form_are_refused(operator: str) -> None:
    planted = model([helper.make_node(operator, ["x"], ["y"], name="integer")])
    assert f"node 'integer' ({operator}): not parsed" in refusal(planted)


def test_an_operator_of_another_domain_is_refused() -> None:
    planted = model([helper.make_node("FusedGelu", ["x"], ["y"], name="fused", domain="com.acme")])
    assert "node 'fused' (FusedGelu): operator of com.acme" in refusal(planted)


def test_a_node_without_a_name_is_called_by_what_it_makes() -> None:
    planted = model([helper.make_node("ConvInteger", ["x"], ["y"])])
    assert "node that makes 'y' (ConvInteger)" in refusal(planted)


def test_faults_inside_a_branch_are_found() -> None:
    branch = helper.make_graph(
        [helper.make_node("ConvInteger", ["x"], ["inner"], name="within")],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, None)],
    )
    both = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    assert "node 'within' (ConvInteger): not parsed" in refusal(model([both], {"c": np.bool_(True)}))


def test_float64_is_refused_in_weights_and_casts() -> None:
    add = helper.make_node("Add", ["x", "w"], ["y"], name="add")
    assert "weight 'w' is DOUBLE" in refusal(model([add], {"w": np.ones(4, np.float64)}))
    cast = helper.make_node("Cast", ["x"], ["y"], name="widen", to=TensorProto.DOUBLE)
    assert "node 'widen' (Cast): to DOUBLE" in refusal(model([cast]))


def test_a_uint16_input_is_refused_by_name() -> None:
    cast = helper.make_node("Cast", ["x"], ["y"], name="cast", to=FLOAT)
    assert "input 'x' is UINT16" in refusal(model([cast], dtype=TensorProto.UINT16))


def test_an_opset_above_the_limit_of_the_target_is_refused_with_both_numbers() -> None:
    assert "ONNX opset 21, its parser knows up to 20" in refusal(model([relu()], opset=21), max_opset=20)


def test_an_opset_above_what_any_bundle_may_hold_is_refused() -> None:
    assert "opset 26" in refusal(model([relu()], opset=26))


def test_tensor_data_in_another_file_is_refused() -> None:
    planted = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    onnx.external_data_helper.set_external_data(planted.graph.initializer[0], "weights.bin")
    planted.graph.initializer[0].ClearField("raw_data")
    assert "another file" in refusal(planted)


def test_bytes_that_are_no_onnx_are_refused() -> None:
    with pytest.raises(EngineError, match="not an ONNX model"):
        checked_graph(b"no model at all", "tensorrt-rtx 1.7.1", 25, ())


def test_every_fault_is_told_at_once_up_to_a_limit() -> None:
    text = refusal(model([helper.make_node("ConvInteger", ["x"], [f"y{i}"], name=f"bad{i}") for i in range(25)]))
    assert "'bad0'" in text
    assert "'bad19'" in text
    assert text.endswith("and 5 more")


def profile(low: Sequence[int], middle: Sequence[int], high: Sequence[int], name: str = "x") -> ShapeProfile:
    return ShapeProfile(name, tuple(low), tuple(middle), tuple(high))


def test_a_dynamic_input_with_a_fitting_profile_is_accepted_and_static_ones_need_none() -> None:
    assert accepts(model([relu()], shape=("N", 4)), [profile((1, 4), (2, 4), (8, 4))])
    assert accepts(model([relu()]))


def test_a_dynamic_input_without_a_profile_is_refused_by_name() -> None:
    assert "input 'x' is dynamic (?x4) and has no profile" in refusal(model([relu()], shape=("N", 4)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (profile((1, 4), (1, 4), (8, 4), name="other"), "profile for 'other': the inputs are 'x'"),
        (profile((4, 4), (2, 4), (8, 4)), "axis 0 must not shrink"),
        (profile((0, 4), (2, 4), (8, 4)), "axis 0 must not shrink from min to opt to max, nor be below 1"),
        (profile((1, 4), (2, 4), (8, 5)), "axis 1 is static, expected 4"),
        (profile((1, 4), (2, 4), (8,)), "expected 2 sizes in each"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(given: ShapeProfile, expected: str) -> None:
    assert expected in refusal(model([relu()], shape=("N", 4)), [given])


def test_a_profile_for_a_static_input_and_two_profiles_for_one_of_two_inputs_are_refused() -> None:
    one = profile((1, 4), (1, 4), (1, 4))
    assert "its shape is static" in refusal(model([relu()]), [one])
    planted = model([relu()], shape=("N", 4))
    planted.graph.input.append(helper.make_tensor_value_info("z", FLOAT, ["N", 4]))
    uneven = [one, one, profile((1, 4), (1, 4), (1, 4), name="z")]
    assert "the inputs have {'x': 2, 'z': 1} profiles, expected as many for each" in refusal(planted, uneven)


def test_each_dynamic_input_may_have_a_profile_for_each_bucket() -> None:
    assert accepts(model([relu()], shape=("N", 4)), [profile((n, 4), (n, 4), (n, 4)) for n in (1, 4)])
