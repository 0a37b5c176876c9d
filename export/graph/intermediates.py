"""Any tensor of an ONNX graph, by running it in ONNX Runtime with that tensor as one more output.

For: calibration, and for finding the layer that is wrong. Not for: how fast or how exact an engine is. The graph is
computed as it is written, a Q/DQ pair as rounding and clipping between float32 operators and never as an int8 kernel,
and on one thread, so that the same inputs give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Intermediates:
    """A graph in ONNX Runtime that gives the tensors asked for."""

    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str]) -> None:
        self.tensors = tuple(dict.fromkeys(tensors))
        tapped = onnx.ModelProto()
        tapped.CopyFrom(model)
        present = {value.name for value in model.graph.output}
        tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.tensors if name not in present)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # From ORT_ENABLE_EXTENDED on, Q/DQ pairs become int8 kernels.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 4  # what matters is raised; lower levels print beside it
        self._session = onnxruntime.InferenceSession(
            tapped.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = frozenset(node.name for node in self._session.get_inputs())

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Float32]:
        return dict(zip(self.tensors, self._session.run(list(self.tensors), dict(feeds)), strict=True))


def tensors_of(
    model: onnx.ModelProto, tensors: Sequence[str], frames: Sequence[Float32]
) -> Iterator[dict[str, Float32]]:
    """The tensors of each frame in turn. The network has one input; frames are checked already."""
    run, image = Intermediates(model, tensors), network_input(model).name
    for frame in frames:
        yield run({image: frame})


def network_input(model: onnx.ModelProto) -> Any:
    """Raises ValueError unless the network has exactly one input."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = [value for value in model.graph.input if value.name not in constants]
    if len(found) != 1:
        raise ValueError(f"the network has {len(found)} inputs, expected one: export the network of single frames")
    return found[0]


def check_frames(model: onnx.ModelProto, frames: Sequence[Float32]) -> None:
    """Raises ValueError unless there are frames and each is finite float32 of the network's input shape."""
    value = network_input(model)
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    if not len(frames):
        raise ValueError("no frames, expected at least one to see the network's activations: give calibration frames")
    for number, frame in enumerate(frames):
        if frame.dtype != np.float32 or frame.shape != shape:
            raise ValueError(
                f"frame {number}: found {frame.dtype} {frame.shape}, the input {value.name!r} is float32 {shape}: "
                "preprocess frames as the manifest says"
            )
        if not np.isfinite(frame).all():
            raise ValueError(f"frame {number}: holds NaN or infinity, expected finite values: leave it out")
