"""Collimator edges: sums exactly the reference's, shutters found, and nothing of the exposed area cut off.

The sums are integers, so their tolerance is 0. An edge may lie up to two pixels outside the half-open line (the
penumbra counts as exposed); inside it never, but for one pixel on phantom runs without a blanked border.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cathrt.kernels import _kernels
from cathrt.kernels.reference.collimator import ExposedRectangle, exposed_rectangle, profile_sums
from cathrt.runtime.phantom.scene import sample_scene
from cathrt.runtime.phantom.source import PhantomSource

Edges = tuple[int, int, int, int]  # left, right, upper, lower
TOO_WIDE = 2


def found_in(pixels: NDArray[Any], bits: int, **more: Any) -> ExposedRectangle:
    return exposed_rectangle(*profile_sums(pixels, bits), bits, **more)


def edges(rectangle: ExposedRectangle) -> Edges:
    return rectangle.left, rectangle.right, rectangle.upper, rectangle.lower


def confidences(rectangle: ExposedRectangle) -> tuple[float, ...]:
    return (
        rectangle.left_confidence,
        rectangle.right_confidence,
        rectangle.upper_confidence,
        rectangle.lower_confidence,
    )


def anatomy(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Signal of an open field, 0.15 to 0.95: bright lung on one side, spine and heart on the other."""
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    shade = 0.55 + 0.25 * np.sin(3 * x + rng.uniform(0, 6)) * np.cos(4 * y + rng.uniform(0, 6))
    return np.asarray(np.clip(shade - 0.2 * (np.abs(x - rng.uniform(0.2, 0.8)) < 0.08), 0.15, 0.95))


def stored(signal: NDArray[np.float64], rng: np.random.Generator, bits: int = 12) -> NDArray[np.uint16]:
    """Noisy stored values."""
    noisy = signal + rng.normal(0, 0.02, signal.shape) * np.sqrt(signal)
    return np.clip(np.rint(noisy * ((1 << bits) - 1)), 0, (1 << bits) - 1).astype(np.uint16)


def blades(shape: tuple[int, int], open_to: Edges, penumbra: float = 2.0, leak: float = 0.005) -> NDArray[np.float64]:
    """Share of the beam let through: half at the edges."""
    y, x = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    left, right, upper, lower = open_to
    margins = [
        margin if edge not in (0, end) else np.full(len(margin), np.inf)
        for margin, edge, end in (
            (x - left, left, 0),
            (right - x, right, shape[1]),
            (y - upper, upper, 0),
            (lower - y, lower, shape[0]),
        )
    ]
    inside = np.minimum(np.minimum(*margins[:2])[None, :], np.minimum(*margins[2:])[:, None])
    return np.asarray(leak + (1 - leak) * np.clip(0.5 + inside / max(penumbra, 1e-9), 0, 1))


def assert_only_too_wide(found: Edges, truth: Edges, by: int = TOO_WIDE) -> None:
    outside = (truth[0] - found[0], found[1] - truth[1], truth[2] - found[2], found[3] - truth[3])
    assert all(0 <= margin <= by for margin in outside), f"found {found}, truth {truth}"


SHUTTERS: list[Edges] = [
    (0, 512, 0, 400),
    (60, 450, 31, 380),
    (2, 512, 0, 398),
    (0, 300, 0, 400),
    (200, 512, 170, 400),
    (3, 509, 4, 397),
    (0, 512, 90, 330),
]


@pytest.mark.parametrize("truth", SHUTTERS, ids=str)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_shutter_is_found_and_nothing_inside_it_is_cut(truth, bits):
    rng = np.random.default_rng(bits)
    pixels = stored(anatomy(rng, (400, 512)) * blades((400, 512), truth), rng, bits)
    found = found_in(pixels, bits)
    assert_only_too_wide(edges(found), truth)
    open_sides = [truth[0] == 0, truth[1] == 512, truth[2] == 0, truth[3] == 400]
    assert [confidence == 0 for confidence in confidences(found)] == open_sides
    assert all(confidence <= 1 for confidence in confidences(found))


@settings(max_examples=60, deadline=None)
@given(
    margins=st.tuples(*[st.one_of(st.just(0), st.integers(2, 80)) for _ in range(4)]),
    penumbra=st.floats(0.0, 4.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_rectangle_is_found_on_its_four_sides(margins, penumbra, seed):
    shape, rng = (257, 301), np.random.default_rng(seed)
    truth = (margins[0], shape[1] - margins[1], margins[2], shape[0] - margins[3])
    pixels = stored(anatomy(rng, shape) * blades(shape, truth, penumbra), rng)
    assert_only_too_wide(edges(found_in(pixels, 12)), truth)


@pytest.mark.parametrize("seed", range(20))
def test_an_open_field_is_the_whole_frame(seed):
    rng = np.random.default_rng(seed)
    found = found_in(stored(anatomy(rng, (400, 512)), rng), 12)
    assert edges(found) == (0, 512, 0, 400)
    assert confidences(found) == (0, 0, 0, 0)


@pytest.mark.parametrize("through", [0.3, 0.5, 0.7])
def test_a_wedge_that_lets_light_through_is_no_shutter(through):
    rng = np.random.default_rng(1)
    sharp = blades((400, 512), (100, 512, 0, 330), leak=through)
    assert edges(found_in(stored(anatomy(rng, (400, 512)) * sharp, rng), 12)) == (0, 512, 0, 400)


@pytest.mark.parametrize("slope", [40.0, 100.0])
def test_a_soft_edge_is_no_shutter_however_dark(slope):
    rng = np.random.default_rng(2)
    soft = blades((400, 512), (100, 512, 0, 320), penumbra=slope)
    assert edges(found_in(stored(anatomy(rng, (400, 512)) * soft, rng), 12)) == (0, 512, 0, 400)


@pytest.mark.parametrize("radius", [150, 180, 199])
def test_of_a_round_field_the_bounding_box_is_found(radius):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:400, :512] + 0.5
    away = np.hypot(y - 200, x - 256)
    pixels = stored(anatomy(rng, (400, 512)) * np.clip(radius - away + 0.5, 0.002, 1), rng)
    left, right, upper, lower = edges(found_in(pixels, 12))
    outside = (256 - radius - left, right - 256 - radius, 200 - radius - upper, lower - 200 - radius)
    # The field touches its box with a few pixels of a column at most: too little to lift a mean.
    assert all(-1 <= margin <= TOO_WIDE for margin in outside), outside


@pytest.mark.parametrize("degrees", [1.0, 3.0, 10.0, 45.0])
def test_of_a_turned_shutter_nothing_is_cut(degrees):
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:400, :512] + 0.5
    turn = np.radians(degrees)
    across = np.cos(turn) * (x - 256) + np.sin(turn) * (y - 200)
    down = np.cos(turn) * (y - 200) - np.sin(turn) * (x - 256)
    is_open = (np.abs(across) < 190) & (np.abs(down) < 140)
    pixels = stored(anatomy(rng, (400, 512)) * np.where(is_open, 1.0, 0.003), rng)
    left, right, upper, lower = edges(found_in(pixels, 12))
    rows, columns = np.nonzero(is_open)
    cut = (columns < left) | (columns >= right) | (rows < upper) | (rows >= lower)
    # A corner of the turned field reaches into a row by itself; its last pixels do not lift the mean of a whole row.
    assert cut.mean() < 1e-3


def test_monochrome1_is_searched_for_its_brightest_border():
    rng = np.random.default_rng(5)
    pixels = 4095 - stored(anatomy(rng, (400, 512)) * blades((400, 512), SHUTTERS[1]), rng)
    assert_only_too_wide(edges(found_in(pixels, 12, darkest_is_zero=False)), SHUTTERS[1])
    assert edges(found_in(pixels, 12)) == (0, 512, 0, 400)


def test_text_burnt_into_the_border_makes_the_rectangle_wider_at_most():
    rng = np.random.default_rng(6)
    pixels = stored(anatomy(rng, (400, 512)) * blades((400, 512), (60, 450, 31, 380)), rng)
    letters = rng.random((400, 512)) < 0.5
    for box in (np.s_[5:15, 10:300], np.s_[100:110, 5:55], np.s_[385:397, 200:500]):
        pixels[box] = np.where(letters[box], 4095, pixels[box])
    assert_only_too_wide(edges(found_in(pixels, 12)), (60, 450, 31, 380), by=60)


@pytest.mark.parametrize("level", [0, 1, 40])
def test_a_dark_frame_is_the_whole_frame(level):
    pixels = np.random.default_rng(7).integers(0, level + 1, (300, 200)).astype(np.uint16)
    found = found_in(pixels, 12)
    assert edges(found) == (0, 200, 0, 300)
    assert confidences(found) == (0, 0, 0, 0)


def test_a_frame_that_is_dark_to_its_middle_is_not_believed():
    rng = np.random.default_rng(8)
    pixels = stored(anatomy(rng, (400, 512)) * blades((400, 512), (260, 512, 0, 400)), rng)
    assert edges(found_in(pixels, 12)) == (0, 512, 0, 400)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 40)], ids=str)
@pytest.mark.parametrize("value", [0, 2000, 4095])
def test_frames_too_small_for_edges_are_whole(shape, value):
    assert edges(found_in(np.full(shape, value, dtype=np.uint16), 12)) == (0, shape[1], 0, shape[0])


def test_blades_of_phantom_runs_are_found_and_cut_nothing():
    cut, found, of_blanked, blanked = [], 0, 0, 0
    sides = 0
    for seed in range(30):
        scene = sample_scene(7_000_000 + seed, matrix=256)
        pixels = PhantomSource(scene).render(0)
        spans = scene.field.exposed_columns(256, 256)
        rows = np.flatnonzero(spans[:, 1] > spans[:, 0])
        truth = (spans[rows, 0].min(), spans[rows, 1].max(), rows[0], rows[-1] + 1)
        rectangle = found_in(pixels, scene.display.bits_stored)
        left, right, upper, lower = edges(rectangle)
        cut += [left - truth[0], truth[1] - right, upper - truth[2], truth[3] - lower]
        for side, confidence in zip((truth[0], 256 - truth[1], truth[2], 256 - truth[3]), confidences(rectangle),
                                    strict=True):  # fmt: skip
            if side >= 2:
                sides += 1
                found += confidence > 0
                blanked += scene.field.blanked
                of_blanked += scene.field.blanked and confidence > 0
    assert max(cut) <= 1
    assert found >= 0.7 * sides
    assert of_blanked >= 0.9 * blanked


def test_real_angiograms_keep_their_field(data_dir):
    """A check of sanity: what is known of a few, and that no blade is made up deep inside the others."""
    for path in sorted((data_dir / "danilov_lca_sequence").glob("*.bmp")):
        assert edges(found_in(np.asarray(Image.open(path).convert("L")), 8)) == (16, 496, 16, 496)
    cine = pydicom.dcmread(data_dir / "xa_cine" / "rubo_xa_rca_lao_96f_jpegbaseline.dcm").pixel_array[48]
    assert edges(found_in(cine, 8)) == (21, 493, 0, 474)
    for path in sorted(data_dir.glob("arcade_*/images/*.png")):
        pixels = np.asarray(Image.open(path).convert("L"))
        left, right, upper, lower = edges(found_in(pixels, 8))
        outside = pixels.astype(float)
        outside[upper:lower, left:right] = np.nan
        inside = pixels[upper:lower, left:right].mean()
        assert np.isnan(outside).all() or np.nanmean(outside) < 0.2 * inside, path.name
        assert (right - left) * (lower - upper) > 0.7 * pixels.size, path.name


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 4), (7, 31), (97, 513), (512, 512)], ids=str)
@pytest.mark.parametrize("bits", range(1, 17))
def test_sums_of_any_size_and_depth_are_exact(shape, bits):
    pixels = np.random.default_rng(bits).integers(0, 1 << 16, shape).astype(np.uint16)
    assert_sums(pixels, bits)
    if bits <= 8:
        assert_sums(pixels.astype(np.uint8), bits)


def assert_sums(pixels: NDArray[Any], bits: int) -> None:
    row_sums, column_sums = (np.full(side, 7, dtype=np.uint32) for side in pixels.shape)
    _kernels.profile_sums(pixels, bits, row_sums, column_sums)
    for found, expected in zip((row_sums, column_sums), profile_sums(pixels, bits), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_sums_of_rows_of_any_stride_are_exact():
    whole = np.random.default_rng(9).integers(0, 1 << 16, (300, 400)).astype(np.uint16)
    for view in (whole[::3], whole[5:133, 17:300], whole[::-1], np.broadcast_to(whole[:1], (50, 400))):
        assert_sums(view, 12)


def test_the_greatest_sum_does_not_overflow():
    for shape in ((2, 65535), (65535, 2)):
        assert_sums(np.full(shape, 65535, dtype=np.uint16), 16)


def test_arguments_that_do_not_fit_are_refused():
    pixels = np.zeros((20, 30), dtype=np.uint16)
    rows, columns = np.zeros(20, dtype=np.uint32), np.zeros(30, dtype=np.uint32)
    with pytest.raises(ValueError, match="bits_stored is 0"):
        _kernels.profile_sums(pixels, 0, rows, columns)
    with pytest.raises(ValueError, match=r"row_sums are uint32 \(30\): expected contiguous uint32 \(20,\)"):
        _kernels.profile_sums(pixels, 12, columns, rows)
    with pytest.raises(ValueError, match=r"column_sums are float32 \(30\)"):
        _kernels.profile_sums(pixels, 12, rows, columns.astype(np.float32))
    with pytest.raises(ValueError, match="column_sums are uint32"):
        _kernels.profile_sums(pixels, 12, rows, np.zeros(60, dtype=np.uint32)[::2])
    with pytest.raises(ValueError, match="ascontiguousarray"):
        _kernels.profile_sums(pixels[:, ::2], 12, rows, columns[::2].copy())
