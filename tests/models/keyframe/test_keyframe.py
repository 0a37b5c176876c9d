"""What the keyframe model makes of logits, whatever the order of its labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import KeyframeLabel, KeyframeSection

LABELS = tuple(
    KeyframeLabel(f"{side}-{quality}", side, quality)
    for side in ("left", "right")
    for quality in ("better", "bad", "others")
)


def model(labels: tuple[KeyframeLabel, ...] = LABELS, laterality: float = 0.6, visible: float = 0.3) -> KeyframeModel:
    return KeyframeModel(KeyframeSection("logits", labels, laterality, visible, 0.5))


def outputs(scores: list[float]) -> dict[str, np.ndarray]:
    return {"logits": np.log(np.array([scores], np.float32) + 1e-12)}


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
