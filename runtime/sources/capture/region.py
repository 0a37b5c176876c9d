"""The region of the screen that is the X-ray picture.

Not for: finding it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import ConfigError


def require_region(source: SourceConfig) -> None:
    """Raise ConfigError unless it is empty or four numbers with a width and a height."""
    region = source.region
    if region and (len(region) != 4 or not (region[2] and region[3])):
        raise ConfigError(
            f"sources.{source.name}.region: found {list(region)}, expected [left, top, width, height] in pixels, or [] "
            "for the whole picture"
        )


def in_region(pixels: NDArray[Any], region: tuple[int, ...]) -> NDArray[Any] | str:
    """The region of a picture, read-only and contiguous, or why there is none."""
    if region:
        left, top, width, height = region
        rows, columns = pixels.shape
        if left + width > columns or top + height > rows:
            return (
                f"the region [{left}, {top}, {width}, {height}] reaches beyond the picture of {columns} columns x "
                f"{rows} rows: check it, and the resolution of the source"
            )
        pixels = pixels[top : top + height, left : left + width]
    pixels = np.ascontiguousarray(pixels)
    pixels.setflags(write=False)
    return pixels
