"""The keyframe model's heavy part of its row in EXPORTS. Imports torch and onnx."""

from __future__ import annotations

from cathrt.export.model_kind import ExportPort
from cathrt.export.models.keyframe.criteria import CRITERIA
from cathrt.export.models.keyframe.demo.model_card import model_card
from cathrt.export.models.keyframe.source import source_of_bundle
from cathrt.export.models.keyframe.truth import TRUTHS
from cathrt.runtime.models.keyframe.section import CLASSIFIER

PORT = ExportPort(criteria={CLASSIFIER: CRITERIA}, truths=TRUTHS, of_bundle=source_of_bundle, card=model_card)
