"""The kinds of DICOM object that are made: one row each. Every kind has a series of its own in each edition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """name: ours, part of the UIDs: never change one. modality, series_number, title: of its series."""

    name: str
    sop_class_uid: str
    modality: str
    series_number: int
    title: str


KEY_IMAGES = Kind("key images", "1.2.840.10008.5.1.4.1.1.88.59", "KO", 9101, "AI key images")
MEASUREMENTS_3D = Kind("measurements", "1.2.840.10008.5.1.4.1.1.88.34", "SR", 9102, "AI measurements")
MEASUREMENTS = Kind("measurements", "1.2.840.10008.5.1.4.1.1.88.33", "SR", 9102, "AI measurements")
READING_3D = Kind("reading", "1.2.840.10008.5.1.4.1.1.88.34", "SR", 9103, "AI reading of the study")
READING = Kind("reading", "1.2.840.10008.5.1.4.1.1.88.33", "SR", 9103, "AI reading of the study")
MARKS = Kind("marks", "1.2.840.10008.5.1.4.1.1.11.1", "PR", 9104, "AI marks on key frames")
PICTURES = Kind("pictures", "1.2.840.10008.5.1.4.1.1.7", "OT", 9105, "AI key frames as pictures")
DRAFT_TEXT = Kind("draft text", "1.2.840.10008.5.1.4.1.1.88.11", "SR", 9106, "AI report draft")
DRAFT_DOCUMENT = Kind("draft document", "1.2.840.10008.5.1.4.1.1.104.1", "DOC", 9107, "AI report draft (PDF)")
