"""From where a run is seen: the working views of each artery, and the C-arm and table set for one of them.

Not for: what a C-arm is (carm.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.carm import CArm

# Working views (primary, secondary, share), degrees: LAO, CRA > 0. ARCADE's list and the usual four plus three.
_VIEWS: dict[Side, tuple[tuple[float, float, float], ...]] = {
    "left": (
        (45.0, -30.0, 0.17),
        (-25.0, -25.0, 0.21),
        (-10.0, -28.0, 0.08),
        (0.0, 38.0, 0.14),
        (-30.0, 28.0, 0.18),
        (40.0, 25.0, 0.12),
        (-35.0, 0.0, 0.05),
        (85.0, 0.0, 0.05),
    ),
    "right": (
        (45.0, 0.0, 0.35),
        (35.0, 22.0, 0.2),
        (0.0, 28.0, 0.17),
        (-32.0, 0.0, 0.17),
        (-28.0, 24.0, 0.06),
        (85.0, 0.0, 0.05),
    ),
}
_ANY_VIEW_SHARE = 0.1


def sample_geometry(
    rng: np.random.Generator,
    side: Side,
    centre: NDArray[np.float64],
    matrix: int,
    steep: tuple[float, float] | None,
) -> tuple[CArm, NDArray[np.float64], NDArray[np.float64]]:
    """A working view of this side, the table set so that the anatomy lies near the middle, and a slide of the table."""
    views = _VIEWS[side]
    share = np.array([view[2] for view in views])
    primary, secondary, _ = views[int(rng.choice(len(views), p=share / share.sum()))]
    primary += float(rng.normal(0.0, 7.0))
    secondary += float(rng.normal(0.0, 6.0))
    if rng.random() < _ANY_VIEW_SHARE:
        primary, secondary = float(rng.uniform(-50.0, 65.0)), float(rng.uniform(-35.0, 38.0))
    primary, secondary = steep or (primary, secondary)
    source_to_isocentre_mm = float(rng.uniform(720.0, 810.0))
    carm = CArm(
        primary_angle_deg=primary,
        secondary_angle_deg=secondary,
        source_to_isocentre_mm=source_to_isocentre_mm,
        source_to_detector_mm=float(np.clip(rng.normal(1060.0, 70.0), 900.0, 1200.0)),
        rows=matrix,
        columns=matrix,
        pixel_mm=float(rng.uniform(125.0, 205.0)) / matrix,
    )
    right, up, _ = carm.axes()
    off = np.clip(rng.normal(0.0, 9.0, 2), -18.0, 18.0)
    heading = rng.uniform(0.0, 2 * np.pi)
    pan = float(rng.uniform(18.0, 45.0)) * (np.cos(heading) * right + np.sin(heading) * up)
    return carm, -centre + off[0] * right + off[1] * up, pan


def geometry_at(
    rng: np.random.Generator, angles_deg: tuple[float, float], centre: NDArray[np.float64], matrix: int
) -> tuple[CArm, NDArray[np.float64]]:
    """The C-arm at these primary and secondary angles, and the table set so that `centre` lies near the middle."""
    carm = CArm(
        primary_angle_deg=angles_deg[0],
        secondary_angle_deg=angles_deg[1],
        source_to_isocentre_mm=float(rng.uniform(720.0, 810.0)),
        source_to_detector_mm=float(np.clip(rng.normal(1060.0, 50.0), 950.0, 1150.0)),
        rows=matrix,
        columns=matrix,
        pixel_mm=float(rng.uniform(145.0, 185.0)) / matrix,
    )
    right, up, _ = carm.axes()
    off = np.clip(rng.normal(0.0, 6.0, 2), -12.0, 12.0)
    return carm, -centre + off[0] * right + off[1] * up
