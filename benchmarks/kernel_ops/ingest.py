"""Fused ingest of one frame: ours beside OpenCV, numba, scikit-image, pydicom, torch and the memory limit.

Every variant turns the same stored values into the same 1x3x224x224 tensor; each is compared with
kernels/reference/ingest.py before it is timed. A run with history channels is timed beside the same run without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi_lut
from skimage.transform import resize as skimage_resize

from benchmarks import measure
from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window
from cathrt.kernels.reference import ingest as reference

SIDE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SCALE = np.array([1 / s for s in STD], dtype=np.float32)
OFFSET = np.array([-m / s for m, s in zip(MEAN, STD, strict=True)], dtype=np.float32)
PERCENTILES = (0.5, 99.5)
FRAMES = 8  # as many frames in turn, so that no variant finds its input in the first-level cache

Pixels = NDArray[Any]
Variant = Callable[[Pixels, NDArray[np.float32]], object]
Results = Mapping[str, Mapping[str, measure.Samples]]  # by case, then by implementation


@dataclass(frozen=True, slots=True)
class Case:
    """side, bits: of the frame. voi: LINEAR (centre, width), or None for the percentile window.

    alike: frames of one run, whose percentiles hardly move; else every frame is of another scene.
    """

    name: str
    side: int
    bits: int
    voi: tuple[float, float] | None = None
    alike: bool = True

    @property
    def dtype(self) -> type:
        return np.uint8 if self.bits == 8 else np.uint16


CASES = (
    Case("512_u8_percentile", 512, 8),
    Case("512_u16_percentile", 512, 12),
    Case("1024_u8_percentile", 1024, 8),
    Case("1024_u16_percentile", 1024, 12),
    Case("1024_u16_percentile_unlike", 1024, 12, alike=False),
    Case("1024_u16_voi", 1024, 12, (1900.0, 2600.0)),
)
# Frames of one run, with grey, contrast and change as channels and with three times grey.
HISTORY_CASES = (Case("512_u16_history", 512, 12), Case("1024_u16_history", 1024, 12))
HISTORY = History(("grey", "contrast", "change"), 0.03, 0.6, 0.35)


def angiogram_like(rng: np.random.Generator, case: Case) -> Pixels:
    """A frame with the statistics that matter to speed: smooth anatomy, thin dark vessels, dose-like noise, an edge."""
    return next(iter(run_like(rng, case, 1)))


def run_like(rng: np.random.Generator, case: Case, count: int) -> Iterator[Pixels]:
    """Frames of one run: still anatomy, vessels that fill and empty, noise anew in each."""
    y, x = np.mgrid[0 : case.side, 0 : case.side] / case.side
    still = 0.5 + 0.2 * np.sin(3 * x + rng.uniform(0, 6)) * np.cos(4 * y + rng.uniform(0, 6)) + 0.1 * y
    vessels = np.zeros_like(still)
    for _ in range(6):
        a, b, c, d = rng.uniform(-1, 1, 4)
        vessels += 0.2 * np.exp(-(((y - 0.5 - 0.3 * a - 0.4 * b * x - 0.1 * np.sin(9 * c * x + d)) / 0.006) ** 2))
    top = (1 << case.bits) - 1
    for number in range(count):
        level = still - vessels * (0.6 + 0.4 * np.cos(2 * np.pi * number / count))
        level[: case.side // 64] = 0.02
        noisy = level * top + rng.normal(0, 1, level.shape) * np.sqrt(np.maximum(level, 0.02)) * top * 0.02
        yield np.clip(np.rint(noisy), 0, top).astype(case.dtype)


def frames_of(case: Case) -> list[Pixels]:
    """FRAMES frames to take turns."""
    rng = np.random.default_rng(7)
    if case.alike:
        return list(run_like(rng, case, FRAMES))
    return [angiogram_like(rng, case) for _ in range(FRAMES)]


def limits_from_counts(counts: NDArray[Any], total: int) -> tuple[int, int]:
    """Nearest-rank percentiles from a histogram."""
    reached = np.cumsum(counts)
    low, high = (int(np.searchsorted(reached, reference.nearest_rank(p, total))) for p in PERCENTILES)
    return low, high


def count_by_numba(pixels: Pixels, entries: int) -> NDArray[np.int64]:
    """Counts per stored value."""
    counts = np.zeros(entries, dtype=np.int64)
    _numba_histogram(pixels, counts)
    return counts


@numba.njit(cache=False)
def _numba_histogram(pixels: Pixels, counts: NDArray[np.int64]) -> None:
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            counts[pixels[y, x]] += 1


Filter = tuple[NDArray[np.int64], NDArray[np.float32]]  # first tap of each output, its weights (outputs, taps)


def _filter(size_in: int) -> Filter:
    """The reference's resize of one axis, without its zeros."""
    weights = reference.resize_weights(size_in, SIDE)
    taps = int((weights > 0).sum(axis=1).max())
    first = np.minimum((weights > 0).argmax(axis=1), size_in - taps)
    return first, np.take_along_axis(weights, first[:, None] + np.arange(taps), axis=1).astype(np.float32)


@numba.njit(cache=False, fastmath=True)
def _numba_ingest(
    pixels: Pixels, low: np.float32, span: np.float32, rows: Filter, columns: Filter, out: NDArray[np.float32]
) -> None:
    sums = np.empty(pixels.shape[1], np.float32)
    for i in range(SIDE):
        sums[:] = 0
        for t in range(rows[1].shape[1]):
            weight, source = rows[1][i, t], pixels[rows[0][i] + t]
            for x in range(sums.size):
                sums[x] += weight * min(max(np.float32(source[x]) - low, np.float32(0)), span)
        for j in range(SIDE):
            total = np.float32(0)
            for t in range(columns[1].shape[1]):
                total += columns[1][j, t] * sums[columns[0][j] + t]
            for channel in range(3):
                out[0, channel, i, j] = total / span * SCALE[channel] + OFFSET[channel]


def write_tensor(grey: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """(224, 224) grey in [0, 1] to the normalised tensor, in place."""
    for channel in range(3):
        np.multiply(grey, SCALE[channel], out=out[0, channel])
        out[0, channel] += OFFSET[channel]


def ours(case: Case, history: History | None = None) -> Variant:
    if case.voi is None:
        window = Window.percentile(*PERCENTILES, False, False)
    else:
        center, width = case.voi
        window = Window.linear(
            round(center), 1 / (width - 1), 0.5 + (round(center) - center + 0.5) / (width - 1), False
        )
    layout = TensorLayout(SIDE, SIDE, False, MEAN, STD, 0.0, history=history)
    return Ingest((case.side, case.side), case.bits, None, window, layout)


def opencv_variants(case: Case) -> dict[str, Variant]:
    """Honest OpenCV pipelines: who finds the percentiles, and whether the window works in 8 bit, 16 bit or float."""
    entries = 1 << case.bits

    def by_calc_hist(pixels: Pixels) -> tuple[float, float]:
        counts = cv2.calcHist([pixels], [0], None, [entries], [0, entries])
        return limits_from_counts(counts.ravel(), pixels.size)

    def by_numba(pixels: Pixels) -> tuple[float, float]:
        return limits_from_counts(count_by_numba(pixels, entries), pixels.size)

    def by_voi(pixels: Pixels) -> tuple[float, float]:  # noqa: ARG001
        assert case.voi is not None
        center, width = case.voi
        return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2

    def window_8bit(pixels: Pixels, low: float, high: float) -> NDArray[np.float32]:
        above = cv2.subtract(pixels, (low,))
        narrow = cv2.convertScaleAbs(above, alpha=255.0 / (high - low))
        return cv2.resize(narrow, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)

    def window_stored(pixels: Pixels, low: float, high: float) -> NDArray[np.float32]:
        # A clamp in stored values, resized as such: the rest of the window is linear and can wait for 224 x 224.
        clamped = cv2.min(cv2.subtract(pixels, (low,)), (high - low,))
        small = cv2.resize(clamped, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) * np.float32(1 / (high - low))

    def window_float(pixels: Pixels, low: float, high: float) -> NDArray[np.float32]:
        grey = (pixels.astype(np.float32) - np.float32(low)) * np.float32(1 / (high - low))
        cv2.min(cv2.max(grey, (0.0,), dst=grey), (1.0,), dst=grey)
        return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)

    def window_lut(pixels: Pixels, low: float, high: float) -> NDArray[np.float32]:
        table = np.clip((np.arange(256, dtype=np.float32) - low) / (high - low), 0, 1)
        return cv2.resize(cv2.LUT(pixels, table), (SIDE, SIDE), interpolation=cv2.INTER_AREA)

    finders = {"calcHist": by_calc_hist, "numba": by_numba} if case.voi is None else {"voi": by_voi}
    windows = {"8bit": window_8bit, "stored": window_stored, "float": window_float}
    if case.bits == 8:
        windows["lut"] = window_lut

    def pipeline(find: Callable[[Pixels], tuple[float, float]], window: Callable[..., NDArray[np.float32]]) -> Variant:
        def run(pixels: Pixels, out: NDArray[np.float32]) -> None:
            write_tensor(window(pixels, *find(pixels)), out)

        return run

    return {f"opencv_{f}_{w}": pipeline(finders[f], windows[w]) for f in finders for w in windows}


def other_variants(case: Case) -> dict[str, Variant]:
    """What a Python programmer would write without OpenCV."""

    def limits(pixels: Pixels) -> tuple[float, float]:
        if case.voi is None:
            low, high = np.percentile(pixels, PERCENTILES, method="inverted_cdf")
            return float(low), float(high)
        center, width = case.voi
        return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2

    def window(pixels: Pixels) -> NDArray[np.float32]:
        low, high = limits(pixels)
        return np.clip((pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)

    def scikit_image(pixels: Pixels, out: NDArray[np.float32]) -> None:
        write_tensor(skimage_resize(window(pixels), (SIDE, SIDE), order=1, anti_aliasing=True), out)

    def torch_antialias(pixels: Pixels, out: NDArray[np.float32]) -> None:
        grey = torch.from_numpy(window(pixels))[None, None]
        small = torch.nn.functional.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        write_tensor(small[0, 0].numpy(), out)

    axis = _filter(case.side)

    def all_numba(pixels: Pixels, out: NDArray[np.float32]) -> None:
        if case.voi is None:
            low, high = map(float, limits_from_counts(count_by_numba(pixels, 1 << case.bits), pixels.size))
        else:
            low, high = limits(pixels)
        _numba_ingest(pixels, np.float32(low), np.float32(high - low), axis, axis, out)

    variants: dict[str, Variant] = {
        "numba": all_numba,
        "scikit_image": scikit_image,
        "numpy_torch_antialias": torch_antialias,
    }
    if case.voi is not None:
        dataset = Dataset()
        dataset.WindowCenter, dataset.WindowWidth = case.voi
        dataset.BitsStored, dataset.PixelRepresentation = case.bits, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        top = (1 << case.bits) - 1

        def pydicom_pillow(pixels: Pixels, out: NDArray[np.float32]) -> None:
            shown = apply_voi_lut(pixels, dataset).astype(np.float32)
            small = Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            write_tensor(np.asarray(small) * np.float32(1 / top), out)

        variants["pydicom_pillow"] = pydicom_pillow
    return variants


def truth(case: Case, pixels: Pixels) -> NDArray[np.float64]:
    return reference.normalise(true_grey(case, pixels), MEAN, STD, channels_last=False)


def true_grey(case: Case, pixels: Pixels) -> NDArray[np.float64]:
    """(224, 224) in [0, 1]."""
    window: Any = reference.Percentiles(*PERCENTILES)
    if case.voi is not None:
        center, width = case.voi
        window = lambda values: reference.voi_linear(values, center, width)  # noqa: E731
    grey = reference.to_grey(pixels, case.bits, None, window, invert=False, exposed=None, masked_value=0.0)
    return reference.resize(grey, SIDE, SIDE)


def check(case: Case, name: str, variant: Variant, pixels: Pixels, expected: NDArray[np.float64]) -> None:
    """Raises ValueError unless the variant computes the tensor.

    Ours must agree within 1e-5. Others may use another antialiasing filter (OpenCV a box, scikit-image a Gaussian) and
    8-bit steps: in grey, 0.02 on average and 0.1 for 99 % of the pixels is asked of them.
    """
    out = np.full((1, 3, SIDE, SIDE), np.nan, dtype=np.float32)
    variant(pixels, out)
    off = np.abs(out - expected)
    if name == "cathrt":
        if not off.max() <= 1e-5:
            raise ValueError(f"{case.name} {name}: off by {off.max():.3g}, expected at most 1e-5")
        return
    grey = off * np.array(STD)[:, None, None]
    if not (grey.mean() <= 0.02 and np.quantile(grey, 0.99) <= 0.1):
        raise ValueError(f"{case.name} {name}: grey off by {grey.mean():.3g} on average, expected at most 0.02")


def run_case(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check, then time all variants and the limit in turn. The limit: read the frame once, write the tensor once."""
    frames = frames_of(case)
    expected = truth(case, frames[0])
    variants: dict[str, Variant] = {"cathrt": ours(case)} | opencv_variants(case) | other_variants(case)
    out = np.empty((1, 3, SIDE, SIDE), dtype=np.float32)
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in variants.items():
        check(case, name, variant, frames[0], expected)
        calls[name] = lambda number, variant=variant: variant(frames[number % FRAMES], out)
    return measure.interleave_with_limit(calls, rounds=rounds, read_bytes=frames[0].nbytes, write_bytes=out.nbytes)


def run_history(case: Case, rounds: int) -> dict[str, measure.Samples]:
    """Check every frame of the run, then time it with and without a history, and the limit, in turn.

    The limit: as run_case's, and the memory read and written once.
    """
    frames = frames_of(case)
    out = np.empty((1, 3, SIDE, SIDE), dtype=np.float32)
    variants = {"cathrt": ours(case, HISTORY), "plain": ours(case)}
    check_history(case, variants["cathrt"], frames)
    calls: dict[str, Callable[[int], object]] = {
        name: lambda number, variant=variant: variant(frames[number % FRAMES], out)
        for name, variant in variants.items()
    }
    memory = 2 * SIDE * SIDE * 4
    return measure.interleave_with_limit(
        calls, rounds=rounds, read_bytes=frames[0].nbytes + memory, write_bytes=out.nbytes + memory
    )


def check_history(case: Case, variant: Variant, frames: Sequence[Pixels]) -> None:
    """Raises ValueError unless the variant computes every tensor of a run, within 2e-5: differences of two greys."""
    remembered = reference.History(HISTORY.channels, HISTORY.rise, HISTORY.fall, HISTORY.recent)
    out = np.full((1, 3, SIDE, SIDE), np.nan, dtype=np.float32)
    for number, pixels in enumerate(frames):
        variant(pixels, out)
        expected = reference.normalise(remembered(true_grey(case, pixels)), MEAN, STD, channels_last=False)
        off = np.abs(out - expected).max()
        if not off <= 2e-5:
            raise ValueError(f"{case.name} frame {number}: off by {off:.3g}, expected at most 2e-5")


def run(rounds: int) -> Results:
    plain = {case.name: run_case(case, rounds) for case in CASES}
    return plain | {case.name: run_history(case, rounds) for case in HISTORY_CASES}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians: to the fastest OpenCV pipeline of the case or the run without a history, and to the limit."""
    ratios: dict[str, float] = {}
    for name, samples in results.items():
        medians = {impl: s.median_ms for impl, s in samples.items()}
        key = "ingest_" + name.replace("_percentile", "")
        if "plain" in medians:
            ratios[f"{key}_vs_plain"] = medians["cathrt"] / medians["plain"]
        else:
            ratios[f"{key}_vs_best_opencv"] = medians["cathrt"] / min(
                median for impl, median in medians.items() if impl.startswith("opencv")
            )
        ratios[f"{key}_vs_limit"] = medians["cathrt"] / medians["limit"]
    return ratios
