"""Stored values as greys for the eye: 8 bits, high values bright.

Nothing is measured on them, and no network sees them. Not for: the tensors of networks (runtime/preprocess.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import percentile_values
from cathrt.kernels.reference import ingest as reference
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, VoiWindow

_SHARES = (0.5, 99.5)  # percent of the pixels below black, and up to white, where the source states no window
_FUNCTIONS = {
    "LINEAR": reference.voi_linear,
    "LINEAR_EXACT": reference.voi_linear_exact,
    "SIGMOID": reference.voi_sigmoid,
}


def greys(pixels: NDArray[Any], table: NDArray[Any] | None) -> NDArray[Any]:
    """(rows, columns), of the table's type. table: as table_of() makes it; None: pixels are greys already."""
    if table is None:
        return np.asarray(pixels, np.uint8)
    return np.take(table, pixels, mode="clip")


def table_of(grayscale: Grayscale, window: VoiWindow | LookupTable, bits: int = 8) -> NDArray[Any]:
    """The grey of each stored value, (1 << bits_stored,), of so many bits: uint8 or uint16.

    Raises ValueError for a width that its function does not have.
    """
    values = modality_values(grayscale)
    if isinstance(window, LookupTable):
        grey = reference.voi_lut(values, window.first_input, window.values, window.bits)
    else:
        grey = _FUNCTIONS[window.function](values, window.center, window.width)
    grey = 1.0 - grey if grayscale.inverted else grey
    return np.rint(((1 << bits) - 1) * grey).astype(np.uint8 if bits <= 8 else np.uint16)


def modality_values(grayscale: Grayscale) -> NDArray[np.float64]:
    """What each stored value measures, (1 << bits_stored,): the units of a window."""
    stored = np.arange(1 << grayscale.bits_stored, dtype=np.float64)
    if isinstance(grayscale.modality, LookupTable):
        return reference.lookup(stored, grayscale.modality.first_input, grayscale.modality.values)
    if isinstance(grayscale.modality, Rescale):
        return reference.rescale(stored, grayscale.modality.slope, grayscale.modality.intercept)
    return stored


def are_greys(grayscale: Grayscale) -> bool:
    """Whether stored values are greys of 8 bits as they are: a display was tapped."""
    plain = grayscale.modality is None and grayscale.voi is None and not grayscale.inverted
    return plain and grayscale.bits_stored == 8


def is_usable(window: VoiWindow | LookupTable | None) -> bool:
    """Whether a window that an object states can be applied."""
    if not isinstance(window, VoiWindow):
        return window is not None
    return window.width >= 1.0 if window.function == "LINEAR" else window.width > 0.0


def stretch_of(pixels: NDArray[Any], grayscale: Grayscale) -> VoiWindow:
    """The window that shows the middle 99 % of a picture's exposed pixels."""
    ends = percentile_values(pixels, grayscale.bits_stored, *_SHARES, grayscale.exposed)
    if ends is None:  # covered by the shutter
        ends = 0, (1 << grayscale.bits_stored) - 1
    values = modality_values(grayscale)
    low, high = sorted((float(values[ends[0]]), float(values[ends[1]])))
    return VoiWindow((low + high) / 2.0, max(high - low, 1.0), "LINEAR_EXACT")
