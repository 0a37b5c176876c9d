"""Real angiograms through the line: stills of known side or chosen for reading, and cine runs of known truth.

Every file goes through the confined decoder. They judge only; whoever runs this counts the looks (--looks).
Not for: the truth file (cine_truth.py), phantoms (phantom_runs.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cine_truth import Cine, check_length
from benchmarks.figures import Figures, SideAnswer
from benchmarks.judged_runs import JudgedFrame, JudgedRun, hit, judge
from benchmarks.keyframe_baselines import due_ms, judge_beside_baselines
from benchmarks.keyframe_measures import ChosenRun, KeyframeTruth, keyframe_rows, view_of
from cathrt.export.models.keyframe.scores import SIDES
from cathrt.export.models.keyframe.truth import side_of_name
from cathrt.runtime.errors import SourceError
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Still:
    """One picture. side: None where it is not known. chosen: a physician chose it for reading."""

    input: Input
    side: str | None
    chosen: bool


def require_folder(path: Path) -> Path:
    """The folder itself. Raises SourceError where there is none."""
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder: expected one that holds angiograms; check the path")
    return path


def find_stills(named: Path | None, chosen: Sequence[Path]) -> list[Still]:
    """Every still below `named` whose name begins with lca or rca, and every one below `chosen`, whatever its name,
    each a run of its own and each file once, in order of path.

    Raises SourceError for a folder that holds none.
    """
    of_side = {path for path in _files(named) if side_of_name(path) is not None} if named is not None else set()
    if named is not None and not of_side:
        raise SourceError(
            f"{named}: no still whose name begins with lca or rca (png, jpg, bmp, tif): name them by their artery, "
            "or give the folder that holds such"
        )
    to_read: set[Path] = set()
    for folder in chosen:
        found = {path for path in _files(folder) if path.suffix.lower() in STILL_SUFFIXES}
        if not found:
            raise SourceError(f"{folder}: no still (png, jpg, bmp, tif): give the folder that holds such")
        to_read |= found
    return [
        Still(input_, side_of_name(path), path in to_read)
        for input_ in discover(sorted(of_side | to_read)).inputs
        if input_.kind == "stills" and (path := input_.paths[0]) is not None
    ]


def measure_stills(stills: Sequence[Still], line: Line, figures: Figures) -> list[bool]:
    """Sides of single frames, and how many of those chosen for reading pass: the line ranks them, and not as poor.

    Returns of each judged still whether it was taken for no angiogram. A file that cannot be read is named on stderr
    and counted apart. Raises SourceError where none can be read.
    """
    judged: list[tuple[Still, JudgedFrame]] = []
    better: list[bool] = []
    unread = 0
    for still in stills:
        try:
            run = judge(open_source(still.input, line.config.limits), line)
        except SourceError as exc:
            print(f"not measured: {exc}", file=sys.stderr)
            unread += 1
            continue
        judged += [(still, frame) for frame in run.frames]
        if still.chosen:
            better.append(bool(run.result.marked_frames) and not run.result.best_is_poor)
    if not judged:
        raise SourceError(f"none of {unread} stills can be read: expected png, jpg, bmp or tif pictures; see above")
    row: dict[str, Any] = {"bench": "accuracy", "case": "stills", "impl": line.models[0].engine.name, "n": len(judged)}
    row |= {"unread": unread, "confusion": _sides(judged, figures)}
    figures.rate("real_better_recall", better)
    figures.rows.append(row | {"chosen": len(better), "better": sum(better)})
    return [frame.finding is not None and frame.finding.outside is not None for _, frame in judged]


def _sides(judged: Sequence[tuple[Still, JudgedFrame]], figures: Figures) -> dict[str, Any]:
    """Adds the figures of the stills of known side; returns their confusion matrix."""
    answers = [SideAnswer(number, still.side, frame) for number, (still, frame) in enumerate(judged) if still.side]
    with_finding = [(answer, answer.frame.finding) for answer in answers if answer.frame.finding is not None]
    scores = [finding.laterality_score for _, finding in with_finding]
    figures.calibration("real", scores, [float(answer.frame.forced == answer.true) for answer, _ in with_finding])
    if answers:
        figures.headline["real_frames"] = len(answers)
    return figures.sides("real", answers)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def measure_cines(cines: Sequence[Cine], line: Line, figures: Figures) -> list[bool]:
    """Sides and key frames of whole runs, beside the baselines; returns of each run whether it was taken for no
    angiogram. Raises SourceError for a run that cannot be read, ConfigError where its truth names frames that it lacks:
    a handful of runs is no place to leave one out."""
    sides_right, inside, hits, false, outside = [], [], [], [], []
    beside: list[ChosenRun] = []
    for cine in cines:
        source = open_source(cine.input, line.config.limits)
        try:
            described = source.run
            assert described.frame_count is not None
            check_length(cine, described.frame_count)
            run, choices = judge_beside_baselines(source, line)
        finally:
            source.close()
        row = {
            "bench": "accuracy",
            "case": "cine",
            "impl": line.models[0].engine.name,
            "n": len(run.frames),
            "file": cine.name,
        }
        figures.rows.append(row | _told(run) | {"chosen": dict(choices), "truth": asdict(cine.truth)})
        outside.append(run.result.outside is not None)
        if cine.truth.opacified is None:
            false.append(bool(run.key_frames))
            continue
        first, last = cine.truth.opacified
        best, filled = cine.truth.best_frames, range(first, last + 1)
        sides_right.append(run.result.laterality == cine.truth.side)
        inside.append(float(np.mean([key in filled for key in run.key_frames])) if run.key_frames else 0.0)
        if best:
            hits.append(hit(run, best) and run.result.marked_frames[0] in filled)
        truth = KeyframeTruth(frozenset(best), frozenset(filled))
        beside.append(ChosenRun(truth, choices, due_ms(described), ("all", f"view: {view_of(described.geometry)}")))
    figures.headline |= {"cine_runs": len(cines), "cine_other_runs": len(false)}
    figures.rate("cine_laterality_correct", sides_right)
    if inside:
        figures.headline["cine_keyframes_inside"] = float(np.mean(inside))
    figures.rate("cine_keyframe_hit", hits)
    figures.rate("cine_false_keyframe_rate", false)
    figures.rows += keyframe_rows(beside, "real")
    return outside


def _told(run: JudgedRun) -> dict[str, Any]:
    """What the line said of a run, for its row."""
    summary, result = run.summary, run.result
    return {
        "laterality": result.laterality,
        "laterality_score": round(result.laterality_score, 4),
        "votes": {side: sum(frame.found == side for frame in run.frames) for side in SIDES},
        "announced": list(run.announced),
        "key_frames": list(result.marked_frames),
        "key_frame_scores": [round(score, 4) for score in result.marked_scores],
        "verdicts": summary.verdicts,
    }
