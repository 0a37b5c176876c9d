"""Whose study it is, out of a received object: shown in the study view alone, and each time noted in the audit trail.

Not for: what objects copy out of it (runtime/objects/).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.alert import RunSummary
from cathrt.runtime.errors import SourceError
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.objects.evidence_header import header_of


@dataclass(frozen=True, slots=True)
class PatientHeader:
    """As the modality has it; "" where it has nothing. name: in Latin letters or Kana, as its first group."""

    name: str
    name_ideographic: str
    name_phonetic: str
    id: str
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str


def patient_of(run: RunSummary, store: StoreReader) -> PatientHeader | None:
    """None where the received object is gone or cannot be read. Raises StoreError."""
    received = store.stored(run.source)
    if received is None:
        return None
    try:
        header = header_of(store.path_of(received))
    except SourceError:
        return None
    groups = [*str(header.get("PatientName") or "").split("="), "", "", ""]
    told = {
        name: str(header.get(keyword) or "").strip()
        for name, keyword in (
            ("id", "PatientID"),
            ("birth_date", "PatientBirthDate"),
            ("sex", "PatientSex"),
            ("accession_number", "AccessionNumber"),
            ("study_date", "StudyDate"),
            ("study_time", "StudyTime"),
            ("study_description", "StudyDescription"),
        )
    }
    return PatientHeader(name=groups[0], name_ideographic=groups[1], name_phonetic=groups[2], **told)
