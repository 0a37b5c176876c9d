"""Facts out of what a model that reads whole studies has called: narrowings, occlusions and dominance.

Only what is called positive becomes a fact, in arteries whose side was shown. Not for: which readings count
(study/reading.py), or what is written of the facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.models.report.facts import MOST_LESIONS, Dominance, Facts, Lesion, Segment, Side
from cathrt.runtime.models.report.places import ARTERY_OF, SIDE_OF, segments_of
from cathrt.runtime.models.report.schema import PERCENTS

# By the segment's key in a reading; what has no segment of its own in the SYNTAX score is left out.
_SEGMENTS: dict[str, Segment] = {
    "prox_rca": "1", "mid_rca": "2", "dist_rca": "3", "pda": "4", "posterolateral": "16", "left_main": "5",
    "prox_lad": "6", "mid_lad": "7", "dist_lad": "8", "D1": "9", "D2": "10",
    "prox_lcx": "11", "dist_lcx": "13", "om1": "12a", "om2": "12b",
}  # fmt: skip
_NARROWED, _CLOSED, _GRADED, _DOMINANCE = "significant stenosis", "chronic total occlusion", "stenosis", "dominance"
_GRADES = tuple(percent for percent in PERCENTS if percent < 100)


def facts_from_readings(readings: Sequence[Sequence[StudyFinding]], sides: tuple[Side, ...]) -> Facts:
    """Of the first reading that asks for narrowings, occlusions or dominance: two models never merge.

    A narrowing has the grade, of those that reports use, that is next to its percentage; ungraded where none is told.
    Of more than MOST_LESIONS the surest calls are kept.
    """
    found = next((one for one in readings if any(each.asks in (_NARROWED, _CLOSED, _DOMINANCE) for each in one)), ())
    dominance = next((_dominance(one) for one in found if one.asks == _DOMINANCE), None)
    called: dict[Segment, tuple[float, Lesion]] = {}
    for one in found:
        segment = _SEGMENTS.get(one.segment or "")
        if segment is None or not one.positive or one.asks not in (_NARROWED, _CLOSED):
            continue
        artery = ARTERY_OF[segment]
        if SIDE_OF[artery] not in sides or segment not in segments_of(artery, dominance):
            continue
        closed = one.asks == _CLOSED
        percent = 100 if closed else _grade(one.segment, found)
        if closed or segment not in called:  # what is closed is no narrowing beside it
            called[segment] = one.margin or 0.0, Lesion(artery, segment, percent, closed, closed)
    surest = sorted(called.values(), key=lambda one: -one[0])[:MOST_LESIONS]
    kept = {lesion.segment for _, lesion in surest}
    order = [segment for segment in ARTERY_OF if segment in kept]
    return Facts(sides, tuple(called[segment][1] for segment in order), dominance)


def _grade(segment: str | None, found: Sequence[StudyFinding]) -> int | None:
    told = next((one.value for one in found if one.asks == _GRADED and one.segment == segment), None)
    return None if told is None else min(_GRADES, key=lambda grade: abs(grade - told))


def _dominance(one: StudyFinding) -> Dominance | None:
    return cast(Dominance, one.label) if one.label in get_args(Dominance) else None
