"""Any Hugging Face image classifier: through optimum-onnx, in an environment of its own, to a graph of ours."""

from __future__ import annotations

from cathrt.export.model_kind import ExportKind, ExportPort
from cathrt.export.models.generic.options import generic_source


def _port() -> ExportPort:
    from cathrt.export.models.generic.port import PORT

    return PORT


GENERIC = ExportKind(
    help="Export a Hugging Face image classifier.\n\nIts graph comes from optimum-onnx, which runs in an environment "
    "of its own (--optimum-python). Writes a bundle for each target. Each is compared with the float32 network and "
    "signed if it keeps its gate.",
    source=generic_source,
    port=_port,
)
