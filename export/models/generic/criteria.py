"""How an image classifier's engine is held against its reference: the row of criteria that qualify/ asks for.

Not for: the comparison itself (comparison.py), the limits (gate.py) or the drawing (page.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cathrt.export.models.generic import page
from cathrt.export.models.generic.comparison import Comparison, compare_runs
from cathrt.export.models.generic.gate import GATES, Gate, failures_of
from cathrt.export.models.generic.worth import worth_of
from cathrt.export.qualify.criteria import Criteria, Outputs, RunAnswers, Shown
from cathrt.export.qualify.evidence import share_figures, significant
from cathrt.export.qualify.worth import Worth
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.config import Config
from cathrt.runtime.models.generic.finding import softmax
from cathrt.runtime.models.generic.section import section_of


def compare(runs: Sequence[RunAnswers], manifest: Manifest, config: Config) -> Comparison:  # noqa: ARG001
    return compare_runs(runs, section_of(manifest))


def shares_of(run: RunAnswers, manifest: Manifest, config: Config) -> dict[str, float]:
    """What one run gives of each least share of the gate."""
    compared = compare([run], manifest, config)
    return {"agreement": compared.agreement.value, "run_labels": compared.run_labels.value}


def worth(runs: Sequence[RunAnswers], manifest: Manifest, config: Config) -> Worth | None:  # noqa: ARG001
    return worth_of(runs, section_of(manifest))


def int8_holds(manifest: Manifest, expected: Sequence[Outputs], found: Sequence[Outputs], gate: Gate) -> bool:
    """Whether as many calibration frames keep their label as the gate asks of all frames."""
    output = section_of(manifest).output
    before, after = ([answer[output].argmax() for answer in answers] for answers in (expected, found))
    return float(np.mean(np.equal(before, after))) >= gate.agreement


def flip_margin(manifest: Manifest, reference: Outputs, engine: Outputs) -> float | None:
    """How sure the reference was of a label that the engine does not share; None where it does, or for NaN."""
    output = section_of(manifest).output
    before, after = reference[output].reshape(-1), engine[output].reshape(-1)
    if not (np.isfinite(before).all() and np.isfinite(after).all()) or before.argmax() == after.argmax():
        return None
    second, best = np.sort(softmax(before.astype(np.float64)))[-2:]
    return float(best - second)


def figures(compared: Comparison) -> dict[str, Any]:
    """For the manifest's evidence."""
    found: dict[str, Any] = {
        "label_agreement": share_figures(compared.agreement),
        "flips": len(compared.flips),
        "frames_not_finite": len(compared.not_finite),
        "same_run_label": share_figures(compared.run_labels),
    }
    if compared.logit_error is not None:
        error = compared.logit_error
        found["logit_error"] = {"relative": significant(error.relative), "mean": significant(error.mean)}
    return found


CRITERIA = Criteria(
    comparison=Comparison,
    settings=lambda config: {},
    compare=compare,
    gates=GATES,
    failures=failures_of,
    int8_holds=int8_holds,
    shares=lambda manifest: Gate.AT_LEAST,
    shares_of=shares_of,
    worth=worth,
    shown=Shown(
        picture=flip_margin,
        figures=figures,
        of_set=lambda compared: {"known_labels": compared.known},
        details=lambda compared: {"flips": [asdict(flip) for flip in compared.flips]},
        rows=page.rows,
        sections=page.sections,
    ),
)
