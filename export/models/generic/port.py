"""The heavy part of this kind's row in EXPORTS. Imports onnx and ONNX Runtime."""

from __future__ import annotations

from cathrt.export.model_kind import ExportPort
from cathrt.export.models.generic.criteria import CRITERIA
from cathrt.export.models.generic.source import source_of_bundle
from cathrt.export.models.generic.worth import TRUTHS
from cathrt.runtime.models.generic.section import CLASSIFIER

PORT = ExportPort(criteria={CLASSIFIER: CRITERIA}, truths=TRUTHS, of_bundle=source_of_bundle)
