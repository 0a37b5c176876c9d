"""A report bundle's files and its manifest. Not for: signing them (export/bundle/candidate.py), or whether they may be
signed (recipe.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cathrt.export.bundle.join import CARD
from cathrt.export.bundle.sign import Content
from cathrt.export.models.report.networks import Form
from cathrt.export.models.report.plans import NetworkPlan
from cathrt.export.models.report.source import Source
from cathrt.export.qualify.exported import AnyTarget
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network, PlanFile, Precision, Rest
from cathrt.runtime.models.report.section import DECODER, ReportSection


@dataclass(frozen=True, slots=True, eq=False)
class TargetParts:
    """What one target's artifacts are made of. folder: of the bundle that its files go to, "" for the bundle itself.

    plans: by role, for TensorRT. precision: of the decoder; in int4, the networks beside it have int8. rest: of each.
    """

    form: Form
    folder: str
    precision: Precision
    rest: Rest = "float32"
    plans: Mapping[str, NetworkPlan] | None = None

    def artifact(self, role: str) -> Artifact:
        plans: tuple[PlanFile, ...] = ()
        if self.plans is not None:
            plan = self.plans[role]
            plans = (PlanFile(self._plan_name(role, plan), plan.fingerprint),)
        file = f"{self.folder}{self.form.networks[role].files[0].name}"
        precision: Precision = "int8" if self.precision == "int4" and role != DECODER else self.precision
        return Artifact(file, precision, plans, rest=self.rest, weights_only=precision in ("int8", "int4"))

    def files(self) -> dict[str, Content]:
        """By its name in the bundle, where to copy it from."""
        found: dict[str, Content] = {
            f"{self.folder}{path.name}": path for one in self.form.networks.values() for path in one.files
        }
        for role, plan in (self.plans or {}).items():
            name = self._plan_name(role, plan)
            found |= {name: plan.plan, f"{name}.layers.json": plan.layers}
        return found

    def _plan_name(self, role: str, plan: NetworkPlan) -> str:
        return f"{self.folder}{role}.plan.sm{'-'.join(map(str, plan.fingerprint.sm))}"


def manifest_of(
    source: Source, parts: Mapping[AnyTarget, TargetParts], provenance: Mapping[str, Any], *, demonstration: bool
) -> tuple[Manifest[ReportSection], dict[str, Content]]:
    """The manifest, complete but for files and evidence, and the files by their names."""
    any_form = next(iter(parts.values())).form
    networks = {
        role: Network(
            artifacts={target: one.artifact(role) for target, one in parts.items()},
            inputs=written.inputs,
            outputs=written.outputs,
            buckets=written.buckets,
        )
        for role, written in any_form.networks.items()
    }
    payload: dict[str, Content] = {source.section.tokenizer: source.document}
    if source.card is not None:
        payload[CARD] = source.card
    for one in parts.values():
        payload |= one.files()
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=source.name,
        files={},
        networks=networks,
        model=source.section,
        demonstration=demonstration,
        provenance=dict(provenance),
        evidence={},
    )
    return manifest, payload
