"""Storage commitment: what is committed to, and how the report reaches the peer that asked."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.dsutils import encode

from cathrt.runtime.listener import commitment_reporter, statuses
from cathrt.runtime.listener.commitment_book import CommitmentState
from tests.listener import raw_peer as raw
from tests.listener.commitment_user import (
    COMMITMENT,
    TRANSACTION,
    WELL_KNOWN,
    Modality,
    answered,
    ask,
    asked_alone,
    request,
)
from tests.listener.listening import (
    EXPLICIT_LITTLE,
    XA,
    Listening,
    associated,
    dataset,
    listening,
    wait_until,
    with_settings,
)
from tests.sources.dicom_bytes import text, xa_file

STORED = "1.2.3.4"
CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1.1"


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_reporter, "GRACE_S", 0.5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", STORED)))
    return path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store") as running:
        yield running


@pytest.fixture
def modality() -> Modality:
    return Modality()


def store(running: Listening, path: Path, **changes: object) -> None:
    with associated(running.listener.port) as association:
        association.send_c_store(dataset(path, **changes))


def test_the_report_comes_on_the_same_association_while_that_is_open(
    running: Listening, file: Path, modality: Modality
) -> None:
    with modality.associated(running.listener.port, (XA, EXPLICIT_LITTLE)) as association:
        association.send_c_store(dataset(file))
        assert ask(association, request([(XA, STORED)])) == statuses.SUCCESS
        assert answered(running, modality) == (1, TRANSACTION, [STORED], {})
    (told,) = running.commitments
    assert (told.peer_ae, told.state, told.count, told.failed) == ("MODALITY", CommitmentState.ANSWERED, 1, 0)


def test_the_report_comes_on_the_next_association_of_that_peer_and_on_nobody_elses(
    running: Listening, file: Path, modality: Modality
) -> None:
    store(running, file)
    assert asked_alone(running, (XA, STORED)) == statuses.SUCCESS
    other = Modality()
    with other.associated(running.listener.port, calling="OTHER"), pytest.raises(queue.Empty):
        other.report(within_s=1.0)
    with modality.associated(running.listener.port):
        assert answered(running, modality) == (1, TRANSACTION, [STORED], {})


def test_the_report_comes_on_an_association_that_we_open(tmp_path: Path, file: Path, modality: Modality) -> None:
    with modality.listening() as port:
        settings = with_settings(commitment_peers=(f"MODALITY@127.0.0.1:{port}",))
        with listening(tmp_path / "store", settings) as running:
            store(running, file)
            for number in range(3):
                asked_alone(running, (XA, STORED), transaction=f"1.2.3.{number}")
            reports = [modality.report() for _ in range(3)]
            assert sorted(reports) == [(1, f"1.2.3.{number}", [STORED], {}) for number in range(3)]
            wait_until(lambda: len(running.commitments) == 3)


def test_failures_are_reported_each_with_its_reason(running: Listening, file: Path, modality: Modality) -> None:
    store(running, file)
    store(running, file, SOPInstanceUID="1.2.3.5")
    store(running, file, SOPInstanceUID="1.2.3.5", PatientID="other")
    store(running, file, SOPInstanceUID="1.2.3.6", PatientID="third")
    next(
        path
        for path in running.files("objects")
        if path.name == f"{running.store.kept('1.2.3.6')[0].content_sha256}.dcm"
    ).unlink()
    asked = [(XA, STORED), (XA, "1.2.3.5"), (XA, "1.2.3.6"), (XA, "1.2.3.7"), (ENHANCED_XA, STORED), (CT, "1.2.3.8")]
    with modality.associated(running.listener.port) as association:
        assert ask(association, request([*asked, asked[0]])) == statuses.SUCCESS
        event_type, _, committed, _ = reported = answered(running, modality)
    assert (event_type, committed) == (2, [STORED])
    assert reported[3] == {
        "1.2.3.5": statuses.PROCESSING_FAILURE,  # quarantined: which of the two the peer means is not known
        "1.2.3.6": statuses.PROCESSING_FAILURE,  # gone from the disk
        "1.2.3.7": statuses.NO_SUCH_INSTANCE,
        STORED: statuses.CLASS_INSTANCE_CONFLICT,
        "1.2.3.8": statuses.CLASS_NOT_SUPPORTED,
    }
    assert running.commitments[0].failed == 5


def test_a_peer_may_send_its_own_requests_while_a_report_awaits_its_answer(running: Listening) -> None:
    connection = running.connect()
    connection.sendall(raw.associate((COMMITMENT, XA)))
    assert (raw.answer(connection) or (0,))[0] == raw.ACCEPTED
    connection.sendall(
        raw.fragment(raw.normalized(raw.ACTION, COMMITMENT, WELL_KNOWN.encode(), action=1), is_command=True)
    )
    connection.sendall(raw.fragment(encode(request([(XA, STORED)]), False, True) or b"", is_command=False))
    assert next_message(connection) == raw.ACTION | 0x8000
    assert next_message(connection) == raw.EVENT_REPORT
    connection.sendall(raw.fragment(raw.command(raw.STORE), is_command=True, context=3))
    connection.sendall(raw.fragment(bytes(100), is_command=False, context=3))
    assert next_message(connection) == raw.STORE | 0x8000
    connection.sendall(raw.fragment(raw.reported(statuses.SUCCESS), is_command=True))
    wait_until(lambda: len(running.commitments) == 1)
    assert running.commitments[0].state is CommitmentState.ANSWERED
    assert len(running.files("objects")) == 1


def next_message(connection: socket.socket) -> int:
    """The kind of the next message; its data set is passed over."""
    while (found := raw.answer(connection)) is not None:
        kind, content = found
        assert kind == raw.P_DATA
        if content[5] & 1:  # a command
            return raw.field_of(content)
    raise AssertionError("the connection has ended")


def test_a_report_that_is_refused_is_tried_again_and_at_last_given_up_and_shown(
    tmp_path: Path, file: Path, modality: Modality, caplog: pytest.LogCaptureFixture
) -> None:
    modality.status = statuses.PROCESSING_FAILURE
    with modality.listening() as port:
        settings = with_settings(
            commitment_peers=(f"MODALITY@127.0.0.1:{port}",), commitment_attempts=3, commitment_retry_s=0.05
        )
        with listening(tmp_path / "store", settings) as running:
            store(running, file)
            asked_alone(running, (XA, STORED))
            wait_until(lambda: len(running.commitments) == 1)
            (told,) = running.commitments
            assert (told.state, told.attempts) == (CommitmentState.GIVEN_UP, 3)
            assert told.reason == "its status is 0x0110"
            assert modality.reports.qsize() == 3
            assert "given up after 3 attempts" in caplog.text
            modality.status = statuses.SUCCESS
            asked_alone(running, (XA, STORED))  # the peer asks again
            wait_until(lambda: len(running.commitments) == 2)
            assert running.commitments[1].state is CommitmentState.ANSWERED


@pytest.mark.parametrize("peer", ["refuses the role", "is not there", "has no address"])
def test_a_peer_that_cannot_be_told_is_given_up_with_the_reason(peer: str, tmp_path: Path, modality: Modality) -> None:
    reasons = {
        "refuses the role": "does not accept us as SCP of Storage Commitment",
        "is not there": "cannot be reached",
        "has no address": "no address of MODALITY in listener.commitment_peers",
    }
    with modality.listening(takes_role=False) as port:
        addresses = {"refuses the role": (f"MODALITY@127.0.0.1:{port}",), "is not there": ("MODALITY@127.0.0.1:1",)}
        settings = with_settings(
            commitment_peers=addresses.get(peer, ()), commitment_attempts=2, commitment_retry_s=0.05
        )
        with listening(tmp_path / "store", settings) as running:
            asked_alone(running, (XA, STORED))
            wait_until(lambda: len(running.commitments) == 1)
            (told,) = running.commitments
            assert (told.state, told.attempts) == (CommitmentState.GIVEN_UP, 2)
            assert reasons[peer] in told.reason
    assert modality.reports.empty()


def test_a_request_outlives_the_listener(tmp_path: Path, file: Path, modality: Modality) -> None:
    with listening(tmp_path / "store") as running:
        store(running, file)
        asked_alone(running, (XA, STORED))
    with listening(tmp_path / "store") as running, modality.associated(running.listener.port):
        assert answered(running, modality) == (1, TRANSACTION, [STORED], {})
