"""The FHIR outlet: what it believes of a server's answers, and what it leaves in the server whatever happens."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.outlets.fhir import Fhir
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.opening import peer_opening
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from tests.objects.made_results import drafted, made_results
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import outlet
from tests.outlets.study_receivers import FhirReceiver

RECORD = "5f0a3c9e-8a2f-5c55-9a43-0d6a1d1f7a10"


@pytest.fixture
def server() -> Iterator[FhirReceiver]:
    made = FhirReceiver()
    yield made
    made.down()


def settings(server: FhirReceiver, **given: Any) -> OutletConfig:
    return outlet("fhir", f"{server.address}/fhir", **{"types": (), "rate_per_minute": 60, **given})


def send(server: FhirReceiver, results: StudyResults, **given: Any) -> None:
    """One attempt over a connection of its own."""
    peer = Fhir(settings(server, **given), lambda _message: results)
    try:
        peer.send(Message(RECORD, "ended", "study", 1, 0, b"", {}))
    finally:
        peer.close()


def revision_there(server: FhirReceiver) -> str:
    (report,) = server.shelf.now("DiagnosticReport")
    return str(report["identifier"][1]["value"]).split(".")[0]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("forget", "reading DiagnosticReport back was answered with 404"),
        ("nothing", "the answer is no JSON"),
        ("fewer", "the answer has 5 entries, expected 6"),
    ],
)
def test_a_status_of_200_is_not_believed(word: str, said: str, server: FhirReceiver) -> None:
    server.told.script.append(word)
    with pytest.raises(UnreachableError, match=said):
        send(server, made_results(runs=1))
    send(server, made_results(runs=1))
    assert revision_there(server) == "1"


def test_an_entry_that_was_not_stored_is_found_within_a_200(server: FhirReceiver) -> None:
    server.told.script.append("entry")
    with pytest.raises(RefusedError, match="answered 200, and in it 422 No for a Provenance: this one not"):
        send(server, made_results())


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("refuse", RefusedError, "422 No: because"),
        ("error", UnreachableError, "500 Fault"),
        ("busy", UnreachableError, "503 Busy"),
        ("secret", UnreachableError, "401 Who"),
        ("moved", UnreachableError, "redirects are not followed"),
        ("hang", UnreachableError, "TimeoutError"),
        ("reset", UnreachableError, "Connection"),
    ],
)
def test_what_is_about_the_study_is_refused_and_all_else_is_tried_again(
    word: str, error: type[Exception], said: str, server: FhirReceiver
) -> None:
    server.told.answer = lambda _id: word
    with pytest.raises(error, match=said):
        send(server, made_results())


def test_how_long_to_wait_is_heard(server: FhirReceiver) -> None:
    server.told.script.append("busy")
    server.told.more_headers = {"Retry-After": "17"}
    with pytest.raises(UnreachableError) as caught:
        send(server, made_results())
    assert caught.value.wait_s == 17.0


def test_what_is_there_already_is_not_sent_again(server: FhirReceiver) -> None:
    send(server, made_results())
    send(server, made_results())
    assert [line.split()[0] for line in server.asked] == ["GET", "POST", "GET", "GET"]


def test_an_older_revision_never_comes_over_a_newer_one(server: FhirReceiver) -> None:
    send(server, drafted(made_results(revision=2)))
    for older in (made_results(), made_results(revision=2)):
        send(server, older)
    assert revision_there(server) == "2"
    assert len(server.told.taken) == 1


def test_a_transaction_that_comes_to_its_end_late_changes_nothing(server: FhirReceiver) -> None:
    server.told.script.extend(["later", "later"])  # on the kept connection, then on a new one
    with pytest.raises(UnreachableError):
        send(server, made_results())
    send(server, made_results(revision=2))
    assert server.store_pending() == []  # created only where there is no report
    server.told.script.extend(["later", "later"])  # on the kept connection, then on a new one
    with pytest.raises(UnreachableError):
        send(server, made_results(revision=3))
    send(server, made_results(revision=4))
    assert "has version" in server.store_pending()[0]  # replaced only in the state that was seen
    assert revision_there(server) == "4"


def test_a_report_that_changes_between_question_and_answer_is_asked_for_again(server: FhirReceiver) -> None:
    send(server, made_results())
    (place,) = [place for place in server.shelf.versions if place.startswith("DiagnosticReport/")]

    def meanwhile(_id: str) -> str:
        versions = server.shelf.versions[place]
        versions.append({**versions[-1], "meta": {**versions[-1]["meta"], "versionId": str(len(versions) + 1)}})
        server.told.answer = lambda _id: "take"
        return "take"

    server.told.answer = meanwhile
    with pytest.raises(UnreachableError, match="412") as caught:
        send(server, made_results(revision=2))
    assert caught.value.heard
    send(server, made_results(revision=2))
    assert revision_there(server) == "2"


def test_two_reports_of_one_study_are_left_to_a_person(server: FhirReceiver) -> None:
    send(server, made_results())
    (report,) = server.shelf.now("DiagnosticReport")
    server.shelf.versions["DiagnosticReport/999"] = [{**report, "id": "999"}]
    with pytest.raises(RefusedError, match="the server has 2 reports of one study, expected one"):
        send(server, made_results(revision=2))


def test_a_report_that_somebody_else_has_changed_is_replaced(server: FhirReceiver) -> None:
    send(server, made_results())
    (place,) = [place for place in server.shelf.versions if place.startswith("DiagnosticReport/")]
    del server.shelf.versions[place][-1]["identifier"][1]
    send(server, made_results())
    assert revision_there(server) == "1"


def test_references_point_to_what_the_server_has(server: FhirReceiver) -> None:
    send(server, drafted(made_results()))
    assert "urn:uuid" not in json.dumps([one.get("result") for one in server.shelf.now("DiagnosticReport")])
    (provenance,) = server.shelf.now("Provenance")
    assert {one["reference"] for one in provenance["target"]} <= {*server.shelf.versions}


def test_release_and_system_are_those_that_are_configured(server: FhirReceiver) -> None:
    send(server, made_results(), fhir_version="R5", patient_system="urn:oid:1.2.9")
    assert server.headers["accept"] == "application/fhir+json; fhirVersion=5.0"
    assert server.shelf.now("ImagingSelection")
    assert server.shelf.now("DiagnosticReport")[0]["subject"]["identifier"]["system"] == "urn:oid:1.2.9"


def test_a_token_goes_with_each_request_and_nowhere_in_clear(server: FhirReceiver, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.touch(0o600)
    secret.write_text("a-token-of-some-length")
    send(server, made_results(), secret_file=str(secret))
    assert server.headers["authorization"] == "Bearer a-token-of-some-length"
    elsewhere = replace(settings(server, secret_file=str(secret)), address="http://192.0.2.1/fhir")
    with pytest.raises(ConfigError, match="expected https://"):
        Fhir(elsewhere, lambda _message: None)


def test_over_tls_the_server_shows_who_it_is(tmp_path: Path) -> None:
    identity = self_signed(tmp_path, "127.0.0.1")
    server = FhirReceiver(server_context(identity))
    try:
        secure = server.address.replace("http:", "https:")
        given = outlet("fhir", f"{secure}/fhir", types=(), rate_per_minute=60, tls_ca=str(identity.certificate))
        with closing(Fhir(given, lambda _message: made_results())) as known:
            known.send(Message(RECORD, "ended", "study", 1, 0, b"", {}))
        assert revision_there(server) == "1"
        with closing(Fhir(replace(given, tls_ca=""), lambda _message: made_results(revision=2))) as unknown:
            with pytest.raises(UnreachableError, match=ssl.SSLCertVerificationError.__name__):
                unknown.send(Message(RECORD, "ended", "study", 1, 0, b"", {}))
    finally:
        server.down()


def test_keys_of_other_kinds_are_refused(server: FhirReceiver) -> None:
    refused: dict[str, Any] = {"charset": "ISO IR87", "processing": "P", "topic": "x", "sending_facility": "x"}
    for key, value in refused.items():
        with pytest.raises(ConfigError, match=f"outlets.out.{key}: expected only for"):
            peer_opening(settings(server, **{key: value}))
    with pytest.raises(ConfigError, match=r"outlets\.out\.fhir_version: expected only for fhir"):
        peer_opening(outlet("webhook", "https://a.example/", fhir_version="R5"))


def test_what_the_server_says_is_shown_without_the_patient(server: FhirReceiver) -> None:
    server.told.answer = lambda _id: "refuse"
    server.told.reason = "no patient P-1.2.3 Yamada, accession A&B^1, born 19500101"
    with pytest.raises(RefusedError, match=r"no patient \*\*\* \*\*\*, accession \*\*\*, born \*\*\*"):
        send(server, made_results())
