"""Attenuation, detector and display of the phantom against counting statistics and published contrast."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.runtime.phantom.contrast import pass_iodine
from cathrt.runtime.phantom.detector import Detector, LowPass, expose, resampled, stored_with_loss


def transmission(path_mm: np.ndarray) -> np.ndarray:
    """Share of the primary left behind these paths."""
    primary = np.ones((1, len(path_mm)), dtype=np.float32)
    pass_iodine(primary, path_mm.astype(np.float32)[None])
    return primary[0]


def test_the_contrast_of_a_four_millimetre_artery_is_that_of_real_angiograms() -> None:
    """-ln of the ratio artery to surroundings is 0.25-0.53 at the trunk of two real data sets."""
    for dilution, scatter in ((1.0, 1.0), (0.5, 1.0), (0.75, 0.7)):
        left = float(transmission(np.array([4.0 * dilution], dtype=np.float32))[0])
        assert 0.25 < -np.log((left + scatter) / (1.0 + scatter)) < 0.53


def test_iodine_hardens_the_beam_and_no_iodine_leaves_it_alone() -> None:
    path = np.array([0.0, 1.0, 2.0, 8.0], dtype=np.float32)
    left = transmission(path)
    assert left[0] == pytest.approx(1.0)
    effective = -np.log(left[1:]) / path[1:]
    assert (np.diff(effective) < 0).all()


def detector(dose_ugy: float) -> Detector:
    return Detector(dose_ugy, 0.7, 0.6, 30.0, 0.0, 0.0)


def test_noise_variance_falls_with_dose_as_counting_demands() -> None:
    flat = np.ones((256, 256), dtype=np.float32)
    scatter = LowPass(256, 256, 40.0)
    for dose_ugy in (0.02, 0.1, 0.4):
        signal = expose(flat, detector(dose_ugy), scatter, 0.4, 1 / 1.6, 1.0, 7)
        photons = dose_ugy * 30_000 * 0.4**2 * 0.7
        assert signal.mean() == pytest.approx(1.0, abs=0.01)
        assert signal.var() == pytest.approx(1.0 / photons, rel=0.05)


def test_without_a_seed_the_expectation_is_returned() -> None:
    flat = np.ones((64, 64), dtype=np.float32)
    assert expose(flat, detector(0.1), LowPass(64, 64, 20.0), 0.4, 1 / 1.6, 1.0, None) == pytest.approx(1.0)


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (65, 127), (512, 500)])
def test_the_low_pass_keeps_a_constant_and_the_mean_at_odd_sizes(rows: int, columns: int) -> None:
    low_pass = LowPass(rows, columns, 30.0)
    assert low_pass(np.full((rows, columns), 3.0, dtype=np.float32)) == pytest.approx(3.0, rel=1e-5)
    assert low_pass(np.zeros((rows, columns), dtype=np.float32)).shape == (rows, columns)


def test_lossy_storage_changes_little_and_more_at_lower_quality() -> None:
    ramp = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    ramp += np.random.default_rng(0).integers(0, 9, ramp.shape, dtype=np.uint8)
    fine, coarse = (stored_with_loss(ramp, quality).astype(int) - ramp for quality in (95, 45))
    assert 0.0 < np.abs(fine).mean() < np.abs(coarse).mean() < 6.0
    assert stored_with_loss(ramp, 80).dtype == np.uint8


def test_a_picture_that_went_through_a_smaller_one_keeps_its_size_and_loses_its_finest_lines() -> None:
    lines = np.tile(np.array([60, 180], np.uint8), (96, 64))  # one pixel wide
    half, most = (resampled(lines, share) for share in (0.5, 0.85))
    assert half.shape == most.shape == lines.shape
    assert half.dtype == np.uint8
    assert half.std() < most.std() < lines.std()
    assert half.mean() == pytest.approx(lines.mean(), abs=1.0)
    blocks = np.kron(np.eye(8, dtype=np.uint8) * 120 + 60, np.ones((16, 16), np.uint8))
    assert np.abs(resampled(blocks, 0.5).astype(int) - blocks)[4:12, 4:12].max() <= 2, "what is coarse stays"
