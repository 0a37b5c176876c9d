"""What every structured report says of its status: partial, unverified, preliminary, what it takes the place of."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from cathrt.runtime.objects.dicom.kinds import Kind
from cathrt.runtime.objects.dicom.new_object import date_of, time_of
from cathrt.runtime.objects.dicom.references import evidence_sequence, fill_predecessor
from cathrt.runtime.objects.results import RunEvidence, StudyResults


def fill_status(
    report: Dataset, results: StudyResults, kind: Kind, runs: Iterable[RunEvidence], predecessor: str | None
) -> None:
    """SR Document General (PS3.3 C.17.2). predecessor: which object of this kind the edition before had."""
    report.ContentDate, report.ContentTime = date_of(results.made_at), time_of(results.made_at)
    report.CompletionFlag = "PARTIAL"
    report.CompletionFlagDescription = "Made by software; no physician has completed it"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "PRELIMINARY"
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CurrentRequestedProcedureEvidenceSequence = evidence_sequence(results, runs)
    fill_predecessor(report, results, kind, predecessor)
