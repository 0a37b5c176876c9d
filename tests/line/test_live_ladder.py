"""The ladder of a live source: which rung judges after each kind of trouble, how soon, and how it comes back."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from cathrt.runtime.alert import EngineChange, Verdict
from cathrt.runtime.config import LadderConfig
from cathrt.runtime.errors import EngineError
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.line.heat import Heat
from cathrt.runtime.line.ladder_place import MOST_LEFT_BEHIND
from cathrt.runtime.models import record_parts
from tests.line.ladders import CONFIG, PERIOD_S, SMALL, Bench
from tests.lines import BUNDLE, engine_of

SWITCH_S = 1.0


def switched_within(bench: Bench, after_ns: int) -> float:
    """Seconds from that moment to the newest change, by the record and by the clock."""
    change = bench.changes[-1]
    assert change.took_ms <= 1e3 * SWITCH_S, change
    return (bench.clock.now - after_ns) / 1e9


def test_at_the_start_it_says_what_judges() -> None:
    bench = Bench("gpu", "cpu")
    assert bench.told == [("started", "start", "gpu")]
    (change,) = bench.changes
    assert (change.rung, change.rungs, change.live_ai, change.from_engine) == (0, 2, True, None)
    assert record_from_body(body_from_record(change), record_parts()) == change


def test_an_engine_that_could_not_be_opened_leaves_the_next_rung_to_judge_and_comes_back() -> None:
    bench = Bench("gpu", "cpu", unopened=("gpu",))
    assert bench.told == [("down", "start", "cpu")]
    bench.run(3)
    assert {engine_of(verdict) for verdict in bench.journal.verdicts} == {"cpu (fallback for gpu)"}
    bench.rest(9.5)
    assert bench.told[-1] == ("up", "healthy", "gpu")


@pytest.mark.parametrize("trouble", ["lose", "hang"])
def test_a_lost_or_hung_engine_is_replaced_within_a_second_and_costs_one_frame(trouble: str) -> None:
    bench = Bench("gpu", "cpu")
    began: list[int] = []

    def strike() -> None:
        began.append(bench.clock.now)
        getattr(bench.engines["gpu"], trouble)()

    bench.run(30, {10: strike})
    change = bench.changes[-1]
    assert (change.what, change.reason) == ("down", "lost" if trouble == "lose" else "hung")
    assert change.took_ms <= 1e3 * SWITCH_S
    outcomes = [verdict.outcome for verdict in bench.journal.verdicts]
    assert outcomes.count("FAILED") == 1
    assert outcomes.index("FAILED") == 10
    assert len(outcomes) == 30
    assert engine_of(bench.journal.verdicts[11]) == "cpu (fallback for gpu)"
    records = list(bench.journal.records.values())
    place = records.index(change)
    assert isinstance(records[place - 1], Verdict), "the frame that failed comes first, then the change"


def test_another_bundle_takes_over_in_a_new_run_within_a_second() -> None:
    bench = Bench("gpu", ("small cpu", SMALL))
    struck: list[int] = []

    def strike() -> None:
        struck.append(bench.clock.now)
        bench.engines["gpu"].hang()

    pedal = bench.run(30, {10: strike})
    assert pedal.closed, "the run is broken off"
    assert switched_within(bench, struck[0]) <= SWITCH_S
    bench.run(5)
    assert bench.told[-1] == ("down", "hung", "small cpu")
    first, second = bench.journal.summaries
    assert (first.frames, second.frames) == (11, 5)
    assert [result.manifest_sha256 for result in first.results] == [BUNDLE.manifest_sha256]
    assert [result.manifest_sha256 for result in second.results] == [SMALL.manifest_sha256]
    assert bench.changes[-1].to_manifest_sha256 == SMALL.manifest_sha256


def test_rungs_are_taken_in_their_order_whatever_their_bundles() -> None:
    bench = Bench("int8", ("fp16", SMALL), "cpu", ("small cpu", SMALL))
    for name in ("int8", "fp16", "cpu", "small cpu"):
        bench.run(5, {1: bench.engines[name].lose})
    assert bench.told == [
        ("started", "start", "int8"),
        ("down", "lost", "fp16"),
        ("down", "lost", "cpu"),
        ("down", "lost", "small cpu"),
        ("off", "lost", None),
    ]
    assert not bench.ladder.live_ai


def test_repeated_errors_lead_to_the_next_rung_within_a_second() -> None:
    bench = Bench("gpu", "cpu")
    gpu = bench.engines["gpu"]
    bench.run(30, {10: lambda: setattr(gpu, "fault", EngineError("wrong again"))})
    assert bench.told[-1] == ("down", "errors", "cpu")
    assert bench.changes[-1].took_ms <= 1e3 * SWITCH_S
    outcomes = [str(verdict.outcome) for verdict in bench.journal.verdicts]
    assert outcomes == ["MET"] * 10 + ["FAILED"] * CONFIG.errors + ["MET"] * (20 - CONFIG.errors)


def test_single_errors_far_apart_leave_the_engine_where_it_is() -> None:
    bench = Bench("gpu", "cpu")
    gpu = bench.engines["gpu"]
    for _ in range(6):
        bench.run(3, {1: lambda: setattr(gpu, "fault", EngineError("once")), 2: lambda: setattr(gpu, "fault", None)})
        bench.rest(CONFIG.errors_s)
    assert bench.told == [("started", "start", "gpu")]


def test_the_last_rung_stays_after_some_errors_and_is_left_when_it_fails_on_every_frame() -> None:
    bench = Bench("gpu", "cpu", config=replace(CONFIG, back_after_s=1e3, most_back_s=1e4))
    bench.run(3, {1: bench.engines["gpu"].lose})
    cpu = bench.engines["cpu"]
    bench.run(20, {5: lambda: setattr(cpu, "fault", EngineError("NaN")), 9: lambda: setattr(cpu, "fault", None)})
    assert bench.told[-1] == ("down", "lost", "cpu")
    bench.run(20, {5: lambda: setattr(cpu, "fault", EngineError("NaN"))})
    assert bench.told[-1] == ("off", "errors", None)
    assert "no live AI" in str(bench.journal.verdicts[-1].reason)


def test_overload_leads_to_the_next_rung_within_a_second() -> None:
    bench = Bench("gpu", "cpu", budget_ms=60.0)
    bench.run(40, {10: lambda: setattr(bench.engines["gpu"], "takes_ms", 62.0)})
    assert bench.told[-1] == ("down", "overload", "cpu")
    assert bench.changes[-1].took_ms <= 1e3 * SWITCH_S
    late = [verdict.outcome for verdict in bench.journal.verdicts].count("LATE")
    assert late * 62 <= 1e3 * SWITCH_S + 62
    assert bench.journal.verdicts[-1].outcome == "MET"


def test_overload_never_leads_to_no_live_ai() -> None:
    bench = Bench("gpu", "cpu", budget_ms=60.0)
    for engine in bench.engines.values():
        engine.takes_ms = 62.0
    bench.run(90)
    assert bench.told[-1] == ("down", "overload", "cpu")
    assert {verdict.outcome for verdict in bench.journal.verdicts} == {"LATE"}


def test_without_rungs_the_fallback_takes_over_for_a_loss_alone() -> None:
    bench = Bench("gpu", "cpu", all_signs=False)
    gpu = bench.engines["gpu"]
    gpu.takes_ms = 62.0
    bench.run(40)
    gpu.fault = EngineError("wrong")
    bench.run(40)
    assert bench.told == [("started", "start", "gpu")]
    gpu.lose()
    bench.run(4)
    assert bench.told[-1] == ("down", "lost", "cpu")


def test_throttling_that_lasts_leads_to_the_next_rung_and_back_only_once_it_is_over() -> None:
    bench = Bench("gpu", "cpu", "small")
    bench.rest(20.0)
    bench.heat = Heat(cpu=True)
    bench.ladder.look()
    bench.run(5)
    assert bench.told == [("started", "start", "gpu")], "one look is no sign"
    bench.ladder.look()
    bench.run(30)
    assert bench.told[1:] == [("down", "heat", "cpu")], "one rung, which gets time to cool it"
    bench.rest(60.0)
    assert bench.told[1:] == [("down", "heat", "cpu")]
    bench.heat = Heat()
    bench.rest(60.0)
    assert bench.told[-1] == ("up", "healthy", "gpu")


def test_a_better_rung_comes_back_between_runs_after_it_was_well_for_a_while() -> None:
    bench = Bench("gpu", "cpu")
    bench.run(5, {1: bench.engines["gpu"].lose})
    bench.rest(CONFIG.back_after_s - 2.0)
    bench.run(3)
    assert engine_of(bench.journal.verdicts[-1]) == "cpu (fallback for gpu)"
    bench.rest(3.0)
    assert bench.told[-1] == ("up", "healthy", "gpu")
    bench.run(3)
    assert engine_of(bench.journal.verdicts[-1]) == "gpu"


def test_a_rung_that_is_not_well_stays_out() -> None:
    bench = Bench("gpu", "cpu")

    def refuses() -> object:
        raise EngineError("still no device")

    bench.opens["gpu"] = refuses  # type: ignore[assignment]
    bench.run(5, {1: bench.engines["gpu"].lose})
    bench.rest(120.0)
    assert bench.told[-1] == ("down", "lost", "cpu")
    assert bench.ladder.needs_new_process
    assert bench.engines["gpu"].closed == 1


def test_a_probe_that_takes_longer_than_the_budget_does_not_pass() -> None:
    bench = Bench("gpu", "cpu")
    gpu = bench.engines["gpu"]
    bench.run(20, {1: lambda: setattr(gpu, "fault", EngineError("wrong"))})
    gpu.fault, gpu.takes_ms = None, 61.0
    bench.rest(60.0)
    assert bench.told[-1] == ("down", "errors", "cpu")
    gpu.takes_ms = 1.0
    bench.rest(600.0)
    assert bench.told[-1] == ("up", "healthy", "gpu")


def test_a_rung_that_falls_again_and_again_is_tried_ever_more_seldom() -> None:
    bench = Bench("gpu", "cpu")
    gpu = bench.engines["gpu"]
    moments = []
    for _ in range(6):
        gpu.fault = EngineError("in a run")
        bench.run(20)
        fell_ns = bench.clock.now
        gpu.fault = None  # every probe passes
        while bench.told[-1][0] != "up":
            bench.rest(0.5)
        moments.append((bench.clock.now - fell_ns) / 1e9)
    assert all(later > 1.5 * before for before, later in pairwise(moments)), moments
    assert moments[-1] < CONFIG.most_back_s


def test_without_live_ai_it_is_tried_within_seconds_and_the_run_that_is_on_does_not_hold_it_up() -> None:
    bench = Bench("cpu")

    def refuses() -> object:
        raise EngineError("not yet")

    well, bench.opens["cpu"] = bench.opens["cpu"], refuses  # type: ignore[assignment]
    bench.run(10, {1: bench.engines["cpu"].lose})
    assert bench.told[-1] == ("off", "lost", None)
    bench.opens["cpu"] = well
    bench.clock.advance(5.0)
    pedal = bench.run(30, {5: bench.ladder.look})
    assert pedal.closed
    assert bench.told[-1] == ("up", "healthy", "cpu")
    bench.run(3)
    assert [str(verdict.outcome) for verdict in bench.journal.verdicts[-9:]] == ["FAILED"] * 6 + ["MET"] * 3


def test_without_live_ai_every_frame_fails_and_says_so() -> None:
    bench = Bench("cpu", unopened=("cpu",))
    assert bench.told == [("off", "start", None)]
    bench.run(6)
    assert {(str(verdict.outcome), verdict.retry) for verdict in bench.journal.verdicts} == {("FAILED", True)}
    assert {verdict.reason for verdict in bench.journal.verdicts} == {
        "EngineLostError: no live AI until an engine works again: cpu cannot be opened"
    }
    assert not bench.ladder.warm(), "health must not take a dummy inference for one"


def test_a_loss_noticed_between_runs_is_told_and_costs_no_frame() -> None:
    bench = Bench("gpu", "cpu")
    bench.engines["gpu"].lose()
    bench.ladder.warm()
    assert bench.told[-1] == ("down", "lost", "cpu")
    bench.run(3)
    assert {verdict.outcome for verdict in bench.journal.verdicts} == {"MET"}


def test_engines_that_hang_are_left_behind_and_counted_but_not_without_end() -> None:
    bench = Bench("gpu", "cpu", config=LadderConfig(back_after_s=1.0, most_back_s=2.0))

    for _ in range(MOST_LEFT_BEHIND + 4):
        engine = bench.engines["gpu"]
        engine.hang()
        engine.hangs = True  # type: ignore[attr-defined]
        bench.run(3)
        bench.rest(5.0)
    report = bench.ladder.report()["keyframe"]
    assert report["left_behind"] == MOST_LEFT_BEHIND
    assert bench.ladder.needs_new_process
    assert bench.told[-1] == ("down", "hung", "cpu")


def test_the_report_says_what_judges_and_why() -> None:
    bench = Bench("gpu", "cpu")
    bench.run(5, {1: bench.engines["gpu"].lose})
    report = bench.ladder.report()["keyframe"]
    assert (report["engine"], report["rung"], report["rungs"], report["live_ai"]) == ("cpu", 1, 2, True)
    assert report["reason"] == "lost"


def test_a_monitor_costs_microseconds_a_frame() -> None:
    bench, frames = Bench("gpu", "cpu"), 10_000
    bench.run(2)
    verdict = bench.journal.verdicts[0]
    began = time.process_time()
    for _ in range(frames):
        bench.clock.advance(PERIOD_S)
        bench.ladder.append(verdict)
    assert (time.process_time() - began) / frames < 100e-6


def test_changes_are_records_of_the_source() -> None:
    bench = Bench("gpu", "cpu")
    bench.run(5, {1: bench.engines["gpu"].lose})
    assert {change.source for change in bench.changes} == {"A"}
    assert len({change.id for change in bench.changes}) == len(bench.changes)
    assert all(isinstance(change, EngineChange) and change.kind == "keyframe" for change in bench.changes)
