"""Tables made once on the host and kept in device memory for a whole run; elements and quantities by number.

Not for: frames, which come every 33 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory, Stream

# The elements of a network's input, as the kernels take them (kernels/src/tensor.cuh).
ELEMENTS = {"float32": 0, "float16": 1, "int8": 2}
# What a channel of it shows of a pixel (kernels/src/ingest.cu).
QUANTITIES = {"grey": 0, "contrast": 1, "change": 2}


def uploaded(stream: Stream, table: NDArray[Any]) -> DeviceMemory:
    """A copy of `table` in memory of its own, there when this returns."""
    contiguous = np.ascontiguousarray(table)
    memory = stream.allocate(contiguous.nbytes)
    stream.upload(contiguous, memory)
    stream.synchronise()
    return memory
