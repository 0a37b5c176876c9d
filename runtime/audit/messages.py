"""Audit messages as PS3.15 A.5 defines them: one line of XML each.

They name application entities, addresses, studies and classes of objects. The trail may be read by people who may not
see patients, so no message names one: a study is found by its UID. Not for: where they go (trail.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from xml.etree.ElementTree import Element, SubElement, tostring

from cathrt.runtime.outside.plain_text import shown

_DCM = "DCM"
_LONGEST = 256  # characters of a text from outside


class Event(Enum):
    """Event ID and what is done with it: C create, R read, U update, D delete, E execute."""

    STARTED = ("110120", "Application Activity", "E", "Start")
    STOPPED = ("110121", "Application Activity", "E", "Stop")
    SENT = ("110104", "DICOM Instances Transferred", "R", "")
    RECEIVED = ("110104", "DICOM Instances Transferred", "C", "")
    ALERT = ("110113", "Security Alert", "E", "")


_TYPES = {
    Event.STARTED: ("110120", "Application Start"),
    Event.STOPPED: ("110121", "Application Stop"),
    Event.ALERT: ("110126", "Node Authentication"),
}
_ACTIVITY = "110100"
_SOURCE, _DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")


@dataclass(frozen=True, slots=True)
class Party:
    """One side of what happened. name: an AE title or the program. address: of the network; "" for this machine."""

    name: str
    address: str
    is_requestor: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """One event. outcome: 0 success, 4 minor failure, 8 serious failure. parties: where it came from, then where to.

    studies: Study Instance UIDs. classes: SOP classes and how many objects of each. detail: of an alert, in words.
    """

    event: Event
    at: float
    outcome: int
    parties: Sequence[Party]
    studies: Sequence[str] = ()
    classes: Sequence[tuple[str, int]] = ()
    detail: str = ""


def audit_message(audited: Audited, site: str) -> str:
    """The XML, on one line. site: what this box is called."""
    event_id, meaning, action, _ = audited.event.value
    if audited.event in (Event.STARTED, Event.STOPPED):
        event_id = _ACTIVITY
    message = Element("AuditMessage")
    event = SubElement(
        message,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=datetime.fromtimestamp(audited.at, UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(audited.outcome),
    )
    _code(event, "EventID", event_id, meaning)
    if audited.event in _TYPES:
        _code(event, "EventTypeCode", *_TYPES[audited.event])
    for number, party in enumerate(audited.parties):
        who = {"UserID": _text(party.name), "UserIsRequestor": "true" if party.is_requestor else "false"}
        if party.address:
            who |= {"NetworkAccessPointID": _text(party.address), "NetworkAccessPointTypeCode": "2"}
        participant = SubElement(message, "ActiveParticipant", who)
        if len(audited.parties) == 2:
            _code(participant, "RoleIDCode", *(_SOURCE, _DESTINATION)[number])
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_text(site))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    for study in audited.studies:
        found = SubElement(
            message,
            "ParticipantObjectIdentification",
            ParticipantObjectID=_text(study),
            ParticipantObjectTypeCode="2",
            ParticipantObjectTypeCodeRole="3",
        )
        _code(found, "ParticipantObjectIDTypeCode", "110180", "Study Instance UID")
        described = SubElement(found, "ParticipantObjectDescription")
        for uid, count in audited.classes:
            SubElement(described, "SOPClass", UID=_text(uid), NumberOfInstances=str(count))
    if audited.detail:
        alert = SubElement(
            message,
            "ParticipantObjectIdentification",
            ParticipantObjectID=_text(site),
            ParticipantObjectTypeCode="2",
        )
        _code(alert, "ParticipantObjectIDTypeCode", "12", "URI")
        SubElement(alert, "ParticipantObjectDetail", type="Alert Description", value=_text(audited.detail))
    return tostring(message, "unicode")


def _code(parent: Element, name: str, code: str, meaning: str) -> None:
    SubElement(parent, name, {"csd-code": code, "codeSystemName": _DCM, "originalText": meaning})


def _text(text: str) -> str:
    """From outside, so that it can be an attribute of one line."""
    return shown(text)[:_LONGEST]
