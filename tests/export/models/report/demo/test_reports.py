"""Reports in many wordings: the runtime's own check reads every one of them back, and finds all facts and no others."""

from __future__ import annotations

from random import Random

import pytest

from cathrt.export.models.report.demo.english_reports import english_report
from cathrt.export.models.report.demo.japanese_reports import japanese_report
from cathrt.export.models.report.demo.made_up_facts import made_up_facts
from cathrt.runtime.models.report.check import check_prose
from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.schema import facts_faults, facts_from_json, json_from_facts

MANY = 400


@pytest.mark.parametrize("seed", range(4))
def test_every_wording_is_read_back_in_both_languages_without_loss(seed: int) -> None:
    for number in range(MANY // 4):
        draw = Random(1000 * seed + number)
        facts = made_up_facts(draw)
        prose = {"en": english_report(facts, draw), "ja": japanese_report(facts, draw)}
        checked = check_prose(prose, facts, Findings(3, (), Facts(facts.sides)))  # type: ignore[arg-type]
        assert checked.struck == (), (facts, prose, checked.struck)
        assert not any(checked.omissions.values()), (facts, prose, checked.omissions)
        assert checked.same_facts
        assert checked.withheld is None


def test_a_wrong_grade_in_a_wording_would_be_struck() -> None:
    """The test above can fail: it leans on a check that sees what is wrong."""
    facts, draw = Facts(("left",), (Lesion("lad", "6", 75),)), Random(0)
    prose = {"en": english_report(facts, draw).replace("75", "90"), "ja": japanese_report(facts, draw)}
    assert check_prose(prose, facts, Findings(1, (), Facts(("left",)))).struck  # type: ignore[arg-type]


def test_the_same_facts_are_worded_in_many_ways() -> None:
    facts = Facts(("left",), (Lesion("lad", "6", 75), Lesion("lcx", "13", 100, occluded=True, chronic=True)), "right")
    for write in (english_report, japanese_report):
        assert len({write(facts, Random(seed)) for seed in range(60)}) > 50


def test_the_same_draws_give_the_same_text() -> None:
    facts = made_up_facts(Random(3))
    assert english_report(facts, Random(4)) == english_report(facts, Random(4))


def test_made_up_facts_hold_together_and_have_one_json_form() -> None:
    for seed in range(MANY):
        facts = made_up_facts(Random(seed))
        assert facts_faults(facts) == ()
        assert facts_from_json(json_from_facts(facts)) == facts


def test_made_up_facts_come_in_all_kinds() -> None:
    many = [made_up_facts(Random(seed)) for seed in range(MANY)]
    lesions = [lesion for facts in many for lesion in facts.lesions]
    assert {facts.sides for facts in many} == {(), ("left",), ("right",), ("left", "right")}
    assert {facts.dominance for facts in many} == {None, "left", "right", "balanced"}
    assert {lesion.artery for lesion in lesions} == {"left_main", "lad", "lcx", "rca"}
    assert {(lesion.occluded, lesion.chronic) for lesion in lesions} == {(False, False), (True, False), (True, True)}
    assert any(lesion.percent is None for lesion in lesions)
    assert any(lesion.segment is None for lesion in lesions)
    assert max(len(facts.lesions) for facts in many) == 8
