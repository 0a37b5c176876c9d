"""Facts drawn at random that can be true of one study, and what is confirmed of such a study."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from cathrt.runtime.models.report.facts import MOST_LESIONS, Dominance, Facts, Findings, Lesion, Side
from cathrt.runtime.models.report.places import arteries_of, place_of, segments_of

SIDES: tuple[tuple[Side, ...], ...] = ((), ("left",), ("right",), ("left", "right"))


def findings_of(facts: Facts) -> Findings:
    """A study of which the sides are confirmed, and nothing else."""
    return Findings(runs=2, key_frames=(), known=Facts(facts.sides))


@st.composite
def facts(draw: st.DrawFn, *, least_lesions: int = 0) -> Facts:
    """Any that fit together. least_lesions: at least so many."""
    sides = draw(st.sampled_from(SIDES[1:] if least_lesions else SIDES))
    dominance = draw(st.sampled_from([None, *get_args(Dominance)]))
    lesions: tuple[Lesion, ...] = ()
    if sides:
        some = st.lists(_lesions(sides, dominance), min_size=least_lesions, max_size=MOST_LESIONS, unique_by=place_of)
        lesions = tuple(draw(some))
    return Facts(sides, lesions, dominance, draw(st.none() | st.integers(0, 9)))


@st.composite
def _lesions(draw: st.DrawFn, sides: tuple[Side, ...], dominance: Dominance | None) -> Lesion:
    artery = draw(st.sampled_from(arteries_of(sides)))
    segment = draw(st.sampled_from([*segments_of(artery, dominance), None]))
    if draw(st.booleans()):
        return Lesion(artery, segment, 100, occluded=True, chronic=draw(st.booleans()))
    return Lesion(artery, segment, draw(st.none() | st.sampled_from([25, 50, 75, 90, 99]) | st.integers(1, 99)))
