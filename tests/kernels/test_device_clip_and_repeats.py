"""The host side of the CUDA clip assembler and repeat test: what they launch, and what they refuse.

What the kernels compute: tests/emulation/.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cathrt.kernels._kernels import History, TensorLayout, Window
from cathrt.kernels.cuda.clip import DeviceClip
from cathrt.kernels.cuda.frames import DeviceFrame
from cathrt.kernels.cuda.repeats import DeviceRepeats
from cathrt.kernels.cuda.stream import DeviceMemory
from tests.kernels.test_device_ingest import Notes, frame_of

LAYOUT = TensorLayout(224, 224, True, (0.5,) * 3, (0.1,) * 3, 0.0)
WINDOW = Window.linear(0.0, 1 / 4095, 0.0, False)
OUT = DeviceMemory(0x10000, 3 * 3 * 224 * 224 * 4)
ADDRESSES = DeviceMemory(0x20000, 3 * 8)


def clip(stream: Notes | None = None, **changed: Any) -> DeviceClip:
    arguments: dict[str, Any] = {
        "shape": (512, 512),
        "bits_stored": 12,
        "window": WINDOW,
        "frames": 3,
        "tensor": LAYOUT,
    }
    return DeviceClip(stream or Notes(), **(arguments | changed))


def test_a_clip_is_one_launch_and_nothing_else():
    stream = Notes()
    plan = clip(stream)
    stream.calls.clear()
    plan(ADDRESSES, frame_of((512, 512)), OUT)
    assert [call[:4] for call in stream.calls] == [("launch", "assemble_clip_u16_kernel", (7, 28, 3), (32, 8, 1))]


def test_addresses_are_those_of_the_frames_in_order():
    first, second = (DeviceFrame(address, 512, 512, 1024, np.dtype(np.uint16), None) for address in (0x1000, 0x90000))
    assert clip().addresses([second, first, first]).tolist() == [0x90000, 0x1000, 0x1000]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([frame_of((512, 512))] * 2, "there are 2 frames: expected 3"),
        ([frame_of((512, 511))] * 3, r"the frame is \(512, 511\)"),
        ([frame_of((512, 512), np.uint8)] * 3, "uint8 but bits_stored is 12"),
        (
            [*[frame_of((512, 512))] * 2, DeviceFrame(0x1000, 512, 512, 2048, np.dtype(np.uint16), None)],
            "pitch of 2048, the first uint16 with 1024: expected one type and pitch",
        ),
    ],
)
def test_frames_that_make_no_clip_raise(frames, message):
    with pytest.raises(ValueError, match=message):
        clip().addresses(frames)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"frames": 65536}, "frames is 65536"),
        ({"bits_stored": 17}, "bits_stored is 17"),
        ({"shape": (512, 20000)}, "20000 columns on 224 need .* bytes of shared memory: expected at most 49152"),
    ],
)
def test_clips_that_cannot_be_raise(changed, message):
    with pytest.raises(ValueError, match=message):
        clip(**changed)


def test_windows_that_do_not_fit_raise():
    with pytest.raises(ValueError, match="would flicker"):
        clip(window=Window.percentile(1, 99, False, False))
    with pytest.raises(ValueError, match="table has 256 entries: expected 4096"):
        clip(window=Window.table(np.zeros(256, dtype=np.float32), False))


def test_a_layout_with_a_history_raises():
    history = History(("grey", "contrast", "change"), 0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="has a history, which a clip has not: expected three grey channels"):
        clip(tensor=TensorLayout(224, 224, True, (0.5,) * 3, (0.1,) * 3, 0.0, history=history))


def test_frames_45_times_as_wide_as_the_clip_are_taken():
    clip(shape=(512, 224 * 45))


@pytest.mark.parametrize(
    ("addresses", "out"),
    [(ADDRESSES.part(0, 16), OUT), (ADDRESSES, OUT.part(0, OUT.nbytes - 4))],
    ids=["addresses", "out"],
)
def test_memory_of_the_wrong_size_raises(addresses, out):
    with pytest.raises(ValueError, match=f"expected 24 and {OUT.nbytes}"):
        clip()(addresses, frame_of((512, 512)), out)


def test_a_comparison_is_a_zero_and_a_launch():
    stream = Notes()
    compare = DeviceRepeats(stream, (99, 64), 12, 2)
    stream.calls.clear()
    compare(frame_of((99, 64)), frame_of((99, 64)))
    assert stream.calls[0] == ("zero", compare.result)
    assert [call[:4] for call in stream.calls[1:]] == [("launch", "compare_frames_u16_kernel", (13, 1, 1), (32, 8, 1))]


def test_frames_that_cannot_be_compared_raise():
    compare = DeviceRepeats(Notes(), (99, 64), 8, 2)
    with pytest.raises(ValueError, match=r"the frame is \(98, 64\)"):
        compare(frame_of((99, 64)), frame_of((98, 64)))
    with pytest.raises(ValueError, match="previous is uint8, current is uint16: expected one type"):
        compare(frame_of((99, 64), np.uint8), frame_of((99, 64)))
    with pytest.raises(ValueError, match="limit is 65536"):
        DeviceRepeats(Notes(), (99, 64), 8, 65536)
    with pytest.raises(ValueError, match="bits_stored is 0"):
        DeviceRepeats(Notes(), (99, 64), 0, 2)
