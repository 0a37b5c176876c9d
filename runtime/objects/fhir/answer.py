"""What a FHIR server answers: to a search for a study's report, and to a transaction, entry by entry.

A status of 200 says nothing of what was stored; each entry's own status and place do. Not for: when it is tried again
(outlets/delivery.py).
"""

from __future__ import annotations

import json
import re
from typing import Any

from cathrt.runtime.objects.fhir.elements import Element
from cathrt.runtime.objects.fhir.report import ReportVersion, is_of, version_of
from cathrt.runtime.objects.fhir.transaction import Stored

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PLACE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?")
_STATUS = re.compile(r"[1-5]\d\d(?:\s.*)?", re.DOTALL)
_MOST_SAID = 3  # issues of an OperationOutcome


class AnswerError(ValueError):
    """The server said that it was done, and what it sent says otherwise, or nothing that can be read."""


class EntryError(Exception):
    """One entry of the transaction was not stored. status: its own."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class AmbiguousError(Exception):
    """The server has more than one report of the study."""


def stored_report(answer: bytes, order: str) -> Stored | None:
    """The report of the study in the answer to a search; None where the server has none.

    Raises AnswerError, AmbiguousError.
    """
    found = [
        entry["resource"]
        for entry in _entries(answer, "searchset")
        if isinstance(entry.get("resource"), dict) and entry["resource"].get("resourceType") == "DiagnosticReport"
    ]
    if not all(is_of(report, order) for report in found):
        raise AnswerError("the server sent a report that was not asked for, expected that it searches by identifier")
    if len(found) > 1:
        raise AmbiguousError(f"the server has {len(found)} reports of one study, expected one: remove all but one")
    if not found:
        return None
    id_, meta = found[0].get("id"), found[0].get("meta")
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise AnswerError("the answer to the search has a report without an id that can be used")
    version_id = meta.get("versionId") if isinstance(meta, dict) else None
    return Stored(id_, f'W/"{version_id}"' if version_id else "", version_of(found[0]))


def report_place(answer: bytes, sent: Element) -> str:
    """Where the report was stored, as TYPE/ID, once every entry of the transaction says that it was stored.

    Raises AnswerError, EntryError.
    """
    entries = _entries(answer, "transaction-response")
    if len(entries) != len(sent["entry"]):
        raise AnswerError(f"the answer has {len(entries)} entries, expected {len(sent['entry'])}")
    places = []
    for entry, asked in zip(entries, sent["entry"], strict=True):
        kind, response = asked["resource"]["resourceType"], entry.get("response")
        status = str(response.get("status", "")) if isinstance(response, dict) else ""
        if not _STATUS.fullmatch(status):
            raise AnswerError(f"the answer has no status for a {kind}")
        if not status.startswith("2"):
            outcome = response.get("outcome") if isinstance(response, dict) else None
            raise EntryError(int(status[:3]), f"{status} for a {kind}: {issues_of(outcome)}")
        places.append(_place(response, entry.get("resource"), asked, kind))
    return places[0]


def is_kept(answer: bytes, order: str, version: ReportVersion) -> bool:
    """Whether a report, as the server sends it, is that version of that study's report, or a later one."""
    report = _document(answer)
    kept = version_of(report)
    return is_of(report, order) and kept is not None and (kept == version or kept.is_later_than(version))


def issues_of(outcome: Any) -> str:
    """What an OperationOutcome says, in short."""
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    if not isinstance(issues, list):
        return "no reason was given"
    said = [
        str(issue.get("diagnostics") or (issue.get("details") or {}).get("text") or issue.get("code"))
        for issue in issues[:_MOST_SAID]
        if isinstance(issue, dict) and isinstance(issue.get("details") or {}, dict)
    ]
    return "; ".join(said) or "no reason was given"


def outcome_in(answer: bytes) -> str:
    """What the body of an error says, in short."""
    try:
        return issues_of(_document(answer))
    except AnswerError:
        return "no reason was given"


def _place(response: Any, resource: Any, asked: Element, kind: str) -> str:
    """TYPE/ID of one entry. A server may leave the location out where it sends the resource, or was told the id."""
    location = response.get("location")
    matched = _PLACE.fullmatch(location) if isinstance(location, str) else None
    if matched and matched[1] == kind:
        return f"{kind}/{matched[2]}"
    id_ = resource.get("id") if isinstance(resource, dict) and resource.get("resourceType") == kind else None
    if isinstance(id_, str) and _ID.fullmatch(id_):
        return f"{kind}/{id_}"
    if asked["request"]["method"] == "PUT":
        return str(asked["request"]["url"])
    raise AnswerError(f"the answer does not say where a {kind} was stored")


def _entries(answer: bytes, kind: str) -> list[Element]:
    document = _document(answer)
    if document.get("resourceType") != "Bundle" or document.get("type") != kind:
        raise AnswerError(f"the answer is no Bundle of type {kind}")
    entries = document.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AnswerError("the answer is a Bundle whose entries cannot be read")
    return entries


def _document(answer: bytes) -> Element:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as exc:
        raise AnswerError("the answer is no JSON, expected a FHIR resource") from exc
    if not isinstance(document, dict):
        raise AnswerError("the answer is no FHIR resource")
    return document
