"""Losing a device in the middle of a run: which frames fail, who judges the rest, what the records and alerts say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.alert import Record, Verdict
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError, EngineLostError, SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import CpuFrameStep, FrameStep, NowNs, Stepped
from cathrt.runtime.line import failover
from cathrt.runtime.line.failover import FailoverEngine, open_with_fallback
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.ports import Engine
from tests.lines import (
    BUNDLE,
    MANIFEST,
    ArraySource,
    ListJournal,
    Tensors,
    brightness,
    contrast,
    engine_of,
    finding_of,
    line,
    picture,
    remembering,
    result_of,
)

SCORES = [0.1, 0.7, 0.9, 0.7, 0.1, 0.2]
Answer = Callable[[Tensors, Tensors], None]


class Mortal(FakeEngine):
    """An engine on a device that is lost at its call number `dies_at`, from 0; a frame is one call."""

    def __init__(self, name: str = "gpu", dies_at: int | None = None, answer: Answer = brightness) -> None:
        super().__init__(
            MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), self._judge
        )
        self._name = name
        self._dies_at = dies_at
        self._answer = answer
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
        self._answer(inputs, outputs)


class Warm(Mortal):
    """One that can be kept warm, which counts as a call."""

    def keep_warm(self) -> None:
        self._alive()


class Unprepared(Mortal):
    """An engine that prepares no step for a run while `refusal` is set. prepared: how many it made."""

    def __init__(self, name: str, refusal: Exception | None, dies_at: int | None = None) -> None:
        super().__init__(name, dies_at)
        self.refusal = refusal
        self.prepared = 0

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        if self.refusal is not None:
            raise self.refusal
        self.prepared += 1
        return CpuFrameStep(self, run, specs, now_ns)


class OnDevice(ArraySource):
    """A run whose frames lie on a device."""

    def frames(self) -> Iterator[Frame]:  # type: ignore[override]
        for index in range(len(self.items)):
            yield Frame(object(), index, 0)  # type: ignore[arg-type]


class Noting(Mortal):
    """An engine that notes the frames it is asked to remember. refusal: what that raises, if anything.

    reads_devices: it takes frames on a device, which all show the same.
    """

    def __init__(
        self,
        name: str,
        refusal: Exception | None = None,
        dies_at: int | None = None,
        *,
        reads_devices: bool = False,
    ) -> None:
        super().__init__(name, dies_at, contrast)
        self.refusal, self.reads_devices = refusal, reads_devices
        self.remembered = 0

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        return NotingStep(self, run, specs, now_ns)


class NotingStep(CpuFrameStep):
    def __init__(self, engine: Noting, *how: Any) -> None:
        super().__init__(engine, *how)
        self._noting = engine

    def __call__(self, pixels: Any, grayscale: int = 0) -> Stepped:
        return super().__call__(self._read(pixels), grayscale)

    def remember(self, pixels: Any, grayscale: int = 0) -> None:
        self._noting.remembered += 1
        if self._noting.refusal is not None:
            raise self._noting.refusal
        super().remember(self._read(pixels), grayscale)

    def _read(self, pixels: Any) -> Any:
        return pixels if isinstance(pixels, np.ndarray) or not self._noting.reads_devices else picture(0.5)


def lost(name: str) -> EngineLostError:
    return EngineLostError(f"{name}: the device is lost: it fell off the bus")


def short(name: str) -> EngineError:
    return EngineError(f"{name}: cuMemAlloc ended with CUDA_ERROR_OUT_OF_MEMORY")


def judged(
    engine: Engine,
    scores: Sequence[float | LostFrame] = SCORES,
    bundle: Bundle = BUNDLE,
    stored: Sequence[Record] = (),
    source: type[ArraySource] = ArraySource,
) -> ListJournal:
    """The journal of a pass. stored: what it held before."""
    journal = ListJournal({record.id: record for record in stored})
    watch(source(scores), line(engine=engine, bundle=bundle), journal)
    return journal


@pytest.mark.parametrize("dies_at", range(len(SCORES) + 1))
def test_a_device_lost_at_any_frame_costs_that_frame_and_the_fallback_judges_the_rest(dies_at: int) -> None:
    journal = judged(FailoverEngine([Mortal(dies_at=dies_at), Mortal("cpu")]))
    assert [verdict.frame_index for verdict in journal.verdicts] == list(range(len(SCORES)))
    for verdict in journal.verdicts:
        if verdict.frame_index == dies_at:
            assert (verdict.outcome, finding_of(verdict), engine_of(verdict)) == ("FAILED", None, None)
            reason = "EngineLostError: gpu: the device is lost: it fell off the bus; cpu takes over with the next frame"
            assert verdict.reason == reason
        else:
            expected = "gpu" if verdict.frame_index < dies_at else "cpu (fallback for gpu)"
            assert (verdict.outcome, engine_of(verdict)) == ("MET", expected)
    (summary,) = journal.summaries
    assert summary.verdicts["FAILED"] == (dies_at < len(SCORES))
    assert sum(summary.verdicts.values()) == len(SCORES)


@pytest.mark.parametrize("dies_at", range(len(SCORES) + 1))
def test_without_a_fallback_every_later_frame_fails_with_the_reason(dies_at: int) -> None:
    engine = FailoverEngine([Mortal(dies_at=dies_at)])
    journal = judged(engine)
    assert len(journal.verdicts) == len(SCORES)
    for verdict in journal.verdicts[:dies_at]:
        assert (verdict.outcome, engine_of(verdict)) == ("MET", "gpu")
    for verdict in journal.verdicts[dies_at:]:
        assert (verdict.outcome, engine_of(verdict)) == ("FAILED", None)
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
    assert result_of(mixed).engine == "gpu, cpu (fallback for gpu)"
    (nothing,) = judged(FailoverEngine([Mortal(dies_at=0)])).summaries
    assert result_of(nothing).engine == "gpu"


def test_both_lost_leaves_every_frame_accounted_for() -> None:
    engine = FailoverEngine([Mortal(dies_at=1), Mortal("cpu", dies_at=2)])
    journal = judged(engine)
    assert [v.outcome for v in journal.verdicts] == ["MET", "FAILED", "MET", "MET", "FAILED", "FAILED"]
    with pytest.raises(EngineLostError, match="cpu: the device is lost"):
        engine.require_alive()


def test_the_next_run_begins_on_the_fallback_and_is_another_pass() -> None:
    engine = FailoverEngine([Mortal(dies_at=2), Mortal("cpu")])
    first, second = judged(engine), judged(engine)
    assert {engine_of(verdict) for verdict in second.verdicts} == {"cpu (fallback for gpu)"}
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
    journal = judged(
        FailoverEngine(
            [
                FakeEngine(
                    MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), failing
                ),
                standby,
            ]
        )
    )
    assert [v.outcome for v in journal.verdicts] == ["MET", "MET", "FAILED", "MET", "MET", "MET"]
    assert standby.calls == 0


def test_it_infers_and_closes_as_one_engine() -> None:
    gpu, cpu = Mortal(dies_at=1), Mortal("cpu")
    engine = FailoverEngine([gpu, cpu])
    assert (engine.name, engine.inputs, engine.outputs) == (
        "gpu",
        MANIFEST.network(CLASSIFIER).input_specs(),
        MANIFEST.network(CLASSIFIER).output_specs(),
    )
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
    assert {(v.outcome, engine_of(v)) for v in judged(engine).verdicts} == {("MET", "cpu (fallback for gpu)")}


def test_a_loss_noticed_while_keeping_warm_in_mid_run_costs_no_frame() -> None:
    gpu = Warm(dies_at=3)
    engine = FailoverEngine([gpu, Mortal("cpu")])

    class Pausing(ListJournal):
        def append(self, record: Record) -> None:
            super().append(record)
            if not isinstance(record, Verdict):
                return
            engine.keep_warm()  # the pause after each frame

    journal = Pausing()
    watch(ArraySource(SCORES), line(engine=engine), journal)
    assert {verdict.outcome for verdict in journal.verdicts} == {"MET"}
    assert [engine_of(verdict) for verdict in journal.verdicts] == ["gpu"] * 2 + ["cpu (fallback for gpu)"] * 4


def test_a_loss_while_keeping_warm_after_all_standbys_were_lost_ends_the_line() -> None:
    engine = FailoverEngine([Warm(dies_at=len(SCORES)), Unprepared("standby", lost("standby"))])
    assert {engine_of(v) for v in judged(engine).verdicts} == {"gpu"}
    engine.keep_warm()
    assert not engine.can_keep_warm
    with pytest.raises(EngineLostError, match=r"gpu: the device is lost.*no engine is left"):
        engine.require_alive()
    assert {v.outcome for v in judged(engine).verdicts} == {"FAILED"}


def test_a_frame_on_a_device_is_refused_by_an_engine_on_the_cpu_with_the_reason() -> None:
    journal = judged(Mortal("cpu"), source=OnDevice)
    assert {verdict.outcome for verdict in journal.verdicts} == {"FAILED"}
    assert "pixels are object, which cpu cannot read: expected an array in host memory" in str(
        journal.verdicts[0].reason
    )


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


@pytest.mark.parametrize("refusal", [lost("standby"), short("standby"), SourceError("too wide for it")], ids=repr)
def test_a_standby_that_cannot_prepare_for_a_run_leaves_the_first_engine_alone(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FailoverEngine([Mortal("gpu"), Unprepared("standby", refusal)])
    journal = judged(engine)
    assert {(v.outcome, engine_of(v)) for v in journal.verdicts} == {("MET", "gpu")}
    assert result_of(journal.summaries[0]).engine == engine.name == "gpu"
    assert "standby" in caplog.text
    assert str(refusal) in caplog.text
    assert "gpu is lost" not in caplog.text
    engine.require_alive()


def test_after_a_lost_standby_the_next_one_takes_over_under_its_own_name() -> None:
    cpu = Mortal("cpu")
    engine = FailoverEngine([Mortal("gpu", dies_at=2), Unprepared("standby", lost("standby")), cpu])
    journal = judged(engine)
    assert [engine_of(v) for v in journal.verdicts] == ["gpu"] * 2 + [None] + ["cpu (fallback for gpu)"] * 3
    assert "fell off the bus; cpu takes over" in str(journal.verdicts[2].reason)
    assert cpu.calls == 3


def test_with_all_standbys_lost_the_first_engine_goes_on_and_its_own_loss_ends_the_line() -> None:
    standbys = [Unprepared("one", lost("one")), Unprepared("two", lost("two"))]
    engine = FailoverEngine([Mortal("gpu", dies_at=3), *standbys])
    journal = judged(engine)
    assert [v.outcome for v in journal.verdicts] == ["MET"] * 3 + ["FAILED"] * 3
    assert {engine_of(v) for v in journal.verdicts[:3]} == {"gpu"}
    with pytest.raises(EngineLostError, match=r"gpu: the device is lost.*no engine is left"):
        engine.require_alive()
    assert engine.name == "gpu"


@pytest.mark.parametrize("order", list(permutations(["gpu", "standby", "cpu"])), ids=lambda order: " ".join(order))
def test_engines_may_be_lost_in_any_order_and_each_loss_strikes_off_its_own(
    order: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    engines = {name: Unprepared(name, None) for name in ("gpu", "standby", "cpu")}
    engine = FailoverEngine(list(engines.values()))
    names = {"gpu": "gpu", "standby": "standby (fallback for gpu)", "cpu": "cpu (fallback for gpu)"}
    for name in order:
        left = [n for n in engines if engines[n].refusal is None]
        assert {engine_of(v) for v in judged(engine).verdicts} == {names[left[0]]}
        assert engine.name == names[left[0]]
        engines[name].refusal = lost(name)
        caplog.clear()
        judged(engine)
        (told,) = (record.message for record in caplog.records if record.name == failover.__name__)
        assert told.startswith(f"engine {name} is lost: {name}: the device is lost")
    assert {v.outcome for v in judged(engine).verdicts} == {"FAILED"}


def test_an_engine_without_memory_for_a_run_lets_the_fallback_judge_it_and_judges_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu = Unprepared("gpu", short("gpu"))
    engine = FailoverEngine([gpu, Mortal("cpu")])
    assert {(v.outcome, engine_of(v)) for v in judged(engine).verdicts} == {("MET", "cpu (fallback for gpu)")}
    assert "engine gpu cannot judge array, another one must: gpu: cuMemAlloc" in caplog.text
    gpu.refusal = None
    assert {(v.outcome, engine_of(v)) for v in judged(engine).verdicts} == {("MET", "gpu")}


def test_a_run_that_no_engine_can_prepare_for_ends_with_the_first_one_s_error() -> None:
    engine = FailoverEngine([Unprepared("gpu", short("gpu")), Unprepared("cpu", short("cpu"))])
    with pytest.raises(EngineError, match=r"^gpu: cuMemAlloc"):
        judged(engine)
    engine.require_alive()


def test_a_standby_without_memory_is_asked_again_when_it_is_needed() -> None:
    standby = Unprepared("standby", short("standby"))

    class Dying(Mortal):
        def _alive(self) -> None:
            if self.calls == 1:
                standby.refusal = None  # its own memory comes back with it
            super()._alive()

    journal = judged(FailoverEngine([Dying("gpu", dies_at=2), standby]))
    assert [v.outcome for v in journal.verdicts] == ["MET", "MET", "FAILED", "MET", "MET", "MET"]
    assert engine_of(journal.verdicts[-1]) == "standby (fallback for gpu)"


def test_while_a_standby_still_has_no_memory_its_frames_fail_with_that_reason() -> None:
    standby = Unprepared("standby", short("standby"))
    engine = FailoverEngine([Mortal("gpu", dies_at=1), standby])
    journal = judged(engine)
    assert [v.outcome for v in journal.verdicts] == ["MET"] + ["FAILED"] * 5
    assert all("standby: cuMemAlloc" in str(v.reason) for v in journal.verdicts[2:])
    standby.refusal = None
    assert {v.outcome for v in judged(engine).verdicts} == {"MET"}


def test_an_engine_lost_between_two_runs_is_no_part_of_the_second() -> None:
    gpu, standby = Warm("gpu", dies_at=len(SCORES)), Unprepared("standby", None)
    engine = FailoverEngine([gpu, standby])
    judged(engine)
    engine.keep_warm()
    assert {engine_of(v) for v in judged(engine).verdicts} == {"standby (fallback for gpu)"}
    assert standby.prepared == 2


def test_a_pass_is_named_for_the_engine_that_is_left_after_the_steps_were_made() -> None:
    gpu = Unprepared("gpu", None)
    engine = FailoverEngine([gpu, Mortal("cpu")])
    healthy = judged(engine)
    gpu.refusal = lost("gpu")
    on_cpu = judged(engine)
    assert {v.pass_id for v in on_cpu.verdicts}.isdisjoint(v.pass_id for v in healthy.verdicts)
    assert {v.pass_id for v in on_cpu.verdicts} == {v.pass_id for v in judged(engine).verdicts}


REMEMBERING = remembering()


def scores_of(journal: ListJournal) -> list[float | None]:
    found = [finding_of(verdict) for verdict in sorted(journal.verdicts, key=lambda v: v.frame_index)]
    return [None if finding is None else finding.score for finding in found]


def gaps(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings of frames that an engine has not seen."""
    return [record.message for record in caplog.records if "has not seen every frame of" in record.message]


@pytest.mark.parametrize("dies_at", range(len(SCORES)))
def test_an_engine_that_takes_over_knows_what_the_run_showed_before(
    dies_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    alone = scores_of(judged(Mortal(answer=contrast), bundle=REMEMBERING))
    assert len(set(alone)) == len(SCORES), "else this test would show nothing"
    engine = FailoverEngine([Mortal(dies_at=dies_at, answer=contrast), Mortal("cpu", answer=contrast)])
    journal = judged(engine, bundle=REMEMBERING)
    assert scores_of(journal) == [*alone[:dies_at], None, *alone[dies_at + 1 :]]
    assert {engine_of(v) for v in journal.verdicts[dies_at + 1 :]} <= {"cpu (fallback for gpu)"}
    assert gaps(caplog) == []


def test_the_third_engine_knows_it_as_well_and_the_next_run_begins_afresh() -> None:
    alone = scores_of(judged(Mortal(answer=contrast), bundle=REMEMBERING))
    first = Mortal(dies_at=1, answer=contrast)
    engine = FailoverEngine([first, Mortal("standby", dies_at=2, answer=contrast), Mortal("cpu", answer=contrast)])
    taken_over = judged(engine, bundle=REMEMBERING)
    assert scores_of(taken_over) == [alone[0], None, *alone[2:4], None, alone[5]]
    assert scores_of(judged(engine, bundle=REMEMBERING)) == alone


def test_a_frame_that_the_engine_in_force_merely_fails_on_is_part_of_every_history() -> None:
    def failing_on_white(inputs: Tensors, outputs: Tensors) -> None:
        if inputs["image"][0, 0].mean() > 0.8:
            raise EngineError("this one frame")
        contrast(inputs, outputs)

    alone = scores_of(judged(Mortal(answer=contrast), bundle=REMEMBERING))
    engine = FailoverEngine([Mortal(dies_at=4, answer=failing_on_white), Mortal("cpu", answer=contrast)])
    assert scores_of(judged(engine, bundle=REMEMBERING)) == [*alone[:2], None, alone[3], None, alone[5]]


@pytest.mark.parametrize("stored", range(len(SCORES)))
def test_a_pass_taken_up_is_remembered_by_the_engine_in_force_and_by_its_standby(stored: int) -> None:
    whole = judged(FailoverEngine([Mortal(answer=contrast), Mortal("cpu", answer=contrast)]), bundle=REMEMBERING)
    engine = FailoverEngine([Mortal(dies_at=1, answer=contrast), Mortal("cpu", answer=contrast)])
    cut = scores_of(judged(engine, bundle=REMEMBERING, stored=whole.verdicts[:stored]))
    expected = scores_of(whole)
    if stored + 1 < len(SCORES):
        expected[stored + 1] = None  # on which the first engine is lost
    assert cut == expected


def test_a_standby_that_cannot_read_the_frames_is_warned_of_once_in_a_run(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        caplog.clear()
        engine = FailoverEngine([Noting("gpu", dies_at=4, reads_devices=True), Mortal("one"), Mortal("two")])
        journal = judged(engine, bundle=REMEMBERING, source=OnDevice)
        assert [v.outcome for v in journal.verdicts] == ["MET"] * 4 + ["FAILED"] * 2
        assert "pixels are object, which one cannot read" in str(journal.verdicts[-1].reason)
        assert gaps(caplog) == [
            f"{name} has not seen every frame of array: pixels are object, which {name} cannot read: expected an array "
            "in host memory; frames on a device need an engine on that device"
            for name in ("one", "two")
        ]


@pytest.mark.parametrize("refusal", [short("standby"), TypeError("neither"), ValueError("no frame")], ids=repr)
def test_a_standby_that_cannot_remember_stands_by_nevertheless(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    standby = Noting("standby", refusal)
    journal = judged(FailoverEngine([Mortal(dies_at=3, answer=contrast), standby]), bundle=REMEMBERING)
    assert [engine_of(v) for v in journal.verdicts] == ["gpu"] * 3 + [None] + ["standby (fallback for gpu)"] * 2
    assert standby.remembered == 4
    assert gaps(caplog) == [f"standby has not seen every frame of array: {refusal}"]


def test_a_standby_that_is_lost_while_it_remembers_is_struck_off_and_costs_no_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    standby, cpu = Noting("standby", lost("standby")), Mortal("cpu", answer=contrast)
    engine = FailoverEngine([Mortal("gpu", dies_at=2, answer=contrast), standby, cpu])
    journal = judged(engine, bundle=REMEMBERING)
    assert [engine_of(v) for v in journal.verdicts] == ["gpu"] * 2 + [None] + ["cpu (fallback for gpu)"] * 3
    assert standby.remembered == 1
    assert caplog.text.count("engine standby is lost") == 1
    assert "gpu goes on, engines still standing by: cpu" in caplog.text
    assert gaps(caplog) == []


def test_all_engines_may_be_lost_on_one_frame() -> None:
    standby = Noting("standby")
    engine = FailoverEngine([Mortal("gpu", dies_at=1, answer=contrast), standby])

    class Pausing(ListJournal):
        def append(self, record: Record) -> None:
            super().append(record)
            if isinstance(record, Verdict):
                standby.refusal = lost("standby")

    journal = Pausing()
    watch(ArraySource(SCORES), line(engine=engine, bundle=REMEMBERING), journal)
    assert [v.outcome for v in journal.verdicts] == ["MET"] + ["FAILED"] * 5
    with pytest.raises(EngineLostError, match="no engine is left"):
        engine.require_alive()


def test_the_engine_in_force_lost_while_it_remembers_stored_frames_costs_no_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = judged(FailoverEngine([Mortal(answer=contrast), Mortal("cpu", answer=contrast)]), bundle=REMEMBERING)
    gpu = Noting("gpu", lost("gpu"))
    engine = FailoverEngine([gpu, Mortal("cpu", answer=contrast)])
    cut = judged(engine, bundle=REMEMBERING, stored=whole.verdicts[:3])
    assert scores_of(cut) == scores_of(whole)
    assert [engine_of(v) for v in cut.verdicts] == ["gpu"] * 3 + ["cpu (fallback for gpu)"] * 3
    assert gpu.remembered == 1
    assert gaps(caplog) == []


def test_with_every_engine_lost_stored_verdicts_stand_and_one_warning_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = judged(FailoverEngine([Mortal(answer=contrast)]), bundle=REMEMBERING)
    caplog.clear()
    cut = judged(FailoverEngine([Noting("gpu", lost("gpu"))]), bundle=REMEMBERING, stored=whole.verdicts[:4])
    assert [v.outcome for v in cut.verdicts] == ["MET"] * 4 + ["FAILED"] * 2
    (told,) = gaps(caplog)
    assert "no engine is left" in told


def test_without_a_history_no_engine_is_asked_to_remember_anything() -> None:
    whole = judged(FailoverEngine([Mortal(), Mortal("cpu")]))
    gpu, standby = Noting("gpu", lost("gpu")), Noting("standby", lost("standby"))
    cut = judged(FailoverEngine([gpu, standby]), stored=whole.verdicts[:3])
    assert {v.outcome for v in cut.verdicts} == {"MET"}
    assert (gpu.remembered, standby.remembered) == (0, 0)


def test_an_engine_that_prepares_only_in_mid_run_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    standby = Unprepared("standby", short("standby"))
    engine = FailoverEngine([Mortal("gpu", dies_at=1, answer=contrast), standby])

    class Pausing(ListJournal):
        def append(self, record: Record) -> None:
            super().append(record)
            if isinstance(record, Verdict) and record.outcome == "FAILED":
                standby.refusal = None

    journal = Pausing()
    watch(ArraySource(SCORES), line(engine=engine, bundle=REMEMBERING), journal)
    assert [v.outcome for v in journal.verdicts] == ["MET", "FAILED"] + ["MET"] * 4
    assert gaps(caplog) == ["standby has not seen every frame of array: it could not prepare for the run before"]


def test_a_standby_for_a_missing_engine_bears_that_engine_s_name_to_the_end() -> None:
    engine = FailoverEngine([Mortal("a", dies_at=1), Mortal("b")], instead_of="tensorrt")
    names = [engine_of(v) for v in judged(engine).verdicts]
    assert names == ["a (fallback for tensorrt)", None] + ["b (fallback for tensorrt)"] * 4


def test_an_engine_that_does_not_close_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Mortal):
        def close(self) -> None:
            raise EngineLostError("gpu: nothing answers")

    cpu = Mortal("cpu")
    FailoverEngine([Stuck("gpu"), cpu]).close()
    assert cpu.closed == 1
    assert "engine gpu did not close cleanly: gpu: nothing answers" in caplog.text


Openers = dict[str, Callable[[], Engine]]


@pytest.fixture
def openers(monkeypatch: pytest.MonkeyPatch) -> Openers:
    made: Openers = {}
    monkeypatch.setattr(failover, "open_engine", lambda name, bundle, role, config, **_: made[name]())
    return made


def missing() -> Engine:
    raise EngineError("no NVIDIA driver")


def test_a_missing_gpu_stops_the_start_unless_a_fallback_is_named(openers: Openers) -> None:
    openers.update(tensorrt=missing, openvino=lambda: Mortal("openvino"))
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_with_fallback(BUNDLE, CLASSIFIER, EngineConfig("tensorrt"))


def test_a_named_fallback_stands_in_for_a_missing_gpu_aloud(openers: Openers, caplog: pytest.LogCaptureFixture) -> None:
    openers.update(tensorrt=missing, openvino=lambda: Mortal("openvino"))
    engine = open_with_fallback(BUNDLE, CLASSIFIER, EngineConfig("tensorrt", fallback="openvino"))
    assert engine.name == "openvino (fallback for tensorrt)"
    assert "tensorrt cannot be opened, openvino stands in for it: no NVIDIA driver" in caplog.text
    assert {engine_of(verdict) for verdict in judged(engine).verdicts} == {"openvino (fallback for tensorrt)"}


def test_a_fallback_that_cannot_be_opened_stops_the_start_and_closes_the_first(openers: Openers) -> None:
    gpu = Mortal("tensorrt")
    openers.update(tensorrt=lambda: gpu, openvino=missing)
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_with_fallback(BUNDLE, CLASSIFIER, EngineConfig("tensorrt", fallback="openvino"))
    assert gpu.closed == 1


def test_the_line_ends_with_the_engine_s_error_after_everything_was_journalled(openers: Openers) -> None:
    gpu = Mortal("tensorrt", dies_at=2)
    openers.update(tensorrt=lambda: gpu)
    journal = ListJournal()
    with pytest.raises(EngineLostError, match="fell off the bus"):
        with opened_line([BUNDLE], replace(Config(), engine=EngineConfig("tensorrt")), "max") as opened:
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
        with opened_line([BUNDLE], replace(Config(), engine=config), "realtime") as opened:
            assert (opened.keep_warm is not None) is kept


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
