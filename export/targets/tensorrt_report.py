"""The layers of a TensorRT network and the precision that its types ask each for; JSON to keep in the bundle.

Read from the parsed network, which needs no device. Which kernel a device then runs, and whether two layers become one,
only an engine on that device says: an int8 layer here is one whose operands all come out of int8, no promise of more.
Not for: timings, formats, memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}
# Layers that multiply: with all operands from int8 (a DEQUANTIZE before each) TensorRT may multiply in int8.
_MULTIPLYING = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
# Layers that only hand a tensor on in another shape; the parser puts them between weights and their users.
_RESHAPING = ("SHUFFLE", "IDENTITY", "SQUEEZE", "UNSQUEEZE")


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer. name: of the ONNX node where it stems from one. type: TensorRT's LayerType.

    inputs, outputs: dtypes of its tensors ("float32", "float16", "bfloat16", "int8", ...); weights that a layer holds
    itself are no tensors. precision: what it computes in by its types.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """All layers but constants, in the network's order, and the dtypes of its own inputs and outputs by name."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    layers: tuple[LayerReport, ...]

    def layers_by_precision(self) -> dict[str, int]:
        """How many layers there are of each precision."""
        return dict(sorted(Counter(entry.precision for entry in self.layers).items()))

    def products_by_precision(self) -> dict[str, int]:
        """The same of the convolutions and matrix products alone, where nearly all the time goes."""
        found = Counter(entry.precision for entry in self.layers if entry.type in _MULTIPLYING)
        return dict(sorted(found.items()))

    def names_of(self, precision: str) -> tuple[str, ...]:
        """Names of the convolutions and matrix products that compute in this precision."""
        return tuple(entry.name for entry in self.layers if entry.type in _MULTIPLYING and entry.precision == precision)


def report_from_network(network: Any) -> NetworkReport:
    """The report of an INetworkDefinition that the ONNX parser has filled."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    makers = {tensor.name: layer for layer in layers for tensor in _outputs(layer)}
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    return NetworkReport(
        {tensor.name: _dtype(tensor) for tensor in inputs},
        {tensor.name: _dtype(tensor) for tensor in outputs},
        tuple(_layer_report(layer, makers) for layer in layers if layer.type.name != "CONSTANT"),
    )


def json_from_report(report: NetworkReport) -> str:
    """The report as it is kept, with its counts on top for whoever reads the file."""
    counts = {"layers": report.layers_by_precision(), "products": report.products_by_precision()}
    return json.dumps({"counts": counts, **asdict(report)}, indent=1) + "\n"


def report_from_json(text: str) -> NetworkReport:
    """The report that json_from_report wrote."""
    fields = json.loads(text)
    layers = tuple(
        LayerReport(layer["name"], layer["type"], tuple(layer["inputs"]), tuple(layer["outputs"]), layer["precision"])
        for layer in fields["layers"]
    )
    return NetworkReport(fields["inputs"], fields["outputs"], layers)


def _layer_report(layer: Any, makers: Mapping[str, Any]) -> LayerReport:
    kind = layer.type.name
    inputs = tuple(_dtype(tensor) for tensor in _inputs(layer))
    outputs = tuple(_dtype(tensor) for tensor in _outputs(layer))
    precision = outputs[0] if outputs else "none"
    if kind in _MULTIPLYING and all(_comes_from_int8(tensor, makers) for tensor in _inputs(layer)):
        precision = "int8"
    return LayerReport(layer.name, kind, inputs, outputs, precision)


def _comes_from_int8(tensor: Any, makers: Mapping[str, Any]) -> bool:
    maker = makers.get(tensor.name)
    while maker is not None and maker.type.name in _RESHAPING:
        maker = makers.get(maker.get_input(0).name)
    return maker is not None and maker.type.name == "DEQUANTIZE" and _dtype(maker.get_input(0)) == "int8"


def _inputs(layer: Any) -> Iterator[Any]:
    # An optional input that is left out comes as None.
    found = (layer.get_input(i) for i in range(layer.num_inputs))
    return (tensor for tensor in found if tensor is not None)


def _outputs(layer: Any) -> Iterator[Any]:
    return (layer.get_output(i) for i in range(layer.num_outputs))


def _dtype(tensor: Any) -> str:
    name = str(tensor.dtype.name)
    return _DTYPES.get(name, name.lower())
