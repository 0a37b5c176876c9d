"""The walk over an ONNX file's wire format, held against the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cathrt.runtime.bundle import onnx_external
from cathrt.runtime.bundle.onnx_file import (
    GRAPH_INITIALIZER,
    MAX_DEPTH,
    MESSAGES,
    MODEL_FIELDS,
    MODEL_GRAPH,
    NODE_OPERATOR,
    OPSETS,
    check_onnx,
)
from cathrt.runtime.engines import openvino_weights
from cathrt.runtime.errors import ManifestError
from tests.golden import conv_model


def external_tensor(name: str = "head", location: str = "weights.bin") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[8, 6], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_every_way_to_a_tensor_in_the_onnx_schema_is_walked() -> None:
    reach: dict[str, bool] = {}

    def leads_to_tensor(message: str, seen: frozenset[str]) -> bool:
        if message in ("TensorProto", "OperatorSetIdProto"):
            return True
        fields = getattr(onnx, message).DESCRIPTOR.fields
        below = [field.message_type.name for field in fields if field.message_type is not None]
        return any(name not in seen and leads_to_tensor(name, seen | {name}) for name in below if hasattr(onnx, name))

    todo = ["ModelProto"]
    while todo:
        message = todo.pop()
        if message in reach:
            continue
        reach[message] = True
        expected = {
            field.number: field.message_type.name
            for field in getattr(onnx, message).DESCRIPTOR.fields
            if field.message_type is not None
            and hasattr(onnx, field.message_type.name)
            and leads_to_tensor(field.message_type.name, frozenset({field.message_type.name}))
        }
        assert MESSAGES[message] == (expected if message != "TensorProto" else {}), message
        todo += MESSAGES[message].values()
    assert reach.keys() == MESSAGES.keys()


FIELDS: dict[str, dict[str, int]] = {
    "ModelProto": {"graph": MODEL_GRAPH},
    "GraphProto": {"initializer": GRAPH_INITIALIZER, "input": openvino_weights._GRAPH_INPUT},
    "NodeProto": {"op_type": NODE_OPERATOR},
    "TensorProto": {
        "dims": onnx_external.DIMS,
        "data_type": onnx_external.DATA_TYPE,
        "name": onnx_external.NAME,
        "doc_string": onnx_external.DOC_STRING,
        "external_data": onnx_external.EXTERNAL_DATA,
        "data_location": onnx_external.DATA_LOCATION,
        "metadata_props": onnx_external.METADATA,
    },
    "StringStringEntryProto": {"key": onnx_external.ENTRY_KEY, "value": onnx_external.ENTRY_VALUE},
    "ValueInfoProto": {"name": openvino_weights._VALUE_NAME, "type": openvino_weights._VALUE_TYPE},
    "TypeProto": {"tensor_type": openvino_weights._TENSOR_TYPE},
    "TypeProto.Tensor": {"elem_type": openvino_weights._ELEMENT_TYPE, "shape": openvino_weights._SHAPE},
    "TensorShapeProto": {"dim": openvino_weights._DIM},
    "TensorShapeProto.Dimension": {"dim_value": openvino_weights._DIM_VALUE},
}


@pytest.mark.parametrize("message", FIELDS)
def test_field_numbers_are_those_of_the_onnx_package(message: str) -> None:
    schema = attrgetter(message)(onnx).DESCRIPTOR.fields_by_name
    assert {name: schema[name].number for name in FIELDS[message]} == FIELDS[message]


def test_the_fields_of_a_model_are_those_of_the_onnx_package() -> None:
    assert {field.number for field in onnx.ModelProto.DESCRIPTOR.fields} == MODEL_FIELDS
    assert TensorProto.EXTERNAL == onnx_external.EXTERNAL


@pytest.mark.parametrize("int8", [False, True])
def test_a_self_contained_model_is_accepted(int8: bool) -> None:
    check_onnx("model.onnx", conv_model(int8=int8).SerializeToString())


def test_the_operators_of_a_model_are_named() -> None:
    float32 = {"Identity", "Conv", "Relu", "GlobalAveragePool", "Flatten", "MatMul"}
    int8 = float32 - {"Identity"} | {"QuantizeLinear", "DequantizeLinear"}
    assert check_onnx("model.onnx", conv_model().SerializeToString()).operators == float32
    assert check_onnx("model.onnx", conv_model(int8=True).SerializeToString()).operators == int8


def place_in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(external_tensor("other"))


def place_in_constant_node(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external_tensor()))


def place_in_tensor_list(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("list", [external_tensor()]))


def place_in_subgraph(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "then", [], [], [external_tensor()])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=graph))


def place_in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external_tensor())


def place_in_sparse_indices(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(external_tensor())


def place_in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external_tensor())
    model.functions.add(name="f", domain="d").node.append(node)


def place_in_training_graph(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external_tensor())


PLACES = [
    place_in_initializer,
    place_in_constant_node,
    place_in_tensor_list,
    place_in_subgraph,
    place_in_sparse_initializer,
    place_in_sparse_indices,
    place_in_function,
    place_in_training_graph,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_external_data_is_found_wherever_a_tensor_can_stand(place: Callable[[onnx.ModelProto], None]) -> None:
    model = conv_model()
    place(model)
    with pytest.raises(ManifestError, match="in another file"):
        check_onnx("model.onnx", model.SerializeToString())


@pytest.mark.parametrize("only", ["location", "entry"])
def test_half_of_an_external_reference_is_refused_too(only: str) -> None:
    tensor = external_tensor()
    tensor.ClearField("external_data" if only == "location" else "data_location")
    with pytest.raises(ManifestError, match="in another file"):
        check_onnx("model.onnx", conv_model(head=tensor).SerializeToString())


@pytest.mark.parametrize("opset", [OPSETS.start, OPSETS.stop - 1])
def test_opsets_at_both_ends_are_accepted(opset: int) -> None:
    check_onnx("model.onnx", conv_model(opset=opset).SerializeToString())


@pytest.mark.parametrize("opset", [1, OPSETS.start - 1, OPSETS.stop, 2**31])
def test_an_unknown_opset_is_refused(opset: int) -> None:
    with pytest.raises(ManifestError, match=f"opset {opset}"):
        check_onnx("model.onnx", conv_model(opset=opset).SerializeToString())


def test_a_model_without_an_opset_is_refused() -> None:
    model = conv_model()
    del model.opset_import[:]
    with pytest.raises(ManifestError, match=r"imports no ai\.onnx opset"):
        check_onnx("model.onnx", model.SerializeToString())


def test_a_model_without_a_graph_is_refused() -> None:
    model = conv_model()
    model.ClearField("graph")
    with pytest.raises(ManifestError, match="no graph in it"):
        check_onnx("model.onnx", model.SerializeToString())


def test_deeply_nested_messages_end_in_an_error_and_not_in_the_stack() -> None:
    graph = b""
    for _ in range(MAX_DEPTH):
        for number in (6, 5, 1):  # a graph, in an attribute, in a node, in the graph above
            graph = bytes([number << 3 | 2]) + _varint(len(graph)) + graph
    model = conv_model().SerializeToString() + bytes([MODEL_GRAPH << 3 | 2]) + _varint(len(graph)) + graph
    with pytest.raises(ManifestError, match="nested deeper"):
        check_onnx("model.onnx", model)


def test_a_model_cut_anywhere_is_refused_or_whole() -> None:
    data = conv_model().SerializeToString()
    for end in range(len(data)):
        with pytest.raises(ManifestError):
            check_onnx("model.onnx", data[:end])


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_model_is_refused_or_still_an_onnx_model(changes: list[tuple[int, int]]) -> None:
    data = bytearray(conv_model().SerializeToString())
    for position, byte in changes:
        data[position % len(data)] = byte
    with suppress(ManifestError):
        check_onnx("model.onnx", bytes(data))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(ManifestError):
        check_onnx("model.onnx", data)
