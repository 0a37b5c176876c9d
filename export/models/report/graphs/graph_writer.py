"""An ONNX model under construction: nodes by name, small weights inside it, large ones streamed to a file beside it.

A node's name is that of its first output. The same calls give the same bytes. Not for: what the nodes compute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from cathrt.export.models.report.graphs.settings import Element
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.bundle.onnx_external import ALIGNMENT

OPSET = 23  # RMSNormalization; the newest that OpenVINO 2026.4 reads in full
IR_VERSION = 11  # of opset 23
PRODUCER = "cathrt"
# Smaller weights stay in the ONNX file: padding to a page would be more than they are.
INSIDE_BYTES = 16_384
ONNX_TYPES: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
_PIECE_BYTES = 1 << 24


class GraphWriter:
    """One model and its data file, which is open until save(). element: the type of activations and products."""

    def __init__(self, name: str, data_file: Path, element: Element = "float32") -> None:
        self.element = element
        self.bytes_of: Counter[str] = Counter()
        self.inputs: list[DeclaredTensor] = []
        self.outputs: list[DeclaredTensor] = []
        self._name = name
        self._data_file = data_file
        self._data = data_file.open("wb")
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, TensorProto] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._data.close()

    def input(self, name: str, shape: tuple[int | str, ...], dtype: str) -> str:
        self.inputs.append(DeclaredTensor(name, shape, dtype))
        return name

    def output(self, name: str, tensor: str, shape: tuple[int | str, ...], dtype: str) -> None:
        """Declare the output `name`, which is `tensor`."""
        self.outputs.append(DeclaredTensor(name, shape, dtype))
        self.node("Identity", [tensor], name)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; the output's name."""
        return self.nodes(operator, inputs, name, [name], **attributes)[0]

    def nodes(
        self, operator: str, inputs: Sequence[str], name: str, outputs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """Add a node with several outputs; their names."""
        self._nodes.append(helper.make_node(operator, list(inputs), list(outputs), name=name, **attributes))
        return outputs

    def cast(self, tensor: str, name: str, to: str) -> str:
        return self.node("Cast", [tensor], name, to=ONNX_TYPES[to])

    def weight(self, name: str, values: NDArray[Any], purpose: str = "") -> str:
        """An initializer with the values as they are; the same name twice is the same weight.

        purpose: what bytes_of counts it under.
        """
        if name in self._weights:
            return name
        values = np.ascontiguousarray(values)
        self.bytes_of[purpose] += values.nbytes
        if values.nbytes < INSIDE_BYTES:
            self._weights[name] = numpy_helper.from_array(values, name)
            return name
        data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        return self._external(name, values.shape, data_type, values.reshape(-1).view(np.uint8))

    def packed_int4(self, name: str, values: NDArray[np.int8], purpose: str = "") -> str:
        """An initializer of type int4 from int8 values in [-8, 7]: two in a byte, the first in its low half."""
        flat = values.reshape(-1).view(np.uint8)
        packed = np.bitwise_and(flat[0::2], np.uint8(0x0F))
        packed[: flat.size // 2] |= flat[1::2] << 4
        self.bytes_of[purpose] += packed.nbytes
        if packed.nbytes < INSIDE_BYTES:
            self._weights[name] = helper.make_tensor(name, TensorProto.INT4, values.shape, packed.tobytes(), raw=True)
            return name
        return self._external(name, values.shape, TensorProto.INT4, packed)

    def save(self, file: Path) -> onnx.ModelProto:
        """Write the model, whose data file must be in the same folder; weights in the order they were added in."""
        self._data.close()
        graph = onnx.GraphProto(name=self._name, node=self._nodes, initializer=self._weights.values())
        graph.input.extend(_value(tensor) for tensor in self.inputs)
        graph.output.extend(_value(tensor) for tensor in self.outputs)
        model = onnx.ModelProto(ir_version=IR_VERSION, producer_name=PRODUCER, graph=graph)
        model.opset_import.add(domain="", version=OPSET)
        file.write_bytes(model.SerializeToString(deterministic=True))
        return model

    def _external(self, name: str, shape: Sequence[int], data_type: int, content: NDArray[np.uint8]) -> str:
        self._data.write(b"\0" * (-self._data.tell() % ALIGNMENT))
        tensor = TensorProto(name=name, dims=shape, data_type=data_type, data_location=TensorProto.EXTERNAL)
        place = {"location": self._data_file.name, "offset": self._data.tell(), "length": content.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        for start in range(0, content.nbytes, _PIECE_BYTES):
            self._data.write(content[start : start + _PIECE_BYTES].data)
        self._weights[name] = tensor
        return name


def _value(tensor: DeclaredTensor) -> ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, ONNX_TYPES[tensor.dtype], tensor.shape)
