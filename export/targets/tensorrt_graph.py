"""Finds in a graph what TensorRT would refuse, or compute differently from ONNX, before its parser sees it.

The parser names a node but seldom the reason, and some faults it passes over: it makes uint8 into int8 and float64
into float32 with a warning or none (tried, 1.7.1). Not for: what only the builder knows (kernels, formats, memory).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from cathrt.runtime.bundle.fingerprint import ShapeProfile
from cathrt.runtime.bundle.onnx_file import check_onnx, check_self_contained
from cathrt.runtime.errors import EngineError, ManifestError

_PAIRS = ("QuantizeLinear", "DequantizeLinear")
_NOT_PARSED = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})
_INPUT_TYPES = frozenset({"FLOAT", "FLOAT16", "BFLOAT16", "INT8", "INT32", "INT64", "BOOL", "UINT8"})
# What a Q/DQ pair may store besides int8; Turing to Blackwell differ in what they take, which the builder says.
_QUANTIZED_TYPES = frozenset({"INT8", "INT4", "FLOAT8E4M3FN", "FLOAT4E2M1"})
_SHOWN_FAULTS = 20


def checked_graph(
    onnx_bytes: bytes, target: str, max_opset: int, profiles: Sequence[ShapeProfile], beside: Path | None = None
) -> onnx.ModelProto:
    """The parsed model, if nothing is known to be against building it. Tensors in other files stay there.

    target: as the message should call it, with its version. beside: folder of those files; None where the graph must
    keep all in itself. Raises EngineError that names each node and input at fault.
    """
    check = check_self_contained if beside is None else check_onnx
    try:
        check("the ONNX file", onnx_bytes)
    except ManifestError as exc:
        raise EngineError(f"{target}: {exc}") from exc
    model = onnx.load_from_string(onnx_bytes)
    graphs = list(_graphs(model.graph))
    faults = [*_opset_faults(model, max_opset), *_type_faults(model, graphs), *_node_faults(graphs, beside)]
    faults += _profile_faults(model, profiles)
    if faults:
        more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise EngineError(f"{target} cannot build this graph: {'; '.join(faults[:_SHOWN_FAULTS])}{more}")
    return model


def external_files(model: onnx.ModelProto) -> list[str]:
    """Names of the files that the main graph keeps tensors in."""
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})


def node_text(node: onnx.NodeProto) -> str:
    """A node as messages call it: by its name, else by what it makes."""
    name = repr(node.name) if node.name else f"that makes {next(iter(node.output), '?')!r}"
    return f"node {name} ({node.op_type})"


def _opset_faults(model: onnx.ModelProto, max_opset: int) -> Iterator[str]:
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > max_opset:
            yield f"ONNX opset {opset.version}, its parser knows up to {max_opset}: export with an older opset"


def _type_faults(model: onnx.ModelProto, graphs: Sequence[onnx.GraphProto]) -> Iterator[str]:
    for port in model.graph.input:
        found = TensorProto.DataType.Name(port.type.tensor_type.elem_type)
        if found not in _INPUT_TYPES:
            expected = ", ".join(sorted(_INPUT_TYPES))
            yield f"input {port.name!r} is {found}, expected one of {expected}: convert it before the network"
    for graph in graphs:
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.DOUBLE:
                yield f"weight {tensor.name!r} is DOUBLE, TensorRT would compute in float32 and not say so: store FLOAT"


def _node_faults(graphs: Sequence[onnx.GraphProto], beside: Path | None) -> Iterator[str]:
    # A graph inside a node sees the tensors around it, and no name may stand twice: so one table for all.
    constants = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node]
    makers: dict[str, onnx.NodeProto] = {}
    for node in nodes:
        if node.op_type == "Constant" and node.attribute[0].type == onnx.AttributeProto.TENSOR:
            constants[node.output[0]] = node.attribute[0].t
        makers |= dict.fromkeys(node.output, node)
    for node in nodes:
        where = node_text(node)
        if node.domain not in ("", "ai.onnx"):
            yield f"{where}: operator of {node.domain}, expected one of ai.onnx: rewrite it in ONNX's own operators"
        elif node.op_type in _NOT_PARSED:
            yield f"{where}: not parsed, int8 is written in QuantizeLinear and DequantizeLinear pairs: quantise so"
        elif node.op_type == "Cast" and _attribute(node, "to") == TensorProto.DOUBLE:
            yield f"{where}: to DOUBLE, TensorRT would compute in float32 and not say so: cast to FLOAT"
        elif node.op_type in _PAIRS:
            for fault in _pair_faults(node, constants, makers, beside):
                yield f"{where}: {fault}"


def _pair_faults(
    node: onnx.NodeProto,
    constants: dict[str, TensorProto],
    makers: dict[str, onnx.NodeProto],
    beside: Path | None,
) -> Iterator[str]:
    data, scale, zero_point = (*node.input, "", "")[:3]
    if node.op_type == "DequantizeLinear" and data in constants:
        stored = TensorProto.DataType.Name(constants[data].data_type)
        if stored not in _QUANTIZED_TYPES:
            yield f"{data!r} is {stored}, expected INT8: leave biases unquantised and weights symmetric int8"
    wanted = _attribute(node, "output_dtype")
    if node.op_type == "QuantizeLinear" and not zero_point and not wanted:
        yield "no zero point, which in ONNX means uint8, but TensorRT takes it for int8: give an int8 zero point of 0"
    elif node.op_type == "QuantizeLinear" and wanted:
        found = TensorProto.DataType.Name(wanted)
        if found not in _QUANTIZED_TYPES:
            yield f"output_dtype {found}, expected INT8: quantise symmetrically"
    if zero_point:
        yield from _zero_point_faults(zero_point, constants, beside)
    if scale not in constants:
        yield f"scale {scale!r} is computed, expected a constant: calibrate before the build"
        return
    factors = _values(constants[scale], beside)
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        yield f"scale {scale!r} is {factors.min():g} to {factors.max():g}, expected finite and above 0: calibrate again"
    if factors.size > 1 and not _is_weight(data, constants, makers):
        yield f"{factors.size} scales for the activation {data!r}, expected one: quantise activations per tensor"


def _zero_point_faults(zero_point: str, constants: dict[str, TensorProto], beside: Path | None) -> Iterator[str]:
    if zero_point not in constants:
        yield f"zero point {zero_point!r} is computed, expected the constant 0: quantise symmetrically"
        return
    stored = TensorProto.DataType.Name(constants[zero_point].data_type)
    if stored not in _QUANTIZED_TYPES:
        yield f"zero point {zero_point!r} is {stored}, expected INT8: quantise symmetrically, biases not at all"
    values = _values(constants[zero_point], beside)
    if values.any():
        found = values[np.flatnonzero(values)[0]]
        yield f"zero point {zero_point!r} is {found:g}, expected 0: quantise symmetrically"


def _is_weight(tensor: str, constants: dict[str, TensorProto], makers: dict[str, onnx.NodeProto]) -> bool:
    """Known at the build: stored, or quantised from what is stored."""
    maker = makers.get(tensor)
    return tensor in constants or (
        maker is not None and maker.op_type == "QuantizeLinear" and maker.input[0] in constants
    )


def _profile_faults(model: onnx.ModelProto, profiles: Sequence[ShapeProfile]) -> Iterator[str]:
    weights = {tensor.name for tensor in model.graph.initializer}  # ONNX lets a file list these among its inputs
    shapes = {port.name: _shape(port) for port in model.graph.input if port.name not in weights}
    given = Counter(profile.input for profile in profiles)
    if len(set(given.values())) > 1:
        yield f"the inputs have {dict(given)} profiles, expected as many for each"
    for name, shape in shapes.items():
        if 0 in shape and name not in given:
            text = "x".join(str(size or "?") for size in shape)
            yield f"input {name!r} is dynamic ({text}) and has no profile: give its min, opt and max shape"
    for profile in profiles:
        found = shapes.get(profile.input)
        if found is None:
            yield f"profile for {profile.input!r}: the inputs are {', '.join(map(repr, shapes)) or 'none'}"
        elif 0 not in found:
            yield f"profile for {profile.input!r}: its shape is static ({found}), leave the profile out"
        else:
            yield from _bound_faults(profile, found)


def _bound_faults(profile: ShapeProfile, shape: tuple[int, ...]) -> Iterator[str]:
    bounds = (profile.min, profile.opt, profile.max)
    where = f"profile for {profile.input!r}: min {profile.min}, opt {profile.opt}, max {profile.max}"
    if any(len(bound) != len(shape) for bound in bounds):
        yield f"{where}: expected {len(shape)} sizes in each"
        return
    for axis, (size, low, middle, high) in enumerate(zip(shape, *bounds, strict=True)):
        if not 1 <= low <= middle <= high:
            yield f"{where}: axis {axis} must not shrink from min to opt to max, nor be below 1"
        if size and {low, middle, high} != {size}:
            yield f"{where}: axis {axis} is static, expected {size}"


def _shape(port: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Sizes of an input, 0 where one is dynamic."""
    return tuple(max(0, dim.dim_value) for dim in port.type.tensor_type.shape.dim)


def _values(tensor: TensorProto, beside: Path | None) -> NDArray[np.float64]:
    return np.asarray(numpy_helper.to_array(tensor, str(beside or ""))).astype(np.float64).reshape(-1)


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), 0)


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and every graph inside its If, Loop and Scan nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                yield from _graphs(below)
