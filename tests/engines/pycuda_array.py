"""Stands in for pycuda.gpuarray.GPUArray, which is built from source and imports no further without a driver.

It offers what PyCUDA 2022.1 and later offer of an array, and nothing else: __cuda_array_interface__ version 3, always
with strides, never read-only, never with a stream, and no __dlpack__.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class GPUArray:
    """gpudata: the address of the memory, None for an array without elements.   order: as NumPy's."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        gpudata: int | None,
        strides: tuple[int, ...] | None = None,
        order: Any = "C",
    ) -> None:
        self.shape, self.dtype, self.gpudata = shape, np.dtype(dtype), gpudata
        self.strides = strides or np.empty(shape, dtype, order).strides

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]:
        return {
            "shape": self.shape,
            "strides": self.strides,
            "data": (self.gpudata or 0, False),
            "typestr": self.dtype.str,
            "stream": None,
            "version": 3,
        }
