"""The audit trail: messages of PS3.15 A.5, one a line, without a patient in any of them."""

from __future__ import annotations

import stat
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from cathrt.runtime.audit.messages import Party
from cathrt.runtime.audit.trail import AuditTrail

PACS = Party("PACS", "10.1.2.3", is_requestor=False)


def lines(path: Path) -> list[Element]:
    return [fromstring(line) for line in path.read_text().splitlines()]


def event_of(message: Element) -> tuple[str, str, str]:
    event = message.find("EventIdentification")
    assert event is not None
    code = event.find("EventID")
    assert code is not None
    return code.attrib["csd-code"], event.attrib["EventActionCode"], event.attrib["EventOutcomeIndicator"]


def test_each_event_is_one_message_with_its_code(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit.xml", lambda: 1_780_000_000.0)
    trail.started()
    trail.sent(PACS, ["1.2.3"], [("1.2.840.10008.5.1.4.1.1.88.59", 2)], well=True)
    trail.sent(PACS, ["1.2.3"], [], well=False)
    trail.received(Party("ANGIO", "10.1.2.4", is_requestor=True), [("1.2.840.10008.5.1.4.1.1.12.1", 1)])
    trail.alert("no certificate", Party("unknown", "10.9.9.9", is_requestor=True))
    trail.stopped()
    found = lines(tmp_path / "audit.xml")
    assert [event_of(one) for one in found] == [
        ("110100", "E", "0"), ("110104", "R", "0"), ("110104", "R", "4"), ("110104", "C", "0"), ("110113", "E", "4"),
        ("110100", "E", "0"),
    ]  # fmt: skip
    sent = found[1]
    assert [one.attrib["UserID"] for one in sent.iter("ActiveParticipant")] == ["cathrt", "PACS"]
    assert sent.find("ActiveParticipant[2]").attrib["NetworkAccessPointID"] == "10.1.2.3"  # type: ignore[union-attr]
    assert sent.find("ParticipantObjectIdentification").attrib["ParticipantObjectID"] == "1.2.3"  # type: ignore[union-attr]
    assert sent.find(".//SOPClass").attrib["NumberOfInstances"] == "2"  # type: ignore[union-attr]
    assert stat.S_IMODE((tmp_path / "audit.xml").stat().st_mode) == 0o600


def test_text_from_outside_cannot_end_a_message_or_a_line(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit.xml")
    trail.alert('"/><AuditMessage>\n\x1b[31m' + "x" * 10_000, Party("<evil>\n", "::1", is_requestor=True))
    (message,) = lines(tmp_path / "audit.xml")
    assert len((tmp_path / "audit.xml").read_text()) < 2000
    assert message.find("ActiveParticipant").attrib["UserID"] == r"<evil>\n"  # type: ignore[union-attr]


def test_a_trail_that_cannot_be_written_is_logged_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AuditTrail(tmp_path / "no folder" / "audit.xml").started()
    assert "an audit message cannot be written" in caplog.text
    AuditTrail(None).started()
