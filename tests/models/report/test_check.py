"""The check of a draft: every changed fact is found, what is left contradicts nothing, and when it is withheld."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cathrt.runtime.models.report.check import check_prose, findings_conflict
from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.places import ARTERIES, SEGMENTS, SIDE_OF, place_of
from cathrt.runtime.models.report.schema import facts_faults
from cathrt.runtime.models.report.section import LANGUAGES, Language
from cathrt.runtime.models.report.template import prose_from_facts
from tests.models.report import test_english, test_japanese
from tests.models.report.drawn_facts import SIDES, facts, findings_of
from tests.models.report.sentences import STUDY, checked

FINDINGS = findings_of(STUDY)
SENTENCES: dict[Language, list[str]] = {
    "en": [*test_english.TRUE, *test_english.FALSE, *test_english.NOT_SAYABLE, "PCI is recommended."],
    "ja": [*test_japanese.TRUE, *test_japanese.FALSE, *test_japanese.NOT_SAYABLE, "PCIを推奨する。"],
}


def prose(of: Facts) -> dict[Language, str]:
    return {language: prose_from_facts(language, of) for language in LANGUAGES}


@st.composite
def _changed(draw: st.DrawFn, of: Facts) -> Facts:
    """The facts with one lesion changed in one respect, or the dominance, the grafts or a side."""
    which = draw(st.sampled_from(["place", "percent", "occluded", "chronic", "gone", "dominance", "grafts", "sides"]))
    index = draw(st.integers(0, len(of.lesions) - 1))
    lesion, lesions = of.lesions[index], list(of.lesions)
    if which == "place":
        artery = draw(st.sampled_from(ARTERIES))
        lesions[index] = replace(lesion, artery=artery, segment=draw(st.sampled_from(SEGMENTS[artery])))
    elif which == "percent":
        lesions[index] = replace(lesion, percent=draw(st.integers(1, 99)), occluded=False, chronic=False)
    elif which == "occluded":
        lesions[index] = replace(lesion, percent=100, occluded=True, chronic=False)
    elif which == "chronic":
        lesions[index] = replace(lesion, percent=100, occluded=True, chronic=True)
    elif which == "gone":
        del lesions[index]
    elif which == "dominance":
        return replace(of, dominance=draw(st.sampled_from(["right", "left", "balanced"])))
    elif which == "grafts":
        return replace(of, grafts=draw(st.integers(0, 9)))
    else:
        sides = draw(st.sampled_from(SIDES[1:]))
        assume(all(SIDE_OF[one.artery] in sides for one in of.lesions))  # a lesion says that its side was shown
        return replace(of, sides=sides)
    return replace(of, lesions=tuple(lesions))


def _placed(of: Facts) -> Facts:
    """The left main has one segment: named or not, it is the same place."""
    return replace(of, lesions=tuple(replace(one, segment=place_of(one)[1]) for one in of.lesions))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_changed_fact_is_always_found(data: st.DataObject) -> None:
    true = data.draw(facts(least_lesions=1))
    changed = data.draw(_changed(true))
    assume(_placed(changed) != _placed(true))
    for language in LANGUAGES:
        found = check_prose({**prose(true), language: prose_from_facts(language, changed)}, true, findings_of(true))
        assert found.struck or found.withheld is not None
        assert all(one.language == language for one in found.struck)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(LANGUAGES))
def test_a_lesion_that_is_made_up_is_struck(data: st.DataObject, language: Language) -> None:
    true = data.draw(facts(least_lesions=1))
    (made_up, *_) = data.draw(facts(least_lesions=1)).lesions
    segment = made_up.segment
    assume(segment is not None)  # without one it may only say less of a lesion that is there
    assume(place_of(made_up) not in {place_of(one) for one in true.lesions})
    text = prose_from_facts(language, Facts(("left", "right"), (made_up,)))
    struck = check_prose({language: text}, true, findings_of(true)).struck
    assert any(one.reason in ("contradiction", "unsupported") and str(segment) in one.sentence for one in struck)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LANGUAGES), st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([" ", "\n", "\n- "]))
def test_nothing_is_struck_from_what_is_left(language: Language, seed: int, count: int, between: str) -> None:
    text = between.join(Random(seed).choices(SENTENCES[language], k=count))
    kept = checked(language, text).kept[language]
    assert checked(language, kept).struck == ()
    assert checked(language, kept).kept[language] == kept


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.sampled_from(LANGUAGES))
def test_any_text_can_be_checked(text: str, language: Language) -> None:
    found = checked(language, text)
    assert found.withheld is not None
    assert len("".join(found.kept.values())) <= len(text)


def test_a_draft_that_states_all_is_shown() -> None:
    found = check_prose(prose(STUDY), STUDY, FINDINGS)
    assert (found.withheld, found.struck, found.same_facts) == (None, (), True)


def test_struck_sentences_leave_the_others_as_they_were() -> None:
    texts = prose(STUDY)
    texts["en"] = texts["en"].replace(
        "There is a 90%", "Segment 7 has 90% stenosis. PCI is recommended.  There is a 90%"
    )
    found = check_prose(texts, STUDY, FINDINGS)
    assert found.withheld is None
    assert found.kept["en"] == prose(STUDY)["en"].replace(" There is a 90%", "  There is a 90%")
    assert [(one.reason, one.sentence) for one in found.struck] == [
        ("contradiction", "Segment 7 has 90% stenosis."),
        ("advice", "PCI is recommended."),
    ]
    assert found.struck_for("contradiction") == 1


def test_a_lesion_that_is_left_out_withholds_the_draft() -> None:
    texts = prose(STUDY)
    texts["ja"] = prose_from_facts("ja", replace(STUDY, lesions=STUDY.lesions[1:]))
    found = check_prose(texts, STUDY, FINDINGS)
    assert found.withheld == "facts are not stated in ja: lad 6: lesion; lad 6: 75%"
    assert found.omissions == {"en": (), "ja": ("lad 6: lesion", "lad 6: 75%")}
    assert not found.same_facts


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("75% stenosis in the LAD.", ("lad 6: lesion",)),
        ("A stenosis in segment 6.", ("lad 6: 75%",)),
        ("A severe stenosis in segment 6.", ("lad 6: 75%",)),
        ("75% stenosis in the LAD. The lesion is in segment 6.", ()),
        ("The left coronary artery has a 75% stenosis.", ("lad 6: lesion",)),
    ],
)
def test_a_lesion_is_stated_with_all_that_is_known_of_it(said: str, missing: tuple[str, ...]) -> None:
    one = Facts(("left",), (Lesion("lad", "6", 75),))
    assert checked("en", said, one).omissions["en"] == missing


def test_a_chronic_occlusion_is_more_than_an_occlusion() -> None:
    one = Facts(("right",), (Lesion("rca", "2", 100, occluded=True, chronic=True),))
    assert checked("en", "Total occlusion of segment 2.", one).omissions["en"] == ("rca 2: chronic",)
    assert checked("ja", "#2は100%狭窄である。", one).omissions["ja"] == ("rca 2: chronic",)
    assert checked("ja", "#2はCTOである。", one).omissions["ja"] == ()


def test_a_missing_dominance_is_an_omission_but_shown() -> None:
    text = {language: prose_from_facts(language, replace(STUDY, dominance=None)) for language in LANGUAGES}
    found = check_prose(text, STUDY, FINDINGS)
    assert found.omissions == {"en": ("dominance right",), "ja": ("dominance right",)}
    assert found.withheld is None


def test_languages_that_state_different_facts_withhold_the_draft() -> None:
    texts = prose(STUDY)
    texts["ja"] = prose_from_facts("ja", replace(STUDY, dominance=None))
    found = check_prose(texts, STUDY, FINDINGS)
    assert found.withheld == "the two languages do not state the same facts"


def test_nothing_found_must_be_said_of_a_study_without_a_lesion() -> None:
    clean = Facts(("left",))
    found = check_prose(
        {"en": "The left coronary artery was shown.", "ja": "左冠動脈を造影した。"}, clean, findings_of(clean)
    )
    assert found.withheld == "facts are not stated in en: no lesion on the left"


def test_arteries_that_are_each_clear_make_a_clear_side() -> None:
    clean = Facts(("left",))
    assert checked("en", "The left main, LAD and LCx are normal.", clean).omissions["en"] == ()
    assert checked("en", "The LAD and LCx are normal.", clean).omissions["en"] == ("no lesion on the left",)


def test_a_repeated_sentence_is_struck() -> None:
    found = checked("en", "CTO of segment 2. CTO of segment 2. cto of  segment 2.")
    assert found.kept["en"] == "CTO of segment 2."
    assert [one.reason for one in found.struck] == ["repeated", "repeated"]


def test_no_other_is_true_only_beside_all_others() -> None:
    all_but_one = "#6 75%, #13 50%, CTO of segment 2."
    assert [one.sentence for one in checked("en", f"No other lesion. {all_but_one}").struck] == ["No other lesion."]
    assert checked("en", f"No other lesion. {all_but_one} 90% stenosis of segment 9.").struck == ()
    assert checked("en", f"{all_but_one} No other stenosis in the LAD. D1 75%.").struck_for("contradiction") == 2


def test_a_missing_language_withholds_the_draft() -> None:
    found = check_prose({"en": prose_from_facts("en", STUDY)}, STUDY, FINDINGS)
    assert found.withheld == "nothing is left of the text: ja"


def test_the_template_is_not_put_in_the_place_of_what_was_struck() -> None:
    found = check_prose({"en": "PCI.", "ja": "治療。"}, STUDY, FINDINGS)
    assert found.kept == {"en": "", "ja": ""}
    assert found.withheld == "nothing is left of the text: en, ja"


@pytest.mark.parametrize(
    ("known", "conflict"),
    [
        (Facts(("left",)), "sides"),
        (Facts(STUDY.sides, (Lesion("lad", "7", 75),)), "lesions"),
        (Facts(STUDY.sides, (), "left"), "dominance"),
        (Facts(STUDY.sides, (), None, 1), "grafts"),
    ],
)
def test_facts_that_contradict_what_is_confirmed_withhold_the_draft(known: Facts, conflict: str) -> None:
    findings = Findings(1, (), known)
    assert conflict in str(findings_conflict(STUDY, findings))
    assert "contradict confirmed findings" in str(check_prose(prose(STUDY), STUDY, findings).withheld)


def test_confirmed_facts_in_another_order_are_the_same() -> None:
    known = replace(STUDY, lesions=STUDY.lesions[::-1])
    assert findings_conflict(STUDY, Findings(1, (), known)) is None


def test_facts_that_cannot_be_true_withhold_the_draft() -> None:
    wrong = Facts(("left",), (Lesion("lad", "6", 75), Lesion("lad", "6", 75)))
    assert facts_faults(wrong)
    assert "cannot be true" in str(check_prose(prose(wrong), wrong, findings_of(wrong)).withheld)
