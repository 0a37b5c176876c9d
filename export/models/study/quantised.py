"""The encoder with its linear layers in int8: which of them, and their scales from phantom clips.

Every linear layer of the grid's tokens; the class token's are a thousandth of the work and stay float, as do the
convolutions, the tables of relative positions and the projection. Not for: the head, which is float32 in every bundle
for a CPU, or the pairs themselves (export/quantize).
"""

from __future__ import annotations

from typing import Literal

import onnx

from cathrt.export.models.study.cases import Clips
from cathrt.export.models.study.graphs.attention import FIRST
from cathrt.export.quantize.int8 import Int8Settings, int8_graph
from cathrt.export.quantize.layers import weighted_layers
from cathrt.export.quantize.qdq import WeightBits
from cathrt.runtime.models.study.contract import CLIPS_SIZE

Layers = Literal["linears", "mlps"]
_MLP = (".mlp.0.grid.product", ".mlp.3.grid.product")


def int8_settings(model: onnx.ModelProto, layers: Layers, weight_bits: WeightBits) -> Int8Settings:
    """model: the float32 graph of one clip. layers: "mlps" keeps those of the attention float too."""
    names = [layer.name for layer in weighted_layers(model) if layer.kind == "pointwise"]
    kept = [name for name in names if not _quantised(name, layers)]
    return Int8Settings(keep_layers=tuple(kept), weight_bits=weight_bits)


def int8_encoder(model: onnx.ModelProto, clips: Clips, settings: Int8Settings) -> onnx.ModelProto:
    """The same graph with Q/DQ pairs. Raises ValueError as int8_graph does."""
    return int8_graph(model, [clip[None] for clip in clips.tensors], settings)


def _quantised(name: str, layers: Layers) -> bool:
    if not name.endswith(".product") or f".{FIRST}." in name or not name.startswith("blocks."):
        return False
    return layers == "linears" or name.endswith(_MLP)


def for_any_clips(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of one clip as one of n: nothing in it but its input and its output says how many there are."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.value_info[:]
    for port in (*opened.graph.input, *opened.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = CLIPS_SIZE
    onnx.checker.check_model(opened, full_check=True)
    return opened
