"""What is said when a study has ended. Not for: when it has (studies.py), and where it is kept (study_book.py)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Evidence(StrEnum):
    """One sign that a study has ended."""

    STEP_COMPLETED = "step_completed"  # MPPS: every procedure step of the study has ended, one at least COMPLETED
    STEP_DISCONTINUED = "step_discontinued"  # MPPS: every procedure step of the study was DISCONTINUED
    DOSE_REPORT = "dose_report"  # an X-Ray Radiation Dose SR of the study was received
    NEW_PATIENT = "new_patient"  # its sender has begun with another patient
    BUTTON = "button"  # a person says so
    IDLE = "idle"  # nothing of the study for listener.study_idle_s
    LONG_IDLE = "long_idle"  # nothing of the study for listener.study_long_idle_s


@dataclass(frozen=True, slots=True)
class StudyEnd:
    """A study has ended, said once for each revision.

    seq: the number of this row, in the order in which ends were noted. revision: 1; one more for each time that an
    object came after the end. evidence: in the order of Evidence. ended_at: seconds since 1970, by the wall clock.
    objects: numbers (Received.seq) of all objects of the study so far, in order of arrival.
    flags: patient_mismatch (its objects name more than one patient), wrong_worklist_entry (MPPS says so).
    """

    seq: int
    study_instance_uid: str
    revision: int
    evidence: tuple[Evidence, ...]
    ended_at: float
    objects: tuple[int, ...]
    flags: tuple[str, ...]
