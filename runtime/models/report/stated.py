"""The facts as single items, such as "lad 6 75%", and which of them sentences state.

Both languages must state the same items; an item that must be stated and is not makes a draft incomplete. Not for:
whether a sentence is true (agreement.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from cathrt.runtime.models.report.agreement import clear_arteries, lesions_meant
from cathrt.runtime.models.report.facts import Artery, Facts, Lesion, Side
from cathrt.runtime.models.report.places import SIDE_OF, arteries_of, place_of
from cathrt.runtime.models.report.statements import (
    Clear,
    Counted,
    Dominant,
    Grade,
    Grafted,
    Narrowed,
    Shown,
    Statement,
)


def items_of(facts: Facts) -> tuple[str, ...]:
    """Every fact as an item, sides first. Sides without a lesion are items too: nothing found must be said."""
    items = [_shown(side) for side in facts.sides] if facts.sides else [_NOTHING_SHOWN]
    for lesion in facts.lesions:
        items += _lesion_items(lesion)
    held = {SIDE_OF[lesion.artery] for lesion in facts.lesions}
    items += [clear_item(side) for side in facts.sides if side not in held]
    if facts.dominance is not None:
        items.append(f"dominance {facts.dominance}")
    if facts.grafts is not None:
        items.append(f"grafts {facts.grafts}")
    return tuple(items)


def essential_items(facts: Facts) -> frozenset[str]:
    """Items without which a draft is withheld: sides, lesions with all that is known of them, grafts; of facts without
    any lesion, that there is none. Not the dominance, nor that one side has no lesion where the other has."""
    leave_out = {f"dominance {facts.dominance}", "grafts 0"}
    if facts.lesions:
        leave_out |= {clear_item(side) for side in facts.sides}
    return frozenset(items_of(facts)) - leave_out


def stated_items(statements: Iterable[Statement], facts: Facts) -> frozenset[str]:
    """Items of the facts that these statements, all of them supported, say or imply."""
    said: set[str] = set()
    cleared: set[Artery] = set()
    for statement in statements:
        match statement:
            case Narrowed(place, grade):
                meant = lesions_meant(place, grade, facts)
                if len(meant) == 1:
                    said |= _said_of(meant[0], grade, exact=place.level == "segment")
                if len(place.sides) == 1:
                    said |= {_shown(side) for side in place.sides}
            case Shown(sides, True):
                said |= {_shown(side) for side in sides}
            case Shown(sides, False) if len(sides) == 2:
                said.add(_NOTHING_SHOWN)
            case Clear(place):
                cleared |= clear_arteries(statement, facts)
                said |= {_shown(side) for side in (place.sides if place is not None else ())}
            case Counted(_, _, place) if place is not None:
                said |= {_shown(side) for side in place.sides}
            case Dominant(dominance):
                said.add(f"dominance {dominance}")
            case Grafted(count):
                said.add(f"grafts {count}")
            case _:
                pass
    said |= {clear_item(side) for side in facts.sides if set(arteries_of((side,))) <= cleared}
    return frozenset(said & set(items_of(facts)))


def stated_lesions(statements: Iterable[Statement], facts: Facts) -> tuple[Lesion, ...]:
    """Lesions that the statements name so that it is clear which is meant."""
    meant = [lesions_meant(one.place, one.grade, facts) for one in statements if isinstance(one, Narrowed)]
    return tuple(lesions[0] for lesions in meant if len(lesions) == 1)


_NOTHING_SHOWN = "no coronary artery shown"


def _shown(side: Side) -> str:
    return f"{side} coronary artery shown"


def clear_item(side: Side) -> str:
    return f"no lesion on the {side}"


def _lesion_items(lesion: Lesion) -> list[str]:
    place, grade = _named(lesion), Grade(lesion.percent, occluded=lesion.occluded, chronic=lesion.chronic)
    return [f"{place}: lesion", *_grade_items(place, grade)]


def _said_of(lesion: Lesion, grade: Grade, *, exact: bool) -> set[str]:
    """exact: the segment was named. Without it a lesion whose segment is known is not stated, but its grade is."""
    place = _named(lesion)
    named = {f"{place}: lesion"} if exact or place_of(lesion)[1] is None else set()
    return named | set(_grade_items(place, grade))


def _grade_items(place: str, grade: Grade) -> list[str]:
    items = [f"{place}: occluded"] if grade.occluded else []
    if grade.percent is not None and not grade.occluded:
        items.append(f"{place}: {grade.percent}%")
    return [*items, f"{place}: chronic"] if grade.chronic else items


def _named(lesion: Lesion) -> str:
    artery, segment = place_of(lesion)
    return artery if segment is None or artery == "left_main" else f"{artery} {segment}"
