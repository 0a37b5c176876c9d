"""The line as a whole: every frame one verdict, alerts in time, books that balance, whatever the source does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.alert import Outcome, Record, RunSummary, StageTimes, Verdict
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, LineConfig
from cathrt.runtime.errors import EngineError, JournalError
from cathrt.runtime.frame import Geometry, LostFrame
from cathrt.runtime.line.pipeline import watch
from tests.lines import ArraySource, ListJournal, Tensors, brightness, fake_engine, finding_of, line, picture, result_of


def outcomes(journal: ListJournal) -> list[str]:
    return [verdict.outcome.value for verdict in sorted(journal.verdicts, key=lambda v: v.frame_index)]


def test_every_frame_ends_as_one_verdict_and_the_summary_adds_them_up() -> None:
    journal = ListJournal()
    summary = watch(ArraySource([0.1, 0.2, 0.8, 0.9, 0.8, 0.1]), line(), journal)
    assert outcomes(journal) == ["MET"] * 6
    assert summary.frames == 6
    assert summary.verdicts == {"MET": 6, "LATE": 0, "DROPPED": 0, "FAILED": 0, "DUPLICATE": 0}
    (marked,) = result_of(summary).marked_frames
    assert marked in (2, 3, 4), "one of the bright ones; between them the vessel filter decides"
    assert result_of(summary).laterality == "left"
    assert [alert.frame_index for alert in journal.alerts] == [3]
    assert list(journal.records.values())[-1] == summary


def test_the_score_of_a_frame_is_what_its_pixels_say() -> None:
    journal = ListJournal()
    watch(ArraySource([0.25, 0.75]), line(), journal)
    scores = [finding_of(verdict).score for verdict in journal.verdicts if finding_of(verdict)]
    assert scores == pytest.approx([0.25, 0.75], abs=0.01)


def test_an_alert_follows_the_verdict_it_rests_on() -> None:
    journal = ListJournal()
    watch(ArraySource([0.1, 0.8, 0.9, 0.8, 0.1]), line(), journal)
    order = list(journal.records)
    (alert,) = journal.alerts
    assert order.index(alert.verdict_id) < order.index(alert.id)
    assert alert.news.laterality == "left"
    assert not alert.late


def test_lost_skipped_and_owed_frames_are_all_accounted_for() -> None:
    broken = LostFrame(2, 0, "the code stream ends early", failed=True)
    journal = ListJournal()
    summary = watch(ArraySource([0.1, None, broken, 0.4], frame_count=6), line(), journal)
    assert outcomes(journal) == ["MET", "DROPPED", "FAILED", "MET", "DROPPED", "DROPPED"]
    assert summary.frames == 6
    reasons = [v.reason for v in sorted(journal.verdicts, key=lambda v: v.frame_index)]
    assert "skipped" in str(reasons[1])
    assert reasons[2] == broken.reason
    assert "ended early" in str(reasons[5])


def test_a_repeated_picture_is_a_duplicate_and_is_not_judged() -> None:
    calls = []

    def counting(inputs: Tensors, outputs: Tensors) -> None:
        calls.append(1)
        brightness(inputs, outputs)

    journal = ListJournal()
    watch(ArraySource([picture(0.5), picture(0.5), picture(0.6), picture(0.5)]), line(counting), journal)
    assert outcomes(journal) == ["MET", "DUPLICATE", "MET", "MET"]
    assert len([v for v in journal.verdicts if finding_of(v) is None]) == 1
    assert len(calls) == 3


def test_a_frame_the_engine_fails_on_is_failed_and_the_line_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def failing(inputs: Tensors, outputs: Tensors) -> None:
        if inputs["image"].mean() > 0.85:
            raise EngineError("the device is gone")
        brightness(inputs, outputs)

    journal = ListJournal()
    summary = watch(ArraySource([0.1, 0.9, 0.2]), line(failing), journal)
    assert outcomes(journal) == ["MET", "FAILED", "MET"]
    assert summary.verdicts["FAILED"] == 1
    assert "the device is gone" in str(journal.verdicts[1].reason)
    assert "the device is gone" in caplog.text


def test_logits_that_are_not_finite_fail_the_frame_rather_than_find_nothing(caplog: pytest.LogCaptureFixture) -> None:
    journal = ListJournal()
    watch(ArraySource([0.1]), line(lambda inputs, outputs: outputs["logits"].fill(np.nan)), journal)
    (verdict,) = journal.verdicts
    assert verdict.outcome is Outcome.FAILED
    assert finding_of(verdict) is None
    assert "finite" in caplog.text


def test_a_frame_judged_over_its_budget_is_late_and_keeps_its_finding() -> None:
    config = replace(Config(), line=LineConfig(budget_ms=1e-6))
    journal = ListJournal()
    summary = watch(ArraySource([0.1, 0.2]), line(config=config, rate="realtime"), journal)
    assert summary.verdicts["LATE"] == 2
    assert all(finding_of(verdict) is not None and "budget" in str(verdict.reason) for verdict in journal.verdicts)


class Crawling:
    """A clock by which every step takes seconds, as on a machine that does something else most of the time."""

    def __init__(self) -> None:
        self.time_ns = MonotonicClock().now_ns()  # the source's clock: frames are handed over now

    def now_ns(self) -> int:
        self.time_ns += 7_000_000_000
        return self.time_ns

    def wait_until(self, deadline_ns: int) -> None: ...


NO_TIMES = StageTimes(0.0, 0.0, 0.0, 0.0, 0.0)


def untimed(journal: ListJournal) -> list[Record]:
    """Its records without the times that were measured."""
    return [
        replace(record, latency_ms=NO_TIMES, acquired_ns=None)
        if isinstance(record, Verdict)
        else replace(record, latency_ms={})
        if isinstance(record, RunSummary)
        else record
        for record in journal.records.values()
    ]


def test_at_full_speed_the_same_input_gives_the_same_records_under_any_load(caplog: pytest.LogCaptureFixture) -> None:
    def failing(inputs: Tensors, outputs: Tensors) -> None:
        if 0.34 < inputs["image"].mean() < 0.36:
            raise EngineError("this one frame")
        brightness(inputs, outputs)

    items = [0.1, 0.6, 0.9, picture(0.2), picture(0.2), 0.35, None, LostFrame(7, 0, "broken", failed=True), 0.7, 0.1]
    quick, slow = ListJournal(), ListJournal()
    watch(ArraySource(items), line(failing), quick)
    watch(ArraySource(items), line(failing, clock=Crawling()), slow)
    assert untimed(quick) == untimed(slow)
    judged = [verdict for verdict in slow.verdicts if finding_of(verdict) is not None]
    assert min(verdict.latency_ms.end_to_end for verdict in judged) > Config().line.budget_ms
    assert {v.outcome for v in slow.verdicts} == {"MET", "DUPLICATE", "FAILED", "DROPPED"}
    assert slow.alerts
    assert "this one frame" in caplog.text


def test_the_same_input_gives_the_same_records_but_for_their_times() -> None:
    first, second = ListJournal(), ListJournal()
    source = [0.1, 0.6, 0.9, 0.2, 0.7]
    watch(ArraySource(source), line(), first)
    watch(ArraySource(source), line(), second)
    assert list(first.records) == list(second.records)
    assert untimed(first) == untimed(second)


def test_a_pass_cut_short_is_taken_up_and_its_stored_verdicts_stand() -> None:
    scores = [0.1, 0.6, 0.9, 0.2, 0.7, 0.1]
    whole = ListJournal()
    watch(ArraySource(scores), line(), whole)
    cut = ListJournal(dict(list(whole.records.items())[:3]))
    judged = []

    def counting(inputs: Tensors, outputs: Tensors) -> None:
        judged.append(1)
        brightness(inputs, outputs)

    summary = watch(ArraySource(scores), line(counting), cut)
    assert list(cut.records) == list(whole.records)
    assert cut.verdicts[:2] == whole.verdicts[:2], "the third record is the start of the pass"
    assert len(judged) == 4
    assert summary.verdicts["MET"] == 6


def test_a_stored_drop_stays_a_drop_in_the_books_of_the_pass_that_takes_it_up() -> None:
    whole = ListJournal()
    watch(ArraySource([0.1, 0.9, 0.1]), line(), whole)
    first, *_ = whole.verdicts
    dropped = replace(first, outcome=Outcome.DROPPED, findings=(), reason="overrun")
    journal = ListJournal({dropped.id: dropped})
    summary = watch(ArraySource([0.1, 0.8, 0.9, 0.8, 0.1]), line(), journal)
    assert summary.verdicts == dict(Counter(v.outcome.value for v in journal.verdicts)) | {
        "LATE": 0,
        "FAILED": 0,
        "DUPLICATE": 0,
    }
    assert summary.verdicts["DROPPED"] == 1


def test_frames_that_name_no_side_have_no_vote() -> None:
    summary = watch(ArraySource([0.2 + 0.001 * i for i in range(60)]), line(), ListJournal())
    assert (result_of(summary).laterality, result_of(summary).laterality_score) == ("unknown", 0.0)


def test_the_laterality_vote_and_the_angle_reach_the_summary() -> None:
    geometry = Geometry(positioner_primary_angle_deg=45.0, positioner_secondary_angle_deg=0.0)
    summary = watch(ArraySource([0.9, 0.8, 0.9, 0.85, 0.9], geometry=geometry), line(), ListJournal())
    assert result_of(summary).laterality == "left"
    assert result_of(summary).laterality_score > 0.9
    assert result_of(summary).laterality_mismatch is True, "a plain LAO view is chosen for the right coronary"


def test_a_journal_that_cannot_keep_records_stops_the_line() -> None:
    class FullDisk(ListJournal):
        def append(self, record: Record) -> None:  # noqa: ARG002
            raise JournalError("disk full")

    with pytest.raises(JournalError, match="disk full"):
        watch(ArraySource([0.1, 0.2]), line(), FullDisk())


def test_real_time_drops_aloud_what_a_slow_engine_cannot_take() -> None:
    class Rushing:
        """A clock on which frames are due at once, however slow the engine is."""

        def now_ns(self) -> int:
            return 0

        def wait_until(self, deadline_ns: int) -> None: ...

    config = replace(Config(), line=LineConfig(queue_frames=2))
    journal = ListJournal()
    summary = watch(ArraySource([0.1] * 200), line(config=config, clock=Rushing(), rate="realtime"), journal)
    assert summary.frames == 200
    assert sorted(v.frame_index for v in journal.verdicts) == list(range(200))
    overrun = [v for v in journal.verdicts if v.outcome is Outcome.DROPPED]
    assert all("overrun" in str(v.reason) for v in overrun)


ITEM = st.one_of(st.floats(0.0, 1.0), st.none(), st.just("lost"), st.just("broken"))


@given(st.lists(ITEM, max_size=40), st.integers(0, 5))
def test_the_books_balance_for_any_run(items: list[object], owed: int) -> None:
    run = [
        LostFrame(i, 0, "r", failed=item == "broken") if isinstance(item, str) else item for i, item in enumerate(items)
    ]
    journal = ListJournal()
    summary = watch(ArraySource(run, frame_count=len(run) + owed), line(), journal)  # type: ignore[arg-type]
    assert sorted(v.frame_index for v in journal.verdicts) == list(range(len(run) + owed))
    assert sum(summary.verdicts.values()) == summary.frames == len(run) + owed
    assert all((finding_of(v) is not None) == (v.outcome in (Outcome.MET, Outcome.LATE)) for v in journal.verdicts)
    assert all((v.reason is None) == (v.outcome is Outcome.MET) for v in journal.verdicts)


def test_the_engine_reads_its_own_buffer_without_a_copy() -> None:
    seen = []

    def looking(inputs: Tensors, outputs: Tensors) -> None:
        seen.append(inputs["image"])
        brightness(inputs, outputs)

    engine = fake_engine(looking)
    watch(ArraySource([0.3]), line(engine=engine), ListJournal())
    assert seen[0] is engine.input_buffers["image"]
