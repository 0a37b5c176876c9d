"""A device that hangs: work that never ends. pytest runs this file in a child process on the stub.

tests/kernels/test_driver_stream.py starts it. What is left behind stays alive, so no other checks share the process.
Not for: calls that never return (hang_scenario.py).
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.events import Event
from cathrt.kernels.cuda.stream import DeviceHungError, DeviceMemory
from tests.stub_driver.control import Fault, Stub

COUNT = 300
GIVEN = (np.arange(COUNT) % 251).astype(np.uint8)


class Lender:
    """Whatever keeps memory alive that another library lends."""


@pytest.fixture
def hung(stub: Stub, fatbin: Path) -> Iterator[tuple[DriverStream, Event, DeviceMemory]]:
    """A stream whose last piece of work never ends, an event behind it, and memory of the stream."""
    stream = open_stream(fatbin=fatbin, wait_ms=20.0)
    memory = stream.allocate(COUNT)
    stub.reset(Fault("cuMemsetD8Async", 1, later=True, hang=True))
    stream.zero(memory)
    yield stream, stream.record(), memory
    stub.reset()


WAITS = {
    "synchronise": lambda stream, event: stream.synchronise(),
    "an event": lambda stream, event: event.synchronise(),
    "close": lambda stream, event: stream.close(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_for_a_device_that_hangs_ends_in_time_and_is_a_loss(
    hung: tuple[DriverStream, Event, DeviceMemory], stub: Stub, wait: str
) -> None:
    stream, event, memory = hung
    assert not stream.query()
    assert not event.done
    began = time.monotonic()
    with pytest.raises(DeviceHungError, match=r"the device does not answer: it has not finished .* within 20 ms: look"):
        WAITS[wait](stream, event)
    assert 0.02 <= time.monotonic() - began < 5.0
    calls, live = stub.count("any"), stub.report().live
    if wait != "close":
        with pytest.raises(DeviceHungError):
            stream.upload(GIVEN, memory)
    stream.close()
    stream.close()
    del event
    gc.collect()
    assert stub.count("any") == calls, "a call might never return"
    assert stub.report().live == live, "the device may still use all of it"


def test_what_a_device_that_hangs_was_given_is_kept_for_good(
    hung: tuple[DriverStream, Event, DeviceMemory],
) -> None:
    stream, _, memory = hung
    array, lender = GIVEN.copy(), Lender()
    alive = [weakref.ref(array), weakref.ref(lender), weakref.ref(stream.pinned(COUNT).base)]
    stream.download(memory, array)
    stream.keep(lender)
    del array, lender
    with pytest.raises(DeviceHungError):
        stream.synchronise()
    stream.close()
    gc.collect()
    assert all(reference() is not None for reference in alive)


def test_a_stream_that_waits_for_one_that_hangs_hangs_too(
    hung: tuple[DriverStream, Event, DeviceMemory], fatbin: Path
) -> None:
    other = open_stream(fatbin=fatbin, wait_ms=20.0)
    other.wait(hung[1])
    with pytest.raises(DeviceHungError):
        other.synchronise()


def test_work_that_ends_before_the_deadline_is_waited_for(stub: Stub, fatbin: Path) -> None:
    with open_stream(fatbin=fatbin, wait_ms=10_000.0) as stream:
        memory, result = stream.allocate(COUNT), np.zeros(COUNT, np.uint8)
        stub.reset(Fault("cuMemsetD8Async", 1, later=True, hang=True))
        stream.zero(memory)
        timer = threading.Timer(0.05, stub.reset)  # which lets stuck work go
        timer.start()
        stream.synchronise()
        timer.join()
        stream.upload(GIVEN, memory)
        stream.download(memory, result)
        stream.synchronise()
    np.testing.assert_array_equal(result, GIVEN)
