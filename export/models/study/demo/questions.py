"""What the demonstration is asked, of what clips, and the true answers of a generated patient.

Not for: the published products (products.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.study.section import StudyQuestion
from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.patient import Patient

# Grey values of generated runs: their mean and spread, rounded.
MEAN, STD = 115.0, 42.0
RUNS = 8  # of a study at most; generated ones have seven at most
TIGHT_PERCENT = 70.0  # a significant stenosis, as the published product counts
DOMINANCE = "dominance"
# Key and title as in segments.py, by the SYNTAX segment that the phantom counts by.
SEGMENTS: Mapping[int, tuple[str, str]] = {
    6: ("prox_lad", "Proximal LAD"),
    7: ("mid_lad", "Mid LAD"),
    11: ("prox_lcx", "Proximal LCX"),
    13: ("dist_lcx", "Distal LCX"),
    1: ("prox_rca", "Proximal RCA"),
    2: ("mid_rca", "Mid RCA"),
}
SIDE_OF: Mapping[int, Side] = {segment: "right" if segment in (1, 2) else "left" for segment in SEGMENTS}
_AMOUNT = "stenosis"
_CALLED = (
    ("stenosis_binary", "significant stenosis"),
    ("cto", "chronic total occlusion"),
    ("calcif_binary", "calcification"),
)


def demonstration_questions(thresholds: Mapping[str, float] | None = None) -> tuple[StudyQuestion, ...]:
    """In the order of the network's output. thresholds: of probabilities, by name; 0.5 where none is given."""
    chosen = thresholds or {}
    found = [
        StudyQuestion(
            f"{key}_{_AMOUNT}", f"{title}: stenosis", "stenosis", "amount", key, low=0.0, high=100.0, unit="%"
        )
        for key, title in SEGMENTS.values()
    ]
    found += [
        StudyQuestion(name, f"{title}: {asks}", asks, "probability", key, threshold=chosen.get(name, 0.5))
        for ending, asks in _CALLED
        for key, title in SEGMENTS.values()
        for name in (f"{key}_{ending}",)
    ]
    # "left" first, so that what is rarer is the first column.
    return (*found, StudyQuestion(DOMINANCE, "Dominance", "dominance", "category", categories=("left", "right")))


def true_answers(patient: Patient) -> NDArray[np.float32]:
    """(questions,) in the order of demonstration_questions: percent, then 0 or 1; of dominance 1 for left."""
    truth = [patient.truth[segment] for segment in SEGMENTS]
    return np.array(
        [
            *(one.diameter_stenosis_percent for one in truth),
            *(one.diameter_stenosis_percent >= TIGHT_PERCENT for one in truth),
            *(one.occluded for one in truth),
            *(one.calcified for one in truth),
            patient.dominance == "left",
        ],
        np.float32,
    )
