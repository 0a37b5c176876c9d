"""How large tensors become on calibration prompts and pictures, and how to make them fit float16 without an error.

Gemma3's residual stream passes 65,504 in real weights. What only norms read is made smaller by a power of two, which
changes nothing (rescale.py); where another tensor is too large, float16 is refused. Not for: bfloat16, which has the
range of float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cathrt.export.graph.precision import LARGEST
from cathrt.export.models.report.graphs.rescale import LayerRescale, Rescale
from cathrt.runtime.errors import EngineError

Feeds = Iterable[Mapping[str, NDArray[Any]]]

# Prompts of the clinic may reach further than those of the calibration: two bits are kept free.
ROOM = 4.0
_LIMIT = LARGEST["float16"] / ROOM
# Below 2^-14 float16 loses digits. A stream that needs a larger power has values so far apart that small ones would.
MOST_POWER = 10

# Of each layer of the decoder. Streams have one power together, and so has each of the groups behind them.
_STREAMS = ("post_attention_layernorm", "post_attention_layernorm.stream", "post_feedforward_layernorm",
            "post_feedforward_layernorm.stream")  # fmt: skip
_GROUPS = {
    "query": ("self_attn.q_proj",),
    "key": ("self_attn.k_proj",),
    "attention": ("self_attn.o_proj",),
    "product": ("mlp.up_proj", "mlp.product", "mlp.down_proj"),
}
# Tensors that no power reaches: they are what a norm gives, or go through GELU or a softmax.
_FIXED = ("input_layernorm", "self_attn.v_proj", "attention.grouped", "attention.keys", "attention.scores",
          "attention.mixed_rows", "pre_feedforward_layernorm", "mlp.gate_proj", "mlp.gate")  # fmt: skip
_FIXED_OUTSIDE = ("norm", "head")
# Of each layer of the vision tower.
_VISION_STREAMS = ("self_attn.out_proj.product", "self_attn.out_proj", "attended", "mlp.fc2.product", "mlp.fc2",
                   "stream")  # fmt: skip
_VISION_FIXED = ("layer_norm1", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "scores", "mixed",
                 "layer_norm2", "mlp.fc1.product", "mlp.fc1", "mlp.gelu")  # fmt: skip
_VISION_STREAMS_OUTSIDE = ("patches.embedded", "patches")
_VISION_FIXED_OUTSIDE = ("post_layernorm", "projector.norm", "projector")


def ranges_of(decoder: Path, layers: int, feeds: Feeds) -> dict[str, float]:
    """The largest magnitude of every tensor that float16 would have to hold. decoder: a graph of float32 products.

    Raises EngineError where a tensor is not finite, and without feeds.
    """
    return _largest(decoder, tapped(layers), feeds)


def vision_ranges_of(vision: Path, layers: int, feeds: Feeds) -> dict[str, float]:
    """The same of a vision network; layers: of its tower."""
    inside = _inside("encoder.layers", layers, (*_VISION_STREAMS, *_VISION_FIXED))
    return _largest(vision, [*_VISION_STREAMS_OUTSIDE, *inside, *_VISION_FIXED_OUTSIDE], feeds)


def tapped(layers: int) -> list[str]:
    """The tensors that ranges_of measures."""
    groups = (name for names in _GROUPS.values() for name in names)
    return ["stream", *_inside("layers", layers, (*_STREAMS, *groups, *_FIXED)), *_FIXED_OUTSIDE]


def float16_rescale(
    ranges: Mapping[str, float], layers: int, vision_ranges: Mapping[str, float] | None = None, vision_layers: int = 0
) -> Rescale:
    """The powers by which all tensors keep below float16's end with ROOM to spare; none where none is needed.

    ranges, vision_ranges: from ranges_of() and vision_ranges_of(). Raises EngineError naming each tensor that no power
    makes fit.
    """
    faults = _too_large(ranges, [*_FIXED_OUTSIDE, *_inside("layers", layers, _FIXED)])
    residual = _power(ranges, ["stream", *_inside("layers", layers, _STREAMS)], "the residual stream", faults)
    found = [
        LayerRescale(**{
            group: _power(ranges, [f"layers.{layer}.{name}" for name in names], f"layers.{layer}.{group}", faults)
            for group, names in _GROUPS.items()
        })
        for layer in range(layers)
    ]  # fmt: skip
    vision = 0
    if vision_ranges is not None:
        fixed = [*_VISION_FIXED_OUTSIDE, *_inside("encoder.layers", vision_layers, _VISION_FIXED)]
        faults += _too_large(vision_ranges, fixed)
        streams = [*_VISION_STREAMS_OUTSIDE, *_inside("encoder.layers", vision_layers, _VISION_STREAMS)]
        vision = _power(vision_ranges, streams, "the vision tower's residual stream", faults)
    if faults:
        raise EngineError(
            f"float16 cannot hold this model ({'; '.join(faults[:5])}; {len(faults)} in all; expected up to "
            f"{_LIMIT:g}): export it as bfloat16"
        )
    return Rescale(residual, tuple(found) if any(layer != LayerRescale() for layer in found) else (), vision)


def _inside(prefix: str, layers: int, names: Iterable[str]) -> list[str]:
    return [f"{prefix}.{layer}.{name}" for layer in range(layers) for name in names]


def _too_large(ranges: Mapping[str, float], names: Iterable[str]) -> list[str]:
    return [f"{name} reaches {ranges[name]:.6g}" for name in names if ranges[name] > _LIMIT]


def _power(ranges: Mapping[str, float], names: Iterable[str], what: str, faults: list[str]) -> int:
    """The power that makes all of them fit; one that is too large is a fault."""
    largest = max(ranges[name] for name in names)
    power = max(0, math.ceil(math.log2(largest / _LIMIT))) if largest else 0
    if power > MOST_POWER:
        faults.append(f"{what} needs a factor of 2^-{power}, beyond 2^-{MOST_POWER} float16 loses its digits")
    return power


def _largest(file: Path, names: list[str], feeds: Feeds) -> dict[str, float]:
    session = _session(file, names)
    largest = dict.fromkeys(names, -1.0)
    for number, feed in enumerate(feeds):
        for name, value in zip(names, session.run([f"{name}.largest" for name in names], dict(feed)), strict=True):
            if not np.isfinite(value):
                raise EngineError(f"{name}: not finite in float32 on input {number}: the weights are broken")
            largest[name] = max(largest[name], float(value))
    if -1.0 in largest.values():
        raise EngineError(f"{file.name}: nothing to measure ranges on: give calibration prompts and pictures")
    return largest


def _session(file: Path, names: Iterable[str]) -> onnxruntime.InferenceSession:
    """The graph with the largest magnitude of each tensor as one more output, on one thread."""
    model = onnx.load(file, load_external_data=False)
    for name in names:
        nodes = [helper.make_node("Abs", [name], [f"{name}.magnitude"]),
                 helper.make_node("ReduceMax", [f"{name}.magnitude"], [f"{name}.largest"], keepdims=0)]  # fmt: skip
        model.graph.node.extend(nodes)
        model.graph.output.append(helper.make_tensor_value_info(f"{name}.largest", TensorProto.FLOAT, ()))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(file.parent))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
