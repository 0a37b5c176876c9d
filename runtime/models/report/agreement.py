"""Whether a statement is true of the facts: supported, contradicted, or more than the facts can support.

The facts hold all narrowings of the sides that were shown, and nothing of a side that was not. Not for: reading
statements from text (english.py, japanese.py), or what to do with a sentence (check.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from cathrt.runtime.models.report.facts import Artery, Facts, Lesion, Side
from cathrt.runtime.models.report.places import ARTERY_OF, SIDE_OF, place_of
from cathrt.runtime.models.report.statements import (
    SIGNIFICANT,
    Clear,
    Counted,
    Dominant,
    Grade,
    Grafted,
    Narrowed,
    Place,
    Shown,
    Statement,
    Unsupported,
    Vessels,
)

Verdict = Literal["supported", "contradiction", "unsupported"]
_VESSELS: tuple[Artery, ...] = ("lad", "lcx", "rca")
# From which narrowing a vessel counts as diseased, by two customs: 50, and 75 as AHA grades are used in Japan.
_DISEASED_FROM = (SIGNIFICANT, 75)


def verdict(statement: Statement, facts: Facts, stated: Iterable[Lesion] = ()) -> tuple[Verdict, str]:
    """What becomes of a statement, and why. stated: lesions that the rest of the text states, for "no other"."""
    match statement:
        case Unsupported(words):
            return "unsupported", words
        case Narrowed(place, grade):
            return _narrowed(place, grade, facts)
        case Clear():
            return _clear(statement, facts, tuple(stated))
        case Shown(sides, shown):
            wrong = sorted(side for side in sides if (side in facts.sides) != shown)
            return ("contradiction", f"{' and '.join(wrong)} coronary artery shown or not") if wrong else _SUPPORTED
        case Dominant(dominance):
            return _same("dominance", dominance, facts.dominance)
        case Grafted(count):
            return _same("grafts", count, facts.grafts)
        case Counted():
            return _counted(statement, facts)
        case Vessels(count):
            return _vessels(count, facts)


def lesions_meant(place: Place, grade: Grade, facts: Facts) -> list[Lesion]:
    """Lesions that a narrowing of this grade at this place can be; the ones named just so, if there are any."""
    meant = [one for one in facts.lesions if _lies(one, place) and _fits(one, grade) == "supported"]
    if place.level == "artery":
        return [one for one in meant if one.segment is None] or meant
    return meant


_SUPPORTED: tuple[Verdict, str] = ("supported", "")


def _narrowed(place: Place, grade: Grade, facts: Facts) -> tuple[Verdict, str]:
    if not place.sides & set(facts.sides):
        return "unsupported", f"the {_listed(place.sides)} coronary artery was not shown"
    here = [lesion for lesion in facts.lesions if _lies(lesion, place)]
    if not here:
        arteries = {ARTERY_OF[segment] for segment in place.segments}
        if any(lesion.segment is None and lesion.artery in arteries for lesion in facts.lesions):
            return "unsupported", "the segment of the lesion is not known"
        return "contradiction", "no lesion there"
    fits = {_fits(lesion, grade) for lesion in here}
    if "supported" in fits:
        return _SUPPORTED
    if "unsupported" in fits:
        return "unsupported", "the grade of the lesion is not known"
    return "contradiction", "the lesion there has another grade"


def _lies(lesion: Lesion, place: Place) -> bool:
    artery, segment = place_of(lesion)
    if segment is not None:
        return segment in place.segments
    return place.level in ("artery", "side") and any(ARTERY_OF[one] == artery for one in place.segments)


def _fits(lesion: Lesion, grade: Grade) -> Verdict:
    """Whether the grade is true of the lesion. What is not known of a lesion cannot be said of it."""
    if (grade.occluded and not lesion.occluded) or (grade.chronic and not lesion.chronic):
        return "contradiction"
    if grade.unknown and lesion.percent is not None:
        return "contradiction"
    if lesion.percent is None:
        graded = grade.percent is not None or (grade.least, grade.most) != (1, 100)
        return "unsupported" if graded else "supported"
    exact = grade.percent is None or grade.percent == lesion.percent
    return "supported" if exact and grade.least <= lesion.percent <= grade.most else "contradiction"


def _clear(statement: Clear, facts: Facts, stated: tuple[Lesion, ...]) -> tuple[Verdict, str]:
    place = statement.place
    if not (place.sides if place is not None else facts.sides):
        return "unsupported", "no coronary artery was shown"
    if place is not None and not place.sides <= set(facts.sides):
        return "unsupported", f"the {_listed(place.sides - set(facts.sides))} coronary artery was not shown"
    spoken_of = stated if statement.others else ()
    left = [lesion for lesion in facts.lesions if lesion not in spoken_of]
    for lesion in left:
        if lesion.percent is not None and lesion.percent < statement.least:
            continue
        if place is None or _lies(lesion, place):
            return "contradiction", f"there is a lesion in {lesion.artery} {lesion.segment or ''}".rstrip()
        if lesion.segment is None and any(ARTERY_OF[segment] == lesion.artery for segment in place.segments):
            return "unsupported", "the segment of a lesion is not known"
    return _SUPPORTED


def _same(what: str, said: object, known: object) -> tuple[Verdict, str]:
    if known is None:
        return "unsupported", f"{what} not known"
    return _SUPPORTED if said == known else ("contradiction", f"{what} {known}")


def _counted(statement: Counted, facts: Facts) -> tuple[Verdict, str]:
    place = statement.place
    if place is not None and not place.sides <= set(facts.sides):
        return "unsupported", f"the {_listed(place.sides - set(facts.sides))} coronary artery was not shown"
    fits = [_fits(lesion, statement.grade) for lesion in facts.lesions if place is None or _lies(lesion, place)]
    if "unsupported" in fits:
        return "unsupported", "the grade of a lesion is not known"
    count = fits.count("supported")
    return _SUPPORTED if count == statement.count else ("contradiction", f"lesions {count}")


def _vessels(count: int, facts: Facts) -> tuple[Verdict, str]:
    """Where the two customs differ, a number of diseased vessels cannot be supported."""
    if len(facts.sides) < 2:
        return "unsupported", "only one side was shown"
    if any(lesion.percent is None for lesion in facts.lesions):
        return "unsupported", "the grade of a lesion is not known"
    counts = {
        len({one.artery for one in facts.lesions if one.artery in _VESSELS and (one.percent or 0) >= least})
        for least in _DISEASED_FROM
    }
    if count not in counts:
        return "contradiction", f"vessels {sorted(counts)}"
    return _SUPPORTED if len(counts) == 1 else ("unsupported", "vessels diseased by one custom, not by the other")


def _listed(sides: Iterable[Side]) -> str:
    return " and ".join(sorted(sides))


def clear_arteries(statement: Clear, facts: Facts) -> set[Artery]:
    """Arteries that the statement clears as a whole of significant narrowings, of the sides that were shown."""
    if statement.least > SIGNIFICANT:
        return set()
    shown = {artery for artery, side in SIDE_OF.items() if side in facts.sides}
    if statement.place is None:
        return shown
    if statement.place.level not in ("side", "artery") and statement.place.segments != frozenset({"5"}):
        return set()
    return {ARTERY_OF[segment] for segment in statement.place.segments} & shown
