"""Runs the CUDA vesselness on any stream and compares it with the reference and with the CPU twin.

Tolerance: tests/kernels/vesselness_agreement.py; a frame has the same bits every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Vesselness
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.vesselness import DeviceVesselness
from tests.emulation.placed import placed
from tests.kernels.vesselness_agreement import angiogram, assert_agrees, round_field

_NOWHERE = np.float32(-1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """gap, offset, bottom_up: how the frame lies in memory.   field: share of the sides that is exposed, as an ellipse.

    bright: every stored value lies in the top quarter, so that sums and their mean are large.
    """

    dtype: Any
    bits: int
    shape: tuple[int, int]
    field: float | None = None
    inverted: bool = False
    gap: int = 0
    offset: int = 0
    bottom_up: bool = False
    bright: bool = False

    @property
    def pixels(self) -> NDArray[Any]:
        found = angiogram(np.random.default_rng(sum(self.shape)), self.shape, self.dtype, self.bits)
        return found >> 2 | self.dtype(3 << (self.bits - 2)) if self.bright else found


# Grids of one tile (16 x 32 cells) and of several, cells of 1, 2 and 3 pixels, the smallest Gaussian (radius 3, a
# margin of 4 cells) and the largest (radius 9), fields of one cell, and of none.
SMALL = (
    Case(np.uint16, 12, (1, 1)),
    Case(np.uint8, 8, (9, 9)),
    Case(np.uint8, 8, (35, 67), gap=3, offset=1),
    Case(np.uint16, 10, (34, 69), field=0.9, gap=2, offset=2, inverted=True),
    Case(np.uint16, 16, (27, 383), bright=True),
    Case(np.uint8, 7, (40, 400), bottom_up=True),
    Case(np.uint16, 12, (50, 645), field=1.3, gap=6),
)
FULL = (
    Case(np.uint8, 8, (512, 512), field=0.9),
    Case(np.uint16, 12, (1024, 1024), inverted=True),
)


def run(stream: Stream, case: Case) -> None:
    """The frame twice: the second time the plan's memory holds what the first has left there."""
    pixels = case.pixels
    exposed = None if case.field is None else round_field(case.shape, case.field)
    plan = DeviceVesselness(stream, case.shape, case.bits, exposed, case.inverted)
    frame = placed(stream, pixels, gap=case.gap, offset=case.offset, bottom_up=case.bottom_up)
    found = [np.full(1, _NOWHERE, dtype=np.float32) for _ in range(2)]
    for result in found:
        plan(frame)
        stream.download(plan.result, result)
    stream.synchronise()
    assert found[0] == found[1], f"{case}: {found[0]}, then {found[1]}"
    assert_agrees(float(found[0][0]), pixels, case.bits, exposed, inverted=case.inverted)
    twin = Vesselness(case.shape, case.bits, exposed, case.inverted)(pixels)
    assert_agrees(twin, pixels, case.bits, exposed, inverted=case.inverted)


def small(stream: Stream) -> None:
    """Every kernel, in tiles that are whole and not. Raises AssertionError where a result is wrong."""
    for case in SMALL:
        run(stream, case)


def full_frame(stream: Stream) -> None:
    """512 x 512 and 1024 x 1024. Raises AssertionError where a result is wrong."""
    for case in FULL:
        run(stream, case)
