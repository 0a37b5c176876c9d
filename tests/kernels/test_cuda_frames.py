"""What the host side of the CUDA kernels refuses before anything is launched: sizes, pitches, alignment, overlap."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.kernels._kernels import SubtractionSettings, TemporalSettings
from cathrt.kernels.cuda.frame_memory import require_frame
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.kernels.cuda.subtraction import MaskSubtraction
from cathrt.kernels.cuda.temporal import TemporalFilter

SHAPE = (6, 8)
U16 = np.dtype(np.uint16)


class Ledger:
    """A stream that hands out addresses and notes the launches; nothing is run."""

    def __init__(self):
        self.end = 4096
        self.launched = []

    def allocate(self, nbytes):
        memory = DeviceMemory(self.end, nbytes)
        self.end += -(-nbytes // 256) * 256
        return memory

    def zero(self, _memory):
        pass

    def launch(self, kernel, *shape_and_arguments):
        self.launched.append((kernel, *shape_and_arguments))


def temporal(stream, shape=SHAPE, dtype=np.uint16, bits=12):
    return TemporalFilter(stream, shape, dtype, bits, TemporalSettings(4.0, 0.1, 0.2, 1.0, 0.3, 5.0))


def subtraction(stream, shape=SHAPE, dtype=np.uint16, bits=12):
    return MaskSubtraction(stream, shape, dtype, bits, SubtractionSettings("LOG", 1.0, 0.0, 12))


@pytest.mark.parametrize("make", [temporal, subtraction])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 8)}, "rows is 0: expected 1 to 65535"),
        ({"shape": (6, 65536)}, "columns is 65536"),
        ({"dtype": np.int16}, "pixels are int16: expected uint8 or uint16"),
        ({"bits": 17}, "bits_stored is 17: expected 1 to 16"),
        ({"dtype": np.uint8}, "bits_stored is 12: expected 1 to 8 for uint8"),
    ],
    ids=str,
)
def test_a_plan_out_of_range_raises(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(Ledger(), **arguments)


@pytest.mark.parametrize(
    ("address", "nbytes", "pitch", "message"),
    [
        (256, 95, 16, "pixels has 95 bytes: expected 96 for 6 rows 16 bytes apart"),
        (256, 115, 20, "pixels has 115 bytes: expected 116"),
        (256, 96, 14, "rows 14 bytes apart: expected multiples of 2 and at least 16"),
        (256, 200, 17, "rows 17 bytes apart"),
        (257, 200, 16, "pixels starts at 0x101"),
    ],
)
def test_a_frame_that_does_not_fit_its_memory_raises(address, nbytes, pitch, message):
    with pytest.raises(ValueError, match=message):
        require_frame("pixels", DeviceMemory(address, nbytes), pitch, SHAPE, U16)


def test_a_frame_that_fits_exactly_is_accepted():
    require_frame("pixels", DeviceMemory(256, 116), 20, SHAPE, U16)


@pytest.mark.parametrize("make", [temporal, subtraction])
def test_an_output_that_does_not_fit_or_overlaps_raises_and_nothing_is_launched(make):
    stream = Ledger()
    op = make(stream)
    if make is subtraction:
        op.add_mask_frame(DeviceMemory(1 << 20, 96), 16)
        stream.launched.clear()
    pixels, out = DeviceMemory(1 << 20, 96), DeviceMemory(1 << 21, 96)
    with pytest.raises(ValueError, match="out has 95 bytes"):
        op(pixels, 16, DeviceMemory(1 << 21, 95), 16)
    with pytest.raises(ValueError, match="pixels has 95 bytes"):
        op(DeviceMemory(1 << 20, 95), 16, out, 16)
    for overlapping in (pixels, DeviceMemory((1 << 20) + 94, 96), DeviceMemory((1 << 20) - 94, 96)):
        with pytest.raises(ValueError, match="out shares memory with pixels"):
            op(pixels, 16, overlapping, 16)
    assert stream.launched == []
    op(pixels, 16, DeviceMemory((1 << 20) + 96, 96), 16)
    assert len(stream.launched) == 1


def test_a_subtraction_without_a_mask_or_with_a_shift_that_is_not_finite_raises():
    op = subtraction(Ledger())
    pixels, out = DeviceMemory(1 << 20, 96), DeviceMemory(1 << 21, 96)
    with pytest.raises(ValueError, match=r"the mask has no frame: call add_mask_frame\(\) first"):
        op(pixels, 16, out, 16)
    op.add_mask_frame(pixels, 16)
    with pytest.raises(ValueError, match=r"shift is \(nan, 0.0\): expected finite pixels"):
        op(pixels, 16, out, 16, (float("nan"), 0.0))
    op.reset()
    with pytest.raises(ValueError, match="the mask has no frame"):
        op(pixels, 16, out, 16)


def test_the_257th_mask_frame_raises():
    op = subtraction(Ledger())
    for _ in range(256):
        op.add_mask_frame(DeviceMemory(1 << 20, 96), 16)
    with pytest.raises(ValueError, match="256 frames already"):
        op.add_mask_frame(DeviceMemory(1 << 20, 96), 16)
