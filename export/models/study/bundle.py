"""A study bundle's manifest and files, and where they come from. Not for: signing them (export/bundle/candidate.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cathrt.export.bundle.join import CARD
from cathrt.export.bundle.sign import Content
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.networks import calibrated_on, declared
from cathrt.export.models.study.source import Source
from cathrt.export.models.study.targets import TargetParts
from cathrt.export.qualify.exported import AnyTarget
from cathrt.export.recipe.stage_cache import file_sha256, tool_versions
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Manifest, Network
from cathrt.runtime.models.study.section import StudySection


def manifest_of(
    source: Source, parts: Mapping[AnyTarget, TargetParts], provenance: Mapping[str, Any], *, demonstration: bool
) -> tuple[Manifest[StudySection], dict[str, Content]]:
    """The manifest, complete but for files and evidence, and the files by their names."""
    networks = {
        role: Network(
            artifacts={target: one.artifact(role) for target, one in parts.items()},
            inputs=network.inputs,
            outputs=network.outputs,
            buckets=network.buckets,
        )
        for role, network in declared(source).items()
    }
    payload: dict[str, Content] = {name: path for one in parts.values() for name, path in one.files().items()}
    if source.card is not None:
        payload[CARD] = source.card
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


def provenance_of(source: Source, asked: Asked, parts: Mapping[AnyTarget, TargetParts]) -> dict[str, Any]:
    """JSON: weights, files, tools, and what int8 was calibrated on."""
    files = {name: file_sha256(path) for one in parts.values() for name, path in one.files().items()}
    told: dict[str, Any] = {
        "made_by": "cathrt export study",
        "chain": {"weights": source.weights.sha256, "engine": dict(sorted(files.items()))},
        **source.about,
        "random_init": asked.checkpoint is None,
        "precision": asked.precision,
        "targets": list(parts),
        "tools": tool_versions(),
    }
    if asked.precision == "int8":
        told["int8"] = {"layers": asked.layers, "calibration": calibrated_on(source)}
    warnings = {
        target: sorted({warning for plans in one.plans.values() for plan in plans for warning in plan.warnings})
        for target, one in parts.items()
        if one.plans
    }
    return told | ({"warnings": warnings} if warnings else {})
