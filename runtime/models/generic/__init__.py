"""Any image classifier: which of its labels each frame gets, and which label a run has most. No clinical meaning."""

from __future__ import annotations

from cathrt.runtime.model_kind import ModelKind, OnFrames
from cathrt.runtime.models.generic.records import GenericFinding, GenericResult
from cathrt.runtime.models.generic.run import GenericOnFrames, GenericPolicy
from cathrt.runtime.models.generic.section import CLASSIFIER, GenericSection, generic_faults

GENERIC = ModelKind(
    section=GenericSection,
    roles=frozenset({CLASSIFIER}),
    faults=generic_faults,
    policy=GenericPolicy,
    findings=(GenericFinding,),
    news=(),
    results=(GenericResult,),
    on_frames=OnFrames(CLASSIFIER, GenericOnFrames),
)
