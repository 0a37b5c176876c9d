"""The layers of an ONNX graph that have weights: what each reads, what it makes, and what kind of layer it is.

For: the INT8 export, which decides by kind and by name which layers compute in int8, on graphs with and without Q/DQ.
Not for: changing the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Kind = Literal["stem", "depthwise", "downsample", "pointwise", "head"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Layer:
    """A Conv, MatMul or Gemm whose weights are constants.

    activation: the data it reads, before any Q/DQ pair.   weight: its initializer, in int8 if the layer is quantised.
    output_axis, input_axis: of the weights; output_axis is where per-channel scales go.   channel_axis: of activation.
    """

    name: str
    kind: Kind
    activation: str
    weight: str
    output: str
    output_axis: int
    input_axis: int
    channel_axis: int
    quantised: bool


def weighted_layers(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """All layers with weights, in the order they are computed; the last is the head.

    Raises ValueError for weights that the graph still computes (a Cast, a Transpose), and for nodes without a name or
    names that occur twice.
    """
    graph = _Graph(model)
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm") and graph.weighted(node)]
    names = [node.name for node in nodes]
    if wrong := sorted({name for name in names if not name or names.count(name) > 1}):
        raise ValueError(f"layer names {wrong} are empty or not unique: name every node of the graph")
    return tuple(graph.layer(node, last=node is nodes[-1]) for node in nodes)


def layer_named(layers: tuple[Layer, ...], name: str) -> Layer:
    """Raises ValueError listing the names there are."""
    for layer in layers:
        if layer.name == name:
            return layer
    raise ValueError(f"no layer is named {name!r}, expected one of {', '.join(layer.name for layer in layers)}")


def initializers(model: onnx.ModelProto) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def float_weights(model: onnx.ModelProto, layer: Layer) -> NDArray[np.float32]:
    """The layer's weights. Raises ValueError if they are not finite float32."""
    tensor = initializers(model)[layer.weight]
    if tensor.data_type != onnx.TensorProto.FLOAT:
        found = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        raise ValueError(f"{layer.name}: weights are {found}, expected float32: quantise before choosing precisions")
    values: NDArray[np.float32] = numpy_helper.to_array(tensor)
    if not np.isfinite(values).all():
        raise ValueError(f"{layer.name}: weights are not finite: the checkpoint is broken, train or fetch it again")
    return values


class _Graph:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.inputs = {value.name for value in model.graph.input}
        self.constants = initializers(model)
        self.makers: Mapping[str, Any] = {name: node for node in model.graph.node for name in node.output}
        self.varying = self.inputs - self.constants.keys()  # what depends on the network's input; nodes are in order
        for node in model.graph.node:
            if not self.varying.isdisjoint(node.input):
                self.varying.update(node.output)

    def weighted(self, node: Any) -> bool:
        if self._stored(node.input[1]) is not None:
            return True
        if node.input[1] in self.varying:
            return False  # a product of two activations
        raise ValueError(
            f"{node.name}: its weights come out of {self.makers[node.input[1]].op_type}, expected an initializer: "
            "fold the graph's constants first"
        )

    def layer(self, node: Any, *, last: bool) -> Layer:
        weight = self._stored(node.input[1])
        assert weight is not None, node.name
        activation = self._before_pair(node.input[0])
        conv, shape = node.op_type == "Conv", tuple(self.constants[weight].dims)
        output_axis = 0 if conv or (node.op_type == "Gemm" and _attribute(node, "transB", 0)) else len(shape) - 1
        return Layer(
            name=node.name,
            kind="head" if last else self._kind(node, activation, shape),
            activation=activation,
            weight=weight,
            output=node.output[0],
            output_axis=output_axis,
            input_axis=1 if conv or output_axis == 0 else len(shape) - 2,
            channel_axis=1 if conv else -1,
            quantised=weight != node.input[1],
        )

    def _kind(self, node: Any, activation: str, shape: tuple[int, ...]) -> Kind:
        if node.op_type != "Conv":
            return "pointwise"
        if activation in self.inputs:
            return "stem"
        if _attribute(node, "group", 1) > 1:
            return "depthwise"
        return "pointwise" if max(shape[2:]) == 1 else "downsample"

    def _stored(self, tensor: str) -> str | None:
        """The initializer behind a weight input, directly or behind a DequantizeLinear."""
        maker = self.makers.get(tensor)
        if maker is not None and maker.op_type == "DequantizeLinear":
            tensor = maker.input[0]
        return tensor if tensor in self.constants else None

    def _before_pair(self, tensor: str) -> str:
        for op in ("DequantizeLinear", "QuantizeLinear"):
            maker = self.makers.get(tensor)
            if maker is None or maker.op_type != op:
                return tensor
            tensor = maker.input[0]
        return tensor


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)
