"""Balancing (after SmoothQuant, Xiao et al. 2022): outlier channels of an activation move into the weights behind it.

An activation has one int8 scale, weights have one for each output channel, so a channel far larger than its neighbours
costs less there: x W = (x / s)(s W). 1 / s goes into a LayerNormalization's scale and bias where only this layer reads
the norm, else into a Mul of its own. The network stays the same. Not for: rounding anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from cathrt.export.quantize.layers import Layer, float_weights, initializers

_FLOOR = 1e-5  # of the largest channel: a channel that is never used must not blow its weights up


def balanced(
    model: onnx.ModelProto, layers: Iterable[Layer], largest: Mapping[str, NDArray[np.float32]], strength: float
) -> onnx.ModelProto:
    """A copy of the float graph in which the activations of `layers` are divided by s, their weights multiplied by it.

    largest: (channels,) of each layer's activation by tensor name, the largest absolute value over frames and places.
    strength: alpha of the paper, in (0, 1]; s = activation^alpha / weight^(1 - alpha), so 1 makes channels equal.
    """
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    for layer in layers:
        weights = float_weights(model, layer)
        factors = _factors(largest[layer.activation], weights, layer.input_axis, strength)
        along = [-1 if axis == layer.input_axis else 1 for axis in range(weights.ndim)]
        _divide_activation(edited, layer, factors)
        node = _node(edited, layer.name)
        node.input[1] = _added(edited, f"{layer.name}.balanced.weight", weights * factors.reshape(along))
    read = {name for node in edited.graph.node for name in node.input}
    kept = [tensor for tensor in edited.graph.initializer if tensor.name in read]
    del edited.graph.initializer[:]
    edited.graph.initializer.extend(kept)
    return edited


def _factors(
    largest: NDArray[np.float32], weights: NDArray[np.float32], input_axis: int, strength: float
) -> NDArray[np.float32]:
    others = tuple(axis for axis in range(weights.ndim) if axis != input_axis)
    used = np.maximum(largest.astype(np.float64), _FLOOR * float(largest.max()))
    weight = np.abs(weights.astype(np.float64)).max(axis=others)
    weight = np.maximum(weight, max(_FLOOR * float(weight.max()), float(np.finfo(np.float32).tiny)))
    factors = used**strength / weight ** (1.0 - strength)
    balanced: NDArray[np.float32] = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return balanced


def _divide_activation(model: onnx.ModelProto, layer: Layer, factors: NDArray[np.float32]) -> None:
    readers = [node for node in model.graph.node if layer.activation in node.input]
    makers = [node for node in model.graph.node if layer.activation in node.output]
    if makers and makers[0].op_type == "LayerNormalization" and len(readers) == 1 and layer.channel_axis == -1:
        constants, norm = initializers(model), makers[0]
        for place, part in enumerate(("scale", "bias")[: len(norm.input) - 1], start=1):
            values = numpy_helper.to_array(constants[norm.input[place]])
            norm.input[place] = _added(model, f"{layer.name}.balanced.{part}", values / factors)
        return
    shape = (-1, 1, 1) if layer.channel_axis == 1 else (-1,)
    inverse = _added(model, f"{layer.name}.balanced.factor", (1.0 / factors).reshape(shape))
    scaled = f"{layer.name}.balanced.out"
    place = next(index for index, node in enumerate(model.graph.node) if node.name == layer.name)
    model.graph.node[place].input[0] = scaled
    model.graph.node.insert(
        place, helper.make_node("Mul", [layer.activation, inverse], [scaled], name=f"{layer.name}.balanced")
    )


def _added(model: onnx.ModelProto, name: str, values: NDArray[Any]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
    return name


def _node(model: onnx.ModelProto, name: str) -> Any:
    return next(node for node in model.graph.node if node.name == name)
