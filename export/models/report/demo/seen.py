"""The facts that one picture of a phantom scene can show: what is opacified and inside the field, and nothing else.

Not for: pixels (pictures.py), and wording (reports in English and Japanese).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.report.facts import MOST_LESIONS, Artery, Dominance, Facts, Lesion, Segment
from cathrt.runtime.models.report.places import ARTERY_OF
from cathrt.runtime.models.report.schema import PERCENTS
from cathrt.runtime.phantom.anatomy import CoronaryTree
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.readability import TreeView, in_field, readability
from cathrt.runtime.phantom.scene import Scene

# A draft names narrowings from this grade up. Below it the phantom's lumen differs by less than a pixel or two.
LEAST_GRADE = 50
OPACIFIED_FROM = 0.5  # of the plateau's concentration
_SHOWN_FROM = 0.5  # share of a segment inside the field and opacified, for it to tell the dominance
_BEFORE_OCCLUSION_MM = 2.0
_ARTERIES = get_args(Artery)
_SEGMENTS = get_args(Segment)


@dataclass(frozen=True, slots=True)
class LesionInView:
    """A narrowing in one frame. percent: of the diameter. row, column: where it lies, shares of the picture's height
    and width. contrast: concentration there as a share of the plateau's. inside: whether it lies in the open field."""

    artery: Artery
    segment: Segment | None
    percent: float
    occluded: bool
    row: float
    column: float
    contrast: float
    inside: bool

    @property
    def seen(self) -> bool:
        """Whether a draft must name it."""
        return self.inside and self.contrast >= OPACIFIED_FROM and grade_of(self.percent) >= LEAST_GRADE


def grade_of(percent: float) -> int:
    """The nearest grade that reports write."""
    return min(PERCENTS, key=lambda grade: abs(grade - percent))


def best_frame(scene: Scene, every: int = 2) -> int:
    """The frame of highest readability, of every second one. Raises ValueError for a scene without coronaries."""
    if scene.tree is None or scene.bolus is None:
        raise ValueError(f"scene {scene.seed}: a {scene.kind} has no key frame: give a coronary scene")
    exposed, view = scene.field.exposed_columns(scene.carm.rows, scene.carm.columns), TreeView.of(scene.tree)
    return max(range(0, scene.frame_count, every), key=lambda index: readability(scene, exposed, view, index))


@dataclass(frozen=True, slots=True, eq=False)
class PointsInView:
    """Points of the named arteries in one frame, (P,) each. row, column: shares of the picture's height and width.

    segment: SYNTAX number. contrast: as in LesionInView. inside: in the open field.
    """

    row: NDArray[np.float32]
    column: NDArray[np.float32]
    segment: NDArray[np.int64]
    contrast: NDArray[np.float32]
    inside: NDArray[np.bool_]


def points_in_view(scene: Scene, index: int) -> PointsInView:
    """Every point that has a segment number."""
    tree = _tree_of(scene)
    numbered = tree.segment > 0
    return _placed(scene, index, numbered)


def lesions_in_view(scene: Scene, index: int) -> tuple[LesionInView, ...]:
    """All narrowings and the occlusion of the scene's artery, seen or not."""
    tree = _tree_of(scene)
    found = [
        _lesion(scene, index, lesion.vessel, lesion.segment, lesion.arc_mm, lesion.diameter_stenosis_percent)
        for lesion in tree.stenoses
    ]
    if (occlusion := tree.occlusion) is not None:
        before = occlusion.arc_mm - _BEFORE_OCCLUSION_MM
        found.append(_lesion(scene, index, occlusion.vessel, occlusion.segment, before, 100.0))
    return tuple(found)


def facts_in_view(scene: Scene, index: int) -> Facts:
    """What the picture of this frame shows."""
    tree = _tree_of(scene)
    seen = (lesion for lesion in lesions_in_view(scene, index) if lesion.seen)
    return Facts(
        sides=(tree.side,), lesions=as_stated(seen), dominance=dominance_shown(tree, points_in_view(scene, index))
    )


def dominance_shown(tree: CoronaryTree, points: PointsInView) -> Dominance | None:
    """Right where the right artery is seen to give the posterior branches, left where the circumflex is."""
    telling, dominance = ((4, 16), "right") if tree.side == "right" else ((15,), "left")
    here = np.isin(points.segment, telling)
    if not here.any() or float((points.inside & (points.contrast >= OPACIFIED_FROM))[here].mean()) < _SHOWN_FROM:
        return None
    return cast(Dominance, dominance)


def as_stated(lesions: Iterable[LesionInView]) -> tuple[Lesion, ...]:
    """Lesions as facts: the worst of each place, in the order of arteries and segments."""
    worst: dict[tuple[Artery, Segment | None], LesionInView] = {}
    for lesion in lesions:
        place = (lesion.artery, lesion.segment)
        if place not in worst or lesion.percent > worst[place].percent:
            worst[place] = lesion
    stated = [
        Lesion(one.artery, one.segment, 100 if one.occluded else grade_of(one.percent), one.occluded, one.occluded)
        for one in worst.values()
    ]
    return in_order(stated)


def in_order(lesions: Iterable[Lesion]) -> tuple[Lesion, ...]:
    """By artery, then by segment as the SYNTAX score counts them; those without a segment first. The first eight."""
    ordered = sorted(lesions, key=lambda lesion: (_ARTERIES.index(lesion.artery), _place_of(lesion.segment)))
    return tuple(ordered[:MOST_LESIONS])


def _place_of(segment: Segment | None) -> int:
    return -1 if segment is None else _SEGMENTS.index(segment)


def _tree_of(scene: Scene) -> CoronaryTree:
    if scene.tree is None or scene.bolus is None:
        raise ValueError(f"scene {scene.seed}: a {scene.kind} shows no coronary artery: give a coronary scene")
    return scene.tree


def _placed(scene: Scene, index: int, some: NDArray[np.bool_]) -> PointsInView:
    tree, bolus, carm = _tree_of(scene), scene.bolus, scene.carm
    assert bolus is not None
    time_s = scene.time_s(index)
    arc = tree.arc_mm[some]
    points = scene.motion.displace(tree.tubes.points[some], freedom_by_arc(arc), time_s) + scene.table_at(time_s)
    column, row = carm.project(points)[0].T
    exposed = scene.field.exposed_columns(carm.rows, carm.columns)
    return PointsInView(
        row=((row + 0.5) / carm.rows).astype(np.float32),
        column=((column + 0.5) / carm.columns).astype(np.float32),
        segment=tree.segment[some],
        contrast=(bolus.share_of_peak(arc, time_s) * tree.patency[some]).astype(np.float32),
        inside=in_field(scene, exposed, points),
    )


def _lesion(scene: Scene, index: int, vessel: str, number: int, arc_mm: float, percent: float) -> LesionInView:
    tree = _tree_of(scene)
    which = next(place for place, one in enumerate(tree.vessels) if one.name == vessel)
    first = sum(len(one.points) for one in tree.vessels[:which])
    nearest = first + int(np.argmin(np.abs(tree.vessels[which].arc_mm - arc_mm)))
    some = np.zeros(len(tree.arc_mm), dtype=bool)
    some[nearest] = True
    placed = _placed(scene, index, some)
    segment = cast(Segment, str(number)) if number else None
    artery = ARTERY_OF[segment] if segment else ("lad" if tree.side == "left" else "rca")
    return LesionInView(
        artery=artery,
        segment=segment,
        percent=percent,
        occluded=percent >= 100.0,
        row=float(placed.row[0]),
        column=float(placed.column[0]),
        contrast=float(placed.contrast[0]),
        inside=bool(placed.inside[0]),
    )
