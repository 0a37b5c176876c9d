"""What counts as a difference in the further outputs, and what the gate and the page make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.keyframe import page
from cathrt.export.models.keyframe.comparison import RunLogits, compare, run_logits
from cathrt.export.models.keyframe.criteria import figures, int8_holds
from cathrt.export.models.keyframe.demo.evaluate import semantics
from cathrt.export.models.keyframe.differences import AS_READABLE, Comparison, DomainChange, KeyFrameChange
from cathrt.export.models.keyframe.gate import GATES, failures_of
from cathrt.export.qualify.criteria import FrameName, RunAnswers
from cathrt.export.qualify.gate import Failure
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import DomainOutput, DomainReason, ReadabilityOutput
from tests.golden import golden_manifest

REASONS = (DomainReason("drawing", "a drawing", "図"), DomainReason("ultrasound", "ultrasound", "超音波"))
MEANING = replace(
    semantics(0.6, 0.5, 0.5),
    readability=ReadabilityOutput("readability", 0.3),
    domain=DomainOutput("domain", REASONS, 0.5),
)
PLAIN = replace(MEANING, readability=None, domain=None)
INSIDE, DRAWING, ULTRASOUND = (np.eye(3)[column] * 8.0 for column in range(3))
FRAMES = 12


def log_odds(readability: Sequence[float]) -> NDArray[np.float64]:
    scores = np.array(readability, np.float64)[:, None]
    return np.log(scores / (1.0 - scores))


def run_of(
    before: Sequence[float], after: Sequence[float] | None = None, *, name: str = "run", quality: str = "better"
) -> RunLogits:
    """A left run of angiograms, 10 frames a second, with these readabilities; the classes are the same for both."""
    count = len(before)
    column = {"better": 0, "others": 2}[quality]
    logits = np.tile(np.eye(6)[column] * 8.0, (count, 1))
    domain = np.tile(INSIDE, (count, 1))
    reference = {"readability": log_odds(before), "domain": domain.copy()}
    engine = {"readability": log_odds(before if after is None else after), "domain": domain.copy()}
    frames = np.arange(count)
    return RunLogits(name, frames, frames * 100.0, (None,) * count, logits, logits.copy(), reference, engine)


def compared(*runs: RunLogits) -> Comparison:
    return compare(runs, MEANING, KeyframePolicyConfig())


def peaks(*heights: float) -> list[float]:
    """A run of one second a beat, each with its readability over four frames."""
    return [value for height in heights for value in (0.05, 0.05, 0.05, *[height] * 4, 0.05, 0.05, 0.05)]


def qualification_set(runs: int = 100) -> list[RunLogits]:
    """Runs that pass every gate but that their sides are not known."""
    return [run_of(peaks(0.9), name=f"run {number}") for number in range(runs)]


def further(failures: Sequence[Failure]) -> list[str]:
    return [failure.what for failure in failures if failure.what != "frames of known side"]


def test_a_network_compared_with_itself_differs_in_nothing() -> None:
    found = compared(*qualification_set())
    assert found.readability is not None
    assert (found.readability.largest, found.readability.mean, found.readability.same_order) == (0.0, 0.0, 1.0)
    assert found.domain is not None
    assert (found.domain.hits, found.domain.of, found.domain_changes) == (1000, 1000, ())
    assert (found.runs_as_readable, found.runs_without_key_frame) == (0, 0)
    assert further(failures_of(found, GATES["float32"])) == []


def test_a_plain_network_has_nothing_of_it_in_figures_rows_or_page() -> None:
    runs = [replace(run, further_reference={}, further_engine={}) for run in qualification_set(1)]
    found = compare(runs, PLAIN, KeyframePolicyConfig())
    assert (found.readability, found.domain, found.domain_changes, found.runs_as_readable) == (None, None, (), 0)
    assert not {"readability_error", "same_domain", "runs_as_readable"} & figures(found).keys()
    assert len(page.rows(found, GATES["int8"])) == 7
    assert len(page.sections(found, {})) == 4


def test_the_readability_error_is_in_readability_and_not_in_log_odds() -> None:
    found = compared(run_of([0.5] * 4), run_of([0.5, 0.9, 0.5, 0.5], [0.5, 0.8, 0.5, 0.52], name="b")).readability
    assert found is not None
    assert (found.largest, found.mean) == (pytest.approx(0.1), pytest.approx(0.12 / 8))
    assert found.at == FrameName(1, "b", 1)


def test_order_counts_pairs_of_one_run_that_the_reference_tells_apart() -> None:
    found = compared(run_of([0.1, 0.5, 0.52], [0.1, 0.6, 0.3]), run_of([0.9, 0.8], [0.2, 0.3], name="b")).readability
    assert found is not None
    assert found.same_order == pytest.approx(2 / 3)  # 0.5 and 0.52 have no order; that of 0.9 and 0.8 is lost
    level = compared(run_of([0.5, 0.51])).readability
    assert level is not None
    assert level.same_order is None


def test_a_verdict_on_the_domain_that_changes_is_named_with_its_reason() -> None:
    run = run_of([0.5] * 4, name="a")
    run.further_engine["domain"][1] = DRAWING
    run.further_reference["domain"][2:] = ULTRASOUND
    run.further_engine["domain"][3] = DRAWING
    found = compared(run)
    assert found.domain is not None
    assert (found.domain.hits, found.domain.of) == (1, 4)
    assert [str(change) for change in found.domain_changes] == [
        "a frame 1: inside → drawing",
        "a frame 2: ultrasound → inside",
        "a frame 3: ultrasound → drawing",
    ]


def test_a_further_output_that_is_not_finite_makes_the_frame_so() -> None:
    run = run_of([0.5] * 4)
    run.further_engine["readability"][2] = math.nan
    found = compared(run)
    assert found.not_finite == (FrameName(0, "run", 2),)
    assert (found.agreement.hits, found.domain.hits if found.domain else None) == (3, 3)
    assert found.domain_changes == ()
    run.further_reference["domain"][1] = math.inf
    with pytest.raises(EngineError, match="run frame 1: the reference gives outputs that are not finite"):
        compared(run)


@pytest.mark.parametrize(("second", "same"), [(0.9 - AS_READABLE / 2, True), (0.9 - 2 * AS_READABLE, False)])
def test_another_key_frame_that_the_reference_finds_as_readable_is_the_same(second: float, same: bool) -> None:
    found = compared(run_of(peaks(0.9, second), peaks(0.88, 0.95)))
    assert found.key_frames is not None
    assert (found.key_frames.hits, found.runs_as_readable) == ((1, 1) if same else (0, 0))
    assert found.key_frame_changes == (() if same else (KeyFrameChange("run", 4, 14),))


def test_a_run_of_known_side_has_a_key_frame_below_the_threshold_too() -> None:
    near = run_of([0.49] * 9, [0.51] * 9)
    assert compared(near).key_frame_changes == ()
    nothing_shown = run_of([0.49] * 9, [0.51] * 9, quality="others")
    assert compared(nothing_shown).key_frame_changes == (KeyFrameChange("run", None, 0),)


def test_errors_beyond_the_gate_are_refused_with_the_frames_to_look_at() -> None:
    runs = qualification_set()
    for run in runs:
        run.further_engine["readability"][...] = log_odds(np.clip(np.array(peaks(0.9)) - 0.03, 0.01, 0.99).tolist())
    runs[7].further_engine["domain"][:2] = DRAWING
    failures = failures_of(compared(*runs), GATES["int8"], [("stages.1", 0.25)])
    assert further(failures) == ["readability error", "domain"]
    text = "; ".join(map(str, failures))
    assert "readability error: found a mean of 0.03" in text
    assert "domain: found 998 of 1000" in text
    assert "run 7 frame 0: inside → drawing; run 7 frame 1: inside → drawing; layer stages.1" in text


def test_noise_of_a_thousandth_passes_int8_and_fails_float32() -> None:
    runs = qualification_set()
    for run in runs:
        run.further_engine["readability"][...] += 0.01
    found = compared(*runs)
    assert further(failures_of(found, GATES["int8"])) == []
    assert further(failures_of(found, GATES["float32"])) == ["readability error"]


def test_the_domain_needs_as_many_frames_as_its_share() -> None:
    runs = [replace(run, name=f"run {number}") for number, run in enumerate([run_of([0.5] * 9)] * 100)]
    assert further(failures_of(compared(*runs), GATES["int8"])) == ["frames compared"]


def test_figures_and_page_show_what_was_found() -> None:
    run = run_of(peaks(0.9, 0.89), peaks(0.88, 0.95))
    run.further_engine["domain"][0] = DRAWING
    found = compared(run)
    told = figures(found)
    assert told["readability_error"]["largest"] == pytest.approx(0.06)
    assert told["runs_as_readable"] == 1
    assert told["same_domain"]["hits"] == 19
    rows = {what: (value, required) for what, value, required in page.rows(found, GATES["int8"])}
    assert rows["readability error"][0].startswith("mean ")
    assert rows["readability error"][1] == "mean at most 0.02"
    assert rows["frames of the same verdict on the domain"][1] == "at least 0.999"
    assert rows["runs of another key frame that is as readable"][0] == "1"
    assert "run frame 0: inside → drawing" in page.sections(found, {})[-1]


def test_outputs_of_other_shapes_or_missing_ones_are_refused_by_name() -> None:
    run = run_of([0.5] * 4)
    with pytest.raises(EngineError, match=r"the engine gives domain \(4, 2\), expected \(4, 3\)"):
        compared(replace(run, further_engine={**run.further_engine, "domain": np.zeros((4, 2))}))
    plain = {"logits": run.reference[:, None]}
    answers = RunAnswers("run", run.frames, run.due_ms, run.sides, plain, plain)
    with pytest.raises(
        EngineError, match=r"the reference gives \['logits'\], expected \['readability', 'domain'\] too"
    ):
        run_logits(answers, MEANING)


def test_answers_of_several_outputs_become_rows_of_each() -> None:
    run = run_of([0.5] * 4)
    given = {"logits": run.reference[:, None], **{k: v[:, None] for k, v in run.further_reference.items()}, "more": 0}
    found = run_logits(RunAnswers("run", run.frames, run.due_ms, run.sides, given, given), MEANING)
    assert found.reference.shape == (4, 6)
    assert {name: rows.shape for name, rows in found.further_engine.items()} == {
        "readability": (4, 1),
        "domain": (4, 3),
    }
    empty = run_logits(RunAnswers("run", run.frames[:0], run.due_ms[:0], (), {}, {}), MEANING)
    assert {name: rows.shape for name, rows in empty.further_reference.items()} == {
        "readability": (0, 1),
        "domain": (0, 3),
    }


def manifest() -> Manifest:
    return replace(golden_manifest(), model=MEANING)


def frame(
    readability: float = 0.5, domain: NDArray[np.float64] = INSIDE, label: int = 0
) -> dict[str, NDArray[np.float32]]:
    return {
        "logits": (np.eye(6, dtype=np.float32)[label] * 8)[None],
        "readability": log_odds([readability]).astype(np.float32),
        "domain": domain.astype(np.float32)[None],
    }


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (frame(0.51), True),
        (frame(0.53), False),
        (frame(domain=DRAWING), False),
        (frame(label=1), False),
        (frame(domain=INSIDE * math.nan), False),
    ],
)
def test_int8_must_keep_the_further_outputs_on_the_calibration_frames(
    answer: dict[str, NDArray[np.float32]], holds: bool
) -> None:
    expected = [frame()] * 64
    assert int8_holds(manifest(), expected, [answer] * 64, GATES["int8"]) is holds
    assert int8_holds(manifest(), expected, expected, GATES["int8"])


def test_a_change_of_the_domain_reads_as_one_line() -> None:
    assert str(DomainChange(FrameName(2, "a.dcm", 17), None, "drawing")) == "a.dcm frame 17: inside → drawing"
