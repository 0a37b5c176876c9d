"""What an image classifier is worth: how often stills get the label that their folder is named after.

As data sets of classifiers are laid out: DIR/<label>/<picture>. Without such stills nothing is stated. Not for: whether
an engine gives the same labels (comparison.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cathrt.export.models.generic.comparison import findings_of, label_of
from cathrt.export.qualify.criteria import RunAnswers
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.runs import Truths
from cathrt.export.qualify.worth import Worth, WorthFigure
from cathrt.runtime.models.generic.section import GenericSection

LABEL, GIVEN = "label", "given stills"


def folder_of(path: Path) -> str:
    """What a still is said to show; it counts where the model has such a label."""
    return path.parent.name


TRUTHS = Truths(of_still=folder_of)


def worth_of(runs: Sequence[RunAnswers], section: GenericSection) -> Worth | None:
    """Of the reference's labels; None where the truth of no run is known."""
    known = []
    for number, run in enumerate(runs):
        truths = set(run.truths)
        if len(truths) == 1 and (true := truths.pop()) in section.labels:
            known.append((true, label_of(findings_of(number, run, section).reference)))
    if not known:
        return None
    right = Share(sum(true == found for true, found in known), len(known))
    commonest = max(Counter(true for true, _ in known).values()) / len(known)
    return Worth((WorthFigure(LABEL, GIVEN, right, commonest, "the commonest label"),))
