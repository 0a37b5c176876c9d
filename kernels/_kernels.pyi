"""CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def histogram(pixels: NDArray[Any], bits_stored: int, exposed: NDArray[np.int32] | None = None) -> NDArray[np.uint32]:
    """Counts per stored value of the exposed pixels: uint32 (1 << bits_stored,)."""

def percentile_values(
    pixels: NDArray[Any], bits_stored: int, low: float, high: float, exposed: NDArray[np.int32] | None = None
) -> tuple[int, int] | None:
    """The stored values at two nearest-rank percentiles of the exposed pixels, or None where none is exposed."""

class Window:
    """How a stored value becomes grey in [0, 1]."""

    @staticmethod
    def linear(origin: float, slope: float, intercept: float, invert: bool) -> Window:
        """grey = clamp((stored - origin) * slope + intercept)."""

    @staticmethod
    def table(grey: NDArray[np.float32], invert: bool) -> Window:
        """grey = clamp(table[stored]); float32, one entry per stored value."""

    @staticmethod
    def percentile(low: float, high: float, descending: bool, invert: bool) -> Window:
        """Found from each frame; descending: modality values fall as stored values rise."""

    @staticmethod
    def table_percentile(low: float, high: float, modality: NDArray[np.float32], invert: bool) -> Window:
        """Found from the modality values of each frame; float32, one per stored value."""

class TensorLayout:
    """Shape and normalisation of the tensor."""

    def __init__(
        self,
        height: int,
        width: int,
        channels_last: bool,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        masked_value: float,
    ) -> None: ...

class Ingest:
    """The plan and scratch of one run: frames in, tensor out. Not thread-safe."""

    def __init__(
        self,
        shape: tuple[int, int],
        bits_stored: int,
        exposed: NDArray[np.int32] | None,
        window: Window,
        tensor: TensorLayout,
    ) -> None: ...
    def __call__(self, pixels: NDArray[Any], out: NDArray[np.float32]) -> bool:
        """Fill out; False where no pixel of the run is exposed and everything became masked_value."""

def compare_frames(
    previous: NDArray[Any], current: NDArray[Any], bits_stored: int, limit: int
) -> tuple[int, int, int, int, int]:
    """The fields of reference.repeats.Comparison, in order. limit: 0 to 65535 stored values."""

def same_pixels(previous: NDArray[Any], current: NDArray[Any], bits_stored: int) -> bool:
    """Whether all stored values of two frames of one shape and type are equal; returns early where they are not."""

class ClipLayout:
    """Shape and normalisation of one clip of a video encoder's batch."""

    def __init__(self, frames: int, height: int, width: int, channels_last: bool, mean: float, std: float) -> None: ...

class Clip:
    """The plan and scratch of one run's clips: frames in, one clip of a batch out. Not thread-safe."""

    @staticmethod
    def linear(shape: tuple[int, int], bits_stored: int, line: tuple[float, float, float], layout: ClipLayout) -> Clip:
        """line: (origin, slope, intercept); grey = clamp((stored - origin) * slope + intercept)."""

    @staticmethod
    def table(shape: tuple[int, int], bits_stored: int, grey: NDArray[np.float32], layout: ClipLayout) -> Clip:
        """grey = clamp(grey[stored]); float32, one entry per stored value."""

    def __call__(self, frames: Sequence[NDArray[Any]], out: NDArray[np.float32] | NDArray[np.float16]) -> None:
        """Fill out, (frames, height, width, 3) or (3, frames, height, width), C-contiguous."""
