"""Events and recorded graphs of a DriverStream."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from cathrt.kernels.cuda.driver_calls import DriverCalls


class Waiting(Protocol):
    """The stream that an event belongs to, as the event sees it."""

    def passed(self, event: Event) -> bool: ...
    def wait_until_passed(self, event: Event) -> None: ...


class Event:
    """A moment in a stream's work. Freed with its last reference; reuse it where one is needed every frame."""

    def __init__(self, stream: Waiting, handle: Any, calls: DriverCalls) -> None:
        self.stream = stream
        self.handle = int(handle)
        self.copies = 0
        # Not at the end of the process, which frees it anyway and must not wait for a device that hangs.
        weakref.finalize(self, _destroy, calls, handle).atexit = False

    @property
    def done(self) -> bool:
        """Whether the stream's work has come past it."""
        return self.stream.passed(self)

    def synchronise(self) -> None:
        """Wait until the stream's work has come past it. Raises DeviceHungError after the stream's wait_ms."""
        self.stream.wait_until_passed(self)


@dataclass(slots=True)
class Graph:
    """Work recorded once by capture(), to be given to the device in one call. Freed by the stream's close().

    arrays: the host memory its copies read and write, kept alive with it.
    """

    executable: Any = None
    arrays: list[NDArray[Any]] = field(default_factory=list)


def _destroy(calls: DriverCalls, handle: Any) -> None:
    if not calls.hung:
        calls.driver.cuEventDestroy(handle)
