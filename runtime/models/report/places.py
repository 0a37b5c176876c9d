"""Where a lesion can lie: the segments of each artery (SYNTAX, Sianos 2005), the side, and what dominance rules out.

Not for: names of places in a language (words.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.runtime.models.report.facts import Artery, Dominance, Lesion, Segment, Side

SEGMENTS: dict[Artery, tuple[Segment, ...]] = {
    "left_main": ("5",),
    "lad": ("6", "7", "8", "9", "9a", "10", "10a"),
    "lcx": ("11", "12", "12a", "12b", "13", "14", "14a", "14b", "15"),
    "rca": ("1", "2", "3", "4", "16", "16a", "16b", "16c"),
}
ARTERIES: tuple[Artery, ...] = tuple(SEGMENTS)
ARTERY_OF: dict[Segment, Artery] = {segment: artery for artery, held in SEGMENTS.items() for segment in held}
SIDE_OF: dict[Artery, Side] = {"left_main": "left", "lad": "left", "lcx": "left", "rca": "right"}
# Segments that the SYNTAX score does not count: the posterior branches come from one artery. A balanced heart is not in
# its table, so nothing is ruled out there.
_RULED_OUT: dict[Dominance, frozenset[Segment]] = {
    "right": frozenset({"15"}),
    "left": frozenset({"4", "16", "16a", "16b", "16c"}),
    "balanced": frozenset(),
}


def arteries_of(sides: Sequence[Side]) -> tuple[Artery, ...]:
    """Those that belong to the sides, in the order of ARTERIES."""
    return tuple(artery for artery in ARTERIES if SIDE_OF[artery] in sides)


def segments_of(artery: Artery, dominance: Dominance | None) -> tuple[Segment, ...]:
    """Those that the artery can have. dominance: None where it is not known, which rules nothing out."""
    ruled_out = _RULED_OUT[dominance] if dominance is not None else frozenset()
    return tuple(segment for segment in SEGMENTS[artery] if segment not in ruled_out)


def place_of(lesion: Lesion) -> tuple[Artery, Segment | None]:
    """What makes two lesions the same one. The left main has one segment, so both ways to name it are one place."""
    return lesion.artery, "5" if lesion.artery == "left_main" else lesion.segment
