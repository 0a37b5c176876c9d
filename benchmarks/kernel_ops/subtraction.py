"""Mask subtraction of one frame with a sub-pixel shift: ours beside OpenCV, numba, SciPy and the memory limit.

Every variant subtracts the same mask, shifted alike, from the same frames; each is compared with
kernels/reference/subtraction.py before it is timed. The mask itself is made once and not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

import cv2
import numba
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from skimage.transform import EuclideanTransform, warp

from benchmarks import measure
from cathrt.kernels._kernels import MaskSubtraction, SubtractionSettings
from cathrt.kernels.reference import subtraction as reference

FRAMES = 8  # as many frames in turn, so that no variant finds its input in the first-level cache
MASKS = 4
SHIFT = (0.25, -0.5)  # of those that OpenCV's warp, in steps of 1/32 pixel, meets exactly
BITS_OUT = 12
OFFSET = 2048.0

Pixels = NDArray[Any]
Float32 = NDArray[np.float32]
Variant = Callable[[Pixels, NDArray[np.uint16]], object]
Results = Mapping[str, Mapping[str, measure.Samples]]  # by case, then by implementation


@dataclass(frozen=True, slots=True)
class Case:
    """side, bits: of the frame. relationship: LOG, or LIN, where the logarithm is taken of every frame."""

    name: str
    side: int
    bits: int
    relationship: str = "LOG"

    @property
    def dtype(self) -> type:
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def gain(self) -> float:
        """Half the full scale of differences fills the output."""
        return 2.0**BITS_OUT / (np.log(2.0**self.bits) if self.relationship == "LIN" else 2.0**self.bits)


CASES = (
    Case("512_u8", 512, 8),
    Case("512_u16", 512, 12),
    Case("1024_u8", 1024, 8),
    Case("1024_u16", 1024, 12),
    Case("1024_u16_lin", 1024, 12, "LIN"),
)


def angiogram(rng: np.random.Generator, case: Case, contrast: float) -> Pixels:
    """Smooth tissue with noise and, where contrast is above 0, a vessel."""
    top = (1 << case.bits) - 1
    y, x = np.mgrid[0 : case.side, 0 : case.side] / case.side
    vessel = np.exp(-(((y - 0.5 - 0.2 * np.sin(6 * x)) / 0.01) ** 2))
    level = top * (0.55 + 0.25 * np.sin(3 * x) * np.cos(4 * y)) * (1 - contrast * vessel)
    return np.clip(np.rint(rng.normal(level, 0.01 * top)), 0, top).astype(case.dtype)


def ours(case: Case, masks: list[Pixels]) -> Variant:
    settings = SubtractionSettings(case.relationship, case.gain, OFFSET, BITS_OUT)
    subtraction = MaskSubtraction((case.side, case.side), case.bits, settings)
    for mask in masks:
        subtraction.add_mask_frame(mask)
    return lambda pixels, out: subtraction(pixels, out, SHIFT)


def opencv_variants(case: Case, mask: Float32) -> dict[str, Variant]:
    """OpenCV moving the mask for every frame; and, as where the shift stays the same, moving it once beforehand."""
    matrix = np.array([[1, 0, SHIFT[1]], [0, 1, SHIFT[0]]])
    top = float((1 << BITS_OUT) - 1)
    moved, live = np.empty_like(mask), np.empty_like(mask)
    size = (case.side, case.side)

    def move() -> None:
        cv2.warpAffine(mask, matrix, size, dst=moved, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def subtract(pixels: Pixels, out: NDArray[np.uint16]) -> None:
        source = pixels
        if case.relationship == "LIN":
            np.copyto(live, pixels)
            cv2.add(live, (1.0,), dst=live)
            source = cv2.log(live, dst=live)
        cv2.addWeighted(source, case.gain, moved, -case.gain, OFFSET, dst=out, dtype=cv2.CV_16U)
        cv2.min(out, (top,), dst=out)

    def each_frame(pixels: Pixels, out: NDArray[np.uint16]) -> None:
        move()
        subtract(pixels, out)

    def moved_once() -> Variant:
        move()
        return subtract

    return {"opencv": each_frame, "opencv_moved_once": moved_once()}


@numba.njit(cache=False, fastmath=True)
def _numba_subtract(
    pixels: Pixels, mask: Float32, out: NDArray[np.uint16], firsts: Any, weights: Float32, scale: Float32, linear: bool
) -> None:
    gain, offset, top = scale
    rows, columns = pixels.shape
    for y in range(rows):
        row, below = min(max(y + firsts[0], 0), rows - 1), min(max(y + firsts[0] + 1, 0), rows - 1)
        for x in range(columns):
            column, right = min(max(x + firsts[1], 0), columns - 1), min(max(x + firsts[1] + 1, 0), columns - 1)
            upper = (np.float32(1) - weights[1]) * mask[row, column] + weights[1] * mask[row, right]
            lower = (np.float32(1) - weights[1]) * mask[below, column] + weights[1] * mask[below, right]
            live = np.float32(pixels[y, x])
            if linear:
                live = np.log(live + np.float32(1))
            value = gain * (live - (np.float32(1) - weights[0]) * upper - weights[0] * lower) + offset
            out[y, x] = int(min(max(value, np.float32(0)), top) + np.float32(0.5))


def numba_loops(case: Case, mask: Float32) -> Variant:
    firsts = np.array([floor(-shift) for shift in SHIFT])
    weights = np.array([-shift - floor(-shift) for shift in SHIFT], dtype=np.float32)
    scale = np.array([case.gain, OFFSET, (1 << BITS_OUT) - 1], dtype=np.float32)
    linear = case.relationship == "LIN"
    return lambda pixels, out: _numba_subtract(pixels, mask, out, firsts, weights, scale, linear)


def python_variants(case: Case, mask: Float32) -> dict[str, Variant]:
    """NumPy, the mask moved by SciPy or by scikit-image."""

    def finish(pixels: Pixels, moved: Float32, out: NDArray[np.uint16]) -> None:
        live = pixels.astype(np.float32)
        if case.relationship == "LIN":
            np.log1p(live, out=live)
        value = np.clip(np.float32(case.gain) * (live - moved) + np.float32(OFFSET), 0, (1 << BITS_OUT) - 1)
        np.copyto(out, np.rint(value), casting="unsafe")

    def by_scipy(pixels: Pixels, out: NDArray[np.uint16]) -> None:
        finish(pixels, scipy.ndimage.shift(mask, SHIFT, order=1, mode="nearest"), out)

    back = EuclideanTransform(translation=(-SHIFT[1], -SHIFT[0]))

    def by_scikit_image(pixels: Pixels, out: NDArray[np.uint16]) -> None:
        finish(pixels, warp(mask, back, order=1, mode="edge", preserve_range=True), out)

    return {"scipy": by_scipy, "scikit_image": by_scikit_image}


def variants(case: Case, masks: list[Pixels]) -> dict[str, Variant]:
    mask = reference.mean_mask(masks, case.relationship).astype(np.float32)
    made = {"cathrt": ours(case, masks), "numba": numba_loops(case, mask)}
    return made | opencv_variants(case, mask) | python_variants(case, mask)


def truth(case: Case, masks: list[Pixels], live: Pixels) -> NDArray[np.int64]:
    return reference.subtraction(
        live,
        reference.mean_mask(masks, case.relationship),
        SHIFT,
        pixel_intensity_relationship=case.relationship,
        gain=case.gain,
        offset=OFFSET,
        bits_out=BITS_OUT,
    )


def check(case: Case, name: str, variant: Variant, live: Pixels, expected: NDArray[np.int64]) -> None:
    """Raises ValueError unless the variant subtracts to within 1 of the reference."""
    out = np.zeros(live.shape, np.uint16)
    variant(live, out)
    off = int(np.abs(out - expected).max())
    if off > 1:
        raise ValueError(f"{case.name} {name}: off by {off}, expected at most 1")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: frame and mask read once, output written once."""
    rng = np.random.default_rng(7)
    masks = [angiogram(rng, case, 0.0) for _ in range(MASKS)]
    frames = [angiogram(rng, case, 0.6) for _ in range(FRAMES)]
    expected = truth(case, masks, frames[0])
    out = np.empty(frames[0].shape, np.uint16)
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in variants(case, masks).items():
        check(case, name, variant, frames[0], expected)
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES], out)
    nbytes = frames[0].nbytes + 4 * out.size
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=nbytes, write_bytes=out.nbytes)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians at 1024 x 1024 in 16-bit words: to the limit, and to OpenCV moving the mask for every frame."""
    medians = {impl: samples.median_ms for impl, samples in results["1024_u16"].items()}
    return {
        "subtraction_1024_vs_limit": medians["cathrt"] / medians["limit"],
        "subtraction_1024_vs_opencv": medians["cathrt"] / medians["opencv"],
    }
