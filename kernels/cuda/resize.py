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
        return len(self.weights)

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])

    def reach(self, begin: int, end: int) -> tuple[int, int]:
        """Inputs [first, last) under the outputs [begin, end)."""
        return int(self.first[begin]), int(self.first[end - 1]) + self.taps


def resize_axis(size_in: int, size_out: int) -> ResizeAxis:
    """Weights from size_in pixels to size_out, without the (size_out, size_in) matrix of the reference."""
    scale = size_in / size_out
    support = max(scale, 1.0)
    centres = (np.arange(size_out) + 0.5) * scale
    # Inputs [first, stop) whose triangle is above zero.
    first = np.floor(centres - support + 0.5).clip(0, size_in - 1).astype(np.int32)
    stop = np.ceil(centres + support - 0.5).clip(1, size_in).astype(np.int32)
    taps = int((stop - first).max())
    first = np.minimum(first, size_in - taps)
    inputs = first[:, None] + np.arange(taps)
    weights = np.maximum(1.0 - np.abs(inputs + 0.5 - centres[:, None]) / support, 0.0)
    return ResizeAxis(first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
