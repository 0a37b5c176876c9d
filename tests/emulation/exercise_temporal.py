"""Runs the CUDA temporal filter on any stream and compares it with the reference and with the CPU twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cathrt.kernels._kernels import TemporalFilter as CpuTemporalFilter
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.temporal import TemporalFilter
from tests.emulation.pitched import download_frame, empty_frame, upload_frame
from tests.kernels.temporal_agreement import assert_step_agrees, moving_scene, settings_for


@dataclass(frozen=True, slots=True)
class Case:
    """gap, out_gap: bytes between rows. skew: bytes the frame is off alignment.

    Aligned rows of a multiple of four pixels are read four at a time.
    """

    dtype: Any
    bits: int
    shape: tuple[int, int]
    gap: int = 0
    out_gap: int = 0
    skew: int = 0
    frames: int = 3


# Tiles have 8 rows and 128 columns.
SMALL = (
    Case(np.uint16, 12, (1, 1)),
    Case(np.uint8, 8, (3, 5), gap=3, out_gap=1),
    Case(np.uint16, 16, (9, 133), gap=6),
    Case(np.uint8, 7, (10, 131)),
    Case(np.uint16, 10, (9, 140), gap=8, out_gap=16),
    Case(np.uint8, 8, (11, 132), out_gap=4),
    Case(np.uint16, 12, (2, 8), gap=2),
    Case(np.uint8, 8, (3, 12), skew=1),
)
FULL = (Case(np.uint8, 8, (512, 512), frames=2), Case(np.uint16, 12, (1024, 1024), frames=2))


def run(stream: Stream, case: Case) -> None:
    """Some frames, then a reset and the first again."""
    rng = np.random.default_rng(sum(case.shape))
    frames = moving_scene(rng, case.shape, case.dtype, case.bits, case.frames)
    settings = settings_for(case.bits)
    on_device = TemporalFilter(stream, case.shape, case.dtype, case.bits, settings)
    on_cpu = CpuTemporalFilter(case.shape, case.bits, settings)
    before = None
    for pixels in [*frames, frames[0]]:
        if pixels is frames[0]:
            on_device.reset()
            on_cpu.reset()
            before = None
        state, out = filtered(stream, on_device, pixels, case)
        assert_step_agrees(pixels, case.bits, before, state, out, settings)
        cpu_out = np.empty_like(pixels)
        on_cpu(pixels, cpu_out)
        # Each from its own state, which differ by as little.
        assert np.abs(state - on_cpu.state).max() <= 2e-6 * (1 << case.bits)
        assert np.abs(out.astype(int) - cpu_out).max() <= 1
        before = state


def filtered(stream: Stream, on_device: TemporalFilter, pixels: Any, case: Case) -> tuple[Any, Any]:
    pitch = pixels.shape[1] * pixels.itemsize + case.gap
    out_pitch = pixels.shape[1] * pixels.itemsize + case.out_gap
    out = empty_frame(stream, case.shape, case.dtype, out_pitch)
    on_device(upload_frame(stream, pixels, pitch, case.skew), pitch, out, out_pitch)
    state = np.empty(case.shape, np.float32)
    stream.download(on_device.state, state)
    stream.synchronise()
    return state, download_frame(stream, out, case.shape, case.dtype, out_pitch)


def small(stream: Stream) -> None:
    """Every kernel, aligned and not. Raises AssertionError where a result is wrong."""
    for case in SMALL:
        run(stream, case)


def full_frame(stream: Stream) -> None:
    """512 x 512 and 1024 x 1024. Raises AssertionError where a result is wrong."""
    for case in FULL:
        run(stream, case)
