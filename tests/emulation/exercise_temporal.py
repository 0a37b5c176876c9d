"""Runs the CUDA temporal filter on any stream and compares it with the reference and with the CPU twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cathrt.kernels._kernels import TemporalFilter
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.temporal import DeviceTemporalFilter
from tests.emulation.placed import fetched, placed
from tests.kernels.temporal_agreement import EXACT, assert_step_agrees, assert_step_is_exact, moving_scene, settings_for


@dataclass(frozen=True, slots=True)
class Case:
    """gap, out_gap: bytes between rows. offset, out_offset: bytes that frame and output are off alignment.

    Aligned rows of a multiple of four pixels are read four at a time. exact: float32 rounds nothing, and many states
    lie in the middle between two stored values.
    """

    dtype: Any
    bits: int
    shape: tuple[int, int]
    gap: int = 0
    out_gap: int = 0
    offset: int = 0
    out_offset: int = 0
    bottom_up: bool = False
    frames: int = 3
    exact: bool = False


# Tiles have 8 rows and 128 columns.
SMALL = (
    Case(np.uint16, 12, (1, 1)),
    Case(np.uint8, 8, (3, 5), gap=3, out_gap=1),
    Case(np.uint16, 16, (9, 133), gap=6),
    Case(np.uint8, 7, (10, 131)),
    Case(np.uint16, 10, (9, 140), gap=8, out_gap=16),
    Case(np.uint8, 8, (11, 132), out_gap=4),
    Case(np.uint16, 12, (2, 8), gap=2),
    Case(np.uint8, 8, (3, 12), offset=1),
    Case(np.uint16, 12, (5, 12), bottom_up=True),
    Case(np.uint8, 8, (5, 38), gap=2, out_gap=2),  # aligned, but no multiple of four
    Case(np.uint16, 12, (3, 12), out_gap=2),
    Case(np.uint16, 12, (3, 12), out_offset=2),
    Case(np.uint8, 8, (3, 129)),  # the last column is beside a tile
    Case(np.uint16, 8, (9, 20), exact=True),
    Case(np.uint8, 6, (3, 7), exact=True),
)
FULL = (Case(np.uint8, 8, (512, 512), frames=2), Case(np.uint16, 12, (1024, 1024), frames=2))


def run(stream: Stream, case: Case) -> None:
    """Some frames, then a reset and the first again."""
    rng = np.random.default_rng(sum(case.shape))
    frames = moving_scene(rng, case.shape, case.dtype, case.bits, case.frames)
    settings = EXACT if case.exact else settings_for(case.bits)
    assert_right = assert_step_is_exact if case.exact else assert_step_agrees
    on_device = DeviceTemporalFilter(stream, case.shape, case.bits, settings)
    on_cpu = TemporalFilter(case.shape, case.bits, settings)
    before = None
    for pixels in [*frames, frames[0]]:
        if pixels is frames[0]:
            on_device.reset()
            on_cpu.reset()
            before = None
        state, out = filtered(stream, on_device, pixels, case)
        assert_right(pixels, case.bits, before, state, out, settings)
        cpu_out = np.empty_like(pixels)
        cpu_before = None if before is None else on_cpu.state.copy()
        on_cpu(pixels, cpu_out)
        assert_right(pixels, case.bits, cpu_before, on_cpu.state, cpu_out, settings)
        # Each from its own state, which differ by as little.
        assert np.abs(state - on_cpu.state).max() <= 2e-6 * (1 << case.bits)
        assert np.abs(out.astype(int) - cpu_out).max() <= 1
        before = state


def filtered(stream: Stream, on_device: DeviceTemporalFilter, pixels: Any, case: Case) -> tuple[Any, Any]:
    frame = placed(stream, pixels, gap=case.gap, offset=case.offset, bottom_up=case.bottom_up)
    out = placed(stream, np.zeros_like(pixels), gap=case.out_gap, offset=case.out_offset)
    on_device(frame, out)
    state = np.empty(case.shape, np.float32)
    stream.download(on_device.state, state)
    return state, fetched(stream, out)


def small(stream: Stream) -> None:
    """Every kernel, aligned and not. Raises AssertionError where a result is wrong."""
    for case in SMALL:
        run(stream, case)


def full_frame(stream: Stream) -> None:
    """512 x 512 and 1024 x 1024. Raises AssertionError where a result is wrong."""
    for case in FULL:
        run(stream, case)
