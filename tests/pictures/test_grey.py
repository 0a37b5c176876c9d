"""Greys for the eye: the same windows as the tensors of networks have, 8 bits, high values bright."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.kernels.reference import ingest as reference
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, VoiWindow
from cathrt.runtime.pictures.grey import are_greys, greys, is_usable, stretch_of, table_of

STORED = np.arange(1 << 10, dtype=np.float64)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_table_is_what_the_reference_says_of_every_stored_value(function: str, *, inverted: bool) -> None:
    grayscale = Grayscale(10, "MONOCHROME1" if inverted else "MONOCHROME2", Rescale(2.0, -100.0))
    window = VoiWindow(800.0, 600.0, function)  # type: ignore[arg-type]
    of = {
        "LINEAR": reference.voi_linear,
        "LINEAR_EXACT": reference.voi_linear_exact,
        "SIGMOID": reference.voi_sigmoid,
    }[function]
    expected = of(2.0 * STORED - 100.0, 800.0, 600.0)
    expected = 1.0 - expected if inverted else expected
    np.testing.assert_array_equal(table_of(grayscale, window), np.rint(255.0 * expected).astype(np.uint8))
    deep = table_of(grayscale, window, 12)
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep, np.rint(4095.0 * expected).astype(np.uint16))


def test_a_table_of_the_object_is_used_as_it_stands() -> None:
    table = LookupTable(100, np.linspace(0, 4095, 300, dtype=np.float32), 12)
    found = table_of(Grayscale(10), table)
    assert (found[0], found[99], found[399], found[1023]) == (0, 0, 255, 255)
    assert (np.diff(found.astype(int)) >= 0).all()


def test_pixels_become_greys_whatever_their_type() -> None:
    pixels = np.random.default_rng(1).integers(0, 1 << 10, (33, 17)).astype(np.uint16)
    table = table_of(Grayscale(10), VoiWindow(512.0, 1024.0))
    np.testing.assert_array_equal(greys(pixels, table), table[pixels])
    tapped = (pixels >> 2).astype(np.uint8)
    np.testing.assert_array_equal(greys(tapped, None), tapped)


def test_only_what_a_display_showed_is_grey_already() -> None:
    assert are_greys(Grayscale(8))
    assert not are_greys(Grayscale(8, "MONOCHROME1"))
    assert not are_greys(Grayscale(8, voi=VoiWindow(128.0, 256.0)))
    assert not are_greys(Grayscale(10))


@pytest.mark.parametrize(
    ("function", "width", "usable"),
    [("LINEAR", 0.5, False), ("LINEAR", 1.0, True), ("SIGMOID", 0.5, True), ("LINEAR_EXACT", 0.0, False)],
)
def test_a_window_that_its_function_does_not_have_is_not_applied(function: str, width: float, *, usable: bool) -> None:
    assert is_usable(VoiWindow(100.0, width, function)) is usable  # type: ignore[arg-type]
    assert not is_usable(None)


def test_a_stretch_shows_the_middle_of_the_exposed_pixels() -> None:
    pixels = np.tile(np.arange(1000, dtype=np.uint16), (1000, 1))
    window = stretch_of(pixels, Grayscale(10, modality=Rescale(-1.0, 0.0)))
    assert window.center == pytest.approx(-499.5, abs=1.0)
    assert window.width == pytest.approx(989.0, abs=2.0)
    covered = np.zeros((1000, 2), np.int32)
    assert stretch_of(pixels, Grayscale(10, exposed=covered)).width == 1023.0
    assert stretch_of(np.full((4, 4), 7, np.uint16), Grayscale(10)).width == 1.0
