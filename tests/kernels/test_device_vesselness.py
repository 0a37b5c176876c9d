"""The host side of the CUDA vesselness: what it launches, and what it refuses.

What the kernels compute: tests/emulation/.
"""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.kernels.cuda.vesselness import DeviceVesselness
from cathrt.kernels.reference.vesselness import gaussian, grid_shape, sigma_of
from tests.kernels.test_device_ingest import Notes, frame_of


def plan(stream: Notes, shape: tuple[int, int] = (512, 500), **changed: object) -> DeviceVesselness:
    arguments = {"bits_stored": 12, "exposed": None, "inverted": False} | changed
    made = DeviceVesselness(stream, shape, **arguments)
    stream.calls.clear()
    return made


def test_a_frame_is_a_zero_and_three_launches_and_nothing_is_allocated():
    stream = Notes()
    plan(stream)(frame_of((512, 500)))
    assert [call[0] for call in stream.calls] == ["zero", "launch", "launch", "launch"]
    assert [call[1:4] for call in stream.calls[1:]] == [
        ("sum_cells_u16_kernel", (8, 32, 1), (32, 8, 1)),
        ("measure_lines_kernel", (8, 16, 1), (32, 8, 1)),
        ("finish_vesselness_kernel", (1, 1, 1), (32, 1, 1)),
    ]


def test_the_mean_is_of_the_cells_that_count_and_monochrome1_turns_the_sign():
    stream = Notes()
    plan(stream, inverted=True)(frame_of((512, 500)))
    measure = stream.calls[2]
    assert np.int32((256 - 14) * (250 - 14)) in measure[4:]
    assert np.float32(-1.0) in [argument for argument in measure[4:] if isinstance(argument, np.float32)]


def test_a_run_without_a_field_has_a_zero_and_launches_nothing():
    stream = Notes()
    DeviceVesselness(stream, (512, 500), 12, np.zeros((512, 2), dtype=np.int32), False)
    assert [call[0] for call in stream.calls] == ["allocate", "zero"]
    plan(stream, exposed=np.zeros((512, 2), dtype=np.int32))(frame_of((512, 500)))
    assert stream.calls == []


def test_no_frame_needs_a_wider_gaussian_than_the_kernels_have():
    for side in [*range(1, 2000), 46463, 46464, 65535]:
        assert 3 <= len(gaussian(sigma_of(grid_shape((side, side))))) // 2 <= 9


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (0, 8)}, "rows is 0: expected 1 to 65535"),
        ({"bits_stored": 17}, "bits_stored is 17: expected 1 to 16"),
        ({"exposed": np.zeros((511, 2), dtype=np.int32)}, r"exposed is int32 \(511, 2\): expected int32 \(512, 2\)"),
        ({"exposed": np.tile(np.array([0, 501], dtype=np.int32), (512, 1))}, r"exposed\[0\] is \[0, 501\)"),
    ],
    ids=str,
)
def test_a_plan_out_of_range_raises(changed, message):
    with pytest.raises(ValueError, match=message):
        plan(Notes(), **changed)


def test_frames_that_do_not_fit_raise_and_nothing_is_launched():
    stream = Notes()
    measure = plan(stream)
    for frame, message in (
        (frame_of((511, 500)), r"the frame is \(511, 500\): this plan was made for \(512, 500\)"),
        (frame_of((512, 500), np.uint8), "uint8 but bits_stored is 12"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(frame)
    assert stream.calls == []
