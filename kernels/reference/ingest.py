"""NumPy float64 truth of histogram and fused ingest: the C++ and CUDA twins are tested against this file.

Not for speed. runtime/preprocess.py also takes its lookup tables from here, once per run.
Shapes: H, W of the frame; height, width of the tensor. Section numbers are those of DICOM PS3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
GreyFunction = Callable[[Float64], Float64]
COVERED_ALIKE = 1 / 256  # shares of a pixel that are covered count as the same up to here: an 8-bit step of grey

Quantity = Literal["grey", "contrast", "change"]  # what a channel of the tensor shows of a pixel


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A window found from the frame itself: nearest-rank percentiles, in percent, that map to 0 and 1."""

    low: float
    high: float


def stored_values(pixels: NDArray[Any], bits_stored: int) -> NDArray[np.int64]:
    """Stored values with the unused high bits cleared, where old overlays and noise live. pixels: uint8 or uint16."""
    return pixels.astype(np.int64) & ((1 << bits_stored) - 1)


def rescale(stored: Float64, slope: float, intercept: float) -> Float64:
    """Modality rescale, C.11.1.1.2: slope * stored + intercept."""
    return slope * stored + intercept


def lookup(values: Float64, first_input: int, table: NDArray[np.float32]) -> Float64:
    """Modality LUT (C.11.1.1) and VOI LUT (C.11.2.1.1): below the table its first entry, beyond it its last.

    Inputs that are no integers (after a fractional rescale) take the nearest entry, halves upwards.
    """
    index = np.floor(values + 0.5) - first_input
    return np.asarray(table[np.clip(index, 0, len(table) - 1).astype(np.int64)], dtype=np.float64)


def voi_linear(values: Float64, center: float, width: float) -> Float64:
    """VOI window LINEAR, C.11.2.1.2.1, to [0, 1]. width == 1 is a threshold. Raises ValueError if width < 1."""
    if not width >= 1:
        raise ValueError(f"LINEAR window width {width}: must be at least 1 (PS3.3 C.11.2.1.2.1)")
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def voi_linear_exact(values: Float64, center: float, width: float) -> Float64:
    """VOI window LINEAR_EXACT, C.11.2.1.3.2, to [0, 1]. Raises ValueError unless width > 0."""
    if not width > 0:
        raise ValueError(f"LINEAR_EXACT window width {width}: must be above 0 (PS3.3 C.11.2.1.3.2)")
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def voi_sigmoid(values: Float64, center: float, width: float) -> Float64:
    """VOI window SIGMOID, C.11.2.1.3.1: 1 / (1 + exp(-4 (x - center) / width)). Raises ValueError unless width > 0."""
    if not width > 0:
        raise ValueError(f"SIGMOID window width {width}: must be above 0 (PS3.3 C.11.2.1.3.1)")
    # The same curve through tanh, which saturates where exp would overflow.
    return 0.5 + 0.5 * np.tanh(2.0 * (values - center) / width)


def voi_lut(values: Float64, first_input: int, table: NDArray[np.float32], bits: int) -> Float64:
    """VOI LUT, C.11.2.1.1, its output range 0 .. 2**bits - 1 brought to [0, 1]; entries beyond the range saturate."""
    return np.clip(lookup(values, first_input, table) / float((1 << bits) - 1), 0.0, 1.0)


def nearest_rank(percent: float, count: int) -> int:
    """1-based rank of a percentile among count sorted values: ceil(percent * count / 100), at least 1."""
    return max(1, ceil(percent * count / 100.0))


def percentile_limits(values: Float64, percentiles: Percentiles) -> tuple[float, float]:
    """The two nearest-rank percentiles of values: (n,), n >= 1. Each is one of the values."""
    ordered = np.sort(values)
    low, high = (ordered[nearest_rank(p, len(ordered)) - 1] for p in (percentiles.low, percentiles.high))
    return float(low), float(high)


def percentile_window(values: Float64, exposed: NDArray[np.bool_], percentiles: Percentiles) -> Float64:
    """Map the low percentile of the exposed values to 0, the high one to 1, linearly, clamped.

    Where the two are equal the picture is flat: everything becomes 0.
    """
    low, high = percentile_limits(values[exposed], percentiles)
    if not high > low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def exposed_mask(exposed: NDArray[np.int32] | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool from spans (H, 2): columns [start, stop) of each row lie inside shutter and collimator."""
    if exposed is None:
        return np.ones(shape, dtype=np.bool_)
    columns = np.arange(shape[1])
    return (columns >= exposed[:, :1]) & (columns < exposed[:, 1:])


def resize_weights(size_in: int, size_out: int) -> Float64:
    """(size_out, size_in) weights of the antialiased bilinear resize: rows sum to 1.

    Half-pixel centres; a triangle of half-width max(1, size_in / size_out) input pixels, cut at the edges and
    renormalised: what Pillow's BILINEAR and torch's bilinear with antialias compute.
    """
    scale = size_in / size_out
    centres = (np.arange(size_out) + 0.5) * scale
    distance = np.abs(np.arange(size_in) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def resize(image: Float64, height: int, width: int) -> Float64:
    """Separable antialiased resize of (H, W) to (height, width)."""
    return np.asarray(
        resize_weights(image.shape[0], height) @ image @ resize_weights(image.shape[1], width).T, dtype=np.float64
    )


@dataclass
class History:
    """The quantities of the channels, and the memory of one run: background b and recent mean m of each pixel.

    Of a frame's grey x, (height, width): grey is x, contrast x - b, change x - m, with b and m from before the frame;
    of the first frame b = m = x. Then b += (rise if x > b else fall) * (x - b), and m += recent * (x - m).
    rise, fall, recent: the weight of one frame, above 0 and at most 1.
    Greys are remembered, not stored values: frames of another grey scale go on with the memory. Where more or less of a
    pixel is covered than in the frame before, by over 1/256 of it, the memory begins anew with this frame.
    """

    channels: tuple[Quantity, Quantity, Quantity]
    rise: float
    fall: float
    recent: float
    background: Float64 | None = field(default=None, init=False)
    mean: Float64 | None = field(default=None, init=False)
    covered: Float64 | None = field(default=None, init=False)

    def __call__(self, grey: Float64, *, shown: bool = True, covered: Float64 | None = None) -> Float64:
        """(3, height, width): the quantities of the next frame. shown: any pixel is exposed.

        Where none is, the frame is not remembered, and the differences are 0.
        covered: (height, width) share of each pixel of the tensor that is not exposed, where that changes in the run.
        """
        if not shown:
            background = mean = grey
        else:
            background = grey if self.background is None else self.background
            mean = grey if self.mean is None else self.mean
            if covered is not None and self.covered is not None:
                anew = np.abs(covered - self.covered) > COVERED_ALIKE
                background, mean = np.where(anew, grey, background), np.where(anew, grey, mean)
        contrast, change = grey - background, grey - mean
        if shown:
            self.covered = covered
            self.background = background + np.where(contrast > 0.0, self.rise, self.fall) * contrast
            self.mean = mean + self.recent * change
        quantities = {"grey": grey, "contrast": contrast, "change": change}
        return np.stack([quantities[name] for name in self.channels])

    def reset(self) -> None:
        """Forget the frames so far: the next one is the first."""
        self.background = self.mean = self.covered = None


def normalise(quantities: Float64, mean: tuple[float, ...], std: tuple[float, ...], *, channels_last: bool) -> Float64:
    """(quantity - mean) / std: (1, 3, height, width), or (1, height, width, 3).

    quantities: (height, width) grey in [0, 1] for all channels, or (3, height, width), one for each.
    """
    planes = np.broadcast_to(quantities, (len(mean), *quantities.shape[-2:]))
    channels = [(plane - m) / s for plane, m, s in zip(planes, mean, std, strict=True)]
    return np.stack(channels, axis=-1 if channels_last else 0)[None]


def quantise(tensor: Float64, scale: float) -> NDArray[np.int8]:
    """The engine's int8: clamp(rint(tensor / scale), -128, 127), ties to even. scale: its quantisation step."""
    return np.clip(np.rint(tensor / scale), -128, 127).astype(np.int8)


def as_element(tensor: Float64, element: str, scale: float = 1.0) -> NDArray[Any]:
    """The tensor in the engine's element type. float32, float16: nearest, ties to even; int8: quantise."""
    return quantise(tensor, scale) if element == "int8" else tensor.astype(element)


def to_grey(
    pixels: NDArray[Any],
    bits_stored: int,
    modality: GreyFunction | None,
    window: GreyFunction | Percentiles,
    *,
    invert: bool,
    exposed: NDArray[np.int32] | None,
    masked_value: float,
) -> Float64:
    """Stored values (H, W) to grey in [0, 1]: mask of bits, modality, window, MONOCHROME1 inversion, shutter.

    Where nothing is exposed, everything is masked_value.
    """
    inside = exposed_mask(exposed, (pixels.shape[0], pixels.shape[1]))
    if not inside.any():
        return np.full(pixels.shape, masked_value)
    values = stored_values(pixels, bits_stored).astype(np.float64)
    if modality is not None:
        values = modality(values)
    grey = percentile_window(values, inside, window) if isinstance(window, Percentiles) else window(values)
    return np.where(inside, 1.0 - grey if invert else grey, masked_value)
