"""Losing a device in the middle of a run: which frames fail, who judges the rest, what the records and alerts say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from cathrt.runtime import failover
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.failover import FailoverEngine, open_with_fallback
from cathrt.runtime.pipeline import watch
from cathrt.runtime.ports import Engine
from cathrt.runtime.replay import opened_line
from tests.lines import BUNDLE, MANIFEST, ArraySource, ListJournal, Tensors, brightness, line

SCORES = [0.1, 0.3, 0.9, 0.2, 0.1, 0.2]


class Mortal(FakeEngine):
    """An engine on a device that is lost at its call number `dies_at`, from 0; a frame is one call."""

    def __init__(self, name: str = "gpu", dies_at: int | None = None) -> None:
        super().__init__(MANIFEST.inputs, MANIFEST.outputs, self._judge)
        self._name = name
        self._dies_at = dies_at
        self.calls = 0
        self.closed = 0

    @property
    def name(self) -> str:
        return self._name

    def close(self) -> None:
        self.closed += 1
        super().close()

    def _alive(self) -> None:
        if self._dies_at is not None and self.calls >= self._dies_at:
            raise EngineLostError(f"{self._name}: the device is lost: it fell off the bus")
        self.calls += 1

    def _judge(self, inputs: Tensors, outputs: Tensors) -> None:
        self._alive()
        brightness(inputs, outputs)


class Warm(Mortal):
    """One that can be kept warm, which counts as a call."""

    def keep_warm(self) -> None:
        self._alive()


def judged(engine: Engine, scores: list[float] = SCORES) -> ListJournal:
    journal = ListJournal()
    watch(ArraySource(scores), line(engine=engine), journal)
    return journal


@pytest.mark.parametrize("dies_at", range(len(SCORES) + 1))
def test_a_device_lost_at_any_frame_costs_that_frame_and_the_fallback_judges_the_rest(dies_at: int) -> None:
    journal = judged(FailoverEngine([Mortal(dies_at=dies_at), Mortal("cpu")]))
    assert [verdict.frame_index for verdict in journal.verdicts] == list(range(len(SCORES)))
    for verdict in journal.verdicts:
        if verdict.frame_index == dies_at:
            assert (verdict.outcome, verdict.finding, verdict.engine) == ("FAILED", None, None)
            reason = "EngineLostError: gpu: the device is lost: it fell off the bus; cpu takes over with the next frame"
            assert verdict.reason == reason
        else:
            expected = "gpu" if verdict.frame_index < dies_at else "cpu (fallback for gpu)"
            assert (verdict.outcome, verdict.engine) == ("MET", expected)
    (summary,) = journal.summaries
    assert summary.verdicts["FAILED"] == (dies_at < len(SCORES))
    assert sum(summary.verdicts.values()) == len(SCORES)


@pytest.mark.parametrize("dies_at", range(len(SCORES) + 1))
def test_without_a_fallback_every_later_frame_fails_with_the_reason(dies_at: int) -> None:
    engine = FailoverEngine([Mortal(dies_at=dies_at)])
    journal = judged(engine)
    assert len(journal.verdicts) == len(SCORES)
    for verdict in journal.verdicts[:dies_at]:
        assert (verdict.outcome, verdict.engine) == ("MET", "gpu")
    for verdict in journal.verdicts[dies_at:]:
        assert (verdict.outcome, verdict.engine) == ("FAILED", None)
        assert "it fell off the bus; no engine is left" in str(verdict.reason)
        assert "engine.fallback" in str(verdict.reason)
    if dies_at < len(SCORES):
        with pytest.raises(EngineLostError, match="fell off the bus") as caught:
            engine.require_alive()
        assert caught.value.exit_code == EngineError.exit_code
    else:
        engine.require_alive()


def test_every_alert_names_the_engine_that_judged_its_frame() -> None:
    journal = judged(FailoverEngine([Mortal(dies_at=1), Mortal("cpu")]))
    assert [(alert.frame_index, alert.engine) for alert in journal.alerts] == [(2, "cpu (fallback for gpu)")]
    assert [(alert.frame_index, alert.engine) for alert in judged(Mortal()).alerts] == [(2, "gpu")]


def test_the_summary_names_the_engines_in_the_order_in_which_they_judged() -> None:
    (mixed,) = judged(FailoverEngine([Mortal(dies_at=3), Mortal("cpu")])).summaries
    assert mixed.engine == "gpu, cpu (fallback for gpu)"
    (nothing,) = judged(FailoverEngine([Mortal(dies_at=0)])).summaries
    assert nothing.engine == "gpu"


def test_both_lost_leaves_every_frame_accounted_for() -> None:
    engine = FailoverEngine([Mortal(dies_at=1), Mortal("cpu", dies_at=2)])
    journal = judged(engine)
    assert [v.outcome for v in journal.verdicts] == ["MET", "FAILED", "MET", "MET", "FAILED", "FAILED"]
    with pytest.raises(EngineLostError, match="cpu: the device is lost"):
        engine.require_alive()


def test_the_next_run_begins_on_the_fallback_and_is_another_pass() -> None:
    engine = FailoverEngine([Mortal(dies_at=2), Mortal("cpu")])
    first, second = judged(engine), judged(engine)
    assert {verdict.engine for verdict in second.verdicts} == {"cpu (fallback for gpu)"}
    assert not {v.pass_id for v in first.verdicts} & {v.pass_id for v in second.verdicts}


def test_a_loss_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    judged(FailoverEngine([Mortal(dies_at=2), Mortal("cpu")]))
    assert "engine gpu is lost: gpu: the device is lost: it fell off the bus; cpu takes over" in caplog.text


def test_an_engine_that_merely_fails_on_a_frame_stays() -> None:
    def failing(inputs: Tensors, outputs: Tensors) -> None:
        if inputs["image"].mean() > 0.8:
            raise EngineError("this one frame")
        brightness(inputs, outputs)

    standby = Mortal("cpu")
    journal = judged(FailoverEngine([FakeEngine(MANIFEST.inputs, MANIFEST.outputs, failing), standby]))
    assert [v.outcome for v in journal.verdicts] == ["MET", "MET", "FAILED", "MET", "MET", "MET"]
    assert standby.calls == 0


def test_it_infers_and_closes_as_one_engine() -> None:
    gpu, cpu = Mortal(dies_at=1), Mortal("cpu")
    engine = FailoverEngine([gpu, cpu])
    assert (engine.name, engine.inputs, engine.outputs) == ("gpu", MANIFEST.inputs, MANIFEST.outputs)
    feeds = dict(engine.input_buffers)
    engine.infer(feeds)
    with pytest.raises(EngineLostError, match="cpu takes over"):
        engine.infer(feeds)
    assert engine.infer(feeds)["logits"].shape == (1, 6), "the lost engine's buffers are still good feeds"
    assert engine.name == "cpu (fallback for gpu)"
    engine.close()
    assert (gpu.closed, cpu.closed) == (1, 1)


def test_a_loss_noticed_while_keeping_warm_costs_no_frame(caplog: pytest.LogCaptureFixture) -> None:
    engine = FailoverEngine([Warm(dies_at=1), Mortal("cpu")])
    assert engine.can_keep_warm
    engine.keep_warm()
    engine.keep_warm()
    assert "gpu is lost" in caplog.text
    assert not engine.can_keep_warm, "the CPU's engine needs none"
    engine.keep_warm()
    assert {(v.outcome, v.engine) for v in judged(engine).verdicts} == {("MET", "cpu (fallback for gpu)")}


def test_a_loss_noticed_while_keeping_warm_in_mid_run_costs_no_frame() -> None:
    gpu = Warm(dies_at=3)
    engine = FailoverEngine([gpu, Mortal("cpu")])

    class Pausing(ListJournal):
        def append(self, record: object) -> None:
            super().append(record)  # type: ignore[arg-type]
            engine.keep_warm()  # the pause after each frame

    journal = Pausing()
    watch(ArraySource(SCORES), line(engine=engine), journal)
    assert {verdict.outcome for verdict in journal.verdicts} == {"MET"}
    assert [verdict.engine for verdict in journal.verdicts] == ["gpu"] * 2 + ["cpu (fallback for gpu)"] * 4


def test_an_engine_lost_for_good_is_not_kept_warm() -> None:
    engine = FailoverEngine([Warm(dies_at=0)])
    engine.keep_warm()
    assert not engine.can_keep_warm
    engine.keep_warm()
    with pytest.raises(EngineLostError):
        engine.require_alive()


def test_an_engine_that_cannot_be_kept_warm_is_left_in_peace_after_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Cold(Warm):
        def keep_warm(self) -> None:
            self.calls += 1
            raise EngineError("no")

    gpu = Cold()
    engine = FailoverEngine([gpu])
    for _ in range(3):
        engine.keep_warm()
    assert gpu.calls == 1
    assert caplog.text.count("cannot be kept warm") == 1


def test_a_standby_that_rests_badly_is_kept_warm_whatever_became_of_the_first() -> None:
    class Cold(Warm):
        def keep_warm(self) -> None:
            raise EngineError("no")

    standby = Warm("other gpu")
    engine = FailoverEngine([Cold(dies_at=0), standby])
    engine.keep_warm()
    assert not engine.can_keep_warm
    judged(engine, [0.1])
    engine.keep_warm()
    assert standby.calls == 1


Openers = dict[str, Callable[[], Engine]]


@pytest.fixture
def openers(monkeypatch: pytest.MonkeyPatch) -> Openers:
    made: Openers = {}
    monkeypatch.setattr(failover, "open_engine", lambda name, bundle, config: made[name]())
    return made


def missing() -> Engine:
    raise EngineError("no NVIDIA driver")


def test_a_missing_gpu_stops_the_start_unless_a_fallback_is_named(openers: Openers) -> None:
    openers.update(tensorrt=missing, openvino=lambda: Mortal("openvino"))
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_with_fallback(BUNDLE, EngineConfig("tensorrt"))


def test_a_named_fallback_stands_in_for_a_missing_gpu_aloud(openers: Openers, caplog: pytest.LogCaptureFixture) -> None:
    openers.update(tensorrt=missing, openvino=lambda: Mortal("openvino"))
    engine = open_with_fallback(BUNDLE, EngineConfig("tensorrt", fallback="openvino"))
    assert engine.name == "openvino (fallback for tensorrt)"
    assert "tensorrt cannot be opened, openvino stands in for it: no NVIDIA driver" in caplog.text
    assert {verdict.engine for verdict in judged(engine).verdicts} == {"openvino (fallback for tensorrt)"}


def test_a_fallback_that_cannot_be_opened_stops_the_start_and_closes_the_first(openers: Openers) -> None:
    gpu = Mortal("tensorrt")
    openers.update(tensorrt=lambda: gpu, openvino=missing)
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_with_fallback(BUNDLE, EngineConfig("tensorrt", fallback="openvino"))
    assert gpu.closed == 1


def test_the_line_ends_with_the_engine_s_error_after_everything_was_journalled(openers: Openers) -> None:
    gpu = Mortal("tensorrt", dies_at=2)
    openers.update(tensorrt=lambda: gpu)
    journal = ListJournal()
    with pytest.raises(EngineLostError, match="fell off the bus"):
        with opened_line(BUNDLE, replace(Config(), engine=EngineConfig("tensorrt")), "max") as opened:
            watch(ArraySource(SCORES), opened, journal)
    assert len(journal.verdicts) == len(SCORES)
    assert journal.summaries
    assert gpu.closed == 1


def test_only_an_engine_that_rests_badly_gets_a_line_that_keeps_it_warm(openers: Openers) -> None:
    openers.update(gpu=Warm, cpu=lambda: Mortal("cpu"))
    for config, kept in {
        EngineConfig("gpu"): True,
        EngineConfig("gpu", keep_warm_ms=0.0): False,
        EngineConfig("cpu"): False,
    }.items():
        with opened_line(BUNDLE, replace(Config(), engine=config), "realtime") as opened:
            assert (opened.keep_warm is not None) is kept


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
