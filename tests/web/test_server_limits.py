"""Peers that the page must survive: slow ones, frozen ones, many at once, and what is no HTTP."""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cathrt.runtime.web.connection import ConnectionLimits
from cathrt.runtime.web.page import PageLimits
from tests.web.parts import PATIENT, PIECE, part
from tests.web.serving import HOST, PATIENCE_S, Client, Served, served

QUICK = PageLimits(ConnectionLimits(connections=64, of_address=24, request_s=0.5, take_s=0.5, idle_s=1.0))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page whose patience is short."""
    with served(tmp_path_factory.mktemp("page"), parts=(part,), limits=QUICK) as opened:
        yield opened


@pytest.fixture(scope="module")
def viewer(page: Served) -> Client:
    """A browser of a viewer."""
    return page.client("viewer")


def plain(page: Served, room: int = 0) -> socket.socket:
    """A connection. room: for what is not read yet; 0: as the system has it."""
    peer = socket.socket()
    if room:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    peer.settimeout(PATIENCE_S)
    peer.connect((HOST, page.page.port))
    return peer


def is_cut_off(peer: socket.socket) -> bool:
    """Whether the page ends the connection soon."""
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline_s:
            if not peer.recv(1 << 16):
                return True
    except ConnectionError:
        return True
    return False


@contextmanager
def socket_of(page: Served, client: Client | None, path: str = "/api/test/echo") -> Iterator[ClientConnection]:
    """A WebSocket."""
    headers = {} if client is None else {"cookie": client.cookie}
    with connect(f"ws://{HOST}:{page.page.port}{path}", additional_headers=headers, open_timeout=PATIENCE_S) as opened:
        yield opened


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHo",
        b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["silent", "half a header", "half a body", "half a chunk"],
)
def test_a_request_that_does_not_arrive_is_cut_off(page: Served, viewer: Client, sent: bytes) -> None:
    with plain(page) as peer:
        peer.sendall(sent)
        assert viewer.get("/api/test/shown/a").status == 200
        assert is_cut_off(peer)


def test_a_second_request_that_dribbles_is_cut_off_too(page: Served) -> None:
    with plain(page) as peer:
        peer.sendall(b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.recv(1 << 16).startswith(b"HTTP/1.1 200")
        begin_s, cut = time.monotonic(), False
        while not cut and time.monotonic() - begin_s < PATIENCE_S:
            try:
                peer.sendall(b"G" if time.monotonic() - begin_s < 0.1 else b"E")
                time.sleep(0.05)
            except ConnectionError:
                cut = True
        assert cut


def test_a_connection_may_be_used_again_and_an_idle_one_is_closed(page: Served) -> None:
    connection = http.client.HTTPConnection(HOST, page.page.port, timeout=PATIENCE_S)
    try:
        connection.connect()
        peer = connection.sock
        for _ in range(3):
            connection.request("GET", "/api/session")
            assert json.loads(connection.getresponse().read())["user"] is None
            assert connection.sock is peer
        assert is_cut_off(peer)
    finally:
        connection.close()


def test_a_reader_that_stands_still_is_cut_off_and_holds_up_nobody(page: Served, viewer: Client) -> None:
    with ExitStack() as stack:
        frozen = [stack.enter_context(plain(page, room=4096)) for _ in range(8)]
        for peer in frozen:
            peer.sendall(
                f"GET /api/test/endless HTTP/1.1\r\nHost: localhost\r\nCookie: {viewer.cookie}\r\n\r\n".encode()
            )
        begin_s = time.monotonic()
        assert viewer.get("/api/test/shown/a").status == 200
        assert time.monotonic() - begin_s < PATIENCE_S / 2
        time.sleep(1.5)
        assert all(is_cut_off(peer) for peer in frozen)


def test_more_connections_of_one_address_than_it_may_have_are_cut_off(page: Served, viewer: Client) -> None:
    with ExitStack() as stack:
        time.sleep(1.2)  # what the tests before left is closed by now
        streams = [stack.enter_context(viewer.opened("/api/test/quiet")) for _ in range(24)]
        with pytest.raises((ConnectionError, OSError)):
            viewer.get("/api/session")
        assert all(stream.read(8) == b": here\n\n" for stream in streams)
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert viewer.get("/api/session").status == 200
            break
        except OSError:
            assert time.monotonic() < deadline_s


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET / HTTP/9\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (17 << 10) + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * (17 << 10) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999999999\r\n\r\n", b"413"),
    ],
)
def test_what_is_no_request_of_a_browser_is_refused(page: Served, sent: bytes, status: bytes) -> None:
    with plain(page) as peer:
        peer.sendall(sent)
        answer = peer.recv(1 << 16)
    assert answer.split(b" ")[1] in (status, b"400")
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "head", ["Connection: close\r\n", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", ""]
)
def test_what_follows_an_answer_and_is_no_request_costs_a_connection_and_no_word_in_the_log(
    page: Served, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    for path in ("/", "/api/session", "/api/nothing"):
        with plain(page) as peer:
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + b"\0{}\r\n" * 3)
            assert is_cut_off(peer)
        with plain(page) as peer:
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
            with suppress(ConnectionError):
                time.sleep(0.05)
                peer.sendall(b"\0{}\r\n" * 3)
            assert is_cut_off(peer)
    assert not caplog.records


def test_a_websocket_needs_a_session_and_its_own_origin(
    page: Served, viewer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with socket_of(page, viewer) as opened:
        opened.send("hello")
        assert opened.recv(PATIENCE_S) == b"hello"
    for client, path, headers, status in (
        (None, "/api/test/echo", {}, 401),
        (viewer, "/api/test/echo", {"origin": "https://evil.example"}, 403),
        (viewer, "/api/test/echo", {"sec-fetch-site": "cross-site"}, 403),
        (viewer, "/api/test/echo?more=1", {}, 400),
        (viewer, "/api/test/shut", {}, 404),
        (viewer, "/api/nothing", {}, 404),
    ):
        sent = headers | ({} if client is None else {"cookie": client.cookie})
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://{HOST}:{page.page.port}{path}", additional_headers=sent, open_timeout=PATIENCE_S),
        ):
            pass
        assert refused.value.response.status_code == status
        assert b'"error"' in (refused.value.response.body or b"")
    assert not caplog.records  # who is refused is no fault of ours


def test_a_websocket_ends_with_its_session_and_says_no_more_of_a_fault_than_an_id(page: Served) -> None:
    client = page.client("viewer")
    with socket_of(page, client) as opened:
        opened.send("fail")
        with pytest.raises(ConnectionClosed) as ended:
            opened.recv(PATIENCE_S)
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, PATIENT in ended.value.rcvd.reason) == (1011, False)
    with socket_of(page, client) as opened:
        opened.send("here")
        opened.recv(PATIENCE_S)
        assert client.delete("/api/session").status == 204
        with pytest.raises(ConnectionClosed) as ended:
            opened.recv(PATIENCE_S)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1008


def test_a_message_that_no_page_of_ours_sends_ends_the_websocket(page: Served, viewer: Client) -> None:
    with socket_of(page, viewer) as opened:
        opened.send("x" * 5000)
        with pytest.raises(ConnectionClosed) as ended:
            opened.recv(PATIENCE_S)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1009


def test_a_websocket_that_takes_nothing_is_cut_off(page: Served, viewer: Client) -> None:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    with plain(page, room=4096) as peer:
        peer.sendall(
            f"GET /api/test/echo HTTP/1.1\r\nHost: localhost\r\nCookie: {viewer.cookie}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\n{key}\r\n".encode()
        )
        assert peer.recv(1 << 16).startswith(b"HTTP/1.1 101")
        much = b"\x81\x84" + bytes(4) + b"much"  # a masked text of four letters, its mask nothing
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                peer.sendall(much * 4)
                time.sleep(0.02)
    assert len(PIECE) > 4096


@pytest.mark.slow
def test_two_hundred_that_only_listen_cost_little_and_keep_nobody_waiting(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with served(tmp_path, parts=(part,)) as page, ExitStack() as stack:
            viewer = page.client("viewer")
            before = len(os.listdir("/proc/self/fd"))
            streams = [stack.enter_context(viewer.opened("/api/test/quiet")) for _ in range(200)]
            assert all(stream.read(8) == b": here\n\n" for stream in streams)
            cpu_s, begin_s = time.process_time(), time.monotonic()
            time.sleep(5.0)
            busy = (time.process_time() - cpu_s) / (time.monotonic() - begin_s)
            answers = []
            for _ in range(20):
                asked_s = time.monotonic()
                assert viewer.get("/api/test/shown/a").status == 200
                answers.append(time.monotonic() - asked_s)
            assert busy < 0.05
            assert sorted(answers)[10] < 0.1
            page.page.close()
            assert all(stream.read().endswith(b": over\n\n") for stream in streams)
        assert len(os.listdir("/proc/self/fd")) <= before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
