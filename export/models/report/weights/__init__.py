"""Weights of a Gemma3 model from folders of transformers and PEFT, merged, in one set of names, read one at a time.

Not for: what is made of them (graphs/).
"""

from __future__ import annotations

from cathrt.export.models.report.weights.config import NO_TOKEN, shape_from_config
from cathrt.export.models.report.weights.merge_report import MergeReport, ModuleChange
from cathrt.export.models.report.weights.merged import IdentifiedWeights, Merged, MergedWeights, open_merged
from cathrt.export.models.report.weights.names import weight_shapes
from cathrt.export.models.report.weights.stored import StoredWeights, open_base

__all__ = [
    "NO_TOKEN",
    "IdentifiedWeights",
    "MergeReport",
    "Merged",
    "MergedWeights",
    "ModuleChange",
    "StoredWeights",
    "open_base",
    "open_merged",
    "shape_from_config",
    "weight_shapes",
]
