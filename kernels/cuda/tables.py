"""Tables made once on the host and kept in device memory for a whole run. Not for: frames, which come every 33 ms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory, Stream


def uploaded(stream: Stream, table: NDArray[Any]) -> DeviceMemory:
    """A copy of `table` in memory of its own, there when this returns."""
    contiguous = np.ascontiguousarray(table)
    memory = stream.allocate(contiguous.nbytes)
    stream.upload(contiguous, memory)
    stream.synchronise()
    return memory
