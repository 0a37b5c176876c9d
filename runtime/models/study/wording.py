"""Answers in words: the artery of a segment, what a call is called, and one line for a whole reading.

Templates alone, in English and in Japanese. Not for: reading the outputs (answers.py), or drafts of reports.
"""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.models.study.answers import StudyAnswer

# By the segment's key in the published weights.
_ARTERIES = {
    "RCA": ("prox_rca", "mid_rca", "dist_rca", "pda", "posterolateral"),
    "LM": ("left_main",),
    "LAD": ("prox_lad", "mid_lad", "dist_lad", "D1", "D2"),
    "LCX": ("prox_lcx", "mid_lcx", "dist_lcx", "om1", "om2", "lvp"),
    "other": ("bx",),
}
_ARTERY_OF = {segment: artery for artery, segments in _ARTERIES.items() for segment in segments}
# What is asked: called in English and in Japanese, and where it is not called.
_CALLS = {
    "significant stenosis": ("significant stenosis", "有意狭窄", "no significant stenosis", "有意狭窄なし"),
    "calcification": ("calcified", "石灰化", "not calcified", "石灰化なし"),
    "chronic total occlusion": ("chronic total occlusion", "慢性完全閉塞", "no chronic total occlusion", "閉塞なし"),
    "thrombus": ("thrombus", "血栓", "no thrombus", "血栓なし"),
}
_OTHER_CALL = ("above the threshold", "閾値超", "below the threshold", "閾値以下")
_GRAVEST_FIRST = ("thrombus", "chronic total occlusion", "significant stenosis", "calcification")


def finding_from(answer: StudyAnswer) -> StudyFinding:
    """The answer as records have it."""
    question = answer.question
    label, label_ja = _label(answer)
    return StudyFinding(
        name=question.name,
        title=question.title,
        asks=question.asks,
        artery=None if question.segment is None else _ARTERY_OF.get(question.segment),
        segment=question.segment,
        form=question.form,
        value=answer.value,
        unit=question.unit,
        threshold=question.threshold,
        positive=answer.positive,
        margin=answer.margin,
        label=label,
        label_ja=label_ja,
    )


def in_one_line(findings: Sequence[StudyFinding]) -> tuple[str, str]:
    """What is called in which segments, the gravest first, then what is said of the whole study."""
    english, japanese = [], []
    asked = [asks for asks in _GRAVEST_FIRST if any(one.asks == asks and one.segment for one in findings)]
    for asks in asked:
        called = [one for one in findings if one.asks == asks and one.segment and one.positive]
        if called:
            where = ", ".join(str(one.segment) for one in called)
            english.append(f"{called[0].label}: {where}")
            japanese.append(f"{called[0].label_ja}: {where}")
    if asked and not english:
        english.append("nothing is called in any segment")
        japanese.append("陽性区域なし")
    for one in findings:
        if one.segment is None:
            value = f"{one.title} {_value(one)}"
            english.append(f"{value}{f' ({one.label})' if one.label and one.form != 'category' else ''}")
            japanese.append(f"{value}{f' ({one.label_ja})' if one.label and one.form != 'category' else ''}")
    return "; ".join(english), "; ".join(japanese)


def _label(answer: StudyAnswer) -> tuple[str, str]:
    if answer.category is not None:
        return answer.category, answer.category
    if answer.positive is None:
        return "", ""
    yes, yes_ja, no, no_ja = _CALLS.get(answer.question.asks, _OTHER_CALL)
    return (yes, yes_ja) if answer.positive else (no, no_ja)


def _value(one: StudyFinding) -> str:
    if one.form == "category":
        return f"{one.label} ({one.value:.2f})"
    if one.form == "probability":
        return f"{one.value:.2f}"
    return f"{one.value:.0f} %" if one.unit == "%" else f"{one.value:.1f} {one.unit}".strip()
