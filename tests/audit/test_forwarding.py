"""Audit messages by syslog: their form, every one once over trouble, nobody held up, and what was lost is counted."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from cathrt.runtime.audit.forwarding import Forwarding, syslog_frame
from cathrt.runtime.audit.messages import Party
from cathrt.runtime.audit.state import audit_said
from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import AuditConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outlets.audit_receiver import connection_to, forwarding_to
from tests.audit.schema import faults_of
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.receivers import Receiver, Taken, exactly

FRAME = re.compile(
    rb"<(?P<priority>\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ cathrt - DICOM\+RFC3881 - "
    rb"\xef\xbb\xbf(?P<message><AuditMessage>.*</AuditMessage>)",
    re.DOTALL,
)
PACS = Party("PACS", "pacs.example", is_requestor=False)
PATIENCE_S = 30.0


class Repository(Receiver):
    """An audit record repository: octet counting over TCP or TLS."""

    scheme = "syslog+tcp"

    def serve(self, connection: socket.socket) -> None:
        while True:
            count = b""
            while not count.endswith(b" "):
                count += exactly(connection, 1)
            self.told.take(Taken("", {}, exactly(connection, int(count))))

    @property
    def studies(self) -> list[str]:
        """That were named, in order, repeats too."""
        found = [FRAME.fullmatch(one.payload) for one in self.told.taken]
        messages = [fromstring(one["message"]) for one in found if one]
        assert len(messages) == len(found)
        objects = [one for message in messages for one in message.findall("ParticipantObjectIdentification")]
        return [one.attrib["ParticipantObjectID"] for one in objects]


@pytest.fixture
def repository() -> Iterator[Repository]:
    made = Repository()
    yield made
    made.down()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def settings_of(receiver: Receiver) -> AuditConfig:
    return AuditConfig(address=receiver.address)


def sent(trail: AuditTrail, *studies: int) -> None:
    for study in studies:
        trail.sent(PACS, [f"1.2.{study}"], [("1.2.840.10008.5.1.4.1.1.88.59", 2)], well=True)


def test_a_message_has_the_header_that_the_profile_asks_for_and_fits_the_schema(
    repository: Repository, tmp_path: Path
) -> None:
    with forwarding_to(settings_of(repository)) as forwarding:
        trail = AuditTrail(tmp_path / "audit.xml", forwarding=forwarding)
        sent(trail, 1)
        trail.alert("no certificate: 山田", Party("unknown", "10.9.9.9", is_requestor=True))
    repository.told.wait_for(lambda: len(repository.told.taken) == 2)
    good, bad = (FRAME.fullmatch(one.payload) for one in repository.told.taken)
    assert good
    assert bad
    assert (good["priority"], bad["priority"]) == (b"85", b"84")
    assert [faults_of(fromstring(one["message"])) for one in (good, bad)] == [[], []]
    lines = (tmp_path / "audit.xml").read_bytes().splitlines()
    assert lines == [good["message"], bad["message"]]


def test_every_message_arrives_in_order_though_the_receiver_goes_and_comes_back(
    repository: Repository, tmp_path: Path
) -> None:
    connection = connection_to(settings_of(repository))
    assert connection is not None
    forwarding = Forwarding(connection, first_wait_s=0.01)
    trail = AuditTrail(tmp_path / "audit.xml", forwarding=forwarding)
    for first in (0, 5, 10):
        sent(trail, *range(first, first + 5))
        repository.told.wait_for(lambda: len(repository.told.taken) == first + 5)  # noqa: B023
        until(lambda: forwarding.waiting == 0)
        repository.down()
        trail.alert("away", PACS)
        until(lambda: forwarding.error != "")
        assert trail.state().waiting == 1
        repository.up()
        until(lambda: forwarding.waiting == 0)
        repository.told.wait_for(lambda: len(repository.told.taken) == first + 6)  # noqa: B023
        repository.told.taken.pop()
    forwarding.close()
    assert repository.studies == [f"1.2.{study}" for study in range(15)]
    state = trail.state()
    assert (state.sent, state.waiting, state.lost, state.error) == (18, 0, 0, "")


def test_what_does_not_fit_is_counted_and_told_and_stays_in_the_file(repository: Repository, tmp_path: Path) -> None:
    repository.down()
    connection = connection_to(settings_of(repository))
    assert connection is not None
    forwarding = Forwarding(connection, most_waiting=3, first_wait_s=0.01)
    trail = AuditTrail(tmp_path / "audit.xml", forwarding=forwarding)
    sent(trail, *range(10))
    until(lambda: forwarding.error != "")
    state = trail.state()
    assert (state.waiting, state.lost) == (3, 7)
    reasons, notes = audit_said(asdict(state))
    assert reasons == []
    assert notes[0] == "7 audit messages did not reach audit.address: they are in audit.xml alone"
    assert notes[1].startswith("audit.address not reached, 3 messages wait: ConnectionRefusedError")
    assert len((tmp_path / "audit.xml").read_text().splitlines()) == 10
    repository.up()
    until(lambda: forwarding.waiting == 0)
    forwarding.close()
    repository.told.wait_for(lambda: len(repository.told.taken) == 3)
    assert repository.studies == ["1.2.0", "1.2.1", "1.2.2"]
    assert trail.state().lost == 7


def test_a_receiver_that_stands_still_holds_nobody_up_and_the_end_comes_soon(
    repository: Repository, tmp_path: Path
) -> None:
    class Stuck:
        """As a connection whose receiver acknowledges nothing."""

        broken = threading.Event()

        def send(self, _text: bytes) -> None:
            self.broken.wait(PATIENCE_S)
            raise ConnectionAbortedError("broken off")

        def abort(self) -> None:
            self.broken.set()

        def close(self) -> None:
            pass

    forwarding = Forwarding(Stuck())
    trail = AuditTrail(tmp_path / "audit.xml", forwarding=forwarding)
    began = time.monotonic()
    sent(trail, *range(50))
    forwarding.close(within_s=0.1)
    assert time.monotonic() - began < 5.0
    assert trail.state().lost == 50
    assert len((tmp_path / "audit.xml").read_text().splitlines()) == 50


def test_over_tls_the_receiver_has_to_show_who_it_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    with closing(_Downed(Repository(server_context(certificate)))) as held:
        address = held.receiver.address.replace("tcp:", "tls:")
        with forwarding_to(AuditConfig(address=address, tls_ca=str(certificate.certificate))) as forwarding:
            assert forwarding is not None
            forwarding.add(syslog_frame("<AuditMessage></AuditMessage>", 0.0, 0, "box"))
            held.receiver.told.wait_for(lambda: len(held.receiver.told.taken) == 1)
        with forwarding_to(AuditConfig(address=address)) as forwarding:
            assert forwarding is not None
            forwarding.add(syslog_frame("<AuditMessage></AuditMessage>", 0.0, 0, "box"))
            until(lambda: forwarding.error != "")
            assert "CERTIFICATE_VERIFY_FAILED" in forwarding.error
        assert len(held.receiver.told.taken) == 1


def test_over_udp_a_datagram_is_a_message(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(PATIENCE_S)
        address = f"syslog+udp://127.0.0.1:{listening.getsockname()[1]}"
        with forwarding_to(AuditConfig(address=address)) as forwarding:
            sent(AuditTrail(tmp_path / "audit.xml", forwarding=forwarding), 1)
            assert FRAME.fullmatch(listening.recv(65_536))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"address": "https://a"}, r"audit\.address: found 'https://a', expected syslog\+tls"),
        ({"tls_ca": "ca.pem"}, r"audit\.tls_ca: expected only with audit\.address"),
        ({"address": "syslog+tcp://a:1", "tls_ca": "ca.pem"}, r"audit\.tls_ca: expected only for an address with TLS"),
        ({"address": "syslog+tls://a:1", "tls_key": "a"}, r"audit\.tls_certificate: found nothing"),
        ({"address": "syslog+tls://a:1", "tls_ca": "none"}, r"audit\.tls_\*: the certificates cannot be used"),
    ],
)
def test_a_receiver_that_cannot_be_used_is_refused_before_anything_starts(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        connection_to(AuditConfig(**given))


def test_without_an_address_there_is_the_file_alone(tmp_path: Path) -> None:
    with forwarding_to(AuditConfig()) as forwarding:
        assert forwarding is None
        sent(AuditTrail(tmp_path / "audit.xml", forwarding=forwarding), 1)
    assert len((tmp_path / "audit.xml").read_text().splitlines()) == 1


class _Downed:
    """Ends a receiver with a block."""

    def __init__(self, receiver: Repository) -> None:
        self.receiver = receiver

    def close(self) -> None:
        self.receiver.down()
