"""FrameStream's arithmetic: schedules, quantiles, misses, the age of information, and the books of a stream."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from benchmarks.frame_stream.distribution import Distribution, fewest_samples
from benchmarks.frame_stream.ends import HELD, End
from benchmarks.frame_stream.figures import (
    Picture,
    age_of_information,
    jitter_ns,
    longest_gap_ms,
    misses_of,
    stages_ns,
    stream_of,
)
from benchmarks.frame_stream.schedule import Pauses, Schedule, pauses_from_text
from benchmarks.frame_stream.stalls import Stalls

MS = 1_000_000
BUDGET_NS = 10 * MS


def judged(number: int, shown_after_ms: float, period_ms: int = 20) -> Picture:
    """A picture that is intended every period and whose answer is shown so long after."""
    intended_ns = (1 + number) * period_ms * MS
    shown_ns = intended_ns + round(shown_after_ms * MS)
    end = End(0, number, "MET", captured_ns=intended_ns, taken_ns=intended_ns, verdict_ns=shown_ns, shown_ns=shown_ns)
    return Picture(number, intended_ns, intended_ns, False, end)


def unjudged(number: int, outcome: str | None, reason: str | None = None) -> Picture:
    intended_ns = (1 + number) * 20 * MS
    return Picture(
        number, intended_ns, intended_ns, False, None if outcome is None else End(0, number, outcome, reason)
    )


# When pictures are meant to arrive


def test_an_even_schedule_does_not_drift() -> None:
    offsets = Schedule(15.0, 600.0).offsets_ns
    assert len(offsets) == 9000
    assert offsets[0] == 0
    assert abs(int(offsets[-1]) - round(8999 / 15 * 1e9)) <= 1


def test_nothing_arrives_in_a_pause_and_the_next_picture_is_the_first_after_it() -> None:
    schedule = Schedule(10.0, 6.0, Pauses(1.0, 2.0))
    offsets_ms = (schedule.offsets_ns / MS).tolist()
    assert offsets_ms == [*range(0, 1000, 100), *range(3000, 4000, 100)]
    assert np.flatnonzero(schedule.first_after_pause).tolist() == [10]


def test_a_short_schedule_with_pauses_has_one_pause() -> None:
    assert Schedule(10.0, 0.5, Pauses(1.0, 2.0)).first_after_pause.sum() == 1


@pytest.mark.parametrize("text", ["", "3", "0/1", "3/0", "a/b", "3/nan", "-1/2"])
def test_a_pause_pattern_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected seconds pressed and paused"):
        pauses_from_text(text)


# Quantiles


def test_a_quantile_needs_as_many_samples_as_early_stopping_says() -> None:
    assert [fewest_samples(percent) for percent in (90.0, 99.0, 99.9)] == [44, 459, 4603]


def test_a_quantile_of_too_few_samples_is_not_printed() -> None:
    times = [MS] * 458
    assert Distribution(times).percentile_ms(99.0) is None
    assert Distribution([*times, MS]).percentile_ms(99.0) == pytest.approx(1.0, rel=1e-3)
    fields = Distribution(times).fields()
    assert fields["p99_ms"] is None
    assert fields["p95_ms"] is not None


def test_a_quantile_is_a_time_that_was_measured_and_no_lower_than_asked_for() -> None:
    times = [float(k * MS) for k in range(1, 1001)]
    found = Distribution(reversed(times))
    assert found.percentile_ms(50.0) == 501.0
    assert found.percentile_ms(99.0) == 991.0
    assert (found.fields()["min_ms"], found.fields()["max_ms"]) == (1.0, 1000.0)


def test_a_curve_ends_where_samples_do_not_say_more() -> None:
    curve = Distribution([float(k) for k in range(100)]).curve_ms()
    assert curve[0][0] == pytest.approx(1.0)
    assert fewest_samples(curve[-1][0]) <= 100
    assert curve[-1][0] > 95.0
    assert [ms for _, ms in curve] == sorted(ms for _, ms in curve)


def test_a_row_holds_the_whole_histogram() -> None:
    times = [k * MS for k in range(1, 101)]
    decoded = HdrHistogram.decode(Distribution(times).fields()["hdr"])
    assert decoded.total_count == 100
    assert decoded.get_value_at_percentile(50.0) == pytest.approx(50 * MS, rel=2e-3)


def test_no_samples_make_a_row_without_numbers() -> None:
    fields = Distribution().fields()
    assert fields["n"] == 0
    assert {value for key, value in fields.items() if key != "n"} == {None}


# Misses


def test_late_held_and_unanswered_pictures_are_misses() -> None:
    pictures = [
        judged(0, 5.0),
        judged(1, 10.5),
        unjudged(2, "DROPPED", "overrun"),
        unjudged(3, None),
        judged(4, 9.9),
        unjudged(5, HELD),
        unjudged(6, "FAILED", "broken"),
    ]
    misses = misses_of([pictures], BUDGET_NS, Stalls())
    assert (misses.missed, misses.longest_run, misses.held) == (5, 3, 1)
    assert misses.rate == pytest.approx(5 / 7)
    assert misses.dropped == {"DROPPED: overrun": 1, "not said": 1, "HELD": 1, "FAILED: broken": 1}
    assert misses.outside_stalls == 5


def test_a_run_of_misses_does_not_go_on_from_stream_to_stream() -> None:
    one = [judged(0, 5.0), judged(1, 50.0)]
    other = [judged(0, 50.0), judged(1, 5.0)]
    assert misses_of([one, other], BUDGET_NS, Stalls()).longest_run == 1


def test_a_miss_in_a_stall_of_the_machine_is_told_apart() -> None:
    late = judged(0, 30.0)
    stall = (late.intended_ns + 5 * MS, late.intended_ns + 25 * MS)
    before = (late.intended_ns - 9 * MS, late.intended_ns - 1 * MS)
    assert misses_of([[late]], BUDGET_NS, Stalls.of([stall])).outside_stalls == 0
    assert misses_of([[late]], BUDGET_NS, Stalls.of([before])).outside_stalls == 1


def test_an_unanswered_picture_is_in_a_stall_until_its_budget_ends() -> None:
    lost = unjudged(0, None)
    within = (lost.intended_ns + 8 * MS, lost.intended_ns + 9 * MS)
    after = (lost.intended_ns + 11 * MS, lost.intended_ns + 12 * MS)
    assert misses_of([[lost]], BUDGET_NS, Stalls.of([within])).outside_stalls == 0
    assert misses_of([[lost]], BUDGET_NS, Stalls.of([after])).outside_stalls == 1


def test_stalls_meet_what_they_overlap() -> None:
    stalls = Stalls.of([(50, 60), (10, 20)])
    assert [stalls.meet(*span) for span in ((0, 10), (0, 11), (15, 16), (20, 50), (19, 51), (60, 90), (0, 90))] == [
        False, True, True, False, True, False, True,
    ]  # fmt: skip


# Age of information, jitter, gaps


def test_the_age_of_information_rises_until_the_next_answer() -> None:
    pictures = [judged(number, 5.0) for number in range(10)]
    age = age_of_information(pictures)
    assert age is not None
    assert age.peaks_ms == (25.0,) * 9  # 5 ms when an answer comes, a period more just before the next
    assert age.mean_ms == pytest.approx(15.0)
    assert age.growth == pytest.approx(1.0)


def test_a_queue_without_end_makes_the_age_grow() -> None:
    age = age_of_information([judged(number, 5.0 + 10.0 * number) for number in range(30)])
    assert age is not None
    assert age.growth > 3.0


def test_an_answer_about_an_older_picture_makes_nothing_newer() -> None:
    pictures = [judged(number, 5.0) for number in range(10)]
    late = judged(4, 50.0)
    age = age_of_information([*pictures[:4], late, *pictures[5:]])
    assert age is not None
    assert age.peaks_ms == (25.0, 25.0, 25.0, 45.0, 25.0, 25.0, 25.0, 25.0)


def test_few_answers_have_no_age() -> None:
    assert age_of_information([judged(number, 5.0) for number in range(6)]) is None


def test_jitter_is_what_the_way_adds_to_the_cadence() -> None:
    assert jitter_ns([judged(0, 5.0), judged(1, 8.0), judged(2, 6.0)]) == [3.0 * MS, 2.0 * MS]
    assert longest_gap_ms([judged(0, 5.0), judged(1, 8.0), judged(2, 6.0)]) == 23.0


# Stages and books


def test_the_stages_of_a_picture_add_up_to_its_time() -> None:
    end = End(
        0, 0, "MET", captured_ns=3 * MS, taken_ns=5 * MS, preprocess_ms=1.0, infer_ms=4.0, postprocess_ms=0.5,
        verdict_ns=12 * MS, shown_ns=20 * MS,
    )  # fmt: skip
    stages = stages_ns([Picture(0, 1 * MS, 2 * MS, False, end)])
    parts = ("generator", "capture", "waiting", "preprocess", "infer", "postprocess", "recording", "showing")
    assert [stages[name][0] / MS for name in parts] == [1.0, 1.0, 2.0, 1.0, 4.0, 0.5, 1.5, 8.0]
    assert sum(stages[name][0] for name in parts) == stages["to reader"][0] == 19 * MS
    assert stages["to verdict"] == [11 * MS]
    assert stages["overhead"] == [(12 - 3 - 1 - 4) * MS]


def ends(*numbers: int) -> list[End]:
    return [End(0, number, "MET", shown_ns=1) for number in numbers]


SENT = np.array([[10, 11], [20, 21], [30, 31]])
NO_PAUSE = np.zeros(3, np.bool_)


def test_the_books_balance_where_every_picture_ended_once() -> None:
    assert stream_of(15.0, SENT, NO_PAUSE, ends(0, 1, 2)).accounted == 3


@pytest.mark.parametrize("numbers", [(0, 2), (0, 1, 1), (0, 1, 7), (0, 1, 2, 2)], ids=str)
def test_a_lost_a_doubled_and_an_invented_picture_are_found(numbers: tuple[int, ...]) -> None:
    assert stream_of(15.0, SENT, NO_PAUSE, ends(*numbers)).accounted < 3


def test_what_is_said_of_a_picture_stays_with_it() -> None:
    stream = stream_of(15.0, SENT, np.array([False, True, False]), ends(2, 0))
    assert [picture.end.number if picture.end else None for picture in stream.pictures] == [0, None, 2]
    assert [picture.first_after_pause for picture in stream.pictures] == [False, True, False]
    assert [(picture.intended_ns, picture.sent_ns) for picture in stream.pictures] == [(10, 11), (20, 21), (30, 31)]
