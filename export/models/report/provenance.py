"""Where a report bundle comes from, for its manifest: weights, adapter, files, tools.

Not for: what was measured (qualified.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cathrt.export.models.report.asked import Asked
from cathrt.export.models.report.bundle import TargetParts
from cathrt.export.models.report.merge_told import MergeTold
from cathrt.export.models.report.source import Source
from cathrt.export.qualify.exported import AnyTarget
from cathrt.export.recipe.stage_cache import file_sha256, tool_versions

_TOOLS = ("transformers", "llguidance", "ml_dtypes")  # beside those of every export


def provenance_of(
    source: Source, asked: Asked, parts: Mapping[AnyTarget, TargetParts], merge: MergeTold | None
) -> dict[str, Any]:
    files = {name: _sha256(content) for one in parts.values() for name, content in one.files().items()}
    told: dict[str, Any] = {
        "made_by": "cathrt export report",
        "chain": {"weights": source.sha256, "engine": dict(sorted(files.items()))},
        **source.about,
        "random_init": asked.random_init,
        "precision": asked.precision,
        "block": asked.block,
        "targets": list(parts),
        "tools": tools(),
        "merge": None if merge is None else merge.record,
    }
    rescales = {target: asdict(one.form.rescale) for target, one in parts.items() if one.form.rescale is not None}
    warnings = {
        target: sorted({warning for plan in one.plans.values() for warning in plan.warnings})
        for target, one in parts.items()
        if one.plans is not None
    }
    return told | ({"rescale": rescales} if rescales else {}) | ({"warnings": warnings} if warnings else {})


def _sha256(content: Any) -> str:
    assert isinstance(content, Path)  # what a target's files are
    return file_sha256(content)


def tools() -> dict[str, str]:
    """Versions of what computes the results."""
    return tool_versions() | {name: version(name) for name in _TOOLS}
