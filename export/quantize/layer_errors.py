"""Which layer of an int8 artifact is wrong: every layer's own error against the float32 graph of the same weights.

For: the report beside a gate, so that one wrong scale is named whoever made it. Not for: deciding; how much a layer's
error matters only the outputs tell. The graph is computed as it is written, not by the engine's int8 kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from cathrt.export.bundle.engine_records import provenance_of
from cathrt.export.graph.fold import LAYOUTS, Layout
from cathrt.export.graph.intermediates import Frame, frames_of
from cathrt.export.quantize.calibration import calibration_frames
from cathrt.export.quantize.sensitivity import worst_layers
from cathrt.runtime.bundle.opening import Bundle

LAYER_FRAMES = 4

LayerErrors = tuple[tuple[str, float], ...]


def layer_errors(reference: onnx.ModelProto, int8: onnx.ModelProto, frames: Sequence[Frame]) -> LayerErrors:
    """(layer, error), the worst first: of LAYER_FRAMES frames, evenly spread. Raises ValueError as worst_layers does.

    error: root mean square of what the layer itself adds at its output, relative to that of the output.
    """
    count = min(LAYER_FRAMES, len(frames))
    return tuple(worst_layers(reference, int8, [frames[index * len(frames) // count] for index in range(count)]))


def layer_errors_of_bundle(
    bundle: Bundle, role: str, engine: str, float_graph: Callable[[Layout], onnx.ModelProto] | None
) -> LayerErrors:
    """Of a bundle's artifact, on phantom frames; none for what is not int8 or is typed below float32.

    float_graph: the float32 graph of what the bundle was made of, in one layout; without it there is nothing to compare
    with, and none is told.
    """
    network = bundle.manifest.network(role)
    artifact = network.artifacts[engine]
    if float_graph is None or artifact.precision != "int8" or not artifact.file.endswith(".onnx"):
        return ()
    found = onnx.load_from_string(bundle.read(artifact.file))
    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in found.graph.initializer):
        return ()  # a plan's graph: its layers are typed, the reference's are not
    made = provenance_of(bundle.manifest, engine)
    drawn = {one.input: calibration_frames(one, LAYER_FRAMES).tensors for one in network.preprocessing}
    return layer_errors(float_graph(made.get("layout", LAYOUTS["openvino"])), found, frames_of(drawn))
