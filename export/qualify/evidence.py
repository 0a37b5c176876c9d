"""Writes a qualification's figures into the manifest, and signs the bundle unless it misses its gate.

Not for: taking the figures (measure.py) or the page for people (page.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.engine_records import evidence_about
from cathrt.export.bundle.sign import write_bundle
from cathrt.export.qualify.alone import Latency
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.gate import Failure
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.measure import Qualification
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError


@dataclass(frozen=True, slots=True, eq=False)
class Qualified:
    """A qualification, and what it is held to. gate: of criteria.gates, or stricter."""

    found: Qualification
    criteria: Criteria[Any, Any]
    gate: Any

    @property
    def failures(self) -> tuple[Failure, ...]:
        return verdict(self.found, self.criteria, self.gate)

    @property
    def evidence(self) -> dict[str, Any]:
        return evidence_of(self.found, self.criteria, self.gate)


def verdict(qualification: Qualification, criteria: Criteria[Any, Any], gate: Any) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate; none means that it may be signed."""
    return criteria.failures(qualification.comparison, gate, qualification.layer_errors)


def sign_qualified(folder: Path, candidate: Bundle, qualified: Sequence[Qualified], key: Ed25519PrivateKey) -> Path:
    """Write the candidate anew at `folder`, with the evidence in its manifest, signed with the key.

    qualified: every network in every engine that has an artifact. Raises ManifestError, and writes nothing, where one
    misses its gate or is missing, or what was qualified is another file than the candidate's.
    """
    manifest = candidate.manifest
    artifacts = {(role, engine): artifact for role, engine, artifact in manifest.all_artifacts()}
    for one in qualified:
        found = one.found
        artifact = artifacts.pop((found.role, found.engine), None)
        if artifact is None or manifest.files[artifact.file] != found.artifact_sha256:
            raise ManifestError(f"{found.engine}: qualified was another file than that of {candidate.path}")
        if failures := one.failures:
            raise ManifestError(f"{found.engine}: not signed, it misses its gate: " + " | ".join(map(str, failures)))
    if artifacts:
        missing = sorted({engine for _, engine in artifacts})
        raise ManifestError(f"not signed: {missing} not qualified: qualify them, or export without them")
    told = evidence_about(manifest, {one.found.engine for one in qualified})
    signed = replace(manifest, files={}, evidence={**told, "qualification": evidence_by_engine(manifest, qualified)})
    return write_bundle(folder, signed, {name: candidate.file(name) for name in manifest.files}, key)


def evidence_by_engine(manifest: Manifest, qualified: Sequence[Qualified]) -> dict[str, Any]:
    """The figures by engine; where a bundle has several networks, of each by its role."""
    if len(manifest.networks) == 1:
        return {one.found.engine: one.evidence for one in qualified}
    found: dict[str, Any] = {}
    for one in qualified:
        found.setdefault(one.found.engine, {})[one.found.role] = one.evidence
    return found


def evidence_of(qualification: Qualification, criteria: Criteria[Any, Any], gate: Any) -> dict[str, Any]:
    """The figures for Manifest.evidence: plain JSON numbers, rounded, nothing that is not finite."""
    compared, alone = qualification.comparison, qualification.alone
    found: dict[str, Any] = {
        "passed": not verdict(qualification, criteria, gate),
        "gate": asdict(gate),
        "precision": qualification.precision,
        "artifact_sha256": qualification.artifact_sha256,
        "reference": qualification.reference,
        "judge_set": {
            "sha256": qualification.set_sha256,
            "runs": compared.runs,
            "frames": compared.frames,
            "left_out": sum(qualification.left_out.values()),
            **criteria.shown.of_set(compared),
        },
        "latency": _times(qualification.latency),
        "reference_latency": _times(qualification.reference_latency),
        "worst_layers": [[name, significant(error)] for name, error in qualification.layer_errors[:10]],
        **criteria.shown.figures(compared),
    }
    if alone is not None:
        found["alone"] = _times(alone.latency) | {
            "rss_before_mib": round(alone.rss_before_mib, 1),
            "peak_rss_mib": round(alone.peak_rss_mib, 1),
        }
    return found


def share_figures(share: Share) -> dict[str, Any]:
    """A share as evidence has it."""
    low, high = share.interval
    return {
        "hits": share.hits,
        "of": share.of,
        "share": round(share.value, 5),
        "interval_95": [round(low, 5), round(high, 5)],
    }


def significant(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def _times(latency: Latency) -> dict[str, float | int]:
    shares = {"min_ms": 0.0, "p25_ms": 0.25, "median_ms": 0.5, "p75_ms": 0.75, "p99_ms": 0.99, "max_ms": 1.0}
    return {"n": len(latency.took_ms)} | {key: round(latency.quantile(share), 3) for key, share in shares.items()}
