"""Which grading belongs to which place: "75% in segments 6 and 7, 90% in segment 9".

A clause is cut in groups of places with one grading before or behind them. If that can be done in two ways, the
sentence is unsupported. Not for: joining words (joining.py, denials.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from cathrt.runtime.models.report.parts import Parted, UnclearError, What, Where
from cathrt.runtime.models.report.statements import Place

_MOST = 40  # parts of one clause


@dataclass(frozen=True, slots=True)
class Group:
    """places: one grading holds for each. either: they were linked by "or". No places: everywhere."""

    places: tuple[Place, ...]
    what: What
    either: bool = False


def groups(parts: Sequence[Where | What], *, respectively: bool) -> tuple[Group, ...]:
    """respectively: as many gradings as places, first to first. Raises UnclearError where it is not clear.

    A clause is cut where something parts it, or else anywhere; a place before it that holds all others heads it.
    """
    if len(parts) > _MOST:
        raise UnclearError("too long")
    if respectively:
        return _respectively(parts)
    heading = _heading(parts)
    inside = _inside(parts[1:], heading) if heading is not None and len(parts) > 1 else ()
    alone = sum(isinstance(part, What) for part in parts) == 1  # then a comma may stand before or behind it
    for anywhere in (False, True):
        ways = _ways(parts, anywhere=anywhere, comma=alone)
        if not ways and inside and heading is not None:
            ways = [
                tuple(_headed(group, heading) for group in way) for way in _ways(inside, anywhere=anywhere, comma=False)
            ]
        if len(ways) == 1:
            return ways[0]
        if ways:
            break
    raise UnclearError("it is not clear what belongs to which place")


def _heading(parts: Sequence[Where | What]) -> Place | None:
    first = parts[0]
    return first.place if isinstance(first, Where) and first.place.level in ("side", "artery") else None


def _inside(parts: Sequence[Where | What], heading: Place) -> tuple[Where | What, ...]:
    """The parts with their places as they lie in the heading's; none if any lies elsewhere, or there is no place.

    What is denied of the heading itself is not denied of a part of it only: "the LAD is not stenosed ... segment 7".
    """
    if isinstance(parts[0], What) and parts[0].denied:
        return ()
    found: list[Where | What] = []
    for part in parts:
        if isinstance(part, What):
            found.append(part)
        elif (segments := part.place.segments & heading.segments) and part.place.level != "side":
            found.append(replace(part, place=Place(part.place.level, segments)))
        else:
            return ()
    return tuple(found) if any(isinstance(part, Where) for part in found) else ()


def _headed(group: Group, heading: Place) -> Group:
    return group if group.places else replace(group, places=(heading,))


def _respectively(parts: Sequence[Where | What]) -> tuple[Group, ...]:
    places = [part.place for part in parts if isinstance(part, Where)]
    whats = [part for part in parts if isinstance(part, What)]
    turns = sum(isinstance(one, Where) != isinstance(other, Where) for one, other in pairwise(parts))
    if len(places) != len(whats) or turns != 1:
        raise UnclearError("not as many gradings as places")
    return tuple(Group((place,), what) for place, what in zip(places, whats, strict=True))


def _ways(parts: Sequence[Where | What], *, anywhere: bool, comma: bool) -> list[tuple[Group, ...]]:
    """All ways to cut, two at most. anywhere: also where nothing parts two of them; never at an "or".

    comma: one may part a grading from its places.
    """
    ways: list[list[tuple[Group, ...]]] = [[()]]
    for end in range(1, len(parts) + 1):
        here: list[tuple[Group, ...]] = []
        for start in range(end):
            if start and (parts[start].parted == "or" or not (anywhere or parts[start].parted)):
                continue
            for group in _group(parts[start:end], comma=comma):
                here += [(*way, group) for way in ways[start]]
        ways.append(here[:2])
    return ways[-1]


def _group(parts: Sequence[Where | What], *, comma: bool) -> Iterator[Group]:
    """Places with a grading before or behind them; a denial or a count alone."""
    whats = [part for part in parts if isinstance(part, What)]
    if len(whats) != 1 or not (isinstance(parts[0], What) or isinstance(parts[-1], What)):
        return
    wheres = [part for part in parts if isinstance(part, Where)]
    links: set[Parted] = {where.parted for where in wheres[1:]}
    if wheres and "" in links:
        return
    between = whats[0].parted if isinstance(parts[0], Where) else wheres[0].parted if wheres else ""
    if between and not (comma and between == ","):
        return
    if not wheres and not (whats[0].denied or whats[0].count is not None):
        return
    yield Group(tuple(where.place for where in wheres), whats[0], either="or" in links)
