"""What every drawer of a kind needs: the type of its pictures, letters, and eight bits at the end.

Not for: anything a kind looks like. Nothing of export/models/keyframe/demo/outsiders is used, on purpose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

Pixels = NDArray[np.uint8]  # (rows, columns) or (rows, columns, 3)
Values = NDArray[np.float64]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries, letters about `size` pixels high, and at least 9."""
    return ImageFont.load_default(max(9, size))


def eight_bits(grey: Values) -> Pixels:
    """Values in [0, 1], clipped, to 0 to 255."""
    return np.rint(np.clip(grey, 0.0, 1.0) * 255.0).astype(np.uint8)
