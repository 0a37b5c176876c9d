"""What the activations of layers look like over calibration frames: largest values, then histograms.

Two passes over the frames, because equal bins need the largest value first; so the order of frames does not matter.
Not for: where to clip (observers.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from cathrt.export.graph.intermediates import Frame, tensors_of
from cathrt.export.quantize.layers import Layer
from cathrt.export.quantize.observers import BINS, Histogram, counts_of


def largest_by_channel(
    model: onnx.ModelProto, layers: Collection[Layer], frames: Sequence[Frame]
) -> dict[str, NDArray[np.float32]]:
    """(channels,) of each activation that `layers` read, by tensor name: the largest absolute value.

    Raises ValueError naming the layer whose input is not finite on a frame, or 0 on all of them.
    """
    readers = {layer.activation: layer for layer in layers}
    largest: dict[str, NDArray[np.float32]] = {}
    for number, tensors in enumerate(tensors_of(model, list(readers), frames)):
        for tensor, values in tensors.items():
            channels = np.abs(np.moveaxis(values, readers[tensor].channel_axis, 0)).reshape(
                values.shape[readers[tensor].channel_axis], -1
            )
            here = channels.max(axis=1)
            if not np.isfinite(here).all():
                raise ValueError(
                    f"{readers[tensor].name}: its input is not finite on frame {number}, expected finite activations: "
                    "the weights are broken, or the frame is not preprocessed as the manifest says"
                )
            largest[tensor] = np.maximum(largest[tensor], here) if tensor in largest else here
    for tensor, values in largest.items():
        if not values.max() >= np.finfo(np.float32).tiny * BINS:
            raise ValueError(
                f"{readers[tensor].name}: its input is 0 on all {len(frames)} frames, expected values to scale by: "
                "give frames that show something"
            )
    return largest


def histograms_of(
    model: onnx.ModelProto, largest: Mapping[str, NDArray[np.float32]], frames: Sequence[Frame]
) -> dict[str, Histogram]:
    """Of each tensor that `largest` names."""
    tops = {tensor: float(values.max()) for tensor, values in largest.items()}
    counts = {tensor: np.zeros(BINS, np.int64) for tensor in tops}
    for tensors in tensors_of(model, list(tops), frames):
        for tensor, values in tensors.items():
            counts[tensor] += counts_of(values, tops[tensor])
    return {tensor: Histogram(counts[tensor], tops[tensor]) for tensor in tops}
