"""Gives denials, counts and "other" to the gradings that they change: "no stenosis or occlusion", "not stenosed".

Not for: joining places and gradings (joining.py), or which grading belongs to which place (grouping.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from cathrt.runtime.models.report.parts import Mark, Part, UnclearError, What, Where
from cathrt.runtime.models.report.statements import OCCLUDED, Grade


def attached(parts: list[Part]) -> list[Part]:
    """The parts with every mark given to the grading that it changes. Without a grading the marks stay.

    Raises UnclearError where a mark could belong to two gradings or to none.
    """
    if not any(isinstance(part, What) for part in parts):
        return parts
    for kind, attach in _ATTACH.items():
        while (index := _index_of(parts, kind)) is not None:
            parts = attach(parts, index)
    return parts


def _index_of(parts: list[Part], kind: str) -> int | None:
    return next((i for i, part in enumerate(parts) if isinstance(part, Mark) and part.kind == kind), None)


def _number(parts: list[Part], index: int) -> list[Part]:
    """A count stands beside what it counts."""
    mark = cast(Mark, parts[index])
    after = index + 1
    while after < len(parts) and isinstance(parts[after], Mark) and cast(Mark, parts[after]).kind == "other":
        after += 1
    for there in (after, index - 1):
        what = parts[there] if 0 <= there < len(parts) else None
        between = mark if there < index else what
        if isinstance(what, What) and between is not None and not between.parted and what.count is None:
            return _with(parts, index, there, replace(what, count=mark.count))
    raise UnclearError("a number of what")


def _other(parts: list[Part], index: int) -> list[Part]:
    """Of the next grading, else of the one before."""
    for there in (*range(index + 1, len(parts)), *range(index - 1, -1, -1)):
        what = parts[there]
        if isinstance(what, What):
            return _with(parts, index, there, replace(what, others=True))
    raise UnclearError("other than what")


def _no(parts: list[Part], index: int) -> list[Part]:
    """Of the next grading, and of those that are linked to it by "or". Places may stand between."""
    there = index + 1
    while there < len(parts) and isinstance(parts[there], Where):
        there += 1
    what = parts[there] if there < len(parts) else None
    if not isinstance(what, What) or what.denied:
        raise UnclearError("it is not clear what is denied")
    denied, end = replace(what, denied=True), there + 1
    while end < len(parts) and _linked(parts[end]):
        denied, end = _both_denied(denied, cast(What, parts[end])), end + 1
    return _with([*parts[: there + 1], *parts[end:]], index, there, denied)


def _not(parts: list[Part], index: int) -> list[Part]:
    """Of the grading just before or just after, but not if it could be either: "lesion in the LAD not occluded"."""
    before = parts[index - 1] if index else None
    after = parts[index + 1] if index + 1 < len(parts) else None
    if isinstance(before, What) and not cast(Mark, parts[index]).parted:
        return _none(parts, index)
    if not isinstance(after, What) or after.parted:
        return _none(parts, index)
    run = [cast(Mark, parts[index]).parted]
    for part in reversed(parts[:index]):
        if any(run) or isinstance(part, Mark):
            break
        if isinstance(part, What):
            raise UnclearError("it is not clear what is denied")
        run.append(part.parted)
    return _no(parts, index)


def _none(parts: list[Part], index: int) -> list[Part]:
    """Of the grading just before, and of those that it is linked to by "or".

    Also of the first part of all, if only places stand between: "stenosis in the LAD is not seen".
    """
    there = index - 1
    if there < 0 or not isinstance(parts[there], What):
        between, parted = parts[1:index], cast(Mark, parts[index]).parted
        if parted or not isinstance(parts[0], What) or not all(isinstance(part, Where) for part in between):
            raise UnclearError("it is not clear what is denied")
        there = 0
    what = cast(What, parts[there])
    if what.denied:
        raise UnclearError("denied twice")
    denied, start = replace(what, denied=True), there
    while start > 0 and _linked(cast(What, parts[start])) and isinstance(before := parts[start - 1], What):
        denied, start = replace(_both_denied(denied, before), parted=before.parted), start - 1
    kept = [*parts[:start], denied, *parts[there + 1 :]]
    mark = index - (there - start)
    return [*kept[:mark], *kept[mark + 1 :]]


def _linked(part: Part) -> bool:
    return isinstance(part, What) and part.parted == "or" and part.grade.bare and not part.denied


def _both_denied(one: What, other: What) -> What:
    """Neither: the milder one decides what is ruled out."""
    if not other.grade.bare or (other.denied and not one.denied):
        raise UnclearError("it is not clear what is denied")
    least = min(one.grade.least, other.grade.least)
    return replace(one, grade=Grade(least=least, most=OCCLUDED, named=True))


def _with(parts: list[Part], mark: int, there: int, what: What) -> list[Part]:
    """The parts without a mark that has found its grading; what parted it from the rest now parts what follows."""
    changed = [*parts[:there], what, *parts[there + 1 :]]
    parted = cast(Mark, parts[mark]).parted
    if parted and mark + 1 < len(changed) and not changed[mark + 1].parted:
        changed[mark + 1] = replace(changed[mark + 1], parted=parted)
    return [*changed[:mark], *changed[mark + 1 :]]


_ATTACH = {"number": _number, "other": _other, "no": _no, "nowhere": _no, "not": _not, "none": _none}
