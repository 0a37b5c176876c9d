"""Figures of answers about studies: AUROC, intervals, the best single view, and what is no better than nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.status import rows_of
from benchmarks.study_figures import MARGIN, Answered, auroc, beats_one_view, figures_of
from cathrt.runtime.models.study.section import StudyQuestion

QUESTIONS = (
    StudyQuestion("a_stenosis", "A", "stenosis", "amount", "a", low=0.0, high=100.0, unit="%"),
    StudyQuestion("a_cto", "A", "chronic total occlusion", "probability", "a", threshold=0.5),
    StudyQuestion("b_cto", "B", "chronic total occlusion", "probability", "b", threshold=0.5),
)
STUDIES = 80


def answered(*, seed: int = 0) -> Answered:
    """One question is answered well and better by all runs than by any view, the other at random."""
    draw = np.random.default_rng(seed)
    truth = (draw.random((STUDIES, 3)) < 0.3).astype(float)
    truth[:, 0] *= 80.0
    all_runs = np.stack([truth[:, 0] + draw.normal(0, 5, STUDIES), truth[:, 1] + draw.normal(0, 0.4, STUDIES),
                         draw.random(STUDIES)], axis=1)  # fmt: skip
    one_view = np.full((2, STUDIES, 3), np.nan)
    one_view[0] = np.stack([truth[:, 0], truth[:, 1] + draw.normal(0, 1.2, STUDIES), all_runs[:, 2]], axis=1)
    one_view[1, ::2] = draw.random((STUDIES // 2, 3))
    return Answered(QUESTIONS, ("one", "other"), truth, all_runs, one_view, np.zeros(3))


@pytest.mark.parametrize(
    ("score", "truth", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([1.0, 1.0, 1.0], [0, 1, 1], 0.5),
        ([3.0, 2.0, 1.0], [0, 1, 1], 0.0),
    ],
)
def test_auroc_counts_pairs_ties_half(score: list[float], truth: list[int], expected: float) -> None:
    assert auroc(np.array(score), np.array(truth, bool)) == pytest.approx(expected)


def test_auroc_of_one_kind_alone_is_none() -> None:
    assert np.isnan(auroc(np.ones(3), np.ones(3, bool)))


def test_each_question_stands_beside_what_takes_no_looking() -> None:
    figures = figures_of(answered())
    rows = {row["case"]: row for row in figures.rows}
    assert rows["a_cto"]["better_than_prevalence"]
    assert not rows["b_cto"]["better_than_prevalence"]
    assert rows["a_stenosis"]["mae"] < rows["a_stenosis"]["constant_mae"]
    assert figures.no_better == ["b_cto"]
    assert figures.headline["auroc_mean"] == pytest.approx(
        np.mean([rows[f"{one}_cto"]["auroc"] for one in "ab"]), abs=1e-4
    )
    low, high = figures.intervals["auroc_chronic_total_occlusion"]
    assert low < figures.headline["auroc_chronic_total_occlusion"] < high


def test_all_runs_are_compared_with_the_best_view_on_its_own_studies() -> None:
    found = answered()
    figures = figures_of(found)
    assert {row["case"]: row.get("best_view") for row in figures.rows}["a_cto"] == "one"
    assert figures.headline["gain_over_best_view"] > MARGIN
    alike = figures_of(replace(found, one_view=np.stack([found.all_runs, found.all_runs])))
    assert alike.headline["gain_over_best_view"] == pytest.approx(0.0)
    assert not beats_one_view(alike)


def test_a_question_that_few_have_is_counted_as_no_better() -> None:
    found = answered()
    truth = found.truth.copy()
    truth[:, 1] = 0.0
    truth[:3, 1] = 1.0
    figures = figures_of(replace(found, truth=truth))
    assert "a_cto" in figures.no_better
    assert "a_cto" not in {row["case"] for row in figures.rows}


def test_the_committed_rows_are_of_the_shipped_bundle() -> None:
    headlines = [row for row in rows_of("study_accuracy") if "headline" in row]
    if not headlines:
        pytest.skip("no rows of study_accuracy are committed: python -m benchmarks.study_accuracy --json")
    from cathrt.runtime.bundle.shipped import demonstration_studies_bundle, shipped_keys
    from cathrt.runtime.models import open_bundle

    with open_bundle(demonstration_studies_bundle(), shipped_keys()) as bundle:
        assert headlines[-1]["weights_sha256"] == bundle.manifest.provenance["chain"]["weights"]
        assert bundle.manifest.evidence["worth"]["no_better"] == headlines[-1]["no_better"]
