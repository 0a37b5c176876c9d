"""What differs between an image classifier's engine and its reference, what its gate says, what labels are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.generic.comparison import Comparison, compare_runs
from cathrt.export.models.generic.criteria import CRITERIA
from cathrt.export.models.generic.gate import GATES, failures_of
from cathrt.export.models.generic.worth import folder_of, worth_of
from cathrt.export.qualify.criteria import RunAnswers
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW
from cathrt.runtime.config import Config
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.generic.section import GenericSection
from tests.models.generic.test_run import LABELS, MANIFEST, SECTION

TENCH, CRANE, SHARK = np.eye(3) * 4.0


def run(
    reference: Sequence[NDArray[np.float64]],
    engine: Sequence[NDArray[np.float64]] | None = None,
    truth: str | None = None,
    name: str = "run",
) -> RunAnswers:
    count = len(reference)
    return RunAnswers(
        name=name,
        frames=np.arange(count),
        due_ms=np.arange(count) * 66.7,
        truths=(truth,) * count,
        reference={"logits": np.stack(reference)[:, None]} if count else {},
        engine={"logits": np.stack(reference if engine is None else engine)[:, None]} if count else {},
    )


def compared(*runs: RunAnswers, section: GenericSection = SECTION) -> Comparison:
    return compare_runs(runs, section)


def test_the_same_answers_differ_in_nothing() -> None:
    found = compared(run([TENCH, CRANE, TENCH]), run([SHARK]))
    assert (found.runs, found.frames, found.agreement.value, found.run_labels.value) == (2, 4, 1.0, 1.0)
    assert (found.flips, found.run_changes, found.not_finite) == ((), (), ())
    assert found.logit_error is not None
    assert found.logit_error.relative == 0.0


def test_a_frame_of_another_label_is_a_flip_and_the_surest_come_first() -> None:
    unsure = np.array([1.0, 0.9, 0.0])
    found = compared(run([unsure, TENCH, TENCH], [CRANE, SHARK, TENCH]))
    assert [(flip.where.frame, flip.before, flip.after) for flip in found.flips] == [
        (1, "tench", "shark"),
        (0, "tench", "crane"),
    ]
    assert found.agreement.hits == 1
    assert "run frame 1: tench → shark" in str(found.flips[0])


def test_a_run_of_another_label_is_a_change_though_most_frames_agree() -> None:
    found = compared(run([TENCH, TENCH, CRANE, CRANE, TENCH], [TENCH, TENCH, CRANE, CRANE, CRANE]))
    assert [(change.before, change.after) for change in found.run_changes] == [("tench", "crane")]
    assert found.run_labels.value == 0.0


def test_a_frame_that_is_not_finite_agrees_with_nothing_and_has_no_error() -> None:
    found = compared(run([TENCH, TENCH], [np.array([np.nan, 0.0, 0.0]), TENCH]))
    assert [where.frame for where in found.not_finite] == [0]
    assert found.agreement.hits == 1
    assert found.logit_error is not None
    assert found.logit_error.relative == 0.0


def test_the_logit_error_is_relative_to_the_largest_logit_of_the_reference() -> None:
    found = compared(run([TENCH, CRANE], [TENCH, CRANE + np.array([0.0, 0.0, 0.02])]))
    assert found.logit_error is not None
    assert (found.logit_error.relative, found.logit_error.at.frame) == (pytest.approx(0.005), 1)


def test_a_reference_without_an_answer_is_an_error() -> None:
    with pytest.raises(EngineError, match="run frame 0: the reference gives logits that are not finite"):
        compared(run([np.array([np.inf, 0.0, 0.0])]))


def test_networks_of_other_labels_are_not_compared() -> None:
    with pytest.raises(EngineError, match=r"found logits \(1, 1, 3\), expected \(1, 2\)"):
        compared(run([TENCH]), section=replace(SECTION, labels=LABELS[:2]))


def test_each_precision_s_gate_passes_what_differs_in_nothing_on_enough_frames() -> None:
    found = compared(*(run([TENCH] * 20) for _ in range(50)))
    for gate in GATES.values():
        assert failures_of(found, gate) == ()


def test_every_limit_that_is_missed_is_named_with_what_to_look_at() -> None:
    nan = np.full(3, np.nan)
    found = compared(*(run([TENCH] * 20) for _ in range(50)), run([TENCH, TENCH], [CRANE, nan], name="bad"))
    missed = {failure.what: failure for failure in failures_of(found, GATES["float32"], [("head", 0.5)])}
    assert set(missed) == {"finite logits", "label agreement", "logit error", "label of the run"}
    assert "bad frame 0: tench → crane" in str(missed["label agreement"])
    assert "layer head" in str(missed["label agreement"])
    assert "bad: tench → crane" in str(missed["label of the run"])


def test_few_frames_are_too_few_and_no_failure_of_the_engine() -> None:
    (failure,) = failures_of(compared(run([TENCH] * 99)), GATES["int8"])
    assert failure.too_few
    assert failures_of(compared(run([TENCH] * 100)), GATES["int8"]) == ()


def test_one_run_gives_its_share_of_frames_and_whether_its_label_is_the_same() -> None:
    shares = CRITERIA.shares_of(run([TENCH, TENCH, TENCH, CRANE], [TENCH, TENCH, TENCH, SHARK]), MANIFEST, Config())
    assert shares == {"agreement": 0.75, "run_labels": 1.0}
    assert shares.keys() == CRITERIA.shares(MANIFEST)


def test_int8_holds_where_enough_calibration_frames_keep_their_label() -> None:
    expected = [{"logits": TENCH[None]}] * 100
    found = [{"logits": CRANE[None]}] + [{"logits": TENCH[None]}] * 99
    assert CRITERIA.int8_holds(MANIFEST, expected, found, GATES["int8"])
    assert not CRITERIA.int8_holds(MANIFEST, expected, [{"logits": CRANE[None]}, *found[:-1]], GATES["int8"])


def stills(right: int, wrong: int, others: int = 0) -> list[RunAnswers]:
    """tench and crane, half of each, of which so many are right."""
    made = [run([TENCH if number % 2 else CRANE], truth="tench" if number % 2 else "crane") for number in range(right)]
    made += [run([SHARK], truth="tench" if number % 2 else "crane") for number in range(wrong)]
    return made + [run([SHARK], truth="holiday")] * others


@pytest.mark.parametrize(
    ("answers", "verdict"), [(stills(40, 4, 9), BETTER), (stills(16, 24), NO_BETTER), (stills(12, 0), TOO_FEW)]
)
def test_labels_are_worth_something_beyond_the_commonest_one(answers: list[RunAnswers], verdict: str) -> None:
    found = worth_of(answers, SECTION)
    assert found is not None
    assert found.verdict == verdict
    assert found.figures[0].chance == pytest.approx(0.5)


def test_without_a_still_whose_folder_is_a_label_nothing_is_stated() -> None:
    assert worth_of([*stills(0, 0, 40), run([TENCH] * 9)], SECTION) is None


def test_a_still_is_said_to_show_what_its_folder_is_named_after() -> None:
    assert folder_of(Path("set/crane/0001.png")) == "crane"
