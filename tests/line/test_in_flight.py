"""Several frames under way: the verdicts are those of one frame after the other, in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cathrt.runtime.alert import Record, RunSummary, StageTimes, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.engines.tensors import page_aligned
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.pipeline import watch
from tests.lines import (
    BUNDLE,
    ArraySource,
    ListJournal,
    Tensors,
    brightness,
    contrast,
    fake_engine,
    line,
    picture,
    remembering,
)

A, B, C, D = picture(0.2), picture(0.4), picture(0.6), picture(0.3, noise=5)
BROKEN = picture(0.9)  # the engine fails on it
UNSTARTED = picture(0.0, noise=3)  # its inference cannot even be started
Item = float | np.ndarray | LostFrame | None


def answer(inputs: Tensors, outputs: Tensors) -> None:
    if inputs["image"].mean() > 0.85:
        raise EngineError("too bright")
    brightness(inputs, outputs)


class Request:
    """Computes when it is waited for, so that buffers that are filled again too early show."""

    def __init__(self, engine: SideBySide) -> None:
        self._engine = engine
        self.input_buffers = {spec.name: page_aligned(spec) for spec in engine.inputs}
        self._outputs = {spec.name: page_aligned(spec) for spec in engine.outputs}

    def start(self) -> None:
        if 0.0 < self.input_buffers["image"].mean() < 0.01:
            raise EngineError("not even started")
        self._engine.running.append(self)
        self._engine.most = max(self._engine.most, len(self._engine.running))

    def wait(self) -> Mapping[str, NDArray[Any]]:
        assert self._engine.running.pop(0) is self
        self._engine.compute(self.input_buffers, self._outputs)
        return self._outputs


class SideBySide(FakeEngine):
    """An engine that computes several inferences at a time. most: as many as were ever under way."""

    def __init__(self, requests: int, compute: Any = answer) -> None:
        super().__init__(fake_engine().inputs, fake_engine().outputs, compute)
        self.compute = compute
        self.running: list[Request] = []
        self.most = 0
        self.requests = tuple(Request(self) for _ in range(requests))


def judged(items: list[Item], engine: FakeEngine, stored: list[Verdict], bundle: Bundle = BUNDLE) -> ListJournal:
    journal = ListJournal({verdict.id: verdict for verdict in stored})
    watch(ArraySource(items), line(engine=FailoverEngine([engine]), bundle=bundle), journal)
    return journal


def became(journal: ListJournal) -> list[Record]:
    """The records in order, without their times."""
    untimed = StageTimes(0.0, 0.0, 0.0, 0.0, 0.0)
    return [
        replace(record, latency_ms=untimed, acquired_ns=None)
        if isinstance(record, Verdict)
        else replace(record, latency_ms={})
        if isinstance(record, RunSummary)
        else record
        for record in journal.records.values()
    ]


ITEMS = st.lists(st.sampled_from([A, A, B, C, D, BROKEN, UNSTARTED, None, "lost", "late"]), max_size=14)


def items_of(drawn: list[Any]) -> list[Item]:
    return [
        LostFrame(index, 0, item, failed=item == "lost") if isinstance(item, str) else item
        for index, item in enumerate(drawn)
    ]


class OneByOne(FakeEngine):
    """As SideBySide, one at a time."""

    def infer(self, feeds: Tensors) -> Tensors:
        if 0.0 < feeds["image"].mean() < 0.01:
            raise EngineError("not even started")
        return super().infer(feeds)


def one_by_one(compute: Any = answer) -> OneByOne:
    return OneByOne(fake_engine().inputs, fake_engine().outputs, compute)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


@given(ITEMS, st.integers(2, 4), st.integers(0, 14), st.sampled_from([(BUNDLE, answer), (remembering(), contrast)]))
@settings(max_examples=150, deadline=None)
def test_the_records_are_those_of_one_frame_after_the_other(
    drawn: list[Any], requests: int, stored: int, model: tuple[Bundle, Any]
) -> None:
    bundle, compute = model
    items = items_of(drawn)
    expected = judged(items, one_by_one(compute), [], bundle)
    found = judged(items, SideBySide(requests, compute), expected.verdicts[:stored], bundle)
    whole = judged(items, SideBySide(requests, compute), [], bundle)
    assert became(whole) == became(expected)
    assert sorted(became(found), key=lambda record: record.id) == sorted(became(expected), key=lambda record: record.id)


@pytest.mark.parametrize("requests", [2, 3, 5])
def test_as_many_frames_are_under_way_as_the_engine_has_requests(requests: int) -> None:
    engine = SideBySide(requests)
    judged([A, B, C, D] * 3, engine, [])
    assert engine.most == requests
    assert not engine.running


def test_the_repeat_of_a_frame_under_way_waits_for_its_verdict() -> None:
    engine = SideBySide(3)
    assert [v.outcome for v in judged([A, A, A, BROKEN, BROKEN, A], engine, []).verdicts] == [
        "MET", "DUPLICATE", "DUPLICATE", "FAILED", "FAILED", "MET",
    ]  # fmt: skip


def test_a_run_that_is_given_up_in_the_middle_leaves_the_engine_fit_for_the_next() -> None:
    class Full(ListJournal):
        def append(self, record: Any) -> None:
            if len(self.records) == 3:
                raise OSError("no space")
            super().append(record)

    class Restarting(Request):
        def start(self) -> None:  # as the port says: what was not waited for is given up
            self._engine.running = [other for other in self._engine.running if other is not self]
            super().start()

        def wait(self) -> Mapping[str, NDArray[Any]]:
            while self._engine.running[0] is not self:
                self._engine.running.pop(0)
            return super().wait()

    engine = SideBySide(3)
    engine.requests = tuple(Restarting(engine) for _ in range(3))
    failover = FailoverEngine([engine])
    with pytest.raises(OSError, match="no space"):
        watch(ArraySource([A, B, C, D] * 2), line(engine=failover), Full())
    assert engine.running
    journal = ListJournal()
    watch(ArraySource([B, C, D, A]), line(engine=failover), journal)
    assert became(journal) == became(judged([B, C, D, A], one_by_one(), []))


def test_with_an_engine_standing_by_frames_are_judged_one_at_a_time() -> None:
    def dies(inputs: Tensors, outputs: Tensors) -> None:
        if inputs["image"].mean() > 0.55:
            raise EngineLostError("fell off the bus")
        answer(inputs, outputs)

    first = SideBySide(3, dies)
    journal = ListJournal()
    watch(ArraySource([A, B, C, D, A]), line(engine=FailoverEngine([first, fake_engine()])), journal)
    assert first.most == 1
    assert [verdict.outcome for verdict in journal.verdicts] == ["MET", "MET", "FAILED", "MET", "MET"]


def test_an_engine_lost_with_several_frames_under_way_fails_each_of_them_and_all_that_follow() -> None:
    def dies(inputs: Tensors, outputs: Tensors) -> None:
        raise EngineLostError("fell off the bus")

    journal = ListJournal()
    watch(ArraySource([A, B, C, D, A]), line(engine=FailoverEngine([SideBySide(3, dies)])), journal)
    assert [verdict.outcome for verdict in journal.verdicts] == ["FAILED"] * 5
    assert all("fell off the bus" in str(verdict.reason) for verdict in journal.verdicts)
