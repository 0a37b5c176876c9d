"""A float32 graph to one that is typed throughout, as TensorRT 11 demands: no builder flag, the graph says it all.

For: canonical graphs of export/graph/fold.py in either layout, with or without Q/DQ pairs; and the newest opset each
target reads. Not for: OpenVINO and ONNX Runtime on the CPU, which take the float32 graph (OpenVINO lowers it by its
hint).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from cathrt.export.graph.edit import GraphEdit
from cathrt.runtime.errors import EngineError

Element = Literal["float16", "bfloat16"]

ELEMENTS: Mapping[str, int] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
LARGEST: Mapping[Element, float] = {"float16": 65_504.0, "bfloat16": float.fromhex("0x1.fep127")}
# Conv takes bfloat16 from opset 22 on, and 22 came with IR version 10. What our graphs hold means the same in 20 to 22.
BFLOAT16_OPSET, BFLOAT16_IR_VERSION = 22, 10
# What a typed graph may differ from its float32 original by, relative to the largest logit: 8 unit roundoffs. An Atto
# rounds some 50 times in a row; rounding errors add up like a random walk, to about 7 of them.
TYPED_TOLERANCE: Mapping[Element, float] = {"float16": 8 * 2.0**-11, "bfloat16": 8 * 2.0**-8}
# How far a scale may be rounded, relative to itself: half a step at the end of the int8 range.
SCALE_ROUNDING = 1 / 256

# Operators that stay in float32, and why. Operators of FOLLOWING that read nothing but their results stay with them.
KEPT: Mapping[str, str] = {
    "ReduceMean": "sums of 1,536 channels or all pixels: 11 or 8 bits of sum swallow the addends, squares overflow",
    "Sub": "value minus mean: of two near numbers, rounded ones leave no digits; its square passes 65,504 from 256 on",
    "LayerNormalization": "the same sums and squares in one operator, whose inner precision each engine chooses itself",
    "Gemm": "the head: its logits meet thresholds, and it is less than a thousandth of the arithmetic",
}
FOLLOWING = frozenset({"Mul", "Add", "Sqrt", "Div", "Split"})

# The newest ai.onnx opset each CPU target reads in full; TensorRT's go by its version (targets/tensorrt.py). A bundle's
# graphs must also lie within runtime/bundle/onnx_file.py's.
CpuTarget = Literal["openvino", "onnxruntime"]
OPSET_LIMIT: Mapping[CpuTarget, int] = {
    "openvino": 23,  # 2026.4 reads any number without a warning, but cannot import TensorScatter of 24 (tried)
    "onnxruntime": 25,  # 1.32 loads up to 28 (tried); a bundle ends at 25
}


def typed(model: ModelProto, element: Element) -> ModelProto:
    """The graph with weights and activations in `element`, but for KEPT; the network's input and output stay float32.

    ONNX Runtime's CPU provider runs float16 graphs but computes most of their operators in float32 between casts of
    its own, so it rounds less than a GPU does; for bfloat16 it has no Conv and refuses. onnx.reference runs both.
    Never give OpenVINO a bfloat16 graph with Q/DQ pairs: 2026.4.1 reads it and computes something else (tried).
    Raises EngineError naming a weight or scale that `element` cannot hold, ValueError for a graph with casts in it.
    """
    edit = GraphEdit(model)
    if casts := [node.name for node in edit.nodes if node.op_type == "Cast"]:
        raise ValueError(f"{casts[0]} is a Cast, expected float32 alone: run export/graph/fold.py's canonical first")
    kept = kept_nodes(model)
    nodes: list[NodeProto] = []
    held: dict[str, str] = dict.fromkeys(edit.inputs, "float32")  # float type of every computed tensor
    cast: dict[tuple[str, str], str] = {}
    others = _no_floats(model)

    def given_as(tensor: str, wanted: str) -> str:
        if edit.is_weight(tensor):
            return tensor if wanted == "float32" else _weight_as(edit, tensor, element)
        if tensor in others or held[tensor] == wanted:
            return tensor
        if (tensor, wanted) not in cast:
            cast[tensor, wanted] = f"{tensor}.{wanted}"
            nodes.append(_cast(tensor, f"{tensor}.{wanted}", wanted))
        return cast[tensor, wanted]

    for node in edit.nodes:
        wanted = "float32" if node.name in kept else element
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_scale(edit, node, element)
        node.input[:] = [given_as(name, wanted) for name in node.input]
        nodes.append(node)
        held.update(dict.fromkeys(node.output, wanted))  # int8 too: only DequantizeLinear reads it, which is never kept
    for output in edit.outputs:
        if held[output] != "float32":
            _hold_apart(nodes, output, f"{output}.{element}")
            nodes.append(_cast(f"{output}.{element}", output, "float32"))
    edit.nodes[:] = nodes
    result = edit.model()
    if element == "bfloat16":
        _raise_opset(result, BFLOAT16_OPSET, BFLOAT16_IR_VERSION)
    onnx.checker.check_model(result, full_check=True)
    return result


def kept_nodes(model: ModelProto) -> frozenset[str]:
    """Names of the nodes that `typed` leaves in float32.

    A layer that reads int8 is not kept: it has given that precision up, and a Cast would part it from its Q/DQ pair.
    """
    edit = GraphEdit(model)
    kept: set[str] = set()
    tensors: set[str] = set()
    dequantised = {node.output[0] for node in edit.nodes if node.op_type == "DequantizeLinear"}
    for node in edit.nodes:
        computed = {name for name in node.input if not edit.is_weight(name)}
        follows = node.op_type in FOLLOWING and bool(computed) and computed <= tensors
        if follows or (node.op_type in KEPT and not computed & dequantised):
            kept.add(node.name)
            tensors.update(node.output)
    return frozenset(kept)


def check_opset(model: ModelProto, target: CpuTarget) -> int:
    """The model's ai.onnx opset. Raises EngineError if it imports none, or a newer one than `target` reads."""
    found = next((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), None)
    limit = OPSET_LIMIT[target]
    if found is None:
        raise EngineError(f"{target}: the model imports no ai.onnx opset, expected one up to {limit}: export it again")
    if found > limit:
        raise EngineError(
            f"{target}: the model is of ONNX opset {found}, this target reads up to {limit}: export it with opset "
            f"{limit} or less, or update the target and its line in export/graph/precision.py"
        )
    return int(found)


def _no_floats(model: ModelProto) -> frozenset[str]:
    """Inputs and computed tensors that hold something else than floats, such as masks and shapes: they stay as they
    are. Not int8, which only DequantizeLinear reads."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    kinds = {port.name: port.type.tensor_type.elem_type for port in (*inferred.input, *inferred.value_info)}
    return frozenset(name for name, kind in kinds.items() if kind in (TensorProto.BOOL, TensorProto.INT64))


def _weight_as(edit: GraphEdit, name: str, element: Element) -> str:
    """The name of the weight in `element`, made if need be; integers stay what they are."""
    values = edit.weight(name)
    if values.dtype != np.float32 or edit.is_weight(f"{name}.{element}"):
        return name if values.dtype != np.float32 else f"{name}.{element}"
    largest = float(np.abs(values).max(initial=0))
    if not largest <= LARGEST[element]:  # NaN is not
        raise EngineError(
            f"{name}: largest weight {largest:g}, {element} ends at {LARGEST[element]:g}: "
            f"use {'bfloat16' if np.isfinite(largest) else 'other weights'}, or look why it is so large"
        )
    return edit.set_weight(f"{name}.{element}", values.astype(helper.tensor_dtype_to_np_dtype(ELEMENTS[element])))


def _check_scale(edit: GraphEdit, node: NodeProto, element: Element) -> None:
    """Refuse a Q/DQ scale that lies among the subnormal numbers of `element`, where rounding eats it."""
    name = node.input[1]
    scale = edit.weight(name).astype(np.float64)
    narrow = scale.astype(helper.tensor_dtype_to_np_dtype(ELEMENTS[element])).astype(np.float64)
    lost = np.abs(narrow - scale) > SCALE_ROUNDING * scale
    if lost.any():
        raise EngineError(
            f"{name}: scale {scale[lost].min():.3g} would become {narrow[lost].min():.3g} in {element}: "
            "leave that layer in float, or use bfloat16, which has the range of float32"
        )


def _cast(tensor: str, result: str, element: str) -> NodeProto:
    return helper.make_node("Cast", [tensor], [result], name=f"{tensor}.to_{element}", to=ELEMENTS[element])


def _hold_apart(nodes: list[NodeProto], tensor: str, other: str) -> None:
    """Rename a tensor wherever it is made or read."""
    for node in nodes:
        node.input[:] = [other if name == tensor else name for name in node.input]
        node.output[:] = [other if name == tensor else name for name in node.output]


def _raise_opset(model: ModelProto, opset: int, ir_version: int) -> None:
    for imported in model.opset_import:
        if imported.domain in ("", "ai.onnx") and imported.version < opset:
            imported.version = opset
            model.ir_version = max(model.ir_version, ir_version)
