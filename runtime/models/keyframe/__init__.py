"""The keyframe model (CAG-VLM, first stage): which frames to keep, which coronary artery they show."""

from __future__ import annotations

from cathrt.runtime.alert import KeyframeFinding
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeSection, keyframe_faults
from cathrt.runtime.models.kind import ModelKind

KEYFRAME = ModelKind(
    section=KeyframeSection,
    roles=frozenset({CLASSIFIER}),
    faults=keyframe_faults,
    finding=KeyframeFinding,
)
