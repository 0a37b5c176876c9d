"""NumPy float64 truth of the motion-adaptive recursive temporal filter: the C++ and CUDA twins are tested against it.

Not for speed, and not for deciding when to begin anew (a changed geometry, a pause): the caller knows that.
Shapes: H, W of the frame. Unit of values and differences: stored values; of distances: noise standard deviations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def noise_sigma(stored: Float64, noise_offset: float, noise_gain: float) -> Float64:
    """Standard deviation of the detector's noise: electronic (constant) and quantum (its variance grows with dose)."""
    return np.asarray(np.sqrt(noise_offset + noise_gain * stored), dtype=np.float64)


def local_mean(difference: Float64) -> Float64:
    """Mean over the 3x3 neighbourhood, of which at the edges only what lies in the frame counts."""
    rows, columns = difference.shape

    def sums(values: Float64) -> Float64:
        padded = np.pad(values, 1)
        shifted = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        return np.asarray(np.sum(shifted, axis=0), dtype=np.float64)

    return sums(difference) / sums(np.ones_like(difference))


def motion_gain(distance: Float64, still: float, threshold: float, slope: float) -> Float64:
    """How much of the new frame is taken: `still` up to the threshold, then rising to 1, which is motion."""
    return np.clip(still + slope * np.maximum(0.0, distance - threshold), still, 1.0)


def temporal(
    stored: NDArray[Any],
    state: Float64 | None,
    *,
    noise_offset: float,
    noise_gain: float,
    still: float,
    threshold: float,
    slope: float,
    ghosting_limit: float,
) -> Float64:
    """The state after one more frame: state + k (stored - state), never further than the ghosting limit from `stored`.

    stored: (H, W) stored values. state: of the frame before, (H, W), or None: the frame is the first and becomes it.
    Source: recursive filtering gated by motion, Aufrichtig and Wilson, IEEE Trans. Med. Imaging 14 (1995) 733; a
    threshold in local noise deviations, Sarno et al., BioMed. Eng. OnLine 18:94 (2019). The ghosting limit is ours.
    """
    new = stored.astype(np.float64)
    if state is None:
        return new
    sigma = noise_sigma(new, noise_offset, noise_gain)
    gain = motion_gain(np.abs(local_mean(new - state)) / sigma, still, threshold, slope)
    return np.clip(state + gain * (new - state), new - ghosting_limit * sigma, new + ghosting_limit * sigma)


def rounded(state: Float64) -> NDArray[np.int64]:
    """The state as stored values, halves upwards. It never leaves the range of the stored values it was made from."""
    return np.floor(state + 0.5).astype(np.int64)
