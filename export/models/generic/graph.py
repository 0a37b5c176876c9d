"""optimum-onnx's graph as a bundle holds it: one input of a whole resized frame, logits, constants folded.

Not for: the folding of a ConvNeXt and its layouts (export/graph/fold.py): no pattern of an architecture is known here.
H, W of the resized frame.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from cathrt.export.models.generic.processor import INPUT, Crop
from cathrt.runtime.bundle.onnx_file import check_self_contained
from cathrt.runtime.errors import EngineError, ManifestError

OUTPUT = "logits"
IR_VERSION = 9  # as every target of today reads
_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def plain_graph(graph: bytes, size: tuple[int, int], crop: Crop | None, columns: int) -> bytes:
    """The float32 graph that reads a resized frame (1, 3, H, W). size: (H, W). columns: labels.

    The same bytes each time. Raises EngineError for a graph that reads or gives anything else.
    """
    try:
        check_self_contained("optimum's graph", graph)
    except ManifestError as exc:
        raise EngineError(f"optimum-onnx: {exc}") from exc
    model = onnx.load_from_string(graph)
    height, width = (crop.height, crop.width) if crop is not None else size
    _require_ports(model, (1, 3, height, width), columns)
    _read_frame(model, size, crop)
    folded = _folded(model)
    _tidy(folded)
    onnx.checker.check_model(folded, full_check=True)
    return bytes(folded.SerializeToString(deterministic=True))


def _require_ports(model: ModelProto, shape: tuple[int, ...], columns: int) -> None:
    """One input of this shape, and logits among the outputs; the other outputs go."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [port for port in model.graph.input if port.name not in stored]
    logits = [port for port in model.graph.output if port.name == OUTPUT]
    found = [(port.name, _shape(port)) for port in (*inputs, *model.graph.output)]
    wanted = [shape, (1, columns)]
    if len(inputs) != 1 or len(logits) != 1 or [_shape(inputs[0]), _shape(logits[0])] != wanted:
        raise EngineError(
            f"optimum-onnx: its graph has inputs and outputs {found}, expected one input {shape} and {OUTPUT} "
            f"{(1, columns)}: this network cannot be exported"
        )
    kinds = {port.type.tensor_type.elem_type for port in (*inputs, *logits)}
    if kinds != {TensorProto.FLOAT}:
        raise EngineError(f"optimum-onnx: its graph computes in types {sorted(kinds)} of ONNX, expected float32 (1)")
    del model.graph.output[:]
    model.graph.output.extend(logits)


def _shape(port: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(dim.dim_value or dim.dim_param for dim in port.type.tensor_type.shape.dim)


def _read_frame(model: ModelProto, size: tuple[int, int], crop: Crop | None) -> None:
    """Let the graph read INPUT, (1, 3, H, W), and cut out what the network reads."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    (before,) = (port.name for port in graph.input if port.name not in stored)
    read = INPUT if crop is None else f"{INPUT}.cropped"
    for node in graph.node:
        node.input[:] = [read if name == before else name for name in node.input]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (1, 3, *size)))
    if crop is None:
        return
    ends = (crop.top + crop.height, crop.left + crop.width)
    for part, numbers in (("starts", (crop.top, crop.left)), ("ends", ends), ("axes", (2, 3))):
        graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), f"crop.{part}"))
    names = [INPUT, "crop.starts", "crop.ends", "crop.axes"]
    graph.node.insert(0, helper.make_node("Slice", names, [read], name="crop"))


def _folded(model: ModelProto) -> ModelProto:
    """Constants folded and shapes resolved by ONNX Runtime, in operators of ONNX alone."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised
    with tempfile.TemporaryDirectory(prefix="cathrt-fold-") as name:
        path = Path(name) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        try:
            # It would write MatMul and Add as Gemm between two Reshapes, which is no layer to quantise.
            ort.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["MatMulAddFusion"],
            )
        except _ORT_ERRORS as exc:
            raise EngineError(f"optimum-onnx: its graph cannot be loaded: {str(exc)[:300]}") from exc
        return onnx.load_from_string(path.read_bytes())


def _tidy(model: ModelProto) -> None:
    """No constant nodes, every node named once, and only the opset that is used."""
    graph = model.graph
    domains = sorted({node.domain for node in graph.node} - {"", "ai.onnx"})
    if domains:
        raise EngineError(
            f"optimum-onnx: its graph has operators of {', '.join(domains)}, expected those of ONNX alone"
        )
    own = [opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(own)
    model.ir_version = max(model.ir_version, IR_VERSION)
    del graph.value_info[:]
    taken: set[str] = set()
    for number, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}.{number}"
        taken.add(node.name)
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
