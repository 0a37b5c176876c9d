"""Phantom runs that nothing was trained, tuned or measured on before, through the line, in worker processes.

A worker draws and judges whole runs, so no pixel leaves it. docs/status.md says which runs these are.
Not for: counting what was right (phantom_measures.py), or how real the pictures are (realism.py).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from typing import Literal

from benchmarks.judged_runs import JudgedRun, LineRecipe, judge
from benchmarks.keyframe_baselines import Choices, due_ms, judge_beside_baselines
from benchmarks.keyframe_measures import view_of
from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.phantom import FrameLabel, PhantomSource, Scene, SceneKind, sample_scene
from cathrt.runtime.phantom.hardship import HARDSHIPS, Hardship

Part = Literal["natural", "hardship", "other"]

# Seeds of training, its tests, realism, calibration and qualification lie below 70 million (docs/status.md).
FIRST_SEED: dict[Part, int] = {"natural": 70_000_000, "hardship": 71_000_000, "other": 72_000_000}
# Runs without coronary contrast: how many of each kind in 32, in the proportions of sample_scene(kind=None).
_OTHER_KINDS: dict[SceneKind, int] = {
    "no_contrast": 8, "lv_gram": 5, "other_vessels": 5, "aortogram": 4, "empty": 3, "panning": 3, "saturated": 2,
    "closed_collimator": 2,
}  # fmt: skip
MATRIX, QUICK_MATRIX = 512, 256  # detector rows and columns; 256 draws in half of the time
_BATCH = 8  # runs a task: each opens the line anew, which costs a small part of judging them


@dataclass(frozen=True, slots=True)
class PhantomCase:
    """A run to draw. part: as the phantom mixes coronary runs; with a hardship for certain; without coronaries."""

    seed: int
    part: Part
    kind: SceneKind = "coronary"
    hardship: Hardship | None = None

    def scene(self, matrix: int) -> Scene:
        return sample_scene(self.seed, kind=self.kind, matrix=matrix, hardship=self.hardship)


@dataclass(frozen=True, slots=True)
class PhantomRun:
    """A judged run and its truth, one label per frame.

    choices: what every method would keep, of coronary runs only: elsewhere there is nothing to choose.
    """

    case: PhantomCase
    run: JudgedRun
    labels: tuple[FrameLabel, ...]
    view: str = "unknown view"
    hardships: tuple[Hardship, ...] = ()
    due_ms: tuple[float, ...] = ()
    choices: Choices = field(default_factory=dict)

    @property
    def side(self) -> str | None:
        """The artery that fills, or None where none does."""
        return next((label.laterality for label in self.labels if label.laterality is not None), None)


def cases_to_judge(runs: int) -> list[PhantomCase]:
    """`runs` coronary runs, half of them with a forced hardship in turn, then as many of the other kinds."""
    forced = runs // 2
    natural, hard, other = FIRST_SEED["natural"], FIRST_SEED["hardship"], FIRST_SEED["other"]
    in_turn = [kind for turn in range(max(_OTHER_KINDS.values())) for kind, n in _OTHER_KINDS.items() if turn < n]
    return [
        *(PhantomCase(natural + number, "natural") for number in range(runs - forced)),
        *(
            PhantomCase(hard + number, "hardship", hardship=hardship)
            for number, hardship in enumerate(islice(cycle(HARDSHIPS), forced))
        ),
        *(PhantomCase(other + number, "other", kind) for number, kind in enumerate(islice(cycle(in_turn), runs))),
    ]


def judge_phantom(case: PhantomCase, matrix: int, line: Line) -> PhantomRun:
    """Draw one run and take it through the line, a coronary one through the baselines too."""
    source = PhantomSource(case.scene(matrix))
    scene, run = source.scene, source.run
    if case.kind == "coronary":
        judged, choices = judge_beside_baselines(source, line)
    else:
        judged, choices = judge(source, line), {}
    return PhantomRun(case, judged, source.labels, view_of(run.geometry), scene.hardships, due_ms(run), choices)


def judge_phantoms(cases: Sequence[PhantomCase], matrix: int, recipe: LineRecipe, workers: int) -> Iterator[PhantomRun]:
    """Every run in order, reported on stderr as they come; `workers` processes, or this one below 2."""
    done = 0
    if workers < 2:
        with recipe.opened() as line:
            for done, case in enumerate(cases, start=1):
                yield judge_phantom(case, matrix, line)
                _tell(done, len(cases))
        return
    batches = [tuple(cases[start : start + _BATCH]) for start in range(0, len(cases), _BATCH)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, die_with_parent, (os.getpid(),)) as pool:
        for judged in pool.map(_judge_batch, batches, repeat(matrix), repeat(recipe)):
            yield from judged
            _tell(done := done + len(judged), len(cases))


def _judge_batch(cases: tuple[PhantomCase, ...], matrix: int, recipe: LineRecipe) -> list[PhantomRun]:
    with recipe.opened(threads=1) as line:
        return [judge_phantom(case, matrix, line) for case in cases]


def _tell(done: int, total: int) -> None:
    if done % _BATCH == 0 or done == total:
        print(f"phantom runs: {done}/{total}", file=sys.stderr, flush=True)
