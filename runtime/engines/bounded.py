"""An engine on the CPU with a deadline: an inference that does not return is given up, and its thread left behind.

Such an engine may come back: when the inference returns after all, the engine can be used again. Not for: engines on a
device, which bring a deadline of their own (guarded.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.engines.device_thread import DeviceThread
from cathrt.runtime.errors import EngineHungError
from cathrt.runtime.ports import Engine
from cathrt.runtime.tensor import TensorSpec

_BEGIN_MS = 10_000.0
_log = logging.getLogger(__name__)


class BoundedEngine:
    """`engine` with its inferences on a thread of its own; costs some 10 µs each. Fits Engine. For one caller.

    within_ms: longest inference. begins: called once on that thread, to give it its priority.
    infer() raises EngineHungError where it takes longer, and from then on at once, for as long as it has not returned.
    """

    def __init__(self, engine: Engine, within_ms: float, begins: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._within_ms = within_ms
        self._asked = self._returned = 0  # inferences
        self._thread = DeviceThread(f"cathrt-{engine.name}")
        self._thread.call(begins, _BEGIN_MS)

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._engine.outputs

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]:
        return self._engine.input_buffers

    @property
    def hangs(self) -> bool:
        """Whether an inference that was given up has not returned yet."""
        return self._returned != self._asked

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if self.hangs:
            raise EngineHungError(self._gives_up())
        self._asked += 1

        def work() -> Mapping[str, NDArray[Any]]:
            try:
                return self._engine.infer(feeds)
            finally:
                self._returned += 1

        try:
            return self._thread.call(work, self._within_ms)
        except TimeoutError as exc:
            raise EngineHungError(self._gives_up()) from exc

    def close(self) -> None:
        """Close the engine, or leave it behind while it hangs. Does not wait."""
        self._thread.end()
        if self.hangs:
            _log.warning("%s still hangs: what it holds is left behind until the process ends", self.name)
        else:
            self._engine.close()

    def _gives_up(self) -> str:
        return (
            f"{self.name}: an inference has not returned within {self._within_ms:g} ms (ladder.hang_ms): look at the "
            "load of this machine (top), its memory and dmesg"
        )
