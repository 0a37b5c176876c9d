"""References to received runs and to earlier objects: by SOP class, instance and frame (PS3.3 10.3, C.17.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID

from cathrt.runtime.objects.dicom.kinds import Kind
from cathrt.runtime.objects.identity import uid_of
from cathrt.runtime.objects.results import RunEvidence, StudyResults


def run_reference(run: RunEvidence, frames: Sequence[int] = ()) -> Dataset:
    """One run, or some of its frames (1-based). An object of one frame has no frame numbers."""
    made = _instance(run.sop_class_uid, run.sop_instance_uid)
    if frames and run.number_of_frames > 1:
        made.ReferencedFrameNumber = list(frames) if len(frames) > 1 else frames[0]
    return made


def evidence_sequence(results: StudyResults, runs: Iterable[RunEvidence]) -> list[Dataset]:
    """These runs by study and series, as reports list what they rest on."""
    by_series: dict[str, list[Dataset]] = {}
    for run in runs:
        by_series.setdefault(run.series_instance_uid, []).append(_instance(run.sop_class_uid, run.sop_instance_uid))
    return [_in_study(results.study_instance_uid, by_series)]


def referenced_series(run: RunEvidence, frames: Sequence[int] = ()) -> Dataset:
    """A run within its series, as presentation states list what they are of."""
    made = Dataset()
    made.SeriesInstanceUID = UID(run.series_instance_uid)
    made.ReferencedImageSequence = [run_reference(run, frames)]
    return made


def fill_predecessor(made: Dataset, results: StudyResults, kind: Kind, which: str | None) -> None:
    """Name the object of this kind that the edition before had; nothing where there is none.

    which: tells it from others of its series, as its own new_object() was given it; None where the edition before had
    none. Structured reports and encapsulated documents may have it; key image documents, presentation states and
    pictures have no place for it (PS3.3 C.17.6.2, C.11, C.8.6).
    """
    before = results.replaces
    if before is None or which is None:
        return
    uid = uid_of(before, kind.name, kind.sop_class_uid, which)
    series = uid_of(before, kind.name, kind.sop_class_uid, "series")
    named = {series: [_instance(kind.sop_class_uid, uid)]}
    made.PredecessorDocumentsSequence = [_in_study(before.study_instance_uid, named)]


def _in_study(study_instance_uid: str, by_series: dict[str, list[Dataset]]) -> Dataset:
    made = Dataset()
    made.StudyInstanceUID = UID(study_instance_uid)
    made.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in by_series.items()]
    return made


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    made = Dataset()
    made.SeriesInstanceUID = UID(uid)
    made.ReferencedSOPSequence = instances
    return made


def _instance(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = UID(sop_class_uid)
    made.ReferencedSOPInstanceUID = UID(sop_instance_uid)
    return made
