"""Writes a qualification's figures into the manifest, and signs the bundle unless it misses its gate.

Not for: taking the figures (qualify/measure.py) or the page for people (qualify/page.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.engine_records import evidence_about
from cathrt.export.bundle.sign import write_bundle
from cathrt.export.models.keyframe.comparison import Share
from cathrt.export.models.keyframe.gate import Failure, Gate, failures_of
from cathrt.export.qualify.alone import Latency
from cathrt.export.qualify.measure import Qualification
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.keyframe.section import CLASSIFIER


def verdict(qualification: Qualification, gate: Gate) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate; none means that it may be signed."""
    return failures_of(qualification.comparison, gate, qualification.layer_errors)


def sign_qualified(
    folder: Path,
    candidate: Bundle,
    qualified: Sequence[tuple[Qualification, Gate]],
    key: Ed25519PrivateKey,
) -> Path:
    """Write the candidate anew at `folder`, with the evidence in its manifest, signed with the key.

    Raises ManifestError, and writes nothing, where an engine misses its gate, one of the candidate's artifacts was not
    qualified, or what was qualified is another file than the candidate's.
    """
    manifest = candidate.manifest
    artifacts = manifest.network(CLASSIFIER).artifacts
    for qualification, gate in qualified:
        artifact = artifacts.get(qualification.engine)
        if artifact is None or manifest.files[artifact.file] != qualification.artifact_sha256:
            raise ManifestError(f"{qualification.engine}: qualified was another file than that of {candidate.path}")
        if failures := verdict(qualification, gate):
            raise ManifestError(
                f"{qualification.engine}: not signed, it misses its gate: " + " | ".join(map(str, failures))
            )
    missing = artifacts.keys() - {qualification.engine for qualification, _ in qualified}
    if missing:
        raise ManifestError(f"not signed: {sorted(missing)} not qualified: qualify them, or export without them")
    evidence = {qualification.engine: evidence_of(qualification, gate) for qualification, gate in qualified}
    told = evidence_about(manifest, artifacts)
    signed = replace(manifest, files={}, evidence={**told, "qualification": evidence})
    return write_bundle(folder, signed, {name: candidate.file(name) for name in manifest.files}, key)


def evidence_of(qualification: Qualification, gate: Gate) -> dict[str, Any]:
    """The figures for Manifest.evidence: plain JSON numbers, rounded, nothing that is not finite."""
    compared = qualification.comparison
    error, sides, alone = compared.logit_error, compared.laterality, qualification.alone
    found: dict[str, Any] = {
        "passed": not verdict(qualification, gate),
        "gate": asdict(gate),
        "precision": qualification.precision,
        "artifact_sha256": qualification.artifact_sha256,
        "reference": qualification.reference,
        "judge_set": {
            "sha256": qualification.judge_set_sha256,
            "runs": compared.runs,
            "frames": compared.frames,
            "left_out": sum(qualification.left_out.values()),
            "known_side": list(compared.known_frames),
        },
        "class_agreement": _share(compared.agreement),
        "flips": len(compared.flips),
        "frames_not_finite": len(compared.not_finite),
        "side_changes": len(compared.side_changes),
        "runs_without_key_frame": compared.runs_without_key_frame,
        "latency": _times(qualification.latency),
        "reference_latency": _times(qualification.reference_latency),
        "worst_layers": [[name, _significant(error)] for name, error in qualification.layer_errors[:10]],
    }
    if error is not None:
        found["logit_error"] = {
            "largest": _significant(error.largest),
            "mean": _significant(error.mean),
            "relative": _significant(error.relative) if np.isfinite(error.relative) else None,
        }
    if sides is not None:
        found["laterality_f1"] = {
            "reference": round(sides.before, 4),
            "engine": round(sides.after, 4),
            "change_interval_95": [round(end, 4) for end in sides.interval],
        }
    if compared.key_frames is not None:
        found["same_key_frame"] = _share(compared.key_frames)
    if alone is not None:
        found["alone"] = _times(alone.latency) | {
            "rss_before_mib": round(alone.rss_before_mib, 1),
            "peak_rss_mib": round(alone.peak_rss_mib, 1),
        }
    return found


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "hits": share.hits,
        "of": share.of,
        "share": round(share.value, 5),
        "interval_95": [round(low, 5), round(high, 5)],
    }


def _times(latency: Latency) -> dict[str, float | int]:
    shares = {"min_ms": 0.0, "p25_ms": 0.25, "median_ms": 0.5, "p75_ms": 0.75, "p99_ms": 0.99, "max_ms": 1.0}
    return {"n": len(latency.took_ms)} | {key: round(latency.quantile(share), 3) for key, share in shares.items()}


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
