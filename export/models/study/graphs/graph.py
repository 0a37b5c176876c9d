"""An ONNX model under construction, with all its weights in it: nodes by name, and the few pieces networks are made of.

A node's name is that of its first output. The same calls give the same bytes. Not for: what the nodes compute together
(encoder.py, head.py), or weights in a file beside the graph (stored.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Float32 = NDArray[np.float32]
Weights = Mapping[str, Float32]  # by their published names

OPSET, IR_VERSION = 20, 9  # Gelu
_PRODUCER = "cathrt"
_TYPES = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL, "int64": TensorProto.INT64}


class Graph:
    """Not for: graphs that hold other graphs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "float32") -> str:
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], list(shape)))
        return name

    def output(self, name: str, tensor: str, shape: Sequence[int | str]) -> None:
        """Declare the output `name`, float32, which is `tensor`."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        self.node("Identity", [tensor], name)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; the output's name."""
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def split(self, tensor: str, name: str, sizes: Sequence[int], axis: int) -> list[str]:
        """The tensor in pieces along one axis."""
        names = [f"{name}.{number}" for number in range(len(sizes))]
        self._nodes.append(helper.make_node("Split", [tensor, self.sizes(f"{name}.sizes", sizes)], names, name=name,
                                            axis=axis))  # fmt: skip
        return names

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """An initializer; the same name twice is the same weight."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def sizes(self, name: str, values: Sequence[int]) -> str:
        """An int64 initializer, such as a shape."""
        return self.weight(name, np.asarray(values, np.int64))

    def model(self) -> onnx.ModelProto:
        graph = onnx.GraphProto(name=self._name, node=self._nodes, initializer=self._weights.values())
        graph.input.extend(self._inputs)
        graph.output.extend(self._outputs)
        model = onnx.ModelProto(ir_version=IR_VERSION, producer_name=_PRODUCER, graph=graph)
        model.opset_import.add(domain="", version=OPSET)
        onnx.checker.check_model(model, full_check=True)
        return model

    def reshape(self, tensor: str, name: str, shape: Sequence[int]) -> str:
        """0 keeps a size, -1 stands for what is left."""
        return self.node("Reshape", [tensor, self.sizes(f"{name}.shape", shape)], name)

    def transpose(self, tensor: str, name: str, axes: Sequence[int]) -> str:
        return self.node("Transpose", [tensor], name, perm=list(axes))

    def linear(self, tensor: str, name: str, weight: Float32, bias: Float32, matrix: str = "") -> str:
        """x @ weight.T + bias; weight (out, in). matrix: name of the stored weight, for layers that share one."""
        stored = self.weight(f"{matrix or name}.weight", weight.T)
        product = self.node("MatMul", [tensor, stored], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{matrix or name}.bias", bias)], name)

    def norm(self, tensor: str, name: str, weight: Float32, bias: Float32, epsilon: float, shared: str = "") -> str:
        """Over the last axis. shared: name of the stored weight, for norms that share one."""
        parts = [self.weight(f"{shared or name}.{part}", one) for part, one in (("weight", weight), ("bias", bias))]
        return self.node("LayerNormalization", [tensor, *parts], name, axis=-1, epsilon=epsilon)
