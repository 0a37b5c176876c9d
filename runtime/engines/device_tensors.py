"""What engines on a device share: the size of a tensor, its pinned side, and the driver's errors as the line's own.

Not for: pages of the host alone (tensors.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream
from cathrt.kernels.cuda.stream import CudaError, DeviceHungError, DeviceLostError
from cathrt.runtime.errors import EngineError, EngineHungError, EngineLostError
from cathrt.runtime.tensor import TensorSpec


def tensor_bytes(spec: TensorSpec) -> int:
    """At least 1: a driver allocates nothing of no size."""
    return max(1, math.prod(spec.shape) * np.dtype(spec.dtype).itemsize)


def pinned_tensor(stream: DriverStream, spec: TensorSpec) -> NDArray[Any]:
    """The tensor's side on the host, page-locked, of the stream. Raises CudaError."""
    size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
    return stream.pinned(tensor_bytes(spec))[:size].view(spec.dtype).reshape(spec.shape)


def engine_error(name: str, exc: CudaError) -> EngineError:
    """What the driver refused, as the error of the engine of that name."""
    if isinstance(exc, DeviceLostError):
        error = EngineHungError if isinstance(exc, DeviceHungError) else EngineLostError
        return error(f"{name}: the device is lost: {exc}")
    return EngineError(f"{name}: {exc}")
