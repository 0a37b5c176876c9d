"""The HL7 outlet: what it makes of acknowledgements, and of receivers that do not keep to MLLP."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.objects.hl7.mllp import MOST_ANSWER_BYTES
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.outlets.hl7 import Hl7
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.opening import peer_opening
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from tests.objects.made_results import made_results
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import outlet
from tests.outlets.receivers import EndedError, Receiver, exactly
from tests.outlets.study_receivers import Hl7Receiver

RECORD = "5f0a3c9e-8a2f-5c55-9a43-0d6a1d1f7a10"


class Saying(Receiver):
    """Answers each message with the same bytes, whatever they are, and then ends the connection if it is told so."""

    scheme = "mllp"
    answer = b""
    ends = False

    def serve(self, connection: Any) -> None:
        while True:
            message = b""
            while not message.endswith(b"\x1c\r"):
                message += exactly(connection, 1)
            connection.sendall(self.answer)
            if self.ends:
                raise EndedError


@pytest.fixture
def receiver() -> Iterator[Hl7Receiver]:
    made = Hl7Receiver()
    yield made
    made.down()


def settings(address: str, **given: Any) -> OutletConfig:
    return outlet("hl7", address, **{"types": (), "rate_per_minute": 60, **given})


def message(record: str = RECORD) -> Message:
    return Message(record, "ended", "study", 1, 0, b"", {})


def peer(receiver: Receiver, results: StudyResults | None = None, **given: Any) -> Hl7:
    due = results or made_results()
    return Hl7(settings(receiver.address, **given), lambda _message: due)


@pytest.mark.parametrize(
    ("word", "error", "heard", "said"),
    [
        ("refuse", RefusedError, None, "answered AE 101 because"),
        ("error", UnreachableError, True, "answered AE 207"),
        ("busy", UnreachableError, True, "answered AR"),
        ("type", UnreachableError, False, "answered AR 200"),
        ("other", UnreachableError, True, "acknowledged 'SOMETHING ELSE', expected"),
        ("noise", UnreachableError, True, "no HL7 message"),
        ("hang", UnreachableError, False, "TimeoutError"),
        ("reset", UnreachableError, True, "Connection"),
        ("lost", UnreachableError, True, "before it acknowledged"),
    ],
)
def test_what_an_answer_means(
    word: str, error: type[Exception], heard: bool | None, said: str, receiver: Hl7Receiver
) -> None:
    receiver.told.script.append(word)
    one = peer(receiver)
    with pytest.raises(error, match=said) as caught:
        one.send(message())
    assert getattr(caught.value, "heard", None) is heard
    one.send(message())  # the same peer goes on
    one.close()
    assert receiver.told.ids[-1] == RECORD


def test_a_message_whose_acknowledgement_was_lost_comes_again_byte_for_byte(receiver: Hl7Receiver) -> None:
    receiver.told.script.append("lost")
    one = peer(receiver)
    with pytest.raises(UnreachableError):
        one.send(message())
    one.send(message())
    one.close()
    first, again = receiver.told.taken
    assert first.payload == again.payload
    assert first.headers == again.headers


def test_a_receiver_that_calls_the_repeat_a_duplicate_has_taken_it(receiver: Hl7Receiver) -> None:
    receiver.told.reason = "duplicates"
    receiver.told.script.append("lost")
    one = peer(receiver)
    with pytest.raises(UnreachableError):
        one.send(message())
    one.send(message())  # answered AE, 205 at MSH-10
    one.close()


def test_the_connection_is_kept_and_one_that_has_ended_is_opened_anew(receiver: Hl7Receiver) -> None:
    one = peer(receiver)
    one.send(message("a"))
    one.send(message("b"))
    assert (receiver.connections, one.idle()) == (1, True)
    receiver.down()
    receiver.up()
    one.send(message("c"))
    one.close()
    assert receiver.connections == 2
    assert receiver.told.ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"MSH|^~\\&|\r", "without MLLP's first byte"),
        (b"\x0b" + b"x" * (MOST_ANSWER_BYTES + 8192), f"more than {MOST_ANSWER_BYTES} bytes"),
        (b"\x0bMSH|^~\\&|\rMSA|AA|1\r\x1c\r\x0bMSH", "more than one answer"),
        (b"\x0bMSH|^~\\&|\rMSA|AA", "TimeoutError: no acknowledgement within 0.5 s"),
    ],
)
def test_what_is_no_frame_is_told(answer: bytes, said: str) -> None:
    receiver = Saying()
    receiver.answer = answer
    one = peer(receiver)
    try:
        with pytest.raises(UnreachableError, match=said):
            one.send(message())
    finally:
        one.close()
        receiver.down()


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer() -> None:
    receiver = Saying()
    receiver.answer = b"\x0bMSH|^~\\&|\rMSA|AA|1\r\x1c\r"
    one = peer(receiver)
    try:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="acknowledged '1', expected"):
                one.send(message())
        assert receiver.connections == 2
    finally:
        one.close()
        receiver.down()


def test_names_and_character_set_are_those_that_are_configured(receiver: Hl7Receiver) -> None:
    given: dict[str, Any] = {"names": True, "processing": "P", "patient_system": "ELSEWHERE"}
    given |= {"sending_facility": "LAB", "receiving_application": "EHR", "receiving_facility": "HOSP"}
    one = peer(receiver, made_results(patient={"PatientID": "1", "PatientName": "山田^太郎"}), **given)
    one.send(message())
    one.close()
    sent = receiver.told.taken[0].payload.decode()
    assert sent.startswith("MSH|^~\\&|CATHRT|LAB|EHR|HOSP|")
    assert "|P|2.5.1||||||UNICODE UTF-8\r" in sent
    assert "PID|1||1^^^ELSEWHERE^PI||山田^太郎^^^^^L^A|" in sent


def test_a_name_that_jis_cannot_write_is_refused_for_a_person_to_see(receiver: Hl7Receiver) -> None:
    one = peer(
        receiver, made_results(patient={"PatientID": "1", "PatientName": "髙橋"}), names=True, charset="ISO IR87"
    )
    with pytest.raises(RefusedError, match=r"U\+9AD9") as caught:
        one.send(message())
    assert "髙" not in str(caught.value)


def test_over_tls_the_receiver_shows_who_it_is(tmp_path: Path) -> None:
    identity = self_signed(tmp_path, "127.0.0.1")
    receiver = Hl7Receiver(server_context(identity))
    try:
        given = settings(receiver.address.replace("mllp:", "mllps:"), tls_ca=str(identity.certificate))
        one = Hl7(given, lambda _message: made_results())
        one.send(message())
        one.close()
        assert receiver.told.ids == [RECORD]
        with pytest.raises(UnreachableError, match=ssl.SSLCertVerificationError.__name__):
            Hl7(replace(given, tls_ca=""), lambda _message: made_results()).send(message())
    finally:
        receiver.down()


def test_keys_of_other_kinds_are_refused() -> None:
    refused: dict[str, Any] = {"fhir_version": "R5", "secret_file": "x", "rate_per_minute": 5, "modalities": ("SR",)}
    for key, value in refused.items():
        with pytest.raises(ConfigError, match=f"outlets.out.{key}: expected only for"):
            peer_opening(settings("mllp://127.0.0.1", **{key: value}))
    with pytest.raises(ConfigError, match=r"expected mllps://HOST:PORT or mllp://HOST:PORT for a hl7"):
        peer_opening(settings("http://127.0.0.1"))


def test_what_the_receiver_says_is_shown_without_the_patient(receiver: Hl7Receiver) -> None:
    receiver.told.answer = lambda _id: "refuse"
    receiver.told.reason = "no patient P-1.2.3 山田"
    one = peer(receiver)
    with pytest.raises(RefusedError, match=r"answered AE 101 no patient \*\*\* \*\*\*$"):
        one.send(message())
    one.close()
