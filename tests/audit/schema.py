"""Whether a message has the form that the schema of PS3.15 A.5.1 gives it: which elements, in which order, with which
attributes and values. Written as a table, since the schema is in a language (RELAX NG) that no library here reads.

Not for: what a single kind of event has to say (test_audit.py).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import Element

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Form:
    """required, optional: attributes and what their values are. children: regular expression over "NAME " of each."""

    required: dict[str, Check] = field(default_factory=dict)
    optional: dict[str, Check] = field(default_factory=dict)
    children: str = ""
    text: Check | None = None


def _one_of(*values: str) -> Check:
    return frozenset(values).__contains__


def _numbers(last: int) -> Check:
    return _one_of(*(str(number) for number in range(1, last + 1)))


def _moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def _base64(text: str) -> bool:
    return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


def _any(text: str) -> bool:
    return bool(text)


def _token(text: str) -> bool:
    return text == " ".join(text.split()) and bool(text)


_UID: Check = lambda text: re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", text) is not None  # noqa: E731
_TRUTH = _one_of("true", "false")
_CODE = Form({"csd-code": _token, "codeSystemName": _token, "originalText": _token}, {"displayName": _token})

FORMS = {
    "AuditMessage": Form(
        children="EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Form(
        {"EventDateTime": _moment, "EventOutcomeIndicator": _one_of("0", "4", "8", "12")},
        {"EventActionCode": _one_of(*"CRUDE")},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "EventID": _CODE,
    "EventTypeCode": _CODE,
    "RoleIDCode": _CODE,
    "ParticipantObjectIDTypeCode": _CODE,
    "ActiveParticipant": Form(
        {"UserID": _any, "UserIsRequestor": _TRUTH},
        {
            "AlternativeUserID": _any, "UserName": _any, "NetworkAccessPointID": _token,
            "NetworkAccessPointTypeCode": _numbers(5),
        },
        "(RoleIDCode )*(MediaIdentifier )?",
    ),
    "AuditSourceIdentification": Form(
        {"AuditSourceID": _token}, {"AuditEnterpriseSiteID": _token}, "(AuditSourceTypeCode )*"
    ),
    "AuditSourceTypeCode": Form({"csd-code": _numbers(9)}),
    "ParticipantObjectIdentification": Form(
        {"ParticipantObjectID": _token},
        {
            "ParticipantObjectTypeCode": _numbers(4), "ParticipantObjectTypeCodeRole": _numbers(26),
            "ParticipantObjectDataLifeCycle": _numbers(15), "ParticipantObjectSensitivity": _token,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
    ),
    "ParticipantObjectName": Form(text=_token),
    "ParticipantObjectDetail": Form({"type": _token, "value": _base64}),
    "ParticipantObjectDescription": Form(
        children="(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?"
    ),
    "SOPClass": Form({"NumberOfInstances": str.isdecimal}, {"UID": _UID}, "(Instance )*"),
}  # fmt: skip


def faults_of(element: Element) -> list[str]:
    """What does not fit, in words; [] where all does."""
    form = FORMS.get(element.tag)
    if form is None:
        return [f"{element.tag}: not expected"]
    faults = [f"{element.tag}: lacks {name}" for name in form.required if name not in element.attrib]
    known = {**form.required, **form.optional}
    for name, value in element.attrib.items():
        if name not in known:
            faults.append(f"{element.tag}: {name} not expected")
        elif not _fits(known[name], value):
            faults.append(f"{element.tag}: {name} is {value!r}")
    order = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(form.children, order):
        faults.append(f"{element.tag}: holds {order!r}")
    text = (element.text or "").strip()
    if (form.text is None and text) or (form.text is not None and not _fits(form.text, text)):
        faults.append(f"{element.tag}: its text is {text!r}")
    return faults + [fault for child in element for fault in faults_of(child)]


def _fits(check: Check, value: str) -> bool:
    try:
        return check(value)
    except ValueError:
        return False
