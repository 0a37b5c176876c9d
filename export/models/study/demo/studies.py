"""Studies of generated patients as the network sees them: drawn once, kept on disk, read back as arrays.

Every clip goes through the runtime's own assembler, so that training and serving cannot drift apart. Not for: real
angiograms, which take no part.
N runs, T frames; the last grid of tokens has t steps of time, h rows and w columns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.study.demo.questions import MEAN, SEGMENTS, SIDE_OF, STD, true_answers
from cathrt.export.models.study.shape import MVIT_V2_DEMO
from cathrt.runtime.models.study.clips import ClipOfRun
from cathrt.runtime.models.study.section import StudyClip
from cathrt.runtime.phantom import PhantomSource, Scene
from cathrt.runtime.phantom.anatomy import CoronaryTree
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.patient import VIEWS, Patient, sample_patient, scene_of, study_views
from cathrt.runtime.phantom.scene import PHANTOM_VERSION

CLIP = StudyClip(MVIT_V2_DEMO.frames, MVIT_V2_DEMO.side, MVIT_V2_DEMO.side, stride=1, mean=MEAN, std=STD)
_PLAIN = StudyClip(CLIP.frames, CLIP.height, CLIP.width, stride=1, mean=0.0, std=1.0)
MATRIX = 224  # twice the clip's side, so that it is made smaller as a real run is
VIEW_NAMES = tuple(f"{side} {name}" for side, views in VIEWS.items() for name, _, _ in views)
KINDS = ("filled", "narrowed", "stump", "calcified")
"""What a map tells of a segment in a cell: it holds contrast there, or its lesion lies there."""
_FILLED = 0.35  # of 350 mg iodine per ml, from where a segment counts as filled
_BEFORE_STUMP_MM = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class DrawnStudy:
    """clips: (N, T, height, width) uint8. views: (N,) places in VIEW_NAMES. left: (N,) bool.

    maps: (N, t, h, w, segments, KINDS) uint8, percent: 100 but for narrowings, which have theirs. answers: (questions,)
    as true_answers.
    """

    seed: int
    clips: NDArray[np.uint8]
    views: NDArray[np.int64]
    left: NDArray[np.bool_]
    maps: NDArray[np.uint8]
    answers: NDArray[np.float32]


def draw_study(seed: int) -> DrawnStudy:
    """The study of the patient of this seed."""
    patient = sample_patient(seed)
    views = study_views(patient)
    drawn = [_draw_run(patient, scene_of(patient, number, view, MATRIX)) for number, view in enumerate(views)]
    return DrawnStudy(
        seed,
        np.stack([clip for clip, _ in drawn]),
        np.array([VIEW_NAMES.index(f"{view.side} {view.name}") for view in views]),
        np.array([view.side == "left" for view in views]),
        np.stack([found for _, found in drawn]),
        true_answers(patient),
    )


def load_studies(seeds: Iterable[int], folder: Path, deadline_s: float = math.inf) -> Iterator[DrawnStudy]:
    """Those of the seeds in order, drawn where they are not in the folder yet. Ends early past the deadline."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed}-{PHANTOM_VERSION}-{MATRIX}-{CLIP.frames}x{CLIP.height}.npz"
        if not path.exists():
            if time.monotonic() > deadline_s:
                return
            _keep(draw_study(seed), path)
        with np.load(path) as held:
            yield DrawnStudy(seed, held["clips"], held["views"], held["left"], held["maps"], held["answers"])


def _keep(study: DrawnStudy, path: Path) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, clips=study.clips, views=study.views, left=study.left, maps=study.maps, answers=study.answers)
    partial.replace(path)


def _draw_run(patient: Patient, scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    source = PhantomSource(scene)
    assembler = ClipOfRun(source.run, _PLAIN)
    clip = np.empty(assembler.shape, np.float32)
    assembler([source.render(index) for index in assembler.frames], clip)
    source.close()
    grey = np.clip(np.rint(clip[0]), 0, 255).astype(np.uint8)
    return grey, _maps(patient, scene, assembler.frames)


def _maps(patient: Patient, scene: Scene, frames: tuple[int, ...]) -> NDArray[np.uint8]:
    """Where in the last grid each segment and its lesions are seen, by geometry."""
    steps, rows, columns = MVIT_V2_DEMO.blocks[-1].after
    found = np.zeros((steps, rows, columns, len(SEGMENTS), len(KINDS)), np.uint8)
    for number, index in enumerate(frames):
        step = found[number * steps // len(frames)]
        for place, segment in enumerate(SEGMENTS):
            if SIDE_OF[segment] == scene.side:
                _mark_artery(step[:, :, place], scene, segment, index)
        _mark_calcium(step[:, :, :, KINDS.index("calcified")], patient, scene, index)
    return found


def _mark_artery(cells: NDArray[np.uint8], scene: Scene, segment: int, index: int) -> None:
    tree, bolus, time_s = scene.tree, scene.bolus, scene.time_s(index)
    assert tree is not None
    assert bolus is not None
    filling = bolus.peak * bolus.share_of_peak(tree.arc_mm, time_s) * tree.patency
    points = scene.motion.displace(tree.tubes.points, freedom_by_arc(tree.arc_mm), time_s) + scene.table_at(time_s)
    filled = (tree.segment == segment) & (filling > _FILLED)
    _mark(cells, "filled", scene, points[filled], 100)
    for one in tree.stenoses:
        near = _vessel(tree, one.vessel) & (np.abs(tree.arc_mm - one.arc_mm) < 0.25 * one.length_mm)
        if one.segment == segment and (near & (filling > _FILLED)).any():
            _mark(cells, "narrowed", scene, points[near], round(one.diameter_stenosis_percent))
    stump = tree.occlusion
    if stump is not None and stump.segment == segment:
        before = stump.arc_mm - tree.arc_mm
        near = _vessel(tree, stump.vessel) & (before > 0.0) & (before < _BEFORE_STUMP_MM)
        if (near & (filling > _FILLED)).any():
            _mark(cells, "stump", scene, points[near], 100)


def _mark_calcium(cells: NDArray[np.uint8], patient: Patient, scene: Scene, index: int) -> None:
    """cells: (rows, columns, segments)."""
    time_s = scene.time_s(index)
    for segment, plaque in patient.calcium:
        points = scene.motion.displace(plaque.tubes.points, plaque.freedom, time_s) + scene.table_at(time_s)
        row, column = _cells(cells.shape[:2], scene, points)
        cells[row, column, list(SEGMENTS).index(segment)] = 100


def _vessel(tree: CoronaryTree, name: str) -> NDArray[np.bool_]:
    return np.concatenate([np.full(len(one.points), one.name == name) for one in tree.vessels])


def _mark(cells: NDArray[np.uint8], kind: str, scene: Scene, points: NDArray[np.float64], percent: int) -> None:
    """cells: (rows, columns, KINDS)."""
    row, column = _cells(cells.shape[:2], scene, points)
    held = cells[:, :, KINDS.index(kind)]
    held[row, column] = np.maximum(held[row, column], percent)


def _cells(
    size: tuple[int, ...], scene: Scene, points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the cells in which the points lie, without those outside the picture."""
    seen, _ = scene.carm.project(points)
    column = np.floor((seen[:, 0] + 0.5) / scene.carm.columns * size[1]).astype(np.int64)
    row = np.floor((seen[:, 1] + 0.5) / scene.carm.rows * size[0]).astype(np.int64)
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    return row[inside], column[inside]
