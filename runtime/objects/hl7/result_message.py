"""A study's results as ORU^R01 of HL7 v2.5.1: what each run shows, its key frames, the draft; all of it preliminary.

Every message holds all that is said of the study at that moment, under the same filler order number (OBR-3) and the
same names of its parts (OBX-3, OBX-4): a later message replaces an earlier one. The same results give the same bytes.
Not for: sending (mllp.py), single observations (observations.py).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cathrt.runtime.objects.codes import REPORT
from cathrt.runtime.objects.hl7.observations import Observation, coded, observations
from cathrt.runtime.objects.hl7.patient import patient_segment
from cathrt.runtime.objects.hl7.text import CHARSETS, CharsetName, escaped, escaped_lines
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import made_at, order_id, remarks, study_date, study_element

SENDER = "CATHRT"
_PRELIMINARY = "P"
_SECTION = "CTH"  # cardiac catheterization, HL7 table 0074
_CONTROL_ID_LETTERS = 20  # longest of MSH-10
_TIME = "%Y%m%d%H%M%S%z"


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Who sends and who receives, as MSH has it. authority: who assigns patients' identifiers. names: whether name,
    date of birth and sex are sent. processing: "P" production, "T" training, "D" debugging."""

    sending_facility: str
    receiving_application: str
    receiving_facility: str
    authority: str
    names: bool
    processing: str
    charset: CharsetName


def control_id(record: str) -> str:
    """MSH-10 of the message of one record: the same at each attempt and after each restart."""
    digest = hashlib.sha256(f"hl7|{record}".encode()).digest()
    return base64.b32encode(digest).decode()[:_CONTROL_ID_LETTERS]


def result_message(results: StudyResults, record: str, between: Correspondents) -> bytes:
    """The message of one record of the journal. Raises PatientUnknownError, CharsetError."""
    segments = [
        _header(results, record, between),
        patient_segment(results, between.authority, names=between.names),
        _order(results),
        *_notes(remarks(results)),
        *_numbered(observations(results, record)),
    ]
    return CHARSETS[between.charset].encoded("\r".join(segments) + "\r")


def _header(results: StudyResults, record: str, between: Correspondents) -> str:
    charset = CHARSETS[between.charset]
    fields = [
        "MSH", "^~\\&", SENDER, escaped(between.sending_facility), escaped(between.receiving_application),
        escaped(between.receiving_facility), made_at(results).strftime(_TIME), "", "ORU^R01^ORU_R01",
        control_id(record), between.processing, "2.5.1", "", "", "", "", "", charset.declared, "", charset.scheme,
    ]  # fmt: skip
    return "|".join(fields).rstrip("|")


def _order(results: StudyResults) -> str:
    of_results = made_at(results).strftime(_TIME)
    fields = [""] * 26
    fields[0], fields[1] = "OBR", "1"
    fields[3] = f"{order_id(results)}^{SENDER}"
    fields[4] = coded(REPORT)
    fields[7] = _study_time(results) or of_results
    fields[18] = escaped(study_element(results, "AccessionNumber"))
    fields[22], fields[24], fields[25] = of_results, _SECTION, _PRELIMINARY
    return "|".join(fields)


def _notes(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts, start=1):
        yield f"NTE|{number}|L|{escaped_lines(text)}|RE"


def _numbered(of_study: Iterable[Observation]) -> Iterator[str]:
    for number, one in enumerate(of_study, start=1):
        fields = [""] * 19
        fields[:7] = ["OBX", str(number), one.form, coded(one.code), one.part, one.value, one.unit]
        fields[11] = "D" if one.withdrawn else _PRELIMINARY
        if one.algorithm is not None:
            name, version = escaped(one.algorithm.name), escaped(one.algorithm.version)
            fields[17] = f"{name}^{name} {version}^99{SENDER}"
            fields[18] = f"{one.algorithm.manifest_sha256}^{SENDER}"
        yield "|".join(fields).rstrip("|")
        yield from _notes(one.notes)


def _study_time(results: StudyResults) -> str:
    """As the objects have it: of the place where they were made, without saying which time zone that is."""
    date, time = study_date(results), study_element(results, "StudyTime")[:6]
    return date + (time if date and time.isascii() and time.isdigit() and len(time) in (4, 6) else "")
