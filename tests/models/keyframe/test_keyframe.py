"""What the keyframe model makes of logits, whatever the order of its labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import (
    DomainOutput,
    DomainReason,
    KeyframeLabel,
    KeyframeSection,
    ReadabilityOutput,
)

LABELS = tuple(
    KeyframeLabel(f"{side}-{quality}", side, quality)
    for side in ("left", "right")
    for quality in ("better", "bad", "others")
)


def model(labels: tuple[KeyframeLabel, ...] = LABELS, laterality: float = 0.6, visible: float = 0.3) -> KeyframeModel:
    return KeyframeModel(KeyframeSection("logits", labels, laterality, visible, 0.5))


READABILITY = ReadabilityOutput("readability", 0.4)
REASONS = (
    DomainReason("light", "light background", "背景が明るい"),
    DomainReason("bars", "test bars", "テストパターン"),
)
DOMAIN = DomainOutput("domain", REASONS, 0.3)
FULL = KeyframeModel(KeyframeSection("logits", LABELS, 0.6, 0.3, 0.5, readability=READABILITY, domain=DOMAIN))
CLEAR_LEFT = [0.5, 0.3, 0.1, 0.05, 0.03, 0.02]


def outputs(scores: list[float]) -> dict[str, np.ndarray]:
    return {"logits": np.log(np.array([scores], np.float32) + 1e-12)}


def further(readability: float = 0.7, domain: tuple[float, ...] = (0.9, 0.06, 0.04)) -> dict[str, np.ndarray]:
    """The outputs of a network of all three heads, for a clear left coronary."""
    odds = np.array([[np.log(readability / (1.0 - readability))]], np.float32)
    return {**outputs(CLEAR_LEFT), "readability": odds, "domain": np.log(np.array([domain], np.float32))}


def test_sides_and_key_frame_score_are_sums_of_their_columns() -> None:
    finding = model().finding(outputs([0.5, 0.2, 0.1, 0.15, 0.03, 0.02]), "fake")
    assert finding.laterality == "left"
    assert finding.laterality_score == pytest.approx(0.8, abs=1e-6)
    assert finding.score == pytest.approx(0.65, abs=1e-6)
    assert finding.class_scores == pytest.approx((0.5, 0.2, 0.1, 0.15, 0.03, 0.02), abs=1e-6)


@pytest.mark.parametrize("order", list(itertools.permutations(range(6)))[::120])
def test_the_meaning_follows_the_manifest_s_order(order: tuple[int, ...]) -> None:
    scores = [0.05, 0.02, 0.01, 0.6, 0.3, 0.02]
    labels = tuple(LABELS[i] for i in order)
    finding = model(labels).finding(outputs([scores[i] for i in order]), "fake")
    assert finding.laterality == "right"
    assert finding.score == pytest.approx(0.65, abs=1e-6)


def test_a_frame_that_shows_no_artery_has_no_side() -> None:
    finding = model().finding(outputs([0.01, 0.04, 0.9, 0.01, 0.02, 0.02]), "fake")
    assert finding.laterality == "unknown"
    assert finding.laterality_score > 0.9, "the score tells what the answer would have been"


def test_an_undecided_side_is_unknown() -> None:
    assert model().finding(outputs([0.3, 0.2, 0.05, 0.25, 0.15, 0.05]), "fake").laterality == "unknown"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_no_result(value: float) -> None:
    logits = np.zeros((1, 6), np.float32)
    logits[0, 3] = value
    with pytest.raises(EngineError, match="finite"):
        model().finding({"logits": logits}, "fake")


@given(st.lists(st.floats(-80, 80), min_size=6, max_size=6))
def test_scores_are_probabilities_for_any_logits(logits: list[float]) -> None:
    subject = model()
    finding = subject.finding({"logits": np.array([logits], np.float32)}, "fake")
    assert sum(finding.class_scores) == pytest.approx(1.0)
    assert 0.5 <= finding.laterality_score <= 1.0
    assert 0.0 <= finding.score <= 1.0
    assert subject.visibility(finding) >= finding.score - 1e-9


def test_readability_takes_the_place_of_p_better_as_the_score() -> None:
    finding = FULL.finding(further(readability=0.7), "fake")
    assert finding.score == pytest.approx(0.7, abs=1e-6)
    assert FULL.better(finding) == pytest.approx(0.55, abs=1e-6)
    assert (finding.laterality, finding.outside) == ("left", None)


def test_a_bundle_without_further_outputs_scores_p_better_and_never_reads_them() -> None:
    assert model().finding(further(readability=0.7), "fake") == model().finding(outputs(CLEAR_LEFT), "fake")
    assert model().finding(further(), "fake").score == pytest.approx(0.55, abs=1e-6)


@pytest.mark.parametrize(
    ("domain", "outside"),
    [((0.31, 0.35, 0.34), None), ((0.29, 0.37, 0.34), "light"), ((0.1, 0.2, 0.7), "bars"), ((1.0, 1e-9, 1e-9), None)],
)
def test_a_frame_that_is_too_little_of_an_angiogram_is_outside_for_the_likeliest_reason(
    domain: tuple[float, ...], outside: str | None
) -> None:
    finding = FULL.finding(further(domain=domain), "fake")
    assert finding.outside == outside
    assert finding.laterality == ("left" if outside is None else "unknown"), "outside, a frame names no side"
    assert finding.laterality_score == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("output", ["logits", "readability", "domain"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_further_output_that_is_not_finite_is_no_result_either(output: str, value: float) -> None:
    made = further()
    made[output][0, -1] = value
    with pytest.raises(EngineError, match=f"'{output}' holds .*finite"):
        FULL.finding(made, "fake")


@given(st.floats(-8e6, 8e6, width=32), st.lists(st.floats(-8e6, 8e6, width=32), min_size=3, max_size=3))
def test_readability_and_domain_mean_something_for_any_numbers(odds: float, domain: list[float]) -> None:
    made = {**outputs(CLEAR_LEFT), "readability": np.array([[odds]], np.float32), "domain": np.array([domain])}
    finding = FULL.finding(made, "fake")
    assert 0.0 <= finding.score <= 1.0
    assert (finding.score >= 0.5) is (odds >= 0.0) or finding.score == pytest.approx(0.5)
    assert finding.outside in (None, "light", "bars")
