"""The keyframe model: ConvNeXt weights to a graph, and what its answers must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cathrt.export.model_kind import ExportKind, ExportPort
from cathrt.export.models.keyframe.options import keyframe_source

if TYPE_CHECKING:
    from cathrt.export.model_kind import AgreementOf


def _port() -> ExportPort:
    from cathrt.export.models.keyframe.port import PORT

    return PORT


def _agreement() -> AgreementOf:
    from cathrt.export.models.keyframe.agreement import agreement

    return agreement


KEYFRAME = ExportKind(
    help="Export a ConvNeXt keyframe network.\n\nWrites a bundle for each target. Each is compared with the float32 "
    "network and signed if it keeps its gate.",
    source=keyframe_source,
    port=_port,
    agreement=_agreement,
)
