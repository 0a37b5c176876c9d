"""The facts that a text states, by the reader that also checks drafts. What it cannot understand is only counted.

Not for: whether they are true (fact_scores.py), or the check of a draft (runtime/models/report/check.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cathrt.runtime.models.report import english, japanese
from cathrt.runtime.models.report.facts import MOST_LESIONS, Facts, Lesion, Side
from cathrt.runtime.models.report.places import ARTERY_OF
from cathrt.runtime.models.report.section import Language
from cathrt.runtime.models.report.statements import (
    OCCLUDED,
    Clear,
    Dominant,
    Grafted,
    Narrowed,
    Sentence,
    Shown,
    Statement,
    Unsupported,
)

_SIDES: tuple[Side, ...] = ("left", "right")


@dataclass(frozen=True, slots=True)
class Stated:
    """What a text was understood to say. unread: sentences that say something which no fact can hold."""

    facts: Facts
    unread: int


def sentences_of(text: str, language: Language) -> Sequence[Sentence]:
    """The sentences, and what each was understood to say."""
    return english.statements(text) if language == "en" else japanese.statements(text)


def stated_in(text: str, language: Language) -> Stated:
    """A narrowing at a side, not at an artery, is not understood. Of two dominances or numbers of grafts none is
    stated."""
    sentences = sentences_of(text, language)
    found = [statement for sentence in sentences for statement in sentence.statements]
    lesions = {lesion: None for one in found if (lesion := _lesion(one)) is not None}
    unread = sum(any(map(_unread, sentence.statements)) for sentence in sentences)
    dominances = {one.dominance for one in found if isinstance(one, Dominant)}
    grafts = {one.count for one in found if isinstance(one, Grafted)}
    return Stated(
        Facts(
            sides=_sides(found),
            lesions=tuple(sorted(lesions, key=repr))[:MOST_LESIONS],
            dominance=dominances.pop() if len(dominances) == 1 else None,
            grafts=grafts.pop() if len(grafts) == 1 else None,
        ),
        unread,
    )


def _lesion(statement: Statement) -> Lesion | None:
    if not isinstance(statement, Narrowed):
        return None
    segments, grade = statement.place.segments, statement.grade
    arteries = {ARTERY_OF[segment] for segment in segments}
    if len(arteries) != 1:
        return None
    segment = next(iter(segments)) if statement.place.level == "segment" and len(segments) == 1 else None
    percent = OCCLUDED if grade.occluded else grade.percent
    return Lesion(arteries.pop(), segment, percent, grade.occluded, grade.chronic)


def _unread(statement: Statement) -> bool:
    return isinstance(statement, Unsupported) or (isinstance(statement, Narrowed) and _lesion(statement) is None)


def _sides(found: Sequence[Statement]) -> tuple[Side, ...]:
    """Those that the text says were shown, or that it says something of."""
    sides: set[Side] = set()
    for one in found:
        if isinstance(one, Shown) and one.shown:
            sides |= one.sides
        elif isinstance(one, Narrowed) or (isinstance(one, Clear) and one.place is not None):
            assert one.place is not None
            if len(one.place.sides) == 1:
                sides |= one.place.sides
    return tuple(side for side in _SIDES if side in sides)
