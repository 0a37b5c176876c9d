"""Real angiograms through the line: stills whose names tell the side, and cine runs of known truth.

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
from benchmarks.judged_runs import JudgedRun, hit, judge
from cathrt.export.models.keyframe.scores import SIDES
from cathrt.export.models.keyframe.truth import side_of_name
from cathrt.runtime.errors import SourceError
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of known side."""

    input: Input
    side: str


def require_folder(path: Path) -> Path:
    """The folder itself. Raises SourceError where there is none."""
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder: expected one that holds angiograms; check the path")
    return path


def find_stills(folder: Path) -> list[Still]:
    """Every still below the folder whose name begins with lca or rca, each a run of its own, in order of path.

    Raises SourceError where there is none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and side_of_name(path) is not None]
    stills = [
        Still(input_, side)
        for input_ in discover(paths).inputs
        if input_.kind == "stills"
        and (path := input_.paths[0]) is not None
        and (side := side_of_name(path)) is not None
    ]
    if not stills:
        raise SourceError(
            f"{folder}: no still whose name begins with lca or rca (png, jpg, bmp, tif): name them by their artery, "
            "or give the folder that holds such"
        )
    return stills


def measure_stills(stills: Sequence[Still], line: Line, figures: Figures) -> None:
    """Sides of single frames. A file that cannot be read is named on stderr and counted apart in the row.

    Raises SourceError where none can be read.
    """
    answers: list[SideAnswer] = []
    unread = 0
    for number, still in enumerate(stills):
        try:
            run = judge(open_source(still.input, line.config.limits), line)
        except SourceError as exc:
            print(f"not measured: {exc}", file=sys.stderr)
            unread += 1
            continue
        answers += [SideAnswer(number, still.side, frame) for frame in run.frames]
    if not answers:
        raise SourceError(f"none of {unread} stills can be read: expected png, jpg, bmp or tif pictures; see above")
    judged = [(answer, answer.frame.finding) for answer in answers if answer.frame.finding is not None]
    scores = [finding.laterality_score for _, finding in judged]
    figures.calibration("real", scores, [float(answer.frame.forced == answer.true) for answer, _ in judged])
    figures.headline["real_frames"] = len(answers)
    counts = figures.sides("real", answers)
    row = {"bench": "accuracy", "case": "stills", "impl": line.models[0].engine.name, "n": len(answers)}
    figures.rows.append(row | {"unread": unread, "confusion": counts})


def measure_cines(cines: Sequence[Cine], line: Line, figures: Figures) -> None:
    """Sides and key frames of whole runs. Raises SourceError for a run that cannot be read, ConfigError where its truth
    names frames that it lacks: a handful of runs is no place to leave one out."""
    sides_right, inside, hits, false = [], [], [], []
    for cine in cines:
        source = open_source(cine.input, line.config.limits)
        try:
            assert source.run.frame_count is not None
            check_length(cine, source.run.frame_count)
            run = judge(source, line)
        finally:
            source.close()
        row = {
            "bench": "accuracy",
            "case": "cine",
            "impl": line.models[0].engine.name,
            "n": len(run.frames),
            "file": cine.name,
        }
        figures.rows.append(row | _told(run) | {"truth": asdict(cine.truth)})
        if cine.truth.opacified is None:
            false.append(bool(run.key_frames))
            continue
        first, last = cine.truth.opacified
        sides_right.append(run.result.laterality == cine.truth.side)
        inside.append(float(np.mean([first <= key <= last for key in run.key_frames])) if run.key_frames else 0.0)
        if cine.truth.best:
            hits.append(hit(run, cine.truth.best) and first <= run.result.marked_frames[0] <= last)
    figures.headline |= {"cine_runs": len(cines), "cine_other_runs": len(false)}
    figures.rate("cine_laterality_correct", sides_right)
    if inside:
        figures.headline["cine_keyframes_inside"] = float(np.mean(inside))
    figures.rate("cine_keyframe_hit", hits)
    figures.rate("cine_false_keyframe_rate", false)


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
