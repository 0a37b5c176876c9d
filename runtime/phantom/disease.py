"""What ails a patient's arteries, segment by segment: narrowings, a chronic total occlusion, calcium in the wall.

Given to a tree instead of what it would draw for itself, so that all runs of a patient show the same. Not for: drawing
the tree (anatomy.py), or which patients have what (patient.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cathrt.runtime.phantom.branches import Vessel


@dataclass(frozen=True, slots=True)
class Narrowing:
    """segment: SYNTAX. at: of its middle, as a share of the segment's length. The lumen follows a cosine bell."""

    segment: int
    at: float
    length_mm: float
    diameter_stenosis_percent: float


@dataclass(frozen=True, slots=True)
class Closure:
    """A chronic total occlusion. at: as of a narrowing. collateral: opacification beyond it."""

    segment: int
    at: float
    collateral: float


@dataclass(frozen=True, slots=True)
class Calcium:
    """A plaque: rods along the wall, spread round it. at: as of a narrowing. turn: of the first rod round the wall.

    per_mm: attenuation beside that of blood and muscle.
    """

    segment: int
    at: float
    length_mm: float
    rods: int
    turn: float
    radius_mm: float
    per_mm: float


@dataclass(frozen=True, slots=True)
class Disease:
    """Of one side's arteries. What lies in a segment that the tree does not have is left out."""

    narrowings: tuple[Narrowing, ...] = ()
    closure: Closure | None = None
    calcium: tuple[Calcium, ...] = ()


def place_in(vessels: Sequence[Vessel], segment: int, at: float) -> tuple[int, float] | None:
    """Which vessel has the segment, and the distance from the ostium, mm, at this share of its length there.

    None where no vessel has it. Of several that have, the longest stretch counts.
    """
    stretches = [(int((vessel.segment == segment).sum()), -index) for index, vessel in enumerate(vessels)]
    points, index = max(stretches, default=(0, 0))
    if points < 2:
        return None
    vessel = vessels[-index]
    arc = vessel.arc_mm[vessel.segment == segment]
    return -index, float(np.interp(at, [0.0, 1.0], [arc[0], arc[-1]]))
