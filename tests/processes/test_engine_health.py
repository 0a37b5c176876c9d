"""What health says of the engines: a reason without live AI, a note on a lower rung, nothing on the best one."""

from __future__ import annotations

from typing import Any

from cathrt.runtime.processes.engine_health import against_engines
from tests.line.ladders import Bench

NOW_NS = 30 * 10**9


def told(bench: Bench) -> tuple[list[str], list[str]]:
    report: dict[str, Any] = {"A": bench.ladder.report()}
    return against_engines(report, "A", bench.clock.now + 5 * 10**9)


def test_on_the_best_rung_there_is_nothing_to_say() -> None:
    assert told(Bench("gpu", "cpu")) == ([], [])


def test_on_a_lower_rung_it_is_well_with_a_note() -> None:
    bench = Bench("gpu", "cpu")
    bench.run(3, {1: bench.engines["gpu"].lose})
    reasons, (note,) = told(bench)
    assert reasons == []
    assert note.startswith("keyframe: on cpu, rung 2 of 2, since 5 s (lost: gpu: the device is lost")


def test_without_live_ai_it_is_not_well() -> None:
    (reason,), notes = told(Bench("cpu", unopened=("cpu",)))
    assert reason.startswith("no live AI of kind keyframe since 5 s (start: cpu cannot be opened)")
    assert notes == []


def test_before_the_live_process_has_told_anything_there_is_nothing_to_say() -> None:
    assert against_engines({}, "A", NOW_NS) == ([], [])
