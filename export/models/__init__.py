"""The models that can be exported: one row a kind. Light to import, since the command line is made from it.

A new model is one folder here and one row in this table, beside those of cathrt.runtime.models. Not for: the order of
the stages (recipe/).
"""

from __future__ import annotations

from cathrt.export.model_kind import ExportKind
from cathrt.export.models.keyframe import KEYFRAME

EXPORTS: dict[str, ExportKind] = {
    "keyframe": KEYFRAME,
}
