"""A bundle on its way in: compared in shadow only where there is time, on trial between runs, kept or rolled back."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest

from cathrt.runtime.config import SwapConfig
from cathrt.runtime.errors import EngineError
from cathrt.runtime.line.swap import Swap
from tests.line.ladders import SMALL, Bench, Scripted
from tests.lines import BUNDLE, Tensors, brightness, remembering

SWAP = SwapConfig(shadow_frames=10, agreement=0.9, score_difference=0.2, watch_frames=12, shadow_s=600.0)


def offered(bench: Bench, config: SwapConfig = SWAP, cost_ms: float = 1.0, engine: str = "new") -> Swap:
    swap = Swap(SMALL, config, bench.clock, cost_ms)
    bench.ladder.offer(swap, bench.place(engine, bundle=SMALL))
    return swap


def upside_down(inputs: Tensors, outputs: Tensors) -> None:
    """The answers of a bundle that disagrees."""
    brightness({"image": 1.0 - inputs["image"]}, outputs)


def judged_by(bench: Bench, run: int) -> str:
    """The manifest of a run's result."""
    return bench.journal.summaries[run].results[0].manifest_sha256


def test_it_is_compared_on_live_frames_swapped_between_runs_and_kept() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    pedal = bench.run(30)
    assert not pedal.closed, "the run goes on to its end on the old bundle"
    assert (swap.phase, swap.compared, swap.skipped) == ("on trial", 10, 0)
    assert judged_by(bench, 0) == BUNDLE.manifest_sha256
    bench.run(20)
    assert judged_by(bench, 1) == SMALL.manifest_sha256
    assert swap.phase == "kept"
    assert bench.told[1:] == [
        ("loaded", "asked", "new"),
        ("compared", "agreed", "new"),
        ("swapped", "agreed", "new"),
        ("kept", "healthy", "new"),
    ]
    assert {str(verdict.outcome) for verdict in bench.journal.verdicts} == {"MET"}, "no frame was missed"
    assert not bench.ladder.swapping
    bench.ladder.look()
    assert bench.engines["cpu"].closed == 1


@pytest.mark.parametrize("comes_in", [True, False], ids=["kept", "refused"])
def test_what_does_not_judge_any_more_is_closed_and_let_go_without_a_collector(comes_in: bool) -> None:
    bench = Bench("engine 0")
    engines = [weakref.ref(bench.engines.pop("engine 0"))]
    models, closes = list[weakref.ref[object]](), []
    gc.collect()
    gc.disable()  # what a place refers to holds files of its bundle open: it must not wait for the collector
    try:
        for number in range(1, 5):
            bundle, name = (SMALL, BUNDLE)[number % 2], f"engine {number}"
            swap, place = Swap(bundle, SWAP, bench.clock, 1.0), bench.place(name, bundle=bundle)
            models.append(weakref.ref(place.rungs[0].served.model))
            bench.ladder.offer(swap, place)
            engine = bench.engines.pop(name)
            engine.answer = brightness if comes_in else upside_down
            engines.append(weakref.ref(engine))
            closes.append(count_closes(engine))
            del place, engine
            for frames in (30, 20, 3):
                bench.run(frames)
            bench.ladder.look()
            assert swap.phase == ("kept" if comes_in else "refused")
        left = [number for number, engine in enumerate(engines) if engine() is not None]
        served = [number for number, model in enumerate(models, 1) if model() is not None]
    finally:
        gc.enable()
    assert left == ([4] if comes_in else [0]), "only what judges is there"
    assert served == ([4] if comes_in else [])
    assert [len(closed) for closed in closes] == [1, 1, 1, 0 if comes_in else 1]


def count_closes(engine: Scripted) -> list[str]:
    """A list that gets the engine's name each time it is closed; it does not keep the engine."""
    closed, name = list[str](), engine.name
    engine.on_close = lambda: closed.append(name)
    return closed


def test_one_run_has_one_bundle_whatever_happens_in_it() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    for _ in range(6):
        bench.run(7)
    for summary in bench.journal.summaries:
        of_pass = [v for v in bench.journal.verdicts if v.pass_id == summary.pass_id]
        assert len({finding.engine for verdict in of_pass for finding in verdict.findings}) == 1
    assert swap.phase == "kept"


def test_a_bundle_that_disagrees_is_refused_and_the_old_one_goes_on() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    bench.engines["new"].answer = upside_down
    bench.run(30)
    bench.run(5)
    assert (swap.phase, swap.reason) == ("refused", "disagreed")
    assert bench.told[-1] == ("refused", "disagreed", "new")
    assert (bench.changes[-1].live_ai, bench.changes[-1].from_engine) == (True, "cpu")
    assert judged_by(bench, 1) == BUNDLE.manifest_sha256
    assert {str(verdict.outcome) for verdict in bench.journal.verdicts} == {"MET"}
    bench.ladder.look()
    assert bench.engines["new"].closed == 1


def test_a_bundle_that_fails_in_shadow_is_refused_at_once_and_costs_no_frame() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    bench.engines["new"].fault = EngineError("no such layer")
    bench.run(30)
    assert (swap.phase, swap.reason) == ("refused", "errors")
    assert bench.engines["new"].calls == 1
    assert {str(verdict.outcome) for verdict in bench.journal.verdicts} == {"MET"}


def test_a_frame_without_slack_is_left_out_and_no_frame_is_late_for_it() -> None:
    bench = Bench("cpu")
    bench.engines["cpu"].takes_ms = 30.0
    swap = offered(bench, cost_ms=40.0)
    bench.run(30)
    assert (swap.compared, swap.skipped) == (0, 30)
    assert bench.engines["new"].calls == 0
    assert {str(verdict.outcome) for verdict in bench.journal.verdicts} == {"MET"}
    bench.clock.advance(SWAP.shadow_s + 1.0)
    swap.look()
    assert (swap.phase, swap.reason) == ("refused", "no_frames")
    assert "0 of 10 frames were compared; 30 were left out" in swap.detail


def test_what_an_inference_takes_is_learnt_so_that_the_next_frame_is_not_held_up() -> None:
    bench = Bench("cpu")
    swap = offered(bench, cost_ms=1.0)
    bench.engines["new"].takes_ms = 70.0  # longer than it took when it was loaded
    bench.run(30)
    assert swap.compared == 1
    assert swap.skipped == 29


def test_a_new_bundle_that_errs_on_trial_is_rolled_back_at_once() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    bench.run(20)
    pedal = bench.run(30, {5: lambda: setattr(bench.engines["new"], "fault", EngineError("wrong"))})
    assert pedal.closed, "the run is broken off after the frame that failed"
    assert (swap.phase, swap.reason) == ("rolled back", "errors")
    bench.run(5)
    assert bench.told[-1] == ("rolled_back", "errors", "cpu")
    assert judged_by(bench, 2) == BUNDLE.manifest_sha256
    outcomes = [str(verdict.outcome) for verdict in bench.journal.verdicts]
    assert outcomes == ["MET"] * 25 + ["FAILED"] + ["MET"] * 5
    bench.ladder.look()
    assert (bench.engines["cpu"].closed, bench.engines["new"].closed) == (0, 1)


@pytest.mark.parametrize("trouble", ["lose", "hang"])
def test_a_new_bundle_whose_engine_goes_on_trial_is_rolled_back(trouble: str) -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    bench.run(20)
    bench.run(30, {5: getattr(bench.engines["new"], trouble)})
    assert swap.phase == "rolled back"
    bench.run(5)
    assert str(bench.journal.verdicts[-1].outcome) == "MET"
    assert judged_by(bench, 2) == BUNDLE.manifest_sha256


def test_a_new_bundle_that_is_too_slow_on_trial_is_rolled_back() -> None:
    bench = Bench("cpu")
    swap = offered(bench)
    bench.run(20)
    bench.run(60, {3: lambda: setattr(bench.engines["new"], "takes_ms", 64.0)})
    assert (swap.phase, swap.reason) == ("rolled back", "overload")


def test_a_bundle_with_a_history_is_shown_every_frame_of_the_run() -> None:
    bench = Bench("cpu", bundle=remembering())
    swap = offered(bench, replace(SWAP, shadow_frames=1000))
    bench.engines["cpu"].takes_ms = 30.0
    bench.run(10)
    assert swap.compared == 10


def test_several_sources_swap_together_and_roll_back_together() -> None:
    first, second = Bench("cpu"), Bench("cpu")
    second.clock = first.clock
    swap = offered(first)
    second.ladder.offer(swap, second.place("new", bundle=SMALL))
    first.run(20)
    assert swap.phase == "on trial"
    second.run(3)
    assert judged_by(second, 0) == SMALL.manifest_sha256
    first.run(5, {1: lambda: setattr(first.engines["new"], "fault", EngineError("wrong"))})
    second.run(3)
    assert judged_by(second, 1) == BUNDLE.manifest_sha256
    assert second.told[-1] == ("rolled_back", "errors", "cpu")


def test_a_swap_that_was_decided_elsewhere_reaches_a_source_without_a_run() -> None:
    first, idle = Bench("cpu"), Bench("cpu")
    swap = offered(first)
    idle.ladder.offer(swap, idle.place("new", bundle=SMALL))
    first.run(20)
    first.run(20)
    idle.ladder.settle()
    assert swap.phase == "kept"
    assert not idle.ladder.swapping
    idle.run(3)
    assert judged_by(idle, 0) == SMALL.manifest_sha256
