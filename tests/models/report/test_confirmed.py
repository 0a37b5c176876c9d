"""Facts out of readings: what is called, where it can be, of one model alone, and in the words that drafts have."""

from __future__ import annotations

from dataclasses import replace

from cathrt.runtime.alert import AnswerForm, StudyFinding
from cathrt.runtime.models.report.confirmed import facts_from_readings
from cathrt.runtime.models.report.facts import MOST_LESIONS, Facts, Lesion, Side
from cathrt.runtime.models.report.findings import findings_from_runs
from cathrt.runtime.models.report.schema import facts_faults, facts_schema
from tests.models.report.scripted_model import LEFT, RIGHT

BOTH: tuple[Side, ...] = ("left", "right")


def finding(
    asks: str, segment: str | None, value: float, *, positive: bool | None = None, label: str = ""
) -> StudyFinding:
    form: AnswerForm = "amount" if asks == "stenosis" else "category" if asks == "dominance" else "probability"
    return StudyFinding(
        name=f"{segment}_{asks}", title=asks, asks=asks, artery=None, segment=segment, form=form, value=value,
        unit="%" if form == "amount" else "", threshold=None, positive=positive,
        margin=None if positive is None else value - 0.5, label=label, label_ja=label,
    )  # fmt: skip


def called(segment: str, asks: str = "significant stenosis", value: float = 0.9) -> StudyFinding:
    return finding(asks, segment, value, positive=True)


def test_a_call_is_a_lesion_with_the_grade_next_to_its_percentage() -> None:
    reading = [finding("stenosis", "prox_lad", 71.0), called("prox_lad"), finding("stenosis", "mid_rca", 99.9)]
    assert facts_from_readings([reading], BOTH) == Facts(BOTH, (Lesion("lad", "6", 75),))
    assert facts_from_readings([[called("prox_lad")]], BOTH).lesions == (Lesion("lad", "6", None),)


def test_what_is_not_called_is_no_fact() -> None:
    reading = [finding("significant stenosis", "prox_lad", 0.4, positive=False), finding("stenosis", "prox_lad", 90.0)]
    assert facts_from_readings([reading], BOTH) == Facts(BOTH)
    assert facts_from_readings([], BOTH) == Facts(BOTH)


def test_an_occlusion_stands_for_the_narrowing_of_its_segment() -> None:
    for reading in ([called("mid_rca"), called("mid_rca", "chronic total occlusion")],
                    [called("mid_rca", "chronic total occlusion"), called("mid_rca")]):  # fmt: skip
        assert facts_from_readings([reading], BOTH).lesions == (Lesion("rca", "2", 100, True, True),)


def test_a_side_that_was_not_shown_and_a_segment_that_dominance_rules_out_have_no_lesion() -> None:
    reading = [called("prox_lad"), called("pda"), finding("dominance", None, 0.8, label="left")]
    assert facts_from_readings([reading], ("right",)) == Facts(("right",), (), "left")
    assert facts_from_readings([reading], BOTH).lesions == (Lesion("lad", "6", None),)


def test_two_models_never_merge() -> None:
    other = [finding("reduced ejection fraction", None, 0.9, positive=True)]
    first, second = [called("prox_lad")], [called("mid_rca")]
    assert facts_from_readings([other, first, second], BOTH).lesions == (Lesion("lad", "6", None),)


def test_of_too_many_the_surest_are_kept_in_the_order_of_the_arteries() -> None:
    keys = ("prox_rca", "mid_rca", "dist_rca", "left_main", "prox_lad", "mid_lad", "dist_lad", "D1", "D2")
    reading = [called(key, value=0.9 - 0.01 * place) for place, key in enumerate(keys)]
    facts = facts_from_readings([reading], BOTH)
    assert len(facts.lesions) == MOST_LESIONS
    assert "10" not in {lesion.segment for lesion in facts.lesions}
    assert facts.lesions[0].segment == "5"
    assert not facts_faults(facts)


def test_findings_hold_them_and_the_schema_allows_nothing_else() -> None:
    findings = findings_from_runs([LEFT, replace(RIGHT)], [[called("prox_lad"), called("mid_rca")]])
    assert [lesion.segment for lesion in findings.known.lesions] == ["6", "2"]
    assert len(facts_schema(findings)["properties"]["lesions"]["const"]) == 2
