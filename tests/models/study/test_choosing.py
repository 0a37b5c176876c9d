"""Which runs of a study count: the rule, its order, and why the others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.frame import TakenAt
from cathrt.runtime.model_kind import RunFacts
from cathrt.runtime.models.study.choosing import chosen_runs
from cathrt.runtime.models.study.policy import StudyPolicy

RULE = StudyPolicy()


def run(
    name: str, arrival: int, series_s: float | None = None, acquired_s: float | None = None, **more: Any
) -> RunFacts:
    whole = RunFacts(
        run_id=name, pass_id=f"pass {name}", arrival=arrival, side="left", modality="XA", radiation_setting="GR",
        frames=60, taken_at=TakenAt(series_s, acquired_s), positioner_primary_angle_deg=-30.0,
        positioner_secondary_angle_deg=20.0, notice=NOTICE,
    )  # fmt: skip
    return replace(whole, **more)


def places(runs: list[RunFacts], policy: StudyPolicy = RULE, most: int = 4) -> list[tuple[str, int | None, str]]:
    return [(one.run_id, one.place, one.why) for one in chosen_runs(runs, policy, most)]


def test_runs_are_ordered_by_series_time_then_acquisition_time_then_arrival() -> None:
    runs = [
        run("no time", 1), run("late", 2, 30.0), run("early", 3, 10.0, 12.0), run("earlier", 4, 10.0, 11.0),
        run("no time either", 5),
    ]  # fmt: skip
    order = [name for name, _, _ in places(runs, most=5)]
    assert order == ["earlier", "early", "late", "no time", "no time either"]
    assert order == [name for name, _, _ in places(runs[::-1], most=5)]  # not in the order in which they are given


def test_the_order_may_be_that_of_arrival() -> None:
    runs = [run("first", 1, 30.0), run("second", 2, 10.0)]
    assert [name for name, _, _ in places(runs, StudyPolicy(order="arrival"))] == ["first", "second"]


def test_the_first_of_them_count_and_the_others_say_why_not() -> None:
    runs = [run(str(number), number, float(number)) for number in range(1, 7)]
    assert places(runs, most=4)[3:] == [("4", 4, "counts"), ("5", None, "beyond"), ("6", None, "beyond")]
    assert [why for _, _, why in places(runs, StudyPolicy(most_runs=2))] == ["counts"] * 2 + ["beyond"] * 4
    assert places(runs, StudyPolicy(most_runs=9)) == places(runs)  # never more than the bundle takes


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"modality": "RF"}, "modality"),
        ({"modality": None}, "modality"),
        ({"radiation_setting": "SC"}, "fluoroscopy"),
        ({"frames": 1}, "still"),
        ({"side": None}, "no_side"),
    ],
)
def test_a_run_that_does_not_count_says_why(change: dict[str, Any], why: str) -> None:
    out = run("out", 1, 1.0, **change)
    assert places([out, run("in", 2, 2.0)]) == [("in", 1, "counts"), ("out", None, why)]
    allowed = StudyPolicy(modalities=("XA", "RF"), fluoroscopy=True, min_frames=1, known_side=False, order="arrival")
    assert (places([out], allowed)[0][2] == "counts") is (change != {"modality": None})


def test_a_run_of_which_the_setting_is_not_told_counts() -> None:
    assert places([run("a", 1, radiation_setting=None)]) == [("a", 1, "counts")]
