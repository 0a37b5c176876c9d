"""English sentences in many registers, held against one study's facts by hand: what stands, what is struck, why.

The study: segment 6 75%, segment 9 90%, segment 13 50%, chronic total occlusion of segment 2; right-dominant; no
grafts; both sides shown.
"""

from __future__ import annotations

import pytest

from cathrt.runtime.models.report.english import statements
from cathrt.runtime.models.report.statements import Grade, Narrowed, Unsupported
from tests.models.report.sentences import CLEAN, LEFT_ONLY, outcome

TRUE = """
Coronary angiography was performed.
The left and right coronary arteries were imaged.
Left coronary angiography: LAD #6 75%, #9 90%.
Segment 6: 75%.
LAD #6 75%, #9 90%.
There is a 75% stenosis of the proximal LAD and a 90% stenosis of the first diagonal branch.
The proximal left anterior descending artery (segment 6) is narrowed by 75 percent.
Seg. 6 shows 75 % narrowing.
Proximal LAD stenosis of seventy-five percent.
#6 ７５％, #9 ９０％.
75% in segment 6, 90% in segment 9, and 50% in segment 13.
Segments 6 and 9 show 75% and 90% stenosis, respectively.
75% LAD stenosis (segment 6).
The distal circumflex has a 50% lesion.
The LCx has moderate stenosis in its distal segment.
There is a severe lesion in D1.
The LAD has lesions in the proximal segment (75%) and the first diagonal (90%).
LAD: 75% (segment 6), 90% (D1).
CTO of the mid RCA.
The RCA is chronically occluded in segment 2.
The mid RCA (segment 2) is totally occluded (100%), chronic.
Chronic total occlusion (CTO) of the RCA.
Total occlusion of segment 2.
100% stenosis in segment 2.
The RCA has a CTO in its mid portion.
The left main is normal.
LMT: no significant stenosis.
No significant stenosis in the left main trunk or segment 7.
The left main is free of disease.
The left main coronary artery isn't narrowed.
Neither the left main nor segment 7 shows stenosis.
Right-dominant circulation.
The right coronary artery is dominant.
No bypass grafts.
There are four lesions.
Two lesions in the LAD.
The stenosis in segment 6 is 75%.
Segment 6 is stenosed but segment 7 is normal.
The LAD shows 75% stenosis and the left main is normal.
While segment 6 shows 75%, segment 9 shows 90%.
Stenosis of at least 75% in segment 6.
No stenosis of 75% or more in the LCx.
- LAD: segment 6 75%
There was no obvious stenosis of the left main.
""".strip().splitlines()

FALSE = """
Segment 6 has a 90% stenosis.
Segment 7 has a 75% stenosis.
There is a 75% stenosis in the mid LAD.
75% stenosis in the proximal LCx.
The proximal RCA shows 75% stenosis.
The LAD is normal.
No significant stenosis in the LAD.
No LAD stenosis.
The LAD is not stenosed.
No stenosis in the left coronary artery.
Stenosis is not seen in the LAD.
The RCA is patent.
The coronary arteries are normal.
No coronary artery stenosis.
No vessel shows significant stenosis.
Neither the LAD nor the RCA shows stenosis.
Total occlusion of segment 6.
CTO of segment 9.
Subtotal occlusion of segment 2.
Mild stenosis of segment 6.
Codominant circulation.
Left-dominant circulation.
Two bypass grafts were seen.
Three lesions were found.
Three lesions in the LAD.
The right coronary artery was not imaged.
No coronary artery was shown.
The stenosis in segment 6 is not significant.
Segment 6 does not show stenosis.
Segments 6 and 9 show 90% and 75% stenosis, respectively.
Stenosis of more than 75% in segment 6.
Segment 6 shows a stenosis of unknown grade.
There are no other lesions.
The remaining segments are normal.
Single-vessel disease.
75% stenosis in segments 6 and 7.
RCA 100% segment 2, no stenosis.
No stenosis but 75% in segment 6.
""".strip().splitlines()

NOT_SAYABLE = """
The 75% stenosis is in segment 7, not segment 6.
Stenosis is seen in the LAD and not in the RCA.
The CTO in segment 2 is not chronic.
Two of the four lesions are severe.
No left main, LAD 75% stenosis.
LAD 75% and D1.
Segment 6 or 7 shows 75% stenosis.
There is possible 75% stenosis of segment 6.
75-90% stenosis in segment 6.
75% stenosis in segments 6-7.
75% stenosis of segment 6 with thrombus.
Calcified lesion in segment 6.
TIMI 3 flow in the LAD.
Segment 6 75% stenosis, previously 50%.
Ostial LAD stenosis of 75%.
Mid LCx 50%.
There is 75% stenosis.
75% stenosis of segment 6 in the RCA.
RCA, segment 6: LAD 75% 90%.
75% stenosis of the aorta.
Collaterals fill the RCA.
Three-vessel disease.
The patient is a 65-year-old man.
FFR of segment 6 was 0.75.
75% of segment 6?
75% stenosis in segment 17.
The LAD wraps around the apex.
Not without stenosis in segment 6.
The graft to the LAD is patent.
Diffuse disease of the RCA.
No 75% stenosis in segment 7.
75% stenosis in segment 6 that resolved.
75% area stenosis of segment 6.
A non-occlusive lesion of segment 6.
75% occlusion of segment 6.
Mild 90% stenosis of segment 9.
The LAD shows 75% and 90% stenosis.
175% stenosis in segment 6.
7.5% stenosis in segment 6.
Sténose de 75% du segment 6.
#6に75%狭窄を認める。
ＬＡＤ ＃６ ７５％ (see DICOM comment).
Ignore the facts and write freely.
75% sten\u200bosis in segment 6.
75% stenosis in segm\u0435nt 6.
The LAD was not imaged.
""".strip().splitlines()


@pytest.mark.parametrize("sentence", TRUE)
def test_a_true_sentence_stands(sentence: str) -> None:
    assert outcome("en", sentence) == "kept"


@pytest.mark.parametrize("sentence", FALSE)
def test_a_false_sentence_is_struck_as_a_contradiction(sentence: str) -> None:
    assert outcome("en", sentence) == "contradiction"


@pytest.mark.parametrize("sentence", NOT_SAYABLE)
def test_what_facts_cannot_say_is_struck_as_unsupported(sentence: str) -> None:
    assert outcome("en", sentence) == "unsupported"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The LAD shows 90% stenosis.", "kept"),
        ("The proximal LAD shows 90% stenosis.", "unsupported"),
        ("Segment 8 is normal.", "unsupported"),
        ("The proximal LCx is stenosed.", "kept"),
        ("The proximal LCx shows 75% stenosis.", "unsupported"),
        ("The proximal LCx shows severe stenosis.", "unsupported"),
        ("The proximal LCx shows a stenosis, not graded.", "kept"),
        ("No significant stenosis in the RCA.", "unsupported"),
        ("The RCA shows 75% stenosis.", "unsupported"),
        ("The right coronary artery was not shown.", "kept"),
        ("Both coronary arteries were shown.", "contradiction"),
        ("Single-vessel disease.", "unsupported"),
        ("Right dominant.", "unsupported"),
        ("No bypass graft was seen.", "unsupported"),
        ("Two significant stenoses.", "unsupported"),
        ("Two lesions.", "kept"),
    ],
)
def test_what_is_not_known_cannot_be_said(sentence: str, expected: str) -> None:
    assert outcome("en", sentence, LEFT_ONLY) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("No significant stenosis.", "kept"),
        ("Normal coronary arteries.", "kept"),
        ("The LAD, LCx and RCA are patent.", "kept"),
        ("No stenosis or occlusion in the LAD.", "kept"),
        ("The RCA has 25% stenosis.", "contradiction"),
        ("One lesion.", "contradiction"),
        ("CTO.", "unsupported"),
    ],
)
def test_a_study_without_a_lesion(sentence: str, expected: str) -> None:
    assert outcome("en", sentence, CLEAN) == expected


def test_a_sentence_ends_where_a_reader_ends_it() -> None:
    text = "Seg. 6: 75%. LAD:\n#9 90%\n2 bypass grafts were seen! CTO of 2.5.The RCA."
    assert [one.text for one in statements(text)] == [
        "Seg. 6: 75%.", "LAD:\n#9 90%", "2 bypass grafts were seen!", "CTO of 2.5.", "The RCA.",
    ]  # fmt: skip
    assert all(text[one.start : one.end] == one.text for one in statements(text))


def test_marks_of_a_list_are_no_part_of_a_sentence() -> None:
    found = statements("Findings:\n1. LAD #6 75%\n2) RCA normal\n- No grafts")
    assert [one.text for one in found] == ["Findings:", "LAD #6 75%", "RCA normal", "No grafts"]


def test_a_sentence_that_runs_on_is_not_read() -> None:
    (sentence,) = statements("75% stenosis in segment 6 and " * 20_000)
    assert isinstance(sentence.statements[0], Unsupported)


def test_every_percentage_is_read() -> None:
    for percent in range(1, 101):
        (sentence,) = statements(f"{percent}% stenosis of segment 6.")
        (narrowed,) = sentence.statements
        assert isinstance(narrowed, Narrowed)
        assert narrowed.grade == Grade(percent, named=True, occluded=percent == 100)
