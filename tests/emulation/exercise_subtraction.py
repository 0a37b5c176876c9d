"""Runs the CUDA mask subtraction on any stream and compares it with the reference and with the CPU twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cathrt.kernels._kernels import MaskSubtraction
from cathrt.kernels.cuda.frames import DeviceFrame
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.subtraction import DeviceMaskSubtraction
from tests.emulation.placed import fetched, placed
from tests.kernels.subtraction_agreement import (
    EXACT,
    EXACT_SHIFTS,
    Shift,
    angiogram,
    assert_agrees,
    assert_equal,
    settings_for,
    shifts_for,
)


@dataclass(frozen=True, slots=True)
class Case:
    """gap, out_gap: bytes between rows. offset: bytes the frame is off alignment.

    Aligned mask rows of a multiple of four pixels are read four at a time. exact: no sum or product is rounded, and
    half of the differences lie in the middle between two output values.
    """

    dtype: Any
    bits: int
    shape: tuple[int, int]
    relationship: str
    gap: int = 0
    out_gap: int = 0
    offset: int = 0
    bottom_up: bool = False
    masks: int = 2
    shifts: tuple[Shift, ...] = ()
    exact: bool = False


# Blocks have 8 rows and 128 columns of a mask frame, 32 rows and 32 columns of a live one.
SMALL = (
    Case(np.uint16, 12, (1, 1), "LIN", masks=1),
    Case(np.uint8, 8, (5, 3), "LOG", gap=2, out_gap=2),
    Case(np.uint16, 16, (35, 37), "LIN", gap=4, shifts=((0.25, -0.5), (-3.5, 40.0))),
    Case(np.uint8, 7, (9, 131), "LIN", out_gap=6, shifts=((-1.25, 2.5),)),
    Case(np.uint16, 10, (9, 140), "LOG", gap=8, shifts=((0.0, 0.0), (0.75, 1.0))),
    Case(np.uint8, 8, (34, 36), "LOG", gap=4, shifts=((1.5, -1.5),)),
    Case(np.uint16, 12, (2, 8), "LOG", gap=2, shifts=((0.0, 0.0),)),
    Case(np.uint16, 12, (3, 12), "LOG", offset=2, shifts=((0.0, 0.0),)),
    Case(np.uint16, 12, (5, 12), "LOG", bottom_up=True, shifts=((0.5, 0.0),)),
    Case(np.uint8, 8, (4, 12), "LOG", offset=1, shifts=((0.0, 0.0),)),
    Case(np.uint8, 8, (5, 38), "LOG", gap=2, shifts=((0.0, 0.0),)),  # aligned, but no multiple of four
    Case(np.uint16, 12, (9, 20), "LOG", shifts=EXACT_SHIFTS, exact=True),
    Case(np.uint8, 8, (6, 13), "LOG", shifts=EXACT_SHIFTS, exact=True),
)
FULL = (
    Case(np.uint8, 8, (512, 512), "LOG", shifts=((0.25, -0.5),)),
    Case(np.uint16, 12, (1024, 1024), "LIN", shifts=((-1.75, 3.5),)),
)


def run(stream: Stream, case: Case) -> None:
    """A mask that is forgotten, then the mask, then the live frame under every shift."""
    *masks, live = angiogram(np.random.default_rng(sum(case.shape)), case.shape, case.dtype, case.masks)
    settings = EXACT if case.exact else settings_for(case.bits, case.relationship)
    assert_right = assert_equal if case.exact else assert_agrees
    on_device = DeviceMaskSubtraction(stream, case.shape, case.bits, settings)
    on_cpu = MaskSubtraction(case.shape, case.bits, settings)

    def on_stream(pixels: Any) -> DeviceFrame:
        return placed(stream, pixels, gap=case.gap, offset=case.offset, bottom_up=case.bottom_up)

    on_device.add_mask_frame(on_stream(live))
    on_device.reset()
    for mask in masks:
        on_device.add_mask_frame(on_stream(mask))
        on_cpu.add_mask_frame(mask)
    frame = on_stream(live)
    for shift in case.shifts or shifts_for(case.shape):
        placed_out = placed(stream, np.zeros(case.shape, np.uint16), gap=case.out_gap)
        on_device(frame, placed_out, shift)
        out = fetched(stream, placed_out)
        assert_right(masks, live, case.bits, shift, out, settings)
        cpu_out = np.empty(case.shape, np.uint16)
        on_cpu(live, cpu_out, shift)
        assert_right(masks, live, case.bits, shift, cpu_out, settings)
        assert np.abs(out.astype(int) - cpu_out).max() <= 1


def small(stream: Stream) -> None:
    """Every kernel, aligned and not. Raises AssertionError where a result is wrong."""
    for case in SMALL:
        run(stream, case)


def full_frame(stream: Stream) -> None:
    """512 x 512 and 1024 x 1024. Raises AssertionError where a result is wrong."""
    for case in FULL:
        run(stream, case)
