"""Which layer of an int8 artifact is wrong: every layer's own error against the float32 graph of the same weights.

For: the report beside a gate, so that one wrong scale is named whoever made it. Not for: judging; how much a layer's
error matters only the logits tell (gate.py). The graph is computed as it is written, not by the engine's int8 kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from cathrt.export.bundle.engine_records import provenance_of
from cathrt.export.graph.fold import LAYOUTS, canonical
from cathrt.export.graph.intermediates import Float32
from cathrt.export.models.keyframe.checkpoint import Checkpoint
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.export.quantize.calibration import calibration_frames
from cathrt.export.quantize.sensitivity import worst_layers
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER

LAYER_FRAMES = 4

LayerErrors = tuple[tuple[str, float], ...]


def layer_errors(reference: onnx.ModelProto, int8: onnx.ModelProto, frames: Sequence[Float32]) -> LayerErrors:
    """(layer, error), the worst first: of LAYER_FRAMES frames, evenly spread. Raises ValueError as worst_layers does.

    error: root mean square of what the layer itself adds at its output, relative to that of the output.
    """
    count = min(LAYER_FRAMES, len(frames))
    few = [np.ascontiguousarray(frames[index * len(frames) // count]) for index in range(count)]
    return tuple(worst_layers(reference, int8, few))


def layer_errors_of_bundle(bundle: Bundle, engine: str, checkpoint: Checkpoint | None) -> LayerErrors:
    """Of a bundle's artifact, on phantom frames; none for what is not int8 or is typed below float32.

    checkpoint: what the bundle was made of; without it there is nothing to compare with, and none is told.
    """
    network = bundle.manifest.network(CLASSIFIER)
    artifact = network.artifacts[engine]
    if checkpoint is None or artifact.precision != "int8" or not artifact.file.endswith(".onnx"):
        return ()
    found = onnx.load_from_string(bundle.read(artifact.file))
    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in found.graph.initializer):
        return ()  # a plan's graph: its layers are typed, the reference's are not
    (preprocessing,) = network.preprocessing
    plain = onnx_from_state(checkpoint.state, height=preprocessing.height, width=preprocessing.width)
    made = provenance_of(bundle.manifest, engine)
    reference = canonical(onnx.load_from_string(plain), made.get("layout", LAYOUTS["openvino"]))
    return layer_errors(reference, found, list(calibration_frames(preprocessing, LAYER_FRAMES).tensors))
