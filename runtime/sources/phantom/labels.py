"""What a reader would call each frame of a scene: side, opacification, motion and key-frame quality.

The rule, first that fits:
  others  no coronary artery in the scene, or less than 15 % of the main arteries' length-weighted contrast
  better  at least 75 % of it; the heart moves no more than 0.4 mm during the X-ray pulse, a tenth of a 4 mm artery;
          the main arteries show at least 60 % of their length on the detector and 80 % of it lies in the open field
  bad     all other frames: filling, washing out, thin contrast, blurred by motion or in a poor projection
Contrast counts as full from 50 % of 350 mg iodine per ml upwards. Not for: pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.phantom.anatomy import STEP_MM, Side
from cathrt.runtime.sources.phantom.motion import freedom_by_arc
from cathrt.runtime.sources.phantom.scene import Scene

Quality = Literal["better", "bad", "others"]

VISIBLE_FROM = 0.05
OTHERS_BELOW = 0.15
BETTER_FROM = 0.75
BLUR_LIMIT_MM = 0.4
LENGTH_SHOWN_FROM = 0.6
IN_FIELD_FROM = 0.8
FULL_CONTRAST_PEAK = 0.5


@dataclass(frozen=True, slots=True)
class FrameLabel:
    """One frame's truth.

    laterality: the coronary artery that is filling, None where its contrast is under 5 % or there is none at all.
    contrast: opacification of the main arteries by length, 0 to 1. motion_mm_s: their mean speed across the beam.
    """

    laterality: Side | None
    contrast: float
    motion_mm_s: float
    quality: Quality


def label_frames(scene: Scene) -> tuple[FrameLabel, ...]:
    """One label per frame of the scene, from its geometry and bolus alone."""
    if scene.tree is None or scene.bolus is None:
        return tuple(FrameLabel(None, 0.0, 0.0, "others") for _ in range(scene.frame_count))
    exposed = scene.field.exposed_columns(scene.carm.rows, scene.carm.columns)
    return tuple(_label(scene, exposed, index) for index in range(scene.frame_count))


def _label(scene: Scene, exposed: NDArray[np.int32], index: int) -> FrameLabel:
    tree, bolus = scene.tree, scene.bolus
    assert tree is not None
    assert bolus is not None
    time_s = scene.time_s(index)
    arc = tree.arc_mm[tree.named]
    points, freedom = tree.tubes.points[tree.named], freedom_by_arc(arc)
    share = float(bolus.share_of_peak(arc, time_s).mean())
    contrast = share * min(1.0, bolus.peak / FULL_CONTRAST_PEAK)
    across = scene.motion.velocity_mm_s(points, freedom, time_s) @ scene.carm.axes()[:2].T
    speed = float(np.hypot(across[:, 0], across[:, 1]).mean())
    if contrast < OTHERS_BELOW:
        return FrameLabel(tree.side if contrast >= VISIBLE_FROM else None, contrast, speed, "others")
    placed = scene.motion.displace(points, freedom, time_s) + scene.table_at(time_s)
    better = (
        contrast >= BETTER_FROM
        and speed * scene.exposure_ms * 1e-3 <= BLUR_LIMIT_MM
        and _length_shown(scene, placed) >= LENGTH_SHOWN_FROM
        and _in_field(scene, exposed, placed) >= IN_FIELD_FROM
    )
    return FrameLabel(tree.side, contrast, speed, "better" if better else "bad")


def _length_shown(scene: Scene, placed: NDArray[np.float64]) -> float:
    """Length of the main arteries as the beam sees it, as a share of their length in space."""
    step = np.diff(placed, axis=0)
    length = np.linalg.norm(step, axis=1)
    within = length < 3.0 * STEP_MM  # a longer step is the jump from one artery to the next
    seen = np.linalg.norm(step @ scene.carm.axes()[:2].T, axis=1)
    return float(seen[within].sum() / length[within].sum())


def _in_field(scene: Scene, exposed: NDArray[np.int32], placed: NDArray[np.float64]) -> float:
    """Share of the main arteries' points that fall on the exposed part of the detector."""
    carm = scene.carm
    column, row = np.rint(carm.project(placed)[0]).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < carm.columns) & (row < carm.rows)
    bounds = exposed[np.clip(row, 0, carm.rows - 1)]
    return float((inside & (column >= bounds[:, 0]) & (column < bounds[:, 1])).mean())
