"""The interface through which every CUDA kernel is launched: memory, copies and launches on one device, in order.

driver.py fits it on the CUDA driver API; tests/emulation/stream.py runs the same launches on the CPU. Not for:
what a kernel computes (kernels/src/<op>.cu) or how its launch is shaped (kernels/cuda/<op>.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Scalar = np.int32 | np.uint32 | np.int64 | np.uint64 | np.float32 | np.float64
Extent = tuple[int, int, int]  # x, y, z, as CUDA counts them


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes on the device, owned by the stream that allocated them or by whoever handed them in."""

    address: int
    nbytes: int

    def part(self, offset: int, nbytes: int) -> DeviceMemory:
        """`nbytes` from `offset` on. Raises ValueError beyond the end."""
        if not (offset >= 0 and nbytes >= 0 and offset + nbytes <= self.nbytes):
            raise ValueError(f"bytes {offset} to {offset + nbytes} of memory that has {self.nbytes}")
        return DeviceMemory(self.address + offset, nbytes)


class Stream(Protocol):
    """Work on one device, done in the order it is given. Calls return before the work is done. Not thread-safe.

    Raises CudaError where the driver refuses; after DeviceLostError nothing works any more but close().
    """

    def allocate(self, nbytes: int) -> DeviceMemory:
        """Uninitialised, at least 256-byte aligned. Freed by close()."""

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        """Copy a C-contiguous array to the start of `memory`; leave the array alone until synchronise()."""

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        """Copy the start of `memory` into a C-contiguous array, which is filled after synchronise()."""

    def zero(self, memory: DeviceMemory) -> None:
        """Set every byte to 0."""

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        """Launch an `extern "C"` kernel. arguments: by type exactly the kernel's; shared_bytes: dynamic."""

    def synchronise(self) -> None:
        """Wait until all of it is done."""

    def close(self) -> None:
        """Free everything allocated here. May be called twice."""


class CudaError(Exception):
    """The CUDA driver refused a call. runtime/engines translates it into EngineError."""


class DeviceLostError(CudaError):
    """The device or its context is gone (reset, fallen off the bus, a fault in a kernel): open a new stream."""


class DeviceHungError(DeviceLostError):
    """The device has not answered within the deadline. It may still be at work: nothing it was given may be freed."""
