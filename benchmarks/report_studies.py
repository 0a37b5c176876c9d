"""Phantom studies that nothing was trained on, through the line and the report engine, as a real study goes.

A study is one run of each artery, or of one. The line judges it, the writer sees the key frames that the line chose and
writes a draft. Heard beside it: what the model itself wrote, before anything was struck. Not for: counting
(report_counts.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.judged_runs import judge
from cathrt.export.models.report.demo.seen import (
    LEAST_GRADE,
    as_stated,
    best_frame,
    facts_in_view,
    grade_of,
    in_order,
    lesions_in_view,
)
from cathrt.runtime.frame import Frame
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.model_kind import StudyRun
from cathrt.runtime.models.report.draft import Answering
from cathrt.runtime.models.report.facts import Facts, Findings, Side
from cathrt.runtime.models.report.findings import findings_from_runs
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Prompt
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.section import LANGUAGES, Language, ReportSection
from cathrt.runtime.models.report.writer import ReportWriter
from cathrt.runtime.phantom import PhantomSource, Scene, sample_scene
from cathrt.runtime.study.study_runs import study_run

# Nothing else draws from these. The commonest facts are counted on the third.
FIRST_SEED: dict[Side, int] = {"left": 92_000_000, "right": 93_000_000}
COMMONEST_SEED = 94_000_000
MATRIX, QUICK_MATRIX = 512, 256
_SIDES: tuple[tuple[Side, ...], ...] = (("left", "right"), ("left",), ("left", "right"), ("right",))


@dataclass(frozen=True, slots=True)
class StudyCase:
    """One study to draw. first: seeds of its scenes are counted from there."""

    number: int
    sides: tuple[Side, ...]
    first: dict[Side, int] = field(default_factory=lambda: FIRST_SEED)

    def scenes(self, matrix: int) -> list[Scene]:
        return [sample_scene(self.first[side] + self.number, side=side, matrix=matrix) for side in self.sides]


@dataclass(frozen=True, slots=True)
class DraftedStudy:
    """truth: what the pictures show that the model was given, or the best ones where it was given none.

    of_scenes: every narrowing of the arteries, shown or not. written: the model's own prose, by language. draft: what
    became of it.
    """

    case: StudyCase
    truth: Facts
    of_scenes: Facts
    findings: Findings
    written: dict[Language, str]
    draft: ReportDraft


def cases_of(studies: int) -> list[StudyCase]:
    """Half of them of both arteries, the others of the left or of the right one in turn."""
    return [StudyCase(number, _SIDES[number % len(_SIDES)]) for number in range(studies)]


def facts_to_learn(studies: int, matrix: int) -> Iterator[Facts]:
    """What other studies show, in their most readable frames: for the commonest answer. Nothing is drawn as pixels."""
    first: dict[Side, int] = {"left": COMMONEST_SEED, "right": COMMONEST_SEED + 500_000}
    for case in cases_of(studies):
        scenes = StudyCase(case.number, case.sides, first).scenes(matrix)
        yield merged([facts_in_view(scene, best_frame(scene)) for scene in scenes])


class Listening:
    """A report model whose prose is noted as it writes it. Fits writer.Reporting."""

    def __init__(self, model: Answering, embed: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self._model, self._embed = model, embed
        self.prose: list[str] = []

    @property
    def section(self) -> ReportSection:
        return self._model.section

    def embed_picture(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._embed(grey)

    def answer(self, prompt: Prompt, asked: Asked, stop: threading.Event) -> Generator[str, None, Answer]:
        answer = yield from self._model.answer(prompt, asked, stop)
        if asked.schema is None:
            self.prose.append(answer.text)
        return answer

    def close(self) -> None:
        """The model is its owner's."""


def drafted(case: StudyCase, matrix: int, line: Line, writer: ReportWriter, heard: Listening) -> DraftedStudy:
    """Judge the study's runs, show the writer what it lacks, and let it write."""
    scenes = case.scenes(matrix)
    sources = [PhantomSource(scene) for scene in scenes]
    judged = [judge(source, line) for source in sources]
    runs = [study_run(run.summary) for run in judged]
    of_run = {run.run_id: source for run, source in zip(runs, sources, strict=True)}
    for which in writer.lacks(runs):
        source = of_run[which.run_id]
        writer.see(which, source.run, _frame(source, which.frame_index))
    heard.prose.clear()
    draft = writer.write(f"study-{case.number}", runs, threading.Event())
    assert isinstance(draft, ReportDraft), "nobody stops it"
    shown = [_shown_frame(scene, run, draft) for scene, run in zip(scenes, runs, strict=True)]
    return DraftedStudy(
        case=case,
        truth=merged([facts_in_view(scene, frame) for scene, frame in zip(scenes, shown, strict=True)]),
        of_scenes=merged([facts_of_scene(scene) for scene in scenes]),
        findings=findings_from_runs(runs),
        written=dict(zip(LANGUAGES, heard.prose, strict=False)),
        draft=draft,
    )


def facts_of_scene(scene: Scene) -> Facts:
    """Every narrowing that a draft would name if it were shown."""
    facts = facts_in_view(scene, best_frame(scene))
    lesions = (one for one in lesions_in_view(scene, 0) if grade_of(one.percent) >= LEAST_GRADE)
    return Facts(facts.sides, as_stated(lesions), facts.dominance)


def merged(of_runs: Sequence[Facts]) -> Facts:
    """The facts of one study from those of its runs, of each artery one."""
    dominances = [facts.dominance for facts in of_runs if facts.dominance is not None]
    return Facts(
        sides=tuple(side for facts in of_runs for side in facts.sides),
        lesions=in_order(lesion for facts in of_runs for lesion in facts.lesions),
        dominance=dominances[0] if dominances else None,
    )


def _shown_frame(scene: Scene, run: StudyRun, draft: ReportDraft) -> int:
    """The frame of this run that the model was given, or the best one where it was given none."""
    given = [one.frame_index for one in draft.key_frames if one.run_id == run.run_id]
    return given[0] if given else best_frame(scene)


def _frame(source: PhantomSource, index: int) -> Frame:
    geometry = source.scene.carm
    return Frame(source.render(index), index, 0, geometry.primary_angle_deg, geometry.secondary_angle_deg)
