"""What the line and the baselines got right on judged phantom runs: sides, key frames, false ones, calibration.

Not for: drawing and judging them (phantom_runs.py), or what each measure is (keyframe_measures.py, docs/status.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import keyframe_measures
from benchmarks.figures import Figures, SideAnswer
from benchmarks.keyframe_measures import ChosenRun, keyframe_rows, phantom_truth
from benchmarks.phantom_runs import PhantomRun
from cathrt.runtime.models.keyframe.section import KeyframeLabel
from cathrt.runtime.phantom import FrameLabel


def measure_phantoms(
    runs: Sequence[PhantomRun], labels: Sequence[KeyframeLabel], engine: str, figures: Figures
) -> None:
    """Frames and runs. labels: of the bundle, for the calibration of its likeliest class."""
    coronary = [phantom for phantom in runs if phantom.case.kind == "coronary"]
    others = [phantom for phantom in runs if phantom.case.kind != "coronary"]
    figures.headline |= {"phantom_runs": len(runs), "phantom_other_runs": len(others)}
    counts = _sides_and_calibration(runs, labels, figures)
    figures.rate("phantom_run_laterality_correct", [p.run.result.laterality == p.side for p in runs if p.side])
    figures.rate("phantom_false_keyframe_rate", [bool(phantom.run.key_frames) for phantom in others])
    figures.rate("phantom_named_side_rate", [_names_side(phantom) for phantom in others])

    readable = chosen_runs(coronary)
    keyframe_measures.headline([run for _, run in readable], figures)
    nothing = [phantom for phantom in coronary if phantom_truth(phantom.labels) is None]
    row: dict[str, Any] = {"bench": "accuracy", "case": "phantom", "impl": engine, "n": len(runs)}
    row |= {
        "seeds": {
            part: [min(seeds), max(seeds)]
            for part in ("natural", "hardship", "other")
            if (seeds := [phantom.case.seed for phantom in runs if phantom.case.part == part])
        },
        "frames": sum(len(phantom.labels) for phantom in runs),
        "runs_with_something_to_find": len(readable),
        "nothing_to_find": _counts(nothing),
        "confusion": counts,
        "other_kinds": {
            kind: _counts([phantom for phantom in others if phantom.case.kind == kind])
            for kind in sorted({phantom.case.kind for phantom in others})
        },
    }
    figures.rows += [row, *keyframe_rows([run for _, run in readable], "phantom")]


def chosen_runs(coronary: Sequence[PhantomRun]) -> list[tuple[PhantomRun, ChosenRun]]:
    """The coronary runs that have something to find, ready to be counted in all their groups."""
    return [
        (phantom, ChosenRun(truth, phantom.choices, phantom.due_ms, _groups(phantom)))
        for phantom in coronary
        if (truth := phantom_truth(phantom.labels)) is not None
    ]


def _groups(phantom: PhantomRun) -> tuple[str, ...]:
    hardships = (f"hardship: {name}" for name in phantom.hardships or ("none",))
    return "all", phantom.case.part, f"view: {phantom.view}", *hardships


def _sides_and_calibration(
    runs: Sequence[PhantomRun], labels: Sequence[KeyframeLabel], figures: Figures
) -> dict[str, Any]:
    """Adds the figures of single frames; returns the confusion matrix of their sides."""
    answers, scores, right = [], [], []
    for number, phantom in enumerate(runs):
        for truth, frame in zip(phantom.labels, phantom.run.frames, strict=True):
            if truth.quality != "others" and truth.laterality is not None:
                answers.append(SideAnswer(number, truth.laterality, frame))
            if frame.finding is not None:
                classes = frame.finding.class_scores
                likeliest = max(range(len(labels)), key=classes.__getitem__)
                scores.append(classes[likeliest])
                right.append(_rightness(labels[likeliest], truth))
    counts = figures.sides("phantom", answers)
    figures.headline["phantom_frames"] = len(answers)
    figures.calibration("phantom", scores, right)
    return counts


def _rightness(answer: KeyframeLabel, truth: FrameLabel) -> float:
    """1 if the class is the frame's; a half where the frame shows no side and the class names one of the two."""
    if answer.quality != truth.quality:
        return 0.0
    return 0.5 if truth.laterality is None else float(answer.laterality == truth.laterality)


def _names_side(phantom: PhantomRun) -> bool:
    return phantom.run.result.laterality != "unknown"


def _counts(runs: Sequence[PhantomRun]) -> dict[str, int]:
    """How many runs, in how many a key frame was shown, and of how many a side was named."""
    return {
        "runs": len(runs),
        "with_key_frame": sum(bool(phantom.run.key_frames) for phantom in runs),
        "with_side": sum(_names_side(phantom) for phantom in runs),
    }
