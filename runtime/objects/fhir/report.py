"""The DiagnosticReport of a study and the Provenance of all that is said, as FHIR. Never final.

Not for: what each run shows (observations.py).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cathrt.runtime.objects.codes import REPORT
from cathrt.runtime.objects.fhir.elements import (
    AI_ASSERTED,
    URI,
    Element,
    Release,
    concept,
    content_id,
    study_reference,
    uuid_identifier,
)
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import draft_texts, is_rejected, made_at, order_id, remarks, stage
from cathrt.runtime.outside.plain_text import html_text

_CATHETERISATION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CTH"}]}
PROVENANCE_TAGS = "urn:cathrt:provenance"
_VERSION_SYSTEM = "urn:cathrt:report-version"
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,4})\.([0-9a-f-]{36})")
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


@dataclass(frozen=True, slots=True)
class ReportVersion:
    """Which version of a study's report it is. revision: of the study. stage: of that revision (said.py).

    content: a UUID out of all that it says.
    """

    revision: int
    stage: int
    content: str

    def is_later_than(self, other: ReportVersion) -> bool:
        """By revision, then by what is in it; of two with other content neither is later."""
        return (self.revision, self.stage) > (other.revision, other.stage)


def report_of(results: StudyResults, shared: Element, made: Sequence[str], release: Release) -> Element:
    """The report without its identifiers. made: references to the observations, within the bundle."""
    texts = [] if is_rejected(results) else list(draft_texts(results))
    conclusion = "\n\n".join(["\n".join(remarks(results)), *(text for _, text in texts)])
    study = study_reference(results.study_instance_uid)
    return {
        "resourceType": "DiagnosticReport",
        "meta": AI_ASSERTED,
        "text": {"status": "generated", "div": _narrative(conclusion)},
        "status": "preliminary",
        "category": [_CATHETERISATION],
        "code": concept(REPORT),
        "subject": shared["subject"],
        **({"effectiveDateTime": shared["effectiveDateTime"]} if "effectiveDateTime" in shared else {}),
        **({"result": [{"reference": reference} for reference in made]} if made else {}),
        ("imagingStudy" if release == "R4" else "study"): [study],
        "conclusion": conclusion,
        **({"presentedForm": [_form(language, text) for language, text in texts]} if texts else {}),
    }


def versioned(report: Element, results: StudyResults) -> tuple[ReportVersion, Element]:
    """The report under its two identifiers: of the study's report, which stays, and of this version of it."""
    version = ReportVersion(results.revision, stage(results), content_id(report))
    value = f"{version.revision}.{version.stage}.{version.content}"
    return version, {
        **report,
        "issued": _instant(results),
        "identifier": [
            uuid_identifier(order_id(results)),
            {"use": "secondary", "system": _VERSION_SYSTEM, "value": value},
        ],
    }


def is_of(report: Element, order: str) -> bool:
    """Whether a server's report is that study's."""
    return any(one.get("system") == URI and one.get("value") == f"urn:uuid:{order}" for one in _identifiers(report))


def version_of(report: Element) -> ReportVersion | None:
    """Which version a server's report is; None where it does not say so as ours do."""
    for one in _identifiers(report):
        matched = _VERSION.fullmatch(str(one.get("value"))) if one.get("system") == _VERSION_SYSTEM else None
        if matched:
            return ReportVersion(int(matched[1]), int(matched[2]), matched[3])
    return None


def provenance_of(
    results: StudyResults, targets: Sequence[str], devices: Sequence[str], version: ReportVersion
) -> tuple[str, Element]:
    """Who has made what out of what. FHIR gives it no identifier, so it has a tag: returns that too."""
    agents: list[Element] = [{"type": _participant("author"), "who": {"reference": one}} for one in devices]
    agents.append(
        {"type": _participant("assembler"), "who": {"display": f"{results.made_by.name} {results.made_by.version}"}}
    )
    provenance: Element = {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": _instant(results),
        "agent": agents,
        "entity": [{"role": "source", "what": study_reference(results.study_instance_uid)}],
    }
    tag = content_id({"resourceType": "Provenance", "of": order_id(results), "version": version.content})
    labelled = {**AI_ASSERTED, "tag": [{"system": PROVENANCE_TAGS, "code": tag}]}
    return tag, {**provenance, "meta": labelled}


def _identifiers(report: Element) -> list[Element]:
    found = report.get("identifier")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _instant(results: StudyResults) -> str:
    return made_at(results).isoformat(timespec="milliseconds")


def _participant(code: str) -> Element:
    return {"coding": [{"system": _PARTICIPANT, "code": code}]}


def _narrative(text: str) -> str:
    paragraphs = "".join(f"<p>{html_text(line)}</p>" for line in text.splitlines() if line)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'


def _form(language: str, text: str) -> Element:
    title = {"en": "DRAFT (preliminary)", "ja": "下書き（暫定）"}[language]
    data = base64.b64encode(text.encode()).decode()
    return {"contentType": "text/plain; charset=utf-8", "language": language, "data": data, "title": title}
