"""Two lines on the same runs: each judged by both, in turns; what either refuses is said and not compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from cathrt.export.compare.latency import latencies
from cathrt.export.compare.pairs import Answers, CompareInput, RunPair, Side, _Kept, judged_pairs
from cathrt.export.models.keyframe.agreement import NEAR_MS, agreement
from cathrt.runtime.alert import Refusal, StageTimes
from cathrt.runtime.config import Config
from cathrt.runtime.errors import SourceError
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import opened_journal
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene
from cathrt.runtime.ports import Opening, SeveralRunsError, Source
from tests.lines import BUNDLE, MANIFEST, ArraySource, _answer, brightness, line

RISING = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9]


def darker(inputs: Any, outputs: Any) -> None:
    """As brightness, but a picture must be lighter to be better."""
    _answer(outputs, max(0.0, float(inputs["image"].mean()) - 0.25))


@contextmanager
def side(line: Line) -> Iterator[Side]:
    kept = _Kept()
    with opened_journal(None, Config(), (kept,)) as journal:
        yield Side(BUNDLE, "fake", line, journal, kept)


def pairs_of(inputs: list[CompareInput], *computes: Any) -> list[RunPair | Refusal]:
    with ExitStack() as stack:
        a, b = (stack.enter_context(side(line(compute))) for compute in computes)
        return list(judged_pairs(inputs, a, b))


def run(scores: list[float], name: str = "array", labels: tuple[FrameLabel, ...] | None = None) -> CompareInput:
    return CompareInput(Opening(name, partial(ArraySource, scores, name=name)), labels)


def only_pairs(found: list[RunPair | Refusal]) -> list[RunPair]:
    assert all(isinstance(one, RunPair) for one in found)
    return found  # type: ignore[return-value]


def test_a_model_agrees_with_itself_on_every_frame_and_run() -> None:
    pairs = only_pairs(pairs_of([run(RISING), run(RISING[::-1], "b")], brightness, brightness))
    found = agreement(pairs, MANIFEST, MANIFEST)
    assert found.flips == ()
    assert {one.name: (one.share.hits, one.share.of) for one in found.common if one.share} == {
        "frames_same_class": (20, 20),
        "frames_same_laterality": (20, 20),
        "frames_same_domain": (20, 20),
        "runs_same_laterality": (2, 2),
        "runs_same_key_frame": (2, 2),
    }
    assert (found.frames, found.by_one, found.against_truth) == (20, 0, ())


def test_flips_are_the_frames_of_another_class_or_side_the_most_different_first() -> None:
    pairs = only_pairs(pairs_of([run(RISING)], brightness, darker))
    found = agreement(pairs, MANIFEST, MANIFEST)
    # A names the left side from 0.3 on and "better" from 0.5 on; B sees every frame darker by 0.25.
    assert sorted(one.frame_index for one in found.flips) == [2, 3, 4, 5]
    amounts = [one.amount for one in found.flips]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[0] == pytest.approx(0.25, abs=0.01)
    said = {one.frame_index: (one.a, one.b) for one in found.flips}
    assert said[3] == ("left-others, side left", "left-others, side unknown")
    assert said[4] == ("left-better, side left", "left-others, side left")
    assert [name for name, _, _ in found.flips[0].scores] == [label.name for label in MANIFEST.model.labels]
    shares = {common.name: common.share for common in found.common}
    classes, sides = shares["frames_same_class"], shares["frames_same_laterality"]
    assert classes is not None
    assert sides is not None
    assert (classes.hits, sides.hits, classes.of) == (8, 8, 10)
    assert classes.interval[0] < 0.8 < classes.interval[1]


def test_the_other_side_is_first_at_every_second_run() -> None:
    order: list[str] = []

    def noting(name: str, inputs: Any, outputs: Any) -> None:
        if not order or order[-1] != name:
            order.append(name)
        brightness(inputs, outputs)

    inputs = [run(RISING[: 3 + n], f"run {n}") for n in range(3)]
    pairs = only_pairs(pairs_of(inputs, partial(noting, "a"), partial(noting, "b")))
    assert order == ["a", "b", "a", "b"], "a b, b a, a b: neighbours fall together"
    assert [len(pair.a.verdicts) for pair in pairs] == [len(pair.b.verdicts) for pair in pairs] == [3, 4, 5]


def test_a_run_that_comes_twice_is_compared_once() -> None:
    pairs = only_pairs(pairs_of([run(RISING), run(RISING), run(RISING[1:], "b")], brightness, darker))
    assert [(pair.number, len(pair.a.verdicts), len(pair.b.verdicts)) for pair in pairs] == [(0, 10, 10), (2, 9, 9)]


def test_what_cannot_be_opened_is_one_refusal_and_the_others_are_compared() -> None:
    def broken() -> Source:
        raise SourceError("no run")

    found = pairs_of([CompareInput(Opening("broken.dcm", broken)), run(RISING)], brightness, brightness)
    refusal, pair = found
    assert isinstance(refusal, Refusal)
    assert (refusal.source, refusal.message) == ("broken.dcm", "no run")
    assert isinstance(pair, RunPair)
    assert pair.number == 1


def test_an_input_that_is_several_runs_gives_a_pair_of_each() -> None:
    def several() -> Source:
        parts = [run(RISING[:4], "one").opening, run(RISING[2:], "two").opening]
        raise SeveralRunsError("two runs", parts)

    pairs = only_pairs(pairs_of([CompareInput(Opening("folder", several))], brightness, darker))
    assert [(pair.number, pair.run.source) for pair in pairs] == [(0, "one"), (0, "two")]


def test_frames_that_one_side_fails_on_are_counted_and_not_compared() -> None:
    def broken(inputs: Any, outputs: Any) -> None:
        brightness(inputs, outputs)
        if inputs["image"].mean() > 0.75:
            outputs["logits"][0] = np.nan

    found = agreement(only_pairs(pairs_of([run(RISING)], brightness, broken)), MANIFEST, MANIFEST)
    assert (found.frames, found.by_one) == (6, 4)


def test_models_of_other_labels_are_compared_by_side_and_key_frame_only() -> None:
    labels = tuple(replace(label, name=f"other {label.name}") for label in MANIFEST.model.labels)
    other = replace(MANIFEST, model=replace(MANIFEST.model, labels=labels))
    found = agreement(only_pairs(pairs_of([run(RISING)], brightness, darker)), MANIFEST, other)
    shares = {one.name: one.share for one in found.common}
    assert shares["frames_same_class"] is None
    assert shares["frames_same_laterality"] is not None
    assert shares["runs_same_key_frame"] is not None


@pytest.mark.parametrize(
    ("a", "b", "rate_hz", "same"),
    [
        ((5,), (8,), 15.0, True),
        ((5,), (9,), 15.0, False),
        ((5,), (11,), 30.0, True),
        ((5,), (12,), 30.0, False),
        ((5,), (8,), 4.0, True),
        ((), (), 15.0, True),
        ((5,), (), 15.0, False),
        ((), (5,), 15.0, False),
    ],
)
def test_key_frames_are_the_same_within_three_frames_or_a_fifth_of_a_second(
    a: tuple[int, ...], b: tuple[int, ...], rate_hz: float, same: bool
) -> None:
    assert NEAR_MS == 200.0
    (pair,) = only_pairs(pairs_of([run(RISING)], brightness, brightness))
    timed = replace(pair.run, timing=replace(pair.run.timing, frame_rate_hz=rate_hz))
    marked = replace(pair, run=timed, a=with_marked(pair.a, a), b=with_marked(pair.b, b))
    (share,) = [
        one.share for one in agreement([marked], MANIFEST, MANIFEST).common if one.name == "runs_same_key_frame"
    ]
    assert share is not None
    assert share.hits == int(same)


def with_marked(answers: Answers, frames: tuple[int, ...]) -> Answers:
    (result,) = answers.summary.results
    marked = replace(result, marked_frames=frames, marked_scores=(0.9,) * len(frames))
    return replace(answers, summary=replace(answers.summary, results=(marked,)))


@pytest.fixture(scope="module")
def label() -> FrameLabel:
    return PhantomSource(sample_scene(6, matrix=64)).labels[0]


def test_of_generated_runs_each_side_is_counted_against_the_truth(label: FrameLabel) -> None:
    better = replace(label, laterality="left", quality="better", readability=0.9)
    empty = replace(label, laterality=None, quality="others", readability=0.0)
    filled = tuple(better if score >= 0.6 else empty for score in RISING)
    silent = (empty,) * 4
    inputs = [run(RISING, "filled", filled), run([0.1] * 4, "silent", silent), run(RISING[::-1], "recorded")]
    found = agreement(only_pairs(pairs_of(inputs, brightness, darker)), MANIFEST, MANIFEST)
    counted = {
        one.name: tuple(None if share is None else (share.hits, share.of) for share in (one.a, one.b))
        for one in found.against_truth
    }
    # 0.6 and 0.7 show an artery; the darker side sees 0.35 and 0.45 there, of which 0.35 is enough to be visible.
    assert counted["frames_right_laterality"] == ((6, 6), (6, 6))
    assert counted["runs_right_laterality"] == ((1, 1), (1, 1))
    assert counted["runs_key_frame_hit"] == ((1, 1), (1, 1))
    assert counted["runs_rightly_silent"] == ((1, 1), (1, 1))


def test_the_ratio_of_times_is_that_of_runs_and_not_of_the_sum() -> None:
    pairs = only_pairs(pairs_of([run(RISING[: 4 + n], f"run {n}") for n in range(3)], brightness, brightness))
    slow = [1.0, 10.0, 1.0]  # something else ran during the second run, on both sides
    timed = [
        replace(pair, a=with_infer(pair.a, 2.0 * factor), b=with_infer(pair.b, 3.0 * factor))
        for pair, factor in zip(pairs, slow, strict=True)
    ]
    _, infer = latencies(timed)
    assert infer.stage == "infer"
    assert (infer.frames_a, infer.frames_b) == (15, 15)
    assert infer.b_over_a == pytest.approx(1.5)
    assert infer.a is not None
    assert (infer.a.p50, infer.a.max) == (2.0, 20.0)


def test_without_a_judged_frame_no_time_is_given() -> None:
    (pair,) = only_pairs(pairs_of([run([])], brightness, brightness))
    for stage in latencies([pair]):
        assert (stage.a, stage.b, stage.b_over_a) == (None, None, None)


def with_infer(answers: Answers, infer_ms: float) -> Answers:
    times = StageTimes(0.0, 1.0, infer_ms, 0.0, infer_ms + 1.0)
    return replace(answers, verdicts=tuple(replace(verdict, latency_ms=times) for verdict in answers.verdicts))
