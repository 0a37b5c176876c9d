"""What every DICOM object of ours begins with: patient and study copied whole, a series of ours, who made it, when.

Not for: what an object says.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cathrt.runtime.objects.codes import OURS
from cathrt.runtime.objects.dicom.kinds import Kind
from cathrt.runtime.objects.evidence_header import PATIENT, STUDY, UTF_8
from cathrt.runtime.objects.identity import uid_for, uid_of
from cathrt.runtime.objects.results import Decision, StudyResults

PREFIX = "RESEARCH USE ONLY: "  # of every series description
# Type 2 (PS3.3 C.7.1.1, C.7.2.1): there even where the runs lack them.
_ALWAYS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip
_LONG_STRING = 64


def new_object(results: StudyResults, kind: Kind, instance: int, *which: str) -> Dataset:
    """A data set to fill. instance: its number in the series. which: tells it from others of the series."""
    header, at = results.evidence[-1].header, results.made_at
    made = Dataset()
    for keyword in (*PATIENT, *STUDY, "TimezoneOffsetFromUTC"):
        if keyword in header:
            made[keyword] = deepcopy(header[keyword])
        elif keyword in _ALWAYS:
            setattr(made, keyword, None)
    made.SpecificCharacterSet = UTF_8
    made.SOPClassUID = UID(kind.sop_class_uid)
    made.SOPInstanceUID = UID(instance_uid(results, kind, *which))
    made.InstanceCreationDate, made.InstanceCreationTime = date_of(at), time_of(at)
    made.CodingSchemeIdentificationSequence = [_our_codes(results)]
    made.InstanceCreatorUID = UID(uid_for("creator", results.made_by.name))
    made.Modality = kind.modality
    made.SeriesInstanceUID = UID(uid_of(results.edition, kind.name, kind.sop_class_uid, "series"))
    made.SeriesNumber = kind.series_number
    made.SeriesDescription = series_description(results, kind)
    made.InstanceNumber = instance
    made.Manufacturer = made.ManufacturerModelName = results.made_by.name
    made.DeviceSerialNumber = "0"  # of software; the attribute may not be empty where it is asked for
    made.SoftwareVersions = results.made_by.version
    made.file_meta = _file_meta(made, results)
    return made


def instance_uid(results: StudyResults, kind: Kind, *which: str) -> str:
    """The UID of the object that new_object() begins."""
    return uid_of(results.edition, kind.name, kind.sop_class_uid, *which)


def series_description(results: StudyResults, kind: Kind) -> str:
    """With what may never be missed in front, and what a person has decided."""
    said = "" if results.decision is None else f", {results.decision.what.upper()}"
    revision = f" rev. {results.revision}" if results.revision > 1 else ""
    return f"{PREFIX}{kind.title}{revision}{said}"[:_LONG_STRING]


def date_of(at: datetime) -> str:
    """As DA."""
    return f"{at:%Y%m%d}"


def time_of(at: datetime) -> str:
    """As TM, to the second."""
    return f"{at:%H%M%S}"


def decision_words(decision: Decision) -> str:
    """One line for a person."""
    said = f": {decision.text}" if decision.text else ""
    return f"{decision.what.upper()} by {decision.by} at {decision.at.isoformat(timespec='seconds')}{said}"


def status_words(results: StudyResults) -> tuple[str, ...]:
    """What every object says of itself, as lines: the notice, its revision, what was decided, what is left out."""
    lines = [
        results.notice,
        "Preliminary, unverified. Made by software from recorded runs; no physician has confirmed it.",
    ]
    revision = "The study has not ended." if results.revision == 0 else f"Revision {results.revision}."
    if results.replaces is not None:
        before = results.replaces.revision
        same = "what was sent of this revision before"
        revision += f" Takes the place of {f'revision {before}' if results.decision is None else same}."
    lines.append(revision)
    if results.unjudged:
        lines.append(f"Further runs of the study that could not be judged: {results.unjudged}.")
    if results.decision is not None:
        lines.append(decision_words(results.decision))
    return tuple(lines)


def _our_codes(results: StudyResults) -> Dataset:
    made = Dataset()
    made.CodingSchemeDesignator = OURS
    made.CodingSchemeName = f"Codes of {results.made_by.name}"
    made.CodingSchemeResponsibleOrganization = results.made_by.name
    return made


def _file_meta(made: Dataset, results: StudyResults) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid_for("implementation", results.made_by.name))
    meta.ImplementationVersionName = f"CATHRT_{results.made_by.version}"[:16]
    return meta
