"""Frames that try the temporal filter, and how near a twin must come to kernels/reference/temporal.py.

Used by tests/kernels/test_temporal.py for the CPU twin and by tests/emulation/exercise_temporal.py for the CUDA
kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TemporalSettings
from cathrt.kernels.reference import temporal as reference

Float64 = NDArray[np.float64]

# Nothing moves and every pixel has noise of one stored value, so that float32 holds every state of a few frames
# exactly: half the way to the new frame, or 2.5 from it. Either ends in the middle between two stored values as often
# as not.
EXACT = TemporalSettings(noise_offset=1.0, noise_gain=0.0, still=0.5, threshold=1e6, slope=1.0, ghosting_limit=2.5)


def settings_for(bits: int, **changed: float) -> TemporalSettings:
    """Noise of about one percent of the full scale at half dose, averaging about nine still frames."""
    full = float(1 << bits)
    usual = {
        "noise_offset": (0.002 * full) ** 2 + 1 / 12,  # what rounding to whole values adds
        "noise_gain": 0.0002 * full,
        "still": 0.2,
        "threshold": 0.8,
        "slope": 0.4,
        "ghosting_limit": 5.0,
    }
    return TemporalSettings(**(usual | changed))


def parameters(settings: TemporalSettings) -> dict[str, float]:
    """The settings as the reference takes them."""
    names = ("noise_offset", "noise_gain", "still", "threshold", "slope", "ghosting_limit")
    return {name: getattr(settings, name) for name in names}


def moving_scene(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, bits: int, count: int) -> Any:
    """Still, noisy tissue and a dark object that moves across it; the bits beyond bits_stored are set at random."""
    top = (1 << bits) - 1
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    tissue = top * (0.5 + 0.3 * np.sin(x / 9 + 1) * np.cos(y / 7))
    frames = []
    for number in range(count):
        level = np.where((x + y + 5 * number) % 23 < 4, 0.1 * top, tissue)
        sigma = np.sqrt((0.002 * top) ** 2 + 0.0002 * top * level)
        stored = np.clip(np.rint(rng.normal(level, sigma)), 0, top).astype(np.int64)
        dirt = rng.integers(0, np.iinfo(dtype).max + 1, shape) & ~top
        frames.append((stored | dirt).astype(dtype))
    return frames


def tolerance(stored: Float64, state: Float64 | None, bits: int, settings: TemporalSettings) -> Float64:
    """How far float32 may be off, per pixel, in stored values.

    A local mean of values up to the full scale is off by a few units in its last place; slope / sigma turns that into
    a share of the difference. At the usual settings it is below 0.01 at 12 bits.
    """
    last_place = 5e-7 * (1 << bits)
    if state is None:
        return np.zeros_like(stored)
    sigma = reference.noise_sigma(stored, settings.noise_offset, settings.noise_gain)
    return last_place * (1.0 + settings.slope * np.abs(stored - state) / sigma)


def assert_step_agrees(
    pixels: NDArray[Any],
    bits: int,
    before: NDArray[Any] | None,
    state: NDArray[np.float32],
    out: NDArray[Any],
    settings: TemporalSettings,
) -> None:
    """One step of a twin, from its own state `before` (None: the first frame) to its `state` and `out`."""
    stored = (pixels & pixels.dtype.type((1 << bits) - 1)).astype(np.float64)
    earlier = None if before is None else before.astype(np.float64)
    expected = reference.temporal(stored, earlier, **parameters(settings))
    allowed = tolerance(stored, earlier, bits, settings)
    assert out.dtype == pixels.dtype
    assert (np.abs(state - expected) <= allowed).all()
    # Rounding is right where it is not a toss-up within the tolerance; so out is at most 1 off.
    assert (np.abs(out - expected) <= 0.5 + allowed).all()


def assert_step_is_exact(
    pixels: NDArray[Any],
    bits: int,
    before: NDArray[Any] | None,
    state: NDArray[np.float32],
    out: NDArray[Any],
    settings: TemporalSettings,
) -> None:
    """The same with EXACT: state and rounding are the reference's to the bit."""
    stored = (pixels & pixels.dtype.type((1 << bits) - 1)).astype(np.float64)
    earlier = None if before is None else before.astype(np.float64)
    expected = reference.temporal(stored, earlier, **parameters(settings))
    np.testing.assert_array_equal(state, expected)
    np.testing.assert_array_equal(out, reference.rounded(expected))
