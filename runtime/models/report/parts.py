"""What a clause is made of: places, gradings, and words that change a grading near them.

Not for: joining them (joining.py, denials.py), or which grading belongs to which place (grouping.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from cathrt.runtime.models.report.lexicon import Token
from cathrt.runtime.models.report.statements import Grade, Place

Parted = Literal["", ",", "and", "or"]  # what stands between a part and the one before
MarkKind = Literal["no", "not", "none", "nowhere", "other", "number"]


class UnclearError(Exception):
    """The clause can be taken in more than one way, or says what facts cannot say. The sentence is unsupported."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a clause."""

    place: Place
    parted: Parted = ""


@dataclass(frozen=True, slots=True)
class What:
    """A grading in a clause. denied: there is none. others: apart from what was stated. count: so many of them."""

    grade: Grade
    parted: Parted = ""
    denied: bool = False
    others: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A word that changes a grading near it and has not found it yet."""

    kind: MarkKind
    count: int = 0
    parted: Parted = ""


Part = Where | What | Mark
_STRONGER: tuple[Parted, ...] = ("", ",", "and", "or")


def parts_of(tokens: Sequence[Token]) -> list[Part]:
    """In their order. tokens: of one clause, without those that say nothing. A verb parts two places."""
    parts: list[Part] = []
    parted: Parted = ""
    verb = False
    for token in tokens:
        if token.kind == "list":
            parted = max(parted, cast(Parted, token.value), key=_STRONGER.index) if parts else ""
        elif token.kind == "shown":
            verb = bool(parts) and isinstance(parts[-1], Where)
        else:
            between: Parted = "," if verb and token.kind == "place" and not parted else parted
            parts.append(_part(token, between))
            parted, verb = "", False
    return parts


def _part(token: Token, parted: Parted) -> Part:
    if token.kind == "place":
        return Where(cast(Place, token.value), parted)
    if token.kind == "grade":
        return What(cast(Grade, token.value), parted)
    if token.kind == "clear":
        return What(Grade(least=cast(int, token.value), named=True), parted, denied=True)
    return Mark(cast(MarkKind, token.kind), cast(int, token.value) if token.kind == "number" else 0, parted)
