"""The keyframe model (CAG-VLM, first stage): which frames to keep, which coronary artery they show."""

from __future__ import annotations

from cathrt.runtime.model_kind import ModelKind, OnFrames
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import (
    KeyframeFinding,
    KeyFrameNews,
    KeyframeResult,
    cautions_of,
    side_of,
    side_score_of,
    tells_readability,
)
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeSection, keyframe_faults

KEYFRAME = ModelKind(
    section=KeyframeSection,
    roles=frozenset({CLASSIFIER}),
    faults=keyframe_faults,
    policy=KeyframePolicyConfig,
    findings=(KeyframeFinding,),
    news=(KeyFrameNews,),
    results=(KeyframeResult,),
    on_frames=OnFrames(CLASSIFIER, KeyframeOnFrames),
    side=side_of,
    side_score=side_score_of,
    tells_readability=tells_readability,
    cautions=cautions_of,
)
