"""Orders, advice, treatment and certainty are struck in both languages, whatever else the sentence says."""

from __future__ import annotations

import pytest

from cathrt.runtime.alert import WATERMARK, WATERMARK_JA
from cathrt.runtime.models.report.refusals import refusal
from cathrt.runtime.models.report.section import LANGUAGES, Language
from cathrt.runtime.models.report.template import prose_from_facts
from tests.models.report.sentences import STUDY, outcome

ENGLISH = {
    "order": """
        The lesion must be treated.
        Please proceed to the left main.
        Perform angiography of the RCA again.
        Stop the injection.
        Segment 6 75%; administer contrast.
        """,
    "advice": """
        PCI is recommended.
        The segment 6 lesion should be assessed.
        We suggest follow-up.
        Consider intravascular imaging.
        FFR is advisable.
        Further examination is needed.
        No further examination is necessary.
        The patient is a candidate for revascularization.
        Heart team discussion.
        A segment 6 stenosis of 75% warrants attention.
        Urgent review of segment 2.
        """,
    "treatment": """
        Stenting of segment 6.
        Status post CABG.
        Treated with aspirin.
        Balloon angioplasty of the LAD.
        Medical therapy for segment 13.
        """,
    "certainty": """
        There is definitely a 75% stenosis in segment 6.
        Segment 6 certainly shows 75% stenosis.
        A CTO of segment 2 is confirmed.
        Diagnosis: 75% stenosis of segment 6.
        The diagnostic angiogram shows 75% stenosis of segment 6.
        Without doubt a CTO of segment 2.
        Stenosis of the left main is ruled out.
        Segment 6 clearly shows 75% stenosis.
        """,
}
JAPANESE = {
    "order": """
        #6を再度造影してください。
        追加撮影せよ。
        造影を追加すること。
        """,
    "advice": """
        PCIを推奨する。
        #6は治療すべきである。
        FFR測定が望ましい。
        追加検査が必要である。
        追加検査は必要ない。
        PCIの適応である。
        IVUSを検討する。
        経過観察でよい。
        早急な対応を要する。
        再度造影したほうがよい。
        """,
    "treatment": """
        #6にステントを留置した。
        バルーン拡張を行った。
        冠動脈バイパス術後である。
        アスピリンを内服中である。
        #2に血行再建を行う。
        """,
    "certainty": """
        #6に確実に75%狭窄を認める。
        75%狭窄と診断する。
        #2はCTOと診断された。
        #2は間違いなくCTOである。
        CTOで確定である。
        左主幹部病変は否定できる。
        #6に明らかな75%狭窄を認める。
        #6に75%狭窄が確認された。
        """,
}
CASES: list[tuple[Language, str, str]] = [
    (language, reason, sentence.strip())
    for language, table in ((LANGUAGES[0], ENGLISH), (LANGUAGES[1], JAPANESE))
    for reason, sentences in table.items()
    for sentence in sentences.strip().splitlines()
]


@pytest.mark.parametrize(("language", "reason", "sentence"), CASES)
def test_it_is_struck_for_that_reason(language: Language, reason: str, sentence: str) -> None:
    assert outcome(language, sentence) == reason


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_prose_is_not_refused(language: Language) -> None:
    assert refusal(language, prose_from_facts(language, STUDY)) is None


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "No obvious stenosis of the left main."),
        ("en", "Segments 6 and 9 show 75% and 90% stenosis, in that order."),
        ("ja", "左主幹部に明らかな有意狭窄を認めない。"),
    ],
)
def test_customary_words_are_not_taken_for_certainty_or_orders(language: Language, sentence: str) -> None:
    assert outcome(language, sentence) == "kept"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refused_word_is_found_in_full_width_and_capitals(language: Language) -> None:
    assert refusal(language, "ＰＣＩ") == ("treatment", "pci")


def test_the_watermarks_of_a_draft_claim_nothing() -> None:
    assert refusal("en", WATERMARK.replace("not confirmed", "")) is None
    assert refusal("ja", WATERMARK_JA.replace("確認なし", "")) is None
    assert "research use only" in WATERMARK
    assert "研究用" in WATERMARK_JA
