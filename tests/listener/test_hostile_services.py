"""Attacks on storage commitment and procedure steps: each costs its sender its connection or a refusal, no more."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cathrt.runtime.listener import commitment_reporter, statuses
from cathrt.runtime.listener.commitment_calls import CommitmentCaller, Line
from cathrt.runtime.listener.commitment_reporter import CommitmentReporter, Retries
from cathrt.runtime.listener.object_store import ObjectStore
from cathrt.runtime.listener.open_associations import OpenAssociations
from cathrt.runtime.listener.server import PortLimits
from tests.listener import raw_peer as raw
from tests.listener.commitment_user import COMMITMENT, WELL_KNOWN
from tests.listener.listening import LIMITS, VERIFICATION, Listening, associated, listening, wait_until, with_settings
from tests.sources.dicom_bytes import element, sequence, text

STEP = "1.2.840.10008.3.1.2.3.3"
EXPLICIT = "1.2.840.10008.1.2.1"
ACTION = raw.normalized(raw.ACTION, COMMITMENT, WELL_KNOWN.encode(), action=1)
CREATE, SET = raw.normalized(raw.CREATE, STEP, b"1.2.3"), raw.normalized(raw.SET, STEP, b"1.2.3")
_TRANSACTION = element(0x00081195, text("UI", "1.2.3.4"))
_ITEM = {0x00081150: text("UI", raw.XA), 0x00081155: text("UI", "1.2.3")}
_SEQUENCE = 0x00081199
WELL_FORMED = _TRANSACTION + element(_SEQUENCE, sequence(_ITEM))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store", with_settings(pdu_s=0.5, idle_s=1.0, max_associations=32)) as running:
        yield running


def begun(running: Listening) -> socket.socket:
    """An association with context 1 for commitment and 3 for procedure steps."""
    connection = running.connect()
    connection.sendall(raw.associate((COMMITMENT, STEP)))
    assert (raw.answer(connection) or (0,))[0] == raw.ACCEPTED
    return connection


def says(connection: socket.socket, command: bytes, data_set: bytes | None, context: int = 1) -> int | None:
    """Send a message. Returns the status of its answer; None where the connection was ended instead."""
    connection.settimeout(20.0)
    try:
        connection.sendall(raw.fragment(command, is_command=True, context=context))
        for at in range(0, len(data_set or b""), 100_000):
            piece, last = (data_set or b"")[at : at + 100_000], at + 100_000 >= len(data_set or b"")
            connection.sendall(raw.fragment(piece, is_command=False, last=last, context=context))
    except OSError:
        return None
    answer = raw.answer(connection)
    return None if answer is None or answer[0] != raw.P_DATA else raw.status_of(answer[1])


def assert_well(running: Listening) -> None:
    """Everybody else is served, and nothing of what was sent is kept."""
    with associated(running.listener.port, [(VERIFICATION, EXPLICIT)]) as association:
        assert association.send_c_echo().Status == statuses.SUCCESS
    assert running.listener.is_well


DEEP = b"\x08\0\x99\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
DATA: dict[str, bytes] = {
    "zeros": bytes(4000),
    "noise": bytes(range(256)) * 40,
    "a sequence that claims 4 GiB": _TRANSACTION + b"\x08\0\x99\x11SQ\0\0\xfe\xff\xff\xff" + bytes(100),
    "an item that claims 4 GiB": _TRANSACTION + b"\x08\0\x99\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xf0\xff\xff\xff",
    "a sequence that never ends": _TRANSACTION + DEEP,
    "a thousand nested sequences": _TRANSACTION + DEEP * 1000,
    "fifty thousand nested sequences": _TRANSACTION + DEEP * 45_000,
    "a hundred thousand empty items": _TRANSACTION
    + b"\x08\0\x99\x11SQ\0\0\xff\xff\xff\xff"
    + b"\xfe\xff\0\xe0\0\0\0\0" * 100_000,
    "a hundred thousand elements": b"\x08\0\0\0UL\4\0\0\0\0\0" * 80_000,
    "a sequence that is text": _TRANSACTION + element(_SEQUENCE, text("LO", "x" * 100)),
    "text that is a sequence": element(0x00081195, sequence(_ITEM)) + element(_SEQUENCE, sequence(_ITEM)),
    "a UID that is a path": _TRANSACTION + element(_SEQUENCE, sequence({**_ITEM, 0x00081155: text("UI", "../../x")})),
    "a UID with a line break": element(0x00081195, text("UI", "1.2\nfake log line"))
    + element(_SEQUENCE, sequence(_ITEM)),
    "a UID of 80 digits": element(0x00081195, text("UI", "1" * 80)) + element(_SEQUENCE, sequence(_ITEM)),
    "half a data set": WELL_FORMED[:-20],
}


@pytest.mark.parametrize("data", DATA)
def test_data_sets_that_lie_are_refused(data: str, running: Listening, caplog: pytest.LogCaptureFixture) -> None:
    process = psutil.Process()
    before, began = process.memory_info().rss, time.process_time()
    for command, context in ((ACTION, 1), (CREATE, 3), (SET, 3)):
        connection = begun(running)
        assert says(connection, command, DATA[data], context) != statuses.SUCCESS, "taken"
        connection.close()
    assert process.memory_info().rss - before < 64 << 20
    assert time.process_time() - began < 10.0
    assert running.store.index.rows("SELECT * FROM commitments") == []
    assert running.store.index.rows("SELECT * FROM study_events") == []
    assert "fake log line" not in caplog.text
    assert_well(running)


COMMANDS: dict[str, tuple[bytes, bytes | None]] = {
    "no action type": (raw.normalized(raw.ACTION, COMMITMENT, WELL_KNOWN.encode()), WELL_FORMED),
    "no data set": (raw.normalized(raw.ACTION, COMMITMENT, WELL_KNOWN.encode(), data_set=False, action=1), None),
    "another instance": (raw.normalized(raw.ACTION, COMMITMENT, b"1.2.3", action=1), WELL_FORMED),
    "an instance that is a path": (raw.normalized(raw.ACTION, COMMITMENT, b"../../x", action=1), WELL_FORMED),
    "another class than its context": (raw.normalized(raw.ACTION, STEP, WELL_KNOWN.encode(), action=1), WELL_FORMED),
    "a step under commitment": (CREATE, WELL_FORMED),
    "an action on a step": (raw.normalized(raw.ACTION, STEP, b"1.2.3", action=1), WELL_FORMED),
    "an answer to nothing": (raw.reported(statuses.SUCCESS), None),
    "a report from the peer": (raw.normalized(raw.EVENT_REPORT, COMMITMENT, WELL_KNOWN.encode(), data_set=False), None),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_do_not_fit_are_refused(command: str, running: Listening) -> None:
    sent, data_set = COMMANDS[command]
    connection = begun(running)
    assert says(connection, sent, data_set) != statuses.SUCCESS
    connection.close()
    assert running.store.index.rows("SELECT * FROM commitments") == []
    assert running.store.index.rows("SELECT * FROM study_events") == []
    assert_well(running)


def test_a_request_without_end_does_not_fill_the_memory(running: Listening) -> None:
    connection = begun(running)
    connection.sendall(raw.fragment(ACTION, is_command=True))
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    with pytest.raises(OSError):
        for _ in range(2000):
            connection.sendall(raw.fragment(bytes(131000), is_command=False, last=False))
    assert process.memory_info().rss - before < 50 << 20
    assert_well(running)


def test_a_peer_that_leaves_a_report_without_an_answer_is_cut_off_and_told_again(running: Listening) -> None:
    connection = begun(running)
    assert says(connection, ACTION, WELL_FORMED) == statuses.SUCCESS
    answer = raw.answer(connection)
    assert answer is not None
    assert raw.field_of(answer[1]) == raw.EVENT_REPORT
    connection.settimeout(10.0)
    while (found := raw.answer(connection)) is not None:  # the data set of the report; then the end
        assert found[0] in (raw.P_DATA, raw.ABORTED)
    again = begun(running)
    answer = raw.answer(again)
    assert answer is not None
    assert raw.field_of(answer[1]) == raw.EVENT_REPORT


def test_an_answer_with_another_number_is_none(running: Listening) -> None:
    connection = begun(running)
    assert says(connection, ACTION, WELL_FORMED) == statuses.SUCCESS
    raw.answer(connection)
    connection.sendall(raw.fragment(raw.reported(statuses.SUCCESS, message=77), is_command=True))
    connection.close()
    wait_until(lambda: running.listener.connections == 0)
    assert running.commitments == []
    assert running.store.index.rows("SELECT state FROM commitments") == [("pending",)]


@pytest.mark.parametrize("breaks", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_peers_that_break_off_within_a_request_leave_nothing(breaks: int, running: Listening) -> None:
    process = psutil.Process()
    wait_until(lambda: running.listener.connections == 0)
    before = (process.num_fds(), threading.active_count())
    whole = raw.fragment(ACTION, is_command=True) + raw.fragment(WELL_FORMED, is_command=False)
    for number in range(breaks):
        connection = begun(running)
        connection.sendall(whole[: number * 13 % len(whole)])
        connection.close()
        if number % 8 == 7:
            wait_until(lambda: running.listener.connections == 0)
    wait_until(lambda: (process.num_fds(), threading.active_count()) <= before)
    assert running.store.index.rows("SELECT * FROM commitments") == []
    assert_well(running)


def _refuses(connection: socket.socket) -> None:
    connection.close()


def _says_nothing(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.recv(1)


def _declares_4_gib(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(raw.pdu(raw.ACCEPTED, b"", length=0xFFFFFFFF) + bytes(100_000))
    connection.recv(1)


def _trickles(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(struct.pack(">BBL", raw.ACCEPTED, 0, 200))
    for _ in range(100):
        connection.sendall(b"\0")
        time.sleep(0.1)


def _sends_noise(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(bytes(range(256)) * 10)
    connection.recv(1)


@pytest.mark.parametrize("behaves", [_refuses, _says_nothing, _declares_4_gib, _trickles, _sends_noise])
def test_a_peer_that_we_call_cannot_hold_us(behaves: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_reporter, "GRACE_S", 0.0)
    told: list[object] = []
    store = ObjectStore(tmp_path / "store", LIMITS)
    reporter = CommitmentReporter(store, Retries(1, 1.0), told.append)
    reporter.ask("LIAR", "127.0.0.1", "1.2.3", [])
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answers, args=(server, behaves), daemon=True).start()
        limits = PortLimits((), 1, 131_078, pdu_s=0.5, association_s=5.0)
        line = Line("CATHRT", {"LIAR": server.getsockname()}, limits, None)
        process = psutil.Process()
        before, began, threads = process.memory_info().rss, time.monotonic(), threading.active_count()
        CommitmentCaller(line, reporter, OpenAssociations(reporter, 1.0)).look()
        assert time.monotonic() - began < 8.0
        assert process.memory_info().rss - before < 50 << 20
    wait_until(lambda: threading.active_count() < threads, within_s=10.0)  # the peer's own has ended, too
    assert len(told) == 1
    store.close()


def _answers(server: socket.socket, behaves: object) -> None:
    """The first connection is the look whether anybody is there."""
    try:
        server.accept()[0].close()
        with server.accept()[0] as connection:
            connection.settimeout(10.0)
            behaves(connection)  # type: ignore[operator]
    except OSError:
        pass  # we were cut off, which is what is tested
