"""Joins the parts of a clause that are one place or one grading: "LAD (segment 6)", "the stenosis of the LAD is 75%".

Not for: denials and counts (denials.py), or which grading belongs to which place (grouping.py).
"""

from __future__ import annotations

from dataclasses import replace

from cathrt.runtime.models.report.facts import Segment
from cathrt.runtime.models.report.parts import Part, UnclearError, What, Where
from cathrt.runtime.models.report.places import ARTERY_OF, SEGMENTS
from cathrt.runtime.models.report.statements import Grade, Place, joined


def joined_parts(parts: list[Part]) -> list[Part]:
    """Places and gradings in their order, each once. Marks stay, also those that change nothing yet (denials.py).

    Raises UnclearError where a word could belong to two things or to none.
    """
    parts = _borrowed(_places_joined(parts))
    if any(isinstance(part, Where) and part.place.level == "position" for part in parts):
        raise UnclearError("proximal, mid or distal of what")
    return _places_joined(_nouns_moved(_grades_joined(parts)))


def _places_joined(parts: list[Part]) -> list[Part]:
    """Places with nothing between them name one place."""
    found: list[Part] = []
    for part in parts:
        before = found[-1] if found else None
        if isinstance(part, Where) and isinstance(before, Where) and not part.parted:
            found[-1] = Where(_one_place(before.place, part.place), before.parted)
        else:
            found.append(part)
    return found


def _one_place(one: Place, other: Place) -> Place:
    both = one.segments & other.segments
    if not both:
        raise UnclearError("two places named as one")
    levels = {one.level, other.level}
    if "position" in levels and levels != {"position"}:
        if "side" in levels or len(both) > 1:
            raise UnclearError("proximal, mid or distal of what")
        return Place("segment", both)
    level = next(level for level in ("segment", "artery", "side", "position") if level in levels)
    return Place(level, both)


def _borrowed(parts: list[Part]) -> list[Part]:
    """A position without an artery has that of its neighbour in a list, or of the artery named before it.

    "proximal and mid LAD"; "the LAD has a lesion in its distal segment".
    """
    found = list(parts)
    for index, part in enumerate(parts):
        if not isinstance(part, Where) or part.place.level != "position":
            continue
        before = [one for one in found[:index] if isinstance(one, Where)][-1:]
        listed = [one for one in parts[index + 1 : index + 2] if one.parted]
        for one in (*listed, *before):
            if isinstance(one, Where) and (segments := part.place.segments & _artery_of(one.place)):
                found[index] = Where(Place("segment", segments), part.parted)
                break
    return found


def _artery_of(place: Place) -> frozenset[Segment]:
    """All segments of the artery that the place lies in; none if that is not sure."""
    arteries = {ARTERY_OF[segment] for segment in place.segments}
    return frozenset(SEGMENTS[arteries.pop()]) if len(arteries) == 1 and place.level != "side" else frozenset()


def _grades_joined(parts: list[Part]) -> list[Part]:
    """Gradings with nothing between them, or a comma and one percentage, are of one narrowing."""
    found: list[Part] = []
    for index, part in enumerate(parts):
        before = found[-1] if found else None
        if not (isinstance(part, What) and isinstance(before, What) and _one_narrowing(before, part)):
            found.append(part)
            continue
        grade = joined(before.grade, part.grade)
        if grade is None:
            raise UnclearError("two percentages of one narrowing")
        if part.parted and (not grade.consistent or (_touches(found[:-1]) and _touched(parts[index + 1 :]))):
            found.append(part)
        else:
            found[-1] = replace(before, grade=grade)
    return found


def _one_narrowing(one: What, other: What) -> bool:
    if one.denied or other.denied or other.parted in ("and", "or"):
        return False
    graded = [what.grade.percent is not None for what in (one, other)]
    kinds = {what.grade.occluded for what in (one, other) if what.grade.named}
    if len(kinds) > 1 and not any(graded):  # "stenosis, occlusion": two kinds of narrowing
        return False
    added = any(what.grade in (Grade(chronic=True), Grade(unknown=True)) for what in (one, other))
    return not other.parted or sum(graded) == 1 or added


def _touches(parts: list[Part]) -> bool:
    return bool(parts) and isinstance(parts[-1], Where)


def _touched(parts: list[Part]) -> bool:
    """ "#13 50%, occlusion of #2": the second grading has a place of its own."""
    return bool(parts) and isinstance(parts[0], Where) and not parts[0].parted


def _nouns_moved(parts: list[Part]) -> list[Part]:
    """ "75% LAD stenosis" and "the stenosis of the LAD is 75%": the two gradings round a place are of one narrowing."""
    for index, part in enumerate(parts):
        if not isinstance(part, What) or part.denied:
            continue
        end = index + 1
        while end < len(parts) and isinstance(parts[end], Where) and (end == index + 1) == (not parts[end].parted):
            end += 1
        last = parts[end] if end < len(parts) else None
        if end == index + 1 or not isinstance(last, What) or last.denied or last.parted:
            continue
        if part.grade.named == last.grade.named or not (_is_noun(part.grade) or _is_noun(last.grade)):
            continue
        grade = joined(part.grade, last.grade)
        if grade is not None:
            return _nouns_moved(
                [*parts[:index], replace(part, grade=grade), *parts[index + 1 : end], *parts[end + 1 :]]
            )
    return parts


def _is_noun(grade: Grade) -> bool:
    return grade == Grade(named=True)
