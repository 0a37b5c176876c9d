"""The reference itself against others who compute the same: Pillow, torch, pydicom."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from cathrt.kernels.reference import ingest as reference

SIZES = [((1, 1), (5, 3)), ((7, 1), (3, 4)), ((224, 224), (224, 224)), ((31, 47), (90, 101)), ((509, 1021), (224, 200))]


@pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)
def test_resize_agrees_with_pillow(shape, size):
    image = np.random.default_rng(0).random(shape)
    expected = Image.fromarray(image.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(reference.resize(image, *size), np.asarray(expected), atol=2e-6)


@pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)
def test_resize_agrees_with_torch_antialias(shape, size):
    image = np.random.default_rng(0).random(shape)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size, mode="bilinear", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(reference.resize(image, *size), expected[0, 0].numpy(), atol=1e-12)


def voi_dataset(function: str, center: float, width: float) -> Dataset:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    return dataset


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("LINEAR", reference.voi_linear),
        ("LINEAR_EXACT", reference.voi_linear_exact),
        ("SIGMOID", reference.voi_sigmoid),
    ],
)
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000.5, 2), (37.25, 801.5), (-100, 50), (5000, 10)])
def test_windows_agree_with_pydicom(name, function, center, width):
    stored = np.arange(4096, dtype=np.uint16)
    with np.errstate(over="ignore"):  # pydicom's sigmoid lets exp overflow, rightly reaching 0
        expected = apply_voi_lut(stored, voi_dataset(name, center, width)) / 4095
    np.testing.assert_allclose(function(stored.astype(np.float64), center, width), expected, atol=1e-9)


def test_linear_width_one_is_a_threshold():
    values = reference.voi_linear(np.array([9.0, 9.5, 9.6, 10.0]), 10, 1)
    np.testing.assert_array_equal(values, [0, 0, 1, 1])
    np.testing.assert_array_equal(apply_voi_lut(np.arange(9, 12), voi_dataset("LINEAR", 10, 1)) / 4095, [0, 1, 1])


@pytest.mark.parametrize(
    ("function", "width"),
    [
        (reference.voi_linear, 0.999),
        (reference.voi_linear, float("nan")),
        (reference.voi_linear_exact, 0.0),
        (reference.voi_sigmoid, -1.0),
    ],
)
def test_a_width_the_standard_forbids_raises(function, width):
    with pytest.raises(ValueError, match="width"):
        function(np.zeros(1), 0.0, width)


def test_voi_lut_agrees_with_pydicom():
    entries = np.random.default_rng(2).integers(0, 1024, 300)
    dataset = Dataset()
    item = Dataset()
    item.LUTDescriptor = [300, 1000, 10]
    item.LUTData = entries.tolist()
    dataset.VOILUTSequence = [item]
    stored = np.arange(4096, dtype=np.uint16)
    expected = apply_voi_lut(stored, dataset) / 1023
    found = reference.voi_lut(stored.astype(np.float64), 1000, entries.astype(np.float32), 10)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_modality_lut_and_rescale_agree_with_pydicom():
    entries = np.random.default_rng(3).integers(0, 65536, 500)
    with_lut = Dataset()
    item = Dataset()
    item.LUTDescriptor = [500, 64, 16]
    item.LUTData = entries.tolist()
    with_lut.ModalityLUTSequence = [item]
    with_rescale = Dataset()
    with_rescale.RescaleSlope, with_rescale.RescaleIntercept = -1.5, 1000
    stored = np.arange(1024, dtype=np.uint16)
    found = reference.lookup(stored.astype(np.float64), 64, entries.astype(np.float32))
    np.testing.assert_array_equal(found, apply_modality_lut(stored, with_lut))
    found = reference.rescale(stored.astype(np.float64), -1.5, 1000)
    np.testing.assert_array_equal(found, apply_modality_lut(stored, with_rescale))


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 4096])
@pytest.mark.parametrize("percent", [0.0, 0.5, 1.0, 7.0, 50.0, 99.5, 99.9, 100.0])
def test_nearest_rank_agrees_with_exact_fractions(count, percent):
    # numpy.percentile is no judge here: its inverted_cdf takes the 8th of 100 values for 7 percent.
    rank = max(1, ceil(Fraction(str(percent)) * count / 100))
    values = np.random.default_rng(count).permutation(count).astype(np.float64)
    low, _ = reference.percentile_limits(values, reference.Percentiles(percent, 100.0))
    assert low == rank - 1


def test_masked_pixels_take_no_part_and_become_the_masked_value():
    pixels = np.array([[0, 10, 20, 4095]], dtype=np.uint16)
    exposed = np.array([[1, 3]], dtype=np.int32)
    grey = reference.to_grey(
        pixels, 12, None, reference.Percentiles(0, 100), invert=True, exposed=exposed, masked_value=0.5
    )
    np.testing.assert_array_equal(grey, [[0.5, 1.0, 0.0, 0.5]])
