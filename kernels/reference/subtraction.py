"""NumPy float64 truth of mask subtraction with a sub-pixel shift: the C++ and CUDA twins are tested against this file.

Not for speed, and not for choosing mask frames or finding the shift. Terms are those of the Mask module, DICOM PS3.3
C.7.6.10. Shapes: H, W of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def attenuation(stored: NDArray[Any], pixel_intensity_relationship: str) -> Float64:
    """Stored values to the logarithmic space in which X-ray images are subtracted (PS3.4 N.2.5).

    LIN (proportional to intensity, PS3.3 C.8.7.1.1.2): ln(stored + 1), the 1 because ln 0 is not a number. LOG: they
    are there already, up to a factor that is the caller's gain.
    """
    values = stored.astype(np.float64)
    return np.log(values + 1.0) if pixel_intensity_relationship == "LIN" else values


def mean_mask(frames: Sequence[NDArray[Any]], pixel_intensity_relationship: str) -> Float64:
    """The mask: the mean of the mask frames (Mask Operation AVG_SUB), taken in the space they are subtracted in."""
    return np.asarray(np.mean([attenuation(frame, pixel_intensity_relationship) for frame in frames], axis=0))


def shifted(mask: Float64, shift: tuple[float, float]) -> Float64:
    """The mask moved by `shift`, row\\column in pixels as Mask Sub-pixel Shift (0028,6114), C.7.6.10.1.2.

    Positive moves the mask's content down and right. Bilinear; beyond an edge the edge goes on for ever.
    """
    for axis, offset in enumerate(shift):
        last = mask.shape[axis] - 1
        wanted = np.clip(np.arange(last + 1) - offset, 0, last)
        before = np.floor(wanted).astype(np.int64)
        weight = np.expand_dims(wanted - before, 1 - axis)
        after = np.minimum(before + 1, last)
        mask = (1 - weight) * np.take(mask, before, axis) + weight * np.take(mask, after, axis)
    return mask


def subtraction(
    stored: NDArray[Any],
    mask: Float64,
    shift: tuple[float, float],
    *,
    pixel_intensity_relationship: str,
    gain: float,
    offset: float,
    bits_out: int,
) -> NDArray[np.int64]:
    """gain * (live frame - shifted mask) + offset, rounded (halves upwards) and clamped to 0 .. 2**bits_out - 1."""
    difference = attenuation(stored, pixel_intensity_relationship) - shifted(mask, shift)
    value = np.clip(gain * difference + offset, 0, (1 << bits_out) - 1)
    return np.floor(value + 0.5).astype(np.int64)
