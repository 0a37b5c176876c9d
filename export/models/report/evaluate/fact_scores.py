"""Facts of a draft against true ones: precision and recall of each kind of fact, with intervals over the reports.

Not for: reading facts from text (runtime/models/report), or what is true (the caller).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.intervals import Interval, bootstrap
from cathrt.runtime.models.report.facts import Facts, Lesion

FactKind = Literal["side", "artery", "grade", "cto", "segment", "dominance", "grafts"]
KINDS: tuple[FactKind, ...] = get_args(FactKind)
# What a picture can tell beyond the side, which the key-frame model names: these together are the headline.
LESION_KINDS: tuple[FactKind, ...] = ("artery", "grade", "cto")
RIGHT, STATED, TRUE = range(3)
Counts = NDArray[np.int64]  # (..., kinds, 3): stated and true, stated, true


@dataclass(frozen=True, slots=True)
class Score:
    """Of one kind of fact over several reports. A share of nothing is None, and has no interval."""

    right: int
    stated: int
    true: int
    precision: float | None
    recall: float | None
    f1: float | None
    precision_95: Interval | None
    recall_95: Interval | None
    f1_95: Interval | None


def stated_facts(facts: Facts, kind: FactKind) -> frozenset[tuple[str, ...]]:
    """What the facts state of one kind.

    artery: each narrowed one. grade: an artery with a percentage, as often as it has different ones. cto: an artery
    with a chronic total occlusion. segment: a narrowed one.
    """
    lesions = facts.lesions
    match kind:
        case "side":
            return frozenset((side,) for side in facts.sides)
        case "artery":
            return frozenset((one.artery,) for one in lesions if _narrowed(one))
        case "grade":
            return frozenset((one.artery, str(one.percent)) for one in lesions if one.percent is not None)
        case "cto":
            return frozenset((one.artery,) for one in lesions if one.chronic)
        case "segment":
            return frozenset((one.artery, one.segment) for one in lesions if one.segment is not None)
        case "dominance":
            return frozenset() if facts.dominance is None else frozenset({(facts.dominance,)})
        case "grafts":
            return frozenset() if facts.grafts is None else frozenset({(str(facts.grafts),)})


def fact_counts(draft: Facts, truth: Facts) -> Counts:
    """(kinds, 3) of one report.

    Dominance and grafts count only where they are known to be true or not: of a truth that has none there is nothing
    right or wrong to say.
    """
    counts = np.zeros((len(KINDS), 3), np.int64)
    for row, kind in enumerate(KINDS):
        stated, true = stated_facts(draft, kind), stated_facts(truth, kind)
        if kind in ("dominance", "grafts") and not true:
            continue
        counts[row] = len(stated & true), len(stated), len(true)
    return counts


def score_of(counts: Counts, kinds: Collection[FactKind]) -> Score:
    """counts: (reports, kinds, 3). The facts of several kinds are added up. Intervals: 95 %, whole reports redrawn."""
    rows = [row for row, kind in enumerate(KINDS) if kind in kinds]
    of_reports: Counts = counts[:, rows].sum(axis=1)
    right, stated, true = (int(value) for value in of_reports.sum(axis=0))

    def interval(above: Sequence[int], below: Sequence[int], factor: int) -> Interval | None:
        """Of factor * sum(above) / sum(below). A sample that has nothing below counts as 0."""

        def share(sums: Counts) -> NDArray[np.float64]:
            top, bottom = (sums[..., list(part)].sum(axis=-1) for part in (above, below))
            return np.asarray(factor * top / np.maximum(bottom, 1), np.float64)

        return bootstrap(of_reports, share) if int(of_reports[:, list(below)].sum()) else None

    return Score(
        right=right,
        stated=stated,
        true=true,
        precision=right / stated if stated else None,
        recall=right / true if true else None,
        f1=2 * right / (stated + true) if stated + true else None,
        precision_95=interval([RIGHT], [STATED], 1),
        recall_95=interval([RIGHT], [TRUE], 1),
        f1_95=interval([RIGHT], [STATED, TRUE], 2),
    )


def f1_ahead(ours: Counts, other: Counts, kinds: Collection[FactKind]) -> tuple[float, Interval]:
    """How much our F1 is above another's on the same reports, and the paired 95 % interval. Of nothing an F1 is 0."""
    if ours.shape != other.shape:
        raise ValueError(f"counts of {len(ours)} and {len(other)} reports: expected the same reports")
    rows = [row for row, kind in enumerate(KINDS) if kind in kinds]
    both = np.stack([ours[:, rows].sum(axis=1), other[:, rows].sum(axis=1)], axis=1)

    def ahead(sums: Counts) -> NDArray[np.float64]:
        f1 = 2 * sums[..., RIGHT] / np.maximum(sums[..., STATED] + sums[..., TRUE], 1)
        return np.asarray(f1[..., 0] - f1[..., 1], np.float64)

    return float(ahead(both.sum(axis=0))), bootstrap(both, ahead)


def _narrowed(lesion: Lesion) -> bool:
    return lesion.percent is None or lesion.percent > 0
