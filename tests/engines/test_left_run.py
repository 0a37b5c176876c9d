"""A run of a sized engine that is left ends soon, and the next one is whole (ports.StoppableEngine)."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.engines.sized import Sizes
from cathrt.runtime.engines.sized_openvino import OpenVinoSizedEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.ports import StoppableEngine

_SETTINGS = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
SIDE, LAYERS = 768, 60  # some tenths of a second of one core


@pytest.fixture(scope="module")
def engine() -> OpenVinoSizedEngine:
    """A chain of products with matrices that swap halves: an even number of them changes nothing."""
    swap = np.roll(np.eye(SIDE, dtype=np.float32), SIDE // 2, axis=1)
    given = ov.opset13.parameter([SIDE, SIDE], np.float32, name="x")
    found = given
    for _ in range(LAYERS):
        found = ov.opset13.matmul(found, ov.opset13.constant(swap.copy()), False, False)
    result = ov.opset13.result(found)
    result.output(0).set_names({"y"})
    given.output(0).set_names({"x"})
    compiled = ov.Core().compile_model(ov.Model([result], [given]), "CPU", _SETTINGS)
    declared = DeclaredTensor("x", (SIDE, SIDE), "float32"), DeclaredTensor("y", (SIDE, SIDE), "float32")
    return OpenVinoSizedEngine(compiled, Sizes("openvino", declared[:1], declared[1:], ()), (), lambda: None)


def test_a_run_that_is_left_ends_before_its_end_and_the_next_one_is_whole(engine: OpenVinoSizedEngine) -> None:
    assert isinstance(engine, StoppableEngine)
    feeds = {"x": np.random.default_rng(1).standard_normal((SIDE, SIDE), np.float32)}
    engine.run(feeds)
    began = time.process_time()  # of all threads; on a busy machine the clock tells little
    whole = engine.run(feeds)["y"].copy()
    took = time.process_time() - began
    np.testing.assert_array_equal(whole, feeds["x"])
    stop = threading.Event()
    stop.set()
    began = time.process_time()
    assert engine.run_until(feeds, stop) is None
    assert time.process_time() - began < 0.7 * took
    found = engine.run_until(feeds, threading.Event())
    assert found is not None
    np.testing.assert_array_equal(found["y"], whole)


def test_a_closed_engine_says_so(engine: OpenVinoSizedEngine) -> None:
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.run_until({}, threading.Event())
