"""Judging again what failed for a reason of ours: a new pass each time it is replayed, and never otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cathrt.runtime.alert import Outcome, PassStart, Record, Verdict
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.line.pipeline import watch
from tests.lines import ArraySource, ListJournal, Tensors, brightness, line

Item = float | LostFrame | None
SCORES: list[Item] = [0.1, 0.3, 0.9, 0.8, 0.1, 0.2]


def failing(error: Exception, at: float = 0.9, times: int = 10**6) -> Any:
    """An engine that raises `error` on pictures of that brightness, the first so many times."""
    left = [times]

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        if abs(float(inputs["image"].mean()) - at) < 0.02 and left[0]:
            left[0] -= 1
            raise error
        brightness(inputs, outputs)

    return compute


def replayed(journal: ListJournal, compute: Any = brightness, items: Sequence[Item] = SCORES, **how: Any) -> str:
    """Judge the run; returns what became of the frames of the pass that this replay judged or found."""
    summary = watch(ArraySource(items), line(compute), journal, **how)
    verdicts = [verdict for verdict in journal.verdicts if verdict.pass_id == summary.pass_id]
    return " ".join(verdict.outcome.value for verdict in sorted(verdicts, key=lambda v: v.frame_index))


def attempts(journal: ListJournal) -> list[int]:
    return [record.attempt for record in journal.of(PassStart)]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


@pytest.mark.parametrize(
    "error",
    [EngineError("the queue is full"), EngineLostError("it fell off the bus"), MemoryError(), RuntimeError("our bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_frame_that_an_engine_or_a_fault_of_ours_failed_is_judged_again_in_a_new_pass(error: Exception) -> None:
    journal = ListJournal()
    assert replayed(journal, failing(error)) == "MET MET FAILED MET MET MET"
    before = dict(journal.records)
    assert replayed(journal) == "MET MET MET MET MET MET"
    assert attempts(journal) == [1, 2]
    assert {id_: journal.records[id_] for id_ in before} == before, "what was stored stays as it was"
    assert len(journal.summaries) == 2
    assert [verdict.retry for verdict in journal.verdicts] == [
        verdict.outcome == "FAILED" for verdict in journal.verdicts
    ]


def test_a_frame_that_our_decoder_lost_is_judged_again() -> None:
    journal = ListJournal()
    killed = [*SCORES[:4], *(LostFrame(i, 0, "the decoder was killed", failed=True, ours=True) for i in (4, 5))]
    assert replayed(journal, items=killed) == "MET MET MET MET FAILED FAILED"
    assert replayed(journal) == "MET MET MET MET MET MET"
    assert attempts(journal) == [1, 2]


@pytest.mark.parametrize(
    "item",
    [
        LostFrame(5, 0, "the code stream ends early", failed=True),
        LostFrame(5, 0, "never arrived", failed=False),
        LostFrame(5, 0, "overrun", failed=False, ours=True),
        None,
        0.2,
    ],
)
def test_a_pass_without_such_frames_is_complete_and_a_replay_adds_nothing(item: Item) -> None:
    journal, items = ListJournal(), [*SCORES[:5], item]
    replayed(journal, items=items)
    before = list(journal.records)
    replayed(journal, items=items)
    assert list(journal.records) == before
    assert attempts(journal) == [1]


def test_once_an_attempt_came_out_clean_no_further_one_is_made() -> None:
    journal = ListJournal()
    replayed(journal, failing(EngineError("once"), times=1))
    replayed(journal)
    before = list(journal.records)
    assert replayed(journal, failing(EngineError("again"))) == "MET MET MET MET MET MET"
    assert list(journal.records) == before


def test_a_fault_that_stays_costs_one_attempt_a_replay() -> None:
    journal = ListJournal()
    for number in (1, 2, 3):
        assert replayed(journal, failing(EngineError("it stays"))) == "MET MET FAILED MET MET MET"
        assert attempts(journal) == list(range(1, number + 1))
    assert replayed(journal) == "MET MET MET MET MET MET"
    assert attempts(journal) == [1, 2, 3, 4]


def test_without_retry_the_newest_attempt_is_shown_as_it_is() -> None:
    journal, broken = ListJournal(), failing(EngineError("it stays"))
    replayed(journal, broken)
    replayed(journal, broken)
    before = list(journal.records)
    assert replayed(journal, broken, retry=False) == "MET MET FAILED MET MET MET"
    assert list(journal.records) == before


@pytest.mark.parametrize("kept", range(1, 8))
def test_a_second_attempt_cut_short_anywhere_is_taken_up_and_becomes_no_third(kept: int) -> None:
    first = ListJournal()
    replayed(first, failing(EngineError("once"), times=1))
    whole = ListJournal(dict(first.records))
    replayed(whole)
    cut = ListJournal(dict(list(whole.records.items())[: len(first.records) + kept]))
    judged: list[int] = []

    def counting(inputs: Tensors, outputs: Tensors) -> None:
        judged.append(1)
        brightness(inputs, outputs)

    assert replayed(cut, counting) == "MET MET MET MET MET MET"
    assert untimed(cut) == untimed(whole)
    stored = sum(isinstance(record, Verdict) for record in list(whole.records.values())[len(first.records) :][:kept])
    assert len(judged) == len(SCORES) - stored
    assert attempts(cut) == [1, 2]


def untimed(journal: ListJournal) -> list[tuple[str, object, object]]:
    return [
        (record.id, getattr(record, "outcome", None), getattr(record, "finding", None))
        for record in journal.records.values()
    ]


def test_a_first_attempt_cut_short_keeps_its_failed_frame_and_the_next_replay_judges_again() -> None:
    whole = ListJournal()
    replayed(whole, failing(EngineError("once"), times=1))
    cut = ListJournal(dict(list(whole.records.items())[:5]))
    assert replayed(cut) == "MET MET FAILED MET MET MET", "stored verdicts stand in the pass that they belong to"
    assert attempts(cut) == [1]
    assert replayed(cut) == "MET MET MET MET MET MET"
    assert attempts(cut) == [1, 2]


def test_every_record_of_an_attempt_is_its_own() -> None:
    journal = ListJournal()
    replayed(journal, failing(EngineError("once"), times=1))
    replayed(journal)
    passes: dict[str, list[Record]] = {}
    for record in journal.records.values():
        passes.setdefault(record.pass_id, []).append(record)  # type: ignore[union-attr]
    first, second = passes.values()
    assert len(first) + 1 == len(second), "the second has the alert for the frame that failed in the first"
    assert [v.outcome for v in second if isinstance(v, Verdict)] == [Outcome.MET] * 6
