"""The plain graph of a ConvNeXt to the canonical one that engines like: affine parts folded, one layout.

For: every target; `canonical` is between the graph as published and typing, quantising or compiling. Each pass is a
plain function in PASSES and can be held against ONNX Runtime in fp32. Not for: moving channels (export/graph/layout.py)
or precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from cathrt.export.graph import layout as layouts
from cathrt.export.graph.edit import GraphEdit, attributes
from cathrt.runtime.errors import EngineError

Layout = Literal["nchw", "nhwc"]
Target = Literal["openvino", "onnxruntime", "tensorrt-rtx", "tensorrt"]
Pass = Callable[[ModelProto], ModelProto]
Feeds = Mapping[str, NDArray[Any]]

# Agreement that every pass, and all of them together, must keep in fp32, relative to the largest logit.
TOLERANCE = 1e-4
# What ONNX Runtime raises for a graph that cannot be loaded or run; its exceptions share no base of their own.
_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def widen_stored_weights(model: ModelProto) -> ModelProto:
    """Weights stored as half floats behind a Cast become float32 weights, so that later passes can reckon with them."""
    edit = GraphEdit(model)
    for node in list(edit.nodes):
        if node.op_type == "Cast" and edit.is_weight(node.input[0]) and attributes(node)["to"] == TensorProto.FLOAT:
            edit.set_weight(node.output[0], edit.weight(node.input[0]).astype(np.float32))
            edit.replace(node, [])
    return edit.model()


def fold_norm_affine(model: ModelProto) -> ModelProto:
    """A norm's scale and bias go into the linear layer or unpadded convolution that alone reads it.

    W (g x + b) + c = (W g) x + (c + W b). A padded convolution is left alone: its border would see 0, not b. So is the
    stem's norm, which feeds a residual. The folded norm keeps a scale of ones, because the operator demands one.
    """
    edit = GraphEdit(model)
    for norm in [node for node in edit.nodes if node.op_type == "LayerNormalization" and len(node.input) == 3]:
        linear = _linear_after(edit, norm.output[0])
        if linear is None:
            continue
        scale, bias = (edit.weight(name).astype(np.float64) for name in norm.input[1:3])
        weight = edit.weight(linear.weight).astype(np.float64)
        along = [-1 if axis == linear.input_axis else 1 for axis in range(weight.ndim)]
        others = tuple(axis for axis in range(weight.ndim) if axis != linear.output_axis)
        shift = (weight * bias.reshape(along)).sum(axis=others)
        _set(edit, linear.weight, weight * scale.reshape(along))
        _set(edit, linear.bias, edit.weight(linear.bias) + shift)
        norm.input[:] = [norm.input[0], edit.set_weight(f"ones.{len(scale)}", np.ones(len(scale), np.float32))]
    return edit.model()


def fold_layer_scale(model: ModelProto) -> ModelProto:
    """A factor per channel behind a linear layer goes into its weight and bias."""
    edit = GraphEdit(model)
    for linear in [linear for node in edit.nodes if (linear := _linear_of(edit, node)) and node.op_type == "MatMul"]:
        factor = edit.sole_reader(linear.output)
        if factor is None or factor.op_type != "Mul" or not edit.is_weight(factor.input[1]):
            continue
        gamma = edit.weight(factor.input[1]).astype(np.float64)
        _set(edit, linear.weight, edit.weight(linear.weight) * gamma)
        _set(edit, linear.bias, edit.weight(linear.bias) * gamma)
        edit.remove(factor)
    return edit.model()


def name_tensors(model: ModelProto) -> ModelProto:
    """Every tensor is called after the node that makes it, as in the plain graph, whatever passes it went through."""
    edit = GraphEdit(model)
    names = [node.name for node in edit.nodes]
    if len(set(names)) != len(names) or not all(names):
        raise ValueError("nodes without a name of their own, expected one each: name them in the pass that made them")
    new = {node.output[0]: f"{node.name}.out" for node in edit.nodes if node.output[0] not in edit.outputs}
    for node in edit.nodes:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    return edit.model()


PASSES: Mapping[str, Pass] = {
    "widen_stored_weights": widen_stored_weights,
    "fold_norm_affine": fold_norm_affine,
    "fold_layer_scale": fold_layer_scale,
    "norms_over_channels": layouts.norms_over_channels,
    "linears_as_convolutions": layouts.linears_as_convolutions,
    "residuals_channels_last": layouts.residuals_channels_last,
    "cancel_transposes": layouts.cancel_transposes,
    "name_tensors": name_tensors,
}
FOLDS = ("widen_stored_weights", "fold_norm_affine", "fold_layer_scale")
LAYOUT_PASSES: Mapping[Layout, tuple[str, ...]] = {
    "nchw": ("norms_over_channels", "linears_as_convolutions", "cancel_transposes", "name_tensors"),
    "nhwc": ("residuals_channels_last", "cancel_transposes", "name_tensors"),
}
# The layout each target gets. CPU lines by `python -m benchmarks.export_graph`, figures in docs/status.md.
LAYOUTS: Mapping[Target, Layout] = {
    "openvino": "nchw",  # fastest in fp32 and bf16: no reorder is left around the MLPs
    "onnxruntime": "nchw",  # no slower than NHWC within the noise, so both CPU engines share one graph
    "tensorrt-rtx": "nchw",  # the smaller plan of fewer layers (TensorRT-RTX 1.7, built without a GPU); not yet timed
    "tensorrt": "nchw",  # as TensorRT-RTX: the same parser; not yet timed
}


def canonical(model: ModelProto, layout: Layout, *, feeds: Feeds | None = None) -> ModelProto:
    """The plain graph, folded and in one layout. The same model gives the same bytes.

    feeds: an input for the network; with it every pass is checked, and EngineError names the one that fails.
    Raises ValueError naming the nodes that do not fold or, in NCHW, the Transposes that stay: not such a graph.
    """
    folded = _after(FOLDS, model, feeds)
    norms = [node for node in folded.graph.node if node.op_type == "LayerNormalization"]
    left = [node.name for node in norms[1:] if len(node.input) > 2]  # the first is the stem's
    left += [node.name for node in folded.graph.node if node.name.endswith(".scale")]  # as the plain graph names it
    result = _after(LAYOUT_PASSES[layout], folded, feeds)
    left += [node.name for node in result.graph.node if node.op_type == "Transpose" and layout == "nchw"]
    if left:
        raise ValueError(
            f"{', '.join(left)} could not be folded, expected a plain ConvNeXt graph: "
            "give that, or teach export/graph/fold.py the new pattern"
        )
    onnx.checker.check_model(result, full_check=True)
    return result


def _after(names: tuple[str, ...], model: ModelProto, feeds: Feeds | None) -> ModelProto:
    for name in names:
        changed = PASSES[name](model)
        if feeds is not None:
            check_pass(name, model, changed, feeds)
        model = changed
    return model


def check_pass(name: str, before: ModelProto, after: ModelProto, feeds: Feeds, tolerance: float = TOLERANCE) -> float:
    """The largest difference of two graphs' outputs in ONNX Runtime fp32, relative to the largest value `before` gives.

    Nothing is optimised, so the graphs run as they stand. Raises EngineError naming the pass beyond `tolerance`, or if
    the graph does not run.
    """
    try:
        found, expected = _outputs(after, feeds), _outputs(before, feeds)
    except _ORT_ERRORS as exc:
        raise EngineError(f"pass {name}: its graph does not run ({str(exc)[:300]}): correct the pass") from exc
    return _agreement(f"pass {name}", found, expected, tolerance)


def check_outputs(
    what: str, model: ModelProto, feeds: Feeds, expected: Sequence[NDArray[Any]], tolerance: float = TOLERANCE
) -> float:
    """The same against what another program gives for the same network, output by output."""
    return _agreement(what, _outputs(model, feeds), list(expected), tolerance)


@dataclass(frozen=True, slots=True)
class _Linear:
    """A layer that is linear over the channels: where its numbers are and which axes of the weight the channels are."""

    weight: str
    bias: str
    input_axis: int
    output_axis: int
    output: str  # the tensor after the bias


def _linear_of(edit: GraphEdit, node: NodeProto) -> _Linear | None:
    """The linear layer that begins with `node`; None for anything else, or if another node reads its weights too."""
    found = None
    if node.op_type == "MatMul" and (add := layouts.bias_of(edit, node)) is not None:
        found = _Linear(node.input[1], add.input[1], 0, 1, add.output[0])
    elif node.op_type == "Gemm" and attributes(node) == {"transB": 1} and len(node.input) == 3:
        found = _Linear(node.input[1], node.input[2], 1, 0, node.output[0])
    elif node.op_type == "Conv" and len(node.input) == 3:
        given = attributes(node)
        if given.get("group", 1) == 1 and not any(given.get("pads", ())) and not given.get("auto_pad"):
            found = _Linear(node.input[1], node.input[2], 1, 0, node.output[0])
    if found is None or any(edit.sole_reader(name) is None for name in (found.weight, found.bias)):
        return None
    return found


def _linear_after(edit: GraphEdit, tensor: str) -> _Linear | None:
    """The linear layer that alone reads `tensor` over its last axis: directly, or a Conv behind a Transpose to NCHW."""
    reader = edit.sole_reader(tensor)
    if reader is None:
        return None
    if layouts.source_of(edit, reader.output[0], layouts.TO_FIRST) == tensor:
        reader = edit.sole_reader(reader.output[0])
        return _linear_of(edit, reader) if reader is not None and reader.op_type == "Conv" else None
    return _linear_of(edit, reader) if reader.op_type in ("MatMul", "Gemm") else None


def _set(edit: GraphEdit, name: str, values: NDArray[np.float64]) -> None:
    edit.set_weight(name, values.astype(np.float32))


def _outputs(model: ModelProto, feeds: Feeds) -> list[NDArray[Any]]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[NDArray[Any]] = session.run(None, dict(feeds))
    return outputs


def _agreement(what: str, found: list[NDArray[Any]], expected: list[NDArray[Any]], tolerance: float) -> float:
    largest = max(float(np.abs(values).max()) for values in expected)
    pairs = zip(found, expected, strict=True)
    error = max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs) / largest
    if not error <= tolerance:  # NaN is not
        raise EngineError(
            f"{what}: outputs differ by {error:.2g} of the largest value, at most {tolerance:g} is allowed: "
            "do not use this graph, correct the pass"
        )
    return error
