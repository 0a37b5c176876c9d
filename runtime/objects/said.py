"""What every document says of a study, in whichever standard: its name, its order's number, its draft and what a person
has decided, in words.

Not for: how a standard writes it (fhir/, hl7/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.identity import record_id
from cathrt.runtime.objects.evidence_header import UNREADABLE
from cathrt.runtime.objects.results import Algorithm, StudyResults

_MOST_DECISIONS = 99  # that are told apart by their order; a stage has four digits


class PatientUnknownError(CathrtError):
    """It is not known whose results they are."""


def patient_id(results: StudyResults) -> str:
    """Raises PatientUnknownError where the received objects have none that can be read."""
    found = results.patient.get("PatientID", "").strip()
    if not found or UNREADABLE in found:
        raise PatientUnknownError(
            "the received objects have no Patient ID that can be read: nobody can tell whose results they are"
        )
    return found


def without_patient(results: StudyResults, text: str) -> str:
    """What a receiver says of a document, for logs and health: it may quote the patient."""
    known = [*results.patient.values(), study_element(results, "AccessionNumber")]
    known += [part for part in re.split("[=^ ]", results.patient.get("PatientName", "")) if len(part) > 1]
    for value in sorted(filter(None, known), key=len, reverse=True):
        if len(value) > 1:  # PatientSex is in every word
            text = text.replace(value, "***")
    return text


def order_id(results: StudyResults) -> str:
    """The same for all revisions of one study: a later document with it replaces an earlier one."""
    return record_id(results.study_instance_uid, "report of a study", "")


def study_element(results: StudyResults, keyword: str) -> str:
    """An element that all objects of the study share; "" where they do not have it."""
    return str(results.evidence[-1].header.get(keyword) or "").strip()


def study_date(results: StudyResults) -> str:
    """YYYYMMDD, as the modality has it; "" where it has none."""
    date = study_element(results, "StudyDate")
    return date if len(date) == 8 and date.isascii() and date.isdigit() else ""


def made_at(results: StudyResults) -> datetime:
    """When what it rests on came, in UTC: the same in each document of the same results."""
    return results.made_at.astimezone(UTC)


def draft_texts(results: StudyResults) -> Iterator[tuple[str, str]]:
    """The draft by language, "en" and "ja", each under its watermark and notice; nothing where there is none."""
    if results.draft is None:
        return
    draft = results.draft
    for language, watermark, text in (
        ("en", draft.watermark, draft.draft.text),
        ("ja", draft.watermark_ja, draft.draft.text_ja),
    ):
        if text is not None:
            yield language, f"{watermark}\n{results.notice}\n\n{text}"


def is_rejected(results: StudyResults) -> bool:
    """Whether a person does not want these results: a document then takes back what was said."""
    return results.decision is not None and results.decision.what == "rejected"


def remarks(results: StudyResults) -> Iterator[str]:
    """Lines that stand above everything: the notice first."""
    yield results.notice
    yield f"Revision {results.revision}, preliminary. It takes the place of what was sent before of this study."
    if (decision := results.decision) is not None:
        said = f": {decision.text}" if decision.text else ""
        yield f"{decision.what} by {decision.by} at {decision.at.isoformat(timespec='seconds')}{said}"
    if results.unjudged:
        yield f"{results.unjudged} inputs of the study could not be judged."
    if results.draft is not None and results.draft.draft.withheld is not None:
        yield f"No draft: {results.draft.draft.withheld}"


def stage(results: StudyResults) -> int:
    """Which of two documents of one revision is the later one: readings and drafts are added to it, and a decision
    comes after all of them, each further one after that before it."""
    decided = 0 if results.decision is None else min(results.decision.number, _MOST_DECISIONS)
    return 100 * decided + len(results.readings) + int(results.draft is not None)


def answers(results: StudyResults) -> Iterator[tuple[Algorithm, StudyFinding]]:
    """Each answer of the models that read the study as a whole, and which algorithm gave it."""
    for record in results.readings:
        reading = record.reading
        by = Algorithm(reading.bundle, reading.manifest_sha256[:16], reading.manifest_sha256, reading.engine)
        yield from ((by, finding) for finding in reading.findings)
