"""Arteries that are not coronary: the negatives that a vessel detector would fall for.

The internal mammary, the subclavian, the iliac bifurcation and a renal artery, as seen when the catheter is on its way
or looks at something else. Rough courses, not tabulated anatomy. Not for: cardiac chambers (chambers.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.branches import STEP_MM, Generation, Vessel, grow
from cathrt.runtime.phantom.curves import arc_length, catmull_rom
from cathrt.runtime.phantom.tubes import TubeBundle

Territory = Literal["internal_mammary", "subclavian", "iliac", "renal"]

# Trunk and main branches: control points, mm, patient axes, and diameters along them.
_COURSES: dict[Territory, tuple[tuple[tuple[tuple[float, float, float], ...], tuple[float, ...]], ...]] = {
    "internal_mammary": (
        (((10, 125, 5), (-4, 95, 45), (-8, 40, 70), (-6, -30, 74), (-2, -95, 68)), (2.6, 2.5, 2.3, 2.0, 1.5)),
    ),
    "subclavian": (
        (((-25, 95, -42), (-15, 125, -38), (30, 138, -32), (95, 118, -24)), (9.0, 8.5, 8.0, 7.0)),
        (((-8, 128, -37), (-8, 150, -44), (-12, 190, -52)), (3.6, 3.4, 3.2)),
        (((18, 136, -34), (10, 100, 20), (-6, 40, 66), (-6, -40, 72)), (2.8, 2.5, 2.2, 1.8)),
    ),
    "iliac": (
        (((0, 110, 0), (2, 60, 0), (0, 20, 0)), (15.0, 14.0, 13.0)),
        (((0, 24, 0), (28, -15, 4), (48, -70, 0), (62, -130, 12)), (9.0, 8.0, 7.5, 7.0)),
        (((0, 24, 0), (-28, -15, 4), (-46, -72, 0), (-60, -130, 12)), (9.0, 8.0, 7.5, 7.0)),
        (((40, -45, 2), (36, -75, -25), (42, -110, -40)), (5.5, 4.5, 3.0)),
        (((-40, -45, 2), (-36, -75, -25), (-42, -110, -40)), (5.5, 4.5, 3.0)),
    ),
    "renal": (
        (((0, 90, 0), (0, 0, 0), (0, -90, 0)), (14.0, 14.0, 13.0)),
        (((6, 5, 0), (30, 0, -6), (50, -4, -12)), (5.5, 5.2, 4.8)),
        (((48, -4, -12), (66, 18, -18), (80, 34, -20)), (3.2, 2.6, 1.6)),
        (((48, -4, -12), (70, -6, -10), (88, -10, -12)), (3.0, 2.4, 1.6)),
        (((48, -4, -12), (62, -26, -16), (74, -42, -18)), (3.0, 2.4, 1.5)),
    ),
}
_TWIGS: dict[Territory, tuple[Generation, ...]] = {
    "internal_mammary": (Generation(22.0, (10.0, 35.0), (0.3, 0.6), 0.1, 0.0),),
    "subclavian": (Generation(40.0, (20.0, 60.0), (0.5, 1.2), 0.2, 0.0),),
    "iliac": (Generation(60.0, (20.0, 60.0), (0.6, 1.5), 0.2, 0.0),),
    "renal": (
        Generation(20.0, (12.0, 34.0), (0.5, 1.0), 0.3, 0.0),
        Generation(12.0, (8.0, 18.0), (0.3, 0.5), 0.2, 0.0),
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class OtherVessels:
    """A non-coronary arterial tree. arc_mm: (N,) distance along the lumen from where contrast enters."""

    territory: Territory
    tubes: TubeBundle
    arc_mm: NDArray[np.float64]


def sample_other_vessels(rng: np.random.Generator) -> OtherVessels:
    """Draw one; either body side for those that lie on one."""
    territory: Territory = ("internal_mammary", "subclavian", "iliac", "renal")[int(rng.integers(4))]
    mirror = np.array([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
    size = float(rng.uniform(0.85, 1.15))
    vessels: list[Vessel] = []
    for controls, diameters in _COURSES[territory]:
        points = size * np.array(controls) * mirror + rng.normal(0.0, 2.5, (len(controls), 3))
        parent, joint = -1, -1
        if vessels:  # it leaves an earlier one where it comes nearest
            gaps = [np.linalg.norm(vessel.points - points[0], axis=1) for vessel in vessels]
            parent = int(np.argmin([gap.min() for gap in gaps]))
            joint = int(gaps[parent].argmin())
            points[0] = vessels[parent].points[joint]
        radii = 0.5 * np.array(diameters) * float(rng.uniform(0.85, 1.15))
        curve = catmull_rom(np.column_stack([points, radii]), STEP_MM)
        start = float(vessels[parent].arc_mm[joint]) if parent >= 0 else 0.0
        none = np.zeros(len(curve), dtype=np.int64)
        vessels.append(
            Vessel(territory, curve[:, :3], curve[:, 3], start + arc_length(curve[:, :3]), none, parent, joint)
        )
    parents = list(range(len(vessels)))
    for generation in _TWIGS[territory]:
        first = len(vessels)
        vessels += grow(
            rng, vessels, parents, generation, richness=float(rng.uniform(0.5, 1.3)), tortuosity=0.6, calibre=1.0
        )
        parents = list(range(first, len(vessels)))
    return OtherVessels(
        territory=territory,
        tubes=TubeBundle.from_polylines([v.points for v in vessels], [v.radii for v in vessels]),
        arc_mm=np.concatenate([v.arc_mm for v in vessels]),
    )
