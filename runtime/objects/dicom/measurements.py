"""TID 1500 measurement reports, on highdicom: what is confirmed of each run, one measurement group a run.

Every group has a region on one frame, its best key frame: OHIF's view of reports shows no group at all where one has
none. Not for: drafts (draft_text.py), readings of the study as a whole (reading.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SRCode

from cathrt.runtime.objects.codes import ALGORITHM_FAMILY, OURS, PROBABILITY, READABILITY, Code, artery
from cathrt.runtime.objects.dicom.content_items import COMMENT
from cathrt.runtime.objects.dicom.kinds import Kind
from cathrt.runtime.objects.dicom.new_object import new_object, status_words
from cathrt.runtime.objects.dicom.report_status import fill_status
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.objects.results import KeyFrame, RunEvidence, StudyResults

CORONARY_ARTERY = Code("41801008", "SCT", "Coronary artery")
_PROCEDURE = Code("33367005", "SCT", "Coronary Arteriography")
_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
_NO_UNITS = SRCode("1", "UCUM", "no units")
_SCORE = Code("key-frame-score", OURS, "Score of the key frame, 0 to 1")
_SHOWN = Code("key-frames", OURS, "Run with key frames")
_NONE_SHOWN = Code("no-key-frames", OURS, "Run without key frames")


def measurements(results: StudyResults, kind: Kind) -> Dataset:
    """kind: kinds.MEASUREMENTS_3D, or kinds.MEASUREMENTS for archives that take Comprehensive SR alone."""
    groups = [_group(run, number) for number, run in enumerate(results.evidence, 1)]
    return report(results, kind, groups, results.evidence, "report", "report")


def report(
    results: StudyResults,
    kind: Kind,
    groups: Sequence[Any],
    runs: Sequence[RunEvidence],
    which: str,
    predecessor: str | None,
) -> Dataset:
    """A report of these groups. which: tells it from others of its series. predecessor: as fill_status()."""
    made = new_object(results, kind, 1, which)
    fill_status(made, results, kind, runs, predecessor)
    maker = results.made_by
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_for("device", maker.name), name=maker.name, model_name=f"{maker.name} {maker.version}"
    )
    observer = sr.ObserverContext(
        observer_type=SRCode("121007", "DCM", "Device"), observer_identifying_attributes=device
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr_code(_PROCEDURE),
        imaging_measurements=groups,
        title=sr_code(_TITLE),
    )
    for element in content[0]:
        if element.keyword != "RelationshipType":
            made[element.tag] = element
    made.ContentSequence.extend(comment(line) for line in status_words(results))
    return made


def sr_code(code: Code) -> SRCode:
    return SRCode(code.value, code.system, code.meaning)


def whole_frame(run: RunEvidence, frame_number: int) -> sr.ImageRegion:
    """The edge of one frame as a region."""
    right, bottom = max(1.0, float(run.columns)), max(1.0, float(run.rows))
    edge = np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom], [0.0, 0.0]])
    frames = [frame_number] if run.number_of_frames > 1 else None
    source = sr.SourceImageForRegion(run.sop_class_uid, run.sop_instance_uid, frames)
    return sr.ImageRegion(graphic_type=sr.GraphicTypeValues.POLYLINE, graphic_data=edge, source_image=source)


def best_frame(run: RunEvidence) -> int:
    """The first key frame; the middle of a run that has none."""
    return run.key_frames[0].frame_number if run.key_frames else (run.number_of_frames + 1) // 2


def number_measured(name: Code, value: float, unit: SRCode = _NO_UNITS, images: Sequence[Any] = ()) -> sr.Measurement:
    return sr.Measurement(name=sr_code(name), value=value, unit=unit, referenced_images=list(images) or None)


def comment(text: str) -> sr.TextContentItem:
    """A line for a person: the templates may be extended."""
    return sr.TextContentItem(sr_code(COMMENT), text, sr.RelationshipTypeValues.CONTAINS)


def algorithm_item(name: str, version: str, manifest_sha256: str, engine: str) -> sr.AlgorithmIdentification:
    """TID 4019."""
    return sr.AlgorithmIdentification(
        name=name,
        version=version,
        parameters=[f"manifest sha256 {manifest_sha256}", f"engine {engine}"],
        family=sr_code(ALGORITHM_FAMILY),
    )


def _group(run: RunEvidence, number: int) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    algorithm = run.algorithm
    told = run.laterality != "unknown"
    measured = [] if run.laterality_score is None or not told else [number_measured(PROBABILITY, run.laterality_score)]
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid_for("run", run.sop_instance_uid), f"Run {number}"),
        referenced_region=whole_frame(run, best_frame(run)),
        finding_type=sr_code(_SHOWN if run.key_frames else _NONE_SHOWN),
        algorithm_id=algorithm_item(algorithm.name, algorithm.version, algorithm.manifest_sha256, algorithm.engine),
        finding_sites=[sr.FindingSite(sr_code(artery(run.laterality) if told else CORONARY_ARTERY))],
        measurements=[*measured, *(_key_frame(run, key) for key in run.key_frames)] or None,
    )
    said = [run.text, run.text_ja, *([f"flags: {', '.join(run.flags)}"] if run.flags else [])]
    group[0].ContentSequence.extend(comment(text) for text in said)
    return group


def _key_frame(run: RunEvidence, key: KeyFrame) -> sr.Measurement:
    """Best first, as all lists of key frames are."""
    frames = [key.frame_number] if run.number_of_frames > 1 else None
    image = sr.SourceImageForMeasurement(run.sop_class_uid, run.sop_instance_uid, frames)
    return number_measured(_SCORE if key.readability is None else READABILITY, key.score, images=[image])
