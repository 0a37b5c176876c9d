"""The three ports of the line: Source, Engine, Sink. Adapters in sources/, engines/, sinks/ fit them by shape alone.

Not for: shared behaviour. There are no base classes; each port has a contract suite in tests/contract/.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run
from cathrt.runtime.tensor import TensorSpec


class Source(Protocol):
    """Where the frames of one run come from. frames() may be walked once; indices rise by one from 0.

    With run.frame_count set, exactly that many items come out, broken ones as LostFrame.
    Raises SourceError from its constructor-function when the input is no run at all. Where frames() raises it, the
    frames that are still owed end FAILED. Not thread-safe.
    """

    @property
    def run(self) -> Run: ...
    def frames(self) -> Iterator[Frame | LostFrame]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """One input: what to call it, and how to open it (raises SourceError); each time it is opened anew.

    start: begins in the background what open() has to wait for; open() need not follow. give_up: ends what was started
    and not opened. Neither raises anything, and calling them again does nothing.
    """

    name: str
    open: Callable[[], Source]
    start: Callable[[], None] = lambda: None
    give_up: Callable[[], None] = lambda: None


class SeveralRunsError(SourceError):
    """What was to be opened as one run is several. openings: each of them, none opened yet."""

    def __init__(self, message: str, openings: Sequence[Opening]) -> None:
        super().__init__(message)
        self.openings = tuple(openings)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a live source shows at one moment, whether or not the pedal is pressed.

    pixels: (rows, columns) uint8 or uint16 stored values, C-contiguous, read-only, meant by `grayscale`.
    captured_ns: monotonic clock when it was there to be taken. source_ms: the source's own time stamp, if it has one.
    positioner_*_angle_deg: of the C-arm, where the source says them.
    """

    pixels: NDArray[Any]
    grayscale: Grayscale
    captured_ns: int
    source_ms: float | None = None
    positioner_primary_angle_deg: float | None = None  # (0018,1510), LAO > 0 > RAO
    positioner_secondary_angle_deg: float | None = None  # (0018,1511), CRA > 0 > CAU


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture that was there and cannot be had: it could not be decoded, or newer ones overran it.

    failed: it arrived broken; else it was dropped.
    """

    captured_ns: int
    reason: str
    failed: bool


class Tap(Protocol):
    """A live source: pictures for as long as it is connected. Opening one may take seconds. Not thread-safe.

    next(): waits for the next picture; one call may take for ever, so it is made in a thread of its own
    (sources/capture/tap_thread.py). Raises SourceError when the connection is lost: then the tap is closed and opened
    anew. close() may be called from another thread while next() waits.
    """

    @property
    def name(self) -> str: ...
    def next(self) -> Picture | Missing: ...
    def close(self) -> None: ...


class Engine(Protocol):
    """A loaded network. Not thread-safe.

    input_buffers: one array per input, owned by the engine; filling them in place and passing them to infer()
    saves the copy. infer() allocates nothing and returns the engine's own output arrays, overwritten by the next call.
    Raises EngineError.
    """

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]: ...
    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...
    def close(self) -> None: ...


class InferRequest(Protocol):
    """One of several inferences that an engine computes side by side, with buffers of its own: start(), then wait().

    wait() returns this request's own output arrays, overwritten by its next inference. A start() before the wait() of
    the inference before it gives that one up. Both raise EngineError.
    """

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]: ...
    def start(self) -> None: ...
    def wait(self) -> Mapping[str, NDArray[Any]]: ...


@runtime_checkable
class ParallelEngine(Engine, Protocol):
    """What an engine adds to the port when it can compute several inferences side by side."""

    @property
    def requests(self) -> Sequence[InferRequest]: ...


class SizedEngine(Protocol):
    """A network opened once and run in any of its buckets, so that its weights are in memory once. Not thread-safe.

    inputs, outputs: as the manifest declares them. buckets: the sizes that their names may have together.
    run(): reads the arrays where they are, if they are C-contiguous, and leaves them alone. Returns the engine's own
    arrays, of the sizes that the feeds have, valid until the next run() or close(). The first run in a bucket may take
    longer than later ones. Raises EngineError.
    """

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[DeclaredTensor, ...]: ...
    @property
    def outputs(self) -> tuple[DeclaredTensor, ...]: ...
    @property
    def buckets(self) -> tuple[Mapping[str, int], ...]: ...
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...
    def close(self) -> None: ...


@runtime_checkable
class StoppableEngine(SizedEngine, Protocol):
    """What a sized engine adds to the port when a run of it can be left."""

    def run_until(self, feeds: Mapping[str, NDArray[Any]], stop: threading.Event) -> Mapping[str, NDArray[Any]] | None:
        """As run(); None soon after stop is set, which another thread may do."""


class Sink(Protocol):
    """Where records go once they are durable. Called from the journal's writer, one record at a time, in order.

    A sink gets the stored bytes and reads from them what it needs, so nothing can be shown that is not stored.
    The same record may come twice after a crash (same id); a sink that cares keeps the ids.
    """

    def emit(self, stored: StoredRecord) -> None: ...
    def close(self) -> None: ...
