"""The GPU engine on a real DriverStream: pytest runs this file in a child process on the stub of the driver.

tests/engines/test_tensorrt_on_stub.py starts it. Its network is the one kernel that the stub can run: every byte plus
one. Not for: what TensorRT may refuse (tests/engines/test_tensorrt.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.runtime.engines.tensorrt import TensorRtEngine
from cathrt.runtime.engines.tensorrt_plan import LoadedPlan, Told
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.tensor import TensorSpec
from tests.engines.fake_tensorrt import fake_tensorrt
from tests.stub_driver.control import RESULTS, Fault, Stub

COUNT = 300
INPUT, OUTPUT = TensorSpec("bytes", (1, COUNT), "uint8"), TensorSpec("more", (1, COUNT), "uint8")


@pytest.fixture
def open_engine(stub: Stub, fatbin: Path) -> Iterator[Callable[[], TensorRtEngine]]:
    opened: list[TensorRtEngine] = []

    def open_() -> TensorRtEngine:
        stream = open_stream(priority="high", fatbin=fatbin)
        trt = fake_tensorrt((INPUT,), (OUTPUT,), lambda inputs, outputs: None)
        engine = _launching(trt, stream)
        try:
            opened.append(TensorRtEngine(LoadedPlan("tensorrt", "plan", trt, None, engine, Told()), stream))
        except BaseException:
            stream.close()
            raise
        return opened[-1]

    yield open_
    for engine in opened:
        engine.close()


def _launching(trt: Any, stream: DriverStream) -> Any:
    """An engine of the fake TensorRT that enqueues a kernel where the fake would compute."""

    class Context(trt.IExecutionContext):  # type: ignore[misc]
        def execute_async_v3(self, stream_handle: int) -> bool:
            assert stream_handle == stream.handle
            source, target = (DeviceMemory(self.memory[spec.name], COUNT) for spec in (INPUT, OUTPUT))
            stream.launch("stub_increment_kernel", (2, 1, 1), (256, 1, 1), source, target, np.int32(COUNT))
            return True

    class Engine(trt.ICudaEngine):  # type: ignore[misc]
        def create_execution_context(self, strategy: Any) -> Any:  # noqa: ARG002
            return Context()

    return Engine()


def given(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, INPUT.shape, np.uint8)


def test_frames_go_through_the_recorded_graph_and_come_back(open_engine: Callable[[], TensorRtEngine]) -> None:
    engine = open_engine()
    for seed in range(5):
        np.testing.assert_array_equal(engine.infer({"bytes": given(seed)})["more"], given(seed) + 1)
    engine.keep_warm()
    np.testing.assert_array_equal(engine.infer({"bytes": given(9)})["more"], given(9) + 1)


def test_buffers_begin_on_a_page_and_outlive_the_engine(open_engine: Callable[[], TensorRtEngine]) -> None:
    engine = open_engine()
    buffer, output = engine.input_buffers["bytes"], engine.infer({"bytes": given(1)})["more"]
    assert buffer.ctypes.data % 4096 == 0
    engine.close()
    np.testing.assert_array_equal(buffer + 1, output)


def test_closing_gives_everything_back(open_engine: Callable[[], TensorRtEngine], stub: Stub) -> None:
    engine = open_engine()
    held = stub.report().live
    assert (held["memory"], held["pinned"], held["executable"]) == (2, 2, 1)
    engine.close()
    live = stub.report().live
    assert (live["memory"], live["pinned"], live["executable"]) == (0, 0, 0)
    assert stub.report().misuses == 0


def test_a_lost_device_ends_the_frame_at_hand_and_every_later_one(
    open_engine: Callable[[], TensorRtEngine], stub: Stub
) -> None:
    engine = open_engine()
    engine.infer({"bytes": given(0)})
    stub.reset(Fault("cuStreamQuery", 1, RESULTS["CUDA_ERROR_ILLEGAL_ADDRESS"], sticky=True))
    for seed in range(3):
        with pytest.raises(EngineLostError, match=r"tensorrt: the device is lost: .*ILLEGAL_ADDRESS"):
            engine.infer({"bytes": given(seed)})


def test_memory_that_is_short_is_an_engine_error(open_engine: Callable[[], TensorRtEngine], stub: Stub) -> None:
    stub.reset(budget=COUNT)
    with pytest.raises(EngineError, match=r"tensorrt: .*CUDA_ERROR_OUT_OF_MEMORY: close other programs"):
        open_engine()
