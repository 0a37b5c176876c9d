"""Motion-adaptive temporal filter of one frame: ours beside OpenCV, numba, NumPy with SciPy, and the memory limit.

Every variant filters the same frames in order; each is compared with kernels/reference/temporal.py before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from benchmarks import measure
from cathrt.kernels._kernels import TemporalFilter, TemporalSettings
from cathrt.kernels.reference import temporal as reference

FRAMES = 8  # as many frames in turn, so that no variant finds its input in the first-level cache

Pixels = NDArray[Any]
Float32 = NDArray[np.float32]
Variant = Callable[[Pixels, Pixels], object]  # a frame in, the filtered frame out; keeps its own state
Results = Mapping[str, Mapping[str, measure.Samples]]  # by case, then by implementation


@dataclass(frozen=True, slots=True)
class Case:
    """side, bits: of the frame."""

    name: str
    side: int
    bits: int

    @property
    def dtype(self) -> type:
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def settings(self) -> dict[str, float]:
        """Detector noise of about one percent at half dose, averaging about nine still frames."""
        full = float(1 << self.bits)
        return {
            "noise_offset": (0.002 * full) ** 2 + 1 / 12,
            "noise_gain": 0.0002 * full,
            "still": 0.2,
            "threshold": 0.8,
            "slope": 0.4,
            "ghosting_limit": 5.0,
        }


CASES = (
    Case("512_u8", 512, 8),
    Case("512_u16", 512, 12),
    Case("1024_u8", 1024, 8),
    Case("1024_u16", 1024, 12),
)


def fluoroscopy(case: Case) -> list[Pixels]:
    """Still tissue with dose-like noise, and a catheter that moves across it."""
    rng = np.random.default_rng(7)
    top = (1 << case.bits) - 1
    y, x = np.mgrid[0 : case.side, 0 : case.side] / case.side
    tissue = 0.5 + 0.2 * np.sin(3 * x) * np.cos(4 * y) + 0.1 * y
    frames = []
    for number in range(FRAMES):
        catheter = np.abs(y - 0.4 - 0.01 * number - 0.1 * np.sin(5 * x)) < 0.004
        level = np.where(catheter, 0.15, tissue) * top
        sigma = np.sqrt((0.002 * top) ** 2 + 0.0002 * top * level)
        frames.append(np.clip(np.rint(rng.normal(level, sigma)), 0, top).astype(case.dtype))
    return frames


def ours(case: Case) -> Variant:
    return TemporalFilter((case.side, case.side), case.bits, TemporalSettings(**case.settings))


def opencv_adaptive(case: Case) -> Variant:
    """The same filter from OpenCV's whole-frame operations, all into buffers made once."""
    s = case.settings
    shape = (case.side, case.side)
    ones = np.ones(shape, np.float32)
    share = 1 / cv2.boxFilter(ones, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    new, state, difference, gain, sigma, bound = (np.zeros(shape, np.float32) for _ in range(6))
    begins = True

    def run(pixels: Pixels, out: Pixels) -> None:
        nonlocal begins
        np.copyto(new, pixels)
        if begins:
            np.copyto(state, new)
            begins = False
        cv2.subtract(new, state, dst=difference)
        cv2.boxFilter(difference, -1, (3, 3), dst=gain, normalize=False, borderType=cv2.BORDER_CONSTANT)
        cv2.multiply(gain, share, dst=gain)
        cv2.absdiff(gain, (0.0,), dst=gain)
        cv2.addWeighted(new, s["noise_gain"], new, 0.0, s["noise_offset"], dst=sigma)
        cv2.sqrt(sigma, dst=sigma)
        cv2.divide(gain, sigma, dst=gain)
        cv2.max(gain, (s["threshold"],), dst=gain)
        cv2.addWeighted(gain, s["slope"], gain, 0.0, s["still"] - s["slope"] * s["threshold"], dst=gain)
        cv2.min(gain, (1.0,), dst=gain)
        cv2.multiply(gain, difference, dst=difference)
        cv2.add(state, difference, dst=state)
        cv2.scaleAdd(sigma, -s["ghosting_limit"], new, dst=bound)
        cv2.max(state, bound, dst=state)
        cv2.scaleAdd(sigma, s["ghosting_limit"], new, dst=bound)
        cv2.min(state, bound, dst=state)
        cv2.add(state, (0.0,), dst=out, dtype=cv2.CV_8U if out.dtype == np.uint8 else cv2.CV_16U)

    return run


def opencv_constant(case: Case) -> Variant:
    """cv2.accumulateWeighted: averages whatever moves, so it does less than the others and leaves trails."""
    state = np.zeros((case.side, case.side), np.float32)
    begins = True

    def run(pixels: Pixels, out: Pixels) -> None:
        nonlocal begins
        cv2.accumulateWeighted(pixels, state, 1.0 if begins else case.settings["still"])
        begins = False
        cv2.add(state, (0.0,), dst=out, dtype=cv2.CV_8U if out.dtype == np.uint8 else cv2.CV_16U)

    return run


@numba.njit(cache=False, fastmath=True)
def _numba_step(
    pixels: Pixels, state: Float32, difference: Float32, sums: Float32, out: Pixels, parameters: Float32
) -> None:
    offset, gain, still, threshold, slope, limit = parameters
    rows, columns = pixels.shape
    for y in range(rows):
        for x in range(columns):
            difference[y, x] = np.float32(pixels[y, x]) - state[y, x]
    for y in range(rows):
        top, bottom = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            total = np.float32(0)
            for row in range(top, bottom + 1):
                total += difference[row, x]
            sums[x] = total
        for x in range(columns):
            left, right = max(x - 1, 0), min(x + 1, columns - 1)
            total = sums[x]
            if left < x:
                total += sums[left]
            if right > x:
                total += sums[right]
            new = np.float32(pixels[y, x])
            sigma = np.sqrt(offset + gain * new)
            mean = total / np.float32((bottom - top + 1) * (right - left + 1))
            share = min(still + slope * max(abs(mean) / sigma - threshold, np.float32(0)), np.float32(1))
            value = state[y, x] + share * difference[y, x]
            value = min(max(value, new - limit * sigma), new + limit * sigma)
            state[y, x] = value
            out[y, x] = int(value + np.float32(0.5))


def numba_loops(case: Case) -> Variant:
    shape = (case.side, case.side)
    state, difference, sums = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(case.side, np.float32)
    parameters = np.array(list(case.settings.values()), dtype=np.float32)
    first = parameters.copy()
    first[2] = 1.0
    begins = True

    def run(pixels: Pixels, out: Pixels) -> None:
        nonlocal begins
        _numba_step(pixels, state, difference, sums, out, first if begins else parameters)
        begins = False

    return run


def numpy_scipy(case: Case) -> Variant:
    s = case.settings
    share = 1 / uniform_filter(np.ones((case.side, case.side), np.float32), 3, mode="constant")
    state: Float32 | None = None

    def run(pixels: Pixels, out: Pixels) -> None:
        nonlocal state
        new = pixels.astype(np.float32)
        before = new if state is None else state
        sigma = np.sqrt(s["noise_offset"] + s["noise_gain"] * new)
        distance = np.abs(uniform_filter(new - before, 3, mode="constant") * share) / sigma
        gain = np.minimum(s["still"] + s["slope"] * np.maximum(distance - s["threshold"], 0), 1)
        reach = s["ghosting_limit"] * sigma
        state = np.clip(before + gain * (new - before), new - reach, new + reach)
        np.copyto(out, np.rint(state), casting="unsafe")

    return run


def variants(case: Case) -> dict[str, Variant]:
    made = {"cathrt": ours, "opencv": opencv_adaptive, "numba": numba_loops, "numpy_scipy": numpy_scipy}
    return {name: make(case) for name, make in made.items()} | {"opencv_accumulate_only": opencv_constant(case)}


def truth(case: Case, name: str, frames: list[Pixels]) -> NDArray[np.int64]:
    """The last of the frames, filtered; for accumulate_only with nothing but its constant gain."""
    settings = case.settings
    if name == "opencv_accumulate_only":
        settings |= {"slope": 0.0, "ghosting_limit": 1e9}
    state = None
    for pixels in frames:
        state = reference.temporal(pixels, state, **settings)
    assert state is not None
    return reference.rounded(state)


def check(case: Case, name: str, variant: Variant, frames: list[Pixels], expected: NDArray[np.int64]) -> None:
    """Raises ValueError unless the variant, from its beginning, filters the frames to within 1 of the reference."""
    out = np.zeros_like(frames[0])
    for pixels in frames:
        variant(pixels, out)
    off = int(np.abs(out - expected).max())
    if off > 1:
        raise ValueError(f"{case.name} {name}: off by {off}, expected at most 1")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: frame and state read once and written once."""
    frames = fluoroscopy(case)
    out = np.empty_like(frames[0])
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in variants(case).items():
        check(case, name, variant, frames, truth(case, name, frames))
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES], out)
    nbytes = out.nbytes + 4 * out.size
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=nbytes, write_bytes=nbytes)


def run(rounds: int) -> Results:
    return {case.name: run_case(case, rounds) for case in CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians at 1024 x 1024 in 16-bit words: to the limit, and to the same filter in OpenCV."""
    medians = {impl: samples.median_ms for impl, samples in results["1024_u16"].items()}
    return {
        "temporal_1024_vs_limit": medians["cathrt"] / medians["limit"],
        "temporal_1024_vs_opencv": medians["cathrt"] / medians["opencv"],
    }
