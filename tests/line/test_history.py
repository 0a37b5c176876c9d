"""A pass that was killed and is taken up: the frames whose verdicts are stored are part of the run's history.

The network answers what the contrast channel shows, so a frame that is missing from the history changes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.alert import Outcome, Record
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.frame_step import CpuFrameStep, FrameStep, NowNs
from cathrt.runtime.line.judge import Judge, RunningModel
from cathrt.runtime.line.pipeline import watch
from tests import passes
from tests.lines import (
    ArraySource,
    ListJournal,
    Tensors,
    contrast,
    fake_engine,
    finding_of,
    line,
    picture,
    remembering,
)

BUNDLE = remembering()
A, B, C, D = (picture(score, noise) for noise, score in enumerate([0.3, 0.7, 0.1, 0.5]))
BROKEN = picture(0.9)  # the engine fails on it
Item = float | np.ndarray | LostFrame | None


def fails_on_bright(inputs: Tensors, outputs: Tensors) -> None:
    if inputs["image"][0, 0].mean() > 0.85:
        raise EngineError("too bright")
    contrast(inputs, outputs)


def lost(index: int, *, failed: bool = True) -> LostFrame:
    return LostFrame(index, 0, "broken", failed=failed)


def judged(items: Sequence[Item], stored: Sequence[Record] = (), engine: FakeEngine | None = None) -> ListJournal:
    """The journal of a pass of which it held so many verdicts."""
    journal = ListJournal({record.id: record for record in stored})
    watch(ArraySource(items), line(bundle=BUNDLE, engine=engine or fake_engine(fails_on_bright)), journal)
    return journal


def became(journal: ListJournal) -> list[tuple[int, str, float | None]]:
    """Index, outcome and score of each frame."""
    found = []
    for verdict in sorted(journal.verdicts, key=lambda v: v.frame_index):
        finding = finding_of(verdict)
        found.append((verdict.frame_index, verdict.outcome.value, None if finding is None else finding.score))
    return found


class Noting(FakeEngine):
    """An engine whose step notes what it judges and what it remembers. refusal: what remember() raises."""

    def __init__(self, refusal: Exception | None = None) -> None:
        super().__init__(fake_engine().inputs, fake_engine().outputs, fails_on_bright)
        self.refusal = refusal
        self.judged: list[Any] = []
        self.remembered: list[Any] = []

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        return NotingStep(self, run, specs, now_ns)


class NotingStep(CpuFrameStep):
    def __init__(self, engine: Noting, *how: Any) -> None:
        super().__init__(engine, *how)
        self._noting = engine

    def __call__(self, pixels: Any, grayscale: int = 0) -> Any:
        self._noting.judged.append(pixels)
        return super().__call__(pixels, grayscale)

    def remember(self, pixels: Any, grayscale: int = 0) -> None:
        self._noting.remembered.append(pixels)
        if self._noting.refusal is not None:
            raise self._noting.refusal
        super().remember(pixels, grayscale)


ALL_KINDS: list[Item] = [A, A, lost(2), B, BROKEN, BROKEN, A, None, C, C, lost(10, failed=False), D, B, lost(13), A]


@pytest.mark.parametrize("stored", range(len(ALL_KINDS) + 1))
def test_a_pass_taken_up_anywhere_finds_what_the_pass_in_one_piece_finds(
    stored: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = judged(ALL_KINDS)
    caplog.clear()
    cut = judged(ALL_KINDS, whole.verdicts[:stored])
    assert became(cut) == became(whole)
    assert "has not seen every frame" not in caplog.text


def test_a_score_rests_on_the_frames_before_it() -> None:
    scores = [score for _, _, score in became(judged(ALL_KINDS)) if score is not None]
    assert len(scores) == len(set(scores)) == 7
    (alone,) = became(judged([D]))
    assert alone[2] not in scores[1:]


def test_only_frames_that_an_engine_was_shown_are_remembered() -> None:
    first: list[Item] = [A, A, lost(2, failed=False), B, BROKEN, lost(5), C, D]
    whole = judged(first)
    outcomes = " ".join(outcome for _, outcome, _ in became(whole))
    assert outcomes == "MET DUPLICATE DROPPED MET FAILED FAILED MET MET"
    engine = Noting()
    dropped_comes: list[Item] = [A, A, C, B, BROKEN, lost(5), C, D]
    cut = judged(dropped_comes, whole.verdicts[:6], engine)
    assert [id(pixels) for pixels in engine.remembered] == [id(pixels) for pixels in (A, B, BROKEN)]
    assert [id(pixels) for pixels in engine.judged] == [id(pixels) for pixels in (C, D)]
    assert became(cut) == became(whole)


@pytest.mark.parametrize(
    "refusal",
    [EngineError("no memory"), EngineLostError("it fell off the bus"), ValueError("on a device"), RuntimeError("bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_model_that_cannot_remember_costs_no_frame_and_is_warned_of_once_in_a_run(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    items: list[Item] = [A, B, C, D]
    whole = judged(items)
    for _ in range(2):
        caplog.clear()
        cut = judged(items, whole.verdicts[:3], Noting(refusal))
        assert [outcome for _, outcome, _ in became(cut)] == ["MET"] * 4
        assert became(cut)[:3] == became(whole)[:3]
        (record,) = (record for record in caplog.records if "has not seen every frame of run" in record.message)
        assert record.message.startswith("keyframe has not seen every frame of run ")
        assert record.message.endswith(f": {type(refusal).__name__}: {refusal}")


def test_a_frame_that_failed_with_any_error_may_raise_it_again() -> None:
    """What made the engine's call fail on a frame fails in remember(), too."""
    odd: Any = np.array([["no pixels"]], dtype=object)
    items: list[Item] = [A, odd, B, C]
    whole = judged(items)
    assert [outcome for _, outcome, _ in became(whole)] == ["MET", "FAILED", "MET", "MET"]
    assert became(judged(items, whole.verdicts[:3])) == became(whole)


class Part:
    """Stands for a model's step and for its part in the run: what each was asked to remember."""

    def __init__(self) -> None:
        self.remembered: list[Any] = []

    def remember(self, *frame: Any) -> None:
        self.remembered.append(frame)


@pytest.mark.parametrize(
    ("outcome", "found_by_keyframe", "step", "part"),
    [
        (Outcome.MET, True, True, True),
        (Outcome.LATE, True, True, True),
        (Outcome.FAILED, True, True, True),  # another model failed on it
        (Outcome.FAILED, False, True, False),
        (Outcome.DUPLICATE, False, False, False),
        (Outcome.DROPPED, False, False, False),
    ],
)
def test_each_model_remembers_the_frames_it_was_shown_and_those_it_answered(
    outcome: Outcome, found_by_keyframe: bool, step: bool, part: bool
) -> None:
    keyframe, other = (Part(), Part()), (Part(), Part())
    models: list[Any] = [RunningModel("keyframe", *keyframe), RunningModel("other", *other)]  # type: ignore[arg-type]
    judge = Judge(pass_id="pass", run_id="run", models=models, budget_ms=None, now_ns=lambda: 0)
    stored = passes.verdict(0)
    stored = replace(stored, outcome=outcome, findings=stored.findings if found_by_keyframe else ())
    judge.stands(Frame(A, 0, 0), stored)
    assert [bool(one.remembered) for one in (*keyframe, *other)] == [step, part, step, False]
