"""The report engine's export: a Gemma3 checkpoint, with or without an adapter, becomes a bundle that drafts reports."""

from __future__ import annotations

from cathrt.export.model_kind import OwnExport
from cathrt.export.models.report.options import report_export

REPORT = OwnExport(
    help="Export a Gemma3 model that drafts reports.\n\nMerges an adapter into its base, writes the networks, and "
    "makes one bundle for all targets. Each target is compared with the float32 network; the bundle is signed if all "
    "keep their gate.",
    export=report_export,
)
