"""Paths through contrast medium of the phantom's trees at small matrices, for pictures of vessels that no X-ray took.

Trees come from a small numbered stock, because growing one takes far longer than projecting it. Their numbers lie far
from the seeds of training and held-out runs. Not for: frames (inverted.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cathrt.export.models.keyframe.demo.outsiders.canvas import Picture, Rng
from cathrt.runtime.phantom.anatomy import sample_tree
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.other_vessels import sample_other_vessels
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map

OUTSIDE_SEEDS = 10**12  # scenes and trees of outsiders are numbered from here on
_STOCK = 240


def vessel_path(rng: Rng, shape: tuple[int, int]) -> Picture:
    """Path through a contrast-filled tree, mm, from any direction, in any place and size; some trees lie mirrored."""
    tubes = _tree(int(rng.integers(_STOCK)))
    rows, columns = shape
    points = tubes.points - 0.5 * (tubes.points.min(axis=0) + tubes.points.max(axis=0))
    carm = CArm(
        primary_angle_deg=float(rng.uniform(-180.0, 180.0)),
        secondary_angle_deg=float(rng.uniform(-60.0, 60.0)),
        source_to_isocentre_mm=float(rng.uniform(500.0, 1500.0)),
        source_to_detector_mm=1500.0,
        rows=rows,
        columns=columns,
        pixel_mm=1.0,
    )
    pixel, _ = carm.project(points)
    extent = float(np.max((pixel.max(axis=0) - pixel.min(axis=0)) / (columns, rows)))
    right, up = (rng.uniform(-0.12, 0.12, 2) * (columns, rows)).tolist()
    scale = float(rng.uniform(0.65, 1.25)) / extent
    placed = CArm(
        carm.primary_angle_deg,
        carm.secondary_angle_deg,
        carm.source_to_isocentre_mm,
        carm.source_to_detector_mm,
        rows,
        columns,
        1.0 / scale,
    )
    axes = carm.axes()
    moved = points + (right * axes[0] + up * axes[1]) / (scale * carm.magnification)
    path = chord_map(placed, TubeBundle(moved, tubes.radii * float(rng.uniform(0.8, 2.2)), tubes.joined))
    return path[:, ::-1] if rng.random() < 0.5 else path


@lru_cache(maxsize=_STOCK)
def _tree(number: int) -> TubeBundle:
    rng = np.random.default_rng([OUTSIDE_SEEDS, number])
    if number % 6 == 0:
        return sample_other_vessels(rng).tubes
    return sample_tree(rng, "left" if number % 2 else "right").tubes
