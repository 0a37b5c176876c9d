"""Audit messages as PS3.15 A.5 defines them: one line of XML each, which fits the schema of A.5.1.

They name application entities, addresses, studies and classes of objects. The trail may be read by people who may not
see patients, so no message names one: a study is found by its UID. Not for: where they go (trail.py).
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
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
    VIEWED = ("110103", "DICOM Instances Accessed", "R", "")
    LOGGED_IN = ("110114", "User Authentication", "E", "Login")
    LOGGED_OUT = ("110114", "User Authentication", "E", "Logout")


_TYPES = {
    Event.STARTED: ("110120", "Application Start"),
    Event.STOPPED: ("110121", "Application Stop"),
    Event.ALERT: ("110126", "Node Authentication"),
    Event.LOGGED_IN: ("110122", "Login"),
    Event.LOGGED_OUT: ("110123", "Logout"),
}
_ACTIVITY = "110100"
_SOURCE, _DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
# RoleIDCode of each party in turn, where A.5.3 asks for one.
_ROLES = {
    Event.STARTED: (("110150", "Application"),),
    Event.STOPPED: (("110150", "Application"),),
    Event.SENT: (_SOURCE, _DESTINATION),
    Event.RECEIVED: (_SOURCE, _DESTINATION),
}
_STUDY, _NODE = ("110180", "Study Instance UID"), ("110182", "Node ID")
_HOST_NAME, _IP_ADDRESS = "1", "2"  # NetworkAccessPointTypeCode
_SYSTEM_OBJECT, _REPORT = "2", "3"


@dataclass(frozen=True, slots=True)
class Party:
    """One side of what happened. name: an AE title or the program. address: of the network; "" for this machine."""

    name: str
    address: str
    is_requestor: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """One event. outcome: 0 success, 4 minor failure, 8 serious failure. parties: where it came from, then where to.

    studies: Study Instance UIDs. classes: SOP classes and how many objects of each. detail: of an alert or a view, in
    words.
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
    roles = _ROLES.get(audited.event, ())
    for number, party in enumerate(audited.parties):
        participant = SubElement(message, "ActiveParticipant", _who(party))
        if number < len(roles):
            _code(participant, "RoleIDCode", *roles[number])
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_text(site))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    for study in audited.studies:
        found = _object(message, study, _STUDY, ParticipantObjectTypeCodeRole=_REPORT)
        if audited.classes:
            described = SubElement(found, "ParticipantObjectDescription")
            for uid, count in audited.classes:
                SubElement(described, "SOPClass", UID=_text(uid), NumberOfInstances=str(count))
    if audited.detail:
        told = _object(message, site, _NODE)
        kind = "Alert Description" if audited.event is Event.ALERT else "Viewed"
        value = b64encode(_text(audited.detail).encode("utf-8", "backslashreplace")).decode("ascii")
        SubElement(told, "ParticipantObjectDetail", type=kind, value=value)
    return tostring(message, "unicode")


def _who(party: Party) -> dict[str, str]:
    """The attributes of an ActiveParticipant."""
    who = {"UserID": _text(party.name), "UserIsRequestor": "true" if party.is_requestor else "false"}
    if party.address:
        who["NetworkAccessPointID"] = _text(party.address)
        who["NetworkAccessPointTypeCode"] = _IP_ADDRESS if _is_ip(party.address) else _HOST_NAME
    return who


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _object(message: Element, name: str, kind: tuple[str, str], **more: str) -> Element:
    """A ParticipantObjectIdentification. The schema asks for a name: it is the identifier again, and names nobody."""
    attributes = {"ParticipantObjectID": _text(name), "ParticipantObjectTypeCode": _SYSTEM_OBJECT, **more}
    found = SubElement(message, "ParticipantObjectIdentification", attributes)
    _code(found, "ParticipantObjectIDTypeCode", *kind)
    SubElement(found, "ParticipantObjectName").text = _text(name)
    return found


def _code(parent: Element, name: str, code: str, meaning: str) -> None:
    SubElement(parent, name, {"csd-code": code, "codeSystemName": _DCM, "originalText": meaning})


def _text(text: str) -> str:
    """From outside, so that it can be an attribute of one line."""
    return shown(text)[:_LONGEST]
