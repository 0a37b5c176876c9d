"""Weights of the antialiased bilinear resize along one axis, as the kernels take them: the CUDA twin of src/resize.cpp.

Truth: kernels/reference/ingest.py (resize_weights). Not for: images (kernels/src/ingest.cu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ResizeAxis:
    """Output i is the sum over t < taps of weights[i, t] * input[first[i] + t].

    first: (outputs,) int32, never falls, first + taps stays within the input.   weights: (outputs, taps) float32,
    padded with zeros where an output needs fewer inputs.
    """

    first: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def outputs(self) -> int:
        return self.weights.shape[0]

    @property
    def taps(self) -> int:
        return self.weights.shape[1]

    def reach(self, begin: int, end: int) -> tuple[int, int]:
        """Inputs [first, last) under the outputs [begin, end)."""
        return int(self.first[begin]), int(self.first[end - 1]) + self.taps


def resize_axis(size_in: int, size_out: int) -> ResizeAxis:
    """Weights from size_in pixels to size_out, without the (size_out, size_in) matrix of the reference."""
    scale = size_in / size_out
    support = max(scale, 1.0)
    centres = (np.arange(size_out) + 0.5) * scale
    first = np.maximum(np.floor(centres - support), 0).astype(np.int64)
    inputs = first[:, None] + np.arange(int(np.ceil(2 * support)) + 1)
    weights = np.maximum(1.0 - np.abs(inputs + 0.5 - centres[:, None]) / support, 0.0)
    weights[inputs >= size_in] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    # Zeros at the ends cost time in every frame: begin at the first weight above zero, and end with the longest row.
    reached = weights > 0.0
    leading = np.argmax(reached, axis=1)
    taps = int(reached.sum(axis=1).max())
    begin = np.minimum(first + leading, size_in - taps)
    columns = begin[:, None] + np.arange(taps) - first[:, None]
    inside = (columns >= 0) & (columns < weights.shape[1])
    kept = np.where(inside, np.take_along_axis(weights, columns.clip(0, weights.shape[1] - 1), axis=1), 0.0)
    return ResizeAxis(begin.astype(np.int32), kept.astype(np.float32))
