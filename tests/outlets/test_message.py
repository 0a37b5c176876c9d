"""What is sent of a record: the record itself, late where it is late, without names of files, in its envelope."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cathrt.runtime.alert import LiveUntil, Outcome, Record
from cathrt.runtime.outlets.message import Lane, message_from
from tests.outlets.delivering import live_alert
from tests.passes import alert, decision, draft, refusal, review, signature, start, stored, summary, verdict

NAME = "DOE^JANE 19480102"
LIVE, STUDY = Lane("live", 0, names=False), Lane("study", 0, names=False)


def test_the_record_in_the_envelope_is_the_stored_one_byte_for_byte() -> None:
    record = stored(alert(9), seq=17)
    message = message_from(record, Lane("live", 3, names=False), 0)
    assert message.payload == b'{"journal":"live","seq":17,"limited":3,"live_for_s":null,"record":%b}' % record.body
    assert (message.id, message.type, message.seq) == (alert(9).id, "alert", 17)


@pytest.mark.parametrize(("now_s", "late", "live_for_s"), [(10.0, False, 2.5), (12.5, False, 0.0), (12.6, True, None)])
def test_an_alert_says_how_long_it_is_live_and_whether_it_still_is(
    now_s: float, late: bool, live_for_s: float | None
) -> None:
    message = message_from(stored(live_alert(1, 12.5)), LIVE, round(now_s * 1e9))
    envelope = json.loads(message.payload)
    assert envelope["record"]["late"] is late
    assert envelope["live_for_s"] == live_for_s
    assert message.record == envelope["record"]


def test_an_alert_of_another_start_of_the_machine_is_late() -> None:
    foreign = replace(live_alert(1, 12.5), live_until=LiveUntil("another boot", 1 << 60))
    assert json.loads(message_from(stored(foreign), LIVE, 0).payload)["record"]["late"] is True


NAMED: dict[str, Record] = {
    "pass": replace(start(), source=NAME),
    "run": replace(summary([verdict(0)]), source=NAME),
    "refusal": replace(refusal(), source=NAME, message=f"{NAME}: no DICOM file"),
    "verdict": replace(verdict(0, outcome=Outcome.FAILED), reason=f"{NAME}: cannot be decoded"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_no_name_of_a_file_is_sent_unless_that_is_configured(kind: str) -> None:
    record = stored(NAMED[kind])
    hidden, shown = (message_from(record, Lane("study", 0, names), 0) for names in (False, True))
    assert NAME.encode() not in hidden.payload
    assert NAME.encode() in shown.payload
    assert hidden.payload.count(b'"notice"') == shown.payload.count(b'"notice"')
    assert json.loads(hidden.payload)["record"].keys() == json.loads(shown.payload)["record"].keys()


def test_the_name_of_a_live_source_is_that_of_the_configuration_and_is_sent() -> None:
    assert b'"source":"plane A"' in message_from(stored(replace(start(), source="plane A")), LIVE, 0).payload


def test_other_records_are_sent_as_they_are() -> None:
    for record in (draft(), alert(3), verdict(0)):
        assert stored(record).body in message_from(stored(record), STUDY, 0).payload


def test_what_a_person_wrote_goes_out_only_where_names_do() -> None:
    for record in (decision(), replace(review(), text="患者 山田")):
        for names in (False, True):
            message = message_from(stored(record), Lane("gateway", 0, names=names), 0)
            assert (message.record["text"] == record.text) is names
            assert ("山田" in message.payload.decode() or "造影不良" in message.payload.decode()) is names
            assert message.record["by_name"] == "佐藤 花子"
    assert message_from(stored(signature()), Lane("gateway", 0, names=False), 0).record["text"] == ""
