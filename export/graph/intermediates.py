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
Frame = Float32 | Mapping[str, Float32]  # the tensor of the network's only input, or of each input by its name


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


def tensors_of(model: onnx.ModelProto, tensors: Sequence[str], frames: Sequence[Frame]) -> Iterator[dict[str, Float32]]:
    """The tensors of each frame in turn. Frames are checked already."""
    run = Intermediates(model, tensors)
    for frame in frames:
        yield run(feeds_of(model, frame))


def network_inputs(model: onnx.ModelProto) -> list[Any]:
    """What the network reads, without its weights."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def frames_of(tensors: Mapping[str, NDArray[np.float32]]) -> list[Frame]:
    """Tensors by input, (N, ...), as N frames; of a network of one input the tensor alone, whatever its name."""
    if len(tensors) == 1:
        (only,) = tensors.values()
        return list(only)
    return [dict(zip(tensors, of_one, strict=True)) for of_one in zip(*tensors.values(), strict=True)]


def feeds_of(model: onnx.ModelProto, frame: Frame) -> Mapping[str, Float32]:
    """The frame's tensors by input. Raises ValueError for one tensor where the network has several inputs."""
    if isinstance(frame, Mapping):
        return frame
    inputs = network_inputs(model)
    if len(inputs) != 1:
        raise ValueError(f"one tensor a frame, the network has {len(inputs)} inputs: give each by its name")
    return {inputs[0].name: frame}


def check_frames(model: onnx.ModelProto, frames: Sequence[Frame]) -> None:
    """Raises ValueError unless there are frames and each is finite float32 of the shapes of the network's inputs."""
    inputs = {value.name: value for value in network_inputs(model)}
    shapes = {name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for name, value in inputs.items()}
    if not len(frames):
        raise ValueError("no frames, expected at least one to see the network's activations: give calibration frames")
    for number, frame in enumerate(frames):
        feeds = feeds_of(model, frame)
        if feeds.keys() != shapes.keys():
            raise ValueError(f"frame {number}: found tensors {sorted(feeds)}, the network reads {sorted(shapes)}")
        for name, tensor in feeds.items():
            if tensor.dtype != np.float32 or tensor.shape != shapes[name]:
                raise ValueError(
                    f"frame {number}: found {tensor.dtype} {tensor.shape}, the input {name!r} is float32 "
                    f"{shapes[name]}: preprocess frames as the manifest says"
                )
            if not np.isfinite(tensor).all():
                raise ValueError(f"frame {number}: holds NaN or infinity, expected finite values: leave it out")
