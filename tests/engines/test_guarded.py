"""Deadlines on an engine whose device may hang, with an engine that hangs on demand. No driver is asked here.

Not for: hangs of the driver at each of its calls (test_tensorrt_on_stub.py).
"""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines import guarded
from cathrt.runtime.engines.device_thread import DeviceThread
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.engines.guarded import GuardedEngine
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame_step import CpuFrameStep, FrameEngine, FrameStep
from cathrt.runtime.line.failover import FailoverEngine, WarmEngine
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.lines import (
    BUNDLE,
    MANIFEST,
    ArraySource,
    ListJournal,
    brightness,
    engine_of,
    line,
    picture,
    remembering,
)

LONG_S = 60.0
PATIENT_MS = 20_000.0
SCORES = [0.1, 0.3, 0.9, 0.2]
RUN = ArraySource(SCORES).run


class Slow(FakeEngine):
    """An engine of which any call named in `hangs` waits until the test is over."""

    def __init__(self) -> None:
        super().__init__(
            MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), brightness
        )
        self.over = threading.Event()
        self.hangs: set[str] = set()
        self.threads: set[int] = set()
        self.closed = 0

    def at(self, call: str) -> None:
        self.threads.add(threading.get_ident())
        if call in self.hangs:
            self.over.wait(LONG_S)

    def infer(self, feeds: Any) -> Any:
        self.at("infer")
        return super().infer(feeds)

    def frame_step(self, *arguments: Any) -> Any:
        self.at("frame_step")
        return SlowStep(self, *arguments)

    def keep_warm(self) -> None:
        self.at("keep_warm")

    def close(self) -> None:
        self.at("close")
        self.closed += 1
        super().close()


class SlowStep(CpuFrameStep):
    def __init__(self, engine: Slow, *how: Any) -> None:
        super().__init__(engine, *how)
        self._slow = engine

    def remember(self, pixels: Any, grayscale: int = 0) -> None:
        self._slow.at("remember")
        super().remember(pixels, grayscale)


@pytest.fixture
def slow() -> Iterator[Slow]:
    engine = Slow()
    yield engine
    engine.over.set()


def opened(slow: Slow, wait_ms: float = 20.0) -> GuardedEngine:
    return GuardedEngine("gpu", lambda: slow, wait_ms)


def step_of(engine: GuardedEngine, bundle: Bundle = BUNDLE) -> FrameStep:
    return engine.frame_step(RUN, bundle.manifest.network(CLASSIFIER).preprocessing, time.monotonic_ns)


CALLS: dict[str, Callable[[GuardedEngine], object]] = {
    "infer": lambda engine: engine.infer(engine.input_buffers),
    "frame_step": step_of,
    "remember": lambda engine: step_of(engine, remembering()).remember(picture(0.5)),
    "keep_warm": lambda engine: engine.keep_warm(),
}


def test_everything_runs_on_one_thread_of_its_own(slow: Slow) -> None:
    engine = opened(slow, PATIENT_MS)
    for call in CALLS.values():
        call(engine)
    engine.close()
    assert len(slow.threads) == 1
    assert threading.get_ident() not in slow.threads
    assert isinstance(engine, FrameEngine)
    assert isinstance(engine, WarmEngine)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_does_not_return_is_a_loss_in_time_and_every_later_one_at_once(slow: Slow, call: str) -> None:
    engine = opened(slow)
    slow.hangs.add(call)
    began = time.monotonic()
    with pytest.raises(EngineLostError, match=r"gpu: the device does not answer: .* has not ended within \d+ ms: look"):
        CALLS[call](engine)
    for later in CALLS.values():
        with pytest.raises(EngineLostError, match="does not answer"):
            later(engine)
    engine.close()
    assert time.monotonic() - began < LONG_S / 2
    assert slow.closed == 0, "closing might never return"


def test_a_frame_to_remember_has_the_time_of_a_frame(slow: Slow) -> None:
    engine = opened(slow)
    step = step_of(engine, remembering())
    slow.hangs.add("remember")
    with pytest.raises(EngineLostError, match=r"remembering a frame has not ended within 120 ms"):
        step.remember(picture(0.5))
    with pytest.raises(EngineLostError, match="remembering a frame has not ended"):
        step.remember(picture(0.5))
    engine.close()


def test_without_a_history_the_engine_is_not_asked_to_remember_whatever_became_of_it(slow: Slow) -> None:
    engine = opened(slow)
    step = step_of(engine)
    slow.hangs |= {"remember", "keep_warm"}
    step.remember(picture(0.5))
    with pytest.raises(EngineLostError):
        engine.keep_warm()
    step.remember(picture(0.5))
    engine.close()


def test_what_was_remembered_behind_the_guard_is_seen_by_the_next_frame(slow: Slow) -> None:
    pictures = [picture(score) for score in SCORES]
    engines = [opened(Slow(), PATIENT_MS), opened(slow, PATIENT_MS)]
    alone, step = (step_of(engine, remembering()) for engine in engines)
    for pixels in pictures[:-1]:
        alone(pixels)
        step.remember(pixels)
    expected, found = alone(pictures[-1]).outputs, step(pictures[-1]).outputs
    assert expected is not None
    assert found is not None
    assert np.array_equal(found["logits"], expected["logits"])
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        step.remember(pictures[0][:3])
    for engine in engines:
        engine.close()


def test_a_hung_engine_is_left_behind_and_the_log_says_so(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    engine = opened(slow)
    slow.hangs.add("keep_warm")
    with pytest.raises(EngineLostError):
        engine.keep_warm()
    caplog.set_level(logging.WARNING)
    engine.close()
    engine.close()
    assert caplog.text.count("what the engine holds is left behind until the process ends") == 1
    left = weakref.ref(engine)
    del engine
    gc.collect()
    assert left() is not None, "a finaliser might call the driver"


def test_closing_that_does_not_return_is_given_up(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    engine = opened(slow)
    slow.hangs.add("close")
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < LONG_S / 2
    assert "closing has not ended within 100 ms" in caplog.text


def test_an_opening_that_does_not_return_is_given_up(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "OPEN_WITHIN_MS", 20.0)

    def hanging() -> Slow:
        slow.over.wait(LONG_S)
        return slow

    with pytest.raises(EngineLostError, match="gpu: the device does not answer: opening has not ended within 20 ms"):
        GuardedEngine("gpu", hanging, 20.0)


def test_what_the_engine_raises_comes_out_as_it_is(slow: Slow) -> None:
    def refusing() -> Slow:
        raise EngineError("no plan")

    with pytest.raises(EngineError, match="no plan"):
        GuardedEngine("gpu", refusing, 20.0)
    engine = opened(slow, PATIENT_MS)
    with pytest.raises(EngineError, match="fed"):
        engine.infer({})
    engine.close()
    assert slow.closed == 1
    with pytest.raises(EngineError, match="closed"):
        engine.infer(engine.input_buffers)


@pytest.mark.parametrize("hangs_at", range(len(SCORES)))
def test_a_frame_that_hangs_is_failed_and_the_fallback_judges_the_next(slow: Slow, hangs_at: int) -> None:
    judged = iter(range(len(SCORES)))

    class Counted(Slow):
        def infer(self, feeds: Any) -> Any:
            if next(judged) == hangs_at:
                slow.over.wait(LONG_S)
            return super().infer(feeds)

    standby = FakeEngine(
        MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), brightness
    )
    engine = FailoverEngine([opened(Counted(), 200.0), standby])
    journal = ListJournal()
    watch(ArraySource(SCORES), line(engine=engine), journal)
    engine.close()
    rest = ["fake (fallback for gpu)"] * (len(SCORES) - hangs_at - 1)
    assert [engine_of(verdict) for verdict in journal.verdicts] == ["gpu"] * hangs_at + [None, *rest]
    assert "a frame has not ended within 300 ms" in str(journal.verdicts[hangs_at].reason)


class Lent:
    """Whatever a call was given."""


def test_nothing_that_a_call_was_given_outlives_it() -> None:
    thread, lent = DeviceThread("test"), Lent()
    alive = weakref.ref(lent)
    assert thread.call(lambda lent=lent: type(lent), PATIENT_MS) is Lent  # type: ignore[misc]
    with pytest.raises(KeyError):
        thread.call(lambda lent=lent: {}[lent], PATIENT_MS)  # type: ignore[misc]
    del lent
    gc.collect()
    thread.call(lambda: None, PATIENT_MS)  # it has let go of what came before when it takes the next
    assert alive() is None
    thread.end()


def test_what_a_call_that_never_returns_was_given_is_kept(slow: Slow) -> None:
    thread, lent = DeviceThread("test"), Lent()
    alive = weakref.ref(lent)
    with pytest.raises(TimeoutError):
        thread.call(lambda lent=lent: slow.over.wait(LONG_S), 20.0)  # type: ignore[misc]
    del lent
    gc.collect()
    assert alive() is not None


def test_an_interrupted_caller_waits_for_what_it_has_lent_and_gets_no_stale_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, done = DeviceThread("test"), threading.Event()
    interruptions: list[type[BaseException]] = []
    outcome = DeviceThread._outcome

    def interrupted(self: DeviceThread, number: int, deadline: float) -> Any:
        if interruptions:
            raise interruptions.pop()
        return outcome(self, number, deadline)

    monkeypatch.setattr(DeviceThread, "_outcome", interrupted)

    def work() -> str:
        time.sleep(0.05)
        done.set()
        return "stale"

    interruptions += [KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt):
        thread.call(work, PATIENT_MS)
    assert done.is_set()
    interruptions += [KeyboardInterrupt, KeyboardInterrupt]  # and again while it waits
    with pytest.raises(KeyboardInterrupt):
        thread.call(work, PATIENT_MS)
    assert thread.call(lambda: "fresh", PATIENT_MS) == "fresh"
    thread.end()
