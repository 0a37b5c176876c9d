"""What the phantom's native part does to whole frames: shifts, noise, iodine, low-pass, blur, each against numpy.

Not for: chords (tests/phantom/test_phantom_tubes.py).
"""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.phantom import _projector
from tests.phantom import phantom_reference as reference

SHAPES = [(1, 1), (1, 67), (31, 1), (33, 47), (128, 160)]
MU, SHARE = np.array([0.44, 0.26, 0.18]), np.array([0.42, 0.36, 0.22])


def noise_image(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


# --- shift -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (1.25, 2.0), (-4.0, 0.6), (-0.3, -3.7), (50.0, -50.0)])
def test_layers_blend_and_shift_as_the_reference_does(
    shape: tuple[int, int], share: float, shift: tuple[float, float]
) -> None:
    margin = 6
    first, second = (noise_image((shape[0] + 2 * margin, shape[1] + 2 * margin), seed) for seed in (1, 2))
    out = np.full(shape, 10.0, dtype=np.float32)
    _projector.shift_layers(first, second, share, margin, *shift, out)
    np.testing.assert_allclose(out, 10.0 + reference.shift_layers(first, second, share, margin, shift), atol=3e-6)


def test_layers_without_a_margin_stay_where_they_are() -> None:
    layer, out = noise_image((5, 7)), np.zeros((5, 7), dtype=np.float32)
    _projector.shift_layers(layer, layer, 0.0, 0, 2.5, -1.5, out)
    assert (out == layer).all()


def test_layers_that_do_not_fit_raise() -> None:
    layer, out = noise_image((10, 10)), np.zeros((6, 6), dtype=np.float32)
    with pytest.raises(ValueError, match=r"first is float32 \(10, 10\): expected contiguous float32 \(12, 12\)"):
        _projector.shift_layers(layer, layer, 0.0, 3, 0.0, 0.0, out)
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        _projector.shift_layers(layer, layer, 1.5, 2, 0.0, 0.0, out)
    with pytest.raises(ValueError, match="row_shift is nan"):
        _projector.shift_layers(layer, layer, 0.5, 2, np.nan, 0.0, out)


# --- noise -----------------------------------------------------------------------------------------------------------


def normals(count: int, seed: int) -> NDArray[np.float32]:
    """Draws of SD 1."""
    signal = np.zeros((1, count), dtype=np.float32)
    _projector.add_noise(signal, 0.0, 1.0, 1.0, seed)
    return signal[0]


def test_the_noise_is_normal_in_its_moments_and_tails() -> None:
    draws = np.concatenate([normals(1 << 21, seed) for seed in range(6)]).astype(np.float64)
    square = draws * draws
    moments = [draws.mean(), square.mean(), (square * draws).mean(), (square**2).mean(), (square**3).mean()]
    # expectations, and the variance of a single draw's power: 4 sampling SD of 12.6 million draws are let pass
    for moment, expected, variance in zip(moments, [0, 1, 0, 3, 15], [1, 2, 15, 96, 10170], strict=True):
        assert moment == pytest.approx(expected, abs=4.0 * np.sqrt(variance / len(draws)))
    for beyond, share in ((1.0, 0.3173105), (2.0, 0.0455003), (3.0, 2.699796e-3), (4.0, 6.334248e-5)):
        seen = np.count_nonzero(square > beyond**2)
        assert seen == pytest.approx(share * len(draws), abs=4.0 * np.sqrt(share * len(draws)))
    assert 5.0 < np.abs(draws).max() < 6.67


def test_neighbouring_draws_and_neighbouring_seeds_do_not_correlate() -> None:
    draws = normals(1 << 20, 5)
    # a pair of one transform lies 16 apart, a generator's next draws 32
    for lag in (1, 2, 15, 16, 17, 31, 32, 33, 64, 512):
        assert abs(np.corrcoef(draws[lag:], draws[:-lag])[0, 1]) < 4e-3, lag
        assert abs(np.corrcoef(draws[lag:] ** 2, draws[:-lag] ** 2)[0, 1]) < 4e-3, lag
    assert abs(np.corrcoef(draws, normals(1 << 20, 6))[0, 1]) < 4e-3


def test_the_noise_of_each_pixel_has_the_variance_of_its_signal() -> None:
    signal = np.linspace(0.0, 4.0, 8, dtype=np.float32)[:, None].repeat(60_000, axis=1)
    noisy = signal.copy()
    _projector.add_noise(noisy, 0.02, 0.001, 0.7, 3)
    expected = reference.noise_deviation(signal, 0.02, 0.001, 0.7)[:, 0]
    np.testing.assert_allclose((noisy - signal).std(axis=1), expected, rtol=0.015)
    np.testing.assert_allclose((noisy - signal).mean(axis=1), 0.0, atol=0.004)


def test_no_share_or_no_variance_adds_nothing() -> None:
    for per_photon, electronic, share in ((0.1, 0.1, 0.0), (0.0, 0.0, 1.0)):
        signal = noise_image((20, 20))
        _projector.add_noise(signal, per_photon, electronic, share, 1)
        assert (signal == noise_image((20, 20))).all()
    negative = np.full((3, 50), -2.0, dtype=np.float32)
    _projector.add_noise(negative, 0.1, 0.1, 1.0, 1)
    assert (negative == -2.0).all()


def test_a_seed_gives_the_same_bytes_everywhere() -> None:
    """Golden: the digest may change only with the generator, never with compiler, instruction set or C library."""
    draws = normals(1003, 2**64 - 1)
    assert hashlib.sha256(draws.astype("<f4").tobytes()).hexdigest()[:16] == "56db6f82e8ad87f0"
    assert (draws == normals(1003, 2**64 - 1)).all()
    assert (draws[:500] == normals(500, 2**64 - 1)).all()
    assert (draws != normals(1003, 0)).mean() > 0.99


@pytest.mark.parametrize("wrong", [(-1.0, 0.0, 0.0), (0.0, np.nan, 0.0), (0.0, 0.0, np.inf)])
def test_noise_without_a_variance_raises(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        _projector.add_noise(noise_image((4, 4)), *wrong, 1)


def test_a_seed_that_is_no_64_bit_number_raises() -> None:
    with pytest.raises(TypeError):
        _projector.add_noise(noise_image((4, 4)), 0.1, 0.1, 1.0, -1)


# --- iodine ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_iodine_takes_what_the_reference_says(shape: tuple[int, int]) -> None:
    primary = noise_image(shape) + np.float32(0.1)
    path = np.maximum(noise_image(shape, 1) * 60.0 - 20.0, 0.0).astype(np.float32)
    path.reshape(-1)[::7] = 0.5 * path.reshape(-1)[::7] ** 2
    left = primary.copy()
    _projector.transmit(left, path, MU, SHARE)
    np.testing.assert_allclose(left, reference.transmit(primary, path, MU, SHARE), rtol=1e-5, atol=1e-30)


def test_paths_of_a_micrometre_leave_the_beam_alone_and_endless_ones_leave_nothing() -> None:
    primary = np.ones((1, 4), dtype=np.float32)
    _projector.transmit(primary, np.array([[0.0, 1e-3, -5.0, 1e9]], dtype=np.float32), MU, SHARE)
    assert primary[0, :3].tolist() == [1.0, 1.0, 1.0]
    assert 0.0 <= primary[0, 3] < 1e-30


def test_bins_that_do_not_fit_raise() -> None:
    image = noise_image((4, 4))
    with pytest.raises(ValueError, match=r"share is float64 \(2\): expected contiguous float64 \(3\)"):
        _projector.transmit(image, image, MU, SHARE[:2])
    with pytest.raises(ValueError, match="mu is -1"):
        _projector.transmit(image, image, -MU / MU, SHARE)
    with pytest.raises(ValueError, match=r"path is float32 \(5, 4\)"):
        _projector.transmit(image, noise_image((5, 4)), MU, SHARE)


# --- blur and low-pass -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("neighbour", "reach"), [(0.0, 1), (0.25, 1), (0.13, 2), (0.5, 5)])
def test_the_blur_is_that_of_the_reference(shape: tuple[int, int], neighbour: float, reach: int) -> None:
    image = noise_image(shape)
    blurred = _projector.separable_blur3(image, neighbour, reach)
    assert blurred.dtype == np.float32
    np.testing.assert_allclose(blurred, reference.separable_blur3(image, neighbour, reach), atol=1e-6)
    assert (image == noise_image(shape)).all()


@pytest.mark.parametrize(("neighbour", "reach"), [(-0.1, 1), (0.6, 1), (np.nan, 1), (0.2, 0), (0.2, 1025)])
def test_a_blur_that_is_none_raises(neighbour: float, reach: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        _projector.separable_blur3(noise_image((4, 4)), neighbour, reach)


@pytest.mark.parametrize("shape", [*SHAPES, (129, 300)])
@pytest.mark.parametrize("block", [1, 5, 16])
def test_the_low_pass_is_that_of_the_reference(shape: tuple[int, int], block: int) -> None:
    high, wide = (-(-side // block) for side in shape)
    row_spread = noise_image((shape[0], high), 1) / np.float32(high)
    column_spread = noise_image((wide, shape[1]), 2) / np.float32(wide)
    image = noise_image(shape, 3)
    low = _projector.low_pass(image, row_spread, column_spread, block)
    np.testing.assert_allclose(low, reference.low_pass(image, row_spread, column_spread, block), rtol=1e-5)


def test_a_spread_of_another_size_raises() -> None:
    with pytest.raises(ValueError, match=r"column_spread is float32 \(20, 2\): expected contiguous float32 \(2, 20\)"):
        _projector.low_pass(noise_image((20, 20)), noise_image((20, 2)), noise_image((20, 2)), 16)


def test_threads_that_draw_at_once_get_what_each_would_get_alone() -> None:
    seen: dict[int, NDArray[np.float32]] = {}

    def draw(seed: int) -> None:
        seen[seed] = _projector.separable_blur3(normals(1 << 18, seed).reshape(512, 512), 0.2, 1)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, picture in seen.items():
        alone = _projector.separable_blur3(normals(1 << 18, seed).reshape(512, 512), 0.2, 1)
        assert (picture == alone).all()
