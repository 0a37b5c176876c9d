"""Cuts a sentence into tokens of a closed vocabulary; every word that is not in it becomes an unknown token.

Not for: the words themselves (english.py, japanese.py), or what they say together (reading.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.models.report.facts import Dominance, Segment
from cathrt.runtime.models.report.places import ARTERY_OF
from cathrt.runtime.models.report.statements import Grade, Place

# place, grade: what a finding is made of. clear: "normal", "patent" (value: least percent that is ruled out). no: rules
# out what follows. not: what is beside it. none: what went before. nowhere: "no segment". coronary: coronary arteries
# without a side. other: elsewhere, apart from what was said. number: a count. vessels: of
# vessels diseased. list: between things of a kind. break: between clauses. fill: says nothing of its own.
Kind = Literal["place", "grade", "clear", "no", "not", "none", "nowhere", "coronary", "other", "number", "vessels",
               "dominance", "graft", "shown", "list", "break", "respectively", "fill", "unknown"]  # fmt: skip
_LONGEST_MARK = 10  # characters, of a list
LONGEST = 300  # tokens of a sentence
Value = Place | Grade | Dominance | int | str | None


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pattern means. make: tokens of a match; None where it means nothing after all."""

    pattern: re.Pattern[str]
    make: Callable[[re.Match[str]], Sequence[Token] | None]


def rule(pattern: str, kind: Kind, value: Value = None) -> Rule:
    """The pattern is one token with this value."""
    return Rule(_bounded(pattern), lambda match: (Token(kind, match[0], value),))


def making(pattern: str, make: Callable[[re.Match[str]], Sequence[Token] | None]) -> Rule:
    return Rule(_bounded(pattern), make)


def words(kind: Kind, text: str, value: Value = None) -> Rule:
    """Any of the words or phrases, one a line or parted by |. They are texts, not patterns."""
    phrases = sorted({part.strip() for part in re.split(r"[|\n]", text) if part.strip()}, key=len, reverse=True)
    return rule("|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases), kind, value)


def normalised(text: str) -> str:
    """One form for full width and half width, upper and lower case, and the many dashes and quotation marks."""
    folded = unicodedata.normalize("NFKC", text).lower()
    for found, put in (("‐‑‒–—−", "-"), ("’‘", "'"), ("“”", '"')):
        folded = re.sub(f"[{found}]", put, folded)
    return re.sub(r"\s+", " ", folded).strip()


def tokens(text: str, rules: Sequence[Rule]) -> list[Token]:
    """Of normalised text: at each place the longest match of any rule, of equals the first. White space is skipped.

    It stops at one more than LONGEST: a sentence that runs on is not read (reading.py).
    """
    found: list[Token] = []
    at = 0
    while at < len(text) and len(found) <= LONGEST:
        if text[at].isspace():
            at += 1
            continue
        best: Sequence[Token] = ()
        end = at
        for one in rules:
            match = one.pattern.match(text, at)
            if match is not None and match.end() > end and (made := one.make(match)) is not None:
                best, end = made, match.end()
        if end == at:
            match = _WORD.match(text, at)
            end = match.end() if match is not None else at + 1
            best = (Token("unknown", text[at:end]),)
        found += best
        at = end
    return found


def cut(text: str, stop: re.Pattern[str], bullet: re.Pattern[str]) -> Iterable[tuple[int, int]]:
    """Spans of sentences. stop: matches the end of one. bullet: what a line may begin with that says nothing."""
    start = 0
    ends = [match.end() for match in stop.finditer(text) if not _marks_item(text, match.end(), bullet)]
    for end in [*ends, len(text)]:
        lead = bullet.match(text, start, end)
        begin = lead.end() if lead is not None else start
        piece = text[begin:end]
        if piece.strip():
            yield begin + len(piece) - len(piece.lstrip()), begin + len(piece.rstrip())
        start = end


def _marks_item(text: str, end: int, bullet: re.Pattern[str]) -> bool:
    """Whether a line up to here is only the mark of an item, such as "1."."""
    line = text[max(text.rfind("\n", 0, end - 1) + 1, end - _LONGEST_MARK) : end]
    return bool(line.strip()) and len(line) < _LONGEST_MARK and bullet.fullmatch(f"{line} ") is not None


def segment_place(*segments: Segment) -> Place:
    return Place("segment", frozenset(segments))


def numbered(text: str) -> Place | None:
    """A segment by its number, also as AHA writes the branches: 4PD, 4AV, HL. None where there is no such segment."""
    compact = re.sub(r"[\s#-]", "", text)
    for name, segment in _AHA.items():
        if compact == name:
            return segment_place(segment)
    segment_of = {str(segment): segment for segment in ARTERY_OF}
    return segment_place(segment_of[compact]) if compact in segment_of else None


# A segment's number in a list of them, and nothing that counts or measures: not "75%", not "2 lesions".
ITEM = (
    r"(?:4\s?-?(?:pd|av)|hl|(?:1[0-6]|[1-9])[abc]?)(?![a-z0-9])(?!\s*(?:\.\d|-\s*\d+(?!\d|\s*%)|~|〜|%|percent|per\s?cent|パーセント|lesions?"
    r"|stenos|narrowings?|vessel|bypass|grafts?|total|か所|箇所|ヶ所|カ所|個|つ|本|枝|病変|以上|以下))"
)
_AHA: dict[str, Segment] = {"4pd": "4", "4av": "16", "hl": "12"}
_WORD = re.compile(r"[a-z0-9']+(?:-[a-z0-9']+)*|[\u30a0-\u30ff]+|[\u4e00-\u9fff]+")


def _bounded(pattern: str) -> re.Pattern[str]:
    """A pattern that begins or ends with a letter or digit of the Latin alphabet does so at the edge of a word."""
    return re.compile(rf"(?:(?<![a-z0-9])|(?![a-z0-9]))(?:{pattern})(?:(?![a-z0-9])|(?<![a-z0-9]))")
