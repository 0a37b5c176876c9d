"""What a study reader is worth, from what benchmarks.study_accuracy printed of a bundle of the same weights.

Not for: measuring it (benchmarks/study_accuracy.py); without such figures there is not enough evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.export.qualify.measured_line import from_measured_line
from cathrt.export.qualify.worth import FEWEST
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict

BENCH = "study_accuracy"
_OF_QUESTIONS, _MEAN, _VIEW = "auroc_", "auroc_mean", "auroc_best_view"
_BLIND = 0.5  # the AUROC of an answer that is the same for every study


@dataclass(frozen=True, slots=True)
class StudyWorth:
    """lines: the figures that the verdict rests on. measured_on: sha256 of the manifest of the bundle that was
    measured; None where none was. no_better: questions that are no better than an answer without looking."""

    verdict: WorthVerdict
    lines: tuple[str, ...]
    measured_on: str | None = None
    no_better: tuple[str, ...] = ()


NOTHING = StudyWorth(TOO_FEW, ("answers about studies: no study of known truth",))


def worth_from(path: Path | None, weights_sha256: str) -> StudyWorth:
    """Of the last line of that output. None: nothing was measured.

    Better than chance where all that is asked is, each at the lower end of its interval: stenosis, occlusion and so on,
    as means over the segments. Single questions that are not are listed. Raises ConfigError as from_measured_line().
    """
    return NOTHING if path is None else from_measured_line(path, BENCH, weights_sha256, _worth)


def _worth(document: Mapping[str, Any]) -> StudyWorth:
    """Raises KeyError, TypeError and ValueError for what is no such line."""
    studies, headline = int(document["studies"]), dict(document["headline"])
    intervals, margin = document["intervals_95"], float(document["margin"])
    asked = [key for key in headline if key.startswith(_OF_QUESTIONS) and key not in (_MEAN, _VIEW)]
    if not asked:
        raise ValueError(f"no {_OF_QUESTIONS}* in its headline")
    lines = [f"{studies} phantom studies; without looking, every AUROC is {_BLIND:g}"]
    better = True
    for key in asked:
        low, high = map(float, intervals[key])
        better = better and low > _BLIND
        lines.append(f"{key}: {float(headline[key]):.3f} (95 %: {low:.3f} to {high:.3f})")
    if "gain_over_best_view" in headline:
        low, high = map(float, intervals["gain_over_best_view"])
        lines.append(
            f"ahead of the best single view by {float(headline['gain_over_best_view']):.3f} (95 %: {low:.3f} to "
            f"{high:.3f}); asked for: {margin:g}"
        )
    no_better = tuple(map(str, document["no_better"]))
    lines.append(f"no better than without looking: {', '.join(no_better) or 'no question'}")
    verdict = TOO_FEW if studies < FEWEST else BETTER if better else NO_BETTER
    return StudyWorth(verdict, tuple(lines), str(document["manifest_sha256"]), no_better)
