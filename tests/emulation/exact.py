"""A frame and tensors of it that float32 holds exactly, so that kernels must meet the reference to the bit.

Without a resize, and with grey = stored value / 1024, all that is left to round is the element. Each tensor rounds half
of its values from the middle between two elements, where ties go to the even one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Channels = tuple[float, float, float]

# Of each element: mean, std and quantisation step. v is the stored value, 0 to 1023.
TENSORS: dict[str, tuple[Channels, Channels, float]] = {
    "float32": ((0.5, 0.25, 0.75), (0.5, 0.25, 0.125), 1.0),
    # v / 2 + 1024; v / 2**25, where halves are subnormal; 32 v + 32736, up to where they end
    "float16": ((-2.0, 0.0, -1023 / 1024), (2.0**-9, 2.0**15, 2.0**-15), 1.0),
    # v / 2 - 256, - 128 and - 384: beyond both ends of int8
    "int8": ((0.5, 0.25, 0.75), (0.5, 0.5, 0.5), 2.0**-8),
}


def ramp(shape: tuple[int, int]) -> NDArray[Any]:
    """Stored values 0 to 1023, each once, in rows. shape: of 1024 pixels."""
    return np.arange(1024, dtype=np.uint16).reshape(shape)
