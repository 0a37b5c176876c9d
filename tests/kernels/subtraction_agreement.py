"""Cases that try mask subtraction, and how near a twin must come to kernels/reference/subtraction.py.

Used by tests/kernels/test_subtraction.py for the CPU twin and by tests/emulation/exercise_subtraction.py for the CUDA
kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import SubtractionSettings
from cathrt.kernels.reference import subtraction as reference

Shift = tuple[float, float]

# With two mask frames of at most 12 bits, float32 holds every sum and product of these exactly. Half of the differences
# are odd, and half of an odd number lies between two output values; many lie beyond either end of the output.
EXACT = SubtractionSettings("LOG", 0.5, 100.0, 8)
EXACT_SHIFTS: tuple[Shift, ...] = ((0.0, 0.0), (0.5, 0.0), (0.0, -0.5), (-1.25, 2.75), (2.0, -3.0))


def settings_for(bits: int, pixel_intensity_relationship: str, bits_out: int = 12) -> SubtractionSettings:
    """Half the full scale of differences fills the output, whose middle is no difference."""
    contrast = np.log(2.0**bits) if pixel_intensity_relationship == "LIN" else 2.0**bits
    return SubtractionSettings(pixel_intensity_relationship, 2.0**bits_out / contrast, 2.0 ** (bits_out - 1), bits_out)


def angiogram(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, count: int) -> list[NDArray[Any]]:
    """`count` mask frames and a live one with a vessel: every bit used, dirty ones too, and both ends of the range."""
    top = np.iinfo(dtype).max
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    tissue = top * (0.5 + 0.4 * np.sin(x / 5 + 1) * np.cos(y / 3))
    frames = [tissue + rng.normal(0, 0.02 * top, shape) for _ in range(count + 1)]
    frames[-1] = np.where((x - y) % 11 < 3, 0.4 * frames[-1], frames[-1])
    ends = rng.random(shape)
    stored = [np.where(ends < 0.03, 0, np.where(ends > 0.97, top, frame)) for frame in frames]
    return [np.clip(np.rint(frame), 0, top).astype(dtype) for frame in stored]


def shifts_for(shape: tuple[int, int]) -> list[Shift]:
    """None, sub-pixel in every quadrant, whole pixels, to the edge, just before it, and far beyond."""
    rows, columns = shape
    return [
        (0.0, 0.0),
        (0.25, -0.5),
        (-3.7, 2.2),
        (1.0, 1.0),
        (-2.0, -1.0),
        (1e-12, -1e-12),
        (rows - 0.5, 0.5 - columns),
        (float(-rows), float(columns)),
        (1e9, -1e9),
    ]


def assert_agrees(
    masks: Sequence[NDArray[Any]],
    live: NDArray[Any],
    bits: int,
    shift: Shift,
    out: NDArray[np.uint16],
    settings: SubtractionSettings,
) -> None:
    """A twin's `out` is the reference's, rounded rightly except where float32 makes it a toss-up: at most 1 off.

    float32 holds a difference of values up to 2**bits to a few units in their last place; of logarithms, the sum of the
    mask frames adds half a unit for each. The gain magnifies that.
    """
    relationship = settings.pixel_intensity_relationship
    clean, mask = _cleaned(masks, live, bits, relationship)
    last_place = 1.2e-7 * (np.log(2.0**bits) if relationship == "LIN" else 2.0**bits)
    frames = len(masks) if relationship == "LIN" else 0
    allowed = abs(settings.gain) * (4 + 0.5 * frames) * last_place + 1.2e-7 * (abs(settings.offset) + 65536)
    difference = reference.attenuation(clean[-1], relationship) - reference.shifted(mask, shift)
    exact = np.clip(settings.gain * difference + settings.offset, 0, (1 << settings.bits_out) - 1)
    expected = _expected(clean[-1], mask, shift, settings)
    assert out.dtype == np.uint16
    assert np.abs(out - expected).max() <= 1
    assert (np.abs(out - exact) <= 0.5 + allowed).all()


def assert_equal(
    masks: Sequence[NDArray[Any]],
    live: NDArray[Any],
    bits: int,
    shift: Shift,
    out: NDArray[np.uint16],
    settings: SubtractionSettings,
) -> None:
    """A twin's `out` is the reference's to the bit: for settings and shifts that leave float32 nothing to round."""
    clean, mask = _cleaned(masks, live, bits, settings.pixel_intensity_relationship)
    np.testing.assert_array_equal(out, _expected(clean[-1], mask, shift, settings))


def _cleaned(
    masks: Sequence[NDArray[Any]], live: NDArray[Any], bits: int, relationship: str
) -> tuple[list[NDArray[Any]], reference.Float64]:
    """Mask frames and live one without their dirty bits, and the mask."""
    clean = [frame & frame.dtype.type((1 << bits) - 1) for frame in (*masks, live)]
    return clean, reference.mean_mask(clean[:-1], relationship)


def _expected(
    live: NDArray[Any], mask: reference.Float64, shift: Shift, settings: SubtractionSettings
) -> NDArray[np.int64]:
    return reference.subtraction(
        live,
        mask,
        shift,
        pixel_intensity_relationship=settings.pixel_intensity_relationship,
        gain=settings.gain,
        offset=settings.offset,
        bits_out=settings.bits_out,
    )
