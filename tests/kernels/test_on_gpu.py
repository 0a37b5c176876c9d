"""Every op's CUDA kernels on the device of this machine: the cases that the emulator runs on every machine.

`make gpu-check` runs these too, and times the kernels. Skipped, with the reason, where no device computes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from tests.emulation.ops import OPS

pytestmark = pytest.mark.needs_gpu


@pytest.fixture
def stream() -> Iterator[DriverStream]:
    with open_stream() as stream:
        yield stream


@pytest.mark.parametrize("op", OPS)
def test_small_cases_agree_with_the_reference(stream: DriverStream, op: str) -> None:
    OPS[op].exercise.small(stream)


@pytest.mark.parametrize("op", OPS)
def test_full_frames_agree_with_the_reference(stream: DriverStream, op: str) -> None:
    OPS[op].exercise.full_frame(stream)


def test_what_is_uploaded_comes_back(stream: DriverStream) -> None:
    given = np.random.default_rng(1).integers(0, 1 << 16, (1024, 1024), dtype=np.uint16)
    memory, result = stream.allocate(given.nbytes), np.zeros_like(given)
    stream.upload(given, memory)
    stream.download(memory, result)
    stream.synchronise()
    np.testing.assert_array_equal(result, given)


def test_a_graph_of_copies_takes_what_the_arrays_hold_by_then(stream: DriverStream) -> None:
    given, result = (stream.pinned(1 << 20) for _ in range(2))
    memory = stream.allocate(1 << 20)
    with stream.capture() as graph:
        stream.upload(given, memory)
        stream.download(memory, result)
    for value in (1, 2):
        given[:] = value
        stream.replay(graph)
        stream.synchronise()
        assert (result == value).all()


def test_events_tell_time_on_the_device(stream: DriverStream) -> None:
    memory = stream.allocate(64 << 20)
    begin = stream.record()
    for _ in range(8):
        stream.zero(memory)
    end = stream.record()
    end.synchronise()
    assert 0.01 < stream.elapsed_ms(begin, end) < 1000.0
