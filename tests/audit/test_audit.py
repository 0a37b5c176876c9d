"""The audit trail: messages of PS3.15 A.5, one a line, without a patient in any of them."""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from dataclasses import asdict
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from cathrt.runtime.audit.messages import Party
from cathrt.runtime.audit.state import audit_said
from cathrt.runtime.audit.trail import AuditTrail
from tests.audit.schema import faults_of

PACS = Party("PACS", "10.1.2.3", is_requestor=False)


def lines(path: Path) -> list[Element]:
    return [fromstring(line) for line in path.read_text().splitlines()]


def event_of(message: Element) -> tuple[str, str, str]:
    event = message.find("EventIdentification")
    assert event is not None
    code = event.find("EventID")
    assert code is not None
    return code.attrib["csd-code"], event.attrib["EventActionCode"], event.attrib["EventOutcomeIndicator"]


def roles_of(message: Element) -> list[str]:
    return [one.attrib["csd-code"] for one in message.iter("RoleIDCode")]


def test_each_event_is_one_message_with_its_code(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit.xml", lambda: 1_780_000_000.0)
    trail.started()
    trail.sent(PACS, ["1.2.3"], [("1.2.840.10008.5.1.4.1.1.88.59", 2)], well=True)
    trail.sent(PACS, ["1.2.3"], [], well=False)
    trail.received(Party("ANGIO", "10.1.2.4", is_requestor=True), [("1.2.840.10008.5.1.4.1.1.12.1", 1)])
    trail.alert("no certificate", Party("unknown", "10.9.9.9", is_requestor=True))
    trail.logged_in(Party("operator", "10.1.2.5", is_requestor=True), well=False)
    trail.viewed(Party("operator", "10.1.2.5", is_requestor=True), ["1.2.3"], "live pictures")
    trail.logged_out(Party("operator", "ward.example", is_requestor=True))
    trail.stopped()
    found = lines(tmp_path / "audit.xml")
    assert [event_of(one) for one in found] == [
        ("110100", "E", "0"), ("110104", "R", "0"), ("110104", "R", "4"), ("110104", "C", "0"), ("110113", "E", "4"),
        ("110114", "E", "4"), ("110103", "R", "0"), ("110114", "E", "0"), ("110100", "E", "0"),
    ]  # fmt: skip
    assert [faults_of(one) for one in found] == [[]] * len(found)
    assert [roles_of(one) for one in found] == [
        ["110150"], ["110153", "110152"], ["110153", "110152"], ["110153", "110152"], [], [], [], [], ["110150"],
    ]  # fmt: skip
    assert [one.attrib["UserIsRequestor"] for one in found[4].iter("ActiveParticipant")] == ["true", "false"]
    detail = found[4].find(".//ParticipantObjectDetail")
    assert detail is not None
    assert (detail.attrib["type"], b64decode(detail.attrib["value"])) == ("Alert Description", b"no certificate")
    access = [one.attrib.get("NetworkAccessPointTypeCode") for one in found[7].iter("ActiveParticipant")]
    assert access == ["1"]  # a name; an address is 2
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
    assert message.find("ActiveParticipant[2]").attrib["UserID"] == r"<evil>\n"  # type: ignore[union-attr]
    assert faults_of(message) == []


def test_a_trail_that_cannot_be_written_is_logged_and_told_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(tmp_path / "no folder" / "audit.xml")
    trail.started()
    assert "an audit message cannot be written" in caplog.text
    reasons, notes = audit_said(asdict(trail.state()))
    told = "1 audit messages could not be written to audit.xml (No such file or directory): make room"
    assert (reasons, notes) == ([told], [])
    AuditTrail(None).started()


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail, write = AuditTrail(tmp_path / "audit.xml"), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: write(descriptor, octets[:40]))
    trail.started()
    monkeypatch.setattr(os, "write", write)
    trail.stopped()
    cut, whole = (tmp_path / "audit.xml").read_text().splitlines()
    assert len(cut) == 40
    assert event_of(fromstring(whole)) == ("110100", "E", "0")
    assert trail.state().unwritten == 1


def test_the_schema_finds_what_is_planted(tmp_path: Path) -> None:
    AuditTrail(tmp_path / "audit.xml").sent(PACS, ["1.2.3"], [("1.2.840", 1)], well=True)
    good = (tmp_path / "audit.xml").read_text()
    assert faults_of(fromstring(good)) == []
    planted = {
        ' EventOutcomeIndicator="0"': ' EventOutcomeIndicator="1"',
        "<ParticipantObjectName>1.2.3</ParticipantObjectName>": "",
        'UserIsRequestor="true"': 'UserIsRequestor="yes"',
        "<RoleIDCode": "<Role",
        'UID="1.2.840"': 'UID="Yamada"',
    }
    for found, instead in planted.items():
        assert found in good
        assert faults_of(fromstring(good.replace(found, instead)))
