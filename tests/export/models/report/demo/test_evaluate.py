"""Facts of answers beside the truth, and beside answers that need no picture."""

from __future__ import annotations

import pytest

from cathrt.export.models.report.demo.evaluate import Score, as_evidence, commonest, compared, facts_of, scores
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.schema import json_from_facts

LAD, RCA = Lesion("lad", "6", 75), Lesion("rca", "2", 100, occluded=True, chronic=True)
TRUTH = [Facts(("left",), (LAD,)), Facts(("right",), (RCA,)), Facts(("left",))]


def test_the_truth_scores_full_and_nothing_scores_nothing() -> None:
    full, none = scores(TRUTH, TRUTH), scores([Facts(())] * 3, TRUTH)
    assert full["side"] == Score(3, 3, 3)
    assert full["artery"].f1 == full["grade"].f1 == full["cto"].f1 == 1.0
    assert none["artery"] == Score(0, 2, 0)
    assert none["artery"].f1 == none["artery"].precision == 0.0


def test_a_wrong_grade_and_an_invented_narrowing_count_against_the_model() -> None:
    found = [
        Facts(("left",), (Lesion("lad", "6", 90),)),
        Facts(("left",)),
        Facts(("left",), (Lesion("lcx", "11", 50),)),
    ]
    result = scores(found, TRUTH)
    assert result["side"] == Score(3, 3, 2)
    assert result["artery"] == Score(2, 2, 1)
    assert result["grade"] == Score(2, 2, 0)
    assert result["cto"] == Score(0, 1, 0)
    assert result["artery"].precision == result["artery"].recall == pytest.approx(0.5)


def test_an_answer_that_is_no_json_form_of_facts_states_nothing() -> None:
    assert facts_of(json_from_facts(TRUTH[0])) == TRUTH[0]
    assert facts_of('{"sides":["left"],"lesions":[{"art') == Facts(())


def test_the_commonest_answer_is_of_the_training_pictures() -> None:
    assert commonest([*TRUTH, TRUTH[0]]) == Facts(("left",), (LAD,))


def test_simple_answers_stand_beside_the_models() -> None:
    found = compared(TRUTH, TRUTH, TRUTH)
    assert found["model"]["side"].f1 == 1.0
    assert found["commonest"]["side"] == Score(3, 3, 2)
    assert found["commonest_of_side"]["side"].f1 == 1.0
    assert found["dealt_to_others"]["side"].right < 3
    assert as_evidence(found)["model"]["artery"]["recall"] == 1.0
