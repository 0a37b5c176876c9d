"""How much of a coronary tree can be read in each frame of a run, from 0 to 1, from its geometry and bolus alone.

readability = sum of w * l * v * s * f / n  over all points of the tree, by  0.6 * sum of w * L  over those that can
fill, at most 1. 0.6 because no view unfolds a whole tree: the best frames of generated runs reach 0.9, the median 0.6.

  w  what a millimetre is worth: the square root of its segment's factor in the SYNTAX score (Sianos 2005), at least
     0.5; 0.25 for branches without a segment. Square root, so that a left main does not outweigh all the rest.
  l  length in the picture, L length in space: what is foreshortened cannot be read (both at the isocentre, mm)
  v  a² / (a² + 0.06²): how well it shows. a is what the artery's middle takes from the signal, nepers, scatter
     included; 0.06 is about the clutter of soft tissue (0.02-0.11 in background.py)
  s  1 / (1 + (b / 0.35 d)²): how sharp it is. b is the way across the beam in one X-ray pulse, d the diameter, mm
  f  1 inside the open field, else 0
  n  how many arteries lie in the same square of 1.5 mm, itself and those of at least 1 mm: thinner ones hide nothing

Which factors there are is what readers ask of a key frame: full, sharp, unfolded, inside the field. Their form and
figures are ours, set before any network was trained with them. Not for: pixels, and noise or bones in single frames.
P points: every second one of the tree's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import CoronaryTree
from cathrt.runtime.phantom.branches import STEP_MM
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.scene import Scene

# Factors of the SYNTAX score by segment, right and left dominance.
_SYNTAX: dict[int, tuple[float, float]] = {
    **{1: (1.0, 0.0), 2: (1.0, 0.0), 3: (1.0, 0.0), 4: (1.0, 0.0), 16: (0.5, 0.0)},
    **{5: (5.0, 6.0), 6: (3.5, 3.5), 7: (2.5, 2.5), 8: (1.0, 1.0), 9: (1.0, 1.0), 10: (0.5, 0.5)},
    **{11: (1.5, 2.5), 12: (1.0, 1.0), 13: (0.5, 1.5), 14: (0.5, 1.0), 15: (0.0, 1.0)},
}
_LEAST_OF_SEGMENTS, _OF_BRANCHES = 0.5, 0.25
_NEPERS_PER_MM = 0.31  # of contrast medium at 350 mg iodine per ml in a beam of mean 58 keV
_SEEN_NEPERS = 0.06
_SHARP_SHARE = 0.35
_ATTAINABLE = 0.6
_SQUARE_MM, _HIDES_MM = 1.5, 1.0
_EVERY = 2
_JUMP_MM = 3.0 * _EVERY * STEP_MM  # a longer step leads from one artery to the next


@dataclass(frozen=True, slots=True, eq=False)
class TreeView:
    """What does not change over a run. points_mm (P, 3) at end-diastole; all else (P,): artery: which vessel; fills:
    whether contrast can get there; freedom: as motion.py has it."""

    points_mm: NDArray[np.float64]
    arc_mm: NDArray[np.float64]
    patency: NDArray[np.float64]
    weight: NDArray[np.float64]
    artery: NDArray[np.int64]
    diameter_mm: NDArray[np.float64]
    fills: NDArray[np.bool_]
    freedom: NDArray[np.float64]

    @classmethod
    def of(cls, tree: CoronaryTree) -> TreeView:
        some = slice(None, None, _EVERY)
        segments, arc_mm, patency = tree.segment[some], tree.arc_mm[some], tree.patency[some]
        factors = [_SYNTAX.get(int(segment), (0.0, 0.0))[tree.dominance == "left"] for segment in segments]
        weight = np.maximum(np.sqrt(factors), _LEAST_OF_SEGMENTS)
        artery = np.repeat(np.arange(len(tree.vessels)), [len(vessel.points) for vessel in tree.vessels])
        return cls(
            points_mm=tree.tubes.points[some],
            arc_mm=arc_mm,
            patency=patency,
            weight=np.where(segments > 0, weight, _OF_BRANCHES),
            artery=artery[some],
            diameter_mm=2.0 * tree.tubes.radii[some],
            fills=patency == 1.0,
            freedom=freedom_by_arc(arc_mm),
        )


def readability(scene: Scene, exposed: NDArray[np.int32], view: TreeView, index: int) -> float:
    """Of one frame of a scene with a coronary bolus. exposed: (rows, 2) columns that are open. In [0, 1]."""
    bolus, motion = scene.bolus, scene.motion
    assert bolus is not None
    time_s = scene.time_s(index)
    concentration = bolus.peak * bolus.share_of_peak(view.arc_mm, time_s) * view.patency
    if float(concentration.max()) < 1e-3:
        return 0.0
    pulse_s = scene.exposure_ms * 1e-3
    before, after = (
        motion.displace(view.points_mm, view.freedom, time_s + ahead) for ahead in (-0.5 * pulse_s, 0.5 * pulse_s)
    )
    points = 0.5 * (before + after) + scene.table_at(time_s)
    axes = scene.carm.axes()[:2]
    step = np.diff(points, axis=0)
    space = np.linalg.norm(step, axis=1)
    space[(space > _JUMP_MM) | (np.diff(view.artery) != 0)] = 0.0
    seen = np.where(space > 0.0, np.linalg.norm(step @ axes.T, axis=1), 0.0)
    half = 0.5 * view.weight
    length_seen, length = np.zeros(len(points)), np.zeros(len(points))
    for part, of in ((seen, length_seen), (space, length)):
        of[:-1] += part
        of[1:] += part

    taken = _NEPERS_PER_MM * view.diameter_mm * concentration / (1.0 + scene.detector.scatter_to_primary)
    shows = taken**2 / (taken**2 + _SEEN_NEPERS**2)
    blur_mm = np.linalg.norm((after - before) @ axes.T, axis=1)
    sharp = 1.0 / (1.0 + (blur_mm / (_SHARP_SHARE * view.diameter_mm)) ** 2)
    inside = in_field(scene, exposed, points)
    readable = half * length_seen * shows * sharp * inside / _shared_by(scene, points, view)
    return min(1.0, float(readable.sum() / (_ATTAINABLE * (half * length)[view.fills].sum())))


def in_field(scene: Scene, exposed: NDArray[np.int32], points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(P,) whether each point falls on the exposed part of the detector."""
    carm = scene.carm
    column, row = np.rint(carm.project(points_mm)[0]).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < carm.columns) & (row < carm.rows)
    bounds = exposed[np.clip(row, 0, carm.rows - 1)]
    return np.asarray(inside & (column >= bounds[:, 0]) & (column < bounds[:, 1]))


def _shared_by(scene: Scene, points_mm: NDArray[np.float64], view: TreeView) -> NDArray[np.float64]:
    """(P,) how many arteries lie in each point's square of the picture: itself and the other ones that hide things."""
    carm = scene.carm
    pixels = _SQUARE_MM * carm.magnification / carm.pixel_mm
    square = np.floor(carm.project(points_mm)[0] / pixels).astype(np.int64)
    square -= square.min(axis=0)
    key = square[:, 0] * (int(square[:, 1].max()) + 1) + square[:, 1]
    hides = view.diameter_mm >= _HIDES_MM
    if not hides.any():
        return np.ones(len(points_mm))
    arteries = int(view.artery.max()) + 1
    lying = np.unique(key[hides] * arteries + view.artery[hides])
    squares, counts = np.unique(lying // arteries, return_counts=True)
    at = np.minimum(np.searchsorted(squares, key), len(squares) - 1)
    hiding = np.where(squares[at] == key, counts[at], 0)
    itself = np.isin(key * arteries + view.artery, lying)
    return np.asarray(hiding + ~itself, dtype=np.float64)
