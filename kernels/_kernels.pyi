"""CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference."""

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

    @property
    def entries(self) -> NDArray[np.float32] | None:
        """Of table and table_percentile: (entries,); a copy, read-only."""

    @property
    def line(self) -> tuple[float, float, float] | None:
        """(origin, slope, intercept) of linear and table: applied to the entry, else to the stored value."""

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """(low, high), where the window is found from each frame."""

    @property
    def descending(self) -> bool:
        """Of percentile."""

    @property
    def invert(self) -> bool:
        """Whether grey becomes 1 - grey after the window."""

class TensorLayout:
    """Shape, normalisation and element type of the tensor.

    element: "float32", "float16" or "int8". scale: the engine's quantisation step, of int8 only:
    clamp(rint((grey - mean) / std / scale), -128, 127).
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels_last: bool,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        masked_value: float,
        element: str = "float32",
        scale: float = 1.0,
    ) -> None: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def channels_last(self) -> bool: ...
    @property
    def mean(self) -> tuple[float, float, float]: ...
    @property
    def std(self) -> tuple[float, float, float]: ...
    @property
    def masked_value(self) -> float: ...
    @property
    def element(self) -> str: ...
    @property
    def scale(self) -> float: ...

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
    def __call__(self, pixels: NDArray[Any], out: NDArray[Any]) -> bool:
        """Fill out; False where no pixel of the run is exposed and everything became masked_value."""
