"""What the device side of temporal filter and subtraction refuses before anything is launched."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.kernels._kernels import SubtractionSettings, TemporalSettings
from cathrt.kernels.cuda.frames import DeviceFrame
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.kernels.cuda.subtraction import DeviceMaskSubtraction
from cathrt.kernels.cuda.temporal import DeviceTemporalFilter

SHAPE = (6, 8)
AT, OUT_AT = 1 << 20, 1 << 21


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


def temporal(stream, shape=SHAPE, bits=12):
    return DeviceTemporalFilter(stream, shape, bits, TemporalSettings(4.0, 0.1, 0.2, 1.0, 0.3, 5.0))


def subtraction(stream, shape=SHAPE, bits=12):
    return DeviceMaskSubtraction(stream, shape, bits, SubtractionSettings("LOG", 1.0, 0.0, 12))


def frame(address=AT, shape=SHAPE, pitch=16, dtype=np.uint16):
    return DeviceFrame(address, *shape, pitch, np.dtype(dtype), None)


def ready(make):
    """The op and its stream, with a mask where it needs one, nothing noted yet."""
    stream = Ledger()
    op = make(stream)
    if make is subtraction:
        op.add_mask_frame(frame())
        stream.launched.clear()
    return op, stream


@pytest.mark.parametrize("make", [temporal, subtraction])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 8)}, "rows is 0: expected 1 to 65535"),
        ({"shape": (6, 65536)}, "columns is 65536"),
        ({"bits": 17}, "bits_stored is 17: expected 1 to 16"),
    ],
    ids=str,
)
def test_a_plan_out_of_range_raises(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(Ledger(), **arguments)


@pytest.mark.parametrize("make", [temporal, subtraction])
@pytest.mark.parametrize(
    ("pixels", "out", "message"),
    [
        (frame(shape=(5, 8)), frame(OUT_AT), r"the frame is \(5, 8\): this plan was made for \(6, 8\)"),
        (frame(pitch=8, dtype=np.uint8), frame(OUT_AT), "uint8 but bits_stored is 12"),
        (frame(), frame(OUT_AT, (5, 8)), r"out is uint16 \(5, 8\): expected uint16 \(6, 8\)"),
        (frame(), frame(OUT_AT, pitch=8, dtype=np.uint8), r"out is uint8 \(6, 8\): expected uint16"),
        (frame(), frame(OUT_AT, pitch=14), "rows of out are 14 bytes apart: expected at least 16"),
        (frame(), frame(), "out shares memory with the frame"),
        (frame(), frame(AT + 94), "out shares memory with the frame"),
        (frame(), frame(AT - 94), "out shares memory with the frame"),
        (frame(AT + 80, pitch=-16), frame(AT - 94), "out shares memory with the frame"),
        (frame(), frame(AT + 80 + 94, pitch=-16), "out shares memory with the frame"),
    ],
    ids=[
        "rows",
        "uint8",
        "out rows",
        "out type",
        "out pitch",
        "in place",
        "after",
        "before",
        "bottom up",
        "out bottom up",
    ],
)
def test_frames_that_do_not_fit_or_overlap_raise_and_nothing_is_launched(make, pixels, out, message):
    op, stream = ready(make)
    with pytest.raises(ValueError, match=message):
        op(pixels, out)
    assert stream.launched == []


@pytest.mark.parametrize("make", [temporal, subtraction])
@pytest.mark.parametrize(
    ("pixels", "out"),
    [(frame(), frame(AT + 96)), (frame(), frame(AT - 96)), (frame(AT + 80, pitch=-16), frame(AT + 96 + 80, pitch=-16))],
    ids=["after", "before", "bottom up"],
)
def test_frames_that_lie_side_by_side_are_accepted(make, pixels, out):
    op, stream = ready(make)
    op(pixels, out)
    assert len(stream.launched) == 1


def test_a_subtraction_without_a_mask_or_with_a_shift_that_is_not_finite_raises():
    op = subtraction(Ledger())
    with pytest.raises(ValueError, match=r"the mask has no frame: call add_mask_frame\(\) first"):
        op(frame(), frame(OUT_AT))
    op.add_mask_frame(frame())
    with pytest.raises(ValueError, match=r"shift is \(nan, 0.0\): expected finite pixels"):
        op(frame(), frame(OUT_AT), (float("nan"), 0.0))
    op.reset()
    with pytest.raises(ValueError, match="the mask has no frame"):
        op(frame(), frame(OUT_AT))


def test_the_257th_mask_frame_raises():
    op = subtraction(Ledger())
    for _ in range(256):
        op.add_mask_frame(frame())
    with pytest.raises(ValueError, match="256 frames already"):
        op.add_mask_frame(frame())
