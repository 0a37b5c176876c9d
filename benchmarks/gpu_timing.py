"""How long an op's launches take on the device: what an exercise launches, recorded as a graph and replayed.

Python's own time for a launch, some microseconds, so stays out of it. Not for: whether results are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.driver import DriverStream
from cathrt.kernels.cuda.stream import DeviceMemory, Extent, Scalar, Stream

_WARM_UP = 20  # replays; clocks rise within the first milliseconds of work


@dataclass(slots=True)
class Work:
    """What was asked of the device between two synchronise(): launches and zero(), in order.

    What a plan zeroes once, when it is made, is among it if nobody waited since.
    """

    calls: list[Callable[[Stream], None]] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    memories: set[DeviceMemory] = field(default_factory=set)

    @property
    def nbytes(self) -> int:
        """Of all the memory it is given, each counted once: the least it can move, unless it leaves some untouched."""
        return sum(memory.nbytes for memory in self.memories)

    @property
    def largest(self) -> int:
        return max((memory.nbytes for memory in self.memories), default=0)


class LoggedStream:
    """kernels.cuda.stream.Stream that does everything on another stream and keeps what was launched."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.work = [Work()]

    def allocate(self, nbytes: int) -> DeviceMemory:
        return self._stream.allocate(nbytes)

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        self._stream.upload(array, memory)

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        self._stream.download(memory, array)

    def zero(self, memory: DeviceMemory) -> None:
        self._note(lambda stream: stream.zero(memory), memory)

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        memories = [argument for argument in arguments if isinstance(argument, DeviceMemory)]
        self._note(lambda stream: stream.launch(kernel, grid, block, *arguments, shared_bytes=shared_bytes), *memories)
        self.work[-1].kernels.append(kernel)

    def synchronise(self) -> None:
        self._stream.synchronise()
        if self.work[-1].kernels:
            self.work.append(Work())

    def close(self) -> None:
        self._stream.close()

    def _note(self, call: Callable[[Stream], None], *memories: DeviceMemory) -> None:
        call(self._stream)
        self.work[-1].calls.append(call)
        self.work[-1].memories.update(memories)


def sized(log: LoggedStream) -> Iterator[tuple[str, Work]]:
    """The work of full_frame(), which does 512 x 512 and 1024 x 1024 in turn, with which of the two it is.

    Told apart by the largest memory: that of 1024 x 1024 is four times as large, or eight with wider pixels.
    """
    done = [work for work in log.work if work.kernels]
    largest = max((work.largest for work in done), default=0)
    for work in done:
        yield ("1024x1024" if 2 * work.largest > largest else "512x512"), work


def device_ms(stream: DriverStream, work: Work, rounds: int) -> NDArray[np.float64]:
    """(rounds,) times of the work on the device, between two events, each round alone on an idle stream."""
    with stream.capture() as graph:
        for call in work.calls:
            call(stream)
    begin, end = stream.record(), stream.record()
    taken = np.empty(rounds)
    for number in range(-_WARM_UP, rounds):
        stream.record(begin)
        stream.replay(graph)
        stream.record(end)
        end.synchronise()
        if number >= 0:
            taken[number] = stream.elapsed_ms(begin, end)
    return taken
