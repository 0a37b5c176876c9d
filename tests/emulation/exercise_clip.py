"""The clip assembler's CUDA kernels against reference and CPU twin: what the emulation and a GPU both run.

Tolerance 1e-5, as the CPU twin's, and 1e-5 between the two; none where float32 has nothing to round (exact.py). Not
for: how they are run (tests/emulation/stream.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clip, TensorLayout, Window
from cathrt.kernels.cuda.clip import DeviceClip
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.reference import clip as reference
from cathrt.kernels.reference.ingest import as_element
from tests.emulation.exact import TENSORS, ramp
from tests.emulation.placed import placed

TOLERANCE = 1e-5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # a channel that takes another's place shows


@dataclass(frozen=True)
class Case:
    """sampled: which of the frames are the clip's.   gap, offset: bytes between rows and before the first.

    table: grey of a value is an entry.   exact: of ramps one of exact.TENSORS is made, without a resize.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    dtype: Any
    bits: int
    sampled: tuple[int, ...] = (0, 1, 1)
    channels_last: bool = True
    element: str = "float32"
    gap: int = 0
    offset: int = 0
    line: tuple[float, float, float] | None = None
    table: bool = False
    invert: bool = False
    exact: bool = False


def frames_of(case: Case) -> list[NDArray[Any]]:
    """Every bit set at random; of an exact case a ramp, and one upside down."""
    if case.exact:
        return [ramp(case.shape), ramp(case.shape)[::-1]][: max(case.sampled) + 1]
    rng = np.random.default_rng(case.shape[1])
    top = np.iinfo(case.dtype).max
    return [rng.integers(0, top, case.shape, dtype=case.dtype, endpoint=True) for _ in range(max(case.sampled) + 1)]


def exercise(stream: Stream, case: Case) -> None:
    rng = np.random.default_rng(case.shape[1])
    run = frames_of(case)
    clip = [run[i] for i in case.sampled]
    line = case.line or reference.identity_line(case.bits)
    entries = rng.uniform(-0.2, 1.2, 1 << case.bits).astype(np.float32)
    window = Window.table(entries, case.invert) if case.table else Window.linear(*line, case.invert)
    mean, std, scale = TENSORS[case.element] if case.exact else (MEAN, STD, 0.015 if case.element == "int8" else 1.0)
    layout = TensorLayout(*case.size, case.channels_last, mean, std, 0.0, case.element, scale)

    def grey(stored: NDArray[np.float64]) -> NDArray[np.float64]:
        plain = entries[stored.astype(np.int64)] if case.table else (stored - line[0]) * line[1] + line[2]
        clamped = np.clip(plain.astype(np.float64), 0.0, 1.0)
        return 1.0 - clamped if case.invert else clamped

    expected = reference.clip(clip, case.bits, grey, case.size, mean, std, channels_last=case.channels_last)
    twin = np.empty(expected.shape, dtype=case.element)
    Clip(case.shape, case.bits, window, len(clip), layout)(clip, twin)

    on_device = [placed(stream, frame, gap=case.gap, offset=case.offset) for frame in run]
    assemble = DeviceClip(stream, case.shape, case.bits, window, len(clip), layout)
    table = assemble.addresses([on_device[i] for i in case.sampled])
    addresses, out = stream.allocate(table.nbytes), stream.allocate(twin.nbytes)
    stream.upload(table, addresses)
    stream.upload(np.full(twin.nbytes, 0xFF, dtype=np.uint8), out)
    stream.synchronise()
    assemble(addresses, on_device[0], out)
    found = np.empty_like(twin)
    stream.download(out, found)
    stream.synchronise()
    if case.exact:
        np.testing.assert_array_equal(found, as_element(expected, case.element, scale))
        np.testing.assert_array_equal(twin, found)
        return
    # Beside the sums' error, half a step of the element's own: of int8 in steps, of float16 relative.
    steps = expected / scale
    step = {"float32": 0.0, "float16": 2.0**-11 * np.abs(steps) + 2.0**-25, "int8": 0.5}[case.element]
    off = np.abs(found.astype(np.float64) - np.clip(steps, -128, 127) if case.element == "int8" else found - steps)
    assert (off <= step + TOLERANCE / scale).all(), f"{case}: off by {off.max()}"
    assert (np.abs(found.astype(np.float64) - twin) <= 2 * step + TOLERANCE / scale).all(), f"{case}: not as the twin"


def small(stream: Stream) -> None:
    """Both layouts, sizes that end within a block, a warp, a vector; rows with and without room for vectors."""
    for case in (
        Case((1, 1), (9, 3), np.uint8, 8, sampled=(0,)),
        Case((13, 43), (9, 35), np.uint16, 12, gap=2),
        Case((13, 43), (9, 35), np.uint8, 8, gap=1, channels_last=False, element="float16"),
        Case((19, 70), (3, 33), np.uint16, 16, line=(30000.0, 1 / 20000, 0.5), channels_last=False, invert=True),
        Case((5, 20), (4, 9), np.uint16, 12, offset=2),
        Case((5, 9), (11, 2), np.uint16, 10, table=True, element="int8", sampled=(0, 0)),
        Case((5, 18), (7, 34), np.uint8, 6, table=True, sampled=(1, 0)),
        *(
            Case(
                (8, 128),
                (8, 128),
                np.uint16,
                10,
                line=(0.0, 2.0**-10, 0.0),
                element=element,
                exact=True,
                channels_last=element == "int8",
                sampled=(0, 1),
            )
            for element in TENSORS
        ),
    ):
        exercise(stream, case)


def full_frame(stream: Stream) -> None:
    exercise(stream, Case((512, 512), (224, 224), np.uint8, 8, sampled=(0, 0)))
    exercise(stream, Case((1024, 1024), (224, 224), np.uint16, 12, sampled=(0,), channels_last=False))
