"""How well answers about studies tell the sick from the well: AUROC and mean error by question, with intervals.

docs/status.md defines every figure. Not for: asking the network (study_accuracy.py).
S studies, Q questions, V views; answers are probabilities and percentages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.study.section import StudyQuestion

MARGIN = 0.02  # of the mean AUROC: so much all runs must be ahead of the best single view, and surely ahead at all
FEWEST = 5  # studies with and without, for an AUROC to mean anything
_RESAMPLES, _SEED = 1000, 0

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """truth: (S, Q), percent or 0 and 1. all_runs: (S, Q) of each study with all its runs. one_view: (V, S, Q) with the
    run of one view alone, NaN where the study has none. constants: (Q,) the best answers of an amount without looking,
    from other studies."""

    questions: tuple[StudyQuestion, ...]
    views: tuple[str, ...]
    truth: Floats
    all_runs: Floats
    one_view: Floats
    constants: Floats


@dataclass(slots=True)
class StudyFigures:
    """rows: of each question. headline, intervals: by key. no_better: questions that are no better than an answer
    without looking."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    headline: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    no_better: list[str] = field(default_factory=list)


def figures_of(found: Answered) -> StudyFigures:
    """All figures of one sitting."""
    figures = StudyFigures()
    draws = _draws(len(found.truth))
    called, compared = [], []
    for place, question in enumerate(found.questions):
        if question.form == "amount":
            figures.rows.append(_amount_row(found, place, draws, figures))
        elif (row := _call_row(found, place, draws, figures)) is not None:
            figures.rows.append(row)
            called.append(place)
            if (view := _best_view(found, place)) is not None:
                compared.append((place, view))
    _by_what_is_asked(found, called, draws, figures)
    _beside_best_views(found, compared, draws, figures)
    _percent(found, draws, figures)
    return figures


def auroc(score: Floats, truth: NDArray[np.bool_]) -> float:
    """Probability that one with scores above one without, ties half; NaN where either is missing."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[place]
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def beats_one_view(figures: StudyFigures) -> bool:
    """By the margin, and at the lower end of the interval by anything."""
    gain = figures.headline.get("gain_over_best_view")
    return gain is not None and gain >= MARGIN and figures.intervals["gain_over_best_view"][0] > 0.0


def _call_row(found: Answered, place: int, draws: NDArray[np.int64], figures: StudyFigures) -> dict[str, Any] | None:
    """None, noted as no better, where too few studies have it, or have it not."""
    question, truth = found.questions[place], found.truth[:, place] > 0.5
    if min(truth.sum(), (~truth).sum()) < FEWEST:
        figures.no_better.append(question.name)
        return None
    score = found.all_runs[:, place]
    low, high = _interval([auroc(score[rows], truth[rows]) for rows in draws])
    if low <= 0.5:
        figures.no_better.append(question.name)
    view = _best_view(found, place)
    best: dict[str, Any] = {}
    if view is not None:
        best = {"best_view": found.views[view], "best_view_auroc": round(_one_view(found, place, view), 4)}
    return {
        "case": question.name, "impl": "all_runs", "n": len(truth), "positive": int(truth.sum()),
        "auroc": round(auroc(score, truth), 4), "interval_95": [round(low, 4), round(high, 4)],
        "prevalence_auroc": 0.5, **best, "better_than_prevalence": low > 0.5,
    }  # fmt: skip


def _amount_row(found: Answered, place: int, draws: NDArray[np.int64], figures: StudyFigures) -> dict[str, Any]:
    question, truth = found.questions[place], found.truth[:, place]
    off, constant = np.abs(found.all_runs[:, place] - truth), np.abs(found.constants[place] - truth)
    gain = constant - off
    low, high = _interval([float(gain[rows].mean()) for rows in draws])
    if low <= 0.0:
        figures.no_better.append(question.name)
    return {
        "case": question.name, "impl": "all_runs", "n": len(truth), "mae": round(float(off.mean()), 4),
        "constant_mae": round(float(constant.mean()), 4), "gain": round(float(gain.mean()), 4),
        "gain_interval_95": [round(low, 4), round(high, 4)], "better_than_constant": low > 0.0,
    }  # fmt: skip


def _by_what_is_asked(found: Answered, called: Sequence[int], draws: NDArray[np.int64], figures: StudyFigures) -> None:
    """The mean AUROC over the segments of each question that is asked of them, and over all."""
    groups: dict[str, list[int]] = {}
    for place in called:
        groups.setdefault(found.questions[place].asks, []).append(place)
    named: Mapping[str, list[int]] = {f"auroc_{asks.replace(' ', '_')}": places for asks, places in groups.items()}
    for key, places in [*named.items(), ("auroc_mean", list(called))]:
        if not places:
            continue
        figures.headline[key] = _mean_auroc(found, places, np.arange(len(found.truth)))
        figures.intervals[key] = _interval([_mean_auroc(found, places, rows) for rows in draws])


def _beside_best_views(
    found: Answered, compared: Sequence[tuple[int, int]], draws: NDArray[np.int64], figures: StudyFigures
) -> None:
    """All runs beside the best view of each question, on the studies that have that view."""
    if not compared:
        return
    everyone = np.arange(len(found.truth))
    ahead, alone = _gain(found, compared, everyone)
    figures.headline |= {"auroc_best_view": alone, "gain_over_best_view": ahead}
    figures.intervals["gain_over_best_view"] = _interval([_gain(found, compared, rows)[0] for rows in draws])


def _gain(found: Answered, compared: Sequence[tuple[int, int]], rows: NDArray[np.int64]) -> Interval:
    """How far all runs are ahead, and what the best views reach, as means over the questions."""
    ahead, alone = [], []
    for place, view in compared:
        own = rows[np.isfinite(found.one_view[view, rows, place])]
        truth = found.truth[own, place] > 0.5
        one = auroc(found.one_view[view, own, place], truth)
        alone.append(one)
        ahead.append(auroc(found.all_runs[own, place], truth) - one)
    return _mean(ahead), _mean(alone)


def _best_view(found: Answered, place: int) -> int | None:
    """The view whose runs alone answer best on these very studies, which favours it. None: none is there often."""
    scores = [_one_view(found, place, view) for view in range(len(found.views))]
    return int(np.nanargmax(scores)) if np.isfinite(scores).any() else None


def _one_view(found: Answered, place: int, view: int) -> float:
    there = np.isfinite(found.one_view[view, :, place])
    truth = found.truth[there, place] > 0.5
    if min(truth.sum(), (~truth).sum()) < FEWEST:
        return float("nan")
    return auroc(found.one_view[view, there, place], truth)


def _mean_auroc(found: Answered, places: Sequence[int], rows: NDArray[np.int64]) -> float:
    scores = [auroc(found.all_runs[rows, place], found.truth[rows, place] > 0.5) for place in places]
    return _mean(scores)


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers: in a sample of few studies a question may have nobody with it."""
    there = [value for value in values if np.isfinite(value)]
    return float(np.mean(there)) if there else float("nan")


def _percent(found: Answered, draws: NDArray[np.int64], figures: StudyFigures) -> None:
    """Mean error of all amounts, beside the best constants."""
    places = [place for place, question in enumerate(found.questions) if question.form == "amount"]
    if not places:
        return
    off = np.abs(found.all_runs[:, places] - found.truth[:, places]).mean(1)
    constant = np.abs(found.constants[places] - found.truth[:, places]).mean(1)
    figures.headline |= {"stenosis_mae_percent": float(off.mean()), "stenosis_mae_constant": float(constant.mean())}
    figures.intervals["stenosis_mae_percent"] = _interval([float(off[rows].mean()) for rows in draws])


def _draws(studies: int) -> NDArray[np.int64]:
    """(resamples, S) whole studies drawn anew with replacement."""
    draw = np.random.Generator(np.random.PCG64(_SEED))
    return draw.integers(studies, size=(_RESAMPLES, studies))


def _interval(values: Sequence[float] | Iterator[float]) -> Interval:
    low, high = np.nanpercentile(np.array(list(values)), [2.5, 97.5])
    return float(low), float(high)
