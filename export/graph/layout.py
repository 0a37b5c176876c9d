"""Passes that choose where the channels stand: everything over NCHW without a Transpose, or the residuals in NHWC.

For: export/graph/fold.py, which orders and checks them. B batch, C channels, H rows, W columns; "last" means (B, H, W,
C) and "first" (B, C, H, W). Not for: the arithmetic of the weights, which no pass here changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper

from cathrt.export.graph.edit import GraphEdit, attributes

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
CHANNEL_AXIS = "axes.channels"
PIXEL_AXES_LAST = "axes.pixels_last"


def norms_over_channels(model: ModelProto) -> ModelProto:
    """LayerNormalization of a channels-last view becomes mean, difference, variance and quotient over C of NCHW.

    LayerNormalization itself only knows trailing axes. The variance is that of the differences, never mean of squares
    minus square of mean, which cancels in single precision.
    """
    edit = GraphEdit(model)
    for node in list(edit.nodes):
        if node.op_type != "LayerNormalization" or attributes(node).get("axis", -1) != -1:
            continue
        if x := source_of(edit, node.input[0], TO_LAST):
            nodes = _decomposed(edit, node, x)
            edit.replace(node, [*nodes, _sunk(nodes[-1], node.output[0])])
    return edit.model()


def linears_as_convolutions(model: ModelProto) -> ModelProto:
    """MatMul and Add of a channels-last view become a 1x1 Conv over NCHW; a Gelu between two of them moves along."""
    edit = GraphEdit(model)
    for node in list(edit.nodes):
        x = source_of(edit, node.input[0], TO_LAST) if node.input else None
        if x is None:
            continue
        if node.op_type == "Gelu":
            moved = helper.make_node("Gelu", [x], [f"{node.name}.first"], name=node.name, **attributes(node))
            edit.replace(node, [moved, _sunk(moved, node.output[0])])
        elif node.op_type == "MatMul" and (bias := bias_of(edit, node)) is not None:
            weight = edit.set_weight(node.input[1], edit.weight(node.input[1]).T[:, :, None, None])
            conv = helper.make_node(
                "Conv",
                [x, weight, bias.input[1]],
                [f"{bias.name}.first"],
                name=bias.name,
                kernel_shape=[1, 1],
                strides=[1, 1],
                pads=[0] * 4,
                group=1,
            )
            edit.replace(bias, [conv, _sunk(conv, bias.output[0])])
            edit.replace(node, [])
    return edit.model()


def residuals_channels_last(model: ModelProto) -> ModelProto:
    """Sums and the final mean over H and W work on channels-last, so only the convolutions still need NCHW."""
    edit = GraphEdit(model)
    for node in list(edit.nodes):
        lasts = [source_of(edit, name, TO_FIRST) for name in node.input]
        if node.op_type == "Add" and any(lasts) and not any(map(edit.is_weight, node.input)):
            edit.replace(node, _sum_last(node, lasts))
        elif node.op_type == "ReduceMean" and lasts[0] and sorted(edit.weight(node.input[1])) == [2, 3]:
            node.input[:] = [lasts[0], edit.set_weight(PIXEL_AXES_LAST, np.array([1, 2]))]
    return edit.model()


def cancel_transposes(model: ModelProto) -> ModelProto:
    """A Transpose of its own inverse disappears, and with it every node that nobody reads any more."""
    edit = GraphEdit(model)
    for node in list(edit.nodes):
        if node.op_type != "Transpose" or node.output[0] in edit.outputs:
            continue
        inverse = tuple(int(axis) for axis in np.argsort(attributes(node)["perm"]))
        if x := source_of(edit, node.input[0], inverse):
            edit.read_instead(node.output[0], x)
    for node in reversed(list(edit.nodes)):
        if not any(edit.readers(name) or name in edit.outputs for name in node.output):
            edit.replace(node, [])
    return edit.model()


def source_of(edit: GraphEdit, tensor: str, perm: tuple[int, ...]) -> str | None:
    """The tensor of which `tensor` is the Transpose by `perm`, None if it is none."""
    producer = edit.producer(tensor)
    if producer is None or producer.op_type != "Transpose" or tuple(attributes(producer)["perm"]) != perm:
        return None
    return str(producer.input[0])


def bias_of(edit: GraphEdit, matmul: NodeProto) -> NodeProto | None:
    """The Add of a weight that alone reads this product with a weight of its own, None if there is no such pair."""
    add = edit.sole_reader(matmul.output[0])
    if add is None or add.op_type != "Add" or not (edit.is_weight(matmul.input[1]) and edit.is_weight(add.input[1])):
        return None
    if edit.sole_reader(matmul.input[1]) is None:
        return None
    return add


def _decomposed(edit: GraphEdit, norm: NodeProto, x: str) -> list[NodeProto]:
    """The nodes of a norm over axis 1 of x (B, C, H, W); the last one makes the result."""
    nodes: list[NodeProto] = []

    def add(part: str, op: str, *inputs: str, **more: Any) -> str:
        name = f"{norm.name}.{part}"
        nodes.append(helper.make_node(op, list(inputs), [f"{name}.out"], name=name, **more))
        return f"{name}.out"

    axis = edit.set_weight(CHANNEL_AXIS, np.array([1]))
    epsilon = np.float32(attributes(norm).get("epsilon", 1e-5))  # the operator's default
    mean = add("mean", "ReduceMean", x, axis, keepdims=1)
    centred = add("centred", "Sub", x, mean)
    square = add("square", "Mul", centred, centred)
    variance = add("variance", "ReduceMean", square, axis, keepdims=1)
    shift = edit.set_weight(f"epsilon.{epsilon}", np.array(epsilon))
    deviation = add("deviation", "Sqrt", add("shifted", "Add", variance, shift))
    normed = add("normed", "Div", centred, deviation)
    scale = edit.weight(norm.input[1])
    if (scale != 1).any():
        normed = add("scaled", "Mul", normed, edit.set_weight(f"{norm.name}.scale.first", scale[:, None, None]))
    if len(norm.input) > 2:
        bias = edit.weight(norm.input[2])
        add("biased", "Add", normed, edit.set_weight(f"{norm.name}.bias.first", bias[:, None, None]))
    return nodes


def _sum_last(node: NodeProto, lasts: list[str | None]) -> list[NodeProto]:
    """The sum of the channels-last views of a node's inputs, with a Transpose for each that has none yet."""
    nodes, inputs = [], []
    for at, (name, last) in enumerate(zip(node.input, lasts, strict=True)):
        if last is None:
            last = f"{node.name}.{at}.last"
            nodes.append(
                helper.make_node("Transpose", [name], [last], name=f"{node.name}.channels_last.{at}", perm=TO_LAST)
            )
        inputs.append(last)
    total = helper.make_node("Add", inputs, [f"{node.name}.last"], name=node.name)
    back = helper.make_node(
        "Transpose", list(total.output), list(node.output), name=f"{node.name}.channels_first", perm=TO_FIRST
    )
    return [*nodes, total, back]


def _sunk(node: NodeProto, output: str) -> NodeProto:
    """The Transpose that gives a node's NCHW result the channels-last place its forerunner's had."""
    return helper.make_node("Transpose", list(node.output), [output], name=f"{node.name}.sunk", perm=TO_LAST)
