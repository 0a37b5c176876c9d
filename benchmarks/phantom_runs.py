"""Phantom runs that nothing was trained, tuned or measured on before, through the line, in worker processes.

A worker draws and judges whole runs, so no pixel leaves it. docs/status.md says which runs these are.
Not for: how real the pictures are (realism.py).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any

from benchmarks.figures import Figures, SideAnswer
from benchmarks.judged_runs import JudgedRun, LineRecipe, hit, judge
from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.section import KeyframeLabel
from cathrt.runtime.phantom import FrameLabel, PhantomSource, SceneKind, sample_scene

# Training begins at seed 0, validation at 10,000,000, its test at 20,000,000 (keyframe/demo/train_keyframe.py).
FIRST_SEED = 30_000_000
OTHERS_SHARE = 1 / 3
MATRIX, QUICK_MATRIX = 512, 256  # detector rows and columns; 256 draws in a third of the time
_BATCH = 4  # runs a task: each opens the line anew, which costs a small part of judging them


@dataclass(frozen=True, slots=True)
class PhantomRun:
    """A judged run and its truth, one label per frame."""

    seed: int
    kind: SceneKind
    run: JudgedRun
    labels: tuple[FrameLabel, ...]

    @property
    def side(self) -> str | None:
        """The artery that fills, or None where none does."""
        return next((label.laterality for label in self.labels if label.laterality is not None), None)


def seeds_to_judge(runs: int) -> list[int]:
    """`runs` seeds in order, of every kind as the phantom mixes them, and after them as many further ones without
    coronary contrast as bring these to OTHERS_SHARE: a false key-frame rate of 1 % needs hundreds of them."""
    seeds = list(range(FIRST_SEED, FIRST_SEED + runs))
    others = sum(_is_other(seed) for seed in seeds)
    further = (seed for seed in count(FIRST_SEED + runs) if _is_other(seed))
    while others < OTHERS_SHARE * len(seeds):
        seeds.append(next(further))
        others += 1
    return seeds


def judge_phantom(seed: int, matrix: int, line: Line) -> PhantomRun:
    """Draw one run and take it through the line."""
    source = PhantomSource(sample_scene(seed, kind=None, matrix=matrix))
    return PhantomRun(seed, source.scene.kind, judge(source, line), source.labels)


def judge_phantoms(seeds: Sequence[int], matrix: int, recipe: LineRecipe, workers: int) -> Iterator[PhantomRun]:
    """Every run in order, reported on stderr as they come; `workers` processes, or this one below 2."""
    done = 0
    if workers < 2:
        with recipe.opened() as line:
            for done, seed in enumerate(seeds, start=1):
                yield judge_phantom(seed, matrix, line)
                _tell(done, len(seeds))
        return
    batches = [tuple(seeds[start : start + _BATCH]) for start in range(0, len(seeds), _BATCH)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, die_with_parent, (os.getpid(),)) as pool:
        for judged in pool.map(_judge_batch, batches, repeat(matrix), repeat(recipe)):
            yield from judged
            _tell(done := done + len(judged), len(seeds))


def measure_phantoms(
    runs: Sequence[PhantomRun], labels: Sequence[KeyframeLabel], engine: str, figures: Figures
) -> None:
    """Frames and runs. labels: of the bundle, for the calibration of its likeliest class."""
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
    others = [phantom for phantom in runs if phantom.kind != "coronary"]
    with_better = [(p, better) for p in runs if (better := _frames_called(p, "better"))]
    figures.headline |= {"phantom_runs": len(runs), "phantom_other_runs": len(others)}
    counts = figures.sides("phantom", answers)
    figures.headline["phantom_frames"] = len(answers)
    figures.rate("phantom_run_laterality_correct", [p.run.result.laterality == p.side for p in runs if p.side])
    figures.rate("phantom_keyframe_hit", [hit(phantom.run, better) for phantom, better in with_better])
    figures.rate("phantom_false_keyframe_rate", [bool(phantom.run.key_frames) for phantom in others])
    figures.calibration("phantom", scores, right)
    row: dict[str, Any] = {"bench": "accuracy", "case": "phantom", "impl": engine, "n": len(runs)}
    row |= {"first_seed": runs[0].seed, "last_seed": runs[-1].seed, "frames": sum(len(p.labels) for p in runs)}
    row |= {"runs_with_better": len(with_better), "confusion": counts, "other_kinds": _kinds(others)}
    figures.rows.append(row)


def _judge_batch(seeds: tuple[int, ...], matrix: int, recipe: LineRecipe) -> list[PhantomRun]:
    with recipe.opened(threads=1) as line:
        return [judge_phantom(seed, matrix, line) for seed in seeds]


def _is_other(seed: int) -> bool:
    return sample_scene(seed, kind=None).kind != "coronary"


def _frames_called(phantom: PhantomRun, quality: str) -> list[int]:
    return [index for index, label in enumerate(phantom.labels) if label.quality == quality]


def _rightness(answer: KeyframeLabel, truth: FrameLabel) -> float:
    """1 if the class is the frame's; a half where the frame shows no side and the class names one of the two."""
    if answer.quality != truth.quality:
        return 0.0
    return 0.5 if truth.laterality is None else float(answer.laterality == truth.laterality)


def _kinds(others: Sequence[PhantomRun]) -> dict[str, dict[str, int]]:
    """Per kind without coronaries: how many runs, and in how many a key frame was shown."""
    kinds = sorted({phantom.kind for phantom in others})
    return {
        kind: {
            "runs": sum(p.kind == kind for p in others),
            "with_key_frame": sum(p.kind == kind and bool(p.run.key_frames) for p in others),
        }
        for kind in kinds
    }


def _tell(done: int, total: int) -> None:
    if done % _BATCH == 0 or done == total:
        print(f"phantom runs: {done}/{total}", file=sys.stderr, flush=True)
