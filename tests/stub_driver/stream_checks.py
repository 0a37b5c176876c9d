"""What a DriverStream does on a driver, one behaviour a test: pytest runs this file in a child process on the stub.

tests/kernels/test_driver_stream.py starts it; by its name the ordinary run does not collect it. Not for: injected
faults by the hundred (scenario.py).
"""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cathrt.kernels.cuda.driver import DriverStream, loaded, open_stream
from cathrt.kernels.cuda.stream import CudaError, DeviceLostError, DeviceMemory
from tests.emulation.ops import OPS
from tests.stub_driver.control import RESULTS, Fault, Stub

COUNT = 300
GRID, BLOCK = (2, 1, 1), (256, 1, 1)
GIVEN = (np.arange(COUNT) % 251).astype(np.uint8)


@pytest.fixture
def stream(stub: Stub, fatbin: Path) -> Iterator[DriverStream]:
    with open_stream(fatbin=fatbin) as stream:
        yield stream


def increment(stream: DriverStream, source: DeviceMemory, target: DeviceMemory) -> None:
    stream.launch("stub_increment_kernel", GRID, BLOCK, source, target, np.int32(COUNT))


def test_an_open_stream_says_what_it_runs_on(stream: DriverStream) -> None:
    assert (stream.device_name, stream.sm) == ("STUB 0 (computes nothing)", 86)
    assert stream.handle != 0


@pytest.mark.parametrize(("priority", "number"), [("high", -5), ("normal", 0)])
def test_the_driver_is_told_the_priority(stub: Stub, fatbin: Path, priority: str, number: int) -> None:
    with open_stream(priority=priority, fatbin=fatbin) as stream:  # type: ignore[arg-type]
        assert stream._stream.priority == number


def test_upload_launch_and_download_are_done_in_order(stream: DriverStream) -> None:
    source, target = stream.allocate(COUNT), stream.allocate(COUNT)
    result = np.zeros(COUNT, np.uint8)
    stream.upload(GIVEN, source)
    increment(stream, source, target)
    stream.download(target, result)
    assert not result.any(), "the stub does work when it is waited for, as late as a device may"
    stream.synchronise()
    np.testing.assert_array_equal(result, GIVEN + 1)


def test_zero_clears_a_part_and_no_more(stream: DriverStream) -> None:
    memory, result = stream.allocate(COUNT), np.zeros(COUNT, np.uint8)
    stream.upload(GIVEN, memory)
    stream.zero(memory.part(10, 20))
    stream.download(memory, result)
    stream.synchronise()
    expected = GIVEN.copy()
    expected[10:30] = 0
    np.testing.assert_array_equal(result, expected)


def test_an_array_of_no_bytes_is_no_copy(stream: DriverStream, stub: Stub) -> None:
    memory = stream.allocate(1)
    stream.upload(np.empty(0, np.uint8), memory)
    stream.download(memory, np.empty(0, np.uint8))
    assert stub.count("copy") == 0


@pytest.mark.parametrize("verb", ["upload", "download"])
def test_an_array_under_a_copy_lives_until_the_copy_is_done(stream: DriverStream, verb: str) -> None:
    memory, array = stream.allocate(COUNT), GIVEN.copy()
    alive = weakref.ref(array)
    if verb == "upload":
        stream.upload(array, memory)
    else:
        stream.download(memory, array)
    del array
    assert alive() is not None
    stream.synchronise()
    assert alive() is None


@pytest.mark.parametrize("way", ["synchronise", "done", "query"])
def test_whoever_learns_that_the_work_is_done_lets_the_arrays_go(stream: DriverStream, way: str) -> None:
    memory, given = stream.allocate(COUNT), GIVEN.copy()
    alive = weakref.ref(given)
    stream.upload(given, memory)
    del given
    event = stream.record()
    if way == "synchronise":
        event.synchronise()
    elif way == "done":
        while not event.done:
            pass
    else:
        while not stream.query():
            pass
    assert alive() is None


def test_an_event_lets_go_only_of_the_copies_before_it(stream: DriverStream) -> None:
    memory, later = stream.allocate(COUNT), GIVEN.copy()
    alive = weakref.ref(later)
    event = stream.record()
    stream.upload(later, memory)
    del later
    event.synchronise()
    assert alive() is not None


def test_an_event_is_done_when_the_work_has_come_past_it(stream: DriverStream) -> None:
    memory = stream.allocate(COUNT)
    stream.zero(memory)
    event = stream.record()
    assert not event.done
    event.synchronise()
    assert event.done
    assert stream.query()


def test_time_between_events_is_known_only_when_both_are_past(stream: DriverStream) -> None:
    begin, memory = stream.record(), stream.allocate(COUNT)
    stream.zero(memory)
    end = stream.record()
    with pytest.raises(CudaError, match=r"cuEventElapsedTime ended with CUDA_ERROR_NOT_READY: synchronise first"):
        stream.elapsed_ms(begin, end)
    end.synchronise()
    assert 0.0 <= stream.elapsed_ms(begin, end) < 1000.0


def test_an_event_can_be_recorded_again_and_is_freed_with_its_last_reference(stream: DriverStream, stub: Stub) -> None:
    event = stream.record()
    assert stream.record(event) is event
    assert stub.report().live["event"] == 1
    del event
    gc.collect()
    assert stub.report().live["event"] == 0


def test_one_stream_waits_for_another(stream: DriverStream, fatbin: Path) -> None:
    result = np.zeros(COUNT, np.uint8)
    memory = stream.allocate(COUNT)
    with open_stream(priority="high", fatbin=fatbin) as other:
        stream.upload(GIVEN, memory)
        other.wait(stream.record())
        other.download(memory, result)
        other.synchronise()
    np.testing.assert_array_equal(result, GIVEN)


def test_a_stream_waits_for_one_of_which_it_knows_the_handle_alone(
    stream: DriverStream, fatbin: Path, stub: Stub
) -> None:
    result = np.zeros(COUNT, np.uint8)
    memory = stream.allocate(COUNT)
    with open_stream(priority="high", fatbin=fatbin) as other:
        stream.upload(GIVEN, memory)
        other.wait_for(stream.handle)
        other.download(memory, result)
        other.synchronise()
    np.testing.assert_array_equal(result, GIVEN)
    gc.collect()
    assert stub.report().live["event"] == 0


def test_an_event_is_recorded_only_on_its_own_stream(stream: DriverStream, fatbin: Path) -> None:
    with open_stream(fatbin=fatbin) as other, pytest.raises(ValueError, match="another stream's event"):
        other.record(stream.record())


def test_pinned_memory_is_known_to_the_driver_and_outlives_the_stream(stub: Stub, fatbin: Path) -> None:
    with open_stream(fatbin=fatbin) as stream:
        pinned = stream.pinned(COUNT)
        assert stub.report().live["pinned"] == 1
        assert pinned.flags.writeable
        assert not pinned.any()
    assert stub.report().live["pinned"] == 0
    pinned[:] = 1  # still an array like any other
    assert pinned.all()


def test_a_replay_reads_and_writes_what_the_arrays_hold_by_then(stream: DriverStream) -> None:
    source, target = stream.allocate(COUNT), stream.allocate(COUNT)
    given, result = GIVEN.copy(), np.zeros(COUNT, np.uint8)
    with stream.capture() as graph:
        stream.upload(given, source)
        increment(stream, source, target)
        stream.download(target, result)
    stream.synchronise()
    assert not result.any(), "a recording does nothing"
    for step in (1, 2):
        given[:] = GIVEN + np.uint8(step)
        stream.replay(graph)
        stream.synchronise()
        np.testing.assert_array_equal(result, GIVEN + np.uint8(step + 1))


def test_a_graph_keeps_its_arrays_until_the_stream_closes(stub: Stub, fatbin: Path) -> None:
    with open_stream(fatbin=fatbin) as stream:
        memory, given = stream.allocate(COUNT), GIVEN.copy()
        alive = [weakref.ref(given), weakref.ref(stream.pinned(COUNT).base)]
        with stream.capture():
            stream.upload(given, memory)
        del given
        gc.collect()
        assert all(reference() is not None for reference in alive)
    gc.collect()
    assert all(reference() is None for reference in alive)


@pytest.mark.parametrize("verb", ["allocate", "pinned", "record", "synchronise", "query", "capture", "close"])
def test_only_work_can_be_recorded(stream: DriverStream, verb: str) -> None:
    source = stream.allocate(COUNT)
    with stream.capture() as graph:
        stream.upload(GIVEN, source)
        with pytest.raises(CudaError, match=rf"{verb}\(\) within capture\(\)"):
            if verb in ("allocate", "pinned"):
                getattr(stream, verb)(1)
            elif verb == "capture":
                with stream.capture():
                    pass
            else:
                getattr(stream, verb)()
    stream.replay(graph)
    stream.synchronise()


def test_a_recording_that_is_given_up_leaves_the_stream_usable(stream: DriverStream, stub: Stub) -> None:
    source, result = stream.allocate(COUNT), np.zeros(COUNT, np.uint8)
    with pytest.raises(KeyError):
        with stream.capture() as graph:
            stream.upload(GIVEN, source)
            raise KeyError
    with pytest.raises(ValueError, match="replay of a graph that this stream has not captured"):
        stream.replay(graph)
    stream.upload(GIVEN, source)
    stream.download(source, result)
    stream.synchronise()
    np.testing.assert_array_equal(result, GIVEN)
    assert stub.report().live["graph"] == 0


class Lender:
    """Whatever keeps memory alive that another library lends."""


def test_what_is_kept_lives_until_the_stream_is_known_to_be_idle(stream: DriverStream, stub: Stub) -> None:
    memory = stream.allocate(COUNT)
    before = stream.record()
    lender = Lender()
    alive = weakref.ref(lender)
    stream.keep(lender)
    del lender
    increment(stream, memory, memory)
    begun = stream.record()
    before.synchronise()
    begun.synchronise()  # an event says nothing of what was given to the stream after it
    assert alive() is not None
    assert stream.query()
    assert alive() is None
    stub.reset(Fault("cuStreamQuery", 1, RESULTS["CUDA_ERROR_NOT_SUPPORTED"]))
    increment(stream, memory, memory)
    lender = Lender()
    refused = weakref.ref(lender)
    stream.keep(lender)
    del lender
    with pytest.raises(CudaError):
        stream.synchronise()
    assert refused() is not None, "nobody knows whether its work is done"
    stream.synchronise()
    assert refused() is None


def test_another_thread_may_go_on_with_the_stream(stream: DriverStream) -> None:
    result: list[DeviceMemory] = []
    thread = threading.Thread(target=lambda: result.append(stream.allocate(COUNT)))
    thread.start()
    thread.join()
    assert result
    assert result[0].nbytes == COUNT


def test_close_frees_everything_and_may_be_called_twice(stub: Stub, fatbin: Path) -> None:
    stream = open_stream(fatbin=fatbin)
    source = stream.allocate(COUNT)
    stream.pinned(COUNT)
    with stream.capture():
        stream.zero(source)
    stream.close()
    calls = stub.report().calls
    stream.close()
    report = stub.report()
    assert report.calls == calls
    assert report.misuses == 0
    assert {kind for kind, count in report.live.items() if count} <= {"library"}  # cuda-core keeps code for good


def test_many_streams_load_the_kernels_once_and_leave_nothing(stub: Stub, fatbin: Path) -> None:
    loaded.cache_clear()
    before = stub.report().live
    for _ in range(5):
        with open_stream(fatbin=fatbin) as stream:
            memory = stream.allocate(COUNT)
            increment(stream, memory, memory)
    report = stub.report()
    assert report.calls["cuLibraryLoadData"] == 1
    assert report.live == before | {"library": before["library"] + 1}


def test_a_closed_stream_says_so(stub: Stub, fatbin: Path) -> None:
    stream = open_stream(fatbin=fatbin)
    event = stream.record()
    stream.close()
    with pytest.raises(CudaError, match=r"allocate\(\) on a closed stream: open a new one"):
        stream.allocate(1)
    with pytest.raises(CudaError, match="closed stream"):
        event.synchronise()


def test_close_waits_for_work_and_tells_what_became_of_it(stub: Stub, fatbin: Path) -> None:
    stream = open_stream(fatbin=fatbin)
    memory = stream.allocate(COUNT)
    stub.reset(Fault("cuMemsetD8Async", 1, 700, sticky=True, later=True))
    stream.zero(memory)
    with pytest.raises(DeviceLostError, match="cuStreamQuery ended with CUDA_ERROR_ILLEGAL_ADDRESS"):
        stream.close()
    stream.close()
    assert stub.report().live["memory"] == 0


def test_memory_beyond_the_device_is_refused_with_advice(stream: DriverStream, stub: Stub) -> None:
    stub.reset(budget=1000)
    stream.allocate(600)
    with pytest.raises(CudaError, match=r"cuMemAlloc ended with CUDA_ERROR_OUT_OF_MEMORY: close other programs"):
        stream.allocate(600)
    assert stream.allocate(400).nbytes == 400


def test_after_a_loss_every_call_says_so_and_none_reaches_the_driver(stub: Stub, fatbin: Path) -> None:
    stream = open_stream(fatbin=fatbin)
    memory, event, host = stream.allocate(COUNT), stream.record(), np.zeros(COUNT, np.uint8)
    stub.reset(Fault("cuLaunchKernelEx", 1, 719, sticky=True))
    with pytest.raises(DeviceLostError, match=r"launch of stub_increment_kernel.* ended with CUDA_ERROR_LAUNCH_FAILED"):
        increment(stream, memory, memory)
    before = stub.count("any")
    for call in (
        lambda: stream.allocate(1), lambda: stream.pinned(1), lambda: stream.upload(host, memory),
        lambda: stream.download(memory, host), lambda: stream.zero(memory), lambda: increment(stream, memory, memory),
        stream.synchronise, stream.query, stream.record, lambda: stream.wait(event),
        lambda: stream.elapsed_ms(event, event), event.synchronise, lambda: event.done,
    ):  # fmt: skip
        with pytest.raises(DeviceLostError, match="CUDA_ERROR_LAUNCH_FAILED"):
            call()
    assert stub.count("any") == before
    stream.close()
    stream.close()
    assert stub.report().live["memory"] == 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), np.uint8)[:, ::2], "is not C-contiguous"),
        (np.zeros((4, 6), np.uint8).T, "is not C-contiguous"),
        (np.zeros(COUNT + 1, np.uint8), "array of 301 bytes and device memory of 300"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_before_the_driver(
    stream: DriverStream, stub: Stub, array: np.ndarray, message: str
) -> None:
    memory = stream.allocate(COUNT)
    with pytest.raises(ValueError, match=message):
        stream.upload(array, memory)
    with pytest.raises(ValueError, match=message):
        stream.download(memory, array)
    assert stub.count("copy") == 0


def test_a_download_into_a_read_only_array_is_refused(stream: DriverStream) -> None:
    array = np.zeros(COUNT, np.uint8)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        stream.download(stream.allocate(COUNT), array)


@pytest.mark.parametrize("nbytes", [0, -1])
@pytest.mark.parametrize("verb", ["allocate", "pinned"])
def test_memory_of_no_bytes_is_refused(stream: DriverStream, verb: str, nbytes: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        getattr(stream, verb)(nbytes)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ([], r"arguments of \(8, 8\) bytes, its parameters have \(8, 8, 4\)"),
        ([np.int64(COUNT)], r"arguments of \(8, 8, 8\) bytes, its parameters have \(8, 8, 4\)"),
        ([np.int32(COUNT), np.int32(1)], r"arguments of \(8, 8, 4, 4\) bytes, its parameters have \(8, 8, 4\)"),
        ([COUNT], "argument 2 of stub_increment_kernel is int: must be DeviceMemory or int32"),
        ([1.0], "argument 2 of stub_increment_kernel is float: must be DeviceMemory or int32"),
        ([np.int16(1)], "argument 2 of stub_increment_kernel is int16: must be DeviceMemory or int32"),
    ],
)
def test_arguments_that_are_not_the_kernels_are_refused_before_the_driver(
    stream: DriverStream, stub: Stub, last: list[object], message: str
) -> None:
    memory = stream.allocate(COUNT)
    with pytest.raises(ValueError, match=message):
        stream.launch("stub_increment_kernel", GRID, BLOCK, memory, memory, *last)  # type: ignore[arg-type]
    assert stub.count("launch") == 0


@pytest.mark.parametrize("size", ["small", "full_frame"])
@pytest.mark.parametrize("op", OPS)
def test_an_op_launches_its_kernels_with_the_parameters_they_have(
    stream: DriverStream, stub: Stub, op: str, size: str
) -> None:
    with contextlib.suppress(AssertionError):  # the kernel was not run, so its first result is wrong
        getattr(OPS[op].exercise, size)(stream)
    assert stub.count("launch") > 0


def test_an_unknown_kernel_is_refused(stream: DriverStream) -> None:
    with pytest.raises(
        CudaError, match=r"looking up no_such_kernel ended with CUDA_ERROR_NOT_FOUND: .* install cathrt"
    ):
        stream.launch("no_such_kernel", GRID, BLOCK)


def test_a_block_beyond_the_device_is_refused(stream: DriverStream) -> None:
    memory = stream.allocate(COUNT)
    with pytest.raises(CudaError, match=r"block \(2048, 1, 1\), 0 bytes shared ended with CUDA_ERROR_INVALID_VALUE"):
        stream.launch("stub_increment_kernel", GRID, (2048, 1, 1), memory, memory, np.int32(1))


def test_a_build_without_kernels_says_how_to_have_them(tmp_path: Path, stub: Stub) -> None:
    with pytest.raises(CudaError, match=r"no CUDA kernels: .*none does not exist.* made without a CUDA compiler"):
        open_stream(fatbin=tmp_path / "none")


def test_damaged_kernels_are_refused(tmp_path: Path, stub: Stub) -> None:
    path = tmp_path / "kernels.fatbin"
    path.write_bytes(b"\x50\xed\x55\xba damaged")
    with pytest.raises(CudaError, match=r"loading .* ended with CUDA_ERROR_INVALID_IMAGE: kernels.fatbin is damaged"):
        open_stream(fatbin=path)


@pytest.mark.parametrize("ordinal", [-1, 1])
def test_a_device_that_does_not_exist_is_refused(stub: Stub, fatbin: Path, ordinal: int) -> None:
    with pytest.raises(CudaError, match=f"CUDA device {ordinal} does not exist, the driver knows 1"):
        open_stream(ordinal, fatbin=fatbin)
