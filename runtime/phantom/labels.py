"""What a reader would call each frame of a scene: side, opacification, motion, what shows and what spoils it.

The key-frame rule, first that fits, from the frame's readability (readability.py) and the best of its run:
  others  no coronary artery in the scene, or readability below 0.07
  better  at least 80 % of the best readability of its run, and at least 0.2
  bad     all other frames: filling, washing out, blurred by motion, or of a run in which nothing can be read
Contrast counts as full from 50 % of 350 mg iodine per ml upwards; what lies beyond an occlusion is not asked for.
Not for: pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.branches import STEP_MM
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.readability import TreeView, in_field, readability
from cathrt.runtime.phantom.scene import Scene

Quality = Literal["better", "bad", "others"]
ContrastPhase = Literal["none", "filling", "full", "washout"]
Degradation = Literal[
    "motion_blur",
    "thin_contrast",
    "foreshortened",
    "outside_field",
    "table_moving",
    "low_dose",
    "overexposed",
    "lossy_compression",
    "burnt_in_text",
]

VISIBLE_FROM = 0.05
FULL_FROM = 0.75
OTHERS_BELOW = 0.07
BETTER_FROM, BETTER_SHARE = 0.2, 0.8
BLUR_LIMIT_MM = 0.4
LENGTH_SHOWN_FROM = 0.6
IN_FIELD_FROM = 0.8
FULL_CONTRAST_PEAK = 0.5
# When a reader would complain, not a published limit: half of the least cine dose, visible JPEG blocks.
LOW_DOSE_UGY = 0.035
LOSSY_BELOW_QUALITY = 60


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One SYNTAX segment in one frame. contrast: its mean opacification, 0 to 1. shown: share in the open field."""

    segment: int
    contrast: float
    shown: float


@dataclass(frozen=True, slots=True)
class FrameLabel:
    """One frame's truth.

    laterality: the coronary artery that is filling, None where its contrast is under 5 % or there is none at all.
    contrast: opacification of the main arteries by length, 0 to 1. readability: see readability.py, 0 to 1.
    motion_mm_s: their mean speed across the beam; blur_mm: what that makes in one X-ray pulse. heart_phase: of the RR
    interval, 0 is the R wave.
    """

    laterality: Side | None
    contrast: float
    readability: float
    motion_mm_s: float
    quality: Quality
    contrast_phase: ContrastPhase
    heart_phase: float
    blur_mm: float
    segments: tuple[SegmentView, ...]
    degradations: tuple[Degradation, ...]


def label_frames(scene: Scene) -> tuple[FrameLabel, ...]:
    """One label per frame of the scene, from its geometry and bolus alone."""
    of_run = _degradations_of_run(scene)
    if scene.tree is None or scene.bolus is None:
        return tuple(
            FrameLabel(
                laterality=None,
                contrast=0.0,
                readability=0.0,
                motion_mm_s=0.0,
                quality="others",
                contrast_phase="none",
                heart_phase=scene.motion.phase(scene.time_s(index)),
                blur_mm=0.0,
                segments=(),
                degradations=(*_table_moving(scene, index), *of_run),
            )
            for index in range(scene.frame_count)
        )
    exposed = scene.field.exposed_columns(scene.carm.rows, scene.carm.columns)
    view = TreeView.of(scene.tree)
    readable = [readability(scene, exposed, view, index) for index in range(scene.frame_count)]
    best = max(readable)
    return tuple(
        _label(scene, exposed, index, found, _quality(found, best), of_run) for index, found in enumerate(readable)
    )


def _quality(readable: float, best: float) -> Quality:
    """best: of the run."""
    if readable < OTHERS_BELOW:
        return "others"
    return "better" if readable >= max(BETTER_FROM, BETTER_SHARE * best) else "bad"


def _label(
    scene: Scene,
    exposed: NDArray[np.int32],
    index: int,
    readable: float,
    quality: Quality,
    of_run: tuple[Degradation, ...],
) -> FrameLabel:
    tree, bolus = scene.tree, scene.bolus
    assert tree is not None
    assert bolus is not None
    time_s = scene.time_s(index)
    named = tree.named
    arc, points, patent = tree.arc_mm[named], tree.tubes.points[named], tree.patency[named] == 1.0
    freedom = freedom_by_arc(arc)
    strength = min(1.0, bolus.peak / FULL_CONTRAST_PEAK)
    share = bolus.share_of_peak(arc, time_s) * tree.patency[named] * strength
    contrast = float(share[patent].mean())
    across = scene.motion.velocity_mm_s(points, freedom, time_s) @ scene.carm.axes()[:2].T
    speed = float(np.hypot(across[:, 0], across[:, 1]).mean())
    blur_mm = speed * scene.exposure_ms * 1e-3
    placed = scene.motion.displace(points, freedom, time_s) + scene.table_at(time_s)
    inside = in_field(scene, exposed, placed)

    spoilt: list[Degradation] = []
    if blur_mm > BLUR_LIMIT_MM:
        spoilt.append("motion_blur")
    if strength < 1.0:
        spoilt.append("thin_contrast")
    if _length_shown(scene, placed) < LENGTH_SHOWN_FROM:
        spoilt.append("foreshortened")
    if float(inside.mean()) < IN_FIELD_FROM:
        spoilt.append("outside_field")
    return FrameLabel(
        laterality=tree.side if contrast >= VISIBLE_FROM else None,
        contrast=contrast,
        readability=readable,
        motion_mm_s=speed,
        quality=quality,
        contrast_phase=_contrast_phase(contrast, washing_out=time_s > bolus.start_s + bolus.duration_s),
        heart_phase=scene.motion.phase(time_s),
        blur_mm=blur_mm,
        segments=_segments(tree.segment[named], share, inside),
        degradations=(*spoilt, *_table_moving(scene, index), *of_run),
    )


def _contrast_phase(contrast: float, *, washing_out: bool) -> ContrastPhase:
    if contrast < VISIBLE_FROM:
        return "none"
    if contrast >= FULL_FROM:
        return "full"
    return "washout" if washing_out else "filling"


def _segments(
    segment: NDArray[np.int64], share: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[SegmentView, ...]:
    """What there is of each SYNTAX segment, by number."""
    return tuple(
        SegmentView(int(number), round(float(share[here].mean()), 4), round(float(inside[here].mean()), 4))
        for number in np.unique(segment[segment > 0])
        for here in [segment == number]
    )


def _degradations_of_run(scene: Scene) -> tuple[Degradation, ...]:
    found: list[Degradation] = []
    if scene.detector.dose_ugy < LOW_DOSE_UGY:
        found.append("low_dose")
    if scene.overexposure > 1.0:
        found.append("overexposed")
    if scene.display.jpeg_quality is not None and scene.display.jpeg_quality < LOSSY_BELOW_QUALITY:
        found.append("lossy_compression")
    if scene.overlay is not None:
        found.append("burnt_in_text")
    return tuple(found)


def _table_moving(scene: Scene, index: int) -> tuple[Degradation, ...]:
    """The table is sliding while the frame is exposed: more than the blur limit in one pulse's time, ten times over."""
    now, then = (scene.table_at(scene.time_s(index) + ahead) for ahead in (0.0, 0.01))
    return ("table_moving",) if float(np.linalg.norm(then - now)) > 0.0 else ()


def _length_shown(scene: Scene, placed: NDArray[np.float64]) -> float:
    """Length of the main arteries as the beam sees it, as a share of their length in space."""
    step = np.diff(placed, axis=0)
    length = np.linalg.norm(step, axis=1)
    within = length < 3.0 * STEP_MM  # a longer step is the jump from one artery to the next
    seen = np.linalg.norm(step @ scene.carm.axes()[:2].T, axis=1)
    return float(seen[within].sum() / length[within].sum())
