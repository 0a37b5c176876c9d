"""The three ports of the line: Source, Engine, Sink. Adapters in sources/, engines/, sinks/ fit them by shape alone.

Not for: shared behaviour. There are no base classes; each port has a contract suite in tests/contract/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.frame import Frame, LostFrame, Run
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
    """One input: what to call it, and how to open it (raises SourceError)."""

    name: str
    open: Callable[[], Source]


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


class Sink(Protocol):
    """Where records go once they are durable. Called from the journal's writer, one record at a time, in order.

    A sink gets the stored bytes and reads from them what it needs, so nothing can be shown that is not stored.
    The same record may come twice after a crash (same id); a sink that cares keeps the ids.
    """

    def emit(self, stored: StoredRecord) -> None: ...
    def close(self) -> None: ...
