"""The models that can be exported: one row a kind. Light to import, since the command line is made from it.

A new model is one folder here and one row in this table, beside those of cathrt.runtime.models. Not for: the order of
the stages (recipe/).
"""

from __future__ import annotations

from collections.abc import Callable

from cathrt.export.model_kind import ExportKind, OwnExport
from cathrt.export.models.generic import GENERIC
from cathrt.export.models.keyframe import KEYFRAME
from cathrt.export.models.report import REPORT
from cathrt.export.models.report.evaluate.command import evaluate_report
from cathrt.export.models.study import STUDY
from cathrt.runtime.errors import ConfigError

EXPORTS: dict[str, ExportKind | OwnExport] = {
    "keyframe": KEYFRAME,
    "generic": GENERIC,
    "report": REPORT,
    "study": STUDY,
}

# `cathrt evaluate <kind>`, of each kind that has one.
EVALUATIONS: dict[str, Callable[..., None]] = {
    "report": evaluate_report,
}


def frame_kind(kind: str, doing: str) -> ExportKind:
    """The row of a kind whose networks answer frames. doing: what it is needed for, as a message says it.

    Raises ConfigError for another one.
    """
    row = EXPORTS.get(kind)
    if isinstance(row, ExportKind):
        return row
    known = ", ".join(name for name, one in EXPORTS.items() if isinstance(one, ExportKind))
    raise ConfigError(f"{doing}: found {kind!r}, expected one of {known}")
