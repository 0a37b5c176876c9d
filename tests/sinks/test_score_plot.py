"""The plot of a run: curves and their gaps, axes, threshold, alerts and ranks where they belong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cathrt.runtime.alert import (
    News,
    Outcome,
    Verdict,
)
from tests.sinks.judged import (
    alert,
    judged_by_two,
    judged_run,
    keyframe,
    page_of,
    points,
    read,
    sharpness,
    verdict,
)

LATE = (True, False, None)


def test_each_model_has_its_own_curve_with_its_own_gaps() -> None:
    run = judged_by_two()
    reader = read(page_of(run))
    curves = [points(polyline) for polyline in reader.of("polyline")]
    assert [len(curve) for curve in curves] == [2, 2, 2, 1], "frame 2 is lost to both, frame 3 to the second"
    alone = [points(polyline) for polyline in read(page_of(judged_run())).of("polyline")]
    assert curves[:2] == alone, "a second model changes nothing in the curve of the first"
    assert [x for curve in curves[2:] for x, _ in curve] == [alone[0][0][0], alone[0][1][0], alone[1][1][0]]


@pytest.mark.parametrize(
    ("outcome", "curves"),
    [(Outcome.DUPLICATE, 1), (Outcome.FAILED, 2), (Outcome.DROPPED, 2)],
    ids=lambda made: str(made),
)
def test_a_repeat_leaves_no_gap_and_a_frame_that_no_model_answered_does(outcome: Outcome, curves: int) -> None:
    verdicts = [
        verdict(0, keyframe(0.1)), verdict(1, keyframe(0.5)), verdict(2, outcome=outcome), verdict(3, keyframe(0.8)),
    ]  # fmt: skip
    reader = read(page_of(replace(judged_run(), verdicts=verdicts)))
    assert reader.tags.count("polyline") == curves


def test_what_a_model_found_on_a_frame_that_another_failed_on_is_drawn() -> None:
    def curves(verdicts: Sequence[Verdict]) -> list[int]:
        polylines = read(page_of(replace(judged_run(), verdicts=verdicts))).of("polyline")
        return [len(points(polyline)) for polyline in polylines]

    failed = verdict(1, sharpness(0.5), outcome=Outcome.FAILED)
    around = [verdict(index, keyframe(0.5), sharpness(0.5)) for index in (0, 2)]
    assert curves([around[0], failed, around[1]]) == [1, 1, 3]


def test_an_alert_is_marked_at_its_frame_and_at_its_own_score() -> None:
    run = judged_run()
    blur = News(kind="blur", score=0.25, text="blurred", text_ja="ぼけ")
    reader = read(page_of(replace(run, alerts=[*run.alerts, alert(blur, 1)])))
    key, other = ((float(mark["cx"] or ""), float(mark["cy"] or "")) for mark in reader.of("circle"))
    curves = [points(polyline) for polyline in reader.of("polyline")]
    assert key == curves[1][0], "at the score of frame 3 in the curve"
    assert other[0] == curves[0][1][0]
    assert other[1] > curves[0][1][1], "0.25 lies under 0.5"
    assert "alerts while it ran: 2" in reader.text


def test_the_page_marks_alerts_that_were_late_when_they_were_shown() -> None:
    run = judged_run()
    page = {late: page_of(replace(run, alerts=[replace(run.alerts[0], late=late)])) for late in LATE}
    assert "late: not a live alert" in page[True]
    assert "alerts while it ran: 1, 1 of them late" in page[True]
    assert "live alert" not in page[False] + page[None]


def test_the_plot_has_its_axes_its_threshold_and_the_rank_of_each_marked_frame() -> None:
    page = page_of(judged_by_two())
    plot = page[page.index("<svg") : page.index("</svg>")]
    text = re.sub(r"<title>.*?</title>", "", plot)
    assert "time, s (frames 0 to 4)" in text
    assert ">score</text>" in text
    assert text.count("threshold 0.52") == 1, "of the second model there is none"
    assert re.findall(r'class="key">.*?>(\d)</text>', text) == ["1", "1", "2"]
    assert "no. 2 to look at: frame 4, score 0.60" in plot
    assert not re.search("threshold", page_of(judged_run(), thresholds={})[page.index("<svg") :].split("</svg>")[0])


def test_a_threshold_lies_where_its_score_lies_in_the_curve() -> None:
    page = page_of(replace(judged_run(), verdicts=[verdict(i, keyframe(0.52)) for i in range(5)]))
    (line,) = re.findall(r'class="threshold" d="M[\d.]+ ([\d.]+)H', page)
    (curve,) = (points(polyline) for polyline in read(page).of("polyline"))
    assert {y for _, y in curve} == {float(line)}


@pytest.mark.parametrize(("frames_of_run", "ticks"), [(1, ["0"]), (16, ["0", "1"]), (15 * 31, None), (15 * 4000, None)])
def test_long_and_short_runs_have_seconds_and_not_too_many(frames_of_run: int, ticks: list[str] | None) -> None:
    run = judged_run()
    page = page_of(replace(run, summary=replace(run.summary, frames=frames_of_run), verdicts=[], alerts=[]))
    found = re.findall(r'text-anchor="middle">(\d+)</text>', page.split("</svg>")[0].split('class="key"')[0])
    assert found == ticks if ticks else 4 <= len(found) <= 11
