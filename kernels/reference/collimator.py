"""The rectangle that the X-ray collimator or a display shutter leaves open, for sources that do not declare it.

profile_sums is the NumPy truth of the one pass over a frame, which the C++ and CUDA twins must meet; exposed_rectangle
is what everybody makes of the sums, on the host: a few thousand numbers. Not for: shutters that are declared
(runtime/sources/dicom/exposed.py), polygons, or wedge filters, which are soft and let light through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import Float64, stored_values

# Not published limits: they tell blades from wedges, vignettes and dark anatomy on phantom runs, where the blades are
# known, with room to either side (tests/kernels/test_collimator.py).
DEEPEST = 0.45  # share of a side that one blade may cover; a frame darker than that is no collimated frame
DARK = 0.15  # of the inside level: nothing behind a blade is brighter; wedges let 0.3 to 0.7 through
FOOT = 0.02  # of the inside level: below it the last of the penumbra, or of a round field, counts as covered
UNEVEN = 0.05  # of the inside level: standard deviation of what lies behind a blade
SHARP = 0.1  # of the inside level: the least rise at an edge within SHARP_WITHIN
SHARP_WITHIN = 0.006  # of a side: there a blade's edge rises by a third or more, a round field by a sixth
DARKEST_INSIDE = 0.02  # of full scale: a frame darker than that shows nothing to tell an edge from


@dataclass(frozen=True, slots=True)
class ExposedRectangle:
    """Columns [left, right) and rows [upper, lower), counted from 0; sides without an edge reach the frame's border.

    DICOM's edges, (0018,1602) to (0018,1608), count from 1 and are themselves exposed: left + 1, right, upper + 1,
    lower. The four confidences, 0 to 1, say how dark and sharp each edge is; 0: none was found.
    """

    left: int
    right: int
    upper: int
    lower: int
    left_confidence: float
    right_confidence: float
    upper_confidence: float
    lower_confidence: float


def profile_sums(pixels: NDArray[Any], bits_stored: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Sums of the stored values of each row and of each column: (H,) and (W,). pixels: (H, W), sides up to 65535."""
    values = stored_values(pixels, bits_stored)
    return values.sum(axis=1).astype(np.uint32), values.sum(axis=0).astype(np.uint32)


def exposed_rectangle(
    row_sums: NDArray[np.uint32], column_sums: NDArray[np.uint32], bits_stored: int, *, darkest_is_zero: bool = True
) -> ExposedRectangle:
    """Edges from the sums of each row (H,) and column (W,).

    darkest_is_zero: False for MONOCHROME1, where what received no X-rays has the highest stored value.
    An edge is taken only if all behind it is dark and even and it rises sharply; of what is doubtful nothing is cut.
    Of a round field the bounding box is found, of one turned by more than a degree or two nothing.
    """
    rows, columns = len(row_sums), len(column_sums)
    full = float((1 << bits_stored) - 1)
    across, down = column_sums / (rows * full), row_sums / (columns * full)
    if not darkest_is_zero:
        across, down = 1.0 - across, 1.0 - down
    left, left_confidence = _edge(across)
    right, right_confidence = _edge(across[::-1])
    upper, upper_confidence = _edge(down)
    lower, lower_confidence = _edge(down[::-1])
    return ExposedRectangle(
        left,
        columns - right,
        upper,
        rows - lower,
        left_confidence,
        right_confidence,
        upper_confidence,
        lower_confidence,
    )


def _edge(profile: Float64) -> tuple[int, float]:
    """How many samples from the start of a profile (means, 0 to 1) lie behind a blade, and how sure that is."""
    size = len(profile)
    deepest = int(DEEPEST * size)
    inside = float(np.median(profile[deepest : size - deepest]))
    dark = int(np.argmax(profile > DARK * inside))
    if inside < DARKEST_INSIDE or not 0 < dark <= deepest:
        return 0, 0.0
    outside = float(np.median(profile[:dark]))
    covered = dark
    while covered > 0 and profile[covered - 1] > outside + FOOT * inside:
        covered -= 1
    if covered == 0 or float(profile[:covered].std()) > UNEVEN * inside:
        return 0, 0.0
    within = max(1, round(SHARP_WITHIN * size))
    around = profile[max(0, dark - within) : dark + within + 1]
    rise = float((around[within:] - around[:-within]).max()) / inside if len(around) > within else 0.0
    if rise < SHARP:
        return 0, 0.0
    return covered, min(1.0, rise / 0.5) * (1.0 - outside / (DARK * inside))
