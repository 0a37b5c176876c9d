"""The study reader (DeepCORO-CLIP): the clips of a study's runs, each encoded once, to answers about the study."""

from __future__ import annotations

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig, Policy
from cathrt.runtime.model_kind import ModelKind, OnStudies, Reader
from cathrt.runtime.models.study.contract import study_faults
from cathrt.runtime.models.study.policy import StudyPolicy
from cathrt.runtime.models.study.records import ClipsReading
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudySection


def _open_reader(bundle: Bundle, engine: EngineConfig, policy: Policy | None) -> Reader:
    from cathrt.runtime.models.study.reader import ClipsReader  # the line does not need it

    return ClipsReader(bundle, engine, policy)


STUDY = ModelKind(
    section=StudySection,
    roles=frozenset({ENCODER, HEAD}),
    faults=study_faults,
    policy=StudyPolicy,
    findings=(),
    news=(),
    results=(),
    on_frames=None,
    on_studies=OnStudies(reader=_open_reader),
    readings=(ClipsReading,),
)
