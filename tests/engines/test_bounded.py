"""An engine on the CPU whose inference does not return: the caller goes on in time, and the thread is left behind."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cathrt.runtime.engines.bounded import BoundedEngine
from cathrt.runtime.errors import EngineError, EngineHungError, EngineLostError
from tests.lines import Tensors, brightness, fake_engine

PATIENCE_S = 30.0


def test_it_infers_as_the_engine_does_and_in_one_thread() -> None:
    threads: list[int] = []

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        threads.append(threading.get_ident())
        brightness(inputs, outputs)

    begun: list[int] = []
    engine = BoundedEngine(fake_engine(compute), 10_000.0, lambda: begun.append(threading.get_ident()))
    engine.input_buffers["image"][:] = 0.5
    outputs = engine.infer(engine.input_buffers)
    engine.infer(engine.input_buffers)
    assert np.argmax(outputs["logits"]) in (0, 2)
    assert set(threads) == set(begun)
    assert threads[0] != threading.get_ident()
    assert (engine.name, engine.hangs) == ("fake", False)
    engine.close()


def test_what_the_engine_raises_is_raised_and_it_goes_on() -> None:
    answers = [EngineError("once"), None]

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        if (error := answers.pop(0)) is not None:
            raise error
        brightness(inputs, outputs)

    engine = BoundedEngine(fake_engine(compute), 10_000.0)
    with pytest.raises(EngineError, match="once"):
        engine.infer(engine.input_buffers)
    assert not engine.hangs
    engine.infer(engine.input_buffers)


def test_an_inference_that_does_not_return_is_given_up_in_time_and_comes_back_when_it_returns() -> None:
    go_on = threading.Event()
    returned = threading.Event()

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        go_on.wait(PATIENCE_S)
        brightness(inputs, outputs)
        returned.set()

    engine = BoundedEngine(fake_engine(compute), 50.0)
    began = time.monotonic()
    with pytest.raises(EngineHungError, match=r"not returned within 50 ms \(ladder.hang_ms\)") as caught:
        engine.infer(engine.input_buffers)
    assert isinstance(caught.value, EngineLostError), "whoever looks for a loss finds one"
    with pytest.raises(EngineHungError):
        engine.infer(engine.input_buffers)  # at once: the thread is busy
    assert time.monotonic() - began < PATIENCE_S / 2
    assert engine.hangs
    go_on.set()
    assert returned.wait(PATIENCE_S)
    while engine.hangs:
        assert time.monotonic() - began < PATIENCE_S
    engine.infer(engine.input_buffers)


def test_closing_one_that_hangs_waits_for_nothing_and_leaves_the_engine_alone() -> None:
    go_on = threading.Event()
    closed: list[bool] = []

    class Engine(type(fake_engine())):  # type: ignore[misc]
        def close(self) -> None:
            closed.append(True)

    inner = fake_engine(lambda inputs, outputs: None)
    inner.__class__ = Engine
    inner._compute = lambda inputs, outputs: go_on.wait(PATIENCE_S)  # type: ignore[assignment]
    engine = BoundedEngine(inner, 20.0)
    with pytest.raises(EngineHungError):
        engine.infer(engine.input_buffers)
    engine.close()
    assert not closed, "the inference may still use it"
    go_on.set()
