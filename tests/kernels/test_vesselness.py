"""The vesselness of a frame: the CPU twin against kernels/reference/vesselness.py, and what the number is worth.

Tolerance: tests/kernels/vesselness_agreement.py. The reference itself is compared with SciPy's.
"""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from cathrt.kernels._kernels import Vesselness
from cathrt.kernels.reference import vesselness as reference
from cathrt.runtime.phantom import PhantomSource, sample_scene
from tests.kernels.vesselness_agreement import angiogram, assert_agrees, round_field

SHAPES = [(1, 1), (1, 7), (8, 9), (9, 9), (97, 31), (31, 97), (383, 61), (60, 400), (45, 650), (513, 512), (1021, 509)]


def both(shape: tuple[int, int], bits: int = 12, seed: int = 1) -> np.ndarray:
    return angiogram(np.random.default_rng(seed), shape, np.uint8 if bits <= 8 else np.uint16, bits)


# --- agreement ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [*SHAPES, (1024, 1024)], ids=str)
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint8, 5), (np.uint16, 10), (np.uint16, 16)])
def test_any_size_and_depth_agrees_with_the_reference(shape, dtype, bits):
    pixels = angiogram(np.random.default_rng(sum(shape) + bits), shape, dtype, bits)
    for exposed in (None, round_field(shape, 0.8)):
        for inverted in (False, True):
            found = Vesselness(shape, bits, exposed, inverted)(pixels)
            assert_agrees(found, pixels, bits, exposed, inverted=inverted)


def test_large_cells_are_summed_in_full_and_a_frame_narrower_than_one_has_none():
    bright = both((500, 8192), 16) | np.uint16(0xC000)
    assert reference.cell_side(bright.shape) == 32
    assert_agrees(Vesselness(bright.shape, 16, None, False)(bright), bright, 16, None, inverted=False)
    assert reference.cell_side((65535, 9)) == reference.MAX_CELL_SIDE
    assert Vesselness((65535, 9), 16, None, False)(np.full((65535, 9), 65535, dtype=np.uint16)) == 0.0


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_frame_any_stride_any_spans_agree_with_the_reference(data):
    rows, columns = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    bits = data.draw(st.integers(1, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16
    whole = rng.integers(0, np.iinfo(dtype).max, (3 * rows, columns + 5), dtype=dtype, endpoint=True)
    pixels = whole[:: data.draw(st.sampled_from([1, -1, 3, -3]))][:rows, 2 : columns + 2]
    exposed = None
    if data.draw(st.booleans()):
        exposed = np.sort(rng.integers(0, columns + 1, (rows, 2)), axis=1).astype(np.int32)
        exposed[rng.random(rows) < 0.9] = 0, columns
    inverted = data.draw(st.booleans())
    found = Vesselness((rows, columns), bits, exposed, inverted)(pixels)
    assert_agrees(found, pixels, bits, exposed, inverted=inverted)


def test_the_reference_is_the_eigenvalues_of_the_hessian_as_scipy_and_numpy_find_them():
    pixels = both((256, 240))
    grid = (pixels & 4095).astype(np.float64)
    smooth = gaussian_filter(grid, 2.0, mode="constant", truncate=3.0)
    down = np.diff(smooth, 2, axis=0)[:, 1:-1]
    across = np.diff(smooth, 2, axis=1)[1:-1]
    mixed = ((smooth[2:, 2:] - smooth[2:, :-2]) - (smooth[:-2, 2:] - smooth[:-2, :-2])) / 4
    hessian = np.stack([np.stack([down, mixed], -1), np.stack([mixed, across], -1)], -1)
    smaller, larger = np.moveaxis(np.linalg.eigvalsh(hessian), -1, 0)
    lines = 4.0 * np.maximum(0.0, larger - np.abs(smaller))
    inside = slice(6, -6)  # of what is left of 256 x 240 after the differences: 7 cells from each edge
    counted = grid[7:-7, 7:-7]
    expected = lines[inside, inside].mean() / np.abs(counted - counted.mean()).mean()
    assert reference.vesselness(pixels, 12) == pytest.approx(expected, rel=1e-12)
    assert Vesselness((256, 240), 12, None, False)(pixels) == pytest.approx(expected, rel=1e-5)


# --- what the number is worth -------------------------------------------------------------------------------------


def of(picture: np.ndarray, **more: object) -> float:
    stored = np.rint(picture).astype(np.uint16)
    return Vesselness(stored.shape, 16, more.get("exposed"), bool(more.get("inverted", False)))(stored)


def lines(count: int, depth: float, noise: float = 20.0) -> np.ndarray:
    y, x = np.mgrid[0:256, 0:256]
    picture = 20000.0 + 30 * x + np.random.default_rng(5).normal(0, noise, (256, 256))
    for number in range(count):
        picture -= depth * np.exp(-0.5 * ((y - 40 - 35 * number - 0.2 * x) / 2.0) ** 2)
    return picture


def test_more_and_darker_lines_score_higher():
    scores = [of(lines(count, depth)) for count, depth in ((0, 0), (1, 1000), (2, 1000), (4, 1000), (4, 2000))]
    assert scores == sorted(scores)
    assert scores[1] > 3 * scores[0]


def test_the_flanks_of_a_bright_line_count_together_what_a_dark_line_does():
    """Second differences across a line sum to 0: docs/kernels.md says so, and what was tried against it."""
    assert of(lines(4, -2000)) == pytest.approx(of(lines(4, 2000)), rel=0.1)


def test_an_edge_and_a_round_spot_score_less_than_a_line():
    y, x = np.mgrid[0:256, 0:256]
    flat = np.random.default_rng(6).normal(20000, 20, (256, 256))
    line = flat - 2000 * np.exp(-0.5 * ((y - 128) / 2.0) ** 2)
    edge = flat - 2000 * (y > 128)
    spot = flat - 2000 * np.exp(-0.5 * ((y - 128) ** 2 + (x - 128) ** 2) / 20.0**2)
    assert of(line) > 3 * of(edge)
    assert of(line) > 3 * of(spot)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 5000.0), (2.0, 0.0), (0.25, -2000.0)])
def test_gain_and_offset_of_grey_change_nothing(gain, offset):
    picture = np.rint(lines(3, 1500)) // 4 * 4
    assert of(picture * gain + offset) == pytest.approx(of(picture), rel=1e-5)


def test_monochrome1_is_the_frame_turned_over():
    picture = lines(3, 1500)
    assert of(65535 - np.rint(picture), inverted=True) == pytest.approx(of(picture), rel=1e-5)


def test_what_lies_outside_the_exposed_part_takes_no_part_and_neither_does_its_edge():
    picture = lines(3, 1500)
    exposed = round_field((256, 256), 0.7)
    outside = ~((np.arange(256) >= exposed[:, :1]) & (np.arange(256) < exposed[:, 1:]))
    scores = {of(np.where(outside, border, picture), exposed=exposed) for border in (picture, 0, 65535, 700)}
    assert len(scores) == 1
    # Undeclared, the dark border is an edge like any other, and it shows.
    assert of(np.where(outside, 700, picture)) != scores.pop()


def test_no_field_and_no_contrast_score_nothing():
    noisy = both((256, 256))
    assert Vesselness((256, 256), 12, np.zeros((256, 2), dtype=np.int32), False)(noisy) == 0.0
    narrow = np.tile(np.array([100, 114], dtype=np.int32), (256, 1))  # twice the margin of 7: no cell is left
    assert Vesselness((256, 256), 12, narrow, False)(noisy) == 0.0
    narrow[:, 1] += 1
    assert Vesselness((256, 256), 12, narrow, False)(noisy) > 0.0
    for value in (0, 1, 4095):
        assert Vesselness((256, 256), 12, None, False)(np.full((256, 256), value, dtype=np.uint16)) == 0.0


def test_frames_of_a_phantom_run_rank_by_their_contrast():
    source = PhantomSource(sample_scene(50_000_000, matrix=256))
    run = source.run
    plan = Vesselness((run.rows, run.columns), run.grayscale.bits_stored, run.grayscale.exposed, False)
    indices = range(0, run.frame_count, 4)
    scores = [plan(source.render(index)) for index in indices]
    assert spearmanr(scores, [source.labels[index].contrast for index in indices]).statistic > 0.85


# --- plans --------------------------------------------------------------------------------------------------------


def test_a_frame_has_one_number_whatever_came_before_and_whichever_thread_asks():
    frames = [both((512, 512), seed=seed) for seed in range(4)]
    plan = Vesselness((512, 512), 12, None, False)
    alone = [Vesselness((512, 512), 12, None, False)(frame) for frame in frames]
    assert [plan(frame) for frame in frames] == alone
    found: dict[int, list[float]] = {}

    def ask(number: int) -> None:
        own = Vesselness((512, 512), 12, None, False)
        found[number] = [own(frame) for _ in range(20) for frame in frames]

    threads = [Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == alone * 20 for number in range(3))


def test_pixels_may_be_read_only_and_stay_as_they_are():
    pixels = both((256, 256))
    pixels.flags.writeable = False
    before = pixels.copy()
    assert isinstance(Vesselness((256, 256), 12, None, False)(pixels), float)
    np.testing.assert_array_equal(pixels, before)


PIXELS = np.zeros((40, 50), dtype=np.uint16)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS.astype(np.int16), r"int16 \(40, 50\): expected uint8 or uint16"),
        (PIXELS[0], r"uint16 \(50\)"),
        (PIXELS.T, "elements apart"),
        (PIXELS[:39], r"\(39, 50\): this plan was made for \(40, 50\)"),
        (PIXELS.astype(np.uint8), "uint8 but bits_stored is 12"),
    ],
)
def test_pixels_that_do_not_fit_the_plan_raise(pixels, message):
    with pytest.raises(ValueError, match=message):
        Vesselness((40, 50), 12, None, False)(pixels)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Vesselness((0, 50), 12, None, False),
        lambda: Vesselness((40, 65536), 12, None, False),
        lambda: Vesselness((40, 50), 17, None, False),
        lambda: Vesselness((40, 50), 12, np.zeros((39, 2), dtype=np.int32), False),
        lambda: Vesselness((40, 50), 12, np.zeros((40, 2), dtype=np.int64), False),
        lambda: Vesselness((40, 50), 12, np.tile(np.array([[0, 51]], dtype=np.int32), (40, 1)), False),
    ],
)
def test_a_plan_out_of_range_raises(call):
    with pytest.raises(ValueError, match="expected"):
        call()
