"""What peers do that are no readers: slow, frozen, wrong, too many. Others get their events meanwhile."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cathrt.runtime.config import FeedConfig
from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.gateway.doors import is_loopback_host
from cathrt.runtime.gateway.feed import FeedLimits, opened_feed
from cathrt.runtime.journal.writer import Journal
from tests.gateway.reading import PATIENCE_S, QUICK, RECORDS, Serving, bodies, serving
from tests.passes import AT_ONCE, verdict, write

IMPATIENT = FeedLimits(poll_ms=2.0, heartbeat_s=0.1, request_s=0.3, take_s=0.5)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One feed for all the requests that must leave no trace in it."""
    folder = tmp_path_factory.mktemp("feed")
    write(folder / "live.journal", RECORDS)
    with serving(folder, IMPATIENT) as served:
        yield served
        assert_serves(served)


def raw(served: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.feed.port), timeout=PATIENCE_S)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            got += piece
    return got


def assert_serves(served: Serving) -> None:
    with served.reader() as reader:
        assert [event.data for event in reader.take(len(RECORDS))] == bodies(RECORDS)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "says"),
    [
        ("GET", "/feeds/live", {"Host": "evil.example"}, 421, "expected localhost or a loopback address"),
        ("GET", "/feeds/live", {"Host": "127.0.0.1.evil.example:8732"}, 421, "loopback"),
        ("GET", "/feeds/live", {"Host": ""}, 421, "loopback"),
        ("GET", "/health", {"Host": "192.168.1.7"}, 421, "loopback"),
        ("GET", "/feeds/live", {"Sec-Fetch-Site": "cross-site"}, 403, "page from elsewhere"),
        ("GET", "/feeds/live", {"Sec-Fetch-Site": "same-site"}, 403, "page from elsewhere"),
        ("POST", "/feeds/live", {}, 405, "expected GET"),
        ("HEAD", "/feeds/live", {}, 405, ""),
        ("OPTIONS", "/feeds/live", {"Origin": "http://evil.example"}, 405, "expected GET"),
        ("GET", "/feeds/live/", {}, 404, "expected /, /health, /metrics or /feeds/NAME"),
        ("GET", "/feeds/../../etc/passwd", {}, 404, "expected /"),
        ("GET", "/feeds/%2e%2e", {}, 404, "expected one of live"),
        ("GET", "/feeds/live?types=alarm", {}, 400, "found the record type 'alarm'"),
        ("GET", "/feeds/live?since=3", {}, 400, "found the parameter 'since'"),
        ("GET", "/feeds/live", {"Last-Event-ID": "\xff\xfe"}, 400, "expected the id of an event"),
        ("GET", "/feeds/live", {"Last-Event-ID": "1; DROP TABLE record"}, 400, "expected the id of an event"),
        ("GET", "/feeds/live", {"Last-Event-ID": "9" * 5000}, 400, "expected the id of an event"),
        ("GET", "/feeds/live", {"Last-Event-ID": "9" * 18}, 409, "has no such place"),
        ("GET", "/health", {"Content-Length": "5"}, 400, "found a body, expected none"),
        ("GET", "/health", {"Transfer-Encoding": "chunked"}, 400, "found a body, expected none"),
        ("GET", "/feeds/live", {"X-Long": "x" * 20_000}, 431, "expected at most 16384"),
    ],
)  # fmt: skip
def test_an_odd_request_is_refused_by_name(
    busy: Serving, method: str, path: str, headers: dict[str, str], status: int, says: str
) -> None:
    got, answered, body = busy.ask(method, path, **headers)
    assert got == status
    assert says in body.decode()
    assert not [name for name in answered if name.startswith("access-control")]
    assert_serves(busy)


def test_a_browser_on_the_feeds_own_page_is_let_in(busy: Serving) -> None:
    for host in ("localhost:9000", "127.0.0.1", "[::1]:8732"):
        assert busy.get("/", Host=host, Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8732", "127.0.0.1", "127.8.8.8:1", "[::1]", "[::1]:80"])
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host", ["", ":80", "localhost.", "localhost:x", "localhost.evil.example", "evil.example", "10.0.0.1", "0.0.0.0",
             "[::]", "127.0.0.1:80:80", "127.1", "2130706433", "localhost@evil.example", "[fe80::1]:80"]
)  # fmt: skip
def test_names_that_may_be_of_other_machines(host: str) -> None:
    assert not is_loopback_host(host)


def test_two_ids_are_one_too_many(busy: Serving) -> None:
    with raw(busy) as connection:
        connection.sendall(
            b"GET /feeds/live HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\r\nLast-Event-ID: 2\r\n\r\n"
        )
        assert answer(connection).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "octets",
    [b"\x00" * 5000, b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
     b"GET /" + b"a" * 20_000, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ids=["zeros", "tls", "no target", "version", "no host", "long", "two hosts", "smuggled"],
)  # fmt: skip
def test_what_is_no_request_ends_the_connection(busy: Serving, octets: bytes) -> None:
    with raw(busy) as connection:
        connection.sendall(octets)
        assert b" 200 OK" not in answer(connection)
    assert_serves(busy)


@pytest.mark.parametrize("path", ["/feeds/live", "/health"])
def test_a_body_that_is_none_ends_the_connection_without_a_traceback(
    busy: Serving, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in ("zz\r\n\r\n", "1\r\nabc\r\n"):
        with raw(busy) as connection:
            connection.sendall(f"{head}{body}".encode())
            answer(connection)
    assert_serves(busy)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("begun", [b"", b"GET /feeds/live HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_request_that_does_not_arrive_in_time_is_cut_off_however_it_drips(busy: Serving, begun: bytes) -> None:
    with raw(busy) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(begun)
            for _ in range(2000):
                connection.sendall(b"x" if begun else b"")
                if select.select([connection], [], [], 0.02)[0]:
                    break
            else:
                pytest.fail("it was never cut off")
        assert answer(connection) == b""
    assert_serves(busy)


def test_an_endless_body_is_not_read(busy: Serving) -> None:
    with raw(busy) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n")
        sent = 0  # after the answer nobody reads it, so sending comes to its end
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                sent += connection.send(b"x" * 65536)
        assert sent < 64 << 20
    assert_serves(busy)


def test_connections_beyond_the_limit_are_cut_off_and_it_goes_on_when_they_have_gone(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path, max_readers=2) as served:
        with contextlib.ExitStack() as opened:
            for _ in range(2 + 16):
                opened.enter_context(raw(served))
            one_more = opened.enter_context(raw(served))
            assert answer(one_more) == b""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError, OSError):
                assert_serves(served)
                return
        pytest.fail("it did not recover")


def test_a_frozen_reader_is_cut_off_delays_nobody_and_goes_on_where_it_was(tmp_path: Path) -> None:
    records = [verdict(index) for index in range(2000)]  # some 1.3 MB: more than the system holds for a connection
    with (
        serving(tmp_path, IMPATIENT) as served,
        served.reader(receive_bytes=4096) as frozen,
        served.reader() as awake,
        ThreadPoolExecutor(1) as aside,
    ):
        taken = aside.submit(awake.take, len(records))
        with Journal(served.journal(), AT_ONCE) as journal:
            for record in records:
                journal.append(record)
        assert [event.data for event in taken.result(PATIENCE_S)] == bodies(records)
        deadline = time.monotonic() + PATIENCE_S
        while served.feed.status().readers > 1:
            assert time.monotonic() < deadline, "the frozen reader is still there"
            time.sleep(0.01)

        before = list(frozen.events())
        assert 0 < len(before) < len(records)
        with served.reader(last_id=frozen.last_id) as thawed:
            after = thawed.take(len(records) - len(before))
        assert [event.data for event in before + after] == bodies(records)


def test_a_frozen_reader_does_not_hold_up_the_end(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", [verdict(index) for index in range(2000)])
    limits = FeedLimits(poll_ms=2.0, take_s=1000.0, drain_s=0.2)
    with serving(tmp_path, limits) as served, served.reader(receive_bytes=4096) as frozen:
        began = time.monotonic()
        served.feed.close()
        assert time.monotonic() - began < PATIENCE_S / 2
        assert len(list(frozen.events())) < 2000


def test_a_reader_that_leaves_is_noticed_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, FeedLimits(heartbeat_s=1e6)) as served:
        with served.reader() as reader:
            assert reader.status == 200
            assert served.feed.status().readers == 1
        deadline = time.monotonic() + PATIENCE_S
        while served.feed.status().readers:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_readers_that_come_and_go_leave_nothing_behind(busy: Serving) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def come_and_go() -> None:
        with busy.reader(last_id="3") as reader:
            reader.take(2)
        assert busy.get("/health")[0] == 200

    for _ in range(10):  # as many threads as there will be: asyncio makes them when they are needed
        come_and_go()
    before = held()
    for _ in range(100):
        come_and_go()
    deadline = time.monotonic() + PATIENCE_S
    while busy.feed.status().readers or held()[0] > before[0]:
        assert time.monotonic() < deadline, (before, held())
        time.sleep(0.01)
    assert held()[1] <= before[1] + 32  # the default executor's most


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7"])
def test_an_address_of_other_machines_is_refused_by_name(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"feed\.host: found .*, which other machines reach, and no feed\.token_file"):
        with opened_feed(FeedConfig(host=host, port=0), {}, lambda _status: {}):
            pass


def test_a_host_that_is_no_address_is_refused_by_name() -> None:
    with (
        pytest.raises(ConfigError, match=r"feed\.host: found 'lab-box'"),
        opened_feed(FeedConfig(host="lab-box"), {}, lambda _status: {}),
    ):
        pass


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, QUICK) as served:
        settings = FeedConfig(port=served.feed.port)
        with pytest.raises(CathrtError, match=r"the feed cannot be there .*choose another feed\.port"):
            with opened_feed(settings, {}, lambda _status: {}):
                pass
