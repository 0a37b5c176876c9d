"""What the tokens of a sentence say together: statements, or "unsupported" wherever they could be taken in two ways.

Every token must have its part in a statement or say nothing of its own; a doubt is never resolved by a guess. Not for:
words (english.py, japanese.py), and whether a statement is true (agreement.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from cathrt.runtime.models.report.denials import attached
from cathrt.runtime.models.report.facts import Dominance
from cathrt.runtime.models.report.grouping import Group, groups
from cathrt.runtime.models.report.joining import joined_parts
from cathrt.runtime.models.report.lexicon import LONGEST, Kind, Token
from cathrt.runtime.models.report.parts import Mark, Part, UnclearError, What, Where, parts_of
from cathrt.runtime.models.report.statements import (
    OCCLUDED,
    Clear,
    Counted,
    Dominant,
    Grafted,
    Narrowed,
    Place,
    Shown,
    Statement,
    Unsupported,
    Vessels,
)

_DENIALS: frozenset[Kind] = frozenset({"no", "not", "none", "nowhere"})
_OF_GRAFTS: frozenset[Kind] = frozenset({"graft", "number", "no", "not", "none", "shown", "list", "coronary"})
_BESIDE_DOMINANCE: frozenset[Kind] = frozenset({"list", "shown", "coronary"})
_ALONE: frozenset[Kind] = frozenset({"respectively", "coronary"})
_MOST_UNKNOWN = 12  # that are named
_LEAST_MOST = 99  # "no mild narrowing" says nothing of the others


def read(tokens: Sequence[Token]) -> tuple[Statement, ...]:
    """Of one sentence. A sentence with an unknown word says nothing that can be used: it is unsupported as a whole."""
    if unknown := [token.text for token in tokens if token.kind == "unknown"]:
        return (Unsupported(f"unknown words: {' '.join(unknown[:_MOST_UNKNOWN])}"),)
    if len(tokens) > LONGEST:
        return (Unsupported(f"a sentence of over {LONGEST} words"),)
    found: list[Statement] = []
    for clause in _clauses(tokens):
        try:
            found += _clause(clause)
        except UnclearError as exc:
            found.append(Unsupported(f"{exc}: {' '.join(token.text for token in clause)}"))
    return tuple(found)


def _clauses(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Without the tokens that say nothing."""
    clause: list[Token] = []
    for token in tokens:
        if token.kind == "break":
            yield clause
            clause = []
        elif token.kind != "fill":
            clause.append(token)
    yield clause


def _clause(tokens: list[Token]) -> list[Statement]:
    found: list[Statement] = []
    rest: list[Token] = []
    for piece in _pieces(tokens):
        whole = [token for token in piece if token.kind in ("dominance", "vessels")]
        if whole and any(token.kind in _DENIALS for token in piece):
            raise UnclearError("denied, which facts cannot say")
        found += [_of_the_heart(token) for token in whole]
        left = [token for token in piece if token not in whole]
        if not whole or any(token.kind not in _BESIDE_DOMINANCE for token in left):
            rest += left
    if any(token.kind == "graft" for token in rest):
        return [*found, _grafted(rest)]
    return found + _findings(rest)


def _pieces(tokens: list[Token]) -> list[list[Token]]:
    """Cut before each "and" and comma, which stay in front of what they add."""
    pieces: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "list" and token.value != "or":
            pieces.append([])
        pieces[-1].append(token)
    return pieces


def _of_the_heart(token: Token) -> Statement:
    if token.kind == "vessels":
        return Vessels(cast(int, token.value))
    return Dominant(cast(Dominance, token.value))


def _grafted(tokens: list[Token]) -> Statement:
    if any(token.kind not in _OF_GRAFTS for token in tokens):
        raise UnclearError("grafts together with something else")
    counts = [cast(int, token.value) for token in tokens if token.kind == "number"]
    denials = [token for token in tokens if token.kind in _DENIALS]
    if len(denials) == 1 and not counts:
        return Grafted(0)
    if denials or len(counts) != 1:
        raise UnclearError("no single number of grafts")
    return Grafted(counts[0])


def _findings(tokens: list[Token]) -> list[Statement]:
    """Places, gradings and what denies or counts them."""
    kinds = {token.kind for token in tokens}
    parts = attached(joined_parts(parts_of([token for token in tokens if token.kind not in _ALONE])))
    if not any(isinstance(part, What) for part in parts):
        if "respectively" in kinds:
            raise UnclearError("respectively to what")
        return _only_sides(parts, coronary="coronary" in kinds, shown="shown" in kinds)
    kept = [part for part in parts if not isinstance(part, Mark)]
    if len(kept) != len(parts):
        raise UnclearError("it is not clear what is denied")
    return [statement for group in groups(kept, respectively="respectively" in kinds) for statement in _said(group)]


def _only_sides(parts: list[Part], *, coronary: bool, shown: bool) -> list[Statement]:
    """A clause without a grading: which sides were shown."""
    places = [part.place for part in parts if isinstance(part, Where)]
    marks = [part for part in parts if isinstance(part, Mark)]
    if not marks:
        if any(len(place.sides) > 1 and place.level != "side" for place in places):
            raise UnclearError("a place that lies on either side")
        return [Shown(place.sides) for place in places]
    if len(marks) > 1 or marks[0].kind not in _DENIALS or not shown or len(places) > 1:
        raise UnclearError("it is not clear what is denied")
    if not places and (coronary or marks[0].kind == "nowhere"):
        return [Shown(frozenset({"left", "right"}), shown=False)]
    if not places or not (places[0].level == "side" or _is_right(places[0])):
        raise UnclearError("only a side can be said not to be shown")
    return [Shown(places[0].sides, shown=False)]


def _is_right(place: Place) -> bool:
    return place.level == "artery" and place.sides == frozenset({"right"})


def _said(group: Group) -> list[Statement]:
    what, grade = group.what, group.what.grade
    if not grade.consistent:
        raise UnclearError("a grade that contradicts itself")
    if what.denied:
        if not grade.bare or grade.most < _LEAST_MOST or what.count is not None:
            raise UnclearError("denied, which facts cannot say")
        least = OCCLUDED if grade.occluded else grade.least
        return [Clear(place, least, what.others) for place in group.places or (None,)]
    if what.others or (group.either and len(group.places) > 1):
        raise UnclearError("one of several, and not which")
    if what.count is None:
        return [Narrowed(place, grade) for place in group.places]
    if grade.percent is not None or len(group.places) == what.count > 1:
        if len(group.places) != what.count:
            raise UnclearError("not as many places as narrowings")
        return [Narrowed(place, grade) for place in group.places]
    if len(group.places) > 1:
        raise UnclearError("so many in all, or in each")
    return [Counted(what.count, grade, place) for place in group.places or (None,)]
