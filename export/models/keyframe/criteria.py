"""How a keyframe network's engine is held against its reference: the row of criteria that qualify/ asks for.

Not for: the comparison itself (comparison.py), the limits (gate.py) or the drawing (page.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cathrt.export.models.keyframe import page
from cathrt.export.models.keyframe.comparison import compare, margin, run_logits
from cathrt.export.models.keyframe.differences import Comparison
from cathrt.export.models.keyframe.findings import finding_of
from cathrt.export.models.keyframe.gate import GATES, Gate, failures_of
from cathrt.export.models.keyframe.worth import worth_of
from cathrt.export.qualify.criteria import Criteria, Outputs, RunAnswers, Shown
from cathrt.export.qualify.evidence import share_figures, significant
from cathrt.export.qualify.worth import Worth
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.config import Config
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import section_of


def compare_runs(runs: Sequence[RunAnswers], manifest: Manifest, config: Config) -> Comparison:
    """Everything that differs, as the runtime would read either's logits. Raises as `compare` does."""
    section = section_of(manifest)
    return compare([run_logits(run, section) for run in runs], section, _policy(config))


def shares(manifest: Manifest) -> frozenset[str]:
    """The least shares in the gate."""
    return Gate.AT_LEAST if section_of(manifest).domain is not None else Gate.AT_LEAST - {"domain"}


def shares_of(run: RunAnswers, manifest: Manifest, config: Config) -> dict[str, float]:
    """What one run gives of each least share of the gate."""
    compared = compare_runs([run], manifest, config)
    found = {"agreement": compared.agreement, "key_frames": compared.key_frames, "domain": compared.domain}
    return {name: share.value for name, share in found.items() if share is not None}


def worth(runs: Sequence[RunAnswers], manifest: Manifest, config: Config) -> Worth:
    """Of the reference's answers."""
    section = section_of(manifest)
    return worth_of([run_logits(run, section) for run in runs], section, _policy(config))


def int8_holds(manifest: Manifest, expected: Sequence[Outputs], found: Sequence[Outputs], gate: Gate) -> bool:
    """Whether as many calibration frames keep their likeliest class as the gate asks of all frames; and where there are
    further outputs, their verdict on the domain and their readability."""
    section = section_of(manifest)
    before, after = ([answer[section.output].argmax() for answer in answers] for answers in (expected, found))
    if float(np.mean(np.equal(before, after))) < gate.agreement:
        return False
    if section.readability is None and section.domain is None:
        return True
    model = KeyframeModel(section)
    pairs = [(finding_of(model, old), finding_of(model, new)) for old, new in zip(expected, found, strict=True)]
    finite = [(old, new) for old, new in pairs if old is not None and new is not None]
    if len(finite) < len(pairs):
        return False
    same = float(np.mean([old.outside == new.outside for old, new in finite]))
    error = float(np.mean([abs(old.score - new.score) for old, new in finite]))
    return same >= gate.domain and (section.readability is None or error <= gate.readability_error)


def flip_margin(manifest: Manifest, reference: Outputs, engine: Outputs) -> float | None:
    """How sure the reference was of a class that the engine does not share; None where it does, or for NaN."""
    output = section_of(manifest).output
    before, after = reference[output].reshape(-1), engine[output].reshape(-1)
    if not (np.isfinite(before).all() and np.isfinite(after).all()) or before.argmax() == after.argmax():
        return None
    scores = np.exp(before - before.max())
    return margin((scores / scores.sum()).tolist())


def figures(compared: Comparison) -> dict[str, Any]:
    """For the manifest's evidence."""
    error, sides = compared.logit_error, compared.laterality
    found: dict[str, Any] = {
        "class_agreement": share_figures(compared.agreement),
        "flips": len(compared.flips),
        "frames_not_finite": len(compared.not_finite),
        "side_changes": len(compared.side_changes),
        "runs_without_key_frame": compared.runs_without_key_frame,
    }
    if error is not None:
        found["logit_error"] = {
            "largest": significant(error.largest),
            "mean": significant(error.mean),
            "relative": significant(error.relative) if np.isfinite(error.relative) else None,
        }
    if sides is not None:
        found["laterality_f1"] = {
            "reference": round(sides.before, 4),
            "engine": round(sides.after, 4),
            "change_interval_95": [round(end, 4) for end in sides.interval],
        }
    if compared.key_frames is not None:
        found["same_key_frame"] = share_figures(compared.key_frames)
    readability = compared.readability
    if readability is not None:
        order = readability.same_order
        found["readability_error"] = {
            "largest": significant(readability.largest),
            "mean": significant(readability.mean),
            "same_order": None if order is None else round(order, 5),
        }
        found["runs_as_readable"] = compared.runs_as_readable
    if compared.domain is not None:
        found["same_domain"] = share_figures(compared.domain)
    return found


def details(compared: Comparison) -> dict[str, Any]:
    """For the report: every flip."""
    return {"labels": compared.labels, "flips": [asdict(flip) for flip in compared.flips]}


def _settings(config: Config) -> Mapping[str, Any]:
    return asdict(_policy(config))


def _policy(config: Config) -> KeyframePolicyConfig:
    policy = config.policy.get("keyframe")
    return policy if isinstance(policy, KeyframePolicyConfig) else KeyframePolicyConfig()


CRITERIA = Criteria(
    comparison=Comparison,
    settings=_settings,
    compare=compare_runs,
    gates=GATES,
    failures=failures_of,
    int8_holds=int8_holds,
    shares=shares,
    shares_of=shares_of,
    worth=worth,
    shown=Shown(
        picture=flip_margin,
        figures=figures,
        of_set=lambda compared: {"known_side": list(compared.known_frames)},
        details=details,
        rows=page.rows,
        sections=page.sections,
    ),
)
