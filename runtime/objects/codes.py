"""Codes by which other systems know what is said of a study: SNOMED CT, DICOM, LOINC, and a few of our own.

Not for: how a standard writes them (fhir/, hl7/).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """system: "SCT", "DCM" or "LN", as DICOM and HL7 v2 call them; OURS where none of them has a code."""

    value: str
    system: str
    meaning: str


OURS = "99CATHRT"

REPORT = Code("18745-0", "LN", "Cardiac Catheterization Report")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
PROBABILITY = Code("122157", "DCM", "Probability")
KEY_FRAME = Code("113000", "DCM", "Of Interest")
STUDY_UID = Code("110180", "DCM", "Study Instance UID")
SERIES_UID = Code("112002", "DCM", "Series Instance UID")
IMAGE_UID = Code("sop-instance-uid", OURS, "SOP Instance UID")
FRAME_NUMBER = Code("121190", "DCM", "Referenced Frames")
READABILITY = Code("readability", OURS, "Readability of the key frame, 0 to 1")
RECORD_ID = Code("record-id", OURS, "Record of the journal that this rests on")
ALGORITHM_FAMILY = Code("123110", "DCM", "Artificial Intelligence")

_ARTERIES = {
    "left": Code("50018008", "SCT", "Left coronary artery"),
    "right": Code("13647002", "SCT", "Right coronary artery"),
}
_NOT_KNOWN = Code("261665006", "SCT", "Unknown")


def artery(laterality: str) -> Code:
    """The coronary artery that a run shows; the code for unknown where none was told."""
    return _ARTERIES.get(laterality, _NOT_KNOWN)
