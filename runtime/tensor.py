"""TensorSpec: name, shape and element type of a tensor, as engines and manifests speak of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# All inputs and outputs of one network together: a clip of 32 frames at 512x512x3 in float32 is 0.1 GiB.
MAX_TENSOR_BYTES = 1 << 30
MAX_RANK = 8  # nvinfer1::Dims::MAX_DIMS, the narrowest of the engines


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and element type of one engine tensor. Shapes are static."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # a NumPy name: "float32", "int8", ...

    @property
    def size_bytes(self) -> int:
        """What one such tensor takes. Exact for every shape: Python's integers do not overflow."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def empty(self) -> NDArray[Any]:
        """A zeroed C-contiguous array of this spec."""
        return np.zeros(self.shape, dtype=np.dtype(self.dtype))
