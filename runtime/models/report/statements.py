"""What a text can be understood to say: statements about places, grades, sides, dominance, grafts and counts.

One closed set for both languages. Not for: how words become statements (lexicon.py, reading.py), and whether they are
true (agreement.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.models.report.facts import Dominance, Segment, Side
from cathrt.runtime.models.report.places import ARTERY_OF, SIDE_OF

SIGNIFICANT = 50  # percent from which a narrowing counts as significant or obstructive (SCCT, CAD-RADS 2022)
OCCLUDED = 100

# How exactly a place was named. "position": proximal, mid or distal alone, without its artery.
Level = Literal["side", "artery", "segment", "position"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where. segments: those that the words can mean; of an artery or a side, all that it has."""

    level: Level
    segments: frozenset[Segment]

    @property
    def sides(self) -> frozenset[Side]:
        return frozenset(SIDE_OF[ARTERY_OF[segment]] for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Grade:
    """How narrow. least, most: percent that the words allow. percent: as stated. named: a narrowing was named at all,
    in a word such as stenosis or lesion. occluded, chronic: stated, False where not. unknown: stated to be not graded.
    """

    percent: int | None = None
    least: int = 1
    most: int = OCCLUDED
    named: bool = False
    occluded: bool = False
    chronic: bool = False
    unknown: bool = False

    @property
    def bare(self) -> bool:
        """Says that there is a narrowing or what kind, and no more."""
        return self.percent is None and not self.chronic and not self.unknown

    @property
    def consistent(self) -> bool:
        most = self.percent if self.percent is not None else self.most
        least = self.percent if self.percent is not None else self.least
        fits = self.least <= most and least <= self.most and self.least <= self.most
        if self.unknown and self != Grade(named=self.named, unknown=True):
            return False
        return fits and (not self.occluded or most == OCCLUDED) and (not self.chronic or self.occluded)


def joined(one: Grade, other: Grade) -> Grade | None:
    """Two descriptions of the same narrowing as one; None where they name two percentages."""
    if one.percent is not None and other.percent is not None and one.percent != other.percent:
        return None
    return Grade(
        percent=one.percent if one.percent is not None else other.percent,
        least=max(one.least, other.least),
        most=min(one.most, other.most),
        named=one.named or other.named,
        occluded=one.occluded or other.occluded,
        chronic=one.chronic or other.chronic,
        unknown=one.unknown or other.unknown,
    )


@dataclass(frozen=True, slots=True)
class Narrowed:
    """There is a narrowing of this grade at this place."""

    place: Place
    grade: Grade


@dataclass(frozen=True, slots=True)
class Clear:
    """There is no narrowing of `least` percent or more. place: None is everywhere that was shown. others: apart from
    those that the text states."""

    place: Place | None
    least: int
    others: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """These sides were shown, or were not."""

    sides: frozenset[Side]
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Dominant:
    """Which artery gives the posterior branches."""

    dominance: Dominance


@dataclass(frozen=True, slots=True)
class Grafted:
    """So many bypass grafts."""

    count: int


@dataclass(frozen=True, slots=True)
class Counted:
    """So many narrowings within `grade`. place: None is everywhere that was shown."""

    count: int
    grade: Grade
    place: Place | None


@dataclass(frozen=True, slots=True)
class Vessels:
    """Disease of so many of the three vessels (anterior descending, circumflex, right)."""

    count: int


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Something that facts cannot say, or that can be understood in more than one way. words: what it was."""

    words: str


Statement = Narrowed | Clear | Shown | Dominant | Grafted | Counted | Vessels | Unsupported


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and all it states. start, end: of the text it came from, with its full stop."""

    text: str
    start: int
    end: int
    statements: tuple[Statement, ...]
