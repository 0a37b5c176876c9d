"""Explicit quantisation: Q/DQ pairs before the layers that shall compute in int8, and their weights as int8.

The form every engine here takes, and the only one TensorRT 11 takes: symmetric with zero points of 0, activations by
tensor, weights by output channel and stored as int8 behind a DequantizeLinear, biases in float, input and output of
the network in float. Not for: choosing scales (observers.py) or layers (quantize/int8.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from cathrt.export.quantize.layers import Layer, float_weights, initializers
from cathrt.export.quantize.observers import scales_of

OPSETS = range(13, 26)  # DequantizeLinear takes an axis from 13 on; TensorRT 11's parser knows up to 25
WeightBits = Literal[7, 8]
_INT8_ZERO = "int8.zero"


@dataclass(frozen=True, slots=True, eq=False)
class Int8Weights:
    """values: int8 in -127..127, or -63..63 of 7 bits, the weights' shape.   scales: (output channels,) float32, above
    0.   error: root mean square of what rounding changed, relative to that of the weights."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    error: float


def int8_weights(weights: NDArray[np.float32], output_axis: int, bits: WeightBits = 8) -> Int8Weights:
    """Round each output channel to 127 steps to its largest weight, or 63. A channel of zeros gets the scale 1."""
    levels = 2 ** (bits - 1) - 1
    others = tuple(axis for axis in range(weights.ndim) if axis != output_axis)
    largest = np.abs(weights).max(axis=others)
    scales = scales_of(np.where(largest > 0, largest, levels), levels)
    spread = scales.reshape([-1 if axis == output_axis else 1 for axis in range(weights.ndim)])
    values = np.clip(np.rint(weights / spread), -levels, levels).astype(np.int8)
    power = float(np.square(weights, dtype=np.float64).sum())
    noise = float(np.square(weights - values * spread, dtype=np.float64).sum())
    return Int8Weights(values, scales, float(np.sqrt(noise / power)) if power else 0.0)


def with_pairs(
    model: onnx.ModelProto, layers: Iterable[Layer], scales: Mapping[str, np.float32], bits: WeightBits = 8
) -> onnx.ModelProto:
    """A copy of the float graph in which `layers` compute in int8.

    scales: of each layer's activation by tensor name; layers that read the same tensor share its pair. bits: of the
    weights.
    """
    by_name = {layer.name: layer for layer in layers}
    biases = _biases_behind_products(model, by_name)
    nodes: list[Any] = []
    added: dict[str, Any] = {}
    if by_name:
        added[_INT8_ZERO] = numpy_helper.from_array(np.zeros((), np.int8), _INT8_ZERO)
    for node in model.graph.node:
        layer = by_name.get(node.name)
        if layer is not None:
            if f"{layer.activation}.scale" not in added:
                nodes.extend(_pair(layer.activation, scales[layer.activation], added))
            if f"{layer.weight}.int8" not in added:
                nodes.append(_dequantised_weights(model, layer, bits, added))
            node = _reading(node, {0: f"{layer.activation}.dequantized", 1: f"{layer.weight}.dequantized"})
        elif node.name in biases:
            place, values = biases[node.name]
            bias = f"{node.input[place]}.apart"
            added[bias] = numpy_helper.from_array(values, bias)
            node = _reading(node, {place: bias})
        nodes.append(node)
    return _rebuilt(model, nodes, added)


def _biases_behind_products(
    model: onnx.ModelProto, layers: Mapping[str, Layer]
) -> dict[str, tuple[int, NDArray[np.float32]]]:
    """Name of each Add of a bias behind a MatMul of `layers` -> which input the bias is, and its values (1, 1, C).

    ONNX Runtime merges MatMul and Add of a (C,) bias into a Gemm, which it has in int8 only with a rounded output: the
    pairs would be computed in float. It leaves biases of three axes alone. A product of fewer axes keeps its bias.
    """
    constants = initializers(model)
    axes = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.value_info}
    products = {node.output[0] for node in model.graph.node if node.name in layers and node.op_type == "MatMul"}
    found: dict[str, tuple[int, NDArray[np.float32]]] = {}
    for node in model.graph.node:
        if node.op_type != "Add":
            continue
        for place, other in ((1, 0), (0, 1)):
            bias = constants.get(node.input[place])
            if bias is not None and node.input[other] in products and axes.get(node.input[other], 0) >= 3:
                values = numpy_helper.to_array(bias)
                if values.ndim == 1:
                    found[node.name] = place, values.reshape(1, 1, -1)
    return found


def _reading(node: Any, tensors: Mapping[int, str]) -> Any:
    """A copy of the node with other inputs in some places."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for place, tensor in tensors.items():
        copy.input[place] = tensor
    return copy


def _pair(tensor: str, scale: np.float32, added: dict[str, Any]) -> tuple[Any, Any]:
    scale_name = f"{tensor}.scale"
    added[scale_name] = numpy_helper.from_array(np.asarray(scale, np.float32), scale_name)
    parameters = [scale_name, _INT8_ZERO]
    return (
        helper.make_node("QuantizeLinear", [tensor, *parameters], [f"{tensor}.quantized"], name=f"{tensor}.quantize"),
        helper.make_node(
            "DequantizeLinear",
            [f"{tensor}.quantized", *parameters],
            [f"{tensor}.dequantized"],
            name=f"{tensor}.dequantize",
        ),
    )


def _dequantised_weights(model: onnx.ModelProto, layer: Layer, bits: WeightBits, added: dict[str, Any]) -> Any:
    weights = int8_weights(float_weights(model, layer), layer.output_axis, bits)
    names = [f"{layer.weight}.{part}" for part in ("int8", "scale", "zero")]
    zeros = np.zeros(weights.scales.shape, np.int8)
    for name, values in zip(names, (weights.values, weights.scales, zeros), strict=True):
        added[name] = numpy_helper.from_array(values, name)
    return helper.make_node(
        "DequantizeLinear",
        names,
        [f"{layer.weight}.dequantized"],
        name=f"{layer.weight}.dequantize",
        axis=layer.output_axis,
    )


def _rebuilt(model: onnx.ModelProto, nodes: list[Any], added: Mapping[str, Any]) -> onnx.ModelProto:
    """The model with other nodes and `added` initializers, without what nothing reads any more and inferred shapes."""
    read = {name for node in nodes for name in node.input} | {value.name for value in model.graph.output}
    rebuilt = onnx.ModelProto()
    rebuilt.CopyFrom(model)
    del rebuilt.graph.node[:], rebuilt.graph.initializer[:], rebuilt.graph.value_info[:]
    rebuilt.graph.node.extend(nodes)
    rebuilt.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
    rebuilt.graph.initializer.extend(added.values())
    return rebuilt
