"""What is said of a study, as single observations of HL7 v2 (OBX).

Not for: the message around them (result_message.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.identity import record_id
from cathrt.runtime.objects.codes import (
    FINDING_SITE,
    FRAME_NUMBER,
    IMAGE_UID,
    OURS,
    PROBABILITY,
    READABILITY,
    RECORD_ID,
    REPORT,
    STUDY_UID,
    Code,
    artery,
)
from cathrt.runtime.objects.hl7.text import escaped, escaped_lines
from cathrt.runtime.objects.results import Algorithm, KeyFrame, RunEvidence, StudyResults
from cathrt.runtime.objects.said import answers, draft_texts, is_rejected

_NO_UNIT = "1^no units^UCUM"
_PERCENT = ("%", "percent")


@dataclass(frozen=True, slots=True)
class Observation:
    """One OBX. form: OBX-2. part: OBX-4, what of the study it is of, the same in each message. withdrawn: a person does
    not want it."""

    form: str
    code: Code
    part: str
    value: str
    unit: str = ""
    algorithm: Algorithm | None = None
    notes: tuple[str, ...] = ()
    withdrawn: bool = False


def observations(results: StudyResults, record: str) -> Iterator[Observation]:
    """All that is said of the study. record: of the journal, that it rests on."""
    rejected = is_rejected(results)
    yield Observation("ST", STUDY_UID, "", escaped(results.study_instance_uid))
    yield Observation("ST", RECORD_ID, "", escaped(record))
    for run in results.evidence:
        yield from _of_run(run, results.notice, rejected)
    for by, finding in answers(results):
        yield _of_study(by, finding, results.notice, rejected)
    for by, finding in results.withdrawn:
        yield _of_study(by, finding, results.notice, rejected=True)
    for language, text in draft_texts(results):
        yield Observation("FT", REPORT, language, escaped_lines(text), "", None, (results.notice,), rejected)


def coded(code: Code) -> str:
    """A code as CWE has it."""
    return f"{escaped(code.value)}^{escaped(code.meaning)}^{code.system}"


def _of_run(run: RunEvidence, notice: str, rejected: bool) -> Iterator[Observation]:
    part, by = record_id(run.sop_instance_uid, "hl7 part", "")[:8], run.algorithm
    notes = (notice, run.text, run.text_ja, *(f"flag: {flag}" for flag in run.flags))
    side = coded(artery(run.laterality))
    yield Observation("ST", IMAGE_UID, part, escaped(run.sop_instance_uid), "", by, (), rejected)
    yield Observation("CWE", FINDING_SITE, part, side, "", by, notes, rejected)
    if run.laterality_score is not None:
        yield Observation("NM", PROBABILITY, part, _number(run.laterality_score), _NO_UNIT, by, (), rejected)
    for frame in run.key_frames:
        yield from _of_frame(frame, f"{part}.{frame.frame_number}", by, rejected)
    for frame in run.withdrawn:
        yield from _of_frame(frame, f"{part}.{frame.frame_number}", by, rejected=True)


def _of_frame(frame: KeyFrame, part: str, by: Algorithm, rejected: bool) -> Iterator[Observation]:
    yield Observation("NM", FRAME_NUMBER, part, str(frame.frame_number), "", by, (), rejected)
    code, score = (PROBABILITY, frame.score) if frame.readability is None else (READABILITY, frame.readability)
    yield Observation("NM", code, part, _number(score), _NO_UNIT, by, (), rejected)


def _of_study(by: Algorithm, finding: StudyFinding, notice: str, rejected: bool) -> Observation:
    notes = (notice, *(text for text in (finding.label, finding.label_ja) if text))
    code = Code(finding.name, OURS, finding.title)
    if finding.form == "category":
        return Observation("ST", code, by.version, escaped(finding.label), "", by, notes, rejected)
    unit = "%^percent^UCUM" if finding.unit in _PERCENT else (escaped(finding.unit) or _NO_UNIT)
    return Observation("NM", code, by.version, _number(finding.value), unit, by, notes, rejected)


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
