"""One target's verdict, as manifest, page and terminal say it.

Not for: taking the figures (comparison.py), the limits (gate.py), or the page (page.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from cathrt.export.models.study.comparison import Comparison
from cathrt.export.models.study.gate import Gate, failures_of
from cathrt.export.models.study.reference import NAME
from cathrt.export.qualify.evidence import Fidelity, share_figures, significant
from cathrt.export.qualify.exported import AnyTarget
from cathrt.export.qualify.gate import Failure
from cathrt.runtime.bundle.manifest import Precision


@dataclass(frozen=True, slots=True)
class TargetVerdict:
    """gate: of its precision, or stricter. answered: what answered, the target itself or what stood in for it.

    not_run: what must be said where the target itself did not answer; "" where it did.
    """

    target: AnyTarget
    precision: Precision
    found: Comparison
    gate: Gate
    answered: str
    not_run: str = ""

    @property
    def failures(self) -> tuple[Failure, ...]:
        return failures_of(self.found, self.gate)

    @property
    def fidelity(self) -> Fidelity:
        return "failed" if self.failures else "passed"

    def evidence(self, artifact_sha256: str, set_sha256: str, tools: Mapping[str, str]) -> dict[str, Any]:
        """For the manifest: JSON, rounded, finite."""
        found = self.found
        return {
            "passed": not self.failures,
            "precision": self.precision,
            "artifact_sha256": artifact_sha256,
            "reference": NAME,
            "answered": self.answered,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "tools": dict(tools),
            "gate": asdict(self.gate),
            "judge_set": {"sha256": set_sha256, "clips": found.clips, "studies": found.studies},
            "calls": None if found.same is None else share_figures(found.same),
            "flips": [str(flip) for flip in found.flips[:20]],
            "studies_not_finite": found.not_finite,
            "logit_error": rounded(found.logit_error),
            "percent_error": rounded(found.percent_error),
            "feature_error": rounded(found.feature_error),
            "feature_noise": rounded(found.feature_noise),
        }


def rounded(value: float | None) -> float | str | None:
    """JSON has no NaN."""
    if value is None:
        return None
    return significant(value) if abs(value) < float("inf") else "not finite"
