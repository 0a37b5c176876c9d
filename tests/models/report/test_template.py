"""The plain baseline: what it writes, and that it says these facts and no others in both languages."""

from __future__ import annotations

from hypothesis import given, settings

from cathrt.runtime.models.report.check import check_prose
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.section import LANGUAGES
from cathrt.runtime.models.report.template import prose_from_facts
from tests.models.report.drawn_facts import facts, findings_of

STUDY = Facts(
    ("left", "right"),
    (Lesion("lad", "6", 75), Lesion("lcx", None, None), Lesion("rca", "2", 100, occluded=True, chronic=True)),
    "right",
    0,
)


def test_english_says_one_fact_a_sentence() -> None:
    assert prose_from_facts("en", STUDY) == (
        "The left and right coronary arteries were shown. There is a 75% stenosis in segment 6 (proximal LAD). "
        "There is a stenosis of unknown grade in LCx. "
        "There is a chronic total occlusion (100%) of segment 2 (mid RCA). "
        "The coronary circulation is right-dominant. No bypass graft was seen."
    )


def test_japanese_says_one_fact_a_sentence() -> None:
    assert prose_from_facts("ja", STUDY) == (
        "左冠動脈と右冠動脈が造影されている。#6（左前下行枝近位部）に75%狭窄を認める。左回旋枝に程度不明の狭窄を認める。"
        "#2（右冠動脈中間部）に慢性完全閉塞（CTO、100%）を認める。冠動脈は右優位である。バイパスグラフトを認めない。"
    )


def test_a_side_without_a_lesion_is_said_to_be_clear() -> None:
    left = Facts(("left", "right"), (Lesion("lad", "6", 75),))
    assert "No significant stenosis was seen in the right coronary artery." in prose_from_facts("en", left)
    assert "右冠動脈に有意狭窄を認めない。" in prose_from_facts("ja", left)


@settings(max_examples=50, deadline=None)
@given(facts())
def test_any_facts_are_read_back_in_both_languages(drawn: Facts) -> None:
    checked = check_prose(
        {language: prose_from_facts(language, drawn) for language in LANGUAGES}, drawn, findings_of(drawn)
    )
    assert checked.struck == ()
    assert checked.omissions == {"en": (), "ja": ()}
    assert checked.same_facts
    assert checked.withheld is None
    assert checked.kept["ja"] == prose_from_facts("ja", drawn)
