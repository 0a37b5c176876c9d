"""Facts drawn at random, for learning to word facts: more and rarer ones than any picture of the phantom shows.

Not for: what a picture shows (seen.py).
"""

from __future__ import annotations

from random import Random

from cathrt.export.models.report.demo.seen import in_order
from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, Lesion, Segment, Side
from cathrt.runtime.models.report.places import ARTERY_OF, arteries_of, segments_of
from cathrt.runtime.models.report.schema import PERCENTS

_SIDES: tuple[tuple[Side, ...], ...] = (("left",), ("right",), ("left", "right"), ())
_LESION_COUNTS = (0, 1, 2, 3, 4, 5, 6, 7, 8)
_LESION_SHARES = (3, 6, 5, 3, 2, 1, 0.5, 0.25, 0.25)


def made_up_facts(draw: Random) -> Facts:
    """Facts that hold together: lesions lie on the sides that were shown, each place once."""
    (sides,) = draw.choices(_SIDES, (30, 30, 39, 1))
    dominance: Dominance | None = draw.choices((None, "right", "left", "balanced"), (5, 4, 2, 1))[0]
    possible = [segment for artery in arteries_of(sides) for segment in segments_of(artery, dominance)]
    wanted = min(len(possible), draw.choices(_LESION_COUNTS, _LESION_SHARES)[0])
    lesions = {segment: _lesion(ARTERY_OF[segment], segment, draw) for segment in draw.sample(possible, wanted)}
    if lesions and draw.random() < 0.05:  # only the artery is known
        segment = draw.choice(list(lesions))
        artery = lesions[segment].artery
        lesions = {place: one for place, one in lesions.items() if one.artery != artery}
        lesions[segment] = _lesion(artery, None, draw)
    grafts = draw.choices((None, *range(10)), (20, 1, 2, 3, 3, 2, *[0.3] * 5))[0]
    return Facts(sides, in_order(lesions.values()), dominance, grafts)


def _lesion(artery: Artery, segment: Segment | None, draw: Random) -> Lesion:
    drawn = draw.random()
    if drawn < 0.12:
        return Lesion(artery, segment, 100, occluded=True, chronic=drawn < 0.08)
    if drawn < 0.15:
        return Lesion(artery, segment, None)
    percent = draw.choice(PERCENTS[:-1]) if drawn < 0.85 else draw.randint(1, 99)
    return Lesion(artery, segment, percent)
