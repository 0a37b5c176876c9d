"""Where activations are clipped: each observer does what it says, and ONNX Runtime's own calibrators agree."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from cathrt.export.quantize.observers import BINS, LEVELS, OBSERVERS, Histogram, Observer, clip_of, counts_of, scales_of

PERCENTILE = 99.9


@pytest.fixture(scope="module")
def heavy_tailed() -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_t(4, size=200_000).astype(np.float32)


def histogram_of(values: NDArray[np.float32]) -> Histogram:
    largest = float(np.abs(values).max())
    return Histogram(counts_of(values, largest), largest)


def squared_error(values: NDArray[np.float32], clip: float) -> float:
    step = clip / LEVELS
    return float(np.square(np.clip(np.rint(values / step), -LEVELS, LEVELS) * step - values).mean())


def test_every_value_is_counted_once_the_largest_included() -> None:
    counts = counts_of(np.array([-2.0, 0.0, 0.5, 2.0], np.float32), 2.0)
    assert counts[[0, BINS // 4, BINS - 1]].tolist() == [1, 1, 2]
    assert counts.sum() == 4


def test_minmax_clips_nothing(heavy_tailed: NDArray[np.float32]) -> None:
    histogram = histogram_of(heavy_tailed)
    assert clip_of(histogram, "minmax", PERCENTILE) == np.abs(heavy_tailed).max()
    assert histogram.clipped(clip_of(histogram, "minmax", PERCENTILE)) == 0.0


def test_percentile_clips_the_share_it_is_named_for(heavy_tailed: NDArray[np.float32]) -> None:
    clip = clip_of(histogram_of(heavy_tailed), "percentile", PERCENTILE)
    assert np.mean(np.abs(heavy_tailed) > clip) == pytest.approx(0.001, rel=0.05)
    assert histogram_of(heavy_tailed).clipped(clip) == pytest.approx(0.001, rel=0.05)


def test_the_hundredth_percentile_is_the_largest_value(heavy_tailed: NDArray[np.float32]) -> None:
    assert clip_of(histogram_of(heavy_tailed), "percentile", 100.0) == np.abs(heavy_tailed).max()


def test_mse_has_the_least_squared_error_of_all_clips(heavy_tailed: NDArray[np.float32]) -> None:
    histogram = histogram_of(heavy_tailed)
    found = squared_error(heavy_tailed, clip_of(histogram, "mse", PERCENTILE))
    others = [squared_error(heavy_tailed, histogram.largest * share) for share in np.linspace(0.05, 1.0, 60)]
    assert found <= 1.01 * min(others)
    assert found < 0.6 * squared_error(heavy_tailed, histogram.largest)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_a_clip_is_above_zero_and_at_most_the_largest_value(
    observer: Observer, heavy_tailed: NDArray[np.float32]
) -> None:
    for values in (heavy_tailed, np.array([1e-3], np.float32), np.ones(1000, np.float32)):
        assert 0.0 < clip_of(histogram_of(values), observer, PERCENTILE) <= np.abs(values).max()


def test_percentile_agrees_with_onnxruntime(heavy_tailed: NDArray[np.float32]) -> None:
    theirs = HistogramCollector("percentile", True, BINS, LEVELS + 1, PERCENTILE, "same")
    theirs.collect({"x": [heavy_tailed]})
    _, highest, *_ = theirs.compute_collection_result()["x"]
    assert clip_of(histogram_of(heavy_tailed), "percentile", PERCENTILE) == pytest.approx(float(highest), rel=0.01)


def test_entropy_agrees_with_onnxruntime(heavy_tailed: NDArray[np.float32]) -> None:
    # Divergences grow with the number of bins; with 2048 a side both look at steps of about the same fineness.
    theirs = HistogramCollector("entropy", True, 4097, 2 * LEVELS + 1, PERCENTILE, "same")
    theirs.collect({"x": [heavy_tailed]})
    _, highest, *_ = theirs.compute_collection_result()["x"]
    assert clip_of(histogram_of(heavy_tailed), "entropy", PERCENTILE) == pytest.approx(float(highest), rel=0.1)


def test_scales_reach_the_value_and_are_exact_in_both_short_floats() -> None:
    largest = np.exp(np.random.default_rng(5).uniform(np.log(1e-7), np.log(1e3), 5000))
    scales = scales_of(largest)
    assert (scales.astype(np.float64) * LEVELS >= largest).all()
    assert (scales.astype(np.float16).astype(np.float32) == scales).all()
    assert (scales.astype(ml_dtypes.bfloat16).astype(np.float32) == scales).all()
    common = largest > 1e-2
    assert (scales[common] * LEVELS < largest[common] * 1.008).all()
