"""Whose results they are, as HL7 v2 says it: PID, out of the elements that the received objects have of the patient.

Not for: deciding whether a name may be sent (outlets.names).
"""

from __future__ import annotations

from collections.abc import Mapping

from cathrt.runtime.objects.evidence_header import UNREADABLE
from cathrt.runtime.objects.hl7.text import escaped
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import patient_id

_NOT_SAID = "^^^^^^U"  # a name of type "unspecified": PID-5 must not be empty
_SEXES = {"M": "M", "F": "F", "O": "O"}
_FORMS = "AIP"  # the three groups of a DICOM name: alphabetic, ideographic, phonetic


def patient_segment(results: StudyResults, authority: str, *, names: bool) -> str:
    """PID: the identifier, and with `names` also name, date of birth and sex. authority: who assigns identifiers, where
    the objects do not say. Raises PatientUnknownError."""
    identifier, patient = patient_id(results), results.patient
    assigned_by = escaped(patient.get("IssuerOfPatientID", "").strip() or authority)
    fields = ["PID", "1", "", f"{escaped(identifier)}^^^{assigned_by}^PI", "", _NOT_SAID]
    if names:
        fields[-1] = person_name(patient.get("PatientName", "")) or _NOT_SAID
        birth = patient.get("PatientBirthDate", "").strip()
        fields += ["", birth if birth.isascii() and birth.isdigit() else "", _sex(patient)]
    return "|".join(fields)


def person_name(name: str) -> str:
    """A DICOM person name as repetitions of XPN, one for each group that is there; "" for one that cannot be read."""
    if UNREADABLE in name:
        return ""
    repetitions = []
    for form, group in zip(_FORMS, name.split("="), strict=False):
        family, given, middle, prefix, suffix = ([escaped(part.strip()) for part in group.split("^")] + [""] * 5)[:5]
        if any((family, given, middle)):
            repetitions.append("^".join((family, given, middle, suffix, prefix, "", "L", form)))
    return "~".join(repetitions)


def _sex(patient: Mapping[str, str]) -> str:
    return _SEXES.get(patient.get("PatientSex", "").strip(), "U")
