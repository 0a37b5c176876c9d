"""An ONNX graph opened for rewriting: nodes in order, weights as arrays, who makes and who reads a tensor.

For: export/graph/fold.py and export/graph/precision.py. Static graphs without subgraphs, as onnx_from_state makes them.
Not for: deciding what to rewrite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


@dataclass(frozen=True, slots=True)
class GraphSize:
    """What a graph weighs: bytes of the file, numbers in its initializers, nodes by operator."""

    file_bytes: int
    parameters: int
    operators: Mapping[str, int]

    @property
    def nodes(self) -> int:
        return sum(self.operators.values())


def graph_size(model: ModelProto) -> GraphSize:
    """The size of `model` as it would be written; operators in alphabetical order."""
    operators = Counter(node.op_type for node in model.graph.node)
    parameters = sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in model.graph.initializer)
    return GraphSize(model.ByteSize(), parameters, dict(sorted(operators.items())))


class GraphEdit:
    """A model's graph under change. The model it was opened from stays as it is; `model()` gives the new one."""

    def __init__(self, model: ModelProto) -> None:
        self._source = model
        self.nodes: list[NodeProto] = []
        for node in model.graph.node:
            copy = NodeProto()
            copy.CopyFrom(node)
            self.nodes.append(copy)
        self._weights: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs: list[str] = [port.name for port in model.graph.input]
        self.outputs: list[str] = [port.name for port in model.graph.output]

    def is_weight(self, name: str) -> bool:
        return name in self._weights

    def weight(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = numpy_helper.to_array(self._weights[name])
        return values

    def set_weight(self, name: str, values: NDArray[Any]) -> str:
        """Add the initializer `name`, or exchange its values."""
        self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def producer(self, tensor: str) -> NodeProto | None:
        """The node that makes `tensor`; None for a weight or an input of the graph."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def readers(self, tensor: str) -> list[NodeProto]:
        return [node for node in self.nodes if tensor in node.input]

    def sole_reader(self, tensor: str) -> NodeProto | None:
        """The one node that reads `tensor`; None if several do, or if it is an output of the graph."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    def read_instead(self, tensor: str, other: str) -> None:
        """Let every node that reads `tensor` read `other`."""
        for node in self.readers(tensor):
            node.input[:] = [other if name == tensor else name for name in node.input]

    def replace(self, node: NodeProto, others: Sequence[NodeProto]) -> None:
        """Put `others` in the place of `node`."""
        at = next(i for i, other in enumerate(self.nodes) if other is node)  # == would compare by content
        self.nodes[at : at + 1] = others

    def remove(self, node: NodeProto) -> None:
        """Take out a node; who read its output reads its first input. Raises ValueError on an output of the graph."""
        if node.output[0] in self.outputs:
            raise ValueError(f"{node.name} makes {node.output[0]}, an output of the graph: it cannot be taken out")
        self.read_instead(node.output[0], node.input[0])
        self.replace(node, [])

    def model(self) -> ModelProto:
        """The changed graph as a new model: weights in the order they are read in, and none that nobody reads."""
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name in self._weights)
        source = self._source
        changed = ModelProto(
            ir_version=source.ir_version, opset_import=source.opset_import, producer_name=source.producer_name
        )
        changed.metadata_props.extend(source.metadata_props)
        changed.graph.name = source.graph.name
        changed.graph.input.extend(source.graph.input)
        changed.graph.output.extend(source.graph.output)
        changed.graph.node.extend(self.nodes)
        changed.graph.initializer.extend(self._weights[name] for name in read)
        return changed


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
