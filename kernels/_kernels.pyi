"""CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference."""

from collections.abc import Sequence
from typing import Any, Literal

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

Quantity = Literal["grey", "contrast", "change"]

class History:
    """What each channel shows of a pixel, and how fast its memory follows; meaning: kernels/reference/ingest.py.

    rise, fall, recent: the weight of one frame, above 0 and at most 1.
    """

    def __init__(
        self, channels: tuple[Quantity, Quantity, Quantity], rise: float, fall: float, recent: float
    ) -> None: ...
    @property
    def channels(self) -> tuple[Quantity, Quantity, Quantity]: ...
    @property
    def rise(self) -> float: ...
    @property
    def fall(self) -> float: ...
    @property
    def recent(self) -> float: ...

class TensorLayout:
    """Shape, normalisation and element type of the tensor.

    element: "float32", "float16" or "int8". scale: the engine's quantisation step, of int8 only:
    clamp(rint((grey - mean) / std / scale), -128, 127). history: what the channels show; None: all three grey.
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
        history: History | None = None,
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
    @property
    def history(self) -> History | None: ...

class Ingest:
    """The plan and scratch of one run: frames in, tensor out. Not thread-safe.

    others: (exposed, window) of further views, for a run whose frames are not all looked at alike; the first view is
    (exposed, window). What is the same object in several views is kept once.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        bits_stored: int,
        exposed: NDArray[np.int32] | None,
        window: Window,
        tensor: TensorLayout,
        others: Sequence[tuple[NDArray[np.int32] | None, Window]] = (),
    ) -> None: ...
    def __call__(self, pixels: NDArray[Any], out: NDArray[Any], view: int = 0) -> bool:
        """Fill out; False where the view has no exposed pixel and everything became masked_value."""

    def reset(self) -> None:
        """Forget the frames so far: the next one is the first of a run. Does nothing without a history."""

class TemporalSettings:
    """Detector noise, motion gain and ghosting limit; meaning and units: kernels/reference/temporal.py."""

    def __init__(
        self,
        noise_offset: float,
        noise_gain: float,
        still: float,
        threshold: float,
        slope: float,
        ghosting_limit: float,
    ) -> None: ...
    @property
    def noise_offset(self) -> float: ...
    @property
    def noise_gain(self) -> float: ...
    @property
    def still(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def slope(self) -> float: ...
    @property
    def ghosting_limit(self) -> float: ...

class TemporalFilter:
    """The state of one run: frames in, frames with less noise out. Not thread-safe."""

    def __init__(self, shape: tuple[int, int], bits_stored: int, settings: TemporalSettings) -> None: ...
    def __call__(self, pixels: NDArray[Any], out: NDArray[Any]) -> None:
        """Filter pixels into out, of the same type and shape; the first frame comes out as it is."""

    def reset(self) -> None:
        """Forget the frames so far: the next one comes out as it is."""

    @property
    def state(self) -> NDArray[np.float32]:
        """A copy of the filtered frame before rounding: (rows, columns)."""

class SubtractionSettings:
    """What is subtracted, and how it is shown; meaning: kernels/reference/subtraction.py."""

    def __init__(self, pixel_intensity_relationship: str, gain: float, offset: float, bits_out: int) -> None: ...
    @property
    def pixel_intensity_relationship(self) -> str: ...
    @property
    def gain(self) -> float: ...
    @property
    def offset(self) -> float: ...
    @property
    def bits_out(self) -> int: ...

class MaskSubtraction:
    """The mask of one run: live frames in, subtracted ones out. Not thread-safe."""

    def __init__(self, shape: tuple[int, int], bits_stored: int, settings: SubtractionSettings) -> None: ...
    def add_mask_frame(self, pixels: NDArray[Any]) -> None:
        """Take one more frame into the mean; at most 256."""

    def reset(self) -> None:
        """Forget the mask."""

    def __call__(self, pixels: NDArray[Any], out: NDArray[np.uint16], shift: tuple[float, float] = (0.0, 0.0)) -> None:
        """Subtract the mask, moved by shift (rows down, columns right), into out: uint16 of pixels' shape."""

class Clahe:
    """Contrast-limited adaptive histogram equalisation of frames of one size. Not thread-safe."""

    def __init__(self, shape: tuple[int, int], bits_stored: int, tiles: tuple[int, int], clip_limit: float) -> None: ...
    def __call__(self, pixels: NDArray[Any], out: NDArray[Any]) -> None:
        """Fill out, of the shape and dtype of pixels, with the equalised stored values; it may be pixels itself."""

def compare_frames(
    previous: NDArray[Any], current: NDArray[Any], bits_stored: int, limit: int
) -> tuple[int, int, int, int, int]:
    """The fields of reference.repeats.Comparison, in order. limit: 0 to 65535 stored values."""

def same_pixels(previous: NDArray[Any], current: NDArray[Any], bits_stored: int) -> bool:
    """Whether all stored values of two frames of one shape and type are equal; returns early where they are not."""

class Clip:
    """The plan and scratch of one run's clips: sampled frames in, one clip of a batch out. Not thread-safe.

    window: linear or table; one found from each frame would make the clip flicker. tensor: of one frame, without a
    history.
    """

    def __init__(
        self, shape: tuple[int, int], bits_stored: int, window: Window, frames: int, tensor: TensorLayout
    ) -> None: ...
    def __call__(self, frames: Sequence[NDArray[Any]], out: NDArray[Any]) -> None:
        """Fill out: (frames, height, width, 3), or (3, frames, height, width), C-contiguous."""

class Vesselness:
    """How much of a frame's field looks like dark lines, as one number; meaning: kernels/reference/vesselness.py.

    exposed: columns [start, stop) of each row inside shutter and collimator, or None: all. inverted: MONOCHROME1, the
    vessels are bright in the stored values. Not thread-safe.
    """

    def __init__(
        self, shape: tuple[int, int], bits_stored: int, exposed: NDArray[np.int32] | None, inverted: bool
    ) -> None: ...
    def __call__(self, pixels: NDArray[Any]) -> float:
        """Of one frame, at least 0; 0 where no cell counts, or all that count are equal."""
