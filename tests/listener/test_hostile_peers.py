"""Peers that lie, dawdle or break off: each costs itself its connection, and nobody else anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from cathrt.runtime.listener.statuses import CANNOT_UNDERSTAND, SOP_CLASS_MISMATCH, SUCCESS
from tests.listener import raw_peer as raw
from tests.listener.listening import (
    PATIENCE_S,
    VERIFICATION,
    Listening,
    associated,
    dataset,
    listening,
    wait_until,
    with_settings,
)
from tests.sources.dicom_bytes import text, xa_file


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store", with_settings(pdu_s=0.5, idle_s=1.0, max_associations=4)) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4")))
    return path


def begun(running: Listening, *abstracts: str) -> socket.socket:
    """A connection with an accepted association."""
    connection = running.connect()
    connection.sendall(raw.associate(abstracts or (raw.XA,)))
    kind, _ = raw.answer(connection) or (0, b"")
    assert kind == raw.ACCEPTED
    return connection


def assert_ended(connection: socket.socket) -> None:
    """The listener aborts or closes the connection."""
    connection.settimeout(PATIENCE_S)
    while (answered := raw.answer(connection)) is not None:
        assert answered[0] == raw.ABORTED, f"answered with a PDU of type {answered[0]}"


def assert_all_ended(connections: Mapping[str, socket.socket]) -> None:
    for name, connection in connections.items():
        try:
            assert_ended(connection)
        except (AssertionError, TimeoutError) as exc:
            raise AssertionError(f"{name}: not cut off") from exc


def assert_well(running: Listening, file: Path) -> None:
    """A well-behaved sender gets its object in, and nothing of the others is left."""
    wait_until(lambda: running.listener.connections == 0)
    wait_until(lambda: _stores(running, file))  # connections that had ended may still have been in the queue
    running.store.spool.sweep()
    assert running.files("incoming") == []
    assert len(running.files("objects")) == 1


def _stores(running: Listening, file: Path) -> bool:
    refused = running.listener.refused
    try:
        with associated(running.listener.port) as association:
            answered = association.send_c_store(dataset(file))
            # Without a status it was cut off: on a busy machine a good sender, too, may need longer than pdu_s.
            return "Status" in answered and bool(answered.Status == SUCCESS)
    except AssertionError:
        assert running.listener.refused > refused, "let in, and then not accepted"
        return False


BEFORE: dict[str, bytes] = {
    "not DICOM": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(100),
    "a request of 4 GiB": raw.pdu(1, b"", length=0xFFFFFFFF),
    "a request of 1 MiB": raw.pdu(1, bytes(1 << 20)),
    "data before a request": raw.fragment(b"x", is_command=True),
    "a request without content": raw.pdu(1, b""),
    "a request cut short": raw.associate()[:60],
    "a request whose items lie about their length": raw.associate()[:-30] + b"\xff" * 30,
    "contexts without a transfer syntax": raw.associate((raw.XA, VERIFICATION), syntax=None),
    "an abort": raw.pdu(7, bytes(4)),
    "an unknown type": raw.pdu(0x42, b"abcd"),
}


def test_peers_that_begin_wrongly_are_cut_off(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store", with_settings(pdu_s=0.5, idle_s=1.0, max_associations=32)) as running:
        connections = {name: running.connect() for name in BEFORE}
        for name, connection in connections.items():
            connection.sendall(BEFORE[name])
        assert_all_ended(connections)
        assert_well(running, file)


AFTER: dict[str, bytes] = {
    "a PDU of 4 GiB": raw.pdu(4, b"", length=0xFFFFFFFF),
    "a PDU longer than agreed": raw.pdu(4, b"", length=(131072 + 7)),
    "an empty PDU": raw.pdu(4, b""),
    "a value longer than its PDU": raw.pdu(4, b"\xff\xff\xff\xff\x01\x03abc"),
    "a context that was never agreed": raw.fragment(raw.command(raw.ECHO), is_command=True, context=99),
    "a command that is none": raw.fragment(b"\xff" * 40, is_command=True),
    "a command that nobody knows": raw.fragment(raw.command(0x7777), is_command=True),
    "a store that ends within its data": raw.fragment(raw.command(raw.STORE), is_command=True)
    + raw.fragment(bytes(1000), is_command=False, last=False),
    "a second request behind an echo": raw.fragment(raw.command(raw.ECHO, data_set=False), is_command=True)
    + raw.associate(),
    "data without a command": raw.fragment(bytes(1000), is_command=False),
    "half a PDU": raw.fragment(raw.command(raw.STORE), is_command=True)[:-20],
}


def test_peers_that_go_on_wrongly_are_cut_off(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store", with_settings(pdu_s=0.5, idle_s=1.0, max_associations=32)) as running:
        connections = {name: begun(running) for name in AFTER}
        for name, connection in connections.items():
            connection.sendall(AFTER[name])
        assert_all_ended(connections)
        assert_well(running, file)


UIDS = [b"../../etc/passwd", b"1.2.3.4\0.5", b"", b"1." + b"2" * 70, b"1.02.3", b"1.2.3.x", b"/tmp/x"]


def test_no_text_of_a_sender_becomes_a_path(running: Listening, file: Path) -> None:
    for uid in UIDS:
        connection = begun(running)
        connection.sendall(raw.fragment(raw.command(raw.STORE, uid), is_command=True))
        connection.sendall(raw.fragment(bytes(100), is_command=False))
        answered = raw.answer(connection)
        refused = answered is None or answered[0] == raw.ABORTED or raw.status_of(answered[1]) == CANNOT_UNDERSTAND
        assert refused, f"{uid!r}: neither cut off nor refused"
        connection.close()
        wait_until(lambda: running.listener.connections == 0)
        assert running.files("objects") == []
    assert_well(running, file)


def test_an_object_of_another_class_than_its_context_is_refused(running: Listening) -> None:
    connection = begun(running, VERIFICATION, raw.XA)
    other = raw.command(raw.STORE, sop_class="1.2.840.10008.5.1.4.1.1.12.2")
    connection.sendall(raw.fragment(other, is_command=True, context=3))
    connection.sendall(raw.fragment(bytes(100), is_command=False, context=3))
    answered = raw.answer(connection)
    assert answered is not None
    assert raw.status_of(answered[1]) == SOP_CLASS_MISMATCH


def test_a_message_without_end_that_is_no_object_does_not_fill_the_memory(running: Listening, file: Path) -> None:
    connection = begun(running, VERIFICATION)
    connection.sendall(raw.fragment(raw.command(raw.ECHO, sop_class=VERIFICATION), is_command=True))
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    with pytest.raises(OSError):
        for _ in range(2000):
            connection.sendall(raw.fragment(bytes(131000), is_command=False, last=False))
    assert process.memory_info().rss - before < 50 << 20
    assert_well(running, file)


def test_who_says_nothing_or_half_a_request_is_cut_off_in_time(running: Listening, file: Path) -> None:
    sent = [b"", raw.associate()[:3], raw.associate()[:40]]
    connections = {str(len(one)): running.connect() for one in sent}
    for connection, one in zip(connections.values(), sent, strict=True):
        connection.sendall(one)
    assert_all_ended(connections)
    assert_well(running, file)


def test_a_trickle_of_single_bytes_does_not_keep_a_connection(running: Listening, file: Path) -> None:
    connection = begun(running)
    sent = raw.fragment(raw.command(raw.STORE), is_command=True)
    began = time.monotonic()
    with pytest.raises(OSError):
        for byte in sent:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
    assert time.monotonic() - began < 5.0
    assert_well(running, file)


def test_an_association_ends_with_its_time_however_busy_it_is(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store", with_settings(association_s=1.0, idle_s=5.0)) as running:
        connection = begun(running, VERIFICATION)
        echo = raw.fragment(raw.command(raw.ECHO, data_set=False, sop_class=VERIFICATION), is_command=True)
        began = time.monotonic()
        with pytest.raises((OSError, AssertionError)):
            while time.monotonic() - began < 10.0:
                connection.sendall(echo)
                assert raw.answer(connection) is not None
        assert time.monotonic() - began < 4.0
        assert_well(running, file)


def test_full_is_full_and_a_place_that_is_given_up_is_free_again(running: Listening, file: Path) -> None:
    held = [begun(running) for _ in range(4)]
    assert_ended(running.connect())
    for connection in held:
        connection.close()
    assert_well(running, file)


@pytest.mark.parametrize("connections", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_connections_that_break_off_leave_nothing(connections: int, running: Listening, file: Path) -> None:
    process = psutil.Process()
    wait_until(lambda: running.listener.connections == 0)
    before = (process.num_fds(), threading.active_count())
    for number in range(connections):
        connection = running.connect()
        connection.sendall(raw.associate()[: number * 7 % 200])
        connection.close()
        if number % 4 == 3:
            wait_until(lambda: running.listener.connections == 0)
    wait_until(lambda: (process.num_fds(), threading.active_count()) <= before)
    assert_well(running, file)


@pytest.mark.parametrize("sent", [b"", raw.associate((raw.XA,))[:4], raw.associate((raw.XA,))[:80]])
def test_a_peer_that_leaves_before_it_has_asked_gives_its_place_back_at_once(
    sent: bytes, tmp_path: Path, file: Path
) -> None:
    with listening(tmp_path / "store", with_settings(idle_s=600.0, pdu_s=600.0, max_associations=4)) as running:
        for _ in range(12):  # three times as many as there are places
            with running.connect() as connection:
                connection.sendall(sent)
            wait_until(lambda: running.listener.connections == 0)
        assert_well(running, file)


def test_stopping_lets_an_object_come_to_its_end(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store", with_settings(drain_s=5.0)) as running:
        connection = begun(running)
        connection.sendall(raw.fragment(raw.command(raw.STORE), is_command=True))
        stopping = threading.Thread(target=running.listener.close, args=(5.0,))
        stopping.start()
        time.sleep(0.5)
        with pytest.raises(OSError):
            running.connect()
        connection.sendall(raw.fragment(bytes(100), is_command=False))
        answered = raw.answer(connection)
        assert answered is not None
        assert raw.status_of(answered[1]) == SUCCESS
        connection.sendall(raw.pdu(5, bytes(4)))
        stopping.join(10.0)
        assert not stopping.is_alive()
        assert len(running.files("objects")) == 1


def test_stopping_does_not_wait_for_ever(tmp_path: Path) -> None:
    with listening(tmp_path / "store", with_settings(drain_s=0.3, idle_s=60.0, pdu_s=60.0)) as running:
        begun(running)
        began = time.monotonic()
        assert not running.listener.close(0.3)
        assert time.monotonic() - began < 5.0
