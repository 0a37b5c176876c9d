"""Whole arteries, whole sides and positions as places: what both languages' words stand for.

Not for: the words (english.py, japanese.py, words.py).
"""

from __future__ import annotations

from typing import Literal

from cathrt.runtime.models.report.facts import Artery, Segment, Side
from cathrt.runtime.models.report.places import SEGMENTS, arteries_of
from cathrt.runtime.models.report.statements import Place

# Positions along the three arteries that SYNTAX divides by length. The circumflex has no middle segment there.
_POSITIONS: dict[str, frozenset[Segment]] = {
    "proximal": frozenset({"1", "6", "11"}),
    "mid": frozenset({"2", "7"}),
    "distal": frozenset({"3", "8", "13"}),
}
# The left main has one segment, so its name names the segment.
ENTIRE: dict[Artery, Place] = {
    artery: Place("segment" if len(segments) == 1 else "artery", frozenset(segments))
    for artery, segments in SEGMENTS.items()
}


def entire(side: Side) -> Place:
    return Place("side", frozenset(segment for artery in arteries_of((side,)) for segment in SEGMENTS[artery]))


def both() -> Place:
    return Place("side", entire("left").segments | entire("right").segments)


def position(name: Literal["proximal", "mid", "distal"]) -> Place:
    return Place("position", _POSITIONS[name])
