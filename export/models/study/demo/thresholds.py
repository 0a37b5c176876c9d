"""Thresholds of the demonstration's calls, from patients that neither training nor test sees.

One for all segments of what is asked: of single segments there are too few patients with it. Not for: figures of what
the calls are worth (benchmarks/study_accuracy.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.study.section import StudyQuestion

_LEAST, _MOST = 0.02, 0.98


def chosen_thresholds(
    questions: Sequence[StudyQuestion], found: NDArray[np.float64], truth: NDArray[np.float64]
) -> dict[str, float]:
    """By name of the question, where sensitivity and specificity sum to most (Youden).

    found: (studies, questions) probabilities. truth: the same, 0 or 1.
    """
    groups: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        if question.form == "probability":
            groups.setdefault(question.asks, []).append(place)
    chosen: dict[str, float] = {}
    for places in groups.values():
        threshold = _best(found[:, places].ravel(), truth[:, places].ravel() > 0.5)
        chosen |= {questions[place].name: threshold for place in places}
    return chosen


def settings_text(thresholds: Mapping[str, float]) -> str:
    """As `cathrt export study --settings` reads it."""
    inside = ", ".join(f"{name} = {value:g}" for name, value in thresholds.items())
    return f"thresholds = {{ {inside} }}\n"


def _best(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Midway between two scores; within bounds, so that its logit stays one. 0.5 where all or none have it."""
    if truth.all() or not truth.any():
        return 0.5
    ranked = np.unique(score)
    between = 0.5 * (ranked[1:] + ranked[:-1]) if len(ranked) > 1 else ranked
    gains = [(score[truth] > one).mean() - (score[~truth] > one).mean() for one in between]
    return float(np.clip(round(float(between[int(np.argmax(gains))]), 3), _LEAST, _MOST))
