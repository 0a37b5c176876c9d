"""Writes a qualification's figures into the manifest, and signs the bundle if its two verdicts allow it.

Fidelity: the engine answers as its float network does. Worth: the network is right more often than what takes no
network.

Not for: taking the figures (measure.py) or the page for people (page.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.engine_records import evidence_about
from cathrt.export.bundle.sign import write_bundle
from cathrt.export.qualify.alone import Latency
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.gate import Failure
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.measure import Qualification
from cathrt.export.qualify.sequential import ERROR, Proof
from cathrt.export.qualify.worth import Worth
from cathrt.runtime.bundle.manifest import BETTER, WORTH_VERDICTS, Manifest, WorthVerdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError

Fidelity = Literal["passed", "failed", "not enough evidence"]
_FIDELITIES: tuple[Fidelity, ...] = ("passed", "not enough evidence", "failed")  # the worst last


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
    def fidelity(self) -> Fidelity:
        """Without a limit missed, too small a sample is no failure, but no proof either."""
        if any(not failure.too_few for failure in self.failures):
            return "failed"
        return "not enough evidence" if self.failures else "passed"

    @property
    def worth(self) -> WorthVerdict | None:
        """None where the kind has no measure of it."""
        return None if self.found.worth is None else self.found.worth.verdict

    @property
    def evidence(self) -> dict[str, Any]:
        return evidence_of(self.found, self.criteria, self.gate)


def verdict(qualification: Qualification, criteria: Criteria[Any, Any], gate: Any) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate, and every share that is not proven; none means that the engine may
    be signed."""
    missed = list(criteria.failures(qualification.comparison, gate, qualification.layer_errors))
    if all(failure.too_few for failure in missed):
        missed += [_refuted(proof) for proof in qualification.proofs if proof.standing == "refuted"]
    return (*missed, *(_unproven(proof) for proof in qualification.proofs if proof.standing == "open"))


def _refuted(proof: Proof) -> Failure:
    """Runs of few frames weigh as much as others here, and little in the share of all frames."""
    found = f"{proof.runs} runs refute it with a doubt of {min(1.0, 1.0 / proof.refuted):.2g}"
    return Failure(f"mean of the runs' {proof.name}", found, f"at least {proof.limit:g}")


def _unproven(proof: Proof) -> Failure:
    found = f"{proof.runs} runs leave a doubt of {min(1.0, 1.0 / proof.proven):.2g} that it is above {proof.floor:g}"
    return Failure(f"proof of {proof.name}", found, f"a doubt of at most {ERROR:g}: give more runs", too_few=True)


def worst_fidelity(verdicts: Sequence[Fidelity]) -> Fidelity:
    """Of at least one."""
    return max(verdicts, key=_FIDELITIES.index)


def worth_of_all(qualified: Sequence[Qualified]) -> WorthVerdict | None:
    """The worst of those that are stated."""
    return max((one.worth for one in qualified if one.worth is not None), key=WORTH_VERDICTS.index, default=None)


def sign_qualified(
    folder: Path,
    candidate: Bundle,
    qualified: Sequence[Qualified],
    key: Ed25519PrivateKey,
    *,
    sign_anyway: bool = False,
) -> Path:
    """Write the candidate anew at `folder`, with the evidence in its manifest, signed with the key.

    qualified: every network in every engine that has an artifact. sign_anyway: also a network that was not found to be
    better than chance; the manifest and every output of the bundle say so. Raises ManifestError, and writes nothing,
    where one misses its gate, is worth nothing or is missing, or what was qualified is another file than the
    candidate's.
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
    worth = worth_of_all(qualified)
    if worth not in (None, BETTER) and not sign_anyway:
        raise ManifestError(f"not signed, worth: {worth}: train it, or sign it anyway, and its outputs say so")
    told = evidence_about(manifest, {one.found.engine for one in qualified})
    evidence = {**told, "qualification": evidence_by_engine(manifest, qualified)}
    signed = replace(manifest, files={}, evidence=evidence, worth=worth)
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
    qualified = Qualified(qualification, criteria, gate)
    found: dict[str, Any] = {
        "passed": not qualified.failures,
        "fidelity": qualified.fidelity,
        "worth": None if qualification.worth is None else _worth_figures(qualification.worth),
        "date": qualification.date,
        "tools": dict(qualification.tools),
        "gate": asdict(gate),
        "precision": qualification.precision,
        "rest": qualification.rest,
        "artifact_sha256": qualification.artifact_sha256,
        "reference": qualification.reference,
        "judge_set": {
            "sha256": qualification.set_sha256,
            "runs": compared.runs,
            "runs_at_most": qualification.runs_at_most,
            "frames": compared.frames,
            "left_out": sum(qualification.left_out.values()),
            **criteria.shown.of_set(compared),
        },
        "proofs": {proof.name: _proof_figures(proof) for proof in qualification.proofs},
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


def _proof_figures(proof: Proof) -> dict[str, Any]:
    return {
        "standing": proof.standing,
        "runs": proof.runs,
        "above": round(proof.floor, 5),
        "error": ERROR,
        "doubt": significant(min(1.0, 1.0 / proof.proven)),
    }


def _worth_figures(worth: Worth) -> dict[str, Any]:
    figures = [
        {
            "what": figure.what,
            "on": figure.on,
            "verdict": figure.verdict,
            "right": None if figure.right is None else share_figures(figure.right),
            "chance": round(figure.chance, 5),
            "chance_is": figure.how,
        }
        for figure in worth.figures
    ]
    return {"verdict": worth.verdict, "figures": figures}


def significant(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def _times(latency: Latency) -> dict[str, float | int]:
    shares = {"min_ms": 0.0, "p25_ms": 0.25, "median_ms": 0.5, "p75_ms": 0.75, "p99_ms": 0.99, "max_ms": 1.0}
    return {"n": len(latency.took_ms)} | {key: round(latency.quantile(share), 3) for key, share in shares.items()}
