"""Syslog and CEF: the form of a message, what is escaped, and what UDP, TCP and TLS tell of its delivery."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import NOTICE, Record
from cathrt.runtime.outlets.cef import cef_line
from cathrt.runtime.outlets.message import Lane, Message, message_from
from cathrt.runtime.outlets.peer import UnreachableError
from cathrt.runtime.outlets.syslog import Syslog, syslog_message
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import outlet
from tests.outlets.receivers import Receiver, receiving
from tests.passes import alert, draft, refusal, start, stored, summary, verdict

LANE = Lane("live", 0, names=True)
RECORDS: list[Record] = [start(), verdict(0), alert(1), summary([verdict(0)]), refusal(), draft()]
RFC_5424 = re.compile(
    r"<(?P<priority>\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} cathrt (?P<journal>\w+) "
    r'(?P<type>\w+) \[meta sequenceId="(?P<number>\d+)"\] (?P<text>CEF:0\|.*)',
    re.DOTALL,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving("syslog") as made:
        yield made


def message_of(record: Record, seq: int = 1, lane: Lane = LANE) -> Message:
    return message_from(stored(record, seq), lane, 0)


def fields_of(line: str) -> dict[str, str]:
    """A CEF extension as a reader of it takes it apart."""
    extension = re.split(r"(?<!\\)\|", line, maxsplit=7)[7]
    parts = re.split(r"(?:^| )(\w+)(?<!\\)=", extension)
    values = [
        re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), one) for one in parts[2::2]
    ]
    return dict(zip(parts[1::2], values, strict=True))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.type)
def test_every_record_has_the_form_of_rfc_5424_and_of_cef(record: Record) -> None:
    message = message_of(record, seq=42)
    found = RFC_5424.fullmatch(syslog_message(message, 16, 1_700_000_000.5))
    assert found
    assert (found["journal"], found["type"], found["number"]) == ("live", record.type, "42")
    assert 128 <= int(found["priority"]) <= 135  # local0
    fields = fields_of(found["text"])
    assert fields["externalId"] == record.id
    assert fields["cs5"] == NOTICE
    assert (fields["cn1"], fields["cn2"]) == ("42", "0")
    assert {f"{key}Label" for key in fields if re.fullmatch(r"c[sn]\d", key)} <= fields.keys()
    assert not [key for key in fields if key.endswith("Label") and key.removesuffix("Label") not in fields]


def test_the_moment_of_a_message_is_utc() -> None:
    assert syslog_message(message_of(alert(1)), 16, 1_700_000_000.5).startswith("<133>1 2023-11-14T22:13:20.500000Z ")


def test_what_cef_gives_a_meaning_is_escaped_and_reads_back() -> None:
    name = "a|b=c\\d\ne\rf\x07"
    line = cef_line(message_of(replace(start(), source=name)))
    assert "\n" not in line
    assert "\r" not in line
    assert fields_of(line)["cs2"] == "a|b=c\\d\ne\rf?"
    assert line.count("|") == 7 + 1  # pipes count in the header alone


def test_a_long_text_is_cut() -> None:
    line = cef_line(message_of(replace(refusal(), message="x" * 100_000)))
    assert len(line) < 4000


def test_a_row_number_beyond_what_syslog_counts_begins_anew() -> None:
    text = syslog_message(message_of(alert(1), seq=2**31 + 5), 16, 0.0)
    assert '[meta sequenceId="6"]' in text
    assert f"cn1={2**31 + 5}" in text


def test_late_is_said_in_words_and_in_a_field() -> None:
    fields = fields_of(cef_line(message_of(replace(alert(1), late=True))))
    assert fields["cs3"] == "true"
    assert fields["msg"] == "late: key frame"


def test_over_udp_a_datagram_is_a_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10.0)
        address = f"syslog+udp://127.0.0.1:{listening.getsockname()[1]}"
        with closing(Syslog(outlet("syslog", address, facility="daemon"), lambda: 0.0)) as syslog:
            syslog.send(message_of(alert(1)))
        found = RFC_5424.fullmatch(listening.recv(65_536).decode())
    assert found
    assert found["priority"] == "29"  # daemon, notice


def test_over_udp_nobody_there_is_noticed_where_the_system_says_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = f"syslog+udp://127.0.0.1:{gone.getsockname()[1]}"
    with closing(Syslog(outlet("syslog", address))) as syslog, pytest.raises(UnreachableError):
        for _ in range(3):
            syslog.send(message_of(alert(1)))


def test_over_tls_the_receiver_has_to_show_who_it_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    with receiving("syslog", server_context(certificate)) as receiver:
        address = receiver.address.replace("tcp:", "tls:")
        with closing(Syslog(outlet("syslog", address, tls_ca=str(certificate.certificate)))) as syslog:
            for index in range(3):
                syslog.send(message_of(alert(index)))
                syslog.idle()
        receiver.told.wait_for(lambda: len(receiver.told.taken) == 3)
        with closing(Syslog(outlet("syslog", address))) as syslog, pytest.raises(UnreachableError, match="CERTIFICATE"):
            syslog.send(message_of(alert(1)))
    assert len(receiver.told.taken) == 3


def test_a_receiver_that_has_closed_the_connection_is_noticed_before_the_next_message(receiver: Receiver) -> None:
    with closing(Syslog(outlet("syslog", receiver.address))) as syslog:
        syslog.send(message_of(alert(1)))
        receiver.told.wait_for(lambda: len(receiver.told.taken) == 1)
        receiver.down()
        with pytest.raises(UnreachableError, match=r"closed the connection|Refused|reset"):
            syslog.idle()


def test_a_receiver_that_reads_nothing_is_left_after_the_time_of_an_attempt() -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        address = f"syslog+tcp://127.0.0.1:{listening.getsockname()[1]}"
        with closing(Syslog(outlet("syslog", address, timeout_s=0.2))) as syslog:
            with pytest.raises(UnreachableError, match="TimeoutError"):
                for _ in range(100_000):
                    syslog.send(message_of(alert(1)))
