"""The CUDA histogram and percentile window against the reference and the CPU twin, on any stream.

Exact: counts are integers, and the window's ends are two of the values. Not for: the tensor made with that window
(exercise_ingest.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import histogram, percentile_values
from cathrt.kernels.cuda.exposure import Exposure
from cathrt.kernels.cuda.histogram import DeviceHistogram, DevicePercentileWindow
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference import ingest as reference
from tests.emulation.placed import placed


@dataclass(frozen=True)
class Case:
    """gap, offset, bottom_up: how the frame lies in memory.   modality: value of each stored value, or None."""

    pixels: NDArray[Any]
    bits: int
    exposed: NDArray[np.int32] | None = None
    percentiles: tuple[float, float] = (2.0, 98.0)
    modality: NDArray[np.float32] | None = None
    descending: bool = False
    invert: bool = False
    gap: int = 0
    offset: int = 0
    bottom_up: bool = False


def small(stream: Stream) -> None:
    """Both types of pixel, all depths, rows at any address, spans that cut 16-byte loads, more rows than one block."""
    rng = np.random.default_rng(1)
    spans = np.sort(rng.integers(0, 78, (35, 2)), axis=1).astype(np.int32)
    spans[[0, 17, 34]] = [[3, 3], [0, 77], [77, 77]]
    table = (rng.permutation(1 << 10) * 3.5 - 900).astype(np.float32)
    for case in (
        Case(noise(rng, (35, 77), np.uint8), 8, spans, gap=5, offset=1),
        Case(noise(rng, (35, 77), np.uint16), 12, spans, gap=6, offset=2, invert=True),
        Case(noise(rng, (35, 77), np.uint16), 16, spans, bottom_up=True, descending=True),
        Case(flat_with_noise(rng, (33, 130), np.uint16, 12), 12, descending=True, invert=True),
        Case(flat_with_noise(rng, (18, 200), np.uint8, 6), 6, percentiles=(0.0, 100.0)),
        Case(flat_with_noise(rng, (20, 90), np.uint16, 14), 14),
        Case(noise(rng, (19, 70), np.uint16), 10, spans[:19].clip(0, 70), modality=table),
        Case(np.full((9, 40), 777, dtype=np.uint16), 11),
        Case(noise(rng, (1, 1), np.uint16), 1),
        Case(noise(rng, (40, 1), np.uint8), 3, gap=2),
    ):
        check(stream, case)


def full_frame(stream: Stream) -> None:
    """512 x 512 of 8 bits, 1024 x 1024 of 12 bits."""
    rng = np.random.default_rng(2)
    check(stream, Case(flat_with_noise(rng, (512, 512), np.uint8, 8), 8))
    check(stream, Case(flat_with_noise(rng, (1024, 1024), np.uint16, 12), 12, percentiles=(0.5, 99.5)))


def check(stream: Stream, case: Case) -> None:
    """Raise AssertionError unless counts and window are exactly those of the reference and of the CPU twin."""
    shape = case.pixels.shape
    counting = DeviceHistogram(stream, Exposure(stream, case.exposed, (shape[0], shape[1])), case.bits)
    window = DevicePercentileWindow(
        stream,
        counting,
        case.percentiles,
        modality=case.modality,
        descending=case.descending,
        invert=case.invert,
    )
    counts = np.zeros(1 << case.bits, dtype=np.uint32)
    line = np.zeros(3, dtype=np.float32)
    window(placed(stream, case.pixels, gap=case.gap, offset=case.offset, bottom_up=case.bottom_up))
    stream.download(counting.counts, counts)
    stream.download(window.window, line)
    stream.synchronise()

    stored = reference.stored_values(case.pixels, case.bits)[reference.exposed_mask(case.exposed, shape)]
    np.testing.assert_array_equal(counts, np.bincount(stored, minlength=1 << case.bits))
    np.testing.assert_array_equal(counts, histogram(case.pixels, case.bits, case.exposed))
    values = stored.astype(np.float64)
    if case.modality is not None:
        values = case.modality[stored].astype(np.float64)
    elif case.descending:
        values = -values
    low, high = reference.percentile_limits(values, reference.Percentiles(*case.percentiles))
    if case.modality is None and case.descending:
        low, high = -low, -high
    np.testing.assert_array_equal(line, expected_line(np.float32(low), np.float32(high), case.invert))
    if case.modality is None and not case.descending:
        assert (low, high) == percentile_values(case.pixels, case.bits, *case.percentiles, case.exposed)


def expected_line(low: np.float32, high: np.float32, invert: bool) -> NDArray[np.float32]:
    """(origin, slope, intercept), in float32 as the kernel and the CPU twin compute them."""
    slope = np.float32(0) if low == high else np.float32(1) / (high - low)
    return np.array([low, -slope if invert else slope, float(invert)], dtype=np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Every bit set at random, those beyond bits_stored too."""
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def flat_with_noise(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, bits: int) -> NDArray[Any]:
    """As X-ray frames are: smooth, noisy, with a flat border where neighbours are equal."""
    top = (1 << bits) - 1
    frame = top * (0.5 + 0.3 * np.sin(np.arange(shape[1]) / 40)) + rng.normal(0, 0.02 * top, shape)
    frame[:, : shape[1] // 5] = top // 50
    return np.clip(np.rint(frame), 0, top).astype(dtype)
