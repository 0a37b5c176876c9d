"""What counts as a difference between two networks, and what the gate lets through, on logits of known answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.keyframe.comparison import RunLogits, compare
from cathrt.export.models.keyframe.demo.dataset import LABELS
from cathrt.export.models.keyframe.demo.evaluate import semantics
from cathrt.export.models.keyframe.differences import Comparison, Flip, KeyFrameChange, SideChange
from cathrt.export.models.keyframe.gate import GATES, Gate, failures_of
from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.criteria import FrameName
from cathrt.export.qualify.gate import Failure, needed, tightened
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from tests.export.made_up import COLUMN

MEANING = semantics(0.6, 0.5, 0.5)
CLASSES = list(COLUMN)


def logits_of(classes: Sequence[str], sharpness: float = 6.0) -> NDArray[np.float64]:
    """Logits of a network that is sure of each of these classes."""
    return np.stack([np.eye(6)[COLUMN[name]] * sharpness for name in classes])


def run_of(
    reference: NDArray[np.float64],
    engine: NDArray[np.float64],
    sides: Sequence[Side | None] | None = None,
    name: str = "run",
) -> RunLogits:
    """Frames in order at 10 a second; the side is not known unless given."""
    indices = np.arange(len(reference))
    return RunLogits(name, indices, indices * 100.0, tuple(sides or [None] * len(reference)), reference, engine)


def compared(*runs: RunLogits) -> Comparison:
    return compare(runs, MEANING, KeyframePolicyConfig())


def qualification_set(runs: int = 100) -> list[RunLogits]:
    """Runs of two frames of each class, of both sides, that pass every gate."""
    classes = CLASSES * 2
    sides: list[Side | None] = [LABELS[COLUMN[name]].laterality for name in classes]
    draw = np.random.default_rng(0)
    answers = [logits_of(classes) + draw.normal(scale=0.2, size=(12, 6)) for _ in range(runs)]
    return [run_of(found, found.copy(), sides, f"run {number}") for number, found in enumerate(answers)]


def refused(failures: Sequence[Failure]) -> list[str]:
    return [failure.what for failure in failures]


def test_a_network_compared_with_itself_differs_in_nothing_and_passes_the_strictest_gate() -> None:
    found = compared(*qualification_set())
    assert (found.runs, found.frames, found.agreement.hits) == (100, 1200, 1200)
    assert [*found.flips, *found.not_finite, *found.side_changes, *found.key_frame_changes] == []
    assert found.logit_error is not None
    assert found.logit_error.largest == 0.0
    assert found.laterality is not None
    assert (found.laterality.change, found.laterality.interval) == (0.0, (0.0, 0.0))
    assert failures_of(found, GATES["float32"]) == ()


def test_a_flip_is_told_with_both_classes_and_their_margins() -> None:
    before = np.array([[2.0, 1.0, -50, -50, -50, -50], [9.0, 0, 0, 0, 0, 0]])
    after = np.array([[0.0, 1.0, -50, -50, -50, -50], [9.0, 0, 0, 0, 0, 0]])
    (flip,) = compared(run_of(before, after, name="a")).flips
    sigmoid = 1 / (1 + math.exp(-1.0))
    assert (flip.where, flip.class_before, flip.class_after) == (FrameName(0, "a", 0), "LCA-better", "LCA-bad")
    assert (flip.margin_before, flip.margin_after) == pytest.approx((2 * sigmoid - 1, 2 * sigmoid - 1))
    assert flip.scores_before[:2] == pytest.approx((sigmoid, 1 - sigmoid))
    assert flip.scores_after[:2] == pytest.approx((1 - sigmoid, sigmoid))


def test_flips_come_surest_first() -> None:
    before = np.stack([logits_of(["LCA-bad"], sharpness)[0] for sharpness in (1.0, 5.0, 3.0)])
    flips = compared(run_of(before, logits_of(["RCA-bad"] * 3))).flips
    assert [flip.where.frame for flip in flips] == [1, 2, 0]


def test_a_frame_that_is_not_finite_agrees_with_nothing_and_is_named() -> None:
    runs = qualification_set()
    runs[7].engine[3, 2] = math.nan
    found = compared(*runs)
    assert found.not_finite == (FrameName(7, "run 7", 3),)
    assert found.agreement.hits == 1199
    assert found.flips == ()
    (failure, *_) = failures_of(found, GATES["int8"])
    assert failure.what == "finite logits"
    assert failure.look_at == ("run 7 frame 3",)


def test_an_engine_that_is_finite_nowhere_has_no_logit_error_to_report() -> None:
    found = compared(run_of(logits_of(CLASSES), np.full((6, 6), math.inf)))
    assert found.logit_error is None
    assert len(found.not_finite) == 6


def test_a_reference_that_is_not_finite_is_an_error_of_its_own() -> None:
    broken = logits_of(CLASSES)
    broken[4, 0] = math.nan
    with pytest.raises(EngineError, match="run frame 4: the reference"):
        compared(run_of(broken, logits_of(CLASSES)))


def test_logit_errors_are_absolute_and_relative_to_the_largest_logit() -> None:
    before = logits_of(CLASSES, 8.0)
    after = before.copy()
    after[2, 5] -= 0.4
    error = compared(run_of(before, before), run_of(before, after, name="b")).logit_error
    assert error is not None
    assert error.largest == pytest.approx(0.4)
    assert error.relative == pytest.approx(0.05)
    assert error.mean == pytest.approx(0.4 / 72)
    assert error.at == FrameName(1, "b", 2)


def test_runs_without_a_frame_keep_the_numbers_of_the_others() -> None:
    empty = run_of(np.zeros((0, 6)), np.zeros((0, 6)))
    found = compared(empty, run_of(logits_of(["LCA-bad"]), logits_of(["RCA-bad"]), name="b"))
    assert (found.runs, found.flips[0].where) == (1, FrameName(1, "b", 0))


def test_an_engine_that_is_wrong_on_one_class_is_refused_by_that_class() -> None:
    runs = qualification_set()
    for run in runs:
        run.engine[:, COLUMN["RCA-bad"]] -= 20.0
    failures = failures_of(compared(*runs), GATES["int8"], [("stages.2.blocks.1", 0.25)])
    agreement = next(failure for failure in failures if failure.what == "class agreement")
    assert "RCA-bad → " in agreement.look_at[0]
    assert sum("RCA-bad → " in line for line in agreement.look_at) >= 6
    assert "layer stages.2.blocks.1, error 0.25" in agreement.look_at
    assert "1000 of 1200" in agreement.found


def test_noise_of_a_thousandth_passes_int8_and_fails_float32_by_its_logits() -> None:
    draw = np.random.default_rng(1)
    runs = [replace(run, engine=run.engine + draw.normal(scale=1e-3, size=(12, 6))) for run in qualification_set()]
    found = compared(*runs)
    assert failures_of(found, GATES["int8"]) == ()
    assert refused(failures_of(found, GATES["float32"])) == ["logit error"]


def test_noise_as_large_as_the_logits_is_refused_everywhere() -> None:
    draw = np.random.default_rng(1)
    runs = [replace(run, engine=run.engine + draw.normal(scale=6.0, size=(12, 6))) for run in qualification_set()]
    for gate in GATES.values():
        assert {"class agreement", "laterality F1 change", "key frame"} <= set(
            refused(failures_of(compared(*runs), gate))
        )


def test_laterality_counts_only_frames_of_known_side() -> None:
    classes = ["LCA-better", "LCA-bad", "RCA-better", "RCA-bad"]
    wrong = logits_of(["RCA-better", "LCA-bad", "RCA-better", "RCA-bad"])
    unknown_there = compared(run_of(logits_of(classes), wrong, [None, "left", "right", "right"]))
    assert unknown_there.laterality is not None
    assert unknown_there.laterality.change == 0.0
    assert (unknown_there.known_frames, unknown_there.side_changes) == ((1, 2), ())
    known_there = compared(run_of(logits_of(classes), wrong, ["left", "left", "right", "right"]))
    assert known_there.laterality is not None
    assert known_there.laterality.change == pytest.approx((2 / 3 + 4 / 5) / 2 - 1.0)
    assert known_there.side_changes == (SideChange(FrameName(0, "run", 0), "left", "left", "right"),)


def test_the_interval_of_the_change_is_paired_and_the_same_every_time() -> None:
    runs = qualification_set(20)
    for run in runs[:4]:
        run.engine[[0, 6]] = logits_of(["RCA-better"] * 2)
    first, second = (compared(*runs).laterality for _ in range(2))
    assert first is not None
    assert first == second
    low, high = first.interval
    assert low < first.change < high <= 0.0
    assert first.change < -0.005


def test_a_better_engine_fails_the_gate_of_laterality_as_a_worse_one_does() -> None:
    runs = qualification_set()
    for run in runs:
        run.reference[[0, 6]] = logits_of(["RCA-better"] * 2)
    found = compared(*runs)
    assert found.laterality is not None
    assert found.laterality.change > 0.005
    assert "laterality F1 change" in refused(failures_of(found, GATES["int8"]))


@pytest.mark.parametrize(("shift", "same"), [(0, 1), (1, 1), (2, 0)])
def test_key_frames_one_frame_apart_are_the_same_and_two_apart_are_not(shift: int, same: int) -> None:
    before, after = logits_of(["LCA-bad"] * 12), logits_of(["LCA-bad"] * 12)
    before[3:6] = after[3 + shift : 6 + shift] = logits_of(["LCA-better"] * 3)  # one frame alone is no key frame
    found = compared(run_of(before, after))
    assert found.key_frames is not None
    assert (found.key_frames.hits, found.key_frames.of) == (same, 1)
    assert found.key_frame_changes == (() if same else (KeyFrameChange("run", 4, 6),))


def test_a_key_frame_against_none_is_a_change_and_none_against_none_is_not() -> None:
    quiet, loud = logits_of(["LCA-others"] * 5), logits_of(["LCA-better"] * 5)
    found = compared(run_of(quiet, quiet, name="a"), run_of(loud, quiet, name="b"), run_of(quiet, loud, name="c"))
    assert found.key_frame_changes == (KeyFrameChange("b", 0, None), KeyFrameChange("c", None, 0))
    assert found.runs_without_key_frame == 1


def test_a_still_is_no_run_to_choose_a_key_frame_from() -> None:
    still = logits_of(["LCA-better"])
    assert compared(run_of(still, still)).key_frames is None


def test_the_default_gates_are_those_of_the_issue() -> None:
    assert GATES["float32"] == Gate(1.0, 1e-4, 0.005, 0.99, readability_error=1e-4, domain=1.0)
    assert GATES["float16"] == GATES["bfloat16"] == Gate(0.999, None, 0.005, 0.99, 0.02, 0.999)
    assert GATES["int8"] == Gate(0.99, None, 0.005, 0.99, 0.02, 0.999)


def test_a_gate_may_be_tightened_and_then_refuses_more() -> None:
    gate = tightened(GATES["int8"], {"agreement": 0.999, "logit_error": 1e-4})
    assert gate == Gate(0.999, 1e-4, 0.005, 0.99)
    runs = [replace(run, engine=run.engine + 1e-3) for run in qualification_set()]
    assert failures_of(compared(*runs), GATES["int8"]) == ()
    assert refused(failures_of(compared(*runs), gate)) == ["logit error"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"agreement": 0.98}, "looser than 0.99"),
        ({"key_frames": 0.9}, "looser"),
        ({"laterality_f1_change": 0.01}, "looser than 0.005"),
        ({"agreement": 1.5}, "expected a share"),
        ({"logit_error": math.nan}, "expected a share up to 1 or an error"),
        ({"logit_error": math.inf}, "expected a share up to 1 or an error"),
        ({"speed": 1.0}, "no such limit, expected one of agreement"),
    ],
)
def test_a_gate_is_never_loosened(limits: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tightened(GATES["int8"], limits)


def test_a_set_too_small_for_its_shares_is_refused_though_all_agrees() -> None:
    assert refused(failures_of(compared(*qualification_set(17)), GATES["int8"])) == []
    few = failures_of(compared(*qualification_set(2)), GATES["float16"])
    assert refused(few) == ["frames compared", "frames of known side"]
    assert (few[0].found, few[0].required) == ("24", "at least 1000")
    assert all(failure.too_few for failure in few), "the sample is to blame, not the engine"


def test_frames_of_one_side_alone_prove_nothing_about_sides() -> None:
    def left_alone(run: RunLogits) -> RunLogits:
        return replace(run, sides=tuple(side if side == "left" else None for side in run.sides))

    runs = [left_alone(run) for run in qualification_set()]
    found = compared(*runs)
    assert found.laterality is None
    (failure,) = failures_of(found, GATES["int8"])
    assert (failure.what, failure.found) == ("frames of known side", "600 left, 0 right")


def test_as_many_trials_are_needed_as_one_miss_weighs() -> None:
    assert [needed(share) for share in (0.9, 0.99, 0.995, 0.999, 1.0)] == [10, 100, 200, 1000, 1000]


def test_nothing_to_compare_and_logits_of_other_labels_are_errors() -> None:
    with pytest.raises(ValueError, match="no frame to compare"):
        compared()
    with pytest.raises(EngineError, match=r"the engine gives logits \(6, 4\), expected \(6, 6\)"):
        compared(run_of(logits_of(CLASSES), np.zeros((6, 4))))


def test_a_flip_reads_as_one_line() -> None:
    flip = Flip(FrameName(2, "a.dcm", 17), "LCA-bad", "LCA-better", 0.04, 0.01, (0.5,), (0.5,))
    assert str(flip) == "a.dcm frame 17: LCA-bad → LCA-better (margin 0.040, then 0.010)"
