"""ONNX graphs with weights in other files of the bundle, as OpenVINO models over the mapped files.

OpenVINO resolves a reference by its path, and follows links on the way to the file they end at, so it never sees one:
it reads the graph with those initializers as inputs, and each input is then replaced by a constant over the mapping.
Nothing is copied that way. Not for: IR, whose weights OpenVINO takes as one array.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.onnx_external import NAME, ExternalTensor
from cathrt.runtime.bundle.onnx_file import GRAPH_INITIALIZER, MODEL_GRAPH
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.protobuf import fields, written_bytes, written_head, written_number
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError

_GRAPH_INPUT = 11  # of GraphProto
_VALUE_NAME, _VALUE_TYPE = 1, 2  # of ValueInfoProto
_TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIM, _DIM_VALUE = 1, 1, 2, 1, 1  # of TypeProto and what is in it


def read_onnx(core: ov.Core, bundle: Bundle, file: str) -> tuple[ov.Model, list[NDArray[np.uint8]]]:
    """The model, and the mapped arrays that its constants refer to. Raises EngineError, RuntimeError from OpenVINO."""
    graph, external = bundle.mapped(file), bundle.external.get(file, ())
    if not external:
        return core.read_model(graph.tobytes()), []
    model = core.read_model(b"".join(_weights_as_inputs(graph.data, external)))
    inputs = {name: parameter for parameter in model.get_parameters() for name in parameter.output(0).get_names()}
    weights = []
    for tensor in external:
        parameter = inputs.get(tensor.name)
        if parameter is None:
            raise EngineError(
                f"openvino: {file}: no node of the main graph reads weight {tensor.name!r}: export it again without it"
            )
        weights.append(writable(bundle.external_data(tensor)))
        shared = ov.Tensor(weights[-1], ov.Shape(list(tensor.shape)), parameter.get_element_type())
        constant = ov.op.Constant(shared, shared_memory=True)
        constant.set_friendly_name(parameter.get_friendly_name())
        parameter.output(0).replace(constant.output(0))
        model.remove_parameter(parameter)
    return model, weights


def writable(mapped: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same memory without the read-only mark, since OpenVINO shares no array that bears it. Nobody writes to it."""
    array = mapped.view()
    array.flags.writeable = True
    return array


def _weights_as_inputs(model: memoryview, external: Collection[ExternalTensor]) -> Iterator[bytes | memoryview]:
    """The same model, piece by piece, with inputs in place of the initializers."""
    names = {tensor.name.encode() for tensor in external}
    for field in fields(model):
        if field.number != MODEL_GRAPH:
            yield model[field.start : field.end]
            continue
        kept = list(_without(field.content, names))
        inputs = [written_bytes(_GRAPH_INPUT, _input(tensor)) for tensor in external]
        external = ()  # a graph in two pieces is one graph
        yield written_head(MODEL_GRAPH, sum(map(len, kept)) + sum(map(len, inputs)))
        yield from kept
        yield from inputs


def _without(graph: memoryview, names: Collection[bytes]) -> Iterator[memoryview]:
    """The fields of the graph but for those initializers, and for their entries among the inputs (before IR 4)."""
    for field in fields(graph):
        name_field = {GRAPH_INITIALIZER: NAME, _GRAPH_INPUT: _VALUE_NAME}.get(field.number)
        found = (inside.content for inside in fields(field.content) if inside.number == name_field)
        if name_field is None or bytes(next(found, b"")) not in names:
            yield graph[field.start : field.end]


def _input(tensor: ExternalTensor) -> bytes:
    """A ValueInfoProto of the tensor's name, type and shape."""
    dims = b"".join(written_bytes(_DIM, written_number(_DIM_VALUE, size)) for size in tensor.shape)
    described = written_number(_ELEMENT_TYPE, tensor.data_type) + written_bytes(_SHAPE, dims)
    return written_bytes(_VALUE_NAME, tensor.name.encode()) + written_bytes(
        _VALUE_TYPE, written_bytes(_TENSOR_TYPE, described)
    )
