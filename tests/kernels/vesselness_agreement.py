"""Frames that try the vesselness, and how near a twin must come to kernels/reference/vesselness.py.

Used by tests/kernels/test_vesselness.py for the CPU twin and by tests/emulation/exercise_vesselness.py for the CUDA
kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.vesselness import vesselness

# float32 keeps a smoothed value within 1e-7 of the largest distance from the mean; second differences, the square root
# and sigma squared make 2e-6 of it, which counts where lines are faint. What is summed in double adds nothing.
RELATIVE, ABSOLUTE = 1e-5, 4e-6


def angiogram(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, bits: int) -> NDArray[Any]:
    """A bright slope with dark curves and noise; bits beyond bits_stored are set at random."""
    top = (1 << bits) - 1
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape)
    level = 0.5 + 0.3 * x - 0.1 * y
    for start, bend, width in ((0.05, 0.1, 0.006), (0.2, 0.3, 0.01), (0.5, -0.2, 0.004)):
        level -= 0.15 * np.exp(-0.5 * ((y - start - bend * np.sin(5 * x)) / width) ** 2)
    stored = np.clip(np.rint(top * rng.normal(level, 0.01)), 0, top).astype(np.int64)
    dirt = rng.integers(0, np.iinfo(dtype).max + 1, shape) & ~top
    return (stored | dirt).astype(dtype)


def round_field(shape: tuple[int, int], share: float) -> NDArray[np.int32]:
    """Spans of an ellipse that takes `share` of both sides, in the middle; empty rows above and below it."""
    rows, columns = shape
    height = (np.arange(rows) + 0.5 - rows / 2) / (share * rows / 2)
    half = share * columns / 2 * np.sqrt(np.maximum(0.0, 1.0 - height**2))
    start, stop = np.rint(columns / 2 - half), np.rint(columns / 2 + half)
    return np.stack([start, stop], axis=1).clip(0, columns).astype(np.int32)


def assert_agrees(
    found: float, pixels: NDArray[Any], bits: int, exposed: NDArray[np.int32] | None, *, inverted: bool
) -> None:
    """Raise AssertionError unless a twin's answer is the reference's."""
    expected = vesselness(pixels, bits, exposed=exposed, inverted=inverted)
    off = abs(found - expected)
    assert off <= RELATIVE * expected + ABSOLUTE, f"{pixels.shape} {bits} bits: {found}, expected {expected}"
