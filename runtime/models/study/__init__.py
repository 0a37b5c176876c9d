"""The study reader (DeepCORO-CLIP): the clips of a study's runs, each encoded once, to answers about the study."""

from __future__ import annotations

from cathrt.runtime.model_kind import ModelKind
from cathrt.runtime.models.study.contract import study_faults
from cathrt.runtime.models.study.policy import StudyPolicy
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudySection

STUDY = ModelKind(
    section=StudySection,
    roles=frozenset({ENCODER, HEAD}),
    faults=study_faults,
    policy=StudyPolicy,
    findings=(),
    news=(),
    results=(),
    on_frames=None,
)
